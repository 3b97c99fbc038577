//! Every limit that applies always applies: the key's, its owner's, its team's, its organization's, by models and by modes.

use super::*;
use crate::keys::service_account;
use tests::on_both;

fn requests(amount: &str) -> Value {
    json!({"metric": "requests", "amount": amount, "window": "day"})
}

/// The same limit for a subject.
fn of(kind: &str, id: &Value, amount: &str) -> Value {
    let mut limit = requests(amount);
    limit["subject_kind"] = json!(kind);
    limit["subject_id"] = id.clone();
    limit
}

on_both!(every_level_counts_and_says_which_one_bit, |app| {
    let calls = Calls::new(&app, json!([requests("10")])).await;
    let team = limit(&app, of("team", &calls.key["team_id"], "6")).await;
    let place = format!("{BASE}/teams/{}/members", calls.key["team_id"].as_str().unwrap());
    app.owner().post(&place, json!({"user_id": app.owner().user_id, "role": "admin"})).await.created();
    let issuer = json!({"subject_kind": "member", "subject_id": app.owner().user_id,
        "team_id": calls.key["team_id"], "metric": "requests", "amount": "4", "window": "day"});
    let issuer = limit(&app, issuer).await;
    let organization = limit(&app, of("organization", &json!(null), "2")).await;
    for _ in 0..2 {
        calls.open(json!({"model": "m"})).await;
    }
    let lift = async |row: &Value| {
        let path = format!("{BASE}/limits/{}", row["id"].as_str().unwrap());
        let request = app.owner().request(axum::http::Method::DELETE, &path);
        request.header("if-match", "\"1\"").await.no_content();
    };
    for (tightest, next) in [(&organization, 2), (&issuer, 2), (&team, 4)] {
        let denial = calls.ask(json!({"model": "m"})).await;
        denied(&denial, &["limit_exceeded"]);
        assert_eq!(denial["reasons"][0]["limit_id"], tightest["id"]);
        lift(tightest).await;
        for _ in 0..next {
            calls.open(json!({"model": "m"})).await;
        }
    }
    denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    same(counted(&app, calls.limit(0)).await, "0", "10");
});

on_both!(people_and_service_accounts_have_limits_over_all_their_keys, |app| {
    let member = app.member().await;
    let account = json!(service_account(&app, "batch").await);
    let gateway = app.gateway().await;
    for (kind, owner, field) in
        [("user", json!(member.user_id), "user_id"), ("service_account", account, "service_account_id")]
    {
        let set = limit(&app, of(kind, &owner, "3")).await;
        let mut all = Vec::new();
        for n in 0..2 {
            let key = issue(&app, json!({"name": format!("{kind} {n}"), field: owner})).await;
            all.push(Calls { gateway: gateway.clone(), key });
        }
        all[0].open(json!({"model": "m"})).await;
        all[1].open(json!({"model": "m"})).await;
        all[0].open(json!({"model": "m"})).await;
        for calls in &all {
            denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
        }
        same(counted(&app, set["id"].as_str().unwrap()).await, "0", "3");
    }
});

on_both!(limits_count_the_models_that_they_are_for, |app| {
    let limits = json!([{"metric": "requests", "amount": "1", "window": "day", "models": ["gpt-*"]},
        {"metric": "tokens", "amount": "1000", "window": "day", "models": ["claude-*", "o3"]}]);
    let calls = Calls::new(&app, limits).await;
    let free = json!({"model": "llama", "input_tokens": 5000, "max_output_tokens": 5000});
    calls.open(free.clone()).await;
    calls.open(free).await;
    calls.open(json!({"model": "gpt-4o", "input_tokens": 5000})).await;
    let denial = calls.ask(json!({"model": "gpt-4o-mini"})).await;
    denied(&denial, &["limit_exceeded"]);
    // A call with fallbacks may be any of them.
    denied(&calls.ask(json!({"models": ["llama", "gpt-4o"]})).await, &["limit_exceeded"]);
    let either = json!({"models": ["llama", "o3"], "input_tokens": 300, "max_output_tokens": 100});
    let id = calls.open(either).await;
    same(counted(&app, calls.limit(1)).await, "0", "400");
    // And what is counted is what it was.
    let attempts = json!([{"model": "o3", "usage": {"input_tokens": 30}, "status": "error"},
        {"model": "llama", "usage": {"input_tokens": 300, "output_tokens": 50}}]);
    let body = json!({"reservation_id": id, "attempts": attempts});
    calls.gateway.post("/v1/settle", body).await.ok();
    same(counted(&app, calls.limit(1)).await, "30", "0");
});

on_both!(a_model_that_was_not_authorized_is_counted_all_the_same, |app| {
    let limits = json!([{"metric": "tokens", "amount": "100", "window": "day", "models": ["big-*"]},
        {"metric": "requests", "amount": "5", "window": "day"}]);
    let calls = Calls::new(&app, limits).await;
    let ask = json!({"model": "mini", "input_tokens": 10, "reservation_id": chosen(&app)});
    let told = calls.ask(ask.clone()).await;
    let id = told["reservation_id"].as_str().unwrap();
    assert_eq!(counted(&app, calls.limit(0)).await.0, "none");
    let body = json!({"reservation_id": id, "model": "big-1", "usage": {"input_tokens": 70}});
    for _ in 0..2 {
        calls.gateway.post("/v1/settle", &body).await.ok();
    }
    same(counted(&app, calls.limit(0)).await, "70", "0");
    same(counted(&app, calls.limit(1)).await, "1", "0");
    assert_eq!(calls.ask(ask).await, told, "what was answered stays the answer");
    let more = json!({"model": "big-2", "input_tokens": 31, "max_output_tokens": 0});
    denied(&calls.ask(more).await, &["limit_exceeded"]);
    let shown = app.owner().get(&format!("{BASE}/reservations/{id}")).await.ok();
    assert_eq!(shown["holds"].as_array().unwrap().len(), 2);
});

on_both!(warnings_and_shadows_deny_nothing, |app| {
    let limits = json!([{"metric": "requests", "amount": "1", "window": "day", "mode": "warn"},
        {"metric": "requests", "amount": "2", "window": "day", "mode": "shadow"}]);
    let calls = Calls::new(&app, limits).await;
    for n in 0..5 {
        let reply = calls.ask(json!({"model": "m"})).await;
        let codes: Vec<&Value> =
            reply["limits"].as_array().unwrap().iter().map(|limit| &limit["code"]).collect();
        let told = |amount: i32| if n < amount { json!(null) } else { json!("limit_exceeded") };
        assert_eq!(codes, [&told(1), &told(2)], "call {n}: {reply}");
    }
    let explained =
        calls.gateway.post("/v1/authorize/explain", json!({"key": calls.key["secret"], "model": "m"}));
    let explained = explained.await.ok();
    assert_eq!(explained["allowed"], true);
    let codes: Vec<&Value> =
        explained["limits"].as_array().unwrap().iter().map(|limit| &limit["code"]).collect();
    assert_eq!(codes, ["limit_exceeded", "limit_exceeded"]);
    let windows =
        async |n: usize| app.owner().get(&format!("{BASE}/limits/{}/windows", calls.limit(n))).await.ok();
    assert_eq!(windows(0).await["items"][0]["would_deny"], 0);
    let shadow = windows(1).await;
    assert_eq!((&shadow["items"][0]["would_deny"], &shadow["items"][0]["held"]), (&json!(3), &json!("5")));
});

on_both!(what_nothing_bounds_is_denied_where_it_is_limited, |app| {
    let own = json!({"model": "own", "kind": "per_token", "input": "1000", "output": "0"});
    app.owner().post(&format!("{BASE}/prices"), own).await.created();
    let limits = json!([{"metric": "cost", "amount": "1", "window": "total"},
        {"metric": "input_tokens", "amount": "100", "window": "total"},
        {"metric": "requests", "amount": "10", "window": "total"}]);
    let calls = Calls::new(&app, limits).await;
    denied(
        &calls.ask(json!({"model": "own", "max_output_tokens": 10})).await,
        &["size_unknown", "size_unknown"],
    );
    calls.open(json!({"model": "own", "input_tokens": 40, "max_output_tokens": 10})).await;
    calls.open(json!({"model": "own", "input_bytes": 60})).await;
    let here = json!({"name": "here", "display_name": "Here"});
    app.owner().post(&format!("{BASE}/providers"), here).await.created();
    let model = json!({"provider": "here", "name": "own", "context_window": 50});
    app.owner().post(&format!("{BASE}/models"), model).await.created();
    denied(&calls.ask(json!({"model": "own"})).await, &["limit_exceeded"]);
    // What is charged by the image is not bounded by tokens.
    let image = json!({"model": "painter", "kind": "per_unit", "per_image": "0.5"});
    app.owner().post(&format!("{BASE}/prices"), image).await.created();
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "1", "window": "total"}])).await;
    denied(&calls.ask(json!({"model": "painter", "input_tokens": 1})).await, &["size_unknown"]);
    calls.open(json!({"model": "painter", "images": 2})).await;
    denied(&calls.ask(json!({"model": "painter", "images": 1})).await, &["budget_exceeded"]);
});

on_both!(what_a_call_costs_decides_about_budgets, |app| {
    price(&app, "m", "0.10").await;
    let euros = json!({"model": "e", "kind": "per_request", "per_request": "0.10", "currency": "EUR"});
    app.owner().post(&format!("{BASE}/prices"), euros).await.created();
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "1", "window": "month"}])).await;
    calls.open(json!({"model": "m"})).await;
    denied(&calls.ask(json!({"model": "nothing-known"})).await, &["price_unknown"]);
    denied(&calls.ask(json!({})).await, &["price_unknown"]);
    denied(&calls.ask(json!({"model": "e"})).await, &["currency_mismatch"]);
    denied(&calls.ask(json!({"models": ["m", "e"]})).await, &["currency_mismatch"]);
    denied(&calls.ask(json!({"models": ["m", "nothing-known"]})).await, &["price_unknown"]);
    // Where nothing limits the cost, what has no price is let through, and marked.
    let free = Calls::new(&app, json!([requests("10")])).await;
    let id = free.open(json!({"model": "nothing-known", "input_tokens": 10})).await;
    let settled = free.settle(&id, json!({"input_tokens": 10})).await;
    assert_eq!(
        (&settled["attempts"][0]["priced"], &settled["attempts"][0]["cost"]),
        (&json!(false), &json!("0.000000000"))
    );
    // An organization may decide otherwise.
    app.owner().patch(BASE, json!({"unpriced_policy": "allow"})).await.ok();
    calls.open(json!({"model": "nothing-known"})).await;
    app.owner().patch(BASE, json!({"unpriced_policy": "default"})).await.ok();
    denied(&calls.ask(json!({"model": "nothing-known"})).await, &["price_unknown"]);
    let default = json!({"kind": "per_request", "per_request": "0.80"});
    app.owner().post(&format!("{BASE}/prices"), default).await.created();
    calls.open(json!({"model": "nothing-known"})).await;
    denied(&calls.ask(json!({"model": "nothing-known"})).await, &["budget_exceeded"]);
});

on_both!(the_dearest_of_the_fallbacks_is_held_and_each_price_is_kept, |app| {
    let cheap = price(&app, "cheap", "0.10").await;
    let dear = price(&app, "dear", "0.70").await;
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "1", "window": "month"}])).await;
    let reply = calls.ask(json!({"models": ["cheap", "dear"]})).await;
    assert_eq!(reply["estimate"]["cost"], "0.700000000");
    assert_eq!(reply["prices"][1], json!({"model": "dear", "price_id": dear["id"]}));
    denied(&calls.ask(json!({"model": "dear"})).await, &["budget_exceeded"]);
    // A price that comes later does not change what the call costs.
    app.clock.advance(chrono::TimeDelta::seconds(5));
    price(&app, "cheap", "0.90").await;
    let attempts = json!([{"model": "cheap", "usage": {}}]);
    let body = json!({"reservation_id": reply["reservation_id"], "attempts": attempts});
    let settled = calls.gateway.post("/v1/settle", body).await.ok();
    assert_eq!(settled["attempts"][0]["cost"], "0.100000000");
    assert_eq!(settled["attempts"][0]["price_id"], cheap["id"]);
    same(counted(&app, calls.limit(0)).await, "0.100000000", "0.000000000");
});

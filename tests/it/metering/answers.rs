//! What is told of limits: to the gateway, to its client, to the key itself, to administrators.

use super::*;
use tests::on_both;

fn minute(amount: &str) -> Value {
    json!([{"metric": "requests", "amount": amount, "window": "minute"}])
}

on_both!(clients_are_told_in_their_own_words, |app| {
    let calls = Calls::new(&app, minute("1")).await;
    app.clock.advance(chrono::TimeDelta::milliseconds(43_500));
    calls.open(json!({"model": "m"})).await;
    let denial = calls.ask(json!({"model": "m"})).await["client_response"].clone();
    assert_eq!(denial["http_status"], 429);
    let limit = calls.limit(0);
    assert_eq!(
        denial["headers"],
        json!({"content-type": "application/json", "retry-after": "17",
            "ratelimit-policy": format!("\"{limit}\";q=1;w=60"), "ratelimit": format!("\"{limit}\";r=0;t=17")})
    );
    assert_eq!(
        (&denial["body"]["error"]["type"], &denial["body"]["error"]["code"]),
        (&json!("requests"), &json!("limit_exceeded"))
    );
    let denial =
        calls.ask(json!({"model": "m", "error_format": "anthropic"})).await["client_response"].clone();
    assert_eq!(denial["body"]["error"]["type"], "rate_limit_error");

    price(&app, "m", "0.75").await;
    let spent = Calls::new(&app, json!([{"metric": "cost", "amount": "1", "window": "month"}])).await;
    spent.open(json!({"model": "m"})).await;
    let reply = spent.ask(json!({"model": "m"})).await;
    let denial = &reply["client_response"];
    assert_eq!(denial["http_status"], 402);
    assert_eq!(denial["headers"]["x-should-retry"], "false");
    assert_eq!(denial["body"]["error"]["type"], "insufficient_quota");
    let message = denial["body"]["error"]["message"].as_str().unwrap();
    for part in ["the key's limit of cost a month", "1.000000000", "0.750000000 held"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(reply["reasons"][0]["resets_at"], "2027-02-01T00:00:00Z");
    let denial =
        spent.ask(json!({"model": "m", "error_format": "anthropic"})).await["client_response"].clone();
    assert_eq!(denial["body"]["error"]["type"], "billing_error");
});

on_both!(the_gravest_reason_decides_and_all_are_told, |app| {
    price(&app, "m", "0.75").await;
    let limits = json!([{"metric": "cost", "amount": "0.5", "window": "month"},
        {"metric": "requests", "amount": "0", "window": "minute"}]);
    let key = issue(&app, json!({"name": "k", "limits": limits, "allowed_models": ["x"]})).await;
    let calls = Calls { gateway: app.gateway().await, key };
    let denial = calls.ask(json!({"model": "m"})).await;
    denied(&denial, &["model_not_allowed", "budget_exceeded", "limit_exceeded"]);
    assert_eq!(denial["client_response"]["http_status"], 403);
    let path = crate::keys::path(&calls.key);
    app.owner().patch(&path, json!({"allowed_models": null})).await.ok();
    let denial = calls.ask(json!({"model": "m"})).await;
    denied(&denial, &["budget_exceeded", "limit_exceeded"]);
    assert_eq!(denial["client_response"]["http_status"], 402);
    app.owner().post(&format!("{path}/disable"), json!({})).await.ok();
    let denial = calls.ask(json!({"model": "m"})).await;
    denied(&denial, &["key_disabled", "budget_exceeded", "limit_exceeded"]);
    assert_eq!(denial["client_response"]["http_status"], 401);
});

on_both!(an_explanation_shows_every_limit_and_changes_nothing, |app| {
    let calls = Calls::new(&app, minute("2")).await;
    let team = json!({"subject_kind": "team", "subject_id": calls.key["team_id"], "metric": "tokens",
        "amount": "100", "window": "day"});
    limit(&app, team).await;
    calls.open(json!({"model": "m", "input_tokens": 10, "max_output_tokens": 20})).await;
    let call = json!({"key": calls.key["secret"], "model": "m", "input_tokens": 60, "max_output_tokens": 20});
    for _ in 0..3 {
        let explained = calls.gateway.post("/v1/authorize/explain", &call).await.ok();
        assert_eq!(explained["allowed"], false);
        assert_eq!(explained["estimate"]["output_tokens"], 20);
        let limits = explained["limits"].as_array().unwrap();
        let rows: Vec<_> = limits
            .iter()
            .map(|l| (&l["amount"], &l["held"], &l["remaining"], &l["needed"], &l["code"]))
            .collect();
        let (hundred, two) = (json!("100"), json!("2"));
        let tokens = rows.iter().find(|row| row.0 == &hundred).unwrap();
        assert_eq!((tokens.1, tokens.2, tokens.3), (&json!("30"), &json!("70"), &json!("80")));
        assert_eq!(tokens.4, "limit_exceeded");
        let requests = rows.iter().find(|row| row.0 == &two).unwrap();
        assert_eq!((requests.1, requests.2, requests.4), (&json!("1"), &json!("1"), &json!(null)));
    }
    let mut by_admin = call.clone();
    by_admin.as_object_mut().unwrap().remove("key");
    let path = format!("{}/explain", crate::keys::path(&calls.key));
    assert_eq!(app.owner().post(&path, by_admin).await.ok()["allowed"], false);
    let listed = app.owner().get(&format!("{}/limits", crate::keys::path(&calls.key))).await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    same(counted(&app, calls.limit(0)).await, "0", "1");
});

on_both!(a_key_sees_what_it_may_still_use, |app| {
    let calls = Calls::new(&app, minute("2")).await;
    calls.open(json!({"model": "m"})).await;
    calls.open(json!({"model": "m"})).await;
    let own = app.client(calls.key["secret"].as_str().unwrap()).get("/v1/key").await.ok();
    let limit = &own["limits"][0];
    assert_eq!(
        (&limit["used"], &limit["held"], &limit["remaining"]),
        (&json!("0"), &json!("2"), &json!("0"))
    );
    assert_eq!((&limit["resets_at"], &limit["code"]), (&json!("2027-01-15T10:01:00Z"), &json!(null)));
});

on_both!(estimates_bound_calls_by_what_is_known, |app| {
    app.with_catalogue().await;
    let calls = Calls::new(&app, json!([])).await;
    let estimate = async |call: Value| {
        let reply = calls.ask(call).await;
        let estimate = &reply["estimate"];
        let tokens = |field: &str| estimate[field].as_i64().unwrap();
        (tokens("input_tokens"), tokens("output_tokens"), reply["basis"].as_str().unwrap().to_owned())
    };
    let exact = |input, output| (input, output, "exact".to_owned());
    assert_eq!(
        estimate(json!({"model": "gpt-4o", "input_tokens": 7, "max_output_tokens": 9})).await,
        exact(7, 9)
    );
    assert_eq!(
        estimate(json!({"model": "gpt-4o", "input_bytes": 700, "max_output_tokens": 9})).await,
        exact(700, 9)
    );
    // The model's own figures.
    assert_eq!(estimate(json!({"model": "gpt-4o"})).await, exact(128_000, 16_384));
    assert_eq!(estimate(json!({"model": "gemini-embedding-001", "input_tokens": 5})).await, exact(5, 0));
    // Nothing is known of the model.
    assert_eq!(estimate(json!({"model": "x"})).await, (0, 4096, "estimate".to_owned()));
    app.owner().patch(BASE, json!({"default_max_output_tokens": 300})).await.ok();
    assert_eq!(estimate(json!({"model": "gpt-4o", "input_tokens": 7})).await, exact(7, 300));
    assert_eq!(estimate(json!({"model": "x", "input_tokens": 7})).await, exact(7, 300));
    let both = json!({"model": "x", "input_tokens": 7, "input_bytes": 7, "images": 1_000_000_000_001_i64});
    let mut body = both;
    body["key"] = calls.key["secret"].clone();
    let faults = [("/input_bytes", "exclusive"), ("/images", "out_of_range")];
    calls.gateway.post("/v1/authorize", body).await.invalid(&faults);
});

//! Calls of which nobody knows what they cost, or not in the currency of a limit: they are charged what they held, and say so.

use super::*;
use chrono::TimeDelta;
use service::{Ctx, scope::Scope, usage::verify_rollups};
use tests::on_both;

/// A budget of 2 dollars a month; a call of `m` holds 0.5.
async fn budget(app: &TestApp) -> Calls {
    let tokens = json!({"model": "m", "kind": "per_token", "input": "1000", "output": "1000"});
    app.owner().post(&format!("{BASE}/prices"), tokens).await.created();
    let euros = json!({"model": "e", "kind": "per_request", "per_request": "2000", "currency": "EUR"});
    app.owner().post(&format!("{BASE}/prices"), euros).await.created();
    Calls::new(app, json!([{"metric": "cost", "amount": "2", "window": "month"}])).await
}

fn call() -> Value {
    json!({"model": "m", "input_tokens": 300, "max_output_tokens": 200})
}

/// Settles with attempts, and says the same again.
async fn settle(calls: &Calls, id: &str, attempts: Value) -> Vec<Value> {
    let body = json!({"reservation_id": id, "attempts": attempts});
    let first = calls.gateway.post("/v1/settle", &body).await.ok();
    assert_eq!(calls.gateway.post("/v1/settle", &body).await.ok(), first, "again");
    first["attempts"].as_array().unwrap().clone()
}

/// Cost and currency; whether it is priced, estimated, unclear.
fn told(attempt: &Value) -> (String, String, [bool; 3]) {
    let text = |field: &str| attempt[field].as_str().unwrap_or("none").to_owned();
    let flags = ["priced", "estimated", "usage_unclear"].map(|flag| attempt[flag].as_bool().unwrap());
    (text("cost"), text("currency"), flags)
}

fn expected(cost: &str, currency: &str, flags: [bool; 3]) -> (String, String, [bool; 3]) {
    (cost.to_owned(), currency.to_owned(), flags)
}

/// The sums are what the events add up to.
async fn verify(app: &TestApp) {
    let begin = "2027-01-15T00:00:00Z".parse().unwrap();
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let check = verify_rollups(&ctx, begin, begin + TimeDelta::days(3)).await.unwrap();
    assert!(check.events > 0 && check.differences.is_empty(), "{check:?}");
}

on_both!(another_currency_is_charged_what_the_call_held, |app| {
    let calls = budget(&app).await;
    let id = calls.open(call()).await;
    same(counted(&app, calls.limit(0)).await, "0.000000000", "0.500000000");
    let attempts = settle(&calls, &id, json!([{"model": "e", "usage": {"input_tokens": 1}}])).await;
    assert_eq!(told(&attempts[0]), expected("2000.000000000", "EUR", [false, true, false]));
    same(counted(&app, calls.limit(0)).await, "0.500000000", "0.000000000");
    // The event says the same, and its bill is that of the price in its own currency.
    let event =
        app.owner().get(&format!("{BASE}/usage/events/{}", attempts[0]["event_id"].as_str().unwrap()));
    let event = event.await.ok();
    assert_eq!(told(&event), told(&attempts[0]));
    assert_eq!(event["lines"][0]["component"], "request");
    let totals = app.owner().get(&format!("{}/usage", crate::keys::path(&calls.key))).await.ok();
    let counts = ["estimated_events", "unclear_events", "unpriced_events"].map(|field| totals[field].clone());
    assert_eq!(counts, [json!(1), json!(0), json!(1)]);
    verify(&app).await;
    // Three more calls fit, and no fourth: nothing was free.
    for _ in 0..3 {
        calls.open(call()).await;
    }
    denied(&calls.ask(call()).await, &["budget_exceeded"]);
});

on_both!(a_model_without_a_price_is_charged_what_the_call_held, |app| {
    let calls = budget(&app).await;
    let id = calls.open(call()).await;
    let attempts = settle(&calls, &id, json!([{"model": "unheard-of", "usage": {"input_tokens": 7}}])).await;
    assert_eq!(told(&attempts[0]), expected("0.500000000", "USD", [false, true, false]));
    assert_eq!(attempts[0]["price_id"], Value::Null);
    same(counted(&app, calls.limit(0)).await, "0.500000000", "0.000000000");
    let event =
        app.owner().get(&format!("{BASE}/usage/events/{}", attempts[0]["event_id"].as_str().unwrap()));
    let event = event.await.ok();
    assert_eq!((told(&event), &event["lines"]), (told(&attempts[0]), &json!([])));
    let totals = app.owner().get(&format!("{}/usage", crate::keys::path(&calls.key))).await.ok();
    assert_eq!(totals["costs"], json!([{"currency": "USD", "cost": "0.500000000"}]));
    verify(&app).await;
    // An administrator who resolves a call is under the same rule.
    let id = calls.open(call()).await;
    let body = json!({"outcome": "settled", "model": "unheard-of", "usage": {"input_tokens": 7}});
    let path = format!("{BASE}/reservations/{id}/resolve");
    let resolved = app.owner().post(&path, body).await.ok();
    assert_eq!(told(&resolved["attempts"][0]), told(&attempts[0]));
    same(counted(&app, calls.limit(0)).await, "1.000000000", "0.000000000");
});

on_both!(usage_that_says_nothing_is_charged_what_the_call_held, |app| {
    let calls = budget(&app).await;
    let tokens = json!([{"metric": "tokens", "amount": "1000", "window": "day"}]);
    let counting = Calls::new(&app, tokens).await;
    for (attempt, flags, tokens) in [
        (json!({"usage": {}}), [false, true, true], "500"),
        (json!({"usage": {"input_tokens": null}}), [false, true, true], "500"),
        (json!({"status": "aborted"}), [false, true, true], "500"),
        // What is said counts, zeros too; and no provider charges for what has failed.
        (json!({"usage": {"input_tokens": 0, "output_tokens": 0}}), [true, false, false], "0"),
        (json!({"status": "error"}), [true, false, false], "0"),
        (json!({"status": "skipped"}), [true, false, false], "0"),
    ] {
        let id = calls.open(call()).await;
        let (cost, used) =
            if flags[1] { ("0.500000000", "0.500000000") } else { ("0.000000000", "0.000000000") };
        let attempts = settle(&calls, &id, json!([attempt])).await;
        assert_eq!(told(&attempts[0]), expected(cost, "USD", flags), "{attempt}");
        let found = app.owner().get(&format!("{BASE}/reservations/{id}")).await.ok();
        assert_eq!(
            (&found["holds"][0]["used"], &found["holds"][0]["held"]),
            (&json!(used), &json!("0.000000000"))
        );
        let id = counting.open(call()).await;
        settle(&counting, &id, json!([attempt])).await;
        let found = app.owner().get(&format!("{BASE}/reservations/{id}")).await.ok();
        assert_eq!(found["holds"][0]["used"], tokens, "{attempt}");
        app.clock.advance(TimeDelta::days(1));
    }
    verify(&app).await;
});

on_both!(a_price_by_the_request_needs_no_usage, |app| {
    price(&app, "m", "0.25").await;
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "2", "window": "month"}])).await;
    let id = calls.open(json!({"model": "m"})).await;
    let attempts = settle(&calls, &id, json!([{"usage": {}}])).await;
    assert_eq!(told(&attempts[0]), expected("0.250000000", "USD", [true, false, true]));
    same(counted(&app, calls.limit(0)).await, "0.250000000", "0.000000000");
});

on_both!(each_attempt_is_charged_by_itself, |app| {
    let calls = budget(&app).await;
    let id = calls.open(call()).await;
    let attempts = json!([
        {"model": "unheard-of", "status": "error"},
        {"model": "m", "usage": {"input_tokens": 100}},
        {"model": "e", "usage": {"input_tokens": 1}},
        {"model": "unheard-of", "usage": {"input_tokens": 1}},
    ]);
    let attempts = settle(&calls, &id, attempts).await;
    let expected = [
        expected("0.000000000", "none", [false, false, false]),
        expected("0.100000000", "USD", [true, false, false]),
        expected("2000.000000000", "EUR", [false, true, false]),
        expected("0.500000000", "USD", [false, true, false]),
    ];
    assert_eq!(attempts.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(attempts[3]["overrun"], true, "more than one attempt held");
    same(counted(&app, calls.limit(0)).await, "1.100000000", "0.000000000");
    verify(&app).await;
});

on_both!(each_limit_is_charged_in_its_own_currency, |app| {
    let calls = budget(&app).await;
    let key = json!({"subject_kind": "key", "subject_id": calls.id(), "metric": "cost", "window": "month"});
    let mut euros = key.clone();
    (euros["currency"], euros["amount"], euros["mode"]) = (json!("EUR"), json!("1"), json!("warn"));
    let euros = limit(&app, euros).await;
    let mut rare = key;
    (rare["amount"], rare["models"]) = (json!("100"), json!(["unheard-*"]));
    let rare = limit(&app, rare).await;
    let id = calls.open(call()).await;
    settle(&calls, &id, json!([{"model": "e", "usage": {"input_tokens": 1}}])).await;
    same(counted(&app, calls.limit(0)).await, "0.500000000", "0.000000000");
    same(counted(&app, euros["id"].as_str().unwrap()).await, "2000.000000000", "0.000000000");
    // A limit that was not asked, since nobody knew which model would serve the call, is charged what was authorized.
    let id = calls.open(call()).await;
    settle(&calls, &id, json!([{"model": "unheard-of", "usage": {"input_tokens": 1}}])).await;
    same(counted(&app, calls.limit(0)).await, "1.000000000", "0.000000000");
    same(counted(&app, rare["id"].as_str().unwrap()).await, "0.500000000", "0.000000000");
});

on_both!(what_was_released_is_charged_all_the_same, |app| {
    app.owner().patch(BASE, json!({"release_after": 60})).await.ok();
    let calls = budget(&app).await;
    let id = calls.open(call()).await;
    app.clock.advance(TimeDelta::minutes(30));
    calls.void(&calls.open(call()).await).await;
    same(counted(&app, calls.limit(0)).await, "0.000000000", "0.000000000");
    settle(&calls, &id, json!([{"model": "e", "usage": {"input_tokens": 1}}])).await;
    same(counted(&app, calls.limit(0)).await, "0.500000000", "0.000000000");
});

on_both!(what_held_nothing_is_charged_nothing_and_says_so, |app| {
    let calls = budget(&app).await;
    let body = json!({"key": calls.key["secret"], "model": "unheard-of", "usage": {"input_tokens": 9}});
    let reported = calls.gateway.post("/v1/usage", body).await.ok();
    assert_eq!(told(&reported["attempts"][0]), expected("0.000000000", "none", [false, false, false]));
    let body = json!({"key": calls.key["secret"], "model": "m", "usage": {}});
    let reported = calls.gateway.post("/v1/usage", body).await.ok();
    assert_eq!(told(&reported["attempts"][0]), expected("0.000000000", "USD", [false, false, true]));
    same(counted(&app, calls.limit(0)).await, "none", "none");
    // Without a limit of cost the settlement is the same.
    let free = Calls::new(&app, json!([])).await;
    let id = free.open(call()).await;
    let attempts = settle(&free, &id, json!([{"usage": {}}])).await;
    assert_eq!(told(&attempts[0]), expected("0.000000000", "USD", [false, false, true]));
});

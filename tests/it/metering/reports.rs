//! Calls that were not authorized here: gateways report them, proxies count their requests.

use super::*;
use chrono::TimeDelta;
use tests::on_both;

on_both!(a_reported_call_is_counted_whatever_the_limits_say, |app| {
    price(&app, "m", "0.40").await;
    let limits = json!([{"metric": "cost", "amount": "1", "window": "month"},
        {"metric": "requests", "amount": "10", "window": "day"},
        {"metric": "tokens", "amount": "10", "window": "day", "models": ["other"]}]);
    let calls = Calls::new(&app, limits).await;
    let report = async |body: Value| calls.gateway.post("/v1/usage", body).await;
    let usage = json!({"input_tokens": 100});
    let body = json!({"key_id": calls.id(), "model": "m", "usage": usage, "reservation_id": chosen(&app)});
    let first = report(body.clone()).await.ok();
    assert_eq!(first["attempts"][0]["cost"], "0.400000000");
    assert_eq!(report(body.clone()).await.ok(), first, "a repetition");
    let mut other = body.clone();
    other["usage"] = json!({"input_tokens": 101});
    report(other).await.problem(409, "already_settled");
    for _ in 0..3 {
        report(json!({"key": calls.key["secret"], "model": "m", "usage": {}})).await.ok();
    }
    same(counted(&app, calls.limit(0)).await, "1.600000000", "0.000000000");
    same(counted(&app, calls.limit(1)).await, "4", "0");
    assert_eq!(counted(&app, calls.limit(2)).await.0, "none", "another model");
    denied(&calls.ask(json!({"model": "m"})).await, &["budget_exceeded"]);
    // What has been used counts, though the key is revoked meanwhile.
    app.owner().post(&format!("{}/revoke", crate::keys::path(&calls.key)), json!({})).await.ok();
    report(json!({"key": calls.key["secret"], "model": "m", "usage": {}})).await.ok();
    same(counted(&app, calls.limit(1)).await, "5", "0");
    report(json!({"key": "nonsense", "model": "m", "usage": {}})).await.invalid(&[("/key", "key_unknown")]);
    report(json!({"model": "m", "usage": {}})).await.invalid(&[("/key", "one_key")]);
});

on_both!(a_late_report_is_counted_when_the_call_was_made, |app| {
    let calls = Calls::new(&app, json!([{"metric": "requests", "amount": "1", "window": "day"}])).await;
    let report = async |ago: TimeDelta| {
        let id = app.system.entropy.id::<entity::id::Reservation>(app.clock.now() - ago).to_string();
        let body = json!({"key_id": calls.id(), "model": "m", "usage": {}, "reservation_id": id});
        calls.gateway.post("/v1/usage", body).await
    };
    report(TimeDelta::days(40)).await.ok();
    calls.open(json!({"model": "m"})).await;
    same(counted(&app, calls.limit(0)).await, "0", "1");
    let page = app.owner().get(&format!("{BASE}/limits/{}/windows", calls.limit(0))).await.ok();
    assert_eq!(page["items"][1]["window_start"], "2026-12-06T00:00:00Z");
    report(TimeDelta::days(90)).await.invalid(&[("/reservation_id", "too_old")]);
    report(TimeDelta::minutes(-6)).await.invalid(&[("/reservation_id", "in_the_future")]);
});

on_both!(a_proxys_question_counts_its_request, |app| {
    let limits = json!([{"metric": "requests", "amount": "3", "window": "day"},
        {"metric": "tokens", "amount": "100", "window": "day"}]);
    let calls = Calls::new(&app, limits).await;
    let check = async || {
        let secret = calls.key["secret"].as_str().unwrap();
        let request = app.client(secret).request(axum::http::Method::GET, "/v1/check");
        request
            .header("tollkeeper-gateway-token", calls.gateway.bearer().unwrap())
            .header("tollkeeper-model", "m")
            .await
    };
    for used in ["1", "2"] {
        assert_eq!(check().await.status, 200);
        same(counted(&app, calls.limit(0)).await, used, "0");
    }
    // What is not known beforehand must have something left.
    let told = json!({"key_id": calls.id(), "model": "m", "usage": {"input_tokens": 99, "requests": 0}});
    calls.gateway.post("/v1/usage", told).await.ok();
    assert_eq!(check().await.status, 200);
    let reply = check().await;
    assert_eq!(reply.status, 429, "{}", reply.text);
    assert_eq!(reply.headers["tollkeeper-denied"], "limit_exceeded");
    assert_eq!(reply.headers["retry-after"], "50400");
    same(counted(&app, calls.limit(0)).await, "3", "0");
    same(counted(&app, calls.limit(1)).await, "99", "0");
    let events = app.owner().get(&format!("{BASE}/usage/events?key_id={}", calls.id())).await.ok();
    // Calls of one moment are in no order.
    let mut origins: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|event| event["origin"].as_str().unwrap()).collect();
    origins.sort_unstable();
    assert_eq!(origins, ["check", "check", "check", "usage"]);
});

on_both!(a_spent_budget_stops_proxies_too, |app| {
    price(&app, "m", "0.50").await;
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "1", "window": "month"}])).await;
    let check = async |model: Option<&str>| {
        let secret = calls.key["secret"].as_str().unwrap();
        let request = app.client(secret).request(axum::http::Method::GET, "/v1/check/v1/chat/completions");
        let request = request.header("tollkeeper-gateway-token", calls.gateway.bearer().unwrap());
        match model {
            Some(model) => request.header("tollkeeper-model", model).await,
            None => request.await,
        }
    };
    for _ in 0..2 {
        assert_eq!(check(Some("m")).await.status, 200);
    }
    assert_eq!(check(Some("m")).await.status, 402);
    assert_eq!(check(None).await.headers["tollkeeper-denied"], "price_unknown");
    same(counted(&app, calls.limit(0)).await, "1.000000000", "0.000000000");
});

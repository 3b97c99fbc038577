//! Administrators say what became of calls of which the gateway has told nothing.

use super::*;
use chrono::TimeDelta;
use tests::on_both;

on_both!(an_administrator_settles_or_voids_an_unresolved_call, |app| {
    price(&app, "m", "0.50").await;
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "1", "window": "month"}])).await;
    let (first, second) = (calls.open(json!({"model": "m"})).await, calls.open(json!({"model": "m"})).await);
    app.clock.advance(TimeDelta::hours(1));
    let path = |id: &str| format!("{BASE}/reservations/{id}/resolve");
    let owner = app.owner();
    let told = json!({"outcome": "voided", "usage": {}});
    owner.post(&path(&first), told).await.invalid(&[("/outcome", "exclusive")]);
    let settle = json!({"outcome": "settled", "usage": {"input_tokens": 3}});
    let request = owner.request(axum::http::Method::POST, &path(&first)).header("idempotency-key", "once");
    let settled = request.json(&settle).await.ok();
    assert_eq!(settled["attempts"][0]["cost"], "0.500000000");
    let again = owner.request(axum::http::Method::POST, &path(&first)).header("idempotency-key", "once");
    assert_eq!(again.json(&settle).await.ok(), settled);
    owner.post(&path(&first), json!({"outcome": "voided"})).await.problem(409, "already_settled");
    owner.post(&path(&second), json!({"outcome": "voided"})).await.ok();
    same(counted(&app, calls.limit(0)).await, "0.500000000", "0.000000000");
    calls.settle(&first, json!({"input_tokens": 3})).await;
    let body = json!({"reservation_id": second, "usage": {}});
    calls.gateway.post("/v1/settle", body).await.problem(409, "reservation_voided");
    let audit = owner.get(&format!("{BASE}/audit-events?page_size=100")).await.ok();
    let resolved =
        audit["items"].as_array().unwrap().iter().filter(|event| event["action"] == "reservation.resolve");
    assert_eq!(resolved.count(), 2);
    owner.post(&path(&chosen(&app)), json!({"outcome": "voided"})).await.problem(404, "not_found");
    app.viewer().await.post(&path(&second), json!({"outcome": "voided"})).await.problem(403, "forbidden");
    let team = calls.key["team_id"].as_str().unwrap();
    let boss = app.team_admin(team).await;
    let third = calls.open(json!({"model": "m"})).await;
    boss.post(&path(&third), json!({"outcome": "voided"})).await.ok();
    let stranger = app.team_admin(&crate::keys::team(&app, "other").await).await;
    stranger.post(&path(&third), json!({"outcome": "voided"})).await.problem(404, "not_found");
});

//! What is no acceptable limit: every faulty field is told with its place.

use crate::{
    keys::{KEYS, key, team},
    limits::{LIMITS, budget, ids, path},
};
use serde_json::{Value, json};
use tests::{TestApp, on_both};

fn minute(app: &TestApp) -> Value {
    json!({"subject_kind": "organization", "subject_id": app.organization, "metric": "requests", "window": "minute",
           "amount": "60"})
}

on_both!(each_field_of_a_new_limit_has_its_bounds, |app| {
    let owner = app.owner();
    let many: Vec<String> = (0..257).map(|n| format!("m{n}")).collect();
    for (field, value, pointer, code) in [
        ("subject_kind", json!("everybody"), "/subject_kind", "invalid_value"),
        ("subject_kind", json!(null), "/subject_kind", "not_nullable"),
        ("subject_kind", json!("team"), "/subject_id", "invalid_value"),
        ("subject_id", json!("x"), "/subject_id", "invalid_value"),
        ("subject_id", json!("price_019aa3c1f6b07c3e9a5d2f4b8c6e1d70"), "/subject_id", "invalid_value"),
        ("subject_id", json!("org_019AA3C1F6B07C3E9A5D2F4B8C6E1D70"), "/subject_id", "invalid_value"),
        ("subject_id", json!(7), "/subject_id", "invalid_value"),
        ("subject_id", json!(null), "/subject_id", "not_nullable"),
        ("team_id", json!("team"), "/team_id", "invalid_value"),
        ("metric", json!("money"), "/metric", "invalid_value"),
        ("metric", json!("concurrency"), "/window", "not_allowed"),
        ("window", json!("request"), "/window", "not_allowed"),
        ("window", json!("fortnight"), "/window", "invalid_value"),
        ("amount", json!(60), "/amount", "invalid_value"),
        ("amount", json!(null), "/amount", "not_nullable"),
        ("amount", json!(""), "/amount", "invalid_value"),
        ("amount", json!("-1"), "/amount", "out_of_range"),
        ("amount", json!("1.5"), "/amount", "invalid_value"),
        ("amount", json!("1e3"), "/amount", "invalid_value"),
        ("amount", json!("+1"), "/amount", "invalid_value"),
        ("amount", json!(" 1"), "/amount", "invalid_value"),
        ("amount", json!("١"), "/amount", "invalid_value"),
        ("amount", json!("9223372036854775808"), "/amount", "out_of_range"),
        ("amount", json!("1".repeat(100_000)), "/amount", "invalid_value"),
        ("window_count", json!(0), "/window_count", "out_of_range"),
        ("window_count", json!(-1), "/window_count", "out_of_range"),
        ("window_count", json!(2), "/window_count", "not_supported"),
        ("window_count", json!(null), "/window_count", "not_nullable"),
        ("window_count", json!(1.5), "/window_count", "invalid_value"),
        ("mode", json!("maybe"), "/mode", "invalid_value"),
        ("mode", json!(null), "/mode", "not_nullable"),
        ("currency", json!("USD"), "/currency", "not_allowed"),
        ("models", json!([]), "/models", "required"),
        ("models", json!([""]), "/models/0", "required"),
        ("models", json!(["a", "*a".repeat(9)]), "/models/1", "too_many"),
        ("models", json!(["a\u{0}b"]), "/models/0", "invalid_character"),
        ("models", json!(many), "/models", "too_many"),
        ("models", json!("gpt-4o"), "/models", "invalid_value"),
        ("timezone", json!("Europe/Berlin"), "/timezone", "not_supported"),
        ("timezone", json!(""), "/timezone", "not_supported"),
        ("each", json!("key"), "/each", "not_supported"),
        ("each", json!("model"), "/each", "invalid_value"),
        ("alert_at", json!([80]), "/alert_at", "not_supported"),
        ("alert_at", json!([]), "/alert_at", "not_supported"),
    ] {
        let mut body = minute(&app);
        body[field] = value;
        owner.post(LIMITS, body).await.invalid(&[(pointer, code)]);
    }
    for field in ["subject_kind", "subject_id", "metric", "window", "amount"] {
        let mut body = minute(&app);
        body.as_object_mut().unwrap().remove(field);
        owner.post(LIMITS, body).await.invalid(&[(format!("/{field}").as_str(), "required")]);
    }
    for field in ["id", "set_by", "created_by", "version", "overrides", "period", "organization_id"] {
        let mut body = minute(&app);
        body[field] = json!("x");
        let problem = owner.post(LIMITS, body).await.problem(400, "unknown_field");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
    assert_eq!(ids(&owner, "").await, [json!(null); 0]);
});

on_both!(money_has_nine_digits_and_a_currency, |app| {
    let owner = app.owner();
    for (field, value, code) in [
        ("amount", json!("0.0000000001"), "invalid_value"),
        ("amount", json!("9223372036.854775808"), "out_of_range"),
        ("amount", json!("-0.000000001"), "out_of_range"),
        ("amount", json!(12.5), "invalid_value"),
        ("currency", json!("EURO"), "unknown"),
        ("currency", json!(""), "unknown"),
    ] {
        let mut body = budget("organization", app.organization.to_string());
        body[field] = value;
        owner.post(LIMITS, body).await.invalid(&[(format!("/{field}").as_str(), code)]);
    }
});

on_both!(every_faulty_field_is_told_at_once, |app| {
    let group = team(&app, "search").await;
    let body = json!({
        "subject_kind": "key", "subject_id": app.organization, "team_id": group, "metric": "concurrency",
        "window": "day", "amount": "x", "window_count": 3, "currency": "USD", "models": [], "timezone": "Asia/Tokyo",
        "each": "member", "alert_at": [50],
    });
    app.owner().post(LIMITS, body).await.invalid(&[
        ("/subject_id", "invalid_value"),
        ("/team_id", "not_allowed"),
        ("/window", "not_allowed"),
        ("/amount", "invalid_value"),
        ("/window_count", "not_supported"),
        ("/currency", "not_allowed"),
        ("/models", "required"),
        ("/timezone", "not_supported"),
        ("/each", "not_supported"),
        ("/alert_at", "not_supported"),
    ]);
    let person = app.member().await.user_id;
    app.owner().post(LIMITS, budget("member", person)).await.invalid(&[("/team_id", "required")]);
});

on_both!(a_change_has_the_bounds_of_a_new_limit, |app| {
    let owner = app.owner();
    let made = owner.post(LIMITS, minute(&app)).await.created();
    let patch = |body: Value| owner.patch(&path(&made), body).if_match(1);
    for (field, value, code) in [
        ("amount", json!("-1"), "out_of_range"),
        ("amount", json!("1.5"), "invalid_value"),
        ("amount", json!(5), "invalid_value"),
        ("amount", json!(null), "not_nullable"),
        ("mode", json!("x"), "invalid_value"),
        ("mode", json!(null), "not_nullable"),
    ] {
        patch(json!({field: value})).await.invalid(&[(format!("/{field}").as_str(), code)]);
    }
    // The shape of a limit never changes.
    for field in [
        "subject_kind",
        "subject_id",
        "team_id",
        "metric",
        "window",
        "window_count",
        "currency",
        "models",
        "timezone",
        "each",
        "alert_at",
        "set_by",
        "version",
    ] {
        let problem = patch(json!({field: made[field]})).await.problem(400, "unknown_field");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
    assert_eq!(owner.get(&path(&made)).await.ok(), made);
});

on_both!(a_faulty_limit_makes_no_key, |app| {
    let owner = app.owner();
    let group = team(&app, "search").await;
    let fine = json!({"metric": "requests", "window": "minute", "amount": "60"});
    let body = |limits: Value| json!({"name": "k", "team_id": group, "limits": limits});
    for (limits, pointer, code) in [
        (
            json!([fine, {"metric": "tokens", "window": "day", "amount": "-1"}]),
            "/limits/1/amount",
            "out_of_range",
        ),
        (json!([{"metric": "tokens", "window": "day"}]), "/limits/0/amount", "required"),
        (json!([{"metric": "tokens", "window": "day", "amount": 5}]), "/limits/0/amount", "invalid_value"),
        (
            json!([fine, fine, {"metric": "tokens", "window": "day", "amount": "5", "models": []}]),
            "/limits/2/models",
            "required",
        ),
        (
            json!([{"metric": "tokens", "window": "day", "amount": "5", "models": ["a", ""]}]),
            "/limits/0/models/1",
            "required",
        ),
        (
            json!([{"metric": "tokens", "window": "day", "amount": "5", "each": "key"}]),
            "/limits/0/each",
            "not_supported",
        ),
        (json!(vec![fine.clone(); 65]), "/limits", "too_many"),
        (json!(null), "/limits", "not_nullable"),
        (fine.clone(), "/limits", "invalid_value"),
    ] {
        owner.post(KEYS, body(limits)).await.invalid(&[(pointer, code)]);
    }
    for field in ["subject_kind", "subject_id", "team_id", "surprise"] {
        let mut limit = fine.clone();
        limit[field] = json!("x");
        let problem = owner.post(KEYS, body(json!([limit]))).await.problem(400, "unknown_field");
        assert_eq!(problem["errors"][0]["pointer"], format!("/limits/0/{field}"));
    }
    // Of a key that is not made for another reason, no limit is left either.
    owner.post(&format!("/v1/organizations/default/teams/{group}/suspend"), json!({})).await.ok();
    owner.post(KEYS, body(json!([fine]))).await.problem(409, "owner_suspended");
    assert_eq!(owner.get(&format!("{KEYS}/count")).await.ok()["count"], 0);
    assert_eq!(ids(&owner, "").await, [json!(null); 0]);
});

on_both!(a_limit_is_on_what_is_there, |app| {
    let owner = app.owner();
    let gone = key(&app, "gone").await;
    owner.delete(&crate::keys::path(&gone)).await.no_content();
    owner.post(LIMITS, budget("key", gone["id"].clone())).await.problem(404, "not_found");
    let group = team(&app, "gone too").await;
    owner.delete(&format!("/v1/organizations/default/teams/{group}")).await.no_content();
    owner.post(LIMITS, budget("team", group)).await.problem(404, "not_found");
    let stranger = app.stranger().await;
    owner.post(LIMITS, budget("user", stranger.user_id)).await.problem(404, "not_found");
    let connection = "conn_019aa3c1f6b07c3e9a5d2f4b8c6e1d70";
    let problem = owner.post(LIMITS, budget("connection", connection)).await.problem(404, "not_found");
    assert_eq!(problem["detail"], "connection not found");
});

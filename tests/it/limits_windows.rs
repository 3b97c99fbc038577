//! What limits have counted: windows, and resets of the current one.

use crate::limits::{LIMITS, count, path};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{limit_window, org_head};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::time::Duration;
use tests::{TestApp, on_both};

async fn make(app: &TestApp, metric: &str, window: &str) -> Value {
    let body = json!({"subject_kind": "organization", "subject_id": app.organization, "metric": metric,
                      "window": window, "amount": "10"});
    app.owner().post(LIMITS, body).await.created()
}

/// What the database has of the windows of a limit, oldest first: used, held, adjusted.
async fn rows(app: &TestApp, limit: &Value) -> Vec<(i64, i64, i64)> {
    let id: entity::id::LimitId = limit["id"].as_str().unwrap().parse().unwrap();
    let mut rows = limit_window::Entity::find()
        .filter(limit_window::Column::LimitId.eq(id))
        .all(&app.system.db.reader)
        .await
        .unwrap();
    rows.sort_by_key(|row| row.window_start);
    rows.iter().map(|row| (row.used, row.held, row.adjusted)).collect()
}

on_both!(windows_are_listed_latest_first, |app| {
    let (owner, limit) = (app.owner(), make(&app, "cost", "month").await);
    let windows = format!("{}/windows", path(&limit));
    assert_eq!(owner.get(&windows).await.ok(), json!({"items": [], "next_cursor": null}));
    for (start, counted) in [
        ("2026-12-01T00:00:00Z", (12_000_000_001, 0)),
        ("2027-01-01T00:00:00Z", (2_500_000_000, 1)),
        ("2026-11-01T00:00:00Z", (0, 0)),
    ] {
        count(&app, &limit, start, counted).await;
    }
    let found = owner.get(&windows).await.ok();
    let window = |start: &str, end: &str, used: &str, held: &str, remaining: &str| {
        json!({"window_start": start, "resets_at": end, "used": used, "held": held, "adjusted": "0.000000000",
               "remaining": remaining, "would_deny": 2})
    };
    let (november, december) = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    let (january, february) = ("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z");
    let expected = [
        window(january, february, "2.500000000", "0.000000001", "7.499999999"),
        window(december, january, "12.000000001", "0.000000000", "-2.000000001"),
        window(november, december, "0.000000000", "0.000000000", "10.000000000"),
    ];
    assert_eq!(found["items"], json!(expected));
    for (order, first, second) in
        [("desc", &expected[..2], &expected[2..]), ("asc", &expected[1..], &expected[..1])]
    {
        let page = owner.get(&format!("{windows}?page_size=2&order={order}")).await.ok();
        let mut first = first.to_vec();
        if order == "asc" {
            first.reverse();
        }
        assert_eq!(page["items"], json!(first));
        let cursor = page["next_cursor"].as_str().unwrap();
        let page = owner.get(&format!("{windows}?page_size=2&order={order}&cursor={cursor}")).await.ok();
        assert_eq!(page, json!({"items": second, "next_cursor": null}));
    }
    owner.get(&format!("{windows}?cursor=x")).await.problem(400, "invalid_cursor");
    owner.get(&format!("{windows}?page_size=101")).await.problem(400, "out_of_range");
});

on_both!(a_limit_for_ever_has_one_window, |app| {
    let (owner, limit) = (app.owner(), make(&app, "tokens", "total").await);
    count(&app, &limit, "1970-01-01T00:00:00Z", (4, 5)).await;
    let expected = json!({"window_start": "1970-01-01T00:00:00Z", "resets_at": null, "used": "4", "held": "5",
                          "adjusted": "0", "remaining": "1", "would_deny": 2});
    assert_eq!(owner.get(&format!("{}/windows", path(&limit))).await.ok()["items"], json!([expected]));
});

on_both!(a_reset_forgives_what_the_current_window_has_used, |app| {
    let (owner, limit) = (app.owner(), make(&app, "requests", "day").await);
    let other = make(&app, "requests", "day").await;
    for limit in [&limit, &other] {
        count(&app, limit, "2027-01-14T00:00:00Z", (9, 0)).await;
        count(&app, limit, "2027-01-15T00:00:00Z", (7, 2)).await;
    }
    let reset = || owner.post(&format!("{}/reset", path(&limit)), json!({}));
    let first = reset().idempotency_key("r").await;
    let again = reset().idempotency_key("r").await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.text), (200, "true", &first.text));
    let expected = json!({"window_start": "2027-01-15T00:00:00Z", "resets_at": "2027-01-16T00:00:00Z", "used": "7",
                          "held": "2", "adjusted": "7", "remaining": "8", "would_deny": 2});
    assert_eq!(first.ok(), expected);
    // The window before, and those of another limit, are as they were.
    assert_eq!(rows(&app, &limit).await, [(9, 0, 0), (7, 2, 7)]);
    assert_eq!(rows(&app, &other).await, [(9, 0, 0), (7, 2, 0)]);
    assert_eq!(reset().await.ok(), expected);
    assert_eq!(owner.get(&path(&limit)).await.ok(), limit);
});

on_both!(a_window_in_which_nothing_was_counted_is_as_good_as_reset, |app| {
    let (owner, limit) = (app.owner(), make(&app, "tokens", "hour").await);
    let found = owner.post(&format!("{}/reset", path(&limit)), json!({})).await.ok();
    let expected = json!({"window_start": "2027-01-15T10:00:00Z", "resets_at": "2027-01-15T11:00:00Z", "used": "0",
                          "held": "0", "adjusted": "0", "remaining": "10", "would_deny": 0});
    assert_eq!(found, expected);
    assert_eq!(rows(&app, &limit).await, []);
});

on_both!(what_counts_nothing_has_nothing_to_reset, |app| {
    let owner = app.owner();
    for (metric, window) in [("tokens", "request"), ("cost", "request"), ("concurrency", "total")] {
        let limit = make(&app, metric, window).await;
        owner.post(&format!("{}/reset", path(&limit)), json!({})).await.problem(409, "nothing_to_reset");
    }
    let limit = make(&app, "tokens", "day").await;
    let reset = format!("{}/reset", path(&limit));
    owner.post(&reset, json!({"window": "x"})).await.problem(400, "unknown_field");
});

on_both!(a_reset_sees_what_was_decided_before_it_and_by_the_clock_of_decisions, |app| {
    let (owner, limit) = (app.owner(), make(&app, "requests", "minute").await);
    count(&app, &limit, "2027-01-15T10:01:00Z", (5, 0)).await;
    // A decision holds the organization; its clock is ahead of this instance's, by as much as may be.
    let decision = app.system.db.begin().await.unwrap();
    let ahead: DateTime<Utc> = app.clock.now() + TimeDelta::minutes(1);
    let head = org_head::ActiveModel { last_t: Set(ahead), ..Default::default() };
    let head = org_head::Entity::update_many().set(head);
    head.filter(org_head::Column::OrganizationId.eq(app.organization)).exec(&decision).await.unwrap();
    let path = format!("{}/reset", path(&limit));
    let reset = tokio::spawn(owner.post(&path, json!({})).into_future());
    tokio::time::sleep(Duration::from_millis(300)).await;
    decision.execute_unprepared("UPDATE limit_window SET used = 8").await.unwrap();
    decision.commit().await.unwrap();
    let found = reset.await.unwrap().ok();
    assert_eq!((&found["window_start"], &found["adjusted"]), (&json!("2027-01-15T10:01:00Z"), &json!("8")));
});

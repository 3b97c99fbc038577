//! A clock that was wrong, and is right again: nothing waits for the time that it showed, nothing is lost, and it is told.

use crate::metering::{BASE, Calls, chosen, counted, denied, same};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{idempotency_record, org_head, reservation, session};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use service::{activity, clock::watch, housekeeping};
use tests::{TestApp, ledger, on_both};

const HOURS: TimeDelta = TimeDelta::hours(8);

fn requests(amount: &str, window: &str) -> Value {
    json!({"metric": "requests", "amount": amount, "window": window})
}

/// What the audit log says of the clock.
async fn steps(app: &TestApp) -> Vec<Value> {
    let page = app.owner().get(&format!("{BASE}/audit-events?action=clock.step_back")).await.ok();
    page["items"].as_array().unwrap().clone()
}

async fn faults(app: &TestApp) -> Vec<String> {
    watch::faults(&app.system.db, app.clock.now()).await.unwrap()
}

async fn sessions(app: &TestApp) -> u64 {
    session::Entity::find().count(&app.system.db.reader).await.unwrap()
}

// clock-jump-forward of the cases from the field: for one call the clock is eight hours ahead.
on_both!(one_call_by_a_wrong_clock_does_not_freeze_the_others, |app| {
    let calls = Calls::new(&app, json!([requests("2", "minute"), requests("100", "day")])).await;
    let path = crate::keys::path(&calls.key);
    let end = app.clock.now() + TimeDelta::hours(4);
    app.owner().patch(&path, json!({"expires_at": end})).await.ok();
    let ahead = Calls::new(&app, json!([requests("2", "minute")])).await;
    app.clock.advance(HOURS);
    denied(&calls.ask(json!({"model": "m"})).await, &["key_expired"]);
    ahead.open(json!({"model": "m"})).await;
    app.clock.advance(-HOURS);
    assert!(faults(&app).await[0].contains("1 organizations have decided by a time up to 2027-01-15 18:00"));
    // It counts minutes of now, knows ids of now, and nothing has expired.
    for calls in [&calls, &ahead] {
        calls.open(json!({"model": "m", "reservation_id": chosen(&app)})).await;
        calls.open(json!({"model": "m"})).await;
        denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    }
    assert_eq!(faults(&app).await, [] as [String; 0]);
    app.clock.advance(TimeDelta::minutes(1));
    calls.open(json!({"model": "m"})).await;
    // What was counted in the later window is there, should its time come.
    let windows = app.owner().get(&format!("{BASE}/limits/{}/windows", ahead.limit(0))).await.ok();
    let starts = windows["items"].as_array().unwrap().iter().map(|row| row["window_start"].clone());
    assert_eq!(starts.collect::<Vec<_>>(), [json!("2027-01-15T18:00:00Z"), json!("2027-01-15T10:00:00Z")]);
    // One step, told once, with both times.
    let found = steps(&app).await;
    assert_eq!(found.len(), 1);
    let (before, after) = (&found[0]["detail"]["before"]["time"], &found[0]["detail"]["after"]["time"]);
    assert_eq!((before, after), (&json!("2027-01-15T18:00:00Z"), &json!("2027-01-15T10:00:00Z")));
    assert_eq!(found[0]["actor_kind"], "system");
    let verified = app.owner().get(&format!("{BASE}/audit-events/verify")).await.ok();
    assert_eq!(verified["valid"], true, "{verified}");
});

// The clock jumps and is right again between two looks at it.
on_both!(a_jump_that_decisions_alone_have_seen_is_one, |app| {
    let calls = Calls::new(&app, json!([])).await;
    watch::beat(&app.system).await.unwrap();
    assert!(watch::time_to_destroy(&app.system).await.unwrap().is_some());
    app.clock.advance(HOURS);
    calls.open(json!({"model": "m"})).await;
    app.clock.advance(-HOURS);
    calls.open(json!({"model": "m"})).await;
    assert!(watch::time_to_destroy(&app.system).await.unwrap().is_none());
    watch::beat(&app.system).await.unwrap();
    assert!(faults(&app).await[0].contains("it jumped by -28800 s"), "{:?}", faults(&app).await);
    watch::beat(&app.system).await.unwrap();
    assert!(watch::time_to_destroy(&app.system).await.unwrap().is_none());
});

on_both!(up_to_a_minute_behind_the_last_decision_is_waited_for, |app| {
    let calls = Calls::new(&app, json!([requests("1", "minute")])).await;
    app.clock.advance(TimeDelta::seconds(60));
    calls.open(json!({"model": "m"})).await;
    app.clock.advance(TimeDelta::seconds(-60));
    denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    assert_eq!(steps(&app).await, [] as [Value; 0]);
    app.clock.advance(TimeDelta::milliseconds(-1));
    calls.open(json!({"model": "m"})).await;
    assert_eq!(steps(&app).await.len(), 1);
});

on_both!(calls_of_a_wrong_time_end_as_long_after_now, |app| {
    let open = json!([{"metric": "concurrency", "amount": "3", "window": "total"}]);
    let calls = Calls::new(&app, open).await;
    let early = calls.open(json!({"model": "m", "expires_in": 86_400})).await;
    let extended = calls.open(json!({"model": "m", "expires_in": 86_400})).await;
    app.clock.advance(HOURS);
    let late = calls.open(json!({"model": "m", "expires_in": 600})).await;
    let extend = json!({"reservation_id": extended, "seconds": 80_000});
    calls.gateway.post("/v1/extend", extend).await.ok();
    app.clock.advance(-HOURS);
    denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    let end = async |id: &str| -> DateTime<Utc> {
        let found = app.owner().get(&format!("{BASE}/reservations/{id}")).await.ok();
        found["expires_at"].as_str().unwrap().parse().unwrap()
    };
    let now = app.clock.now();
    assert_eq!(end(&early).await, now + TimeDelta::days(1), "it was made at the right time");
    assert_eq!(end(&extended).await, now + TimeDelta::seconds(80_000));
    assert_eq!(end(&late).await, now + TimeDelta::seconds(600));
    // It can be extended and settled as ever, and its place is free when its time is over.
    calls.gateway.post("/v1/extend", json!({"reservation_id": late, "seconds": 700})).await.ok();
    assert_eq!(end(&late).await, now + TimeDelta::seconds(700));
    app.clock.advance(TimeDelta::seconds(701));
    let next = calls.open(json!({"model": "m"})).await;
    for id in [&late, &next, &early, &extended] {
        calls.settle(id, json!({"input_tokens": 1})).await;
    }
    same(counted(&app, calls.limit(0)).await, "0", "0");
});

on_both!(many_calls_of_a_wrong_time_are_met_a_batch_at_a_time, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let later = app.clock.now() + HOURS;
    let rows = (0..1100).map(|_| ledger::reservation(app.organization, app.system.entropy.id(later)));
    ledger::reserve(&app.system, rows).await;
    app.clock.advance(HOURS);
    calls.open(json!({"model": "m"})).await;
    app.clock.advance(-HOURS);
    let left = async || {
        let ahead = reservation::Column::ExpiresAt.gt(app.clock.now() + TimeDelta::hours(1));
        reservation::Entity::find().filter(ahead).count(&app.system.db.reader).await.unwrap()
    };
    let until = async || {
        let head = org_head::Entity::find_by_id(app.organization).one(&app.system.db.reader).await;
        head.unwrap().unwrap().ahead_until
    };
    for expected in [601, 101, 0] {
        calls.open(json!({"model": "m"})).await;
        assert_eq!(left().await, expected);
        assert_eq!(until().await, (expected > 0).then_some(later));
    }
    assert_eq!(steps(&app).await.len(), 1);
});

on_both!(a_limit_is_reset_in_the_window_of_now, |app| {
    let calls = Calls::new(&app, json!([requests("5", "hour")])).await;
    calls.settle(&calls.open(json!({"model": "m"})).await, json!({"input_tokens": 1})).await;
    app.clock.advance(HOURS);
    calls.open(json!({"model": "m"})).await;
    app.clock.advance(-HOURS);
    let reset = app.owner().post(&format!("{BASE}/limits/{}/reset", calls.limit(0)), json!({})).await.ok();
    assert_eq!((&reset["window_start"], &reset["adjusted"]), (&json!("2027-01-15T10:00:00Z"), &json!("1")));
});

on_both!(nothing_is_removed_by_age_for_a_day_after_a_jump, |app| {
    let login = json!({"email": "owner@example.com", "password": tests::PASSWORD});
    app.anonymous().post("/v1/auth/login", login).await.ok();
    let all = sessions(&app).await;
    let (system, year) = (&app.system, TimeDelta::days(400));
    watch::beat(system).await.unwrap();
    for by in [year, -year, year] {
        app.clock.advance(by);
        watch::beat(system).await.unwrap();
        housekeeping::round(system).await;
        assert_eq!(sessions(&app).await, all, "after {by}");
        assert_eq!(faults(&app).await.len(), 1);
    }
    app.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    housekeeping::round(system).await;
    assert_eq!(sessions(&app).await, all);
    app.clock.advance(TimeDelta::seconds(1));
    housekeeping::round(system).await;
    assert_eq!(sessions(&app).await, 0);
    assert_eq!(faults(&app).await, [] as [String; 0]);
});

on_both!(an_instance_that_starts_asks_what_others_have_seen, |app| {
    watch::beat(&app.system).await.unwrap();
    let b = app.second_instance().await;
    watch::beat(&b.system).await.unwrap();
    assert_eq!(faults(&app).await, [] as [String; 0]);
    app.clock.advance(TimeDelta::minutes(6));
    let c = app.second_instance().await;
    watch::beat(&c.system).await.unwrap();
    assert!(faults(&app).await[0].contains("it jumped by 360 s"), "{:?}", faults(&app).await);
});

on_both!(a_secret_of_a_wrong_time_is_not_shown_for_longer, |app| {
    let path = format!("{BASE}/gateway-tokens");
    let make = async || app.owner().post(&path, json!({"name": "edge"})).idempotency_key("once").await;
    app.clock.advance(HOURS);
    make().await.created();
    make().await.created();
    app.clock.advance(-HOURS);
    make().await.problem(409, "secret_expired");
    assert_eq!(idempotency_record::Entity::find().count(&app.system.db.reader).await.unwrap(), 1);
});

on_both!(a_use_at_a_wrong_time_gives_way_to_the_next, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let used = async || {
        calls.open(json!({"model": "m"})).await;
        activity::flush(&app.system).await.unwrap();
        app.owner().get(&crate::keys::path(&calls.key)).await.ok()["last_used_at"].clone()
    };
    app.clock.advance(HOURS);
    assert_eq!(used().await, "2027-01-15T18:00:00Z");
    app.clock.advance(-HOURS);
    assert_eq!(used().await, "2027-01-15T10:00:00Z");
});

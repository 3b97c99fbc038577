//! A call of which nothing is heard: it is unresolved, counts on, can still be settled, and is let go of in the end.

use super::*;
use chrono::TimeDelta;
use tests::on_both;

fn one_call() -> Value {
    json!([{"metric": "requests", "amount": "1", "window": "total"}])
}

on_both!(an_unresolved_call_counts_until_it_is_released, |app| {
    let calls = Calls::new(&app, one_call()).await;
    let id = calls.open(json!({"model": "m"})).await;
    app.clock.advance(TimeDelta::seconds(600));
    denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    let listed = app.owner().get(&format!("{BASE}/reservations?state=unresolved")).await.ok();
    assert_eq!(listed["items"][0]["id"], json!(id));
    app.clock.advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
    denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    app.clock.advance(TimeDelta::microseconds(1));
    calls.open(json!({"model": "m"})).await;
    same(counted(&app, calls.limit(0)).await, "0", "1");
    // Settled at last, it only adds to what was used, and lets go of nothing twice.
    let settled = calls.settle(&id, json!({"input_tokens": 1})).await;
    assert_eq!(settled["state"], "settled");
    same(counted(&app, calls.limit(0)).await, "1", "1");
    let shown = app.owner().get(&format!("{BASE}/reservations/{id}")).await.ok();
    assert_eq!(shown["state"], "settled");
});

on_both!(organizations_say_when_holds_are_released, |app| {
    for (after, wait) in [(json!(0), Some(0)), (json!(60), Some(60)), (json!(null), None)] {
        app.owner().patch(BASE, json!({"release_after": after})).await.ok();
        let calls = Calls::new(&app, one_call()).await;
        calls.open(json!({"model": "m", "expires_in": 10})).await;
        app.clock.advance(TimeDelta::seconds(9));
        denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
        app.clock.advance(TimeDelta::seconds(1 + wait.unwrap_or(31_536_000)));
        let reply = calls.ask(json!({"model": "m"})).await;
        assert_eq!(reply["allowed"], wait.is_some(), "{after}: {reply}");
    }
});

on_both!(a_call_that_takes_longer_is_extended, |app| {
    let limits = json!([{"metric": "concurrency", "amount": "1", "window": "total"}]);
    let calls = Calls::new(&app, limits).await;
    let id = calls.open(json!({"model": "m", "expires_in": 60})).await;
    for _ in 0..5 {
        app.clock.advance(TimeDelta::seconds(59));
        let body = json!({"reservation_id": id, "seconds": 60});
        let extended = calls.gateway.post("/v1/extend", body).await.ok();
        let until = app.clock.now() + TimeDelta::seconds(60);
        assert_eq!(
            extended["expires_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap(),
            until
        );
        denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    }
    let shorter = json!({"reservation_id": id, "seconds": 1});
    let same_end = calls.gateway.post("/v1/extend", shorter).await.ok();
    assert_eq!(
        same_end["expires_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap(),
        app.clock.now() + TimeDelta::seconds(60),
        "never back"
    );
    app.clock.advance(TimeDelta::seconds(60));
    let late = json!({"reservation_id": id});
    calls.gateway.post("/v1/extend", late).await.problem(409, "reservation_expired");
    calls.open(json!({"model": "m"})).await;
    calls.gateway.post("/v1/extend", json!({"reservation_id": chosen(&app)})).await.problem(404, "not_found");
    for seconds in [0, -1, 86_401] {
        let body = json!({"reservation_id": id, "seconds": seconds});
        calls.gateway.post("/v1/extend", body).await.invalid(&[("/seconds", "out_of_range")]);
    }
});

on_both!(many_forgotten_calls_are_released_step_by_step, |app| {
    app.owner().patch(BASE, json!({"release_after": 60})).await.ok();
    let limits = json!([{"metric": "requests", "amount": "1200", "window": "total"},
        {"metric": "concurrency", "amount": "5000", "window": "total"}]);
    let calls = Calls::new(&app, limits).await;
    let requests: Vec<Value> = (0..240).map(|_| json!({"key": calls.key["secret"], "model": "m"})).collect();
    for _ in 0..5 {
        let reply = calls.gateway.post("/v1/authorize/batch", json!({"requests": requests})).await.ok();
        assert!(
            reply["results"].as_array().unwrap().iter().all(|result| result["decision"]["allowed"] == true)
        );
    }
    denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    app.clock.advance(TimeDelta::seconds(600));
    denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    app.clock.advance(TimeDelta::seconds(60));
    for _ in 0..8 {
        calls.open(json!({"model": "m"})).await;
    }
    same(counted(&app, calls.limit(0)).await, "0", "8");
    same(counted(&app, calls.limit(1)).await, "0", "8");
});

//! What a settlement leaves behind: one event an attempt, sums that equal the events, line items that equal the cost.

use super::*;
use sea_orm::ConnectionTrait;
use service::{Ctx, scope::Scope};
use tests::{on_both, on_postgres};

on_both!(one_event_an_attempt_each_at_the_price_of_its_model, |app| {
    let rates = json!({"model": "mini", "kind": "per_token", "input": "0.15", "output": "0.60", "cache_read": "0.075"});
    app.owner().post(&format!("{BASE}/prices"), rates).await.created();
    price(&app, "big", "0.25").await;
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "10", "window": "month"}])).await;
    let call = json!({"models": ["mini", "big"], "input_tokens": 2000, "max_output_tokens": 1000, "project": "p1",
        "session_id": "s1", "tags": {"run": "7"}, "scope": "chat", "client_ip": "203.0.113.7"});
    let id = calls.open(call).await;
    let attempts = json!([
        {"model": "big", "status": "error", "error_code": "overloaded", "latency_ms": 1200},
        {"model": "mini", "provider": "openai", "format": "openai_chat", "latency_ms": 830, "ttft_ms": 210,
         "usage": {"prompt_tokens": 1200, "completion_tokens": 300, "total_tokens": 1500,
                   "prompt_tokens_details": {"cached_tokens": 200}}}
    ]);
    let body = json!({"reservation_id": id, "attempts": attempts});
    let settled = calls.gateway.post("/v1/settle", body).await.ok();
    // 1000 × 0.15 + 200 × 0.075 + 300 × 0.60, by the million.
    assert_eq!(settled["attempts"][1]["cost"], "0.000345000");
    assert_eq!(settled["attempts"][0]["cost"], "0.250000000");
    same(counted(&app, calls.limit(0)).await, "0.250345000", "0.000000000");
    let events = app.owner().get(&format!("{BASE}/usage/events?key_id={}", calls.id())).await.ok();
    let events = events["items"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    let mini = events.iter().find(|event| event["model"] == "mini").unwrap();
    for (field, value) in [
        ("project", "p1"),
        ("session_id", "s1"),
        ("endpoint", "chat"),
        ("client_ip", "203.0.113.7"),
        ("provider", "openai"),
        ("status", "success"),
        ("origin", "authorize"),
    ] {
        assert_eq!(mini[field], value, "{mini}");
    }
    assert_eq!(
        (&mini["latency_ms"], &mini["ttft_ms"], &mini["attempt"]),
        (&json!(830), &json!(210), &json!(1))
    );
    assert_eq!(mini["usage"]["cache_read_tokens"], 200);
    let path = format!("{BASE}/usage/events/{}?attempt=1", mini["id"].as_str().unwrap());
    let shown = app.owner().get(&path).await.ok();
    assert_eq!(shown["lines"].as_array().unwrap().len(), 3, "{shown}");
});

on_both!(sums_are_never_behind_and_never_adrift, |app| {
    price(&app, "a", "0.01").await;
    price(&app, "b", "0.0333").await;
    let calls = Calls::new(&app, json!([])).await;
    let other =
        calls.with(&key(&app, json!([{"metric": "requests", "amount": "1000", "window": "day"}])).await);
    let begin = app.clock.now();
    for round in 0..12 {
        for (n, calls) in [&calls, &other].into_iter().enumerate() {
            let model = if (round + n) % 3 == 0 { "b" } else { "a" };
            let id = calls.open(json!({"model": model, "input_tokens": 50})).await;
            calls.settle(&id, json!({"input_tokens": round, "output_tokens": n})).await;
        }
        app.clock.advance(chrono::TimeDelta::minutes(37));
    }
    app.clock.advance(chrono::TimeDelta::hours(2));
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let check =
        service::usage::verify_rollups(&ctx, begin, begin + chrono::TimeDelta::hours(9)).await.unwrap();
    assert!(check.differences.is_empty(), "{check:?}");
    assert!(check.hours >= 8, "{check:?}");
    let usage = app.owner().get(&format!("{BASE}/keys/{}/usage", calls.id())).await.ok();
    assert_eq!(usage["costs"][0]["cost"], "0.213200000", "{usage}");
});

on_both!(sums_may_be_larger_than_any_amount, |app| {
    let dear = json!({"model": "dear", "kind": "per_request", "per_request": "9000", "currency": "IDR"});
    app.owner().post(&format!("{BASE}/prices"), dear).await.created();
    let calls = Calls::new(&app, json!([])).await;
    for _ in 0..5 {
        let body = json!({"key_id": calls.id(), "model": "dear", "usage": {"requests": 1_000_000}});
        calls.gateway.post("/v1/usage", body).await.ok();
    }
    let cent = json!({"model": "cent", "kind": "per_request", "per_request": "0.01", "currency": "IDR"});
    app.owner().post(&format!("{BASE}/prices"), cent).await.created();
    calls.gateway.post("/v1/usage", json!({"key_id": calls.id(), "model": "cent", "usage": {}})).await.ok();
    for path in [format!("keys/{}", calls.id()), format!("teams/{}", calls.key["team_id"].as_str().unwrap())]
    {
        let usage = app.owner().get(&format!("{BASE}/{path}/usage")).await.ok();
        assert_eq!(usage["costs"], json!([{"currency": "IDR", "cost": "45000000000.010000000"}]));
    }
    // A limit counts no more than it can hold, and then nothing of the call is on the books.
    let limited =
        Calls::new(&app, json!([{"metric": "cost", "amount": "1", "window": "total", "currency": "IDR"}]))
            .await;
    let body = json!({"key_id": limited.id(), "model": "dear", "usage": {"requests": 1_000_000}});
    limited.gateway.post("/v1/usage", &body).await.ok();
    limited.gateway.post("/v1/usage", &body).await.invalid(&[("/usage", "out_of_range")]);
    same(counted(&app, limited.limit(0)).await, "9000000000.000000000", "0.000000000");
});

on_postgres!(a_month_that_has_no_partition_yet_gets_one, |app| {
    let calls = Calls::new(&app, json!([{"metric": "requests", "amount": "10", "window": "total"}])).await;
    app.clock.advance(chrono::TimeDelta::days(900));
    let id = calls.open(json!({"model": "m"})).await;
    calls.settle(&id, json!({"input_tokens": 1})).await;
    assert_eq!(service::db::make_partitions(&app.system).await.unwrap(), 0, "the year ahead is there, too");
    // A gap is mended as well as an end.
    let drop = "DROP TABLE usage_event_202908";
    app.system.db.writer.execute_unprepared(drop).await.unwrap();
    app.clock.advance(chrono::TimeDelta::days(40));
    let id = calls.open(json!({"model": "m"})).await;
    calls.settle(&id, json!({"input_tokens": 1})).await;
    let rows = app.system.db.reader.query_all_raw(sea_orm::Statement::from_string(
        sea_orm::DatabaseBackend::Postgres,
        "SELECT DISTINCT tableoid::regclass::text AS part FROM usage_event",
    ));
    let parts: Vec<String> = rows.await.unwrap().iter().map(|row| row.try_get("", "part").unwrap()).collect();
    assert!(parts.contains(&"usage_event_202908".to_owned()), "{parts:?}");
});

on_both!(what_is_wrong_with_a_settlement_is_told_with_its_place, |app| {
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "100", "window": "month"}])).await;
    let dear = json!({"model": "dear", "kind": "per_token", "input": "9000000000", "output": "1"});
    app.owner().post(&format!("{BASE}/prices"), dear).await.created();
    price(&app, "m", "1").await;
    let id = calls.open(json!({"model": "m", "input_tokens": 5})).await;
    let settle = async |mut body: Value| {
        body["reservation_id"] = json!(id);
        calls.gateway.post("/v1/settle", body).await
    };
    settle(json!({})).await.invalid(&[("/usage", "required")]);
    settle(json!({"usage": {"input_tokens": -1}})).await.invalid(&[("/usage/input_tokens", "out_of_range")]);
    settle(json!({"usage": {}, "latency_ms": -1})).await.invalid(&[("/latency_ms", "out_of_range")]);
    settle(json!({"usage": {}, "attempts": []}))
        .await
        .invalid(&[("/attempts", "exclusive"), ("/attempts", "required")]);
    settle(json!({"attempts": vec![json!({"usage": {}}); 33]})).await.invalid(&[("/attempts", "too_many")]);
    settle(json!({"attempts": [{"usage": {}}, {"usage": {}, "model": ""}]}))
        .await
        .invalid(&[("/attempts/1/model", "required")]);
    settle(json!({"usage": {}, "nonsense": 1})).await.problem(400, "unknown_field");
    let much = json!({"model": "dear", "usage": {"input_tokens": 1_000_000_000_000_i64}});
    settle(much).await.invalid(&[("/usage", "out_of_range")]);
    same(counted(&app, calls.limit(0)).await, "0.000000000", "1.000000000");
    settle(json!({"status": "aborted"})).await.ok();
    same(counted(&app, calls.limit(0)).await, "1.000000000", "0.000000000");
});

//! What fits is allowed and what does not is denied, to the unit, at any concurrency.

use super::*;
use futures_util::future::join_all;
use std::time::Duration;
use tests::{Backend, on_both};

on_both!(a_budget_is_spent_to_the_cent_and_not_further, |app| {
    price(&app, "m", "0.01").await;
    let b = app.second_instance().await;
    for upstream in [0, 100, 1000] {
        let budget = json!([{"metric": "cost", "amount": "1.00", "window": "month"}]);
        let calls = Calls::new(&app, budget).await;
        let gateways = [calls.gateway.clone(), b.client(calls.gateway.bearer().unwrap())];
        let one = |n: usize| {
            let calls = Calls { gateway: gateways[n % 2].clone(), key: calls.key.clone() };
            async move {
                let reply = calls.ask(json!({"model": "m", "input_tokens": 10})).await;
                if reply["allowed"] != true {
                    denied(&reply, &["budget_exceeded"]);
                    return 0;
                }
                tokio::time::sleep(Duration::from_millis(upstream)).await;
                calls.settle(reply["reservation_id"].as_str().unwrap(), json!({"input_tokens": 3})).await;
                1
            }
        };
        let allowed: i32 = join_all((0..400).map(one)).await.into_iter().sum();
        assert_eq!(allowed, 100, "upstream takes {upstream} ms");
        same(counted(&app, calls.limit(0)).await, "1.000000000", "0.000000000");
        let usage = app.owner().get(&format!("{BASE}/keys/{}/usage", calls.id())).await.ok();
        assert_eq!(usage["costs"][0]["cost"], "1.000000000", "{usage}");
    }
});

on_both!(a_denial_consumes_nothing, |app| {
    let both = json!([{"metric": "requests", "amount": "5", "window": "day"},
        {"metric": "tokens", "amount": "100", "window": "day"}]);
    let calls = Calls::new(&app, both).await;
    for _ in 0..20 {
        let denial = calls.ask(json!({"model": "m", "input_tokens": 101, "max_output_tokens": 0})).await;
        denied(&denial, &["limit_exceeded"]);
        assert_eq!(denial["reasons"][0]["limit_id"], calls.key["limits"][1]["id"]);
    }
    for _ in 0..5 {
        calls.open(json!({"model": "m", "input_tokens": 1, "max_output_tokens": 0})).await;
    }
    let denial = calls.ask(json!({"model": "m", "input_tokens": 96, "max_output_tokens": 0})).await;
    denied(&denial, &["limit_exceeded", "limit_exceeded"]);
    same(counted(&app, calls.limit(0)).await, "0", "5");
    same(counted(&app, calls.limit(1)).await, "0", "5");
});

on_both!(open_calls_are_limited_and_free_themselves, |app| {
    let calls = Calls::new(&app, json!([{"metric": "concurrency", "amount": "3", "window": "total"}])).await;
    let ask = json!({"model": "m"});
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(calls.open(ask.clone()).await);
    }
    let denial = calls.ask(ask.clone()).await;
    denied(&denial, &["limit_exceeded"]);
    assert_eq!(denial["reasons"][0]["retry_after"], 1);
    calls.settle(&open[0], json!({"input_tokens": 1})).await;
    calls.void(&open[1]).await;
    open.push(calls.open(ask.clone()).await);
    open.push(calls.open(ask.clone()).await);
    denied(&calls.ask(ask.clone()).await, &["limit_exceeded"]);
    // Nobody has heard of the three: at their end their places are free.
    app.clock.advance(chrono::TimeDelta::seconds(600));
    for _ in 0..3 {
        calls.open(ask.clone()).await;
    }
    denied(&calls.ask(ask.clone()).await, &["limit_exceeded"]);
    same(counted(&app, calls.limit(0)).await, "0", "3");
    // One that is settled late frees no place a second time.
    calls.settle(&open[2], json!({"input_tokens": 1})).await;
    denied(&calls.ask(ask).await, &["limit_exceeded"]);
});

on_both!(a_cap_on_one_call_counts_nothing, |app| {
    price(&app, "m", "0.50").await;
    let caps = json!([{"metric": "input_tokens", "amount": "100", "window": "request"},
        {"metric": "output_tokens", "amount": "50", "window": "request"},
        {"metric": "cost", "amount": "0.49", "window": "request", "mode": "warn"}]);
    let calls = Calls::new(&app, caps).await;
    for _ in 0..5 {
        let reply = calls.ask(json!({"model": "m", "input_tokens": 100, "max_output_tokens": 50})).await;
        let told = reply["limits"].as_array().unwrap();
        let told: Vec<_> = told.iter().map(|limit| (&limit["window"], &limit["code"])).collect();
        let (cap, warning) = (json!("request"), json!("budget_exceeded"));
        assert_eq!(told, [(&cap, &json!(null)), (&cap, &json!(null)), (&cap, &warning)], "{reply}");
    }
    for (input, output, expected) in [(101, 50, 1), (100, 51, 1), (101, 51, 2)] {
        let denial =
            calls.ask(json!({"model": "m", "input_tokens": input, "max_output_tokens": output})).await;
        denied(&denial, &vec!["limit_exceeded"; expected]);
        assert_eq!(denial["reasons"][0]["retry_after"], Value::Null, "waiting does not help");
        assert_eq!(denial["client_response"]["headers"]["x-should-retry"], "false");
    }
});

on_both!(windows_begin_anew_by_the_clock_alone, |app| {
    app.owner().patch(BASE, json!({"release_after": null})).await.ok();
    // Sessions do not last that long.
    let permissions = json!({"name": "reader", "permissions": ["limits:read", "keys:write", "teams:write"]});
    let made = app.owner().post(&format!("{BASE}/admin-tokens"), permissions).await.created();
    let admin = app.client(made["secret"].as_str().unwrap());
    let calls = Calls::new(&app, json!([])).await;
    for (window, amount, step) in [
        ("minute", "2", chrono::TimeDelta::minutes(1)),
        ("hour", "2", chrono::TimeDelta::hours(1)),
        ("day", "2", chrono::TimeDelta::hours(14)),
        ("week", "2", chrono::TimeDelta::hours(56)),
        ("month", "2", chrono::TimeDelta::days(14)),
        ("quarter", "2", chrono::TimeDelta::days(65)),
        ("year", "2", chrono::TimeDelta::days(290)),
    ] {
        let limits = json!([{"metric": "requests", "amount": amount, "window": window}]);
        let body = json!({"name": window, "team_id": calls.key["team_id"], "limits": limits});
        let calls = calls.with(&admin.post(&format!("{BASE}/keys"), body).await.created());
        let old = calls.open(json!({"model": "m"})).await;
        calls.open(json!({"model": "m"})).await;
        let denial = calls.ask(json!({"model": "m"})).await;
        denied(&denial, &["limit_exceeded"]);
        let resets: chrono::DateTime<chrono::Utc> =
            denial["reasons"][0]["resets_at"].as_str().unwrap().parse().unwrap();
        assert!(
            resets > app.clock.now() && resets <= app.clock.now() + step + chrono::TimeDelta::days(31),
            "{window}"
        );
        let wait = resets - app.clock.now();
        assert_eq!(
            denial["reasons"][0]["retry_after"],
            json!((wait.num_milliseconds() + 999) / 1000),
            "{window}"
        );
        app.clock.advance(wait - chrono::TimeDelta::microseconds(1));
        denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
        app.clock.advance(chrono::TimeDelta::microseconds(1));
        calls.open(json!({"model": "m"})).await;
        // What was authorized before the edge is counted before the edge, whenever it is settled.
        let settled =
            calls.gateway.post("/v1/settle", json!({"reservation_id": old, "usage": {}})).await.ok();
        assert_eq!(settled["state"], "settled");
        let page = admin.get(&format!("{BASE}/limits/{}/windows", calls.limit(0))).await.ok();
        assert_eq!((&page["items"][0]["used"], &page["items"][0]["held"]), (&json!("0"), &json!("1")));
        assert_eq!(page["items"][1]["used"], "1", "{window}: {page}");
    }
});

on_both!(a_clock_that_steps_back_opens_no_old_window, |app| {
    let calls = Calls::new(&app, json!([{"metric": "requests", "amount": "1", "window": "minute"}])).await;
    calls.open(json!({"model": "m"})).await;
    app.clock.advance(chrono::TimeDelta::seconds(60));
    calls.open(json!({"model": "m"})).await;
    app.clock.advance(chrono::TimeDelta::seconds(-60));
    denied(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    let page = app.owner().get(&format!("{BASE}/limits/{}/windows", calls.limit(0))).await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 2, "{page}");
});

on_both!(an_amount_that_is_lowered_holds_from_then_on, |app| {
    let calls = Calls::new(&app, json!([{"metric": "requests", "amount": "100", "window": "day"}])).await;
    let b = app.second_instance().await;
    let elsewhere = Calls { gateway: b.client(calls.gateway.bearer().unwrap()), key: calls.key.clone() };
    let path = format!("{BASE}/limits/{}", calls.limit(0));
    let rounds = if app.backend == Backend::Postgres { 20 } else { 8 };
    for round in 1..=rounds {
        let amount = (2 * round).to_string();
        let request = app.owner().request(axum::http::Method::PATCH, &path);
        request.header("if-match", format!("\"{round}\"")).json(&json!({"amount": amount})).await.ok();
        let asks = (0..10).map(|n| {
            if n % 2 == 0 { calls.ask(json!({"model": "m"})) } else { elsewhere.ask(json!({"model": "m"})) }
        });
        let allowed = join_all(asks).await.iter().filter(|reply| reply["allowed"] == true).count();
        assert_eq!(allowed, 2, "round {round}");
    }
});

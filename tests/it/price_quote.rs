//! What a call costs: line by line, by every provider's usage object, and what happens without a price.

use crate::prices::{PLATFORM, PRICES};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{TestApp, on_both};

const ORGANIZATION: &str = "/v1/organizations/default";
const QUOTE: &str = "/v1/organizations/default/prices/quote";

async fn quote(app: &TestApp, call: Value) -> Value {
    app.owner().post(QUOTE, call).await.ok()
}

async fn policy(app: &TestApp, word: &str) {
    app.owner().patch(ORGANIZATION, json!({"unpriced_policy": word})).await.ok();
}

on_both!(a_bill_can_be_checked_by_hand, |app| {
    let price = json!({"model": "gpt-4o", "kind": "per_token", "input": "2.5", "cache_read": "1.25", "output": "10",
        "priority": {"input": "4.25"}, "multipliers": {"eu": "1.1"}, "markup_bps": 1000});
    let price = app.owner().post(PRICES, price).await.created();
    let call = json!({"model": "gpt-4o", "service_tier": "priority", "region": "eu", "speed": "fast",
        "usage": {"input_tokens": 1201, "cache_read_tokens": 800, "output_tokens": 350, "reasoning_tokens": 7}});
    let mut bill = quote(&app, call).await;
    assert_eq!(bill["resolution"]["price"], price);
    bill.as_object_mut().unwrap().remove("resolution");
    let line = |component: &str, quantity: u64, rate: &str, amount: &str, of: &str, tier: &str| {
        json!({"component": component, "quantity": quantity, "rate": rate, "per": 1_000_000, "amount": amount,
            "rate_from": {"component": of, "service_tier": tier}})
    };
    // 0.00510425 + 0.001 + 0.0035 + 0.00007 = 0.00967425; × 1.1 = 0.010641675; × 1.1 = 0.0117058425.
    let expected = json!({
        "cost": "0.010641675",
        "charge": "0.011705842",
        "exact": "0.010641675",
        "currency": "USD",
        "price_id": price["id"],
        "price_source": "organization_model",
        "provider_stated_cost": null,
        "priced": true,
        "usage_unclear": false,
        "usage_doubts": [],
        "unpriced": [],
        "lines": [
            line("input", 1201, "4.25", "0.00510425", "input", "priority"),
            line("cache_read", 800, "1.25", "0.001", "cache_read", "standard"),
            line("output", 350, "10", "0.0035", "output", "standard"),
            line("reasoning", 7, "10", "0.00007", "output", "standard"),
        ],
        "tier": null,
        "multipliers": [{"of": "region", "name": "eu", "factor": "1.1"}],
        "usage": {"input_tokens": 1201, "cache_read_tokens": 800, "cache_write_tokens": 0, "cache_write_1h_tokens": 0,
            "output_tokens": 350, "reasoning_tokens": 7, "audio_input_tokens": 0, "audio_output_tokens": 0,
            "image_input_tokens": 0, "image_output_tokens": 0, "requests": 1, "images": 0, "seconds": 0, "characters": 0,
            "cache_read_audio_tokens": 0, "web_searches": 0, "code_executions": 0},
        "format": "tollkeeper",
        "service_tier": "priority",
        "region": "eu",
        "speed": "fast",
        "advisors": [],
    });
    assert_eq!(bill, expected);
});

on_both!(every_provider_is_understood_and_no_token_is_charged_twice, |app| {
    let price = json!({"model": "m", "kind": "per_token", "input": "1", "cache_read": "0.1", "output": "10"});
    app.owner().post(PRICES, price).await.created();
    let ours =
        json!({"input_tokens": 600, "cache_read_tokens": 400, "output_tokens": 70, "reasoning_tokens": 30});
    let chat = json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
        "prompt_tokens_details": {"cached_tokens": 400}, "completion_tokens_details": {"reasoning_tokens": 30}});
    let responses = json!({"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100,
        "input_tokens_details": {"cached_tokens": 400}, "output_tokens_details": {"reasoning_tokens": 30}});
    let anthropic = json!({"input_tokens": 600, "cache_read_input_tokens": 400, "output_tokens": 100});
    let gemini = json!({"promptTokenCount": 1000, "cachedContentTokenCount": 400, "candidatesTokenCount": 70,
        "thoughtsTokenCount": 30, "totalTokenCount": 1100});
    for (format, usage) in [
        ("tollkeeper", ours),
        ("openai_chat", chat),
        ("openai_responses", responses),
        ("anthropic", anthropic),
        ("gemini", gemini),
    ] {
        let named = quote(&app, json!({"model": "m", "usage": usage, "format": format})).await;
        let told = quote(&app, json!({"model": "m", "usage": usage})).await;
        assert_eq!(named, told, "its shape tells what it is");
        assert_eq!((&named["format"], &named["cost"]), (&json!(format), &json!("0.001640000")), "{named}");
    }
});

on_both!(the_price_of_the_moment_counts, |app| {
    let price = |input: &str| json!({"model": "m", "kind": "per_token", "input": input});
    app.owner().post(PRICES, price("1")).await.created();
    app.clock.advance(TimeDelta::hours(1));
    app.owner().post(PRICES, price("2")).await.created();
    let mut later = price("3");
    later["effective_from"] = json!("2027-03-01T00:00:00Z");
    app.owner().post(PRICES, later).await.created();
    let usage = json!({"input_tokens": 1_000_000});
    for (at, cost) in [
        (Value::Null, "2.000000000"),
        (json!("2027-01-15T10:59:59.999999Z"), "1.000000000"),
        (json!("2027-03-01T00:00:00Z"), "3.000000000"),
    ] {
        assert_eq!(quote(&app, json!({"model": "m", "usage": usage, "at": at})).await["cost"], cost);
    }
    let before = json!({"model": "m", "usage": usage, "at": "2027-01-15T09:59:59.999999Z"});
    app.owner().post(QUOTE, before).await.problem(422, "price_unknown");
});

on_both!(the_whole_call_is_charged_at_one_tier, |app| {
    let price =
        json!({"model": "m", "kind": "tiered", "tiers": [{"up_to": 10, "input": "1"}, {"input": "2"}]});
    app.owner().post(PLATFORM, price).await.created();
    for (tokens, cost, up_to) in [(10, "0.000010000", json!(10)), (11, "0.000022000", Value::Null)] {
        let bill = quote(&app, json!({"model": "m", "usage": {"input_tokens": tokens}})).await;
        assert_eq!(bill["cost"], cost);
        assert_eq!(bill["tier"], json!({"by": "prompt_tokens", "size": tokens, "up_to": up_to}));
    }
});

on_both!(without_a_price_the_organization_decides, |app| {
    let call = json!({"model": "llama-9", "usage": {"input_tokens": 10}});
    let problem = app.owner().post(QUOTE, &call).await.problem(422, "price_unknown");
    assert_eq!(problem["detail"], "there is no price for \"llama-9\"");
    policy(&app, "allow").await;
    let bill = quote(&app, call.clone()).await;
    for field in ["cost", "charge", "exact", "currency", "price_id"] {
        assert_eq!(bill[field], Value::Null, "{field}");
    }
    assert_eq!((&bill["priced"], &bill["lines"]), (&json!(false), &json!([])));
    policy(&app, "default").await;
    assert_eq!(quote(&app, call.clone()).await["priced"], false, "there is no default price");
    let default = json!({"kind": "per_token", "input": "5", "output": "15"});
    app.owner().post(PLATFORM, &default).await.created();
    let bill = quote(&app, call).await;
    assert_eq!((&bill["cost"], &bill["resolution"]["step"]), (&json!("0.000050000"), &json!("default")));
});

on_both!(what_has_no_rate_is_never_free_in_silence, |app| {
    let price = json!({"model": "m", "kind": "per_token", "output": "0"});
    app.owner().post(PRICES, price).await.created();
    let call =
        json!({"model": "m", "usage": {"input_tokens": 10, "audio_input_tokens": 1, "output_tokens": 10}});
    let problem = app.owner().post(QUOTE, &call).await.problem(422, "price_unknown");
    assert_eq!(problem["detail"], "there is no price for \"input, audio_input of m\"");
    for word in ["allow", "default"] {
        policy(&app, word).await;
        let bill = quote(&app, call.clone()).await;
        assert_eq!(bill["unpriced"], json!(["input", "audio_input"]));
        assert_eq!(
            (&bill["priced"], &bill["cost"], &bill["charge"]),
            (&json!(false), &Value::Null, &Value::Null)
        );
        assert_eq!(bill["lines"][0]["component"], "output");
    }
    policy(&app, "refuse").await;
    let bill = quote(&app, json!({"model": "m", "usage": {"output_tokens": 10}})).await;
    assert_eq!((&bill["priced"], &bill["cost"]), (&json!(true), &json!("0.000000000")), "0 is free");
});

on_both!(what_is_no_call_is_refused_with_every_field, |app| {
    let owner = app.owner();
    let ask = async |call: Value| owner.post(QUOTE, call).await;
    ask(json!({})).await.invalid(&[("/model", "required")]);
    ask(json!({"model": "m"})).await.invalid(&[("/usage", "required")]);
    ask(json!({"model": "m", "usage": {}, "price": 1})).await.problem(400, "unknown_field");
    let wrong = json!({"model": "", "provider": "Open AI", "at": "1999-01-01T00:00:00Z", "region": "EU!", "speed": "",
        "usage": {"input_tokens": -1}});
    let faults: Vec<Value> = ask(wrong).await.problem(422, "invalid")["errors"].as_array().unwrap().clone();
    let pointers: Vec<&str> = faults.iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/model", "/provider", "/at", "/region", "/speed", "/usage/input_tokens"]);
    ask(json!({"model": "x".repeat(100_000), "usage": {}})).await.invalid(&[("/model", "too_long")]);
    for (field, value) in [
        ("model", json!(7)),
        ("provider", json!(7)),
        ("at", json!("soon")),
        ("format", json!("llama")),
        ("service_tier", json!("urgent")),
        ("region", json!([])),
        ("speed", json!({})),
    ] {
        let mut call = json!({"model": "m", "usage": {}});
        call[field] = value;
        ask(call).await.invalid(&[(&format!("/{field}"), "invalid_value")]);
    }
    for usage in [
        json!(null),
        json!([]),
        json!("1"),
        json!(1),
        json!({"input_tokens": 0.5}),
        json!({"input_tokens": "1"}),
        json!({"input_tokens": 1_000_000_000_001_u64}),
    ] {
        let reply = ask(json!({"model": "m", "usage": usage})).await;
        let fault = reply.problem(422, "invalid")["errors"][0].clone();
        assert!(fault["pointer"].as_str().unwrap().starts_with("/usage"), "{usage}: {fault}");
    }
    let unknown = ask(json!({"model": "", "usage": {"tokens_of_input": 1, "output_tokens": 1}})).await;
    assert_eq!(unknown.problem(400, "unknown_field")["errors"][0]["pointer"], "/usage/tokens_of_input");
    app.anonymous().post(QUOTE, json!({})).await.problem(401, "unauthenticated");
    app.other_organization("acme").await.post(QUOTE, json!({})).await.problem(404, "not_found");
    app.viewer()
        .await
        .post(QUOTE, json!({"model": "", "usage": {}}))
        .await
        .invalid(&[("/model", "required")]);
});

on_both!(a_cost_that_is_too_large_is_refused, |app| {
    let price =
        json!({"model": "m", "kind": "per_token", "input": "9000000000", "multipliers": {"eu": "1000"}});
    app.owner().post(PRICES, price).await.created();
    let call = json!({"model": "m", "usage": {"input_tokens": 1_000_000_000_000_u64}, "region": "eu"});
    app.owner().post(QUOTE, call).await.invalid(&[("/usage", "out_of_range")]);
});

on_both!(a_question_changes_nothing, |app| {
    app.owner().post(PRICES, json!({"model": "m", "kind": "flat"})).await.created();
    let state = async || {
        let audit = app.owner().get(&format!("{ORGANIZATION}/audit-events")).await.ok();
        (audit, app.owner().get(PRICES).await.ok())
    };
    let before = state().await;
    let call = json!({"model": "m", "usage": {}});
    let first = app.owner().post(QUOTE, &call).idempotency_key("same").await;
    assert!(first.headers.get("idempotent-replayed").is_none());
    assert_eq!(first.ok()["cost"], "0.000000000");
    app.owner().post(QUOTE, &call).idempotency_key("same").await.ok();
    assert_eq!(state().await, before);
});

on_both!(the_example_of_the_documentation_holds, |app| {
    let price = json!({"model": "gpt-4o", "kind": "per_token", "input": "2.5", "cache_read": "1.25", "output": "10",
        "multipliers": {"eu": "1.1"}, "markup_bps": 1000});
    app.owner().post(PRICES, price).await.created();
    let page = include_str!("../../docs/prices.md");
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let bill = quote(&app, serde_json::from_str(example).unwrap()).await;
    for field in ["cost", "charge"] {
        let figure = bill[field].as_str().unwrap();
        assert!(page.contains(&format!("`{field}` | | | {figure} |")), "{field} {figure}");
    }
    for line in bill["lines"].as_array().unwrap() {
        let (rate, amount) = (line["rate"].as_str().unwrap(), line["amount"].as_str().unwrap());
        let row = format!("{} | {rate} | {amount} |", line["quantity"]);
        assert!(page.contains(&row), "{row}");
    }
});

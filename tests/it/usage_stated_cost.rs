//! What a provider says that a call costs: kept beside ours, and charged where no price is known.

use crate::metering::{BASE, Calls, counted, same};
use chrono::TimeDelta;
use serde_json::{Value, json};
use service::{Ctx, scope::Scope, usage::verify_rollups};
use tests::{TestApp, on_both};

/// An object as OpenRouter has answered, with what it says of the cost.
fn stating(more: Value) -> Value {
    let mut object = json!({"prompt_tokens": 550, "completion_tokens": 15, "total_tokens": 565,
        "prompt_tokens_details": {"cached_tokens": 0}, "is_byok": false});
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

/// A budget of 2 dollars a month; a call of `m` holds 0.5.
async fn budget(app: &TestApp) -> Calls {
    let tokens = json!({"model": "m", "kind": "per_token", "input": "1000", "output": "1000"});
    app.owner().post(&format!("{BASE}/prices"), tokens).await.created();
    Calls::new(app, json!([{"metric": "cost", "amount": "2", "window": "month"}])).await
}

fn call() -> Value {
    json!({"model": "m", "input_tokens": 300, "max_output_tokens": 200})
}

/// Settles a call that another model has served, twice; its attempt and its event.
async fn settle(app: &TestApp, calls: &Calls, model: &str, usage: Value) -> (Value, Value) {
    let id = calls.open(call()).await;
    let body = json!({"reservation_id": id, "model": model, "usage": usage});
    let settled = calls.gateway.post("/v1/settle", &body).await.ok();
    assert_eq!(calls.gateway.post("/v1/settle", &body).await.ok(), settled, "again");
    let attempt = settled["attempts"][0].clone();
    let event = format!("{BASE}/usage/events/{}", attempt["event_id"].as_str().unwrap());
    (attempt, app.owner().get(&event).await.ok())
}

async fn quote(app: &TestApp, model: &str, usage: Value) -> Value {
    let body = json!({"model": model, "usage": usage});
    app.owner().post(&format!("{BASE}/prices/quote"), body).await.ok()
}

/// What is charged, what is stated, and where the former comes from.
fn told(event: &Value) -> [Value; 4] {
    ["cost", "provider_stated_cost", "price_source", "priced"].map(|field| event[field].clone())
}

fn charged(cost: &str) -> [Value; 4] {
    [json!(cost), json!(cost), json!("provider_stated"), json!(true)]
}

on_both!(a_stated_cost_is_charged_where_no_price_is_known, |app| {
    let calls = budget(&app).await;
    let usage = stating(json!({"cost": 0.001_875, "cost_details": {"upstream_inference_cost": 0.001_875}}));
    let (attempt, event) = settle(&app, &calls, "z-ai/unheard-of", usage.clone()).await;
    assert_eq!(told(&event), charged("0.001875000"));
    assert_eq!(
        (&event["currency"], &event["price_id"], &event["lines"]),
        (&json!("USD"), &Value::Null, &json!([]))
    );
    assert_eq!((&attempt["estimated"], &attempt["price_source"]), (&json!(false), &json!("provider_stated")));
    // The limit is charged that, and not what the call held.
    same(counted(&app, calls.limit(0)).await, "0.001875000", "0.000000000");
    let bill = quote(&app, "z-ai/unheard-of", usage.clone()).await;
    assert_eq!(told(&bill), charged("0.001875000"));
    assert_eq!((&bill["charge"], &bill["exact"]), (&json!("0.001875000"), &json!("0.001875")));
    let totals = app.owner().get(&format!("{}/usage", crate::keys::path(&calls.key))).await.ok();
    assert_eq!(totals["costs"], json!([{"currency": "USD", "cost": "0.001875000"}]));
    assert_eq!((&totals["unpriced_events"], &totals["estimated_events"]), (&json!(0), &json!(0)));
    // A price that is known is charged, and what is stated is kept beside it.
    let (_, event) = settle(&app, &calls, "m", usage.clone()).await;
    let beside = [json!("0.565000000"), json!("0.001875000"), json!("organization_model"), json!(true)];
    assert_eq!(told(&event), beside);
    assert_eq!(told(&quote(&app, "m", usage).await), beside);
    let page = app.owner().get(&format!("{BASE}/usage/events?model=m")).await.ok();
    assert_eq!(page["items"][0]["provider_stated_cost"], "0.001875000");
    let begin = "2027-01-15T00:00:00Z".parse().unwrap();
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let check = verify_rollups(&ctx, begin, begin + TimeDelta::days(1)).await.unwrap();
    assert!(check.events == 2 && check.differences.is_empty(), "{check:?}");
});

on_both!(each_provider_states_its_cost_in_a_field_of_its_own, |app| {
    let calls = budget(&app).await;
    for (usage, cost) in [
        // As JSON writes small numbers.
        (stating(json!({"cost": 7.79e-05})), "0.000077900"),
        (stating(json!({"cost": "0.00125"})), "0.001250000"),
        // With a key of one's own the fee comes on top of what the provider charges.
        (
            stating(json!({"cost": 0.95, "is_byok": true, "cost_details": {"upstream_inference_cost": 19}})),
            "19.950000000",
        ),
        (
            stating(
                json!({"cost": 0, "is_byok": true, "cost_details": {"upstream_inference_cost": 3.253e-4}}),
            ),
            "0.000325300",
        ),
        (
            stating(json!({"cost": {"total_cost": 0.006, "currency": "USD", "request_cost": 0.005}})),
            "0.006000000",
        ),
        (stating(json!({"pydantic_ai_gateway": {"cost_estimate": 9.625_000_000_000_001e-5}})), "0.000096250"),
        (
            json!({"inputTokens": 7, "outputTokens": 78, "pydantic_ai_gateway": {"cost_estimate": 1.1e-5}}),
            "0.000011000",
        ),
        // xAI's ticks: 10^10 to the dollar, and half a billionth to the even one.
        (stating(json!({"cost_in_usd_ticks": 37_756_000})), "0.003775600"),
        (stating(json!({"cost_in_usd_ticks": 15})), "0.000000002"),
        (stating(json!({"cost_in_usd_ticks": 25})), "0.000000002"),
    ] {
        let bill = quote(&app, "unheard-of", usage.clone()).await;
        assert_eq!(told(&bill), charged(cost), "{usage}");
        let body = json!({"key_id": calls.id(), "model": "unheard-of", "usage": usage});
        let attempt = calls.gateway.post("/v1/usage", body).await.ok()["attempts"][0].clone();
        assert_eq!((&attempt["cost"], &attempt["priced"]), (&json!(cost), &json!(true)), "{usage}");
    }
});

on_both!(what_is_no_amount_is_a_doubt, |app| {
    budget(&app).await;
    let calls = Calls::new(&app, json!([])).await;
    for (usage, at) in [
        (json!({"cost": -0.5}), "/usage/cost"),
        (json!({"cost": 1_000.000_000_001}), "/usage/cost"),
        (json!({"cost": 1e300}), "/usage/cost"),
        (json!({"cost": "NaN"}), "/usage/cost"),
        (json!({"cost": [1]}), "/usage/cost"),
        (json!({"cost": {"total_cost": true}}), "/usage/cost/total_cost"),
        (json!({"cost": {"total_cost": 1, "currency": "EUR"}}), "/usage/cost/currency"),
        (json!({"cost_in_usd_ticks": -1}), "/usage/cost_in_usd_ticks"),
        (json!({"pydantic_ai_gateway": 7}), "/usage/pydantic_ai_gateway"),
    ] {
        let (attempt, event) = settle(&app, &calls, "m", stating(usage.clone())).await;
        assert_eq!(
            (&attempt["usage_unclear"], &event["provider_stated_cost"]),
            (&json!(true), &Value::Null),
            "{usage}"
        );
        let bill = quote(&app, "m", stating(usage.clone())).await;
        assert_eq!(bill["usage_doubts"][0]["pointer"], at, "{usage}");
    }
});

on_both!(a_stated_zero_is_kept_and_charges_nothing, |app| {
    app.owner().patch(BASE, json!({"unpriced_policy": "allow"})).await.ok();
    let calls = budget(&app).await;
    let (attempt, event) = settle(&app, &calls, "unheard-of", stating(json!({"cost": 0}))).await;
    // Who states it may not know either: the limit takes what the call held.
    assert_eq!((&attempt["estimated"], &attempt["priced"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&event["provider_stated_cost"], &event["price_source"]),
        (&json!("0.000000000"), &json!("none"))
    );
    same(counted(&app, calls.limit(0)).await, "0.500000000", "0.000000000");
    let bill = quote(&app, "unheard-of", stating(json!({"cost": 0.0}))).await;
    assert_eq!(told(&bill), [Value::Null, json!("0.000000000"), json!("none"), json!(false)]);
    // A key of one's own, and nobody says what the provider charges: the fee is not the cost.
    let bill = quote(&app, "unheard-of", stating(json!({"cost": 0.5, "is_byok": true}))).await;
    assert_eq!((&bill["provider_stated_cost"], &bill["priced"]), (&Value::Null, &json!(false)));
});

on_both!(a_guess_that_is_allowed_is_a_price, |app| {
    app.with_catalogue().await;
    let guess = "claude-opus-99";
    let stated = stating(json!({"cost": 0.25}));
    assert_eq!(
        told(&quote(&app, guess, stated.clone()).await),
        charged("0.250000000"),
        "who refuses never guesses"
    );
    for (policy, source) in [("flag", "family"), ("allow", "family"), ("never", "provider_stated")] {
        app.owner().patch(BASE, json!({"unpriced_policy": "allow", "price_guess": policy})).await.ok();
        let bill = quote(&app, guess, stated.clone()).await;
        assert_eq!((&bill["price_source"], &bill["priced"]), (&json!(source), &json!(true)), "{policy}");
        assert_eq!(bill["provider_stated_cost"], "0.250000000", "{policy}");
    }
});

on_both!(a_stated_cost_in_another_currency_than_the_limit_is_charged_the_hold, |app| {
    let euros = json!({"model": "e", "kind": "per_request", "per_request": "0.5", "currency": "EUR"});
    app.owner().post(&format!("{BASE}/prices"), euros).await.created();
    let limit = json!([{"metric": "cost", "amount": "2", "window": "month", "currency": "EUR"}]);
    let calls = Calls::new(&app, limit).await;
    let id = calls.open(json!({"model": "e"})).await;
    let body = json!({"reservation_id": id, "model": "unheard-of", "usage": stating(json!({"cost": 0.25}))});
    let attempt = calls.gateway.post("/v1/settle", body).await.ok()["attempts"][0].clone();
    let told = ["cost", "currency", "priced", "estimated"].map(|field| attempt[field].clone());
    assert_eq!(told, [json!("0.250000000"), json!("USD"), json!(false), json!(true)]);
    same(counted(&app, calls.limit(0)).await, "0.500000000", "0.000000000");
    let event = format!("{BASE}/usage/events/{}", attempt["event_id"].as_str().unwrap());
    assert_eq!(app.owner().get(&event).await.ok()["provider_stated_cost"], "0.250000000");
});

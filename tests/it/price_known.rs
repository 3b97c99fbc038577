//! A price is known, or says that it is a guess: prices of the built-in catalogue and of imported lists, in the cases that
//! people have reported, and what an organization decides about guesses.

use crate::prices::{PLATFORM, PRICES};
use serde_json::{Value, json};
use tests::{TestApp, on_both};

const BASE: &str = "/v1/organizations/default";
const QUOTE: &str = "/v1/organizations/default/prices/quote";

/// A million tokens of each kind.
fn chat() -> Value {
    json!({"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000, "total_tokens": 2_000_000})
}

async fn quote(app: &TestApp, call: Value) -> Value {
    app.owner().post(QUOTE, call).await.ok()
}

async fn unknown(app: &TestApp, call: Value) {
    app.owner().post(QUOTE, call).await.problem(422, "price_unknown");
}

async fn set(app: &TestApp, settings: Value) {
    app.owner().patch(BASE, settings).await.ok();
}

// Case family-gpt-oss.
on_both!(open_model_of_a_vendor_is_not_its_flagship, |app| {
    app.with_catalogue().await;
    let call = json!({"model": "openai/gpt-oss-120b", "usage": chat(), "provider": "groq"});
    unknown(&app, call.clone()).await;
    set(&app, json!({"unpriced_policy": "allow"})).await;
    let bill = quote(&app, call).await;
    assert_eq!((&bill["priced"], &bill["price_source"]), (&json!(false), &json!("none")));
});

// Case family-suffix-beta.
on_both!(beta_variant_costs_as_much_as_its_model, |app| {
    app.with_catalogue().await;
    let bill = quote(&app, json!({"model": "anthropic/claude-opus-4.5:beta", "usage": chat()})).await;
    assert_eq!(bill["cost"], "30.000000000");
    assert_eq!(bill["price_source"], "platform_provider_model", "another spelling is no guess");
    assert_eq!(bill["resolution"]["price"]["model"], "claude-opus-4-5");
});

// Case family-fine-tune.
on_both!(fine_tuned_model_has_its_own_price, |app| {
    app.with_catalogue().await;
    let bill = quote(&app, json!({"model": "ft:gpt-4o-mini-2024-07-18:acme::abc123", "usage": chat()})).await;
    assert_eq!((&bill["cost"], &bill["price_source"]), (&json!("1.500000000"), &json!("platform_glob")));
    set(&app, json!({"unpriced_policy": "allow"})).await;
    let other = quote(&app, json!({"model": "ft:o3-mini:acme::abc123", "usage": chat()})).await;
    assert_eq!(other["price_source"], "none", "nobody says what it costs");
});

// Case flex-above-272k.
on_both!(flex_scales_above_a_context_tier, |app| {
    app.with_catalogue().await;
    let call = |tier: &str| {
        let usage = json!({"prompt_tokens": 300_000, "completion_tokens": 1000, "total_tokens": 301_000});
        json!({"model": "gpt-5.5", "usage": usage, "service_tier": tier})
    };
    assert_eq!(quote(&app, call("flex")).await["cost"], "1.522500000");
    assert_eq!(quote(&app, call("batch")).await["cost"], "1.522500000");
    assert_eq!(quote(&app, call("standard")).await["cost"], "3.045000000");
    unknown(&app, call("priority")).await;
});

// Case opus-4-8-fast.
on_both!(fast_mode_costs_what_the_later_list_says, |app| {
    app.with_catalogue().await;
    for (model, cost) in [
        ("claude-opus-4-8", "10.000000000"),
        ("claude-opus-4-7", "30.000000000"),
        ("claude-opus-5", "10.000000000"),
    ] {
        let usage = json!({"input_tokens": 1_000_000, "output_tokens": 0, "cache_read_input_tokens": 0, "speed": "fast"});
        let bill = quote(&app, json!({"model": model, "usage": usage})).await;
        assert_eq!(bill["cost"], cost, "{model}");
    }
});

// Case litellm-off-peak.
on_both!(prices_by_the_hour_are_kept_and_charged, |app| {
    let off_peak = json!({"hours_utc": "10:00-01:00", "input_cost_per_token": 2.2e-07, "output_cost_per_token": 6.6e-07});
    let list = json!({"x-offpeak": {"litellm_provider": "deepseek", "mode": "chat", "input_cost_per_token": 4.4e-07,
        "output_cost_per_token": 1.32e-06, "off_peak_pricing": off_peak}});
    let report = app.owner().post(&format!("{PRICES}/import?format=litellm"), list).await.ok();
    assert_eq!(
        (&report["entries"][0]["outcome"], &report["entries"][0]["notes"]),
        (&json!("added"), &json!([]))
    );
    for (at, cost) in [
        ("2027-06-01T09:59:59Z", "1.760000000"),
        ("2027-06-01T10:00:00Z", "0.880000000"),
        ("2027-06-02T00:59:00Z", "0.880000000"),
        ("2027-06-02T01:00:00Z", "1.760000000"),
    ] {
        let bill = quote(&app, json!({"model": "x-offpeak", "usage": chat(), "at": at})).await;
        assert_eq!(bill["cost"], cost, "{at}");
    }
    let price =
        |off_peak: Value| json!({"model": "y", "kind": "per_token", "input": "1", "off_peak": off_peak});
    let wrong = app.owner().post(PRICES, price(json!({"hours_utc": "24:00-1:00", "input": "1"})));
    wrong.await.invalid(&[("/off_peak/hours_utc", "invalid_format")]);
    let wrong = app.owner().post(PRICES, price(json!({"hours_utc": "01:00-02:00"})));
    wrong.await.invalid(&[("/off_peak", "required")]);
    let made = app.owner().post(PRICES, price(json!({"hours_utc": "16:30-00:30", "input": "0.5"})));
    assert_eq!(made.await.created()["off_peak"]["hours_utc"], "16:30-00:30");
});

on_both!(regional_profiles_carry_their_uplift, |app| {
    app.with_catalogue().await;
    for (model, cost) in [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "19.800000000"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "19.800000000"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "18.000000000"),
        ("bedrock/eu.anthropic.claude-opus-4-8-v1:0", "33.000000000"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/jp.anthropic.claude-haiku-4-5-20251001-v1:0",
            "6.600000000",
        ),
    ] {
        let bill = quote(&app, json!({"model": model, "usage": chat()})).await;
        assert_eq!(
            (&bill["cost"], &bill["price_source"]),
            (&json!(cost), &json!("platform_glob")),
            "{model}"
        );
    }
});

on_both!(guess_never_leaves_the_provider_that_is_stated, |app| {
    app.with_catalogue().await;
    set(&app, json!({"unpriced_policy": "allow"})).await;
    for provider in ["groq", "azure", "together", "openrouter"] {
        for model in ["gpt-4o", "gpt-4o-2099-01-01", "claude-opus-99", "gemini-9-pro"] {
            let own = quote(&app, json!({"model": model, "provider": provider, "usage": chat()})).await;
            assert_eq!(own["price_source"], "none", "{model} at {provider}");
            let named = quote(&app, json!({"model": format!("{provider}/{model}"), "usage": chat()})).await;
            assert_eq!(named["price_source"], "none", "{provider}/{model}");
        }
    }
    let gemini = quote(&app, json!({"model": "gemini-2.5-pro", "provider": "gemini", "usage": chat()})).await;
    assert_eq!(gemini["resolution"]["price"]["provider"], "vertex_ai", "both are Google's");
});

on_both!(an_organization_decides_about_guesses, |app| {
    app.with_catalogue().await;
    let call = json!({"model": "claude-opus-99", "usage": chat()});
    // Who refuses calls without a price gets no guess, whatever else is decided.
    for guess in ["flag", "allow", "never"] {
        set(&app, json!({"price_guess": guess})).await;
        unknown(&app, call.clone()).await;
    }
    for (policy, guess, source) in
        [("allow", "flag", "family"), ("allow", "allow", "family"), ("allow", "never", "none")]
    {
        set(&app, json!({"unpriced_policy": policy, "price_guess": guess})).await;
        assert_eq!(app.owner().get(BASE).await.ok()["price_guess"], guess);
        assert_eq!(quote(&app, call.clone()).await["price_source"], source, "{policy}, {guess}");
    }
    let told = app.owner().get(&format!("{PRICES}/resolve?model=claude-opus-99")).await.ok();
    assert_eq!(told["losers"][0]["reason"], "a guess, and price_guess is never");
    let wrong = app.owner().patch(BASE, json!({"price_guess": "maybe"}));
    wrong.await.invalid(&[("/price_guess", "invalid_value")]);
    let wrong = app.owner().patch(BASE, json!({"price_guess": null}));
    wrong.await.invalid(&[("/price_guess", "not_nullable")]);
});

on_both!(tiers_by_total_tokens_count_input_and_output, |app| {
    let tiers = json!([{"up_to": 100, "input": "1", "output": "1"}, {"input": "2", "output": "2"}]);
    let price = json!({"model": "t", "kind": "tiered", "tier_by": "total_tokens", "tiers": tiers});
    app.owner().post(PRICES, price).await.created();
    let usage =
        json!({"input_tokens": 60, "cache_read_tokens": 50, "output_tokens": 40, "reasoning_tokens": 20});
    let bill = quote(&app, json!({"model": "t", "usage": usage})).await;
    assert_eq!(bill["tier"], json!({"by": "total_tokens", "size": 100, "up_to": 100}));
    let usage = json!({"input_tokens": 61, "output_tokens": 40});
    assert_eq!(quote(&app, json!({"model": "t", "usage": usage})).await["tier"]["up_to"], Value::Null);
});

on_both!(a_tier_may_end_below_its_bound, |app| {
    let price = |first: Value| json!({"model": "b", "kind": "tiered", "tiers": [first, {"input": "2"}]});
    let made = app.owner().post(PRICES, price(json!({"below": 200_000, "input": "1"}))).await.created();
    assert_eq!(made["tiers"][0], json!({"up_to": 199_999, "input": "1"}));
    for (tokens, up_to) in [(199_999, json!(199_999)), (200_000, json!(null))] {
        let bill = quote(&app, json!({"model": "b", "usage": {"input_tokens": tokens}})).await;
        assert_eq!(bill["tier"]["up_to"], up_to, "{tokens}");
    }
    let wrong = app.owner().post(PRICES, price(json!({"below": 2, "up_to": 1, "input": "1"})));
    wrong.await.invalid(&[("/tiers/0/below", "not_allowed")]);
});

on_both!(a_service_tier_without_a_price_for_a_size_is_unpriced, |app| {
    let tiers = json!([{"up_to": 100, "input": "2", "batch": {"input": "1"}}, {"input": "4"}]);
    let price = json!({"model": "s", "kind": "tiered", "tiers": tiers});
    let made = app.owner().post(PRICES, price).await.created();
    assert_eq!(made["tiers"][1]["batch"], json!({}), "it is told");
    let call = |tokens: u64, tier: &str| json!({"model": "s", "usage": {"input_tokens": tokens}, "service_tier": tier});
    assert_eq!(quote(&app, call(100, "batch")).await["cost"], "0.000100000");
    assert_eq!(quote(&app, call(101, "standard")).await["cost"], "0.000404000");
    unknown(&app, call(101, "batch")).await;
    set(&app, json!({"unpriced_policy": "allow"})).await;
    let bill = quote(&app, call(101, "batch")).await;
    assert_eq!((&bill["priced"], &bill["unpriced"]), (&json!(false), &json!(["input"])));
});

on_both!(an_event_names_the_source_of_its_price, |app| {
    app.with_catalogue().await;
    let calls = crate::metering::Calls::new(&app, json!([])).await;
    let settled = async |model: &str| {
        let id = calls.open(json!({"model": model, "input_tokens": 10, "max_output_tokens": 10})).await;
        let body = json!({"reservation_id": id, "usage": {"input_tokens": 10, "output_tokens": 10}});
        let reply = calls.gateway.post("/v1/settle", body).await.ok();
        let event = reply["attempts"][0]["event_id"].as_str().unwrap().to_owned();
        let event = app.owner().get(&format!("{BASE}/usage/events/{event}")).await.ok();
        assert_eq!(event["price_source"], reply["attempts"][0]["price_source"]);
        (event["price_source"].clone(), event["guessed"].clone())
    };
    let expected = |source: &str, guessed: bool| (json!(source), json!(guessed));
    assert_eq!(settled("gpt-4o").await, expected("platform_model", false));
    assert_eq!(settled("claude-opus-99").await, expected("none", false));
    set(&app, json!({"unpriced_policy": "allow"})).await;
    assert_eq!(settled("claude-opus-99").await, expected("family", true));
    set(&app, json!({"price_guess": "allow"})).await;
    assert_eq!(settled("claude-opus-99").await, expected("family", false));
    let own = json!({"model": "claude-opus-*", "kind": "per_token", "input": "1", "output": "1"});
    app.operator().await.post(PLATFORM, own).await.created();
    assert_eq!(settled("claude-opus-99").await, expected("platform_glob", false));
    let totals = app.owner().get(&format!("{}/usage", crate::keys::path(&calls.key))).await.ok();
    assert_eq!((&totals["events"], &totals["guessed_events"]), (&json!(5), &json!(1)));
});

on_both!(a_budget_that_is_fine_shows_no_code, |app| {
    let limits = json!([{"metric": "cost", "amount": "5", "window": "month"}, {"metric": "tokens", "amount": "9", "window": "day"}]);
    let calls = crate::metering::Calls::new(&app, limits).await;
    let shown = app.owner().get(&format!("{}/limits", crate::keys::path(&calls.key))).await.ok();
    let limits = shown["items"].as_array().unwrap();
    assert_eq!(limits.len(), 2);
    for limit in limits {
        assert_eq!(limit["code"], Value::Null, "{limit}");
    }
});

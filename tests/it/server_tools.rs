//! Web searches, executions of code and audio that was read from a cache, from the usage object to the limit: read, priced,
//! counted in events and sums, and charged to limits of cost.

use crate::metering::{BASE, Calls, counted, price as by_request, same};
use serde_json::{Value, json};
use service::{Ctx, scope::Scope};
use tests::{TestApp, on_both};

const IMPORT: &str = "/v1/organizations/default/prices/import";

async fn price(app: &TestApp, body: Value) -> Value {
    app.owner().post(&format!("{BASE}/prices"), body).await.created()
}

async fn quote(app: &TestApp, body: Value) -> Value {
    app.owner().post(&format!("{BASE}/prices/quote"), body).await.ok()
}

fn claude() -> Value {
    json!({"model": "claude", "kind": "per_token", "input": "3", "output": "15", "per_web_search": "0.01",
        "per_code_execution": "0.002"})
}

/// A message of Anthropic's with this many searches.
fn searched(searches: u64) -> Value {
    json!({"input_tokens": 1000, "output_tokens": 100, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
        "server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 3}, "service_tier": "standard"})
}

// Case anthropic-web-search.
on_both!(the_catalogue_charges_for_web_searches, |app| {
    app.with_catalogue().await;
    let bill = quote(&app, json!({"model": "claude-sonnet-4-5", "usage": searched(10)})).await;
    assert_eq!((&bill["cost"], &bill["priced"]), (&json!("0.104500000"), &json!(true)), "{bill}");
    assert_eq!(
        (&bill["usage"]["web_searches"], &bill["lines"][2]["component"]),
        (&json!(10), &json!("web_search"))
    );
    // Grounding of Gemini 2.5 is charged by the prompt: searches that somebody counts have no rate.
    let grounded = json!({"model": "gemini-2.5-flash", "usage": {"input_tokens": 10, "web_searches": 3}});
    let bill = quote(&app, grounded).await;
    assert_eq!((&bill["priced"], &bill["unpriced"]), (&json!(false), &json!(["web_search"])), "{bill}");
    let audio = json!({"model": "gemini-3-flash-preview", "usage": {"cache_read_audio_tokens": 1_000_000}});
    assert_eq!(quote(&app, audio).await["cost"], "0.100000000");
});

// Case gemini-cached-audio.
on_both!(cached_audio_costs_its_share_of_audio, |app| {
    let flash = json!({"model": "gemini-fl-x", "kind": "per_token", "input": "0.3", "cache_read": "0.03",
        "audio_input": "1", "output": "2.5"});
    price(&app, flash).await;
    let usage = json!({"promptTokenCount": 100_000, "cachedContentTokenCount": 90_000,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 95_000}, {"modality": "TEXT", "tokenCount": 5000}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 90_000}],
        "candidatesTokenCount": 10, "totalTokenCount": 100_010});
    let bill = quote(&app, json!({"model": "gemini-fl-x", "usage": usage})).await;
    assert_eq!((&bill["cost"], &bill["priced"]), (&json!("0.015525000"), &json!(true)), "{bill}");
    let line = json!({"component": "cache_read_audio", "quantity": 90_000, "rate": "0.1", "per": 1_000_000,
        "amount": "0.009", "rate_from": {"component": "audio_input", "service_tier": "standard",
            "share": {"audio_input": "1", "cache_read": "0.03", "input": "0.3"}}});
    let lines = bill["lines"].as_array().unwrap();
    assert!(lines.contains(&line), "{bill}");
    // The event is charged the same, and shows the same.
    let calls = Calls::new(&app, json!([])).await;
    let id = calls.open(json!({"model": "gemini-fl-x"})).await;
    let attempt = calls.settle(&id, usage).await["attempts"][0].clone();
    assert_eq!(attempt["cost"], "0.015525000");
    let shown =
        app.owner().get(&format!("{BASE}/usage/events/{}", attempt["event_id"].as_str().unwrap())).await.ok();
    assert_eq!(
        (&shown["lines"], &shown["usage"]["cache_read_audio_tokens"]),
        (&bill["lines"], &json!(90_000))
    );
});

// Case litellm-cached-audio-note.
on_both!(the_rate_of_cached_audio_is_imported, |app| {
    let list = json!({"x-rt": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 6e-07,
        "output_cost_per_token": 2.4e-06, "input_cost_per_audio_token": 1e-05, "output_cost_per_audio_token": 2e-05,
        "cache_read_input_token_cost": 6e-08, "cache_read_input_audio_token_cost": 3e-07,
        "cache_read_input_image_token_cost": 8e-08, "input_cost_per_image_token": 8e-07,
        "search_context_cost_per_query": {"search_context_size_low": 0.025, "search_context_size_medium": 0.0275}}});
    let import = |query: &str| {
        let path = format!("{IMPORT}?format=litellm{query}");
        app.owner().post(&path, ()).body(list.to_string(), "application/json")
    };
    let report = import("&dry_run=true").await.ok();
    assert_eq!(report["entries"][0]["outcome"], "added", "{report}");
    let notes = json!([
        "cache_read_input_image_token_cost is left out: images read from a cache are charged as cache_read",
        "search_context_cost_per_query: a search is charged as medium, at 0.0275; low costs 0.025",
    ]);
    assert_eq!(report["entries"][0]["notes"], notes, "{report}");
    import("").await.ok();
    let used = json!({"cache_read_audio_tokens": 1_000_000, "web_searches": 2});
    assert_eq!(quote(&app, json!({"model": "x-rt", "usage": used})).await["cost"], "0.355000000");
    // What is exported is imported as the same.
    for (encoding, format) in
        [("json", "application/json"), ("csv", "text/csv"), ("yaml", "application/yaml")]
    {
        let file = app.owner().get(&format!("{BASE}/prices/export?format={encoding}")).await.text;
        assert!(file.contains("0.0275") && file.contains("cache_read_audio"), "{file}");
        let again = app.owner().post(&format!("{IMPORT}?dry_run=true"), ()).body(file, format).await.ok();
        assert_eq!(again["entries"][0]["outcome"], "unchanged", "{again}");
    }
});

on_both!(searches_are_counted_and_charged_everywhere, |app| {
    price(&app, claude()).await;
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "0.1", "window": "month"}])).await;
    let call = json!({"model": "claude", "input_tokens": 1000, "max_output_tokens": 100});
    let asked = calls.ask(call.clone()).await;
    assert_eq!(
        (&asked["allowed"], &asked["estimate"]["cost"]),
        (&json!(true), &json!("0.004500000")),
        "{asked}"
    );
    let begin = app.clock.now();
    let settled = calls.settle(asked["reservation_id"].as_str().unwrap(), searched(4)).await;
    assert_eq!(settled["attempts"][0]["cost"], "0.044500000", "{settled}");
    same(counted(&app, calls.limit(0)).await, "0.044500000", "0.000000000");
    let ours =
        json!({"input_tokens": 1000, "web_searches": 5, "code_executions": 1, "cache_read_audio_tokens": 7});
    let id = calls.open(call.clone()).await;
    let settled = calls.settle(&id, ours).await;
    assert_eq!(settled["attempts"][0]["cost"], "0.055021000", "{settled}");
    same(counted(&app, calls.limit(0)).await, "0.099521000", "0.000000000");
    // What searches cost comes on top of what was held, as an overrun.
    let events = app.owner().get(&format!("{BASE}/usage/events?key_id={}", calls.id())).await.ok();
    assert!(events["items"].as_array().unwrap().iter().all(|event| event["overrun"] == true), "{events}");
    let asked = calls.ask(call).await;
    assert_eq!(asked["allowed"], false, "the searches have used the limit up: {asked}");
    for path in [format!("keys/{}", calls.id()), format!("teams/{}", calls.key["team_id"].as_str().unwrap())]
    {
        let totals = app.owner().get(&format!("{BASE}/{path}/usage")).await.ok();
        let counts = ["web_searches", "code_executions", "cache_read_audio_tokens"]
            .map(|class| &totals["usage"][class]);
        assert_eq!(counts, [&json!(9), &json!(1), &json!(7)], "{totals}");
        assert_eq!((&totals["costs"][0]["cost"], &totals["overruns"]), (&json!("0.099521000"), &json!(2)));
    }
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let hour = |hours| begin + chrono::TimeDelta::hours(hours);
    let check = service::usage::verify_rollups(&ctx, hour(-1), hour(2)).await.unwrap();
    assert!(check.differences.is_empty() && check.hours > 0, "{check:?}");
});

on_both!(a_search_without_a_rate_is_never_free_in_silence, |app| {
    price(&app, json!({"model": "bare", "kind": "per_token", "input": "3", "output": "15"})).await;
    price(&app, json!({"model": "free", "kind": "per_token", "input": "0", "output": "0"})).await;
    price(&app, json!({"model": "flat", "kind": "flat"})).await;
    by_request(&app, "asked", "0.01").await;
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "10", "window": "month"}])).await;
    for (model, cost, priced, unpriced) in [
        ("bare", json!(null), false, json!(["web_search"])),
        ("free", json!("0.000000000"), true, json!([])),
        ("flat", json!("0.000000000"), true, json!([])),
        ("asked", json!("0.010000000"), true, json!([])),
    ] {
        let bill = quote(&app, json!({"model": model, "usage": searched(2)})).await;
        let told = (&bill["cost"], &bill["priced"], &bill["unpriced"]);
        assert_eq!(told, (&cost, &json!(priced), &unpriced), "{model}: {bill}");
        let id = calls.open(json!({"model": model, "input_tokens": 1000, "max_output_tokens": 100})).await;
        let attempt = calls.settle(&id, searched(2)).await["attempts"][0].clone();
        assert_eq!(attempt["priced"], priced, "{model}: {attempt}");
    }
});

on_both!(the_three_rates_are_stated_and_changed_like_others, |app| {
    let tiered = json!({"model": "m", "kind": "tiered", "effective_from": "2099-01-01T00:00:00Z", "tiers": [
        {"up_to": 100, "input": "1", "output": "1", "cache_read_audio": "0.5", "per_web_search": "0.01",
            "batch": {"per_web_search": "0.005"}},
        {"up_to": null, "input": "2", "output": "2", "per_code_execution": "0.3", "batch": {}},
    ]});
    let made = price(&app, tiered).await;
    let path = format!("{BASE}/prices/{}", made["id"].as_str().unwrap());
    assert_eq!(made["tiers"][0]["batch"]["per_web_search"], "0.005", "{made}");
    let version = |price: &Value| price["version"].as_i64().unwrap();
    let at = |tier: &str, tokens: u64| {
        json!({"model": "m", "at": "2099-01-02T00:00:00Z", "service_tier": tier,
            "usage": {"input_tokens": tokens, "web_searches": 1, "code_executions": 1}})
    };
    let line = |bill: &Value, component: &str| {
        let lines = bill["lines"].as_array().unwrap();
        lines.iter().find(|line| line["component"] == component).map(|line| line["rate"].clone())
    };
    for (tier, tokens, search, execution, unpriced) in [
        ("standard", 100, Some("0.01"), None, json!(["code_execution"])),
        ("batch", 100, Some("0.005"), None, json!(["code_execution"])),
        ("standard", 101, None, Some("0.3"), json!(["web_search"])),
    ] {
        let bill = quote(&app, at(tier, tokens)).await;
        let found = (line(&bill, "web_search"), line(&bill, "code_execution"), &bill["unpriced"]);
        assert_eq!(found, (search.map(Into::into), execution.map(Into::into), &unpriced), "{bill}");
    }
    let changed = json!({"tiers": [{"up_to": null, "input": "1", "per_web_search": "0.02"}]});
    let changed = app.owner().patch(&path, changed).if_match(version(&made)).await.ok();
    assert_eq!(changed["tiers"][0]["per_web_search"], "0.02", "{changed}");
    let flat = json!({"kind": "per_token", "tiers": null, "tier_by": null, "input": "1", "per_web_search": "0.03",
        "per_code_execution": "0.04", "cache_read_audio": "0.05"});
    let flat = app.owner().patch(&path, flat).if_match(version(&changed)).await.ok();
    let fewer = app.owner().patch(&path, json!({"per_web_search": null})).if_match(version(&flat)).await.ok();
    let rates =
        ["per_web_search", "per_code_execution", "cache_read_audio"].map(|rate| fewer.get(rate).cloned());
    assert_eq!(rates, [None, Some(json!("0.04")), Some(json!("0.05"))], "{fewer}");
    let refused = json!({"model": "n", "kind": "per_token", "input": "1", "per_web_search": "-1"});
    let refused = app.owner().post(&format!("{BASE}/prices"), refused).await;
    refused.invalid(&[("/per_web_search", "out_of_range")]);
    let hours = json!({"model": "o", "kind": "per_token", "input": "1", "per_web_search": "0.01",
        "off_peak": {"hours_utc": "00:00-12:00", "per_web_search": "0.001"}});
    price(&app, hours).await;
    for (at, cost) in [("2099-01-02T06:00:00Z", "0.001000000"), ("2099-01-02T18:00:00Z", "0.010000000")] {
        let searched = json!({"model": "o", "at": at, "usage": {"web_searches": 1}});
        assert_eq!(quote(&app, searched).await["cost"], cost);
    }
});

on_both!(a_price_for_tools_alone_is_stopped_by_a_limit_that_is_exceeded, |app| {
    price(&app, json!({"model": "seeker", "kind": "per_token", "input": "0", "output": "0", "per_web_search": "0.01"}))
        .await;
    let limits = json!([{"metric": "cost", "window": "month", "amount": "0.01"}]);
    let calls = Calls::new(&app, limits).await;
    let call = json!({"model": "seeker", "input_tokens": 10, "max_output_tokens": 10});
    let id = calls.open(call.clone()).await;
    calls.settle(&id, json!({"input_tokens": 10, "web_searches": 5})).await;
    assert_eq!(counted(&app, calls.limit(0)).await.0, "0.050000000");
    let denial = calls.ask(call).await;
    assert_eq!(
        (&denial["allowed"], &denial["reasons"][0]["code"]),
        (&json!(false), &json!("budget_exceeded"))
    );
});

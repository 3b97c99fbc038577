//! Web searches and cached audio.

use super::{listed, price, refusal};
use serde_json::json;

const TOKENS: &str = r#""input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6"#;

#[test]
fn a_web_search_costs_what_all_sizes_cost_or_the_medium_one() {
    let sizes = |low: &str, medium: &str, high: &str| {
        format!(
            r#""search_context_cost_per_query": {{"search_context_size_high": {high},
            "search_context_size_low": {low}, "search_context_size_medium": {medium}}}"#
        )
    };
    for (fields, rate, note) in [
        (format!(r#"{}, "litellm_provider": "anthropic""#, sizes("0.01", "0.01", "0.01")), Some("0.01"), None),
        (
            sizes("0.025", "0.0275", "0.03"),
            Some("0.0275"),
            Some("search_context_cost_per_query: a search is charged as medium, at 0.0275; high costs 0.03, low costs 0.025"),
        ),
        (
            format!(r#"{}, "litellm_provider": "gemini", "web_search_billing_unit": "per_query""#, sizes("0.014", "0.014", "0.014")),
            Some("0.014"),
            None,
        ),
        (
            format!(r#"{}, "litellm_provider": "vertex_ai-language-models""#, sizes("0.035", "0.035", "0.035")),
            None,
            Some("search_context_cost_per_query is left out: it is for a prompt that searches, however often"),
        ),
        (
            format!(r#"{}, "web_search_billing_unit": "per_prompt""#, sizes("0.1", "0.1", "0.1")),
            None,
            Some("search_context_cost_per_query is left out: it is for a prompt that searches, however often"),
        ),
        (
            format!(r#"{}, "web_search_billing_unit": "per_page""#, sizes("0.1", "0.1", "0.1")),
            None,
            Some("search_context_cost_per_query is left out: its web_search_billing_unit is not known"),
        ),
        (
            r#""search_context_cost_per_query": 0.01"#.to_owned(),
            None,
            Some("search_context_cost_per_query is left out: it is no object"),
        ),
        (
            r#""search_context_cost_per_query": {"search_context_size_low": [1]}"#.to_owned(),
            None,
            Some("search_context_cost_per_query is left out: it is no object of prices by the size of the context"),
        ),
        (
            r#""search_context_cost_per_query": {"search_context_size_low": 1, "search_context_size_high": 2}"#.to_owned(),
            None,
            Some("search_context_cost_per_query is left out: its sizes have different prices, and none is medium"),
        ),
    ] {
        let entry = listed(&format!("{TOKENS}, {fields}"));
        let made = serde_json::to_value(entry.price.unwrap()).unwrap();
        assert_eq!(made.get("per_web_search"), rate.map(|rate| json!(rate)).as_ref(), "{fields}");
        assert_eq!(entry.notes, note.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{fields}");
    }
}

#[test]
fn what_a_search_costs_makes_no_price_of_its_own() {
    let search = r#""search_context_cost_per_query": {"search_context_size_low": 0.01}"#;
    assert_eq!(refusal(search), "it has no price");
    // Free tokens beside it are free, and stay.
    let free = price(&format!(r#"{search}, "input_cost_per_token": 0, "output_cost_per_token": 0"#));
    let rates = ["kind", "input", "output", "per_web_search"].map(|field| &free[field]);
    assert_eq!(rates, [&json!("per_token"), &json!("0"), &json!("0"), &json!("0.01")]);
    let pixels = format!(r#"{search}, "input_cost_per_token": 0, "input_cost_per_pixel": 1e-8"#);
    assert_eq!(refusal(&pixels), "nothing else is charged than input_cost_per_pixel");
    let asked = price(&format!(r#"{search}, "input_cost_per_request": 0.005"#));
    assert_eq!((&asked["kind"], &asked["per_web_search"]), (&json!("per_request"), &json!("0.01")));
}

#[test]
fn audio_read_from_a_cache_has_a_rate_of_its_own() {
    let read = r#""cache_read_input_audio_token_cost": 3e-07"#;
    let written = |rate: &str, provider: &str| {
        format!(r#""cache_creation_input_audio_token_cost": {rate}, "litellm_provider": "{provider}""#)
    };
    let left = "cache_creation_input_audio_token_cost is left out: no usage reports audio that is written to a cache";
    let taken = "cache_creation_input_audio_token_cost is taken for the rate of audio read from a cache";
    for (fields, rate, note) in [
        (read.to_owned(), Some("0.3"), None),
        (format!("{read}, {}", written("3e-07", "openai")), Some("0.3"), None),
        (format!("{read}, {}", written("4e-07", "openai")), Some("0.3"), Some(left)),
        (written("4e-07", "openai"), Some("0.4"), Some(taken)),
        (written("4e-07", "azure"), Some("0.4"), Some(taken)),
        (written("4e-07", "gemini"), None, Some(left)),
        (
            r#""cache_read_input_image_token_cost": 8e-08"#.to_owned(),
            None,
            Some(
                "cache_read_input_image_token_cost is left out: images read from a cache are charged as cache_read",
            ),
        ),
    ] {
        let entry = listed(&format!("{TOKENS}, {fields}"));
        let made = serde_json::to_value(entry.price.unwrap()).unwrap();
        assert_eq!(made.get("cache_read_audio"), rate.map(|rate| json!(rate)).as_ref(), "{fields}");
        assert_eq!(entry.notes, note.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{fields}");
    }
    let tiers = price(&format!(
        r#"{TOKENS}, {read}, "cache_read_input_audio_token_cost_priority": 6e-07,
        "input_cost_per_token_above_200k_tokens": 2e-6, "cache_read_input_audio_token_cost_above_200k_tokens": 5e-07"#
    ));
    assert_eq!(tiers["tiers"][0]["cache_read_audio"], "0.3");
    assert_eq!(tiers["tiers"][0]["priority"]["cache_read_audio"], "0.6");
    assert_eq!(tiers["tiers"][1]["cache_read_audio"], "0.5");
}

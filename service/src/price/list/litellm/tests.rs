//! One test a rule, on shapes of the public list.

mod documented;
mod tools;

use super::{super::Facts, ENTRIES, Listed, entry, read};
use crate::{Error, price::tariff::PerMillion};
use entity::money::Rate;
use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};

/// An entry as it is written, number by number.
fn listed(fields: &str) -> Listed {
    entry("a-model", &RawValue::from_string(format!("{{{fields}}}")).unwrap())
}

fn price(fields: &str) -> Value {
    serde_json::to_value(listed(fields).price.unwrap()).unwrap()
}

fn refusal(fields: &str) -> String {
    listed(fields).price.unwrap_err()
}

#[test]
fn rates_by_the_token_are_exact() {
    let fields = r#""cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
        "cache_read_input_token_cost": 3e-07, "input_cost_per_token": 3e-06, "litellm_provider": "anthropic",
        "output_cost_per_token": 1.5e-05, "output_cost_per_reasoning_token": 0.0000151, "mode": "chat",
        "input_cost_per_audio_token": 1E-6, "output_cost_per_audio_token": "2e-5", "input_cost_per_image_token": 5.46875e-07,
        "output_cost_per_image_token": 1"#;
    let expected = json!({
        "model": "a-model", "provider": "anthropic", "currency": "USD", "kind": "per_token",
        "input": "3", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6",
        "output": "15", "reasoning": "15.1", "audio_input": "1", "audio_output": "20", "image_input": "0.546875",
        "image_output": "1000000",
    });
    assert_eq!(price(fields), expected);
    assert!(listed(fields).notes.is_empty());
}

#[test]
fn null_is_no_rate_and_zero_is_free() {
    let price = price(
        r#""input_cost_per_token": 2.8e-9, "output_cost_per_token": 0, "cache_read_input_token_cost": null"#,
    );
    assert_eq!((&price["input"], &price["output"]), (&json!("0.0028"), &json!("0")));
    assert_eq!(price.get("cache_read"), None);
}

#[test]
fn a_cache_hit_is_a_cache_read() {
    let twice = r#""input_cost_per_token": 1e-6, "input_cost_per_token_cache_hit": 2e-7, "cache_read_input_token_cost":"#;
    assert_eq!(price(&format!("{twice} 0.0000002"))["cache_read"], "0.2");
    assert_eq!(refusal(&format!("{twice} 3e-7")), "it has two different rates for cache_read");
}

#[test]
fn service_tiers_have_rates_of_their_own() {
    let price = price(
        r#""input_cost_per_token": 5e-6, "output_cost_per_token": 3e-5, "input_cost_per_token_batches": 2.5e-06,
        "output_cost_per_token_batches": 1.5e-05, "input_cost_per_token_flex": 2.5e-6, "cache_read_input_token_cost_flex": 2.5e-7,
        "input_cost_per_token_priority": 1e-5, "cache_creation_input_token_cost_priority": 1.25e-05,
        "input_cost_per_audio_token_priority": 1.8e-06"#,
    );
    assert_eq!(price["batch"], json!({ "input": "2.5", "output": "15" }));
    assert_eq!(price["flex"], json!({ "input": "2.5", "cache_read": "0.25" }));
    assert_eq!(price["priority"], json!({ "input": "10", "cache_write": "12.5", "audio_input": "1.8" }));
}

#[test]
fn rates_of_large_prompts_make_complete_bands() {
    let price = price(
        r#""input_cost_per_token": 3e-6, "output_cost_per_token": 1.5e-5, "cache_read_input_token_cost": 3e-7,
        "cache_creation_input_token_cost": 3.75e-6, "cache_creation_input_token_cost_above_1hr": 6e-6,
        "input_cost_per_token_above_200k_tokens": 6e-6, "output_cost_per_token_above_200k_tokens": 2.25e-5,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
        "input_cost_per_token_above_512k_tokens": 9e-6, "input_cost_per_token_above_128k_tokens": 4e-6"#,
    );
    let band = |up_to: Option<i64>, input: &str, output: &str, hour: &str| {
        json!({ "up_to": up_to, "input": input, "output": output, "cache_read": "0.3", "cache_write": "3.75",
            "cache_write_1h": hour })
    };
    assert_eq!((&price["kind"], &price["tier_by"]), (&json!("tiered"), &json!("prompt_tokens")));
    let expected = [
        band(Some(128_000), "3", "15", "6"),
        band(Some(200_000), "4", "15", "6"),
        band(Some(512_000), "6", "22.5", "12"),
        band(None, "9", "22.5", "12"),
    ];
    assert_eq!(price["tiers"], json!(expected));
}

#[test]
fn the_size_of_large_prompts_is_written_in_many_ways() {
    let sizes = [("512", 512), ("512_tokens", 512), ("200k", 200_000), ("200k_tokens", 200_000)];
    for (size, tokens) in sizes.into_iter().chain([("1m", 1_000_000), ("1m_tokens", 1_000_000)]) {
        let listed =
            listed(&format!(r#""input_cost_per_token": 1e-6, "input_cost_per_token_above_{size}": 2e-6"#));
        let price = serde_json::to_value(listed.price.unwrap()).unwrap();
        let bands = json!([{ "up_to": tokens, "input": "1" }, { "up_to": null, "input": "2" }]);
        assert_eq!((&price["tiers"], listed.notes.len()), (&bands, 0), "{size}");
    }
    for size in ["0", "0k_tokens", "k", "720p", "1g", "-1k"] {
        let listed =
            listed(&format!(r#""input_cost_per_token": 1e-6, "input_cost_per_token_above_{size}": 2e-6"#));
        assert_eq!((listed.price.unwrap().tiers, listed.notes.len()), (None, 1), "{size}");
    }
}

#[test]
fn a_service_tier_without_a_rate_for_large_prompts_has_no_price_there() {
    let listed = listed(
        r#""input_cost_per_token": 2e-6, "output_cost_per_token": 1.2e-5, "input_cost_per_token_batches": 1e-6,
        "output_cost_per_token_batches": 6e-6, "input_cost_per_token_priority": 3.6e-6,
        "input_cost_per_token_above_200k_tokens": 4e-6, "input_cost_per_token_above_200k_tokens_priority": 7.2e-6"#,
    );
    let price = serde_json::to_value(listed.price.unwrap()).unwrap();
    assert_eq!(price["tiers"][0]["batch"], json!({ "input": "1", "output": "6" }));
    assert_eq!(price["tiers"][1]["batch"], json!({}));
    assert_eq!(price["tiers"][1]["priority"], json!({ "input": "7.2" }));
    assert_eq!(listed.notes, ["above 200000 tokens batch has no rate for input: it has no price there"]);
}

#[test]
fn a_list_of_ranges_makes_bands() {
    let ranges = |last: &str| {
        format!(
            r#""tiered_pricing": [
            {{"range": [0, 32000.0], "input_cost_per_token": 1e-6, "output_cost_per_token": 5e-6}},
            {{"range": [32000, 128e3], "input_cost_per_token": 1.8e-6, "output_cost_per_token": 9e-6}},
            {{"range": {last}, "input_cost_per_token": 3e-6, "output_cost_per_reasoning_token": 1.5e-5}}]"#
        )
    };
    for last in ["[128000, 256000]", "[128001, null]"] {
        let price = price(&ranges(last));
        let band =
            |n: usize| (price["tiers"][n]["up_to"].as_i64(), price["tiers"][n]["input"].as_str().unwrap());
        assert_eq!([band(0), band(1), band(2)], [(Some(32_000), "1"), (Some(128_000), "1.8"), (None, "3")]);
        assert_eq!(price["tiers"][2]["output"], "9");
    }
    for last in ["[129000, 256000]", "[0, 1]", "[256000, 128000]", "5", "[-1, 2]"] {
        assert!(refusal(&ranges(last)).contains("tier"), "{last}");
    }
    let results = r#""tiered_pricing": [{"max_results_range": [0, 25], "input_cost_per_query": 0.005}]"#;
    assert_eq!(refusal(results), "nothing else is charged than tiered_pricing");
}

#[test]
fn units_are_charged_where_tokens_are_not() {
    for (fields, kind, field, rate) in [
        (r#""output_cost_per_image": 0.04, "mode": "image_generation""#, "per_unit", "per_image", "0.04"),
        (
            r#""input_cost_per_second": 0.0001, "output_cost_per_second": 1e-4"#,
            "per_unit",
            "per_second",
            "0.0001",
        ),
        (
            r#""input_cost_per_second": 3.083e-05, "output_cost_per_second": 0.0"#,
            "per_unit",
            "per_second",
            "0.00003083",
        ),
        (
            r#""output_cost_per_video_per_second": 0.4, "mode": "video_generation""#,
            "per_unit",
            "per_second",
            "0.4",
        ),
        (
            r#""input_cost_per_character": 1.5e-05, "mode": "audio_speech""#,
            "per_unit",
            "per_character",
            "0.000015",
        ),
        (r#""input_cost_per_query": 0.008, "mode": "search""#, "per_request", "per_request", "0.008"),
        (r#""input_cost_per_request": 0.005"#, "per_request", "per_request", "0.005"),
        (
            r#""input_cost_per_token": 0, "output_cost_per_token": 0.0, "output_cost_per_image": 0.039"#,
            "per_unit",
            "per_image",
            "0.039",
        ),
    ] {
        let price = price(fields);
        assert_eq!((price["kind"].as_str(), price[field].as_str()), (Some(kind), Some(rate)), "{fields}");
        assert_eq!(price.get("input"), None, "{fields}");
    }
}

#[test]
fn what_is_charged_by_the_token_is_not_charged_again() {
    let image = r#""input_cost_per_token": 3e-07, "output_cost_per_image": 0.039, "output_cost_per_image_token": 3e-05,
        "output_cost_per_token": 2.5e-06"#;
    let entry = listed(image);
    assert_eq!(price(image).get("per_image"), None);
    assert_eq!(entry.notes, ["output_cost_per_image is left out: the answer is charged by the token"]);
    // The half of the call that has no rate by the token keeps its own.
    let speech =
        price(r#""input_cost_per_token": 1e-6, "output_cost_per_second": 0.00025, "mode": "audio_speech""#);
    assert_eq!((&speech["kind"], &speech["per_second"]), (&json!("per_token"), &json!("0.00025")));
    // A rate that is not used need not be exact.
    let live = r#""input_cost_per_token": 7.5e-07, "output_cost_per_token": 1e-6, "input_cost_per_video_per_second": 3.3333333333333335e-05"#;
    assert_eq!(price(live)["input"], "0.75");
    // A request is charged beside its tokens.
    let asked = price(
        r#""input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6, "input_cost_per_request": 0.005"#,
    );
    assert_eq!((&asked["kind"], &asked["per_request"]), (&json!("per_token"), &json!("0.005")));
}

#[test]
fn what_a_usage_does_not_report_is_never_free() {
    for fields in [
        r#""input_cost_per_pixel": 1.9e-08, "output_cost_per_pixel": 0.0"#,
        r#""ocr_cost_per_page": 0.001, "annotation_cost_per_page": 0.003"#,
        r#""input_cost_per_token": 0, "output_cost_per_token": 0, "input_dbu_cost_per_token": 7.1e-06"#,
        r#""input_cost_per_second": 0.00042, "mode": "chat""#,
        r#""input_cost_per_image": 0.01, "output_cost_per_image": 0.02"#,
    ] {
        assert!(
            refusal(fields).starts_with("nothing else is charged than "),
            "{fields}: {}",
            refusal(fields)
        );
        assert!(!listed(fields).notes.is_empty(), "{fields}");
    }
    let tokens = listed(
        r#""input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "input_cost_per_pixel": 1e-8"#,
    );
    assert!(tokens.price.is_ok());
    assert_eq!(tokens.notes, ["input_cost_per_pixel is left out: no usage reports it"]);
}

#[test]
fn every_field_that_costs_and_is_not_charged_is_noted() {
    let entry = listed(
        r#""input_cost_per_token": 1e-6, "search_context_cost_per_query": {"search_context_size_low": 0.01},
        "code_interpreter_cost_per_session": 0.03, "file_search_cost_per_1k_calls": 0.0025,
        "cache_creation_input_audio_token_cost": 3e-7, "output_cost_per_video_token": 1.75e-05,
        "input_cost_per_image_above_128k_tokens": 0.1, "output_cost_per_image_above_512_and_512_pixels": 0.1,
        "input_cost_per_token_flex_priority": 1, "input_cost_per_token_above_1hr": 1, "some_new_cost": "?", "rpm": 5"#,
    );
    assert_eq!((entry.price.is_ok(), entry.notes.len()), (true, 9), "{:?}", entry.notes);
    for name in ["code_interpreter_cost_per_session", "some_new_cost"] {
        assert!(entry.notes.iter().any(|note| note.starts_with(name)), "{name}");
    }
}

#[test]
fn regions_and_speeds_multiply() {
    let both = price(
        r#""input_cost_per_token": 1e-6, "regional_processing_uplift_multiplier_eu": 1.1,
        "provider_specific_entry": {"us": 1.1, "fast": 6.0}"#,
    );
    assert_eq!(both["multipliers"], json!({ "eu": "1.1", "us": "1.1", "fast": "6" }));
    for (multiplier, reason) in [
        (r#""provider_specific_entry": {"us": 1.0000001}"#, "more than 6 digits"),
        (r#""provider_specific_entry": {"US West": 1.1}"#, "lower-case"),
        (r#""provider_specific_entry": {"us": 0}"#, "more than 0"),
        (r#""provider_specific_entry": 5"#, "no object"),
        (r#""provider_specific_entry": {"us": 1.1, "us": 1.2}"#, "two different multipliers"),
    ] {
        let refusal = refusal(&format!(r#""input_cost_per_token": 1e-6, {multiplier}"#));
        assert!(refusal.contains(reason), "{refusal}");
    }
}

#[test]
fn a_rate_that_cannot_be_kept_exactly_refuses_the_entry() {
    for (rate, reason) in [
        (
            "0.0002833333333333333",
            "input_cost_per_second: 0.0002833333333333333 has more than 15 digits after the point, and nothing is rounded",
        ),
        (
            "1e-16",
            "input_cost_per_second: 1e-16 has more than 15 digits after the point, and nothing is rounded",
        ),
        ("1e9", "input_cost_per_second: 1e9 is too large"),
        ("-0.5", "input_cost_per_second is negative"),
        ("true", "input_cost_per_second is no number"),
        ("[1]", "input_cost_per_second is no number"),
        (r#""free""#, "input_cost_per_second: free is no number"),
    ] {
        assert_eq!(refusal(&format!(r#""input_cost_per_second": {rate}"#)), reason);
    }
}

#[test]
fn an_entry_without_rates_tells_facts_only() {
    let entry = listed(r#""mode": "chat", "max_tokens": 8192, "litellm_provider": "openai""#);
    assert_eq!(entry.price.unwrap_err(), "it has no price");
    assert_eq!(entry.facts.unwrap().context_window, Some(8192));
}

#[test]
fn facts_are_read_from_modes_flags_and_modalities() {
    let facts = listed(
        r#""mode": "responses", "max_input_tokens": 200000, "max_output_tokens": "64000", "max_tokens": 1,
        "deprecation_date": "2026-02-19", "supports_vision": true, "supports_reasoning": false,
        "supports_native_structured_output": true, "supported_modalities": ["text", "audio"],
        "supported_output_modalities": ["image"], "supported_endpoints": ["/v1/realtime"]"#,
    )
    .facts
    .unwrap();
    assert_eq!((facts.context_window, facts.max_output_tokens), (Some(200_000), Some(64_000)));
    assert_eq!(facts.deprecated_on, "2026-02-19".parse().ok());
    let can = facts.capabilities;
    assert!(can.chat && can.vision && can.json && can.audio_input && can.image_generation && can.realtime);
    assert!(!can.reasoning && !can.embedding && !can.completion);
    let odd = listed(
        r#""max_input_tokens": "as many as you like", "max_output_tokens": -1, "deprecation_date": "soon""#,
    );
    assert_eq!(odd.facts.unwrap(), Facts::default());
    assert_eq!(odd.notes.len(), 3);
}

#[test]
fn providers_are_words_without_the_kind_of_their_models() {
    for (provider, word) in [
        ("openai", Ok(Some("openai"))),
        ("text-completion-openai", Ok(Some("openai"))),
        ("vertex_ai-language-models", Ok(Some("vertex_ai"))),
        ("vertex_ai-ai21_models", Ok(Some("vertex_ai"))),
        ("fireworks_ai-embedding-models", Ok(Some("fireworks_ai"))),
        ("azure_ai", Ok(Some("azure_ai"))),
        ("bedrock_converse", Ok(Some("bedrock"))),
        ("Perplexity", Ok(Some("perplexity"))),
        ("one of many", Err("its provider is no word of at most 64 characters".to_owned())),
    ] {
        let entry = listed(&format!(r#""litellm_provider": "{provider}", "input_cost_per_token": 1"#));
        let read = entry.price.map(|price| price.provider);
        assert_eq!(read, word.map(|word| word.map(str::to_owned)), "{provider}");
    }
}

#[test]
fn a_list_is_read_in_its_order_with_what_is_odd_about_it() {
    let long = "m".repeat(300);
    let file = format!(
        r#"{{"sample_spec": {{"input_cost_per_token": 0.0, "max_tokens": "LEGACY"}}, "azure/gpt-4o": {{"input_cost_per_token": 2.5e-6,
        "litellm_provider": "azure"}}, "azure/gpt-4o": {{"input_cost_per_token": 5}}, "n\u0000l": {{}}, "": {{}}, "{long}": {{}},
        "openai/*": {{}}, "list": [1], "deep": {}}}"#,
        "[".repeat(100_000) + &"]".repeat(100_000)
    );
    let listed = read(file.as_bytes()).unwrap();
    let keys: Vec<&str> = listed.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys[..4], ["sample_spec", "azure/gpt-4o", "azure/gpt-4o", "n\0l"]);
    assert_eq!(listed.len(), 9);
    let priced: Vec<_> = listed.iter().filter(|entry| entry.price.is_ok()).collect();
    assert_eq!(priced.len(), 1);
    assert_eq!(priced[0].price.as_ref().unwrap().model.as_deref(), Some("azure/gpt-4o"));
    assert_eq!(listed[5].key.chars().count(), 256);
}

#[test]
fn what_is_no_list_says_where() {
    for (file, code, place) in [
        ("{\n  \"a\": {\"b\": 1,}\n}", "invalid_json", "line 2 column 16"),
        ("{\"a\": {\"b\": \"\\x\"}}", "invalid_json", "line 1 column 15"),
        ("{\"a\": 01}", "invalid_json", "line 1 column 8"),
        ("{\"a\": 1} 2", "invalid_json", "line 1 column 10"),
        ("", "invalid_json", "line 1 column 0"),
    ] {
        let Error::Malformed(fault) = read(file.as_bytes()).unwrap_err() else { panic!("{file}") };
        assert_eq!(fault.code, code);
        assert!(fault.message.contains(place), "{}", fault.message);
    }
    assert!(matches!(read(b"[]"), Err(Error::Invalid(_))));
    assert!(matches!(read(b"{\"\xff\": 1}"), Err(Error::Malformed(_))));
    let many: String = (0..=ENTRIES).map(|n| format!("\"m{n}\":{{}},")).collect();
    assert!(matches!(read(format!("{{{}}}", many.trim_end_matches(',')).as_bytes()), Err(Error::Invalid(_))));
}

#[test]
fn an_entry_may_have_many_fields_but_not_without_end() {
    let fields = |count: usize| (0..count).map(|n| format!("\"cost_{n}\": 1")).collect::<Vec<_>>().join(",");
    let many = listed(&format!("{}, \"input_cost_per_token\": 1", fields(255)));
    assert_eq!((many.price.is_ok(), many.notes.len()), (true, 33));
    assert_eq!(refusal(&fields(257)), "it is no object of at most 256 fields");
}

/// `rate` × 10⁻¹⁵ in scientific notation: the point after any of the digits, and zeros that mean nothing behind them.
fn written(rate: i64, zeros: usize, point: usize) -> String {
    let digits = format!("{rate}{}", "0".repeat(zeros));
    let (whole, part) = digits.split_at_checked(point.clamp(1, digits.len())).unwrap();
    let exponent = i64::try_from(part.len()).unwrap() - i64::try_from(zeros).unwrap() - 15;
    let point = if part.is_empty() { "" } else { "." };
    format!("{whole}{point}{part}e{exponent:+03}")
}

proptest! {
    #[test]
    fn any_rate_survives_scientific_notation(rate in 0..i64::MAX, zeros in 0usize..5, point in 0usize..25) {
        let read = listed(&format!("\"input_cost_per_token\": {}", written(rate, zeros, point))).price.unwrap();
        prop_assert_eq!(read.input, Some(PerMillion(Rate(rate))));
    }
}

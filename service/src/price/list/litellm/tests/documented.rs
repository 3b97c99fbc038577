//! What is documented of prices and not said by the list field by field.

use super::*;

#[test]
fn service_tiers_that_are_documented_scale_with_the_standard_tier() {
    let fields = |provider: &str| {
        format!(
            r#""input_cost_per_token": 5e-6, "output_cost_per_token": 3e-5, "input_cost_per_token_flex": 2.5e-6,
            "output_cost_per_token_flex": 1.5e-5, "input_cost_per_token_above_272k_tokens": 1e-5,
            "output_cost_per_token_above_272k_tokens": 4.5e-5, "input_cost_per_token_priority": 1e-5,
            "litellm_provider": "{provider}""#
        )
    };
    let price = price(&fields("openai"));
    assert_eq!(price["tiers"][1]["flex"], json!({ "input": "5", "output": "22.5" }));
    assert_eq!(price["tiers"][1]["priority"], json!({}), "nobody says what it costs there");
    let notes = [
        "above 272000 tokens flex has no rate for input, output: scaled as the standard tier",
        "above 272000 tokens priority has no rate for input: it has no price there",
    ];
    assert_eq!(listed(&fields("openai")).notes, notes);
    let other = serde_json::to_value(listed(&fields("acme")).price.unwrap()).unwrap();
    assert_eq!(other["tiers"][1]["flex"], json!({}));
}

#[test]
fn rates_of_some_hours_are_kept() {
    let base = r#""input_cost_per_token": 4.4e-07, "output_cost_per_token": 1.32e-06, "off_peak_pricing":"#;
    let hours =
        r#"{"hours_utc": "10:00-01:00", "input_cost_per_token": 2.2e-07, "output_cost_per_token": 6.6e-07}"#;
    let listed = listed(&format!("{base} {hours}"));
    assert!(listed.notes.is_empty(), "{:?}", listed.notes);
    let price = serde_json::to_value(listed.price.unwrap()).unwrap();
    assert_eq!(price["off_peak"], json!({ "hours_utc": "10:00-01:00", "input": "0.22", "output": "0.66" }));
    assert_eq!((&price["input"], &price["output"]), (&json!("0.44"), &json!("1.32")));
    for (wrong, reason) in [
        (r#"{"input_cost_per_token": 1e-7}"#, "off_peak_pricing has no hours_utc"),
        ("7", "off_peak_pricing is no object"),
    ] {
        assert_eq!(refusal(&format!("{base} {wrong}")), reason);
    }
    assert!(
        refusal(&format!(r#"{base} {{"hours_utc": "10-1", "input_cost_per_token": 1e-7}}"#))
            .contains("16:30")
    );
}

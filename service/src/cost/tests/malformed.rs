//! What is no usage is told by its place, whoever sent it: of our own object by refusing it, of a provider's by a doubt.

use super::*;
use crate::{Error, error::FieldError};
use serde_json::{Value, json};

fn faults(object: &Value, format: Option<Format>) -> Vec<FieldError> {
    match read(object, format, "/usage") {
        Ok(reading) => reading.doubts,
        Err(Error::Invalid(faults)) => faults,
        Err(Error::Malformed(fault)) => vec![fault],
        other => panic!("{object} is read as {other:?}"),
    }
}

/// A number as it was written.
fn written(number: &str) -> Value {
    serde_json::from_str(number).unwrap()
}

/// An object has a fault of this code at this place under `/usage`.
fn refused(object: &Value, pointer: &str, code: &str) {
    let faults = faults(object, None);
    let at = format!("/usage{pointer}");
    assert!(faults.iter().any(|fault| fault.pointer == at && fault.code == code), "{object}: {faults:?}");
}

#[test]
fn a_count_is_a_whole_number_that_is_not_too_large() {
    for (value, code) in [
        (json!("10"), "invalid_value"),
        (json!(true), "invalid_value"),
        (json!([10]), "invalid_value"),
        (json!({"tokens": 10}), "invalid_value"),
        (json!(1.5), "invalid_value"),
        (json!(1e-3), "invalid_value"),
        (json!(-1.0), "out_of_range"),
        (json!(1e300), "out_of_range"),
        (written("100000000000000000000000000000"), "out_of_range"),
        (json!(-1), "out_of_range"),
        (json!(MOST + 1), "out_of_range"),
        (json!(u64::MAX), "out_of_range"),
        (json!(i64::MIN), "out_of_range"),
    ] {
        refused(&json!({"prompt_tokens": value}), "/prompt_tokens", code);
        refused(&json!({"input_tokens": value}), "/input_tokens", code);
        refused(&json!({"input_tokens": value, "cache_read_input_tokens": 1}), "/input_tokens", code);
        refused(&json!({"input_tokens": value, "input_tokens_details": null}), "/input_tokens", code);
        refused(&json!({"prompt_token_count": value}), "/prompt_token_count", code);
        refused(&json!({"billed_units": {"output_tokens": value}}), "/billed_units/output_tokens", code);
    }
    for value in [json!(MOST), json!(0), json!(0i64), json!(null)] {
        assert!(read(&json!({"prompt_tokens": value, "completion_tokens": 1}), None, "").is_ok(), "{value}");
    }
    // A whole number, however it is written.
    for (value, count) in [(json!(17.0), 17), (written("1e3"), 1000), (json!(-0.0), 0)] {
        for field in ["prompt_tokens", "input_tokens", "promptTokenCount"] {
            let reading = read(&json!({field: value}), None, "").unwrap();
            assert_eq!((reading.usage.prompt_tokens(), reading.doubts), (count, vec![]), "{field} {value}");
        }
    }
    let fault = &faults(&json!({"prompt_tokens": 17.5}), None)[0];
    assert_eq!(fault.message, "must be a whole number");
}

#[test]
fn a_usage_is_an_object() {
    for value in [json!(null), json!(5), json!("x"), json!([]), json!([{"prompt_tokens": 1}])] {
        refused(&value, "", "invalid_value");
    }
    refused(
        &json!({"prompt_tokens": 1, "prompt_tokens_details": 5}),
        "/prompt_tokens_details",
        "invalid_value",
    );
    refused(&json!({"usageMetadata": []}), "/usageMetadata", "unknown_field");
    refused(
        &json!({"promptTokenCount": 1, "promptTokensDetails": {}}),
        "/promptTokensDetails",
        "invalid_value",
    );
    let list = json!({"promptTokenCount": 1, "promptTokensDetails": [{"modality": "TEXT"}, 5]});
    refused(&list, "/promptTokensDetails/1", "invalid_value");
    let modality = json!({"promptTokenCount": 1, "promptTokensDetails": [{"modality": 5, "tokenCount": 1}]});
    refused(&modality, "/promptTokensDetails/0/modality", "invalid_value");
    refused(&json!({"prompt_tokens": 1, "service_tier": 5}), "/service_tier", "invalid_value");
    refused(
        &json!({"input_tokens": 1, "cache_creation": {}, "inference_geo": {}}),
        "/inference_geo",
        "invalid_value",
    );
}

#[test]
fn an_object_that_says_nothing_is_refused() {
    for (object, pointer) in [
        (json!({"prompt_tokens": null}), "/prompt_tokens"),
        (json!({"type": "tokens"}), "/input_tokens"),
        (json!({"cache_creation_input_tokens": null}), "/input_tokens"),
        (json!({"usage_metadata": {}}), "/usage_metadata/promptTokenCount"),
        (json!({"tokens": {}}), "/billed_units"),
    ] {
        refused(&object, pointer, "required");
    }
    // Another provider's object, declared as this one's.
    let chat = json!({"prompt_tokens": 10, "completion_tokens": 5});
    for format in [Format::OpenaiResponses, Format::Anthropic, Format::Gemini, Format::Cohere] {
        assert_eq!(faults(&chat, Some(format))[0].code, "required");
    }
    assert_eq!(faults(&chat, Some(Format::Tollkeeper))[0].code, "unknown_field");
}

#[test]
fn a_part_is_not_more_than_its_whole_in_chats() {
    for (object, pointer) in [
        (json!({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}), "/prompt_tokens"),
        // A prompt that leaves out what was cached is none of this format's: the cache stands beside it, most likely.
        (json!({"prompt_tokens": 5, "cache_read_input_tokens": 6}), "/prompt_tokens"),
        (json!({"prompt_tokens": 5, "prompt_cache_hit_tokens": 6}), "/prompt_tokens"),
        (
            json!({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 3}}),
            "/prompt_tokens",
        ),
        (
            json!({"prompt_tokens": 5, "prompt_tokens_details": {"cache_write_tokens": 3},
            "cache_creation": {"ephemeral_1h_input_tokens": 4}}),
            "/cache_creation/ephemeral_1h_input_tokens",
        ),
        (
            json!({"prompt_tokens": 5, "prompt_tokens_details": {"audio_tokens": 3, "image_tokens": 3}}),
            "/prompt_tokens_details/image_tokens",
        ),
        (
            json!({"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}}),
            "/completion_tokens_details/reasoning_tokens",
        ),
        (
            json!({"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 3}}),
            "/completion_tokens_details/audio_tokens",
        ),
        (
            json!({"total_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 4}}),
            "/completion_tokens_details/reasoning_tokens",
        ),
    ] {
        refused(&object, pointer, "inconsistent");
    }
}

#[test]
fn a_part_is_not_more_than_its_whole_elsewhere_either() {
    for (object, pointer) in [
        (json!({"input_tokens": 5, "input_tokens_details": {"cached_tokens": 6}}), "/input_tokens"),
        (
            json!({"input_tokens": 5, "input_token_details": {"cached_tokens": 2, "audio_tokens": 3,
            "cached_tokens_details": {"audio_tokens": 3}}}),
            "/input_token_details/cached_tokens_details/audio_tokens",
        ),
        (
            json!({"input_tokens": 5, "input_token_details": {"cached_tokens": 3, "audio_tokens": 2,
            "cached_tokens_details": {"audio_tokens": 3}}}),
            "/input_token_details/cached_tokens_details/audio_tokens",
        ),
        (
            json!({"output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 6}}),
            "/output_tokens_details/reasoning_tokens",
        ),
        (
            json!({"input_tokens": 5, "cache_creation_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 3}}),
            "/cache_creation",
        ),
        (
            json!({"output_tokens": 5, "cache_creation": null, "output_tokens_details": {"thinking_tokens": 6}}),
            "/output_tokens_details/thinking_tokens",
        ),
        (json!({"promptTokenCount": 5, "cachedContentTokenCount": 6}), "/promptTokenCount"),
        (
            json!({"promptTokenCount": 5, "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 3}, {"modality": "AUDIO", "tokenCount": 3}]}),
            "/promptTokensDetails/1/tokenCount",
        ),
        (
            json!({"promptTokenCount": 5, "candidatesTokenCount": 5,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 6}]}),
            "/candidatesTokensDetails/0/tokenCount",
        ),
        (
            json!({"promptTokenCount": 5, "cachedContentTokenCount": 2,
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}]}),
            "/cacheTokensDetails/0/tokenCount",
        ),
        (json!({"billed_units": {"input_tokens": 5}, "cached_tokens": 6}), "/cached_tokens"),
        (
            json!({"billed_units": {"input_tokens": 5}, "tokens": {"input_tokens": 9}, "cached_tokens": 10}),
            "/cached_tokens",
        ),
    ] {
        refused(&object, pointer, "inconsistent");
    }
}

#[test]
fn a_total_does_not_contradict_its_parts() {
    let chat = |total: u64, reasoning: u64| {
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": total,
            "completion_tokens_details": {"reasoning_tokens": reasoning}})
    };
    for object in [chat(14, 0), chat(0, 0), chat(9, 3), chat(16, 3), chat(19, 3)] {
        refused(&object, "/total_tokens", "inconsistent");
    }
    refused(&json!({"completion_tokens": 50, "total_tokens": 49}), "/total_tokens", "inconsistent");
    let google = json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "toolUsePromptTokenCount": 3,
        "thoughtsTokenCount": 2, "totalTokenCount": 17});
    refused(&google, "/totalTokenCount", "inconsistent");
}

#[test]
fn who_tells_a_part_twice_tells_the_same() {
    let chat = |details: Value, field: &str, count: u64| json!({"prompt_tokens": 100, "prompt_tokens_details": details, field: count});
    for (field, detail) in [
        ("cache_read_input_tokens", "cached_tokens"),
        ("prompt_cache_hit_tokens", "cached_tokens"),
        ("cache_creation_input_tokens", "cache_creation_tokens"),
        ("cache_creation_input_tokens", "cache_write_tokens"),
    ] {
        assert!(read(&chat(json!({detail: 20}), field, 20), None, "").is_ok(), "{field}");
        for other in [0, 19, 21] {
            refused(&chat(json!({detail: 20}), field, other), &format!("/{field}"), "inconsistent");
            refused(&chat(json!({detail: other}), field, 20), &format!("/{field}"), "inconsistent");
        }
    }
}

#[test]
fn a_region_and_a_speed_are_short_words() {
    let message = |field: &str, value: Value| json!({"input_tokens": 1, "cache_creation": {}, field: value});
    let long = "x".repeat(65);
    for field in ["inference_geo", "speed"] {
        for text in ["", " ", "u s", "eu\0", "süd", "美国", "a/b", long.as_str()] {
            refused(&message(field, json!(text)), &format!("/{field}"), "invalid_value");
        }
        refused(&message(field, json!(5)), &format!("/{field}"), "invalid_value");
    }
}

#[test]
fn sums_do_not_grow_beyond_what_a_call_can_have() {
    let tools = json!({"promptTokenCount": MOST, "toolUsePromptTokenCount": 1});
    refused(&tools, "/totalTokenCount", "out_of_range");
    let thoughts = json!({"candidatesTokenCount": MOST, "thoughtsTokenCount": 1});
    refused(&thoughts, "/totalTokenCount", "out_of_range");
    let compactions = json!({"input_tokens": MOST, "cache_creation": {},
        "iterations": [{"type": "compaction", "input_tokens": 1}]});
    refused(&compactions, "/iterations", "out_of_range");
}

#[test]
fn ours_tolerates_no_stranger_and_tells_all_faults() {
    let faults = faults(&json!({"input_tokens": -1, "images": 2.5, "seconds": "9"}), None);
    let found: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
    let expected = [
        ("/usage/input_tokens", "out_of_range"),
        ("/usage/images", "invalid_value"),
        ("/usage/seconds", "invalid_value"),
    ];
    assert_eq!(found, expected);
    refused(&json!({"input": 5}), "/input", "unknown_field");
    refused(&json!({"in~put/": 5}), "/in~0put~1", "unknown_field");
    assert!(read(&json!({"input": 5, "output_tokens": 1}), None, "").is_err(), "an object of ours");
    assert!(read(&json!({"input": 5}), Some(Format::Tollkeeper), "").is_err(), "declared to be ours");
    let error = serde_json::from_value::<Usage>(json!({"input_tokens": -1})).unwrap_err();
    assert!(error.to_string().contains("input_tokens"), "{error}");
    // One that is nobody's is kept, and a provider's tolerates any.
    assert_eq!(read(&json!({"their_tokens": 5}), None, "").unwrap().usage, Usage::default());
    assert!(read(&json!({"prompt_tokens": 5, "stranger": {"x": [1.5]}}), None, "").is_ok());
}

#[test]
fn a_quantity_is_bounded_wherever_it_comes_from() {
    let mut usage = Usage::NONE;
    assert!(usage.set(Component::Image, MOST).is_ok());
    let error = usage.set(Component::Image, MOST + 1).unwrap_err();
    assert!(matches!(error, Error::Invalid(faults) if faults[0].pointer == "/images"));
    assert_eq!(usage.get(Component::Image), MOST);
}

//! Objects of which something is wrong, and objects of nobody: all that they say they used is charged, or they are doubted.

use super::*;
use serde_json::{Value, json};

/// One of each shape, all of its numbers small, so that a disturbance may fit as well as not.
fn sound() -> Vec<Value> {
    vec![
        json!({"input_tokens": 3, "cache_read_tokens": 2, "output_tokens": 4, "reasoning_tokens": 5, "images": 6}),
        json!({"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2, "audio_tokens": 4, "image_tokens": 1,
                "cache_creation_token_details": {"ephemeral_1h_input_tokens": 1}},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 2, "image_tokens": 1}}),
        json!({"prompt_tokens": 9, "completion_tokens": 8, "prompt_cache_hit_tokens": 2, "service_tier": "flex"}),
        json!({"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 20,
            "completion_tokens_details": {"reasoning_tokens": 3}}),
        json!({"input_tokens": 9, "output_tokens": 8, "total_tokens": 17,
            "input_token_details": {"cached_tokens": 5, "audio_tokens": 3, "image_tokens": 2,
                "cached_tokens_details": {"text_tokens": 2, "audio_tokens": 2, "image_tokens": 1}},
            "output_token_details": {"reasoning_tokens": 3, "audio_tokens": 2}}),
        json!({"input_tokens": 9, "output_tokens": 8, "total_tokens": 17,
            "input_tokens_details": {"text_tokens": 5, "image_tokens": 4}}),
        json!({"input_tokens": 9, "output_tokens": 8, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 6,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 4},
            "output_tokens_details": {"thinking_tokens": 3}, "iterations": [
                {"type": "compaction", "input_tokens": 5, "output_tokens": 4, "cache_creation_input_tokens": 3}]}),
        json!({"promptTokenCount": 9, "candidatesTokenCount": 8, "thoughtsTokenCount": 3, "totalTokenCount": 22,
            "toolUsePromptTokenCount": 2, "cachedContentTokenCount": 5,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}, {"modality": "IMAGE", "tokenCount": 3}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}, {"modality": "TEXT", "tokenCount": 3}],
            "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 2}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}]}),
        json!({"promptTokenCount": 9, "candidatesTokenCount": 8, "thoughtsTokenCount": 3}),
        json!({"candidatesTokenCount": 8, "thoughtsTokenCount": 3, "totalTokenCount": 17}),
        json!({"completion_tokens": 8, "total_tokens": 17, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}),
        json!({"billed_units": {"input_tokens": 9, "output_tokens": 8}, "tokens": {"input_tokens": 11, "output_tokens": 9},
            "cached_tokens": 4}),
    ]
}

/// What stands in the place of a number, of a list, of a whole object.
fn disturbance() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => (0u64..=24).prop_map(Value::from),
        1 => prop_oneof![Just(MOST), Just(MOST + 1), any::<u64>()].prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => select(vec![json!(null), json!(true), json!(1.5), json!(3.0), json!(1e300), json!(-0.0), json!([]),
            json!({}), json!([{}]), json!("7"), json!("AUDIO")]),
    ]
}

/// The object with something else at its nth place, counted through.
fn disturb(value: &mut Value, nth: &mut usize, with: &Value) {
    let inner: Vec<&mut Value> = match value {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(list) => list.iter_mut().collect(),
        _ => vec![],
    };
    for inner in inner {
        if *nth == 0 {
            *inner = with.clone();
        }
        *nth = nth.wrapping_sub(1);
        disturb(inner, nth, with);
    }
}

/// All tokens that an object of a provider says it used.
fn told(object: &Value, format: Format) -> u64 {
    let count = |object: &Value, pointer: &str| match object.pointer(pointer) {
        Some(Value::Number(number)) => number.to_string().trim_end_matches(".0").parse::<u64>().ok(),
        _ => None,
    };
    let sum =
        |object: &Value, fields: &[&str]| fields.iter().filter_map(|field| count(object, field)).sum::<u64>();
    match format {
        Format::Tollkeeper => Component::EVERY[..11]
            .iter()
            .map(|class| sum(object, &[&format!("/{}", Usage::field(*class))]))
            .sum(),
        Format::OpenaiChat => count(object, "/total_tokens")
            .filter(|_| count(object, "/prompt_audio_seconds").is_none())
            .unwrap_or_else(|| {
                let side = |one: &str, other: &str| count(object, one).or_else(|| count(object, other));
                let sides =
                    [side("/prompt_tokens", "/input_tokens"), side("/completion_tokens", "/output_tokens")];
                sides.into_iter().flatten().sum()
            }),
        Format::OpenaiResponses => count(object, "/total_tokens")
            .unwrap_or_else(|| sum(object, &["/input_tokens", "/output_tokens"])),
        Format::Gemini => count(object, "/totalTokenCount").unwrap_or_else(|| {
            let apart = [
                "/promptTokenCount",
                "/toolUsePromptTokenCount",
                "/candidatesTokenCount",
                "/thoughtsTokenCount",
            ];
            sum(object, &apart)
        }),
        Format::Anthropic => {
            let sampled = |object: &Value| {
                let lives = [
                    "/cache_creation/ephemeral_5m_input_tokens",
                    "/cache_creation/ephemeral_1h_input_tokens",
                ];
                let written =
                    count(object, "/cache_creation_input_tokens").unwrap_or_else(|| sum(object, &lives));
                let parts = ["/input_tokens", "/cache_read_input_tokens", "/output_tokens"];
                count(object, "/total_tokens").unwrap_or_else(|| written + sum(object, &parts))
            };
            let compactions = object["iterations"].as_array().into_iter().flatten();
            let compactions = compactions.filter(|iteration| iteration["type"] == "compaction");
            sampled(object) + compactions.map(sampled).sum::<u64>()
        }
        Format::Cohere => {
            let units = ["input_tokens", "output_tokens", "search_units", "classifications", "images"];
            let billed = units.iter().any(|unit| object["billed_units"].get(unit).is_some());
            let counted = if billed { &object["billed_units"] } else { &object["tokens"] };
            sum(counted, &["/input_tokens", "/output_tokens"])
        }
        other => unreachable!("{other:?} shares no field with these"),
    }
}

/// Reads an object; whether it is read without a doubt. What is read so is all that is told, and what is doubted or refused
/// is so by its place.
fn reads(object: &Value, format: Option<Format>) -> Result<bool, TestCaseError> {
    match read(object, format, "/usage") {
        Ok(reading) => {
            prop_assert!(Component::EVERY.iter().all(|component| reading.usage.get(*component) <= MOST));
            prop_assert!(reading.doubts.iter().all(|doubt| doubt.pointer.starts_with('/')));
            if !reading.doubts.is_empty() {
                return Ok(false);
            }
            prop_assert_eq!(reading.usage.total_tokens(), told(object, reading.format), "{}", object);
            return Ok(true);
        }
        Err(crate::Error::Invalid(faults)) => {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.pointer.starts_with("/usage")));
        }
        Err(crate::Error::Malformed(fault)) => prop_assert_eq!(fault.code, "unknown_field"),
        Err(error) => prop_assert!(false, "{}", error),
    }
    Ok(false)
}

#[test]
fn what_is_sound_is_read() {
    for object in sound() {
        assert!(reads(&object, None).unwrap(), "{object}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]
    #[test]
    fn a_disturbed_object_is_read_in_full_or_doubted(
        object in select(sound()), places in proptest::collection::vec((0usize..30, disturbance()), 1..3)
    ) {
        let mut object = object;
        for (mut nth, with) in places {
            disturb(&mut object, &mut nth, &with);
        }
        reads(&object, None)?;
    }

    #[test]
    fn so_is_any_object_as_any_provider(
        object in mixture(), format in option::of(select(vec![
            Format::Tollkeeper, Format::OpenaiChat, Format::OpenaiResponses, Format::Anthropic, Format::Gemini,
            Format::Cohere,
        ]))
    ) {
        reads(&object, format)?;
    }
}

/// Fields of several sound objects, some of them disturbed.
fn mixture() -> impl Strategy<Value = Value> {
    let fields: Vec<(String, Value)> =
        sound().into_iter().flat_map(|object| object.as_object().unwrap().clone()).collect();
    let field = (select(fields), option::weighted(0.3, disturbance()));
    proptest::collection::vec(field, 0..8).prop_map(|fields| {
        let fields = fields.into_iter().map(|((name, value), other)| (name, other.unwrap_or(value)));
        Value::Object(fields.collect())
    })
}

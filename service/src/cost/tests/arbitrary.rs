//! Any JSON at all as a usage object, in any script: it is read within the bounds or refused, and nothing panics.
//! `PROPTEST_CASES=100000` tries more of it.

use super::*;
use serde_json::{Number, Value};

const FORMATS: [Option<Format>; 19] = [
    None,
    Some(Format::Tollkeeper),
    Some(Format::OpenaiChat),
    Some(Format::OpenaiResponses),
    Some(Format::Anthropic),
    Some(Format::Gemini),
    Some(Format::Cohere),
    Some(Format::BedrockConverse),
    Some(Format::BedrockInvoke),
    Some(Format::GeminiInteractions),
    Some(Format::GeminiEmbeddings),
    Some(Format::Mistral),
    Some(Format::Ollama),
    Some(Format::Perplexity),
    Some(Format::Voyage),
    Some(Format::Whisper),
    Some(Format::AiSdk),
    Some(Format::Codex),
    Some(Format::Xai),
];

fn number() -> impl Strategy<Value = Number> {
    let written = prop_oneof![
        Just("1e3"),
        Just("0.1"),
        Just("-0"),
        Just("1e400"),
        Just("18446744073709551616"),
        Just("-1"),
        Just("1000000000001"),
        Just("9007199254740993"),
        Just("1e-400"),
        Just("12.5")
    ];
    let written = written.prop_map(|text| serde_json::from_str(text).unwrap_or_else(|_| Number::from(7)));
    prop_oneof![
        any::<u64>().prop_map(Number::from),
        any::<i64>().prop_map(Number::from),
        (0u64..50).prop_map(Number::from),
        written
    ]
}

/// Fields that some provider has, with space between them.
const FIELDS: &str = "input_tokens output_tokens prompt_tokens completion_tokens total_tokens prompt_tokens_details \
    completion_tokens_details cached_tokens audio_tokens image_tokens reasoning_tokens usageMetadata \
    promptTokenCount candidatesTokenCount thoughtsTokenCount totalTokenCount promptTokensDetails \
    modality tokenCount cache_creation cache_read_input_tokens cache_creation_input_tokens \
    iterations billed_units tokens service_tier inference_geo speed seconds characters requests \
    images input_tokens_details input_token_details output_tokens_details type search_units usage \
    inputTokens outputTokens totalTokens cacheReadInputTokens cacheWriteInputTokens cacheDetails ttl \
    inputTokenCount inputTextTokenCount results total_input_tokens total_output_tokens \
    total_cached_tokens input_tokens_by_modality num_cached_tokens prompt_eval_count \
    prompt_eval_cached_count eval_count citation_tokens num_search_queries server_tool_use \
    web_search_requests duration cachedInputTokens inputTokenDetails cacheReadTokens \
    cached_input_tokens reasoning_output_tokens cost_in_usd_ticks \
    cost total_cost is_byok cost_details upstream_inference_cost pydantic_ai_gateway cost_estimate model \
    totalOutputTextTokenCount \
    cache_read_audio_tokens web_searches \
    code_executions cached_tokens_details cacheTokensDetails cachedContentTokenCount cached_tokens_by_modality \
    code_execution_requests web_search_requests server_side_tool_usage_details web_search_calls x_search_calls \
    code_interpreter_calls num_sources_used connectors connector_tokens web_search code_interpreter \
    serverToolUsage server_tool_use_details tool_calls_executed";

/// A field that some provider has, or none.
fn field() -> impl Strategy<Value = String> {
    let known = select(FIELDS.split_whitespace().collect::<Vec<_>>());
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

fn json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        select(vec!["AUDIO", "batch", "日本語", "12", ""]).prop_map(str::to_owned)
    ];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        4 => number().prop_map(Value::from),
        1 => text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 10, |inner| {
        let object = proptest::collection::vec((field(), inner.clone()), 0..10);
        prop_oneof![
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            4 => object.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_within_the_bounds_or_refused(value in json()) {
        for format in FORMATS {
            if let Ok(reading) = read(&value, format, "/usage") {
                for component in Component::EVERY {
                    prop_assert!(reading.usage.get(component) <= MOST, "{component:?} of {value}");
                }
                prop_assert!(reading.usage.completion_tokens() <= reading.usage.total_tokens());
            }
        }
    }
}

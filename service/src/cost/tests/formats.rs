//! Formats beside those of the large providers, and conventions that only the total tells.

use super::*;
use Component::*;
use serde_json::{Value, json};

/// What an object says without a doubt: its format by its shape, and the quantities beside one request.
#[track_caller]
fn says(object: &Value, format: Format, counts: &[(Component, u64)]) {
    let reading = read(object, None, "").unwrap();
    assert_eq!((reading.format, &reading.doubts), (format, &vec![]), "{object}");
    let mut expected = used(counts.iter().copied());
    expected.set(Request, 1).unwrap();
    assert_eq!(reading.usage, expected, "{object}");
    assert_eq!(read(object, Some(format), "").unwrap(), reading, "{object}");
}

/// What is read of an object that is doubted.
#[track_caller]
fn doubted(object: &Value, counts: &[(Component, u64)], at: &str) {
    let reading = read(object, None, "").unwrap();
    let mut expected = used(counts.iter().copied());
    expected.set(Request, 1).unwrap();
    assert_eq!(reading.usage, expected, "{object}");
    assert!(reading.doubts.iter().any(|doubt| doubt.pointer == at), "{object}: {:?}", reading.doubts);
}

#[test]
fn a_total_tells_a_cache_beside_the_prompt() {
    let portkey = json!({"prompt_tokens": 2000, "completion_tokens": 300, "total_tokens": 3800,
        "cache_read_input_tokens": 1500, "cache_creation_input_tokens": 0});
    says(&portkey, Format::OpenaiChat, &[(Input, 2000), (CacheRead, 1500), (Output, 300)]);
    let within = json!({"prompt_tokens": 2000, "completion_tokens": 300, "total_tokens": 2300,
        "cache_read_input_tokens": 1500});
    says(&within, Format::OpenaiChat, &[(Input, 500), (CacheRead, 1500), (Output, 300)]);
    let anthropic = |total: u64| json!({"input_tokens": 2000, "output_tokens": 300, "cache_read_input_tokens": 1500, "total_tokens": total});
    says(&anthropic(3800), Format::Anthropic, &[(Input, 2000), (CacheRead, 1500), (Output, 300)]);
    says(&anthropic(2300), Format::Anthropic, &[(Input, 500), (CacheRead, 1500), (Output, 300)]);
    let both = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 175, "cached_tokens": 60,
        "completion_tokens_details": {"reasoning_tokens": 5}});
    says(&both, Format::OpenaiChat, &[(Input, 100), (CacheRead, 60), (Output, 10), (Reasoning, 5)]);
    // Without a witness, what does not fit in stands beside, and that is a guess.
    let beside = json!({"prompt_tokens": 5, "completion_tokens": 1, "cached_tokens": 60});
    doubted(&beside, &[(Input, 5), (CacheRead, 60), (Output, 1)], "/prompt_tokens");
}

#[test]
fn bedrock() {
    let converse = json!({"inputTokens": 3, "outputTokens": 288, "totalTokens": 2365, "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 2074, "serverToolUsage": {}});
    says(&converse, Format::BedrockConverse, &[(Input, 3), (CacheWrite, 2074), (Output, 288)]);
    let lives = json!({"inputTokens": 3, "outputTokens": 121, "totalTokens": 2072, "cacheReadInputTokens": 1712,
        "cacheReadInputTokenCount": 1712, "cacheWriteInputTokens": 236, "cacheWriteInputTokenCount": 236,
        "cacheDetails": [{"inputTokens": 200, "ttl": "1h"}, {"inputTokens": 36, "ttl": "5m"}]});
    let counts = [(Input, 3), (CacheRead, 1712), (CacheWrite, 36), (CacheWrite1h, 200), (Output, 121)];
    says(&lives, Format::BedrockConverse, &counts);
    let metrics = json!({"inputTokenCount": 10, "outputTokenCount": 20, "invocationLatency": 900,
        "firstByteLatency": 100, "cacheReadInputTokenCount": 5});
    says(&metrics, Format::BedrockInvoke, &[(Input, 10), (CacheRead, 5), (Output, 20)]);
    let reply = json!({"amazon-bedrock-invocationMetrics": metrics});
    says(&reply, Format::BedrockInvoke, &[(Input, 10), (CacheRead, 5), (Output, 20)]);
    let llama = json!({"prompt_token_count": 7, "generation_token_count": 9, "stop_reason": "stop"});
    says(&llama, Format::BedrockInvoke, &[(Input, 7), (Output, 9)]);
    // The model's own object, declared.
    let claude = json!({"input_tokens": 7, "output_tokens": 9, "cache_read_input_tokens": 3});
    let reading = read(&claude, Some(Format::BedrockInvoke), "").unwrap();
    assert_eq!((reading.format, reading.usage.prompt_tokens()), (Format::BedrockInvoke, 10));
}

#[test]
fn titan_tells_its_completion_in_a_list_or_in_the_last_chunk() {
    for (object, output) in [
        (json!({"inputTextTokenCount": 7, "results": [{"tokenCount": 4}]}), 4),
        (json!({"inputTextTokenCount": 7, "totalOutputTextTokenCount": 13, "index": 0}), 13),
        (json!({"inputTextTokenCount": 7, "embedding": []}), 0),
    ] {
        let reading = read(&object, None, "").unwrap();
        assert_eq!((reading.format, &reading.doubts), (Format::BedrockInvoke, &vec![]));
        assert_eq!(reading.usage, used([(Input, 7), (Output, output), (Request, 1)]), "{object}");
    }
}

#[test]
fn google() {
    let interaction = json!({"total_input_tokens": 1_000_000, "total_output_tokens": 1000,
        "total_thought_tokens": 500, "total_cached_tokens": 0, "total_tool_use_tokens": 0, "total_tokens": 1_001_500});
    let counts = [(Input, 1_000_000), (Output, 1000), (Reasoning, 500)];
    says(&interaction, Format::GeminiInteractions, &counts);
    let media = json!({"total_input_tokens": 100, "total_output_tokens": 50, "total_cached_tokens": 40,
        "total_tool_use_tokens": 10, "total_tokens": 160,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 30}, {"modality": "audio", "tokens": 70}],
        "output_tokens_by_modality": [{"modality": "image", "tokens": 20}]});
    let counts = [(Input, 0), (CacheRead, 40), (AudioInput, 70), (Output, 30), (ImageOutput, 20)];
    says(&media, Format::GeminiInteractions, &counts);
    let embedding = json!({"usageMetadata": {"promptTokenCount": 1_000_000,
        "promptTokenDetails": [{"modality": "AUDIO", "tokenCount": 1_000_000}]}});
    says(&embedding, Format::GeminiEmbeddings, &[(AudioInput, 1_000_000)]);
    let total = json!({"usageMetadata": {"totalTokenCount": 12, "promptTokenDetails": []}});
    says(&total, Format::GeminiEmbeddings, &[(Input, 12)]);
    let tier = json!({"promptTokenCount": 1, "serviceTier": "flex"});
    assert_eq!(read(&tier, None, "").unwrap().service_tier, Some(ServiceTier::Flex));
}

#[test]
fn dialects_of_openais_format() {
    let mistral = json!({"completion_tokens": 155, "num_cached_tokens": 976, "prompt_tokens": 997, "total_tokens": 1152});
    says(&mistral, Format::Mistral, &[(Input, 21), (CacheRead, 976), (Output, 155)]);
    // Without a total, xAI's reasoning comes on top.
    let xai = json!({"prompt_tokens": 10, "completion_tokens": 5, "num_sources_used": 0,
        "completion_tokens_details": {"reasoning_tokens": 20}});
    says(&xai, Format::Xai, &[(Input, 10), (Output, 5), (Reasoning, 20)]);
    let responses = json!({"input_tokens": 10, "output_tokens": 25, "total_tokens": 35, "cost_in_usd_ticks": 7,
        "output_tokens_details": {"reasoning_tokens": 20}});
    says(&responses, Format::Xai, &[(Input, 10), (Output, 5), (Reasoning, 20)]);
    let perplexity = json!({"prompt_tokens": 108, "completion_tokens": 3256, "total_tokens": 3364,
        "citation_tokens": 7299, "reasoning_tokens": 73248});
    says(&perplexity, Format::Perplexity, &[(Input, 7407), (Output, 3256), (Reasoning, 73248)]);
}

#[test]
fn tools_and_their_session_files() {
    let codex = json!({"input_tokens": 226_616, "cache_creation_input_tokens": 0, "cached_input_tokens": 176_640,
        "output_tokens": 1670, "reasoning_output_tokens": 529, "total_tokens": 228_286});
    let counts = [(Input, 49_976), (CacheRead, 176_640), (Output, 1141), (Reasoning, 529)];
    says(&codex, Format::Codex, &counts);
    let turn = json!({"last_token_usage": codex, "total_token_usage": {"input_tokens": 1}, "model_context_window": 1});
    says(&turn, Format::Codex, &counts);
    let ollama = json!({"prompt_eval_count": 26, "prompt_eval_cached_count": 10, "eval_count": 298,
        "total_duration": 4_883_583_458_u64});
    says(&ollama, Format::Ollama, &[(Input, 16), (CacheRead, 10), (Output, 298)]);
    let counts = [(Input, 60), (CacheRead, 40), (Output, 30), (Reasoning, 20)];
    for sdk in [
        json!({"inputTokens": 100, "outputTokens": 50, "totalTokens": 150, "reasoningTokens": 20,
            "cachedInputTokens": 40}),
        json!({"inputTokens": 100, "outputTokens": 50, "totalTokens": 150,
            "inputTokenDetails": {"noCacheTokens": 60, "cacheReadTokens": 40},
            "outputTokenDetails": {"textTokens": 30, "reasoningTokens": 20}}),
        json!({"inputTokens": {"total": 100, "noCache": 60, "cacheRead": 40},
            "outputTokens": {"total": 50, "text": 30, "reasoning": 20}}),
        json!({"promptTokens": 100, "completionTokens": 50, "totalTokens": 150, "cachedInputTokens": 40,
            "reasoningTokens": 20}),
    ] {
        says(&sdk, Format::AiSdk, &counts);
    }
}

#[test]
fn what_has_one_side() {
    let total = json!({"total_tokens": 1000});
    let reading = read(&total, Some(Format::Voyage), "").unwrap();
    assert_eq!((reading.usage.get(Input), reading.unsided), (1000, false));
    // Nothing says which side it is of, until the price does.
    let reading = read(&total, None, "").unwrap();
    assert_eq!((reading.usage.get(Input), reading.usage.get(Output), reading.unsided), (500, 500, true));
    assert_eq!(reading.usage.without_completion().get(Input), 1000);
    for (prices, is) in [
        (vec![(Input, 5)], true),
        (vec![(Input, 5), (Output, 0)], true),
        (vec![(Input, 5), (Output, 5)], false),
        (vec![(Input, 5), (AudioOutput, 5)], false),
        (vec![(Request, 5)], false),
        (vec![], false),
    ] {
        assert_eq!(has_no_output(&at(prices.clone())), is, "{prices:?}");
    }
    for (seconds, whole) in [(json!(2.11), 3), (json!(2.0), 2), (json!(9), 9), (json!(0.001), 1)] {
        says(&json!({"type": "duration", "seconds": seconds}), Format::Whisper, &[(Second, whole)]);
        says(&json!({"duration": seconds}), Format::Whisper, &[(Second, whole)]);
        says(&json!({"seconds": seconds}), Format::Tollkeeper, &[(Second, whole)]);
    }
}

#[test]
fn floats_that_are_whole_are_exact() {
    let glm = json!({"input_tokens": 1204.0, "output_tokens": 31, "cache_read_input_tokens": 5120.0});
    says(&glm, Format::Anthropic, &[(Input, 1204), (CacheRead, 5120), (Output, 31)]);
    let cohere = json!({"meta": {"billed_units": {"input_tokens": 5.0, "output_tokens": 7.0}}});
    says(&cohere, Format::Cohere, &[(Input, 5), (Output, 7)]);
}

#[test]
fn less_than_nothing_is_what_was_taken_away_too_often() {
    let moonshot = json!({"input_tokens": -13312, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 29696, "output_tokens": 120});
    doubted(&moonshot, &[(Input, 16384), (CacheRead, 29696), (Output, 120)], "/input_tokens");
    let chat = json!({"prompt_tokens": -13312, "cached_tokens": 29696, "completion_tokens": 120});
    doubted(&chat, &[(Input, 16384), (CacheRead, 29696), (Output, 120)], "/prompt_tokens");
    doubted(&json!({"prompt_tokens": -5, "completion_tokens": 7}), &[(Output, 7)], "/prompt_tokens");
    doubted(&json!({"prompt_tokens": 5, "completion_tokens": -7}), &[(Input, 5)], "/completion_tokens");
}

#[test]
fn a_total_tells_reasoning_only_where_nothing_else_is_counted() {
    let google = json!({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109,
        "completion_tokens_details": null, "extra_properties": {"google": {"traffic_type": "ON_DEMAND"}}});
    says(&google, Format::OpenaiChat, &[(Input, 35), (Output, 12), (Reasoning, 62)]);
    for more in [
        json!({"completion_tokens_details": {"reasoning_tokens": 0}}),
        json!({"prompt_tokens_details": {"cached_tokens": 0}}),
        json!({"cache_tokens_of_a_gateway": 62}),
    ] {
        let mut object = json!({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        doubted(&object, &[(Input, 35), (Output, 12)], "/total_tokens");
    }
    let parts = &[(Input, 10), (Output, 5)];
    for object in [
        json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 99}),
        json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 99}),
    ] {
        let at = if object["totalTokens"].is_null() { "/totalTokenCount" } else { "/totalTokens" };
        doubted(&object, parts, at);
    }
    let responses = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 99});
    doubted(&responses, parts, "/total_tokens");
}

#[test]
fn two_spellings_that_differ_are_doubted() {
    let object =
        json!({"prompt_tokens": 0, "input_tokens": 1000, "completion_tokens": 7, "output_tokens": 5});
    let counts = &[(Input, 1000), (Output, 7)];
    doubted(&object, counts, "/input_tokens");
    doubted(&object, counts, "/output_tokens");
    let same = json!({"prompt_tokens": 9, "input_tokens": 9, "completion_tokens": 7, "output_tokens": 7});
    says(&same, Format::OpenaiChat, &[(Input, 9), (Output, 7)]);
}

#[test]
fn hits_and_misses_of_a_cache_are_the_prompt() {
    let deepseek = |misses: u64| {
        json!({"prompt_tokens": 563, "completion_tokens": 9, "total_tokens": 572,
            "prompt_cache_hit_tokens": 512, "prompt_cache_miss_tokens": misses})
    };
    let counts = &[(Input, 51), (CacheRead, 512), (Output, 9)];
    says(&deepseek(51), Format::OpenaiChat, counts);
    doubted(&deepseek(50), counts, "/prompt_cache_miss_tokens");
}

#[test]
fn langchains_metadata_tells_its_parts() {
    let object = json!({"input_tokens": 350, "output_tokens": 240, "total_tokens": 590,
        "input_token_details": {"audio": 10, "cache_creation": 200, "cache_read": 100},
        "output_token_details": {"audio": 20, "reasoning": 200}});
    let counts = [(Input, 40), (CacheRead, 100), (CacheWrite, 200), (AudioInput, 10)];
    let output = [(Output, 20), (Reasoning, 200), (AudioOutput, 20)];
    says(&object, Format::OpenaiResponses, &[&counts[..], &output].concat());
}

#[test]
fn what_anthropic_counts_in_a_new_way_is_doubted() {
    let call = json!({"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0});
    let with = |field: &str, value: Value| {
        let mut object = call.clone();
        object[field] = value;
        object
    };
    let sampled =
        |kind: &str, tokens: u64| json!([{"type": kind, "input_tokens": tokens, "output_tokens": 0}]);
    let counts = &[(Input, 10), (Output, 5)];
    says(&with("iterations", sampled("message", 10)), Format::Anthropic, counts);
    says(&with("iterations", sampled("reflection", 0)), Format::Anthropic, counts);
    doubted(&with("iterations", sampled("reflection", 7)), counts, "/iterations/0/type");
    let life = json!({"ephemeral_5m_input_tokens": 0, "ephemeral_24h_input_tokens": 3});
    doubted(&with("cache_creation", life), counts, "/cache_creation/ephemeral_24h_input_tokens");
}

#[test]
fn an_unknown_service_tier_is_doubted() {
    let chat = |tier: &str| json!({"prompt_tokens": 9, "completion_tokens": 7, "service_tier": tier});
    says(&chat(" Default"), Format::OpenaiChat, &[(Input, 9), (Output, 7)]);
    says(&chat(""), Format::OpenaiChat, &[(Input, 9), (Output, 7)]);
    doubted(&chat("ultrafast"), &[(Input, 9), (Output, 7)], "/service_tier");
}

#[test]
fn what_contradicts_itself_counts_by_its_parts() {
    let total = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 14});
    doubted(&total, &[(Input, 10), (Output, 5)], "/total_tokens");
    let reasoning = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 99,
        "completion_tokens_details": {"reasoning_tokens": 8}});
    doubted(&reasoning, &[(Input, 10), (Output, 5), (Reasoning, 8)], "/total_tokens");
    doubted(
        &json!({"prompt_tokens": "10", "completion_tokens": 5}),
        &[(Input, 10), (Output, 5)],
        "/prompt_tokens",
    );
    doubted(&json!({"tokens_of_somebody": 10}), &[], "/tokens_of_somebody");
    doubted(&json!({"prompt_tokens": u64::MAX, "completion_tokens": 5}), &[(Output, 5)], "/prompt_tokens");
}

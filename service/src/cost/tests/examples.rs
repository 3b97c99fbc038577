//! Usage objects as providers' documentation shows them, or as they were seen, and what they say, computed by hand.

use super::*;
use Component::*;
use serde_json::{Value, json};

/// What an object says: its format by its shape, and the quantities other than one request.
fn says(object: &Value, format: Format, counts: &[(Component, u64)]) {
    let by_shape = read(object, None, "").unwrap();
    assert_eq!(by_shape.format, format, "{object}");
    let mut expected = used(counts.iter().copied());
    if !counts.iter().any(|(component, _)| *component == Request) {
        expected.set(Request, 1).unwrap();
    }
    assert_eq!(by_shape.usage, expected, "{object}");
    assert_eq!(read(object, Some(format), "").unwrap(), by_shape, "{object}");
}

#[test]
fn our_own() {
    says(&json!({}), Format::Tollkeeper, &[]);
    says(&json!({"input_tokens": 10, "output_tokens": null}), Format::Tollkeeper, &[(Input, 10)]);
    let all = json!({
        "input_tokens": 1, "cache_read_tokens": 2, "cache_write_tokens": 3, "cache_write_1h_tokens": 4,
        "output_tokens": 5, "reasoning_tokens": 6, "audio_input_tokens": 7, "audio_output_tokens": 8,
        "image_input_tokens": 9, "image_output_tokens": 10, "cache_read_audio_tokens": 11, "requests": 12,
        "images": 13, "seconds": 14, "characters": 15, "web_searches": 16, "code_executions": 17,
    });
    let counts: Vec<_> = Component::EVERY.into_iter().zip(1..).collect();
    says(&all, Format::Tollkeeper, &counts);
    let usage: Usage = serde_json::from_value(all.clone()).unwrap();
    assert_eq!(serde_json::to_value(usage).unwrap(), all);
    assert_eq!((usage.prompt_tokens(), usage.completion_tokens(), usage.total_tokens()), (37, 29, 66));
}

#[test]
fn openai_chat() {
    let prediction = json!({
        "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 64, "audio_tokens": 0,
            "accepted_prediction_tokens": 20, "rejected_prediction_tokens": 30,
        },
    });
    // Predictions are in the completion, and charged as it is, accepted or not.
    let counts = [(Input, 86), (CacheRead, 1920), (Output, 236), (Reasoning, 64)];
    says(&prediction, Format::OpenaiChat, &counts);
    let audio = json!({
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 70, "image_tokens": 10},
        "completion_tokens_details": {"audio_tokens": 40},
    });
    let counts = [(Input, 20), (AudioInput, 70), (ImageInput, 10), (Output, 10), (AudioOutput, 40)];
    says(&audio, Format::OpenaiChat, &counts);
    let writes = json!({
        "prompt_tokens": 3300, "completion_tokens": 2, "total_tokens": 3302,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 3207},
    });
    let counts = [(Input, 29), (CacheRead, 64), (CacheWrite, 3207), (Output, 2)];
    says(&writes, Format::OpenaiChat, &counts);
    says(&json!({"prompt_tokens": 8, "total_tokens": 8}), Format::OpenaiChat, &[(Input, 8)]);
}

#[test]
fn a_cached_token_is_no_audio_token_as_well() {
    let chat = |cached: u64| {
        json!({
            "prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 60},
        })
    };
    // Text is taken to be cached first; what is cached beyond it was audio.
    says(&chat(40), Format::OpenaiChat, &[(CacheRead, 40), (AudioInput, 60)]);
    says(&chat(70), Format::OpenaiChat, &[(CacheRead, 40), (CacheReadAudio, 30), (AudioInput, 30)]);
    says(&chat(100), Format::OpenaiChat, &[(CacheRead, 40), (CacheReadAudio, 60)]);
    // A realtime session says which.
    let realtime = json!({
        "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 56, "audio_tokens": 8},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    });
    let counts =
        [(Input, 63), (CacheRead, 56), (CacheReadAudio, 8), (AudioInput, 5), (Output, 30), (AudioOutput, 91)];
    says(&realtime, Format::OpenaiResponses, &counts);
}

#[test]
fn those_who_speak_openais_format() {
    let deepseek = json!({
        "prompt_tokens": 21530, "completion_tokens": 9, "total_tokens": 21539,
        "prompt_cache_hit_tokens": 320, "prompt_cache_miss_tokens": 21210,
        "prompt_tokens_details": {"cached_tokens": 320},
    });
    says(&deepseek, Format::OpenaiChat, &[(Input, 21210), (CacheRead, 320), (Output, 9)]);
    // xAI counts reasoning on top; the total says so.
    let xai = json!({
        "prompt_tokens": 10120, "completion_tokens": 1499, "total_tokens": 14428,
        "prompt_tokens_details": {"text_tokens": 10120, "cached_tokens": 128},
        "completion_tokens_details": {"reasoning_tokens": 2809},
        "num_sources_used": 0, "cost_in_usd_ticks": 232_856_000,
    });
    says(&xai, Format::Xai, &[(Input, 9992), (CacheRead, 128), (Output, 1499), (Reasoning, 2809)]);
    // Google's endpoint names no reasoning; the total holds it.
    let google = json!({"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623});
    says(&google, Format::OpenaiChat, &[(Input, 20), (Output, 198), (Reasoning, 405)]);
    // Mistral charges for audio by the second; only its total holds the tokens of it.
    let mistral = json!({
        "prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3264, "completion_tokens": 635,
    });
    says(&mistral, Format::Mistral, &[(Input, 4), (Output, 635), (Second, 203)]);
    says(&json!({"prompt_audio_seconds": 2}), Format::Mistral, &[(Second, 2)]);
    let moonshot =
        json!({"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40, "cached_tokens": 10});
    says(&moonshot, Format::OpenaiChat, &[(Input, 9), (CacheRead, 10), (Output, 21)]);
}

#[test]
fn gateways_that_pass_openais_format_on() {
    let litellm = json!({
        "prompt_tokens": 98805, "completion_tokens": 5120, "total_tokens": 103_925,
        "prompt_tokens_details": {
            "text_tokens": null, "audio_tokens": null, "image_tokens": null, "cached_tokens": 66360,
            "cache_creation_tokens": 32435,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 32000, "ephemeral_1h_input_tokens": 435},
        },
        "completion_tokens_details": {"reasoning_tokens": 1710},
        "cache_read_input_tokens": 66360, "cache_creation_input_tokens": 32435,
    });
    let counts = [
        (Input, 10),
        (CacheRead, 66360),
        (CacheWrite, 32000),
        (CacheWrite1h, 435),
        (Output, 3410),
        (Reasoning, 1710),
    ];
    says(&litellm, Format::OpenaiChat, &counts);
    let openrouter = json!({
        "prompt_tokens": 194, "completion_tokens": 2, "total_tokens": 196, "cost": 0.95,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0},
        "cache_creation": {"ephemeral_1h_input_tokens": 60, "ephemeral_5m_input_tokens": 40},
        "service_tier": "priority",
    });
    says(&openrouter, Format::OpenaiChat, &[(Input, 94), (CacheWrite, 40), (CacheWrite1h, 60), (Output, 2)]);
    assert_eq!(read(&openrouter, None, "").unwrap().service_tier, Some(ServiceTier::Priority));
    let passed_on = json!({
        "prompt_tokens": 50, "completion_tokens": 1, "total_tokens": 51,
        "cache_read_input_tokens": 20, "cache_creation_input_tokens": 15,
    });
    says(&passed_on, Format::OpenaiChat, &[(Input, 15), (CacheRead, 20), (CacheWrite, 15), (Output, 1)]);
    let gateway = json!({
        "prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100,
        "cache_read_input_tokens": 40, "cache_creation_input_tokens": 20,
    });
    says(&gateway, Format::OpenaiChat, &[(Input, 40), (CacheRead, 40), (CacheWrite, 20)]);
}

#[test]
fn a_total_alone_is_halved() {
    says(&json!({"total_tokens": 10}), Format::OpenaiChat, &[(Input, 5), (Output, 5)]);
    says(&json!({"total_tokens": 11}), Format::OpenaiChat, &[(Input, 5), (Output, 6)]);
    says(&json!({"totalTokenCount": 1}), Format::Gemini, &[(Output, 1)]);
}

#[test]
fn a_total_and_one_side_tell_the_other() {
    says(&json!({"prompt_tokens": 4, "total_tokens": 11}), Format::OpenaiChat, &[(Input, 4), (Output, 7)]);
    let counts = [(Input, 100), (Output, 50)];
    says(&json!({"completion_tokens": 50, "total_tokens": 150}), Format::OpenaiChat, &counts);
    says(&json!({"output_tokens": 50, "total_tokens": 150}), Format::OpenaiResponses, &counts);
    says(&json!({"candidatesTokenCount": 50, "totalTokenCount": 150}), Format::Gemini, &counts);
    says(&json!({"completion_tokens": 50, "total_tokens": 50}), Format::OpenaiChat, &[(Output, 50)]);
    let details = json!({
        "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 20},
    });
    let counts = [(Input, 60), (CacheRead, 40), (Output, 30), (Reasoning, 20)];
    says(&details, Format::OpenaiChat, &counts);
    // Google's thoughts come on top, as far as the total has room for them.
    let thoughts =
        |total: u64| json!({"candidatesTokenCount": 50, "thoughtsTokenCount": 20, "totalTokenCount": total});
    says(&thoughts(150), Format::Gemini, &[(Input, 80), (Output, 50), (Reasoning, 20)]);
    says(&thoughts(50), Format::Gemini, &[(Output, 30), (Reasoning, 20)]);
}

#[test]
fn openai_responses() {
    let response = json!({
        "input_tokens": 328, "output_tokens": 852, "total_tokens": 1180,
        "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 28},
        "output_tokens_details": {"reasoning_tokens": 832},
    });
    let counts = [(Input, 200), (CacheRead, 100), (CacheWrite, 28), (Output, 20), (Reasoning, 832)];
    says(&response, Format::OpenaiResponses, &counts);
    let bare = json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7});
    says(&bare, Format::OpenaiResponses, &[(Input, 3), (Output, 4)]);
    let transcription = json!({
        "type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    });
    says(&transcription, Format::OpenaiResponses, &[(AudioInput, 14), (Output, 45)]);
    says(&json!({"type": "duration", "seconds": 9}), Format::Whisper, &[(Second, 9)]);
    // The images API: all of the output is an image, unless the details tell more.
    let image = json!({
        "total_tokens": 100, "input_tokens": 50, "output_tokens": 50,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    });
    says(&image, Format::OpenaiResponses, &[(Input, 10), (ImageInput, 40), (ImageOutput, 50)]);
    let seen = json!({
        "total_tokens": 100, "input_tokens": 50, "output_tokens": 50, "input_tokens_details": {"image_tokens": 40},
    });
    says(&seen, Format::OpenaiResponses, &[(Input, 10), (ImageInput, 40), (Output, 50)]);
    let told = json!({
        "total_tokens": 100, "input_tokens": 50, "output_tokens": 50,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        "output_tokens_details": {"text_tokens": 5, "image_tokens": 45},
    });
    let counts = [(Input, 10), (ImageInput, 40), (Output, 5), (ImageOutput, 45)];
    says(&told, Format::OpenaiResponses, &counts);
}

#[test]
fn anthropic() {
    let message = json!({
        "input_tokens": 2095, "output_tokens": 503, "cache_read_input_tokens": 1800,
        "cache_creation_input_tokens": 248,
        "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
        "output_tokens_details": {"thinking_tokens": 400},
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "batch", "inference_geo": "us", "speed": "fast",
    });
    let counts = [
        (Input, 2095),
        (CacheRead, 1800),
        (CacheWrite, 148),
        (CacheWrite1h, 100),
        (Output, 103),
        (Reasoning, 400),
        (WebSearch, 1),
    ];
    says(&message, Format::Anthropic, &counts);
    let reading = read(&message, None, "").unwrap();
    assert_eq!(reading.service_tier, Some(ServiceTier::Batch));
    assert_eq!((reading.region.as_deref(), reading.speed.as_deref()), (Some("us"), Some("fast")));
    for (geo, region) in [
        (json!("US"), Some("us")),
        (json!(" Eu-West.1\n"), Some("eu-west.1")),
        (json!("not_available"), Some("not_available")),
        (json!(null), None),
    ] {
        let message = json!({"input_tokens": 10, "inference_geo": geo, "speed": "Fast "});
        let reading = read(&message, None, "").unwrap();
        assert_eq!((reading.region.as_deref(), reading.speed.as_deref()), (region, Some("fast")), "{geo}");
    }
    let nulls = json!({
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": null,
        "cache_read_input_tokens": null, "cache_creation": null, "service_tier": null, "inference_geo": null,
    });
    says(&nulls, Format::Anthropic, &[(Input, 10), (Output, 5)]);
    let thinking = json!({
        "input_tokens": 10, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 4},
        "inference_geo": "global",
    });
    says(&thinking, Format::Anthropic, &[(Input, 10), (Output, 1), (Reasoning, 4)]);
    let by_life = json!({"output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 7}});
    says(&by_life, Format::Anthropic, &[(CacheWrite1h, 7), (Output, 1)]);
    let by_sum = json!({"input_tokens": 1, "cache_creation_input_tokens": 7});
    says(&by_sum, Format::Anthropic, &[(Input, 1), (CacheWrite, 7)]);
}

#[test]
fn a_compaction_is_charged_and_an_advisor_is_not() {
    let compacted = json!({
        "input_tokens": 23000, "output_tokens": 1000, "cache_read_input_tokens": 0,
        "iterations": [
            {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500, "cache_read_input_tokens": 50},
            {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
            {"type": "advisor_message", "model": "another", "input_tokens": 500, "output_tokens": 500},
        ],
    });
    says(&compacted, Format::Anthropic, &[(Input, 203_000), (CacheRead, 50), (Output, 4500)]);
}

#[test]
fn gemini() {
    let thinking = json!({
        "promptTokenCount": 500, "candidatesTokenCount": 120, "toolUsePromptTokenCount": 300,
        "thoughtsTokenCount": 10, "cachedContentTokenCount": 200, "totalTokenCount": 930,
        "trafficType": "ON_DEMAND_FLEX",
    });
    let counts = [(Input, 600), (CacheRead, 200), (Output, 120), (Reasoning, 10)];
    says(&thinking, Format::Gemini, &counts);
    assert_eq!(read(&thinking, None, "").unwrap().service_tier, Some(ServiceTier::Flex));
    // Without a total, thoughts come on top; where the total leaves no room for that, they were counted within.
    let apart = json!({"promptTokenCount": 10, "candidatesTokenCount": 8, "thoughtsTokenCount": 5});
    says(&apart, Format::Gemini, &[(Input, 10), (Output, 8), (Reasoning, 5)]);
    let within = json!({
        "promptTokenCount": 10, "candidatesTokenCount": 8, "thoughtsTokenCount": 5, "totalTokenCount": 18,
    });
    says(&within, Format::Gemini, &[(Input, 10), (Output, 3), (Reasoning, 5)]);
    // Zeros are left out on Google's wire.
    let thoughts = json!({"promptTokenCount": 21, "thoughtsTokenCount": 60, "totalTokenCount": 81});
    says(&thoughts, Format::Gemini, &[(Input, 21), (Reasoning, 60)]);
}

#[test]
fn gemini_by_modality() {
    let media = json!({"usageMetadata": {
        "promptTokenCount": 1000, "cachedContentTokenCount": 300, "candidatesTokenCount": 1290,
        "totalTokenCount": 2290,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 100}, {"modality": "AUDIO", "tokenCount": 400},
            {"modality": "IMAGE", "tokenCount": 258}, {"modality": "VIDEO", "tokenCount": 242},
        ],
        "cacheTokensDetails": [
            {"modality": "AUDIO", "tokenCount": 250}, {"modality": "TEXT", "tokenCount": 50},
        ],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
    }});
    let counts = [
        (Input, 292),
        (CacheRead, 50),
        (CacheReadAudio, 250),
        (AudioInput, 150),
        (ImageInput, 258),
        (ImageOutput, 1290),
    ];
    says(&media, Format::Gemini, &counts);
    let snake = json!({"usage_metadata": {
        "prompt_token_count": 30, "tool_use_prompt_token_count": 12, "response_token_count": 9,
        "total_token_count": 51,
        "prompt_tokens_details": [{"modality": "AUDIO", "token_count": 30}],
        "tool_use_prompt_tokens_details": [{"modality": "IMAGE", "token_count": 12}],
        "response_tokens_details": [{"modality": "AUDIO", "token_count": 9}],
    }});
    says(&snake, Format::Gemini, &[(AudioInput, 30), (ImageInput, 12), (AudioOutput, 9)]);
    // What was cached is told by modality, the prompt is not: nothing to take away from it.
    let untold = json!({
        "promptTokenCount": 10, "cachedContentTokenCount": 6, "candidatesTokenCount": 1, "totalTokenCount": 11,
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}],
    });
    says(&untold, Format::Gemini, &[(Input, 4), (CacheReadAudio, 6), (Output, 1)]);
}

#[test]
fn cohere() {
    let chat = json!({
        "billed_units": {"input_tokens": 6772, "output_tokens": 248},
        "tokens": {"input_tokens": 7596, "output_tokens": 645},
    });
    says(&chat, Format::Cohere, &[(Input, 6772), (Output, 248)]);
    let billed = json!({"billed_units": {"input_tokens": 5, "output_tokens": 418}, "tokens": null});
    says(&billed, Format::Cohere, &[(Input, 5), (Output, 418)]);
    says(
        &json!({"tokens": {"input_tokens": 4, "output_tokens": 2}}),
        Format::Cohere,
        &[(Input, 4), (Output, 2)],
    );
    let rerank = json!({"api_version": {"version": "2"}, "billed_units": {"search_units": 3}});
    says(&rerank, Format::Cohere, &[(Request, 3)]);
    says(&json!({"billed_units": {"classifications": 5}}), Format::Cohere, &[(Request, 5)]);
    says(&json!({"billed_units": {"images": 2, "input_tokens": 0}}), Format::Cohere, &[(Image, 2)]);
    // 824 tokens are not billed; so many of the cached ones are taken to be among them.
    for (cached, read) in [(0, 0), (824, 0), (825, 1), (7596, 6772)] {
        let mut chat = chat.clone();
        chat["cached_tokens"] = json!(cached);
        says(&chat, Format::Cohere, &[(Input, 6772 - read), (CacheRead, read), (Output, 248)]);
    }
}

#[test]
fn words_of_service_tiers() {
    for (word, tier) in [
        ("standard", Some(ServiceTier::Standard)),
        ("default", Some(ServiceTier::Standard)),
        ("flex", Some(ServiceTier::Flex)),
        ("priority", Some(ServiceTier::Priority)),
        ("batch", Some(ServiceTier::Batch)),
        ("ON_DEMAND", Some(ServiceTier::Standard)),
        ("ON_DEMAND_PRIORITY", Some(ServiceTier::Priority)),
        ("scale", None),
        ("PROVISIONED_THROUGHPUT", None),
        ("", None),
    ] {
        let object = json!({"prompt_tokens": 1, "service_tier": word});
        assert_eq!(read(&object, None, "").unwrap().service_tier, tier, "{word}");
        let object = json!({"promptTokenCount": 1, "trafficType": word});
        assert_eq!(read(&object, None, "").unwrap().service_tier, tier, "{word}");
    }
}

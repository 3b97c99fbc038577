//! Web searches, executions of code and audio that was read from a cache: what is read of them, and what they cost.

use super::*;
use Component::*;
use serde_json::{Value, json};

/// A dollar a million tokens, and one for a unit.
const DOLLAR: i64 = 1_000_000_000;
const ONE: i64 = 1_000_000_000_000_000;

/// Whether an object is read without a doubt; its searches, executions and cached audio, its text read from a cache.
fn counted(object: &Value) -> (bool, [u64; 4]) {
    let reading = read(object, None, "").unwrap();
    let counts = [WebSearch, CodeExecution, CacheReadAudio, CacheRead];
    (reading.doubts.is_empty(), counts.map(|component| reading.usage.get(component)))
}

#[test]
fn searches_and_executions_are_counted_as_each_provider_tells_them() {
    let anthropic = |tools: Value| json!({"input_tokens": 10, "output_tokens": 5, "server_tool_use": tools});
    let chat = |field: &str, tools: Value| json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, field: tools});
    let xai = |tools: Value| json!({"input_tokens": 10, "output_tokens": 5, "server_side_tool_usage_details": tools});
    for (object, exact, searches, executions) in [
        (anthropic(json!({"web_search_requests": 3, "web_fetch_requests": 9})), true, 3, 0),
        (anthropic(json!({"web_search_requests": 0, "code_execution_requests": 2})), true, 0, 2),
        (anthropic(json!(null)), true, 0, 0),
        (anthropic(json!({"web_search_requests": "3"})), false, 3, 0),
        (chat("server_tool_use", json!({"web_search_requests": 2, "tool_calls_executed": 2})), true, 2, 0),
        (chat("server_tool_use", json!({"web_search_requests": 1, "tool_calls_executed": 2})), false, 1, 0),
        (chat("server_tool_use_details", json!({"tool_calls_executed": 1})), false, 0, 0),
        (chat("prompt_tokens_details", json!({"web_search_requests": 4})), true, 4, 0),
        (chat("num_search_queries", json!(7)), true, 7, 0),
        (chat("num_sources_used", json!(0)), true, 0, 0),
        (chat("num_sources_used", json!(7)), false, 0, 0),
        (xai(json!({"web_search_calls": 2, "x_search_calls": 5, "code_interpreter_calls": 1})), true, 7, 1),
        (xai(json!({"web_search_calls": 2, "mcp_calls": 3, "file_search_calls": 0})), true, 2, 0),
        (xai(json!({"web_search_calls": 2, "file_search_calls": 1})), false, 2, 0),
        (json!({"inputTokens": 1, "outputTokens": 1, "serverToolUsage": {}}), true, 0, 0),
        (json!({"inputTokens": 1, "outputTokens": 1, "serverToolUsage": {"webSearches": 1}}), false, 0, 0),
        (json!({"input_tokens": 1, "web_searches": 2, "code_executions": 3}), true, 2, 3),
    ] {
        assert_eq!(counted(&object), (exact, [searches, executions, 0, 0]), "{object}");
    }
}

#[test]
fn connectors_are_mistrals_and_what_they_read_is_prompt() {
    let object = |connectors: Value| {
        json!({"prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 7355, "connector_tokens": 7112,
            "connectors": connectors})
    };
    let read_of = |connectors: Value| read(&object(connectors), None, "").unwrap();
    let reading = read_of(json!({"web_search": 1, "code_interpreter": 2}));
    assert_eq!((reading.format, reading.doubts.len()), (Format::Mistral, 0));
    let counts = [Input, Output, Reasoning, WebSearch, CodeExecution].map(|class| reading.usage.get(class));
    assert_eq!(counts, [7300, 55, 0, 1, 2]);
    assert_eq!(read_of(json!({"web_search_premium": 1})).doubts.len(), 1);
    let within = json!({"prompt_tokens": 7300, "completion_tokens": 55, "total_tokens": 7355, "connector_tokens": 7112});
    assert_eq!(read(&within, None, "").unwrap().usage.prompt_tokens(), 7300);
}

#[test]
fn cached_audio_is_in_one_class() {
    let modality =
        |name: &str, tokens: u64| json!([{"modality": name, "tokenCount": tokens, "tokens": tokens}]);
    for (object, audio, text) in [
        (
            json!({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 60,
                "cached_tokens_details": {"audio_tokens": 50, "text_tokens": 14}}}),
            50,
            14,
        ),
        (
            json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 64, "audio_tokens": 60,
                "cached_tokens_details": {"audio_tokens": 50, "text_tokens": 14}}}),
            50,
            14,
        ),
        (
            json!({"promptTokenCount": 100, "cachedContentTokenCount": 64,
                "promptTokensDetails": modality("AUDIO", 60), "cacheTokensDetails": modality("AUDIO", 50)}),
            50,
            14,
        ),
        (
            json!({"total_input_tokens": 100, "total_cached_tokens": 64,
                "input_tokens_by_modality": modality("audio", 60),
                "cached_tokens_by_modality": modality("audio", 50)}),
            50,
            14,
        ),
        (json!({"cache_read_audio_tokens": 50, "cache_read_tokens": 14}), 50, 14),
        // What was written may have been the audio.
        (
            json!({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10,
                "audio_tokens": 60}}),
            0,
            60,
        ),
    ] {
        assert_eq!(counted(&object), (true, [0, 0, audio, text]), "{object}");
    }
}

#[test]
fn cached_audio_without_a_rate_costs_the_share_of_audio() {
    let flex = ServiceTier::Flex;
    let price = |standard: &[(Component, i64)], flexible: &[(Component, i64)]| {
        let cards = [(None, ServiceTier::Standard, standard.to_vec()), (None, flex, flexible.to_vec())];
        tiered(TierBy::PromptTokens, cards.into_iter().filter(|(_, _, rates): &Stated| !rates.is_empty()))
    };
    let all = [(Input, 300), (CacheRead, 30), (AudioInput, 1000)];
    for (standard, flexible, from, rate, shared) in [
        (&all[..], &[][..], AudioInput, 100, true),
        // Rounded up, so that a bound is no less.
        (&[(Input, 300), (CacheRead, 31), (AudioInput, 1000)], &[], AudioInput, 104, true),
        (
            &[(Input, 300), (CacheRead, 30), (AudioInput, 1000), (CacheReadAudio, 7)],
            &[],
            CacheReadAudio,
            7,
            false,
        ),
        // Both halves of the ratio are of one service tier.
        (&all, &[(Input, 150), (CacheRead, 30), (AudioInput, 500)], AudioInput, 100, true),
        (&all, &[(Input, 150), (AudioInput, 500)], AudioInput, 50, true),
        (&all, &[(CacheReadAudio, 9)], CacheReadAudio, 9, false),
        // A cache that is dearer than no cache makes audio no dearer.
        (&[(Input, 300), (CacheRead, 600), (AudioInput, 1000)], &[], AudioInput, 1000, true),
        // One of the three is missing, or nothing can be a share of it.
        (&[(Input, 300), (CacheRead, 30)], &[], CacheRead, 30, false),
        (&[(CacheRead, 30), (AudioInput, 1000)], &[], CacheRead, 30, false),
        (&[(Input, 300), (AudioInput, 1000)], &[], AudioInput, 1000, false),
        (&[(Input, 300)], &[], Input, 300, false),
        (&[(Input, 0), (CacheRead, 30), (AudioInput, 1000)], &[], CacheRead, 30, false),
    ] {
        let tier = if flexible.is_empty() { ServiceTier::Standard } else { flex };
        let bill =
            bill(&price(standard, flexible), &used([(CacheReadAudio, 1_000_000)]), &served(tier)).unwrap();
        let line = &bill.lines[0];
        let found = (line.rate_from.component, line.rate_from.share.is_some(), bill.cost);
        assert_eq!(found, (from, shared, Nanos(rate)), "{standard:?} {flexible:?}");
    }
    let line = bill(&price(&all, &[]), &used([(CacheReadAudio, 1)]), &standard()).unwrap().lines.remove(0);
    let expected = json!({
        "component": "audio_input", "service_tier": "standard",
        "share": {"audio_input": "0.000001", "cache_read": "0.00000003", "input": "0.0000003"},
    });
    assert_eq!(serde_json::to_value(line.rate_from).unwrap(), expected);
}

#[test]
fn a_search_is_free_at_no_price_that_charges() {
    let call = used([(Input, 10), (Output, 10), (Request, 1), (WebSearch, 3), (CodeExecution, 1)]);
    let unpriced =
        |rates: &[(Component, i64)]| bill(&at(rates.iter().copied()), &call, &standard()).unwrap().unpriced;
    assert_eq!(unpriced(&[(Input, DOLLAR), (Output, DOLLAR)]), [WebSearch, CodeExecution]);
    assert_eq!(unpriced(&[(Input, DOLLAR), (Output, DOLLAR), (WebSearch, 0), (CodeExecution, 0)]), []);
    assert_eq!(unpriced(&[(Input, DOLLAR), (Output, DOLLAR), (Request, 5)]), [WebSearch, CodeExecution]);
    assert_eq!(unpriced(&[(Input, 0), (Output, DOLLAR), (WebSearch, ONE)]), [CodeExecution]);
    assert_eq!(unpriced(&[(Image, 5), (Input, 1), (Output, 0)]), [WebSearch, CodeExecution]);
    // A price that charges nothing, one that is flat, and one by the request alone say all that is charged.
    assert_eq!(unpriced(&[(Input, 0), (Output, 0)]), []);
    assert_eq!(unpriced(&[]), []);
    assert_eq!(unpriced(&[(Request, 5)]), []);
    assert_eq!(unpriced(&[(Request, 5), (Image, 5)]), []);
    let terms = at([(Input, DOLLAR), (Output, DOLLAR), (WebSearch, ONE / 100), (CodeExecution, ONE / 200)]);
    let bill = bill(&terms, &call, &standard()).unwrap();
    assert_eq!((bill.exact.to_string().as_str(), bill.is_priced()), ("0.03502", true));
    let line = serde_json::to_value(&bill.lines[2]).unwrap();
    let expected = json!({
        "component": "web_search", "quantity": 3, "rate": "0.01", "per": 1, "amount": "0.03",
        "rate_from": {"component": "web_search", "service_tier": "standard"},
    });
    assert_eq!(line, expected);
}

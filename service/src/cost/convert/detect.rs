//! Whose usage object it is, told by its shape.

use super::{Format, object::Object, tollkeeper};

/// Where a reply holds its usage object.
const WITHIN: [&str; 5] =
    ["usage", "usageMetadata", "meta", "amazon-bedrock-invocationMetrics", "last_token_usage"];

/// Where an event of a stream holds the reply.
const REPLY: [&str; 2] = ["message", "response"];

/// A test of the shape.
type Test = fn(&Object<'_>) -> bool;

/// Whether an object has one of these fields, in camelCase or in snake_case.
fn has(object: &Object<'_>, fields: &[&str]) -> bool {
    fields.iter().any(|field| object.has(field))
}

/// Whether it has one of these fields as they are spelled.
fn spells(object: &Object<'_>, fields: &[&str]) -> bool {
    fields.iter().any(|field| object.spells(field))
}

/// Whose shape an object has: that of the first whose test it passes.
const SHAPES: [(Format, Test); 17] = [
    (Format::GeminiInteractions, |object| {
        has(object, &["totalInputTokens", "totalOutputTokens", "totalThoughtTokens"])
    }),
    (Format::BedrockInvoke, |object| {
        let metrics = ["inputTokenCount", "outputTokenCount", "inputTextTokenCount"];
        spells(object, &metrics) || object.spells("generation_token_count")
    }),
    (Format::Ollama, |object| has(object, &["prompt_eval_count", "eval_count"])),
    (Format::Mistral, |object| {
        has(object, &["num_cached_tokens", "prompt_audio_seconds", "connector_tokens"])
    }),
    (Format::Xai, |object| {
        has(object, &["cost_in_usd_ticks", "num_sources_used", "server_side_tool_usage_details"])
    }),
    (Format::Perplexity, |object| has(object, &["citation_tokens", "num_search_queries"])),
    (Format::OpenaiChat, |object| has(object, &["prompt_tokens", "completion_tokens"])),
    (Format::AiSdk, |object| {
        let flat = ["promptTokens", "completionTokens", "cachedInputTokens", "reasoningTokens"];
        let details = ["inputTokenDetails", "outputTokenDetails"];
        let sides = ["inputTokens", "outputTokens"];
        spells(object, &flat)
            || spells(object, &details)
            || sides.iter().any(|side| object.spells(side) && object.has_object(side))
    }),
    (Format::BedrockConverse, |object| {
        spells(object, &["inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens"])
    }),
    (Format::GeminiEmbeddings, |object| object.has("promptTokenDetails")),
    (Format::Gemini, |object| has(object, &["promptTokenCount", "candidatesTokenCount", "totalTokenCount"])),
    (Format::Cohere, |object| has(object, &["billed_units", "tokens"])),
    (Format::Codex, |object| has(object, &["cached_input_tokens", "reasoning_output_tokens"])),
    (Format::Anthropic, |object| {
        let caches = ["cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"];
        // An answer without a cache tells no more than the two sides, and how it was served.
        let sides = object.has("input_tokens") && object.has("output_tokens") && !object.has("total_tokens");
        has(object, &caches)
            || has(object, &["server_tool_use", "inference_geo", "iterations"])
            || sides && has(object, &["service_tier", "speed"])
    }),
    (Format::Whisper, |object| object.says("type", "duration") || object.has_number("duration")),
    (Format::OpenaiResponses, |object| {
        let details = ["input_tokens_details", "output_tokens_details"];
        let realtime = ["input_token_details", "output_token_details"];
        let sides = has(object, &["input_tokens", "output_tokens"]);
        has(object, &details)
            || has(object, &realtime)
            || object.has("type")
            || sides && object.has("total_tokens")
    }),
    (Format::OpenaiChat, |object| object.has("total_tokens")),
];

/// The format of an object; none if it has the shape of no provider.
pub(super) fn format(object: &Object<'_>) -> Option<Format> {
    SHAPES.into_iter().find(|(_, test)| test(object)).map(|(format, _)| format)
}

/// What names of counts speak of.
const COUNTED: [&str; 7] = ["token", "count", "usage", "unit", "second", "character", "page"];

/// Whether a field counts something, by its name.
pub(super) fn counts(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    COUNTED.iter().any(|word| name.contains(word))
}

/// Whether an object that has the shape of no provider is one of ours, be it a wrong one: it has a field of ours, or none that
/// counts anything.
pub(super) fn is_ours(object: &Object<'_>) -> bool {
    object.names().any(|name| tollkeeper::knows(name)) || !object.names().any(|name| counts(name))
}

/// The field of an event that holds a reply with its usage object; other objects of these names are messages.
fn reply(event: &Object<'_>) -> Option<&'static str> {
    let holds = |field: &str| event.object(field).is_ok_and(|reply| reply.has_object("usage"));
    REPLY.into_iter().find(|field| event.has_object(field) && holds(field))
}

/// The usage object within a reply, and whose it is by where it stands; the object itself, if it is none of a reply.
pub(super) fn unwrapped(object: Object<'_>) -> (Object<'_>, Option<Format>) {
    let mut found = (object, None);
    for _ in 0..2 {
        let within = WITHIN.into_iter().find(|field| found.0.has_object(field));
        let surely = |field: &&str| *field != "meta" || format(&found.0).is_none();
        let Some(field) = within.filter(surely).or_else(|| reply(&found.0)) else { break };
        let Ok(inner) = found.0.object(field) else { break };
        found = (inner, (field == "usageMetadata").then_some(Format::Gemini));
    }
    found
}

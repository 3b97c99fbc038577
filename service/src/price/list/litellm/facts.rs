//! What an entry says of its model besides what it costs.

use super::{
    super::Facts,
    field::{Field, find},
};
use crate::validate::Faults;
use chrono::NaiveDate;
use entity::{json::Capabilities, money};

/// The largest number of tokens that is believed.
const LARGEST: i64 = 1_000_000_000_000;

/// Whose the model is, as a word: the service, without the kind of its models.
pub(super) fn provider(fields: &[Field<'_>]) -> Result<Option<String>, &'static str> {
    let Some(field) = find(fields, "litellm_provider") else { return Ok(None) };
    let text = field.text().unwrap_or_default().to_lowercase();
    let word = match text.as_str() {
        "text-completion-openai" => "openai",
        "text-completion-codestral" => "codestral",
        "azure_text" => "azure",
        "anthropic_text" => "anthropic",
        "cohere_chat" => "cohere",
        "bedrock_converse" => "bedrock",
        other if other.starts_with("vertex_ai-") => "vertex_ai",
        other => {
            other.split_once('-').filter(|(_, kind)| kind.ends_with("models")).map_or(other, |(word, _)| word)
        }
    };
    let mut faults = Faults::default();
    faults.word("", word);
    faults.finish().map_err(|_| "its provider is no word of at most 64 characters")?;
    Ok(Some(word.to_owned()))
}

/// What is said of the model.
pub(super) fn facts(fields: &[Field<'_>], notes: &mut Vec<String>) -> Facts {
    let tokens = |name: &str, notes: &mut Vec<String>| {
        let field = find(fields, name)?;
        let number = field.number().and_then(|number| money::scaled(&number, 0).ok());
        let believed = number.filter(|tokens| (1..=LARGEST).contains(tokens));
        if believed.is_none() {
            notes.push(format!("{name} is no number of tokens"));
        }
        believed
    };
    let context = tokens("max_input_tokens", notes);
    Facts {
        capabilities: capabilities(fields),
        context_window: context.or_else(|| tokens("max_tokens", notes)),
        max_output_tokens: tokens("max_output_tokens", notes),
        deprecated_on: day(fields, notes),
    }
}

fn day(fields: &[Field<'_>], notes: &mut Vec<String>) -> Option<NaiveDate> {
    let field = find(fields, "deprecation_date")?;
    let day = field.text().and_then(|text| text.parse().ok());
    if day.is_none() {
        notes.push("deprecation_date is no day".to_owned());
    }
    day
}

fn capabilities(fields: &[Field<'_>]) -> Capabilities {
    let mode = find(fields, "mode").and_then(Field::text).unwrap_or_default();
    let is = |modes: &[&str]| modes.contains(&&*mode);
    let supports = |names: &[&str]| {
        fields.iter().any(|field| {
            field.raw == "true"
                && field.name.strip_prefix("supports_").is_some_and(|name| names.contains(&name))
        })
    };
    let lists = |name: &str, word: &str| {
        let listed = find(fields, name).and_then(|field| serde_json::from_str::<Vec<String>>(field.raw).ok());
        listed.is_some_and(|words| words.iter().any(|listed| listed == word))
    };
    // The list names few of the models of conversations that stream and take a system prompt, and those that do not.
    let converses = is(&["chat", "completion", "responses"]);
    let denies = |name: &str| find(fields, name).is_some_and(|field| field.raw == "false");
    let takes = |kind| lists("supported_modalities", kind) || lists("supported_input_modalities", kind);
    let makes = |kind| lists("supported_output_modalities", kind);
    Capabilities {
        chat: is(&["chat", "responses"]),
        completion: is(&["completion"]),
        embedding: is(&["embedding"]),
        rerank: is(&["rerank"]),
        vision: supports(&["vision", "image_input", "embedding_image_input"]) || takes("image"),
        pdf_input: supports(&["pdf_input"]),
        audio_input: supports(&["audio_input"]) || is(&["audio_transcription"]) || takes("audio"),
        video_input: supports(&["video_input"]) || takes("video"),
        function_calling: supports(&["function_calling"]),
        streaming: supports(&["native_streaming"]) || converses && !denies("supports_native_streaming"),
        reasoning: supports(&["reasoning"]),
        json: supports(&["response_schema", "native_structured_output"]),
        system_prompt: supports(&["system_messages"])
            || is(&["chat", "responses"]) && !denies("supports_system_messages"),
        prompt_caching: supports(&["prompt_caching"]),
        web_search: supports(&["web_search"]) || is(&["search"]),
        image_generation: is(&["image_generation", "image_edit"]) || makes("image"),
        video_generation: is(&["video_generation"]) || makes("video"),
        audio_generation: supports(&["audio_output"]) || is(&["audio_speech"]) || makes("audio"),
        transcription: is(&["audio_transcription"]),
        realtime: is(&["realtime"]) || lists("supported_endpoints", "/v1/realtime"),
    }
}

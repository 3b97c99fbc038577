//! Usage objects as providers send them, read into disjoint classes. One file a provider; all of them count through
//! [`Object`], so what is no count is refused with its place, and split through [`split`], so that the classes of a call sum
//! to the provider's own total and no token is in two of them.

mod anthropic;
mod cohere;
mod gemini;
mod object;
mod openai_chat;
mod openai_responses;
mod split;
mod tollkeeper;

use super::Usage;
use crate::Result;
use entity::terms::ServiceTier;
use object::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Whose usage object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Our own: one field a class.
    Tollkeeper,
    /// OpenAI's chat completions and embeddings, and of those who follow them.
    OpenaiChat,
    /// OpenAI's responses, images, transcriptions and realtime sessions.
    OpenaiResponses,
    /// Anthropic's messages.
    Anthropic,
    /// Google's `usageMetadata`.
    Gemini,
    /// Cohere's chat, embeddings and reranking.
    Cohere,
}

/// What a usage object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How much of everything.
    pub usage: Usage,
    /// Whose object it is.
    pub format: Format,
    /// How urgently the call was served, if the object says.
    pub service_tier: Option<ServiceTier>,
    /// Where it was served, if the object says.
    pub region: Option<String>,
    /// How fast it was served, if the object says.
    pub speed: Option<String>,
}

/// Reads a usage object; without a format, its shape decides. What is wrong is named by its JSON pointer under `at`.
pub fn read(usage: &Value, format: Option<Format>, at: &str) -> Result<Reading> {
    let object = Object::of(usage, at)?;
    let format = format.unwrap_or_else(|| Format::of(&object));
    match format {
        Format::Tollkeeper => tollkeeper::read(&object),
        Format::OpenaiChat => openai_chat::read(&object),
        Format::OpenaiResponses => openai_responses::read(&object),
        Format::Anthropic => anthropic::read(&object),
        Format::Gemini => gemini::read(&object),
        Format::Cohere => cohere::read(&object),
    }
}

impl Format {
    /// Whose shape an object has: that of the first who has a field of these. What has none of them is ours.
    fn of(object: &Object<'_>) -> Self {
        const SHAPES: [(Format, &[&str]); 6] = [
            (Format::OpenaiChat, &["prompt_tokens", "completion_tokens", "prompt_audio_seconds"]),
            (
                Format::Gemini,
                &["usageMetadata", "promptTokenCount", "candidatesTokenCount", "totalTokenCount"],
            ),
            (Format::Cohere, &["billed_units", "tokens"]),
            (
                Format::Anthropic,
                &[
                    "cache_creation_input_tokens",
                    "cache_read_input_tokens",
                    "cache_creation",
                    "server_tool_use",
                    "inference_geo",
                    "iterations",
                ],
            ),
            (
                Format::OpenaiResponses,
                &[
                    "input_tokens_details",
                    "output_tokens_details",
                    "input_token_details",
                    "output_token_details",
                    "type",
                ],
            ),
            (Format::OpenaiChat, &["total_tokens"]),
        ];
        let has = |fields: &[&str]| fields.iter().any(|field| object.has(field));
        let shape = SHAPES.into_iter().find(|(_, fields)| has(fields));
        match shape {
            Some((_, ["total_tokens"])) if has(&["input_tokens", "output_tokens"]) => Self::OpenaiResponses,
            Some((format, _)) => format,
            None => Self::Tollkeeper,
        }
    }
}

impl Reading {
    fn new(format: Format, usage: Usage) -> Self {
        Self { usage, format, service_tier: None, region: None, speed: None }
    }

    /// With the service tier that the object names, if it is one that is charged for.
    fn served(mut self, object: &Object<'_>, field: &str) -> Result<Self> {
        self.service_tier = object.text(field)?.and_then(service_tier);
        Ok(self)
    }
}

/// The words of all providers; a word that none of them charges for, such as `scale` or `provisioned_throughput`, is none.
fn service_tier(word: &str) -> Option<ServiceTier> {
    match word.to_ascii_lowercase().as_str() {
        "standard" | "default" | "on_demand" => Some(ServiceTier::Standard),
        "batch" => Some(ServiceTier::Batch),
        "flex" | "on_demand_flex" => Some(ServiceTier::Flex),
        "priority" | "on_demand_priority" => Some(ServiceTier::Priority),
        _ => None,
    }
}

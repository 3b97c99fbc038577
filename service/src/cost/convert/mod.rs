//! Usage objects as providers send them, read into disjoint classes. One file a provider; all of them count through
//! [`Object`], and split through [`split`], so that the classes of a call sum to the provider's own total and no token is in
//! two of them. What cannot be read exactly is a doubt, with its place: the rest is read all the same.

mod advisor;
mod anthropic;
mod bedrock;
mod cohere;
mod detect;
mod gemini;
mod object;
mod openai_chat;
mod openai_responses;
mod perplexity;
mod plain;
mod split;
mod stated;
mod tier;
mod tollkeeper;
mod tools;

pub use advisor::Advisor;
pub use stated::{STATED_IN, charged_as_stated};
pub use tier::{ServiceTierWord, stated_tier};

use super::Usage;
use crate::{Result, error::FieldError};
use entity::{money::Nanos, terms::ServiceTier};
use object::{Doubts, Object};
use openai_chat::Dialect;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use split::Sides;
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
    /// Amazon Bedrock's Converse.
    BedrockConverse,
    /// Amazon Bedrock's InvokeModel: the model's own object, or the metrics of the invocation.
    BedrockInvoke,
    /// Google's Interactions API.
    GeminiInteractions,
    /// Google's embeddings.
    GeminiEmbeddings,
    /// Mistral's chat completions, embeddings and transcriptions.
    Mistral,
    /// Ollama's own API.
    Ollama,
    /// Perplexity's chat completions and deep research.
    Perplexity,
    /// Voyage's embeddings, and rerankers that tell a total alone.
    Voyage,
    /// The length of audio that Whisper has transcribed.
    Whisper,
    /// The AI SDK's usage.
    AiSdk,
    /// Codex's session files.
    Codex,
    /// xAI's chat completions and responses.
    Xai,
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
    /// Whether it tells a total alone, which is split into halves for want of better knowledge.
    pub unsided: bool,
    /// Other models that were asked on the way, each at a price of its own.
    pub advisors: Vec<Advisor>,
    /// What the provider says that the call costs, in US dollars.
    pub stated_cost: Option<Nanos>,
    /// What could not be read exactly, each with its place.
    pub doubts: Vec<FieldError>,
}

/// Reads a usage object; without a format, its shape decides. Places are JSON pointers under `at`.
///
/// An object of our own that is wrong is refused. A provider's never is, as the call was served: what cannot be read of it is
/// told in `doubts`.
pub fn read(usage: &Value, format: Option<Format>, at: &str) -> Result<Reading> {
    let doubts = Doubts::default();
    let mut reading = read_noting(usage, format, at, &doubts)?;
    reading.doubts = doubts.into_found();
    Ok(reading)
}

fn read_noting(usage: &Value, stated: Option<Format>, at: &str, doubts: &Doubts) -> Result<Reading> {
    let (object, found) = detect::unwrapped(Object::of(usage, at, doubts)?);
    let known = stated.or_else(|| detect::format(&object)).or(found);
    let ours = known.is_none() && detect::is_ours(&object);
    if ours || stated == Some(Format::Tollkeeper) {
        doubts.refuse();
    }
    let format = known.unwrap_or(Format::Tollkeeper);
    let reading = match format.read(&object) {
        Ok(reading) => reading,
        Err(error) => {
            doubts.note(error)?;
            Reading::new(format, Usage::default())
        }
    };
    let stated_cost = if format == Format::Tollkeeper { None } else { stated::cost(&object)? };
    Ok(Reading { stated_cost, ..reading })
}

impl Format {
    fn read(self, object: &Object<'_>) -> Result<Reading> {
        match self {
            Self::Tollkeeper => tollkeeper::read(object),
            Self::OpenaiChat => openai_chat::read(object, Dialect::OpenAi),
            Self::Mistral => openai_chat::read(object, Dialect::Mistral),
            Self::Xai if object.has("input_tokens") => openai_responses::read(object, self),
            Self::Xai => openai_chat::read(object, Dialect::Xai),
            Self::Perplexity => perplexity::read(object),
            Self::OpenaiResponses => openai_responses::read(object, self),
            Self::Anthropic => anthropic::read(object, self),
            Self::BedrockConverse => bedrock::converse(object),
            Self::BedrockInvoke => bedrock::invoke(object),
            Self::Gemini => gemini::content(object),
            Self::GeminiInteractions => gemini::interactions(object),
            Self::GeminiEmbeddings => gemini::embeddings(object),
            Self::Cohere => cohere::read(object),
            Self::Ollama => plain::ollama(object),
            Self::Voyage => plain::voyage(object),
            Self::Whisper => plain::whisper(object),
            Self::AiSdk => plain::ai_sdk(object),
            Self::Codex => plain::codex(object),
        }
    }
}

impl Reading {
    fn new(format: Format, usage: Usage) -> Self {
        Self {
            usage,
            format,
            service_tier: None,
            region: None,
            speed: None,
            unsided: false,
            advisors: Vec::new(),
            stated_cost: None,
            doubts: Vec::new(),
        }
    }

    /// With what is known of its sides.
    fn sided(mut self, sides: Sides) -> Self {
        self.unsided = sides.unsided;
        self
    }

    /// With the service tier that the object names, if it is one that is charged for. What an unknown one costs is not known.
    fn served(mut self, object: &Object<'_>, field: &str) -> Result<Self> {
        let Some(word) = object.text(field)?.filter(|word| !word.trim().is_empty()) else { return Ok(self) };
        match ServiceTierWord::parse(word) {
            Some(known) => self.service_tier = known.tier(),
            None => object.doubt(object.wrong(field, "unknown", "is no service tier that is known"))?,
        }
        Ok(self)
    }
}

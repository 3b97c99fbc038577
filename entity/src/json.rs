//! Small typed values that are stored as JSON.

use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A list of texts: model globs, scopes, networks, permissions, identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
pub struct Texts(pub Vec<String>);

/// Labels, such as a cost centre: text → text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[schema(example = json!({"cost_centre": "4711"}))]
pub struct Tags(pub BTreeMap<String, String>);

/// A caller's own JSON object, kept as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[schema(example = json!({"ticket": "OPS-7"}))]
pub struct Metadata(pub serde_json::Map<String, serde_json::Value>);

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a model can do.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Capabilities { $($(#[$doc])* pub $name: bool),* }
    };
}
capabilities! {
    /// Holds conversations.
    chat,
    /// Completes plain text.
    completion,
    /// Makes embeddings.
    embedding,
    /// Ranks documents.
    rerank,
    /// Sees images.
    vision,
    /// Reads PDF files.
    pdf_input,
    /// Hears audio.
    audio_input,
    /// Watches video.
    video_input,
    /// Calls functions.
    function_calling,
    /// Streams its answer.
    streaming,
    /// Reasons before it answers.
    reasoning,
    /// Answers by a JSON schema.
    json,
    /// Takes system prompts.
    system_prompt,
    /// Reads prompts from a cache.
    prompt_caching,
    /// Searches the web.
    web_search,
    /// Makes images.
    image_generation,
    /// Makes video.
    video_generation,
    /// Makes audio.
    audio_generation,
    /// Writes down what is said.
    transcription,
    /// Talks in real time.
    realtime,
}

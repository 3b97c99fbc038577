//! Small typed values that are stored as JSON.

use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A list of texts: model globs, scopes, networks, permissions, identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
pub struct Texts(pub Vec<String>);

/// Percentages, such as 80.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
pub struct Percentages(pub Vec<i32>);

/// Labels, such as a cost centre: text → text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[schema(example = json!({"cost_centre": "4711"}))]
pub struct Tags(pub BTreeMap<String, String>);

/// A caller's own JSON object, kept as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[schema(example = json!({"ticket": "OPS-7"}))]
pub struct Metadata(pub serde_json::Map<String, serde_json::Value>);

/// What is stated and not null.
fn stated<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(deserializer).map(Some)
}

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident $variant:ident),* $(,)?) => {
        /// What a model can do.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Capabilities { $($(#[$doc])* pub $name: bool),* }

        /// What to change of what a model can do; an absent flag is kept.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields, default)]
        #[schema(example = json!({"vision": true, "audio_input": false}))]
        pub struct CapabilitiesPatch {
            $($(#[$doc])*
            #[serde(deserialize_with = "stated")]
            #[schema(nullable = false)]
            pub $name: Option<bool>),*
        }

        impl CapabilitiesPatch {
            /// The flags with these changes.
            pub fn apply(self, to: Capabilities) -> Capabilities {
                Capabilities { $($name: self.$name.unwrap_or(to.$name)),* }
            }
        }

        /// One of the things that models can do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Capability { $($(#[$doc])* $variant),* }

        impl Capability {
            /// The name of its flag.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name)),* }
            }
        }
    };
}
capabilities! {
    /// Holds conversations.
    chat Chat,
    /// Completes plain text.
    completion Completion,
    /// Makes embeddings.
    embedding Embedding,
    /// Ranks documents.
    rerank Rerank,
    /// Sees images.
    vision Vision,
    /// Reads PDF files.
    pdf_input PdfInput,
    /// Hears audio.
    audio_input AudioInput,
    /// Watches video.
    video_input VideoInput,
    /// Calls functions.
    function_calling FunctionCalling,
    /// Streams its answer.
    streaming Streaming,
    /// Reasons before it answers.
    reasoning Reasoning,
    /// Answers by a JSON schema.
    json Json,
    /// Takes system prompts.
    system_prompt SystemPrompt,
    /// Reads prompts from a cache.
    prompt_caching PromptCaching,
    /// Searches the web.
    web_search WebSearch,
    /// Makes images.
    image_generation ImageGeneration,
    /// Makes video.
    video_generation VideoGeneration,
    /// Makes audio.
    audio_generation AudioGeneration,
    /// Writes down what is said.
    transcription Transcription,
    /// Talks in real time.
    realtime Realtime,
}

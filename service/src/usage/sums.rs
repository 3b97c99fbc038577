//! [`UsageSums`]: how much of everything many calls had, together. Sums of one event, of a row of sums, and of what the
//! database has added up are the same struct, so that they can be compared.

use crate::{Error, Result};
use entity::{terms::Component, usage_event, usage_rollup};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QuerySelect, Select, sea_query::ExprTrait};
use serde::Serialize;
use utoipa::ToSchema;

/// A column of integers, added up. Postgres makes more than a `bigint` of the sum of many.
pub(super) fn added<E: EntityTrait>(select: Select<E>, column: E::Column, name: &str) -> Select<E> {
    select.column_as(column.sum().cast_as("bigint"), name)
}

/// Makes the struct with a field for each component, and the ways to it.
macro_rules! sums {
    ($($(#[$doc:meta])* $field:ident: $component:ident $column:ident,)*) => {
        /// How much of everything the calls had; each token is in exactly one class.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromQueryResult, ToSchema)]
        pub struct UsageSums {
            $($(#[$doc])* #[schema(minimum = 0)] pub $field: i64,)*
        }

        impl UsageSums {
            /// What one event adds.
            pub(super) fn of_event(row: &usage_event::Model) -> Self {
                Self { $($field: row.$field,)* }
            }
            /// What a row of sums has.
            pub(super) fn of_rollup(row: &usage_rollup::Model) -> Self {
                Self { $($field: row.$field,)* }
            }
            /// Both together.
            pub(super) fn plus(self, other: Self) -> Result<Self> {
                Ok(Self { $($field: plus(self.$field, other.$field)?,)* })
            }
            /// Adds the columns up in the database.
            pub(super) fn select(select: Select<usage_rollup::Entity>) -> Select<usage_rollup::Entity> {
                $(let select = added(select, usage_rollup::Column::$column, stringify!($field));)*
                select
            }
        }

        /// How much of a component an event had.
        pub(super) fn of(row: &usage_event::Model, component: Component) -> i64 {
            match component { $(Component::$component => row.$field,)* }
        }
    };
}

sums! {
    /// Prompt tokens that came from no cache.
    input_tokens: Input InputTokens,
    /// Prompt tokens read from a cache.
    cache_read_tokens: CacheRead CacheReadTokens,
    /// Prompt tokens written to a cache that lives some minutes.
    cache_write_tokens: CacheWrite CacheWriteTokens,
    /// Prompt tokens written to a cache that lives an hour.
    cache_write_1h_tokens: CacheWrite1h CacheWrite1hTokens,
    /// Completion tokens, without reasoning.
    output_tokens: Output OutputTokens,
    /// Reasoning tokens.
    reasoning_tokens: Reasoning ReasoningTokens,
    /// Tokens of audio in the prompt.
    audio_input_tokens: AudioInput AudioInputTokens,
    /// Tokens of audio in the completion.
    audio_output_tokens: AudioOutput AudioOutputTokens,
    /// Tokens of images in the prompt.
    image_input_tokens: ImageInput ImageInputTokens,
    /// Tokens of images in the completion.
    image_output_tokens: ImageOutput ImageOutputTokens,
    /// Tokens of audio in the prompt that were read from a cache.
    cache_read_audio_tokens: CacheReadAudio CacheReadAudioTokens,
    /// Requests.
    requests: Request Requests,
    /// Images.
    images: Image Images,
    /// Seconds of audio or video.
    seconds: Second Seconds,
    /// Characters.
    characters: Character Characters,
    /// Web searches that the provider ran.
    web_searches: WebSearch WebSearches,
    /// Executions of code that the provider ran.
    code_executions: CodeExecution CodeExecutions,
}

/// The sum of two numbers that are kept as sums are.
pub(super) fn plus(one: i64, other: i64) -> Result<i64> {
    one.checked_add(other).ok_or_else(|| Error::internal("a sum of usage does not fit"))
}

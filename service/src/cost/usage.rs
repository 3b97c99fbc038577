//! [`Usage`]: how much of everything a call had. Its classes of tokens are disjoint, and no quantity exceeds [`MOST`], so
//! sums of quantities fit.

use super::convert;
use crate::{Error, Result};
use entity::terms::Component;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The most of anything that a call can have.
pub const MOST: u64 = 1_000_000_000_000;

/// Makes the struct with a field for each component, and the ways between the two.
macro_rules! usage {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $field:ident: $component:ident,)* }) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$doc])* #[schema(required = false, minimum = 0, maximum = 1_000_000_000_000_u64)] $field: u64,)*
        }
        impl $name {
            /// How much of a component.
            pub const fn get(&self, component: Component) -> u64 {
                match component { $(Component::$component => self.$field,)* }
            }
            /// How much of a component, as a column holds it.
            pub fn column(&self, component: Component) -> i64 {
                i64::try_from(self.get(component)).unwrap_or(i64::MAX)
            }
            /// The field of a component.
            pub const fn field(component: Component) -> &'static str {
                match component { $(Component::$component => stringify!($field),)* }
            }
            const fn place(&mut self, component: Component) -> &mut u64 {
                match component { $(Component::$component => &mut self.$field,)* }
            }
        }
    };
}

usage! {
    /// How much of everything a call had. Each token is in exactly one class; what is absent is 0, but `requests` is 1.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(try_from = "Value")]
    pub struct Usage {
        /// Prompt tokens that came from no cache.
        input_tokens: Input,
        /// Prompt tokens read from a cache.
        cache_read_tokens: CacheRead,
        /// Prompt tokens written to a cache that lives some minutes.
        cache_write_tokens: CacheWrite,
        /// Prompt tokens written to a cache that lives an hour.
        cache_write_1h_tokens: CacheWrite1h,
        /// Completion tokens, without reasoning.
        output_tokens: Output,
        /// Reasoning tokens.
        reasoning_tokens: Reasoning,
        /// Tokens of audio in the prompt.
        audio_input_tokens: AudioInput,
        /// Tokens of audio in the completion.
        audio_output_tokens: AudioOutput,
        /// Tokens of images in the prompt.
        image_input_tokens: ImageInput,
        /// Tokens of images in the completion.
        image_output_tokens: ImageOutput,
        /// Tokens of audio in the prompt that were read from a cache.
        cache_read_audio_tokens: CacheReadAudio,
        /// Requests; 1 if absent.
        requests: Request,
        /// Images.
        images: Image,
        /// Seconds of audio or video.
        seconds: Second,
        /// Characters.
        characters: Character,
        /// Web searches that the provider ran for the call.
        web_searches: WebSearch,
        /// Executions of code that the provider ran for the call.
        code_executions: CodeExecution,
    }
}

impl Usage {
    /// Nothing at all.
    pub const NONE: Self = Self {
        input_tokens: 0,
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        cache_write_1h_tokens: 0,
        output_tokens: 0,
        reasoning_tokens: 0,
        audio_input_tokens: 0,
        audio_output_tokens: 0,
        image_input_tokens: 0,
        image_output_tokens: 0,
        cache_read_audio_tokens: 0,
        requests: 0,
        images: 0,
        seconds: 0,
        characters: 0,
        web_searches: 0,
        code_executions: 0,
    };

    /// Sets how much of a component; more than [`MOST`] is refused.
    pub fn set(&mut self, component: Component, quantity: u64) -> Result<()> {
        if quantity > MOST {
            let message = format!("must be at most {MOST}");
            return Err(Error::invalid(format!("/{}", Self::field(component)), "out_of_range", message));
        }
        *self.place(component) = quantity;
        Ok(())
    }

    /// Both together; none if that is more than [`MOST`] of something.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let mut sum = *self;
        for component in Component::EVERY {
            sum.set(component, self.get(component).checked_add(other.get(component))?).ok()?;
        }
        Some(sum)
    }

    /// The same with all tokens of the completion as tokens of the prompt.
    pub fn without_completion(self) -> Self {
        let mut usage = self;
        for component in Component::EVERY {
            if component.is_token() && !component.is_prompt() {
                *usage.place(component) = 0;
            }
        }
        usage.input_tokens = (usage.input_tokens + self.completion_tokens()).min(MOST);
        usage
    }

    /// All tokens of the prompt, cached ones too.
    pub fn prompt_tokens(&self) -> u64 {
        self.sum(Component::is_prompt)
    }
    /// All tokens of the completion, reasoning too.
    pub fn completion_tokens(&self) -> u64 {
        self.total_tokens() - self.prompt_tokens()
    }
    /// Tokens that count for the size of a price that is tiered by total tokens.
    pub fn size_tokens(&self) -> u64 {
        self.sum(Component::is_size)
    }
    /// All tokens.
    pub fn total_tokens(&self) -> u64 {
        self.sum(Component::is_token)
    }

    fn sum(&self, of: fn(Component) -> bool) -> u64 {
        Component::EVERY
            .into_iter()
            .filter(|component| of(*component))
            .map(|component| self.get(component))
            .sum()
    }
}

/// One request of which nothing else is known.
impl Default for Usage {
    fn default() -> Self {
        Self { requests: 1, ..Self::NONE }
    }
}

impl TryFrom<Value> for Usage {
    type Error = Error;
    fn try_from(value: Value) -> Result<Self> {
        convert::read(&value, Some(convert::Format::Tollkeeper), "").map(|reading| reading.usage)
    }
}

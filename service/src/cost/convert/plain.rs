//! Formats that tell two sides, a cache and reasoning, and nothing else: Ollama's, the AI SDK's, Codex's; and those of one
//! side: Voyage's embeddings and rerankers, Whisper's seconds.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Counted, Prompt, Stated},
};
use crate::{Result, cost::Usage};
use entity::terms::Component;

/// What such an object tells. The cache is within the prompt and the reasoning within the completion, unless the total tells
/// otherwise.
#[derive(Default)]
struct Told {
    prompt: Option<u64>,
    completion: Option<u64>,
    cached: u64,
    written: u64,
    reasoning: u64,
    total: Option<u64>,
}

impl Told {
    fn reading(self, object: &Object<'_>, format: Format, at: [&str; 3]) -> Result<Reading> {
        let Self { cached, written, .. } = self;
        let stated = Stated {
            prompt: self.prompt,
            completion: self.completion,
            cached: cached + written,
            reasoning: self.reasoning,
            total: self.total,
            convention: [Counted::Within; 2],
            bare: false,
            at: at.map(|field| object.pointer(field)),
        };
        let required = || object.wrong(at[0], "required", format!("is needed, or {}", at[2]));
        let sides = stated.sides(object)?.ok_or_else(required)?;
        let mut usage = Usage::default();
        Prompt { whole: sides.prompt, cached, written, ..Prompt::default() }.classify(&mut usage)?;
        let (whole, reasoning) = (sides.completion, sides.reasoning);
        Completion { whole, reasoning, ..Completion::default() }.classify(&mut usage)?;
        Reading::new(format, usage).sided(sides).served(object, "service_tier")
    }
}

/// Ollama's own API: durations beside counts; the evaluated prompt holds what was cached.
pub(super) fn ollama(object: &Object<'_>) -> Result<Reading> {
    let told = Told {
        prompt: object.count("prompt_eval_count")?,
        completion: object.count("eval_count")?,
        cached: object.count("prompt_eval_cached_count")?.unwrap_or(0),
        ..Told::default()
    };
    told.reading(object, Format::Ollama, ["prompt_eval_count", "eval_count", "eval_count"])
}

/// Codex's session files: OpenAI's counts under names of its own.
pub(super) fn codex(object: &Object<'_>) -> Result<Reading> {
    let told = Told {
        prompt: object.count("input_tokens")?,
        completion: object.count("output_tokens")?,
        cached: object.count("cached_input_tokens")?.unwrap_or(0),
        written: object.count("cache_creation_input_tokens")?.unwrap_or(0),
        reasoning: object.count("reasoning_output_tokens")?.unwrap_or(0),
        total: object.count("total_tokens")?,
    };
    told.reading(object, Format::Codex, ["input_tokens", "reasoning_output_tokens", "total_tokens"])
}

/// The AI SDK's usage: flat, with details, or, as its providers return it, each side an object with a total.
pub(super) fn ai_sdk(object: &Object<'_>) -> Result<Reading> {
    let input = Side::of(object, ["inputTokens", "promptTokens"], "inputTokenDetails")?;
    let output = Side::of(object, ["outputTokens", "completionTokens"], "outputTokenDetails")?;
    let first = |counts: [Option<u64>; 3]| counts.into_iter().flatten().next().unwrap_or(0);
    let of = |side: &Side<'_>, flat: &str, detail: &str, inner: &str| {
        Ok::<u64, crate::Error>(first([
            object.count(flat)?,
            side.details.count(detail)?,
            side.inner.count(inner)?,
        ]))
    };
    let told = Told {
        prompt: input.whole,
        completion: output.whole,
        cached: of(&input, "cachedInputTokens", "cacheReadTokens", "cacheRead")?,
        written: of(&input, "cacheWriteInputTokens", "cacheWriteTokens", "cacheWrite")?,
        reasoning: of(&output, "reasoningTokens", "reasoningTokens", "reasoning")?,
        total: object.count("totalTokens")?,
    };
    told.reading(object, Format::AiSdk, ["inputTokens", "outputTokens", "totalTokens"])
}

/// One side of the AI SDK's usage.
struct Side<'v> {
    whole: Option<u64>,
    details: Object<'v>,
    inner: Object<'v>,
}

impl<'v> Side<'v> {
    fn of(object: &Object<'v>, names: [&str; 2], details: &str) -> Result<Self> {
        let name = object.spelled(names);
        let details = object.object(details)?;
        if !object.has_object(name) {
            return Ok(Self { whole: object.count(name)?, details, inner: object.nothing() });
        }
        let inner = object.object(name)?;
        Ok(Self { whole: inner.count("total")?, details, inner })
    }
}

/// Voyage's embeddings and rerankers have no completion: the total is the prompt.
pub(super) fn voyage(object: &Object<'_>) -> Result<Reading> {
    let required = || object.wrong("total_tokens", "required", "is needed");
    let total = object.count("total_tokens")?.or(object.count("prompt_tokens")?);
    let mut usage = Usage::default();
    usage.set(Component::Input, total.ok_or_else(required)?)?;
    Ok(Reading::new(Format::Voyage, usage))
}

/// Whisper's length of the audio: a second that has begun counts.
pub(super) fn whisper(object: &Object<'_>) -> Result<Reading> {
    let required = || object.wrong("seconds", "required", "is needed");
    let seconds = object.seconds("seconds")?.or(object.seconds("duration")?);
    let mut usage = Usage::default();
    usage.set(Component::Second, seconds.ok_or_else(required)?)?;
    Ok(Reading::new(Format::Whisper, usage))
}

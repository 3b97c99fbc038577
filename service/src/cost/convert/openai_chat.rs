//! OpenAI's chat completions and embeddings, and those who speak their format: DeepSeek, xAI, Mistral, Moonshot,
//! OpenRouter, LiteLLM.
//!
//! `prompt_tokens` holds what was cached, `completion_tokens` the reasoning and the predictions, accepted or not. Who
//! charges for writing to a cache says `cache_write_tokens`, and LiteLLM `cache_creation_tokens`, within `prompt_tokens`.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Media, Prompt, Reasoning, Stated},
};
use crate::{Result, cost::Usage};

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    let details = object.object("completion_tokens_details")?;
    let stated = Stated {
        prompt: object.count("prompt_tokens")?,
        completion: object.count("completion_tokens")?,
        reasoning: details.count("reasoning_tokens")?.unwrap_or(0),
        reasoning_at: details.pointer("reasoning_tokens"),
        convention: Reasoning::Within,
    };
    let Some(sides) = stated.sides(object, "total_tokens")? else {
        return Err(object.wrong("prompt_tokens", "required", "is needed, or total_tokens"));
    };
    let visible = sides.completion - sides.reasoning;
    let audio = details.part("audio_tokens", visible)?;
    let image = details.part("image_tokens", visible - audio)?;
    let media = Media { audio, image };
    let mut usage = Usage::default();
    prompt(object, sides.prompt)?.classify(&mut usage)?;
    Completion { whole: sides.completion, reasoning: sides.reasoning, media }.classify(&mut usage)?;
    Reading::new(Format::OpenaiChat, usage).served(object, "service_tier")
}

fn prompt(object: &Object<'_>, whole: u64) -> Result<Prompt> {
    let details = object.object("prompt_tokens_details")?;
    // Whoever says it twice, in OpenAI's place and in its own, says the same.
    let cached = first(
        &[(&details, "cached_tokens"), (object, "prompt_cache_hit_tokens"), (object, "cached_tokens")],
        whole,
    )?;
    let written =
        first(&[(&details, "cache_write_tokens"), (&details, "cache_creation_tokens")], whole - cached)?;
    let audio = details.part("audio_tokens", whole)?;
    let image = details.part("image_tokens", whole - audio)?;
    let media = Media { audio, image };
    Ok(Prompt { whole, cached, written, media, ..Prompt::default() })
}

/// The part that the first of these fields tells.
fn first(fields: &[(&Object<'_>, &str)], whole: u64) -> Result<u64> {
    for (object, field) in fields {
        if object.count(field)?.is_some() {
            return object.part(field, whole);
        }
    }
    Ok(0)
}

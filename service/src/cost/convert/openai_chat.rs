//! OpenAI's chat completions and embeddings, and those who speak their format: DeepSeek, xAI, Mistral, Moonshot,
//! OpenRouter, LiteLLM.
//!
//! `prompt_tokens` holds what was read from or written to a cache, `completion_tokens` the reasoning and the predictions,
//! accepted or not. Only xAI counts reasoning on top, which its total tells.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Media, Prompt, Reasoning, Stated},
};
use crate::{Result, cost::Usage};
use entity::terms::Component;

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    let details = object.object("completion_tokens_details")?;
    let seconds = object.count("prompt_audio_seconds")?;
    let total = object.count("total_tokens")?;
    let stated = Stated {
        prompt: object.count("prompt_tokens")?,
        completion: object.count("completion_tokens")?,
        reasoning: details.count("reasoning_tokens")?.unwrap_or(0),
        // Mistral charges for audio by the second, and its total alone holds the tokens that came of it.
        total: if seconds.is_some() { None } else { total },
        convention: Reasoning::Within,
        at: [details.pointer("reasoning_tokens"), object.pointer("total_tokens")],
    };
    let sides = stated.sides()?;
    if sides.is_none() && seconds.is_none() {
        return Err(object.wrong("prompt_tokens", "required", "is needed, or total_tokens"));
    }
    let sides = sides.unwrap_or_default();
    let mut usage = Usage::default();
    prompt(object, sides.prompt)?.classify(&mut usage)?;
    let visible = sides.completion - sides.reasoning;
    let audio = details.part("audio_tokens", visible)?;
    let image = details.part("image_tokens", visible - audio)?;
    let media = Media { audio, image };
    Completion { whole: sides.completion, reasoning: sides.reasoning, media }.classify(&mut usage)?;
    usage.set(Component::Second, seconds.unwrap_or(0))?;
    Reading::new(Format::OpenaiChat, usage).served(object, "service_tier")
}

fn prompt(object: &Object<'_>, whole: u64) -> Result<Prompt> {
    let details = object.object("prompt_tokens_details")?;
    // Beside OpenAI's own place: DeepSeek's, Moonshot's, and Anthropic's names as gateways pass them on, counted within the
    // prompt here.
    let cached = agreed(
        &[
            (&details, "cached_tokens"),
            (object, "prompt_cache_hit_tokens"),
            (object, "cached_tokens"),
            (object, "cache_read_input_tokens"),
        ],
        whole,
    )?;
    let written = agreed(
        &[
            (&details, "cache_write_tokens"),
            (&details, "cache_creation_tokens"),
            (&details, "cache_creation_input_tokens"),
            (object, "cache_creation_input_tokens"),
        ],
        whole - cached,
    )?;
    let lives = [details.object("cache_creation_token_details")?, object.object("cache_creation")?];
    let written_1h = agreed(&lives.each_ref().map(|lives| (lives, "ephemeral_1h_input_tokens")), written)?;
    let audio = details.part("audio_tokens", whole)?;
    let image = details.part("image_tokens", whole - audio)?;
    let media = Media { audio, image };
    Ok(Prompt { whole, cached, written: written - written_1h, written_1h, media, ..Prompt::default() })
}

/// The part that these fields tell, each as good as another; none if none does. Who tells it twice tells the same.
fn agreed(fields: &[(&Object<'_>, &str)], whole: u64) -> Result<u64> {
    let mut told = None;
    for (object, field) in fields {
        if object.count(field)?.is_none() {
            continue;
        }
        let part = object.part(field, whole)?;
        let before = *told.get_or_insert(part);
        if part != before {
            let message = format!("contradicts the {before} that stands elsewhere for the same");
            return Err(object.wrong(field, "inconsistent", message));
        }
    }
    Ok(told.unwrap_or(0))
}

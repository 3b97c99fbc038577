//! OpenAI's chat completions and embeddings, and those who speak their format: DeepSeek, Moonshot, OpenRouter, LiteLLM,
//! Portkey, and, with fields and conventions of their own, xAI, Mistral and Perplexity.
//!
//! `prompt_tokens` holds what was read from or written to a cache, `completion_tokens` the reasoning and the predictions,
//! accepted or not. xAI counts reasoning on top, and a gateway may count a cache beside the prompt: the total tells.

use super::{
    Format, Reading, detect,
    object::Object,
    split::{Completion, Counted, Media, Prompt, Stated},
    tools,
};
use crate::{Result, cost::Usage};
use entity::terms::Component;

/// Who speaks the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Xai,
    Mistral,
}

impl Dialect {
    const fn format(self) -> Format {
        match self {
            Self::OpenAi => Format::OpenaiChat,
            Self::Xai => Format::Xai,
            Self::Mistral => Format::Mistral,
        }
    }
}

/// All that Google's endpoint in this format counts.
const BARE: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];
/// The prompt, in this format's spelling and in that of OpenAI's responses, which some gateways send as well.
const PROMPT: [&str; 2] = ["prompt_tokens", "input_tokens"];
/// The completion, in both spellings.
const COMPLETION: [&str; 2] = ["completion_tokens", "output_tokens"];

/// What was read from and written to a cache.
struct Cache {
    cached: u64,
    written: u64,
    written_1h: u64,
}

pub(super) fn read(object: &Object<'_>, dialect: Dialect) -> Result<Reading> {
    let details = object.object("completion_tokens_details")?;
    let prompt_details = object.object(object.spelled(["prompt_tokens_details", "prompt_token_details"]))?;
    let seconds = object.seconds("prompt_audio_seconds")?;
    let cache = cache(object, &prompt_details)?;
    let apart = if dialect == Dialect::Xai { Counted::Apart } else { Counted::Within };
    let stated = stated(object, &details, &cache, [Counted::Within, apart])?;
    hits_and_misses(object)?;
    let sides = match stated.sides(object)? {
        None if seconds.is_none() => {
            return Err(object.wrong("prompt_tokens", "required", "is needed, or total_tokens"));
        }
        sides => sides.unwrap_or_default(),
    };
    let mut usage = Usage::default();
    prompt(&prompt_details, &cache, sides.prompt)?.classify(&mut usage)?;
    let visible = sides.completion - sides.reasoning;
    let audio = details.part("audio_tokens", visible)?;
    let image = details.part("image_tokens", visible - audio)?;
    let media = Media { audio, image };
    Completion { whole: sides.completion, reasoning: sides.reasoning, media }.classify(&mut usage)?;
    usage.set(Component::Second, seconds.unwrap_or(0))?;
    tools::openai(object, &prompt_details, dialect.format())?.classify(&mut usage)?;
    let reading = Reading::new(dialect.format(), usage).sided(sides);
    reading.served(object, "service_tier")
}

fn stated(
    object: &Object<'_>,
    details: &Object<'_>,
    cache: &Cache,
    convention: [Counted; 2],
) -> Result<Stated> {
    let cached = cache.cached + cache.written;
    let prompt = asked(object)?;
    // Who takes a cache away that the prompt did not hold gets less than nothing.
    let uncached = object.shortfall("prompt_tokens").and_then(|less| cached.checked_sub(less));
    // Mistral charges for audio by the second, and its total alone holds the tokens that came of it.
    let total =
        if object.has_number("prompt_audio_seconds") { None } else { object.count("total_tokens")? };
    Ok(Stated {
        prompt: uncached.or(prompt),
        completion: side(object, COMPLETION)?,
        cached,
        reasoning: details.count("reasoning_tokens")?.unwrap_or(0),
        total,
        convention: if uncached.is_some() { [Counted::Apart, convention[1]] } else { convention },
        bare: is_bare(object),
        at: [
            object.pointer("prompt_tokens"),
            details.pointer("reasoning_tokens"),
            object.pointer("total_tokens"),
        ],
    })
}

/// The prompt, and with it what Mistral's connectors gave the model to read, unless the total says that the prompt holds that.
fn asked(object: &Object<'_>) -> Result<Option<u64>> {
    let prompt = side(object, PROMPT)?;
    let read = object.count("connector_tokens")?.unwrap_or(0);
    let sides = prompt.zip(side(object, COMPLETION)?).map(|(prompt, answer)| prompt + answer);
    let within = sides.is_some() && sides == object.count("total_tokens")?;
    Ok(if within { prompt } else { prompt.map(|prompt| prompt + read) })
}

/// Whether an object counts its two sides and their total, and nothing else.
fn is_bare(object: &Object<'_>) -> bool {
    let counts = |name: &str| object.value(name).is_some() && detect::counts(name);
    object.names().all(|name| BARE.contains(&name.as_str()) || !counts(name))
}

/// A side of the call, in whichever spelling the object has it.
fn side(object: &Object<'_>, spellings: [&str; 2]) -> Result<Option<u64>> {
    agreed_count(&spellings.map(|field| (object, field)))
}

/// DeepSeek tells what a cache held of the prompt and what it did not: together they are the prompt.
fn hits_and_misses(object: &Object<'_>) -> Result<()> {
    let (hits, misses) = ("prompt_cache_hit_tokens", "prompt_cache_miss_tokens");
    let parts = object.count(hits)?.zip(object.count(misses)?);
    let Some(((hit, miss), prompt)) = parts.zip(object.count("prompt_tokens")?) else { return Ok(()) };
    if hit.saturating_add(miss) != prompt {
        let message = format!("is, with {hits}, not the {prompt} of the prompt");
        object.doubt(object.wrong(misses, "inconsistent", message))?;
    }
    Ok(())
}

/// Beside OpenAI's own places: DeepSeek's, Moonshot's, Mistral's, and Anthropic's names as gateways pass them on.
fn cache(object: &Object<'_>, details: &Object<'_>) -> Result<Cache> {
    let cached = agreed(&[
        (details, "cached_tokens"),
        (object, "prompt_cache_hit_tokens"),
        (object, "cached_tokens"),
        (object, "num_cached_tokens"),
        (object, "cache_read_input_tokens"),
    ])?;
    let written = agreed(&[
        (details, "cache_write_tokens"),
        (details, "cache_creation_tokens"),
        (details, "cache_creation_input_tokens"),
        (object, "cache_creation_input_tokens"),
    ])?;
    let lives = [details.object("cache_creation_token_details")?, object.object("cache_creation")?];
    let written_1h = agreed(&lives.each_ref().map(|lives| (lives, "ephemeral_1h_input_tokens")))?;
    let at = if object.has("cache_creation") { &lives[1] } else { &lives[0] };
    let written_1h = at.within("ephemeral_1h_input_tokens", written_1h, written)?;
    Ok(Cache { cached, written, written_1h })
}

fn prompt(details: &Object<'_>, cache: &Cache, whole: u64) -> Result<Prompt> {
    let audio = details.part("audio_tokens", whole)?;
    let image = details.part("image_tokens", whole - audio)?;
    let media = Media { audio, image };
    let Cache { cached, written, written_1h } = *cache;
    let told = details.object("cached_tokens_details")?;
    let audio = told.part("audio_tokens", cached.min(audio))?;
    let image = told.part("image_tokens", (cached - audio).min(image))?;
    let cached_media = Media { audio, image };
    Ok(Prompt { whole, cached, written: written - written_1h, written_1h, media, cached_media })
}

/// The part that these fields tell, each as good as another; 0 if none does.
pub(super) fn agreed(fields: &[(&Object<'_>, &str)]) -> Result<u64> {
    Ok(agreed_count(fields)?.unwrap_or(0))
}

/// The count that these fields tell, each as good as another. Who tells it twice tells the same; the greater one is taken of
/// two that differ.
fn agreed_count(fields: &[(&Object<'_>, &str)]) -> Result<Option<u64>> {
    let mut told = None;
    for (object, field) in fields {
        let Some(part) = object.count(field)? else { continue };
        let before = *told.get_or_insert(part);
        if part != before {
            let message = format!("contradicts the {before} that stands elsewhere for the same");
            object.doubt(object.wrong(field, "inconsistent", message))?;
            told = Some(part.max(before));
        }
    }
    Ok(told)
}

//! OpenAI's responses, realtime sessions, transcriptions and images, and xAI's responses. `input_tokens` holds what was
//! cached, `output_tokens` the reasoning. Realtime sessions and transcriptions spell the details `input_token_details`; so
//! does LangChain's `UsageMetadata` (reference.langchain.com), whose parts are `cache_read`, `cache_creation`, `audio` and
//! `reasoning`.

use super::{
    Format, Reading,
    object::Object,
    openai_chat::agreed,
    split::{Completion, Counted, Media, Prompt, Stated},
    tools,
};
use crate::{Result, cost::Usage};
use entity::terms::Component;

/// A part of a side as OpenAI names it, and as LangChain does.
type Part = [&'static str; 2];
const CACHED: Part = ["cached_tokens", "cache_read"];
const WRITTEN: Part = ["cache_write_tokens", "cache_creation"];
const AUDIO: Part = ["audio_tokens", "audio"];
const REASONING: Part = ["reasoning_tokens", "reasoning"];

/// A part under either of its names.
fn told(details: &Object<'_>, names: Part) -> Result<u64> {
    agreed(&names.map(|name| (details, name)))
}

/// A part under either of its names, as far as its whole has room for it.
fn part(details: &Object<'_>, names: Part, whole: u64) -> Result<u64> {
    details.within(details.spelled(names), told(details, names)?, whole)
}

pub(super) fn read(object: &Object<'_>, format: Format) -> Result<Reading> {
    let output = object.object(object.spelled(["output_tokens_details", "output_token_details"]))?;
    let input = object.object(object.spelled(["input_tokens_details", "input_token_details"]))?;
    let seconds = object.seconds("seconds")?;
    let stated = stated(object, &input, &output)?;
    let sides = match stated.sides(object)? {
        None if seconds.is_none() => {
            let message = "is needed, or total_tokens or seconds";
            return Err(object.wrong("input_tokens", "required", message));
        }
        sides => sides.unwrap_or_default(),
    };
    let mut usage = Usage::default();
    prompt(&input, sides.prompt)?.classify(&mut usage)?;
    let visible = sides.completion - sides.reasoning;
    let audio = part(&output, AUDIO, visible)?;
    let image = if draws(object, &input) { visible } else { output.part("image_tokens", visible - audio)? };
    let media = Media { audio, image };
    Completion { whole: sides.completion, reasoning: sides.reasoning, media }.classify(&mut usage)?;
    usage.set(Component::Second, seconds.unwrap_or(0))?;
    tools::openai(object, &input, format)?.classify(&mut usage)?;
    Reading::new(format, usage).sided(sides).served(object, "service_tier")
}

fn stated(object: &Object<'_>, input: &Object<'_>, output: &Object<'_>) -> Result<Stated> {
    Ok(Stated {
        prompt: object.count("input_tokens")?,
        completion: object.count("output_tokens")?,
        cached: told(input, CACHED)?.saturating_add(told(input, WRITTEN)?),
        reasoning: told(output, REASONING)?,
        total: object.count("total_tokens")?,
        convention: [Counted::Within; 2],
        bare: false,
        at: [
            object.pointer("input_tokens"),
            output.pointer("reasoning_tokens"),
            object.pointer("total_tokens"),
        ],
    })
}

/// Whether it is of the images API without details of the output, which is then all image. That API alone tells images
/// from text in the input and knows no cache.
fn draws(object: &Object<'_>, input: &Object<'_>) -> bool {
    let output = object.has("output_tokens_details") || object.has("output_token_details");
    input.has("image_tokens") && input.has("text_tokens") && !input.has("cached_tokens") && !output
}

fn prompt(input: &Object<'_>, whole: u64) -> Result<Prompt> {
    let cached = part(input, CACHED, whole)?;
    let written = part(input, WRITTEN, whole - cached)?;
    let audio = part(input, AUDIO, whole)?;
    let image = input.part("image_tokens", whole - audio)?;
    let details = input.object("cached_tokens_details")?;
    let cached_audio = details.part("audio_tokens", cached.min(audio))?;
    let cached_image = details.part("image_tokens", (cached - cached_audio).min(image))?;
    let media = Media { audio, image };
    let cached_media = Media { audio: cached_audio, image: cached_image };
    Ok(Prompt { whole, cached, written, written_1h: 0, media, cached_media })
}

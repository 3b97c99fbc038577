//! OpenAI's responses, realtime sessions, transcriptions and images. `input_tokens` holds what was cached, `output_tokens`
//! the reasoning. Realtime sessions and transcriptions spell the details `input_token_details`.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Media, Prompt, Reasoning, Stated},
};
use crate::{Result, cost::Usage};
use entity::terms::Component;

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    let mut usage = Usage::default();
    if let Some(seconds) = object.count("seconds")? {
        usage.set(Component::Second, seconds)?;
        return Ok(Reading::new(Format::OpenaiResponses, usage));
    }
    let output = object.object(object.spelled(["output_tokens_details", "output_token_details"]))?;
    let stated = Stated {
        prompt: object.count("input_tokens")?,
        completion: object.count("output_tokens")?,
        reasoning: output.count("reasoning_tokens")?.unwrap_or(0),
        reasoning_at: output.pointer("reasoning_tokens"),
        convention: Reasoning::Within,
    };
    let Some(sides) = stated.sides(object, "total_tokens")? else {
        return Err(object.wrong("input_tokens", "required", "is needed, or total_tokens or seconds"));
    };
    let input = object.object(object.spelled(["input_tokens_details", "input_token_details"]))?;
    let visible = sides.completion - sides.reasoning;
    let audio = output.part("audio_tokens", visible)?;
    let image = if draws(object, &input) { visible } else { output.part("image_tokens", visible - audio)? };
    let media = Media { audio, image };
    prompt(&input, sides.prompt)?.classify(&mut usage)?;
    Completion { whole: sides.completion, reasoning: sides.reasoning, media }.classify(&mut usage)?;
    Reading::new(Format::OpenaiResponses, usage).served(object, "service_tier")
}

/// Whether it is of the images API without details of the output, which is then all image. That API alone tells text from
/// images in the input and knows no cache.
fn draws(object: &Object<'_>, input: &Object<'_>) -> bool {
    input.has("image_tokens")
        && !input.has("cached_tokens")
        && !object.has("output_tokens_details")
        && !object.has("output_token_details")
}

fn prompt(input: &Object<'_>, whole: u64) -> Result<Prompt> {
    let cached = input.part("cached_tokens", whole)?;
    let written = input.part("cache_write_tokens", whole - cached)?;
    let audio = input.part("audio_tokens", whole)?;
    let image = input.part("image_tokens", whole - audio)?;
    let details = input.object("cached_tokens_details")?;
    let cached_audio = details.part("audio_tokens", cached.min(audio))?;
    let cached_image = details.part("image_tokens", (cached - cached_audio).min(image))?;
    let media = Media { audio, image };
    let cached_media = Media { audio: cached_audio, image: cached_image };
    Ok(Prompt { whole, cached, written, written_1h: 0, media, cached_media })
}

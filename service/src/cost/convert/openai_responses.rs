//! OpenAI's responses, realtime sessions, transcriptions and images, and xAI's responses. `input_tokens` holds what was
//! cached, `output_tokens` the reasoning. Realtime sessions and transcriptions spell the details `input_token_details`.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Counted, Media, Prompt, Stated},
    tools,
};
use crate::{Result, cost::Usage};
use entity::terms::Component;

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
    let audio = output.part("audio_tokens", visible)?;
    let image = if draws(object, &input) { visible } else { output.part("image_tokens", visible - audio)? };
    let media = Media { audio, image };
    Completion { whole: sides.completion, reasoning: sides.reasoning, media }.classify(&mut usage)?;
    usage.set(Component::Second, seconds.unwrap_or(0))?;
    tools::openai(object, &input, format)?.classify(&mut usage)?;
    Reading::new(format, usage).sided(sides).served(object, "service_tier")
}

fn stated(object: &Object<'_>, input: &Object<'_>, output: &Object<'_>) -> Result<Stated> {
    let cached = input.count("cached_tokens")?.unwrap_or(0);
    let written = input.count("cache_write_tokens")?.unwrap_or(0);
    Ok(Stated {
        prompt: object.count("input_tokens")?,
        completion: object.count("output_tokens")?,
        cached: cached + written,
        reasoning: output.count("reasoning_tokens")?.unwrap_or(0),
        total: object.count("total_tokens")?,
        convention: [Counted::Within; 2],
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

//! Google's `usageMetadata`, in camelCase or snake_case, by itself or within the reply.
//!
//! `promptTokenCount` holds what was cached, but not what tools gave the model to read; thoughts mostly come on top of
//! `candidatesTokenCount`, and the total tells. The details tell tokens by modality: video and documents are charged as text
//! is, audio and images have rates of their own.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Media, Prompt, Reasoning, Stated},
};
use crate::{Result, cost::Usage};

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    if object.has("usageMetadata") { metadata(&object.object("usageMetadata")?) } else { metadata(object) }
}

fn metadata(object: &Object<'_>) -> Result<Reading> {
    let asked = object.count("promptTokenCount")?;
    let tools = object.count("toolUsePromptTokenCount")?;
    let stated = Stated {
        prompt: asked.or(tools).map(|_| asked.unwrap_or(0) + tools.unwrap_or(0)),
        completion: object.count(object.spelled(["candidatesTokenCount", "responseTokenCount"]))?,
        reasoning: object.count("thoughtsTokenCount")?.unwrap_or(0),
        total: object.count("totalTokenCount")?,
        convention: Reasoning::Apart,
        at: [object.pointer("thoughtsTokenCount"), object.pointer("totalTokenCount")],
    };
    let Some(sides) = stated.sides()? else {
        return Err(object.wrong("promptTokenCount", "required", "is needed, or totalTokenCount"));
    };
    let mut usage = Usage::default();
    prompt(object, sides.prompt, tools.unwrap_or(0))?.classify(&mut usage)?;
    let visible = sides.completion - sides.reasoning;
    let details = object.spelled(["candidatesTokensDetails", "responseTokensDetails"]);
    let media = media(object, details, visible)?;
    Completion { whole: sides.completion, reasoning: sides.reasoning, media }.classify(&mut usage)?;
    Reading::new(Format::Gemini, usage).served(object, "trafficType")
}

fn prompt(object: &Object<'_>, whole: u64, tools: u64) -> Result<Prompt> {
    let cached = object.part("cachedContentTokenCount", whole)?;
    let asked = media(object, "promptTokensDetails", whole - tools)?;
    let read = media(object, "toolUsePromptTokensDetails", tools)?;
    let kept = media(object, "cacheTokensDetails", cached)?;
    let media = Media { audio: asked.audio + read.audio, image: asked.image + read.image };
    // Of media in the cache that the prompt does not tell of, nothing needs to be taken away.
    let cached_media = Media { audio: kept.audio.min(media.audio), image: kept.image.min(media.image) };
    Ok(Prompt { whole, cached, media, cached_media, ..Prompt::default() })
}

/// The audio and the images in a list of counts by modality, which together are at most a whole.
fn media(object: &Object<'_>, field: &str, whole: u64) -> Result<Media> {
    let mut media = Media::default();
    let mut left = whole;
    for entry in object.objects(field)? {
        let tokens = entry.part("tokenCount", left)?;
        left -= tokens;
        match entry.text("modality")? {
            Some("AUDIO") => media.audio += tokens,
            Some("IMAGE") => media.image += tokens,
            _ => {}
        }
    }
    Ok(media)
}

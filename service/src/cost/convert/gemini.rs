//! Google's `usageMetadata`, in camelCase or snake_case, by itself or within the reply: of generated content, of embeddings
//! (`promptTokenDetails`), and, under other names, of the Interactions API.
//!
//! The prompt holds what was cached, but not what tools gave the model to read; thoughts mostly come on top of the
//! candidates, and the total tells. The details tell tokens by modality: video and documents are charged as text is, audio
//! and images have rates of their own.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Counted, Media, Prompt, Sides, Stated},
};
use crate::{Result, cost::Usage};

/// The names of an API.
struct Names {
    format: Format,
    prompt: &'static str,
    completion: [&'static str; 2],
    tools: &'static str,
    cached: &'static str,
    thoughts: &'static str,
    total: &'static str,
    /// The lists by modality: of the prompt, under two names, of the tools, of the cache, of the completion.
    details: [[&'static str; 2]; 4],
    /// The count of an entry of these.
    tokens: &'static str,
}

const CONTENT: Names = Names {
    format: Format::Gemini,
    prompt: "promptTokenCount",
    completion: ["candidatesTokenCount", "responseTokenCount"],
    tools: "toolUsePromptTokenCount",
    cached: "cachedContentTokenCount",
    thoughts: "thoughtsTokenCount",
    total: "totalTokenCount",
    details: [
        ["promptTokensDetails", "promptTokenDetails"],
        ["toolUsePromptTokensDetails", "toolUsePromptTokensDetails"],
        ["cacheTokensDetails", "cacheTokensDetails"],
        ["candidatesTokensDetails", "responseTokensDetails"],
    ],
    tokens: "tokenCount",
};
const EMBEDDINGS: Names = Names { format: Format::GeminiEmbeddings, ..CONTENT };
const INTERACTIONS: Names = Names {
    format: Format::GeminiInteractions,
    prompt: "totalInputTokens",
    completion: ["totalOutputTokens", "totalOutputTokens"],
    tools: "totalToolUseTokens",
    cached: "totalCachedTokens",
    thoughts: "totalThoughtTokens",
    total: "totalTokens",
    details: [
        ["inputTokensByModality", "inputTokensByModality"],
        ["toolUseTokensByModality", "toolUseTokensByModality"],
        ["cachedTokensByModality", "cachedTokensByModality"],
        ["outputTokensByModality", "outputTokensByModality"],
    ],
    tokens: "tokens",
};

pub(super) fn content(object: &Object<'_>) -> Result<Reading> {
    counted(object, &CONTENT)
}

/// Embeddings have no completion: whatever the total holds is of the prompt.
pub(super) fn embeddings(object: &Object<'_>) -> Result<Reading> {
    let reading = counted(object, &EMBEDDINGS)?;
    Ok(Reading { usage: reading.usage.without_completion(), unsided: false, ..reading })
}

pub(super) fn interactions(object: &Object<'_>) -> Result<Reading> {
    counted(object, &INTERACTIONS)
}

fn counted(object: &Object<'_>, names: &Names) -> Result<Reading> {
    let Some(sides) = stated(object, names)?.sides(object)? else {
        let message = format!("is needed, or {}", names.total);
        return Err(object.wrong(names.prompt, "required", message));
    };
    let mut usage = Usage::default();
    prompt(object, names, &sides)?.classify(&mut usage)?;
    let visible = sides.completion - sides.reasoning;
    let media = media(object, names, 3, visible)?;
    Completion { whole: sides.completion, reasoning: sides.reasoning, media }.classify(&mut usage)?;
    let tier = object.spelled(["serviceTier", "trafficType"]);
    Reading::new(names.format, usage).sided(sides).served(object, tier)
}

fn stated(object: &Object<'_>, names: &Names) -> Result<Stated> {
    let asked = object.count(names.prompt)?;
    let tools = object.count(names.tools)?;
    Ok(Stated {
        prompt: asked.or(tools).map(|_| asked.unwrap_or(0) + tools.unwrap_or(0)),
        completion: object.count(object.spelled(names.completion))?,
        cached: object.count(names.cached)?.unwrap_or(0),
        reasoning: object.count(names.thoughts)?.unwrap_or(0),
        total: object.count(names.total)?,
        convention: [Counted::Within, Counted::Apart],
        bare: false,
        at: [names.prompt, names.thoughts, names.total].map(|name| object.pointer(name)),
    })
}

fn prompt(object: &Object<'_>, names: &Names, sides: &Sides) -> Result<Prompt> {
    let whole = sides.prompt;
    let tools = object.count(names.tools)?.unwrap_or(0).min(whole);
    let cached = object.part(names.cached, whole)?;
    let asked = media(object, names, 0, whole - tools)?;
    let read = media(object, names, 1, tools)?;
    let kept = media(object, names, 2, cached)?;
    let media = Media { audio: asked.audio + read.audio, image: asked.image + read.image };
    Ok(Prompt { whole, cached, media, cached_media: kept, ..Prompt::default() })
}

/// The audio and the images in a list of counts by modality, which together are at most a whole.
fn media(object: &Object<'_>, names: &Names, list: usize, whole: u64) -> Result<Media> {
    let mut media = Media::default();
    let mut left = whole;
    for entry in object.objects(object.spelled(names.details[list]))? {
        let tokens = entry.part(names.tokens, left)?;
        left -= tokens;
        match entry.text("modality")?.map(str::to_ascii_uppercase).as_deref() {
            Some("AUDIO") => media.audio += tokens,
            Some("IMAGE") => media.image += tokens,
            _ => {}
        }
    }
    Ok(media)
}

//! Cohere's chat, embeddings and reranking, by itself or in `meta`'s shape. `billed_units` is what is charged; `tokens` holds
//! what is not, such as Cohere's own preamble, and counts only where no units are billed. A search unit or a classification
//! is what a request is priced by there.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Media, Prompt},
};
use crate::{Result, cost::Usage};
use entity::terms::Component;

const UNITS: [&str; 6] =
    ["input_tokens", "output_tokens", "search_units", "classifications", "images", "image_tokens"];

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    let tokens = object.object("tokens")?;
    let units = object.object("billed_units")?;
    let billed = UNITS.iter().any(|unit| units.has(unit));
    let counted = if billed { &units } else { &tokens };
    if !UNITS.iter().any(|unit| counted.has(unit)) {
        return Err(object.wrong("billed_units", "required", "is needed, or tokens"));
    }
    let text = counted.count("input_tokens")?.unwrap_or(0);
    let image = counted.count("image_tokens")?.unwrap_or(0);
    let cached = cached(object, &tokens, text)?;
    let completion = counted.count("output_tokens")?.unwrap_or(0);
    let mut usage = Usage::default();
    let media = Media { image, ..Media::default() };
    Prompt { whole: text + image, cached, media, ..Prompt::default() }.classify(&mut usage)?;
    Completion { whole: completion, ..Completion::default() }.classify(&mut usage)?;
    usage.set(Component::Image, units.count("images")?.unwrap_or(0))?;
    if let Some(requests) = units.count("search_units")?.or(units.count("classifications")?) {
        usage.set(Component::Request, requests)?;
    }
    Ok(Reading::new(Format::Cohere, usage))
}

/// How many of the billed tokens came from a cache. Cohere says how many of all tokens did: as many of them as can be are
/// taken to be among those that it does not bill, so a billed token is never charged as a cached one by mistake.
fn cached(object: &Object<'_>, tokens: &Object<'_>, billed: u64) -> Result<u64> {
    let all = tokens.count("input_tokens")?.unwrap_or(billed).max(billed);
    let cached = object.part("cached_tokens", all)?;
    Ok(cached.saturating_sub(all - billed))
}

//! Anthropic's messages. `input_tokens` holds neither what was read from a cache nor what was written to one;
//! `cache_creation` tells the writes by how long they live. `output_tokens` holds the thinking.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Media, Prompt, sum},
};
use crate::{Result, cost::Usage};

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    let input = object.count("input_tokens")?;
    let output = object.count("output_tokens")?;
    if input.is_none() && output.is_none() {
        return Err(object.wrong("input_tokens", "required", "is needed, or output_tokens"));
    }
    let cached = object.count("cache_read_input_tokens")?.unwrap_or(0);
    let (written, written_1h) = writes(object)?;
    let whole = sum(object, "input_tokens", &[input.unwrap_or(0), cached, written, written_1h])?;
    let mut usage = Usage::default();
    Prompt { whole, cached, written, written_1h, ..Prompt::default() }.classify(&mut usage)?;
    completion(object, output.unwrap_or(0))?.classify(&mut usage)?;
    let reading = Reading::new(Format::Anthropic, usage).served(object, "service_tier")?;
    let region = object.text("inference_geo")?.map(str::to_owned);
    let speed = object.text("speed")?.map(str::to_owned);
    Ok(Reading { region, speed, ..reading })
}

/// Tokens written to a cache for some minutes, and for an hour.
fn writes(object: &Object<'_>) -> Result<(u64, u64)> {
    let lives = object.object("cache_creation")?;
    let minutes = lives.count("ephemeral_5m_input_tokens")?.unwrap_or(0);
    let hour = lives.count("ephemeral_1h_input_tokens")?.unwrap_or(0);
    match object.count("cache_creation_input_tokens")? {
        None => Ok((minutes, hour)),
        Some(all) if minutes + hour <= all => Ok((all - hour, hour)),
        Some(_) => {
            Err(object.wrong("cache_creation", "inconsistent", "is more than cache_creation_input_tokens"))
        }
    }
}

fn completion(object: &Object<'_>, whole: u64) -> Result<Completion> {
    let reasoning = object.object("output_tokens_details")?.part("thinking_tokens", whole)?;
    Ok(Completion { whole, reasoning, media: Media::default() })
}

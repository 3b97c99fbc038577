//! Anthropic's messages. `input_tokens` holds neither what was read from a cache nor what was written to one;
//! `cache_creation` tells the writes by how long they live. `output_tokens` holds the thinking.
//!
//! Of the `iterations`, the sides of the call hold the messages, but not the compactions, which are charged as well. An
//! advisor's is of another model, at that model's price, and no part of this call.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Prompt},
};
use crate::{Result, cost::Usage};

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    if object.count("input_tokens")?.or(object.count("output_tokens")?).is_none() {
        return Err(object.wrong("input_tokens", "required", "is needed, or output_tokens"));
    }
    let mut usage = sampled(object, Usage::default())?;
    for iteration in object.objects("iterations")? {
        if iteration.text("type")? == Some("compaction") {
            let sum = usage.plus(&sampled(&iteration, Usage::NONE)?);
            usage = sum.ok_or_else(|| object.wrong("iterations", "out_of_range", "is together too much"))?;
        }
    }
    let reading = Reading::new(Format::Anthropic, usage).served(object, "service_tier")?;
    let region = object.word("inference_geo")?;
    let speed = object.word("speed")?;
    Ok(Reading { region, speed, ..reading })
}

/// One sampling: a prompt and a completion.
fn sampled(object: &Object<'_>, mut usage: Usage) -> Result<Usage> {
    let input = object.count("input_tokens")?.unwrap_or(0);
    let cached = object.count("cache_read_input_tokens")?.unwrap_or(0);
    let (written, written_1h) = writes(object)?;
    let whole = input + cached + written + written_1h;
    Prompt { whole, cached, written, written_1h, ..Prompt::default() }.classify(&mut usage)?;
    let whole = object.count("output_tokens")?.unwrap_or(0);
    let reasoning = object.object("output_tokens_details")?.part("thinking_tokens", whole)?;
    Completion { whole, reasoning, ..Completion::default() }.classify(&mut usage)?;
    Ok(usage)
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

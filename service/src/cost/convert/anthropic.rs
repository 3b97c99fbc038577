//! Anthropic's messages. `input_tokens` holds neither what was read from a cache nor what was written to one, unless a total
//! says otherwise; `cache_creation` tells the writes by how long they live. `output_tokens` holds the thinking.
//!
//! Of the `iterations`, the sides of the call hold the messages, but not the compactions, which are charged as well. An
//! advisor's is of another model, at that model's price: an attempt of its own.

use super::{
    Format, Reading, advisor,
    object::Object,
    split::{Completion, Counted, Prompt, Stated},
    tools,
};
use crate::{Result, cost::Usage};

pub(super) fn read(object: &Object<'_>, format: Format) -> Result<Reading> {
    if object.count("input_tokens")?.or(object.count("output_tokens")?).is_none() {
        return Err(object.wrong("input_tokens", "required", "is needed, or output_tokens"));
    }
    let (mut usage, mut advisors) = (sampled(object, Usage::default())?, Vec::new());
    for iteration in object.objects("iterations")? {
        let own = match iteration.text("type")? {
            Some("compaction") => Some(sampled(&iteration, Usage::NONE)?),
            Some("advisor_message") => {
                let used = sampled(&iteration, Usage::NONE)?;
                if used == Usage::NONE { None } else { advisor::add(&mut advisors, &iteration, used)? }
            }
            // The sides of the call hold it.
            Some("message") => None,
            _ => {
                let unknown = sampled(&iteration, Usage::NONE)? != Usage::NONE;
                if unknown {
                    let message = "is an iteration of an unknown kind, which may be charged apart";
                    iteration.doubt(iteration.wrong("type", "unknown", message))?;
                }
                None
            }
        };
        let sum = usage.plus(&own.unwrap_or(Usage::NONE));
        usage = sum.ok_or_else(|| object.wrong("iterations", "out_of_range", "is together too much"))?;
    }
    tools::anthropic(object)?.classify(&mut usage)?;
    let reading = Reading::new(format, usage).served(object, "service_tier")?;
    let region = object.word("inference_geo")?;
    let speed = object.word("speed")?;
    Ok(Reading { region, speed, advisors, ..reading })
}

/// One sampling: a prompt and a completion.
fn sampled(object: &Object<'_>, mut usage: Usage) -> Result<Usage> {
    let cached = object.count("cache_read_input_tokens")?.unwrap_or(0);
    let (written, written_1h) = writes(object)?;
    let details = object.object("output_tokens_details")?;
    // Who takes a cache away that the prompt did not hold gets less than nothing (Moonshot's endpoint in this format).
    let uncached = object.shortfall("input_tokens").and_then(|less| cached.checked_sub(less));
    let stated = Stated {
        prompt: Some(uncached.or(object.count("input_tokens")?).unwrap_or(0)),
        completion: Some(object.count("output_tokens")?.unwrap_or(0)),
        cached: cached + written + written_1h,
        reasoning: details.count("thinking_tokens")?.unwrap_or(0),
        total: object.count("total_tokens")?,
        convention: [Counted::Apart, Counted::Within],
        bare: false,
        at: [
            object.pointer("input_tokens"),
            details.pointer("thinking_tokens"),
            object.pointer("total_tokens"),
        ],
    };
    let sides = stated.sides(object)?.unwrap_or_default();
    Prompt { whole: sides.prompt, cached, written, written_1h, ..Prompt::default() }.classify(&mut usage)?;
    let (whole, reasoning) = (sides.completion, sides.reasoning);
    Completion { whole, reasoning, ..Completion::default() }.classify(&mut usage)?;
    Ok(usage)
}

/// How long what is written to a cache may live.
const LIVES: [&str; 2] = ["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"];

/// Tokens written to a cache for some minutes, and for an hour.
fn writes(object: &Object<'_>) -> Result<(u64, u64)> {
    let lives = object.object("cache_creation")?;
    let minutes = lives.count("ephemeral_5m_input_tokens")?.unwrap_or(0);
    let hour = lives.count("ephemeral_1h_input_tokens")?.unwrap_or(0);
    for life in lives.names().filter(|life| !LIVES.contains(&life.as_str())) {
        lives.unclassed(life)?;
    }
    match object.count("cache_creation_input_tokens")? {
        None => Ok((minutes, hour)),
        Some(all) if minutes + hour <= all => Ok((all - hour, hour)),
        Some(_) => {
            let message = "is more than cache_creation_input_tokens";
            object.doubt(object.wrong("cache_creation", "inconsistent", message))?;
            Ok((minutes, hour))
        }
    }
}

//! Amazon Bedrock. Converse counts a cache beside `inputTokens`, and its `totalTokens` holds both; `cacheDetails` tells the
//! writes by how long they live. InvokeModel answers in the format of the model, or with the counts of its metrics.

use super::{
    Format, Reading, anthropic,
    object::Object,
    openai_chat::{self, Dialect},
    split::{Completion, Counted, Prompt, Stated},
    tools,
};
use crate::{Result, cost::Usage};

/// The fields of the sides, of the total, and of what was read from and written to a cache, under two names each.
struct Names {
    sides: [&'static str; 2],
    read: [&'static str; 2],
    written: [&'static str; 2],
}

const READ: [&str; 2] = ["cacheReadInputTokens", "cacheReadInputTokenCount"];
const WRITTEN: [&str; 2] = ["cacheWriteInputTokens", "cacheWriteInputTokenCount"];
const CONVERSE: Names = Names { sides: ["inputTokens", "outputTokens"], read: READ, written: WRITTEN };
const METRICS: Names = Names { sides: ["inputTokenCount", "outputTokenCount"], read: READ, written: WRITTEN };
/// As <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html> has them.
const LLAMA: Names =
    Names { sides: ["prompt_token_count", "generation_token_count"], read: READ, written: WRITTEN };

pub(super) fn converse(object: &Object<'_>) -> Result<Reading> {
    tools::undocumented(&object.object("serverToolUsage")?)?;
    Ok(Reading::new(Format::BedrockConverse, counted(object, &CONVERSE)?))
}

pub(super) fn invoke(object: &Object<'_>) -> Result<Reading> {
    let usage = if object.spells("inputTextTokenCount") {
        titan(object)?
    } else if METRICS.sides.iter().any(|side| object.spells(side)) {
        counted(object, &METRICS)?
    } else if LLAMA.sides.iter().any(|side| object.spells(side)) {
        counted(object, &LLAMA)?
    } else if CONVERSE.sides.iter().any(|side| object.spells(side)) {
        counted(object, &CONVERSE)?
    } else if object.has("prompt_tokens") {
        let reading = openai_chat::read(object, Dialect::OpenAi)?;
        return Ok(Reading { format: Format::BedrockInvoke, ..reading });
    } else {
        return anthropic::read(object, Format::BedrockInvoke);
    };
    Ok(Reading::new(Format::BedrockInvoke, usage))
}

fn counted(object: &Object<'_>, names: &Names) -> Result<Usage> {
    let [prompt, completion] = names.sides;
    let cached = either(object, names.read)?;
    let written = either(object, names.written)?;
    let hour = hour(object, written)?;
    let stated = Stated {
        prompt: object.count(prompt)?,
        completion: object.count(completion)?,
        cached: cached + written,
        total: object.count("totalTokens")?,
        convention: [Counted::Apart, Counted::Within],
        bare: false,
        at: [object.pointer(prompt), object.pointer(completion), object.pointer("totalTokens")],
        ..Stated::default()
    };
    let required = || object.wrong(prompt, "required", format!("is needed, or {completion}"));
    let sides = stated.sides(object)?.ok_or_else(required)?;
    let mut usage = Usage::default();
    let prompt = Prompt { whole: sides.prompt, cached, written: written - hour, ..Prompt::default() };
    Prompt { written_1h: hour, ..prompt }.classify(&mut usage)?;
    let (whole, reasoning) = (sides.completion, sides.reasoning);
    Completion { whole, reasoning, ..Completion::default() }.classify(&mut usage)?;
    Ok(usage)
}

/// A count under one of two names; under both it is the same, or the larger.
fn either(object: &Object<'_>, names: [&str; 2]) -> Result<u64> {
    let [one, other] = [object.count(names[0])?, object.count(names[1])?];
    if let (Some(one), Some(other)) = (one, other)
        && one != other
    {
        let message = format!("contradicts the {one} that stands elsewhere for the same");
        object.doubt(object.wrong(names[1], "inconsistent", message))?;
    }
    Ok(one.max(other).unwrap_or(0))
}

/// Of the tokens written to a cache, those that live an hour.
fn hour(object: &Object<'_>, written: u64) -> Result<u64> {
    let mut hour = 0;
    for life in object.objects("cacheDetails")? {
        if life.text("ttl")? == Some("1h") {
            hour += life.part("inputTokens", written - hour)?;
        }
    }
    Ok(hour)
}

/// Titan's: the prompt at the top, the completions in a list; of a stream, the last chunk tells the whole of the completion
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html>).
fn titan(object: &Object<'_>) -> Result<Usage> {
    let mut usage = Usage::default();
    let whole = object.count("inputTextTokenCount")?.unwrap_or(0);
    Prompt { whole, ..Prompt::default() }.classify(&mut usage)?;
    let mut whole = 0;
    for result in object.objects("results")? {
        whole += result.count("tokenCount")?.unwrap_or(0);
    }
    let whole = object.count("totalOutputTextTokenCount")?.unwrap_or(whole);
    Completion { whole, ..Completion::default() }.classify(&mut usage)?;
    Ok(usage)
}

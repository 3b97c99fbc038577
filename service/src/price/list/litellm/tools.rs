//! What an entry says of web searches and of audio that is written to a cache: a rate that depends on other fields, or the
//! reason why there is none.

use super::{
    FIELDS,
    field::{Field, find},
    pairs::Pairs,
};
use std::borrow::Cow;

/// What a web search costs, by the size of the context that the search gives to the model.
pub(super) const SEARCH: &str = "search_context_cost_per_query";
/// The rate of audio that is written to a cache.
pub(super) const AUDIO_WRITE: &str = "cache_creation_input_audio_token_cost";

/// What such a field says.
#[derive(Debug)]
pub(super) enum Told {
    /// A rate, and what ought to be known of it.
    Rate { number: String, note: Option<String> },
    /// None, for this reason.
    Left(String),
}

/// What a web search costs. The size of the context is no part of any usage object: where it matters, the medium one is taken.
pub(super) fn search(fields: &[Field<'_>], provider: Option<&str>) -> Option<Told> {
    let field = find(fields, SEARCH)?;
    let unit = find(fields, "web_search_billing_unit").and_then(Field::text);
    // As LiteLLM documents it: Gemini's models are charged once for a prompt that searches, unless the entry says otherwise.
    let by_prompt = matches!(provider, Some("gemini" | "vertex_ai"));
    match unit.as_deref() {
        Some("per_query") => {}
        None if !by_prompt => {}
        Some("per_prompt") | None => {
            return Some(Told::Left("it is for a prompt that searches, however often".to_owned()));
        }
        Some(_) => return Some(Told::Left("its web_search_billing_unit is not known".to_owned())),
    }
    let Ok(Pairs(sizes)) = serde_json::from_str::<Pairs<'_, FIELDS>>(field.raw) else {
        return Some(Told::Left("it is no object".to_owned()));
    };
    let stated = sizes.iter().map(|(size, raw)| {
        let number = Field::new(SEARCH, raw.get()).number()?.into_owned();
        Some((size.strip_prefix("search_context_size_")?.to_owned(), number))
    });
    let sizes: Vec<(String, String)> = stated.collect::<Option<_>>().unwrap_or_default();
    let Some((_, first)) = sizes.first() else {
        return Some(Told::Left("it is no object of prices by the size of the context".to_owned()));
    };
    if sizes.iter().all(|(_, number)| number == first) {
        return Some(Told::Rate { number: first.clone(), note: None });
    }
    let Some((_, medium)) = sizes.iter().find(|(size, _)| size == "medium") else {
        return Some(Told::Left("its sizes have different prices, and none is medium".to_owned()));
    };
    let others = sizes.iter().filter(|(_, number)| number != medium);
    let others: Vec<String> = others.map(|(size, number)| format!("{size} costs {number}")).collect();
    let note = format!("{SEARCH}: a search is charged as medium, at {medium}; {}", others.join(", "));
    Some(Told::Rate { number: medium.clone(), note: Some(note) })
}

/// What audio that is written to a cache costs. OpenAI charges for reading alone, and has one rate for cached audio, which the
/// list states under this name, too: its entries with both have the same twice.
pub(super) fn audio_write(fields: &[Field<'_>], provider: Option<&str>) -> Option<Told> {
    let field = find(fields, AUDIO_WRITE)?;
    let number = field.number().map(Cow::into_owned);
    let read = find(fields, "cache_read_input_audio_token_cost").and_then(Field::number);
    match (number, read) {
        (Some(number), Some(read)) if number == read => None,
        (Some(number), None) if matches!(provider, Some("openai" | "azure")) => {
            let note = format!("{AUDIO_WRITE} is taken for the rate of audio read from a cache");
            Some(Told::Rate { number, note: Some(note) })
        }
        _ => Some(Told::Left("no usage reports audio that is written to a cache".to_owned())),
    }
}

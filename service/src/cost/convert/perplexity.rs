//! Perplexity's chat completions. Of a deep research the citations and the reasoning stand beside `prompt_tokens` and
//! `completion_tokens`, and `total_tokens` holds neither. What its searches cost, by the query or within a
//! fee for the request, is the price's to say.

use super::{
    Format, Reading,
    object::Object,
    split::{Completion, Prompt},
};
use crate::{Result, cost::Usage};
use entity::terms::Component;

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    let told = [object.count("prompt_tokens")?, object.count("completion_tokens")?];
    if told == [None; 2] {
        return Err(object.wrong("prompt_tokens", "required", "is needed, or completion_tokens"));
    }
    let [asked, answered] = told.map(|count| count.unwrap_or(0));
    let citations = object.count("citation_tokens")?.unwrap_or(0);
    let details = object.object("completion_tokens_details")?;
    let reasoning = object.count("reasoning_tokens")?.or(details.count("reasoning_tokens")?).unwrap_or(0);
    let sums = [0, citations, reasoning, citations + reasoning].map(|beside| asked + answered + beside);
    if object.count("total_tokens")?.is_some_and(|total| !sums.contains(&total)) {
        let message = "contradicts the parts that it is the total of";
        object.doubt(object.wrong("total_tokens", "inconsistent", message))?;
    }
    let mut usage = Usage::default();
    Prompt { whole: asked + citations, ..Prompt::default() }.classify(&mut usage)?;
    let whole = answered + reasoning;
    Completion { whole, reasoning, ..Completion::default() }.classify(&mut usage)?;
    usage.set(Component::WebSearch, object.count("num_search_queries")?.unwrap_or(0))?;
    Ok(Reading::new(Format::Perplexity, usage))
}

//! `cargo run -p catalogue -- write | check`: the built-in catalogue, `service/src/catalogue/catalogue.json`, is exactly what
//! the list beside this says.

use anyhow::{Context, Result, bail, ensure};
use chrono::{NaiveDate, NaiveTime};
use serde::Serialize;
use serde_json::value::RawValue;
use service::{
    catalogue::{Catalogue, ListedModel, ListedProvider},
    price::list::{ListPrice, Listed, litellm},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// Of the catalogue; larger with every change.
const VERSION: i64 = 3;
/// What is read.
const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/model-prices-2026-07-24.json");
/// Prices of a later list, in our own format: they take the place of those of their provider and model.
const CORRECTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corrections-2026-08-21.json");
/// Where the list is from.
const SOURCE: &str = "litellm price list 86135fc6";
/// Of what day it is.
const DATED: (i32, u32, u32) = (2026, 7, 24);
/// What is written.
const WRITTEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../service/src/catalogue/catalogue.json");
/// What people call the providers; of others, the word with a capital.
const NAMES: [(&str, &str); 11] = [
    ("anthropic", "Anthropic"),
    ("bedrock", "Amazon Bedrock"),
    ("deepseek", "DeepSeek"),
    ("gemini", "Google Gemini"),
    ("minimax", "MiniMax"),
    ("moonshot", "Moonshot AI"),
    ("openai", "OpenAI"),
    ("vertex_ai", "Google Vertex AI"),
    ("volcengine", "Volcengine"),
    ("xai", "xAI"),
    ("zhipu", "Zhipu AI"),
];

fn main() -> Result<()> {
    let command = std::env::args().nth(1);
    let text = text(&catalogue()?)?;
    match command.as_deref() {
        Some("write") => fs::write(WRITTEN, text).context(WRITTEN)?,
        Some("check") => {
            let written = fs::read_to_string(WRITTEN).context(WRITTEN)?;
            ensure!(written == text, "{LIST} says something else: run `cargo run -p catalogue -- write`");
        }
        _ => bail!("usage: catalogue write | check"),
    }
    Ok(())
}

/// The catalogue that the list makes.
fn catalogue() -> Result<Catalogue> {
    let file = fs::read(LIST).context(LIST)?;
    let remarks = remarks(&file)?;
    let (year, month, day) = DATED;
    let dated = NaiveDate::from_ymd_opt(year, month, day).context("there is no such day")?;
    let mut catalogue = Catalogue {
        version: VERSION,
        source: SOURCE.to_owned(),
        dated,
        providers: Vec::new(),
        models: Vec::new(),
        prices: Vec::new(),
        digest: Vec::new(),
    };
    for listed in litellm::read(&file)? {
        catalogue.models.push(model(&listed)?);
        match listed.price {
            Ok(price) => catalogue.prices.push(ListPrice {
                effective_from: Some(dated.and_time(NaiveTime::MIN).and_utc()),
                source: Some(SOURCE.to_owned()),
                sourced_on: Some(dated),
                note: remarks.get(&listed.key).cloned(),
                ..price
            }),
            Err(reason) => eprintln!("{} has no price: {reason}", listed.key),
        }
    }
    correct(&mut catalogue.prices)?;
    let named: BTreeSet<&str> = catalogue.models.iter().map(|model| model.provider.as_str()).collect();
    catalogue.providers = named.into_iter().map(provider).collect();
    Ok(catalogue)
}

/// Puts the prices of the later list in the places of those that they correct.
fn correct(prices: &mut Vec<ListPrice>) -> Result<()> {
    let corrections: Vec<ListPrice> = serde_json::from_slice(&fs::read(CORRECTIONS).context(CORRECTIONS)?)?;
    for correction in corrections {
        prices.retain(|price| (&price.provider, &price.model) != (&correction.provider, &correction.model));
        prices.push(correction);
    }
    Ok(())
}

fn model(listed: &Listed) -> Result<ListedModel> {
    let facts = listed.facts.clone().with_context(|| format!("{} says nothing of its model", listed.key))?;
    let provider = listed.provider.clone().with_context(|| format!("{} is nobody's", listed.key))?;
    Ok(ListedModel {
        provider,
        name: listed.key.clone(),
        capabilities: facts.capabilities,
        context_window: facts.context_window,
        max_output_tokens: facts.max_output_tokens,
        deprecated: facts.deprecated_on.is_some(),
        deprecated_on: facts.deprecated_on,
    })
}

fn provider(name: &str) -> ListedProvider {
    let known = NAMES.iter().find(|(word, _)| *word == name).map(|(_, known)| (*known).to_owned());
    let capital = || {
        let mut letters = name.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
    };
    ListedProvider { name: name.to_owned(), display_name: known.unwrap_or_else(capital) }
}

/// What the list remarks on its entries.
fn remarks(file: &[u8]) -> Result<BTreeMap<String, String>> {
    let entries: BTreeMap<String, BTreeMap<String, &RawValue>> = serde_json::from_slice(file)?;
    let remark = |(key, fields): (String, BTreeMap<String, &RawValue>)| {
        let text = serde_json::from_str(fields.get("_comment")?.get()).ok()?;
        Some((key, text))
    };
    Ok(entries.into_iter().filter_map(remark).collect())
}

/// The catalogue as text, one provider, model or price a line.
fn text(catalogue: &Catalogue) -> Result<String> {
    let Catalogue { version, source, dated, providers, models, prices, digest: _ } = catalogue;
    Ok(format!(
        "{{\n\"version\": {version},\n\"source\": {},\n\"dated\": \"{dated}\",\n\"providers\": [\n{}\n],\n\"models\": \
         [\n{}\n],\n\"prices\": [\n{}\n]\n}}\n",
        serde_json::to_string(source)?,
        lines(providers)?,
        lines(models)?,
        lines(prices)?,
    ))
}

fn lines<T: Serialize>(items: &[T]) -> Result<String> {
    let lines: Vec<String> = items.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_catalogue_is_what_the_list_says() -> Result<()> {
        assert!(
            fs::read_to_string(WRITTEN)? == text(&catalogue()?)?,
            "run `cargo run -p catalogue -- write`"
        );
        Ok(())
    }
}

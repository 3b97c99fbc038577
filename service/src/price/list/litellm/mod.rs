//! LiteLLM's public price list: a JSON object, model → facts and rates in US dollars. An entry that is not understood
//! is reported with the reason; nothing that an entry charges for is dropped without a note that names the field.

mod bands;
mod facts;
mod field;
mod pairs;
mod price;
#[cfg(test)]
mod tests;
mod tools;

use super::{ENTRIES, Listed};
use crate::Result;
use entity::money;
use field::Field;
use pairs::Pairs;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The entry that explains the others.
const EXPLANATION: &str = "sample_spec";
/// Fields of an entry.
const FIELDS: usize = 256;
/// Notes of an entry.
const NOTES: usize = 32;
/// Characters of a model's name, and of any other name that a report repeats.
const NAME: usize = 255;

/// Reads a list.
pub fn read(file: &[u8]) -> Result<Vec<Listed>> {
    read_each(file, |listed| listed)
}

/// Reads a list entry by entry: of each, only what `keep` makes of it is kept.
pub(super) fn read_each<T>(file: &[u8], keep: impl FnMut(Listed) -> T) -> Result<Vec<T>> {
    let text = super::text(file)?;
    let Pairs(entries) =
        serde_json::from_str::<Pairs<'_, ENTRIES>>(text).map_err(|error| super::json_fault(&error))?;
    let mut seen = HashSet::new();
    let listed = entries.iter().map(|(key, raw)| {
        if seen.insert(key) { entry(key, raw) } else { refused(key, "it is in the list before; that counts") }
    });
    Ok(listed.map(keep).collect())
}

/// Reads one entry of a list.
pub fn entry(key: &str, raw: &RawValue) -> Listed {
    if let Some(reason) = unfit(key) {
        return refused(key, reason);
    }
    let Ok(Pairs(fields)) = serde_json::from_str::<Pairs<'_, FIELDS>>(raw.get()) else {
        return refused(key, "it is no object of at most 256 fields");
    };
    let fields: Vec<Field<'_>> = fields.iter().map(|(name, raw)| Field::new(name, raw.get())).collect();
    let provider = match facts::provider(&fields) {
        Ok(provider) => provider,
        Err(reason) => return refused(key, reason),
    };
    let mut notes = Vec::new();
    let facts = Some(facts::facts(&fields, &mut notes));
    let price = price::price(&fields, provider.as_deref(), &mut notes).map(|mut price| {
        (price.model, price.provider) = (Some(key.to_owned()), provider.clone());
        price
    });
    let more = notes.len().saturating_sub(NOTES);
    if more > 0 {
        notes.truncate(NOTES);
        notes.push(format!("and {more} more"));
    }
    Listed { key: key.to_owned(), provider, facts, price, notes }
}

/// Why nothing can be called so.
fn unfit(key: &str) -> Option<&'static str> {
    if key == EXPLANATION {
        Some("it explains the format and is no model")
    } else if key.trim().is_empty() || key.chars().count() > NAME {
        Some("its name does not have 1–255 characters")
    } else if key.contains(char::is_control) {
        Some("its name contains control characters")
    } else if key.contains('*') {
        Some("its name contains a star, which would stand for other models")
    } else {
        None
    }
}

fn refused(key: &str, reason: &str) -> Listed {
    let price = Err(reason.to_owned());
    Listed { key: shown(key), provider: None, facts: None, price, notes: Vec::new() }
}

/// A name as reports repeat it: not without end.
fn shown(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        Some(_) => format!("{name:.NAME$}…"),
        None => name.to_owned(),
    }
}

/// Whether a number is nothing.
fn is_zero(number: &str) -> bool {
    money::scaled(number, 0) == Ok(0)
}

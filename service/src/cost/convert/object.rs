//! [`Object`]: a JSON object of counts, with its place. `null` is absent. A count is a whole number from 0 to [`MOST`],
//! written as one; anything else is refused by its JSON pointer.

use crate::{
    Error, Result,
    cost::MOST,
    validate::{Faults, escaped},
};
use serde_json::{Map, Value};

/// An object, or the absence of one, which says nothing.
pub(super) struct Object<'v> {
    fields: Option<&'v Map<String, Value>>,
    at: String,
}

impl<'v> Object<'v> {
    pub(super) fn of(value: &'v Value, at: &str) -> Result<Self> {
        match value {
            Value::Object(fields) => Ok(Self { fields: Some(fields), at: at.to_owned() }),
            _ => Err(Error::invalid(at, "invalid_value", "expected an object")),
        }
    }

    /// Whether it has a field, be it null.
    pub(super) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// The names of all fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &'v String> {
        self.fields.into_iter().flat_map(Map::keys)
    }

    /// How many, if it says.
    pub(super) fn count(&self, field: &str) -> Result<Option<u64>> {
        let Some(value) = self.value(field) else { return Ok(None) };
        // What has a point or an exponent was rounded when it was parsed, and may have been no whole number.
        if !value.is_u64() && !value.is_i64() {
            return Err(self.wrong(field, "invalid_value", "must be a whole number"));
        }
        let count = value.as_u64().filter(|count| *count <= MOST);
        let out_of_range = || self.wrong(field, "out_of_range", format!("must be between 0 and {MOST}"));
        count.ok_or_else(out_of_range).map(Some)
    }

    /// How many of `whole` it says are of one kind; none if it does not say.
    pub(super) fn part(&self, field: &str, whole: u64) -> Result<u64> {
        let part = self.count(field)?.unwrap_or(0);
        if part > whole {
            let message = format!("is more than the {whole} that it is part of");
            return Err(self.wrong(field, "inconsistent", message));
        }
        Ok(part)
    }

    /// The object in a field; one that says nothing, if there is none.
    pub(super) fn object(&self, field: &str) -> Result<Self> {
        let at = self.pointer(field);
        match self.value(field) {
            Some(value) => Self::of(value, &at),
            None => Ok(Self { fields: None, at }),
        }
    }

    /// The objects of the list in a field.
    pub(super) fn objects(&self, field: &str) -> Result<Vec<Self>> {
        let Some(value) = self.value(field) else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| self.wrong(field, "invalid_value", "expected a list"))?;
        let at = self.pointer(field);
        list.iter().enumerate().map(|(n, value)| Self::of(value, &format!("{at}/{n}"))).collect()
    }

    /// The text in a field.
    pub(super) fn text(&self, field: &str) -> Result<Option<&'v str>> {
        let text = |value: &'v Value| {
            value.as_str().ok_or_else(|| self.wrong(field, "invalid_value", "expected a text"))
        };
        self.value(field).map(text).transpose()
    }

    /// The word in a field, in lower case.
    pub(super) fn word(&self, field: &str) -> Result<Option<String>> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let word = text.trim().to_ascii_lowercase();
        let mut faults = Faults::default();
        faults.word(&self.pointer(field), &word);
        faults.finish()?;
        Ok(Some(word))
    }

    /// What is wrong with a field.
    pub(super) fn wrong(&self, field: &str, code: &'static str, message: impl Into<String>) -> Error {
        Error::invalid(self.pointer(field), code, message)
    }

    /// A field that the format does not know.
    pub(super) fn unknown(&self, field: &str) -> Error {
        Error::malformed(self.pointer(field), "unknown_field", "unknown field")
    }

    /// Which of two names of a field it uses; the first if none.
    pub(super) fn spelled<'n>(&self, [name, other]: [&'n str; 2]) -> &'n str {
        if self.has(other) && !self.has(name) { other } else { name }
    }

    /// The JSON pointer of a field.
    pub(super) fn pointer(&self, field: &str) -> String {
        let spelled = self.get(field).map_or(field, |(spelled, _)| spelled);
        format!("{}/{}", self.at, escaped(spelled))
    }

    fn value(&self, field: &str) -> Option<&'v Value> {
        self.get(field).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// A field as it is spelled, in camelCase or in snake_case.
    fn get(&self, field: &str) -> Option<(&'v str, &'v Value)> {
        let entry = |name: &str| self.fields?.get_key_value(name);
        let (name, value) = entry(field).or_else(|| entry(&snake(field)))?;
        Some((name, value))
    }
}

/// `promptTokenCount` as Google's libraries spell it: `prompt_token_count`.
fn snake(camel: &str) -> String {
    let spelled = |letter: char| match letter {
        'A'..='Z' => format!("_{}", letter.to_ascii_lowercase()),
        _ => letter.to_string(),
    };
    camel.chars().map(spelled).collect()
}

//! [`Object`]: a JSON object of counts, with its place. `null` is absent. A count is a whole number from 0 to [`MOST`], also
//! written `5.0`. What is no count is refused by its JSON pointer in an object of our own; in a provider's it is noted in
//! [`Doubts`], since a call that was served is never lost because of the object that tells of it.

use crate::{
    Error, Result,
    cost::MOST,
    error::FieldError,
    validate::{Faults, escaped},
};
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};

/// What cannot be read exactly of an object.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Whether the first doubt refuses the object.
    strict: Cell<bool>,
    found: RefCell<Vec<FieldError>>,
}

/// Doubts that are kept of one object: one is enough to flag it, and a few tell why.
const KEPT: usize = 16;

impl Doubts {
    /// From now on, the first doubt refuses the object.
    pub(super) fn refuse(&self) {
        self.strict.set(true);
    }

    /// Notes a fault, or fails with it.
    pub(super) fn note(&self, error: Error) -> Result<()> {
        let faults = match error {
            Error::Invalid(faults) if !self.strict.get() => faults,
            Error::Malformed(fault) if !self.strict.get() => vec![fault],
            error => return Err(error),
        };
        let mut found = self.found.borrow_mut();
        let new = faults.into_iter().filter(|fault| !found.contains(fault)).collect::<Vec<_>>();
        found.extend(new);
        found.truncate(KEPT);
        Ok(())
    }

    pub(super) fn into_found(self) -> Vec<FieldError> {
        self.found.into_inner()
    }
}

/// A number as it is written.
struct Written {
    negative: bool,
    /// Its whole part; none = more than can be counted.
    whole: Option<u64>,
    /// Whether there is more than the whole part.
    fraction: bool,
}

impl Written {
    /// Digit by digit, so that no float rounds it.
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        if let Some((_, exponent)) = digits.split_once(['e', 'E']) {
            // serde_json writes an exponent only far above all counts, or far below one.
            let small = exponent.starts_with('-');
            return Some(Self { negative, whole: small.then_some(0), fraction: small });
        }
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(part) {
            return None;
        }
        Some(Self { negative, whole: whole.parse().ok(), fraction: part.bytes().any(|byte| byte != b'0') })
    }

    /// The whole number that is not less; none = too large.
    fn up(&self) -> Option<u64> {
        let whole = self.whole?.checked_add(u64::from(self.fraction))?;
        (whole <= MOST).then_some(whole)
    }

    fn is_negative(&self) -> bool {
        self.negative && (self.fraction || self.whole != Some(0))
    }
}

/// An object, or the absence of one, which says nothing.
#[derive(Clone)]
pub(super) struct Object<'v> {
    fields: Option<&'v Map<String, Value>>,
    at: String,
    doubts: &'v Doubts,
}

impl<'v> Object<'v> {
    pub(super) fn of(value: &'v Value, at: &str, doubts: &'v Doubts) -> Result<Self> {
        match value {
            Value::Object(fields) => Ok(Self { fields: Some(fields), at: at.to_owned(), doubts }),
            _ => Err(Error::invalid(at, "invalid_value", "expected an object")),
        }
    }

    /// Notes what is wrong, or fails with it.
    pub(super) fn doubt(&self, error: Error) -> Result<()> {
        self.doubts.note(error)
    }

    /// Whether it has a field, be it null.
    pub(super) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// Whether it has a field that is spelled so, be it null.
    pub(super) fn spells(&self, field: &str) -> bool {
        self.fields.is_some_and(|fields| fields.contains_key(field))
    }

    /// Whether there is an object in a field.
    pub(super) fn has_object(&self, field: &str) -> bool {
        self.value(field).is_some_and(Value::is_object)
    }

    /// Whether there is a number or the text of one in a field.
    pub(super) fn has_number(&self, field: &str) -> bool {
        self.written(field).is_some()
    }

    /// Whether a field has this text.
    pub(super) fn says(&self, field: &str, text: &str) -> bool {
        self.value(field).is_some_and(|value| value == text)
    }

    /// An object that says nothing.
    pub(super) fn nothing(&self) -> Self {
        Self { fields: None, at: self.at.clone(), doubts: self.doubts }
    }

    /// The names of all fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &'v String> {
        self.fields.into_iter().flat_map(Map::keys)
    }

    /// How many, if it says.
    pub(super) fn count(&self, field: &str) -> Result<Option<u64>> {
        self.quantity(field, false)
    }

    /// How many seconds, if it says: one that has begun counts.
    pub(super) fn seconds(&self, field: &str) -> Result<Option<u64>> {
        self.quantity(field, true)
    }

    fn quantity(&self, field: &str, fractional: bool) -> Result<Option<u64>> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let whole = || self.wrong(field, "invalid_value", "must be a whole number");
        let Some(written) = self.written(field) else {
            self.doubt(whole())?;
            return Ok(None);
        };
        if !value.is_number() || written.fraction && !fractional {
            self.doubt(whole())?;
        }
        if let (Some(quantity), false) = (written.up(), written.is_negative()) {
            return Ok(Some(quantity));
        }
        self.doubt(self.wrong(field, "out_of_range", format!("must be between 0 and {MOST}")))?;
        Ok(Some(0))
    }

    /// Notes a count of what a provider charges for and no class of usage holds.
    pub(super) fn unclassed(&self, field: &str) -> Result<()> {
        if self.count(field)?.is_some_and(|count| count > 0) {
            self.doubt(self.wrong(field, "unknown", "is charged for, and in no class of usage"))?;
        }
        Ok(())
    }

    /// How far below zero a count is, if it is.
    pub(super) fn shortfall(&self, field: &str) -> Option<u64> {
        self.written(field).filter(Written::is_negative)?.up()
    }

    fn written(&self, field: &str) -> Option<Written> {
        match self.value(field)? {
            Value::Number(number) => Written::parse(&number.to_string()),
            Value::String(text) if !text.contains(['e', 'E']) => Written::parse(text.trim()),
            _ => None,
        }
    }

    /// How many of `whole` it says are of one kind; none if it does not say.
    pub(super) fn part(&self, field: &str, whole: u64) -> Result<u64> {
        let part = self.count(field)?.unwrap_or(0);
        self.within(field, part, whole)
    }

    /// A part as far as its whole has room for it.
    pub(super) fn within(&self, field: &str, part: u64, whole: u64) -> Result<u64> {
        if part > whole {
            let message = format!("is more than the {whole} that it is part of");
            self.doubt(self.wrong(field, "inconsistent", message))?;
        }
        Ok(part.min(whole))
    }

    /// The object in a field; one that says nothing, if there is none.
    pub(super) fn object(&self, field: &str) -> Result<Self> {
        let at = self.pointer(field);
        let nothing = Self { at: at.clone(), ..self.nothing() };
        let Some(value) = self.value(field) else { return Ok(nothing) };
        Self::of(value, &at, self.doubts).or_else(|error| self.doubt(error).map(|()| nothing))
    }

    /// The objects of the list in a field.
    pub(super) fn objects(&self, field: &str) -> Result<Vec<Self>> {
        let Some(value) = self.value(field) else { return Ok(Vec::new()) };
        let Some(list) = value.as_array() else {
            self.doubt(self.wrong(field, "invalid_value", "expected a list"))?;
            return Ok(Vec::new());
        };
        let at = self.pointer(field);
        let mut objects = Vec::with_capacity(list.len());
        for (n, value) in list.iter().enumerate() {
            match Self::of(value, &format!("{at}/{n}"), self.doubts) {
                Ok(object) => objects.push(object),
                Err(error) => self.doubt(error)?,
            }
        }
        Ok(objects)
    }

    /// The text in a field.
    pub(super) fn text(&self, field: &str) -> Result<Option<&'v str>> {
        let Some(value) = self.value(field) else { return Ok(None) };
        if !value.is_string() {
            self.doubt(self.wrong(field, "invalid_value", "expected a text"))?;
        }
        Ok(value.as_str())
    }

    /// The word in a field, in lower case.
    pub(super) fn word(&self, field: &str) -> Result<Option<String>> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let word = text.trim().to_ascii_lowercase();
        let mut faults = Faults::default();
        faults.word(&self.pointer(field), &word);
        match faults.finish() {
            Ok(()) => Ok(Some(word)),
            Err(error) => self.doubt(error).map(|()| None),
        }
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

    /// What stands in a field, unless it is null.
    pub(super) fn value(&self, field: &str) -> Option<&'v Value> {
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

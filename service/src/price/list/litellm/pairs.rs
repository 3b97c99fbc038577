//! [`Pairs`]: a JSON object as it is written, in its order, with its duplicates and with every value unread.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Names and values of an object of at most `MOST`.
#[derive(Debug)]
pub(super) struct Pairs<'f, const MOST: usize>(pub(super) Vec<(Cow<'f, str>, &'f RawValue)>);

impl<'de: 'f, 'f, const MOST: usize> Deserialize<'de> for Pairs<'f, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader::<MOST>).map(Self)
    }
}

struct Reader<const MOST: usize>;

impl<'de, const MOST: usize> Visitor<'de> for Reader<MOST> {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of at most {MOST} entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            if pairs.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            pairs.push((name, value));
        }
        Ok(pairs)
    }
}

/// A name, from the file where it stands there as it is.
#[derive(Deserialize)]
struct Name<'f>(#[serde(borrow)] Cow<'f, str>);

//! Usage objects as they are read from a request: a key that stands there twice is refused, since nobody can say which of
//! the two is meant. Left to itself, serde_json takes the last.

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use std::fmt;

/// Stands in the place of a value whose key stood twice, until the call that it is of is read by itself.
const TWICE: &str = "\0twice";

/// Why a key is refused.
const REFUSED: &str = "must not be given twice";

/// What is done about a key that stands twice.
#[derive(Clone, Copy)]
enum Twice {
    /// The last value counts.
    Ignore,
    /// It is marked, within `usage`.
    Mark,
    /// It fails.
    Refuse,
}

/// A usage object.
pub fn usage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Json { twice: Twice::Refuse, marking: false }.deserialize(deserializer)
}

/// A usage object, or none.
pub fn optional_usage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    usage(deserializer).map(|value| Some(value).filter(|value| !value.is_null()))
}

/// Calls that are read one by one later on. What is wrong with the usage of one is not the fault of the others.
pub fn calls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    match (Json { twice: Twice::Ignore, marking: true }).deserialize(deserializer)? {
        Value::Array(calls) => Ok(calls),
        _ => Err(D::Error::custom("expected a list")),
    }
}

/// Reads any JSON.
#[derive(Clone, Copy)]
struct Json {
    twice: Twice,
    /// Whether what stands in `usage` is marked.
    marking: bool,
}

impl<'de> DeserializeSeed<'de> for Json {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Json {
    /// How the value of a key is read.
    fn within(self, key: &str) -> Self {
        if self.marking && key == "usage" { Self { twice: Twice::Mark, marking: false } } else { self }
    }
}

impl<'de> Visitor<'de> for Json {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    #[expect(clippy::disallowed_types, reason = "what is read is passed on as it is")]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key == TWICE {
                return Err(A::Error::custom(REFUSED));
            }
            let again = fields.contains_key(&key);
            let value = match self.twice {
                Twice::Refuse if again => match access.next_value_seed(Refused)? {},
                Twice::Mark if again => {
                    access.next_value_seed(self)?;
                    Value::Object(Map::from_iter([(TWICE.to_owned(), Value::Null)]))
                }
                _ => access.next_value_seed(self.within(&key))?,
            };
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

/// A value that is refused at its own place.
struct Refused;

impl<'de> DeserializeSeed<'de> for Refused {
    type Value = std::convert::Infallible;
    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<Self::Value, D::Error> {
        Err(D::Error::custom(REFUSED))
    }
}

//! [`File`]: the frame of a file in JSON or YAML: a list of prices, by itself or in an object with the version of the
//! format.

use super::super::{ENTRIES, ListPrice};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{fmt, marker::PhantomData};
use utoipa::ToSchema;

/// The version of the format.
const VERSION: u32 = 1;

/// A file of prices in our own format.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceFile {
    /// The prices.
    #[schema(max_items = 100_000)]
    pub prices: Vec<ListPrice>,
}

/// A file as it is read.
#[derive(Debug)]
pub(super) struct File<P> {
    pub(super) prices: Vec<P>,
    /// Whether the list stands by itself.
    pub(super) bare: bool,
}

impl<'de, P: Deserialize<'de>> Deserialize<'de> for File<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Frame(PhantomData))
    }
}

struct Frame<P>(PhantomData<P>);

impl<'de, P: Deserialize<'de>> Visitor<'de> for Frame<P> {
    type Value = File<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of prices, or an object with `prices`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<File<P>, A::Error> {
        Ok(File { prices: prices(list)?, bare: true })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<File<P>, A::Error> {
        let mut prices = None;
        while let Some(name) = object.next_key::<String>()? {
            match name.as_str() {
                "version" => {
                    if object.next_value::<u32>()? != VERSION {
                        return Err(A::Error::custom("expected version 1 of the format"));
                    }
                }
                "prices" if prices.is_some() => return Err(A::Error::duplicate_field("prices")),
                "prices" => prices = Some(object.next_value_seed(Prices(PhantomData))?),
                other => return Err(A::Error::unknown_field(other, &["version", "prices"])),
            }
        }
        let prices = prices.ok_or_else(|| A::Error::missing_field("prices"))?;
        Ok(File { prices, bare: false })
    }
}

/// A list of prices that is not too long.
struct Prices<P>(PhantomData<P>);

impl<'de, P: Deserialize<'de>> DeserializeSeed<'de> for Prices<P> {
    type Value = Vec<P>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<P>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, P: Deserialize<'de>> Visitor<'de> for Prices<P> {
    type Value = Vec<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {ENTRIES} prices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<P>, A::Error> {
        prices(list)
    }
}

fn prices<'de, P: Deserialize<'de>, A: SeqAccess<'de>>(mut list: A) -> Result<Vec<P>, A::Error> {
    let mut prices = Vec::new();
    while prices.len() < ENTRIES {
        match list.next_element()? {
            Some(price) => prices.push(price),
            None => return Ok(prices),
        }
    }
    match list.next_element::<IgnoredAny>()? {
        Some(_) => Err(A::Error::invalid_length(ENTRIES + 1, &Prices(PhantomData::<P>))),
        None => Ok(prices),
    }
}

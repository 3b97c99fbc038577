//! Our own format in YAML. A rate may stand without quotes: it is read from its text all the same. Keys that repeat,
//! several documents and files that unfold beyond measure are refused.

use super::{
    super::{ENTRIES, ListPrice},
    fault::{self, fault},
    file::{File, PriceFile},
    sink::Sink,
};
use crate::{Error, Result, error::FieldError};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_saphyr::{DuplicateKeyPolicy, Error as Fault, Options};

/// Values of a file; a price has some twenty.
const NODES: usize = ENTRIES * 64;
/// Bytes of all values together, with what aliases repeat.
const BYTES: usize = 50 * 1024 * 1024;

/// A price as short as it can be written, until all have been read: the reader of YAML passes none on by itself.
struct Short(Box<str>);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let price = ListPrice::deserialize(deserializer)?;
        serde_json::to_string(&price).map(|text| Self(text.into())).map_err(D::Error::custom)
    }
}

pub(super) fn read<K: FnMut(ListPrice)>(text: &str, sink: &mut Sink<K>) -> Result<()> {
    let mut faulty = None;
    let file = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |reader| {
        serde_path_to_error::deserialize::<_, File<Short>>(reader).map_err(|error| {
            let path = error.path().clone();
            let error = error.into_inner();
            faulty = Some(fault(&path, "", &error.to_string()));
            error
        })
    });
    let file = file.map_err(|error| match faulty {
        Some(fault) if is_value(&error) => fault::refusal(vec![in_line(&error, fault)]),
        _ => Error::malformed("", "invalid_yaml", format!("the file is not YAML: {error}")),
    })?;
    if file.bare {
        sink.is_bare();
    }
    for Short(text) in file.prices {
        sink.take(serde_json::from_str(&text).map_err(Error::internal)?)?;
    }
    Ok(())
}

fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_nodes: NODES,
        max_events: 2 * NODES,
        max_total_scalar_bytes: BYTES,
        max_documents: 1,
    };
    serde_saphyr::options! {
        budget: budget,
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// Whether the file is YAML, and a value in it is not what it should be.
fn is_value(error: &Fault) -> bool {
    matches!(
        error,
        Fault::Message { .. }
            | Fault::Unexpected { .. }
            | Fault::NullIntoString { .. }
            | Fault::InvalidScalar { .. }
            | Fault::SerdeInvalidType { .. }
            | Fault::SerdeInvalidValue { .. }
            | Fault::SerdeInvalidLength { .. }
            | Fault::SerdeUnknownVariant { .. }
            | Fault::SerdeUnknownField { .. }
            | Fault::SerdeMissingField { .. }
    )
}

/// Which line of the file it is about.
fn in_line(error: &Fault, fault: FieldError) -> FieldError {
    let Some(place) = error.location() else { return fault };
    let message = format!("line {}, column {}: {}", place.line(), place.column(), fault.message);
    FieldError { message, ..fault }
}

pub(super) fn write(prices: Vec<ListPrice>) -> Result<Vec<u8>> {
    serde_saphyr::to_string(&PriceFile { prices }).map(String::into_bytes).map_err(Error::internal)
}

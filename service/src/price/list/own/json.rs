//! Our own format in JSON. Each price is read by itself, so that every faulty one is told.

use super::{
    super::{ListPrice, json_fault},
    Placed,
    fault::{self, Faulty, fault},
    file::{File, PriceFile},
};
use crate::{Error, Result};
use serde_json::value::RawValue;

pub(super) fn read(text: &str, faulty: &mut Faulty) -> Result<Vec<Placed>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let frame = serde_path_to_error::deserialize::<_, File<&RawValue>>(&mut reader);
    let file = frame.map_err(|error| refusal(&error))?;
    reader.end().map_err(|error| json_fault(&error))?;
    let under = if file.bare { "" } else { "/prices" };
    let mut prices = Vec::new();
    for (n, raw) in file.prices.into_iter().enumerate() {
        let pointer = format!("{under}/{n}");
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        match serde_path_to_error::deserialize::<_, ListPrice>(&mut reader) {
            Ok(price) => prices.push(Placed { pointer, price }),
            Err(error) => faulty.add(fault(error.path(), &pointer, &error.inner().to_string())),
        }
    }
    Ok(prices)
}

fn refusal(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    if error.inner().is_data() {
        fault::refusal(vec![fault(error.path(), "", &error.inner().to_string())])
    } else {
        json_fault(error.inner())
    }
}

pub(super) fn write(prices: Vec<ListPrice>) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(&PriceFile { prices }).map_err(Error::internal)
}

//! Our own format: prices as they are made by hand, in JSON, YAML or CSV. A file is read whole or not at all; what is
//! wrong with it is told with every place.

mod csv;
mod fault;
mod file;
mod json;
#[cfg(test)]
mod tests;
mod yaml;

use super::{Encoding, ListPrice, Listed};
use crate::{Result, price::NewPrice};
use chrono::{DateTime, Utc};
use fault::Faulty;
pub use file::PriceFile;

/// A price, and where it stands in its file.
struct Placed {
    pointer: String,
    price: ListPrice,
}

/// Reads a file. A price that names no begin begins `now`.
pub(super) fn read(file: &[u8], encoding: Encoding, now: DateTime<Utc>) -> Result<Vec<Listed>> {
    let text = super::text(file)?;
    let mut faulty = Faulty::default();
    let prices = match encoding {
        Encoding::Json => json::read(text, &mut faulty)?,
        Encoding::Yaml => yaml::read(text)?,
        Encoding::Csv => csv::read(text, &mut faulty)?,
    };
    for Placed { pointer, price } in &prices {
        faulty.check(pointer, NewPrice::from(price.clone()).checked(now));
        faulty.check(pointer, price.check_source());
    }
    faulty.finish()?;
    Ok(prices.into_iter().map(|placed| listed(placed.price)).collect())
}

fn listed(price: ListPrice) -> Listed {
    let key = price.model.clone().unwrap_or_else(|| "default".to_owned());
    Listed { key, provider: price.provider.clone(), facts: None, price: Ok(price), notes: Vec::new() }
}

/// Writes a file that reads as the same prices.
pub(super) fn write(prices: Vec<ListPrice>, encoding: Encoding) -> Result<Vec<u8>> {
    match encoding {
        Encoding::Json => json::write(prices),
        Encoding::Yaml => yaml::write(prices),
        Encoding::Csv => csv::write(&prices),
    }
}

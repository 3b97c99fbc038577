//! Our own format: prices as they are made by hand, in JSON, YAML or CSV. A file is read whole or not at all; what is
//! wrong with it is told with every place.

mod csv;
mod fault;
mod file;
mod json;
#[cfg(test)]
mod tests;
mod yaml;

use super::{ENTRIES, Encoding, ListPrice, Listed};
use crate::{Error, Result, clock::to_the_microsecond, error::FieldError, price::NewPrice};
use chrono::{DateTime, Utc};
use fault::Faulty;
pub use file::PriceFile;
use std::collections::HashMap;

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
    contradictions(&prices, &mut faulty);
    faulty.finish()?;
    Ok(prices.into_iter().map(|placed| listed(placed.price)).collect())
}

/// Adds every price that begins with another one of the same key, and says something else.
fn contradictions(prices: &[Placed], faulty: &mut Faulty) {
    let mut seen = HashMap::new();
    for Placed { pointer, price } in prices {
        let begin = price.effective_from.map(to_the_microsecond);
        let first = seen.entry((&price.model, &price.provider, begin)).or_insert((pointer, price));
        if first.1 != price {
            let message = format!("begins with {}, which is another price of the same key", first.0);
            faulty.add(FieldError { pointer: pointer.clone(), code: "duplicate", message });
        }
    }
}

fn listed(price: ListPrice) -> Listed {
    let key = price.model.clone().unwrap_or_else(|| "default".to_owned());
    Listed { key, provider: price.provider.clone(), facts: None, price: Ok(price), notes: Vec::new() }
}

/// Writes a file that reads as the same prices; none that would be too long to be read.
pub(super) fn write(prices: Vec<ListPrice>, encoding: Encoding) -> Result<Vec<u8>> {
    if prices.len() > ENTRIES {
        let message = format!("there are more than {ENTRIES} prices; leave out those that are over");
        return Err(Error::invalid("?history", "too_many", message));
    }
    match encoding {
        Encoding::Json => json::write(prices),
        Encoding::Yaml => yaml::write(prices),
        Encoding::Csv => csv::write(&prices),
    }
}

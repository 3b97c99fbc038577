//! Our own format: prices as they are made by hand, in JSON, YAML or CSV. A file is read whole or not at all; what is
//! wrong with it is told with every place.

mod csv;
mod fault;
mod file;
mod json;
mod sink;
#[cfg(test)]
mod tests;
mod yaml;

use super::{ENTRIES, Encoding, ListPrice, Listed};
use crate::{Error, Result};
use chrono::{DateTime, Utc};
pub use file::PriceFile;
use sink::Sink;

/// Reads a file price by price: of each, only what `keep` makes of it is kept. A price that names no begin begins `now`.
pub(super) fn read<T>(
    file: &[u8],
    encoding: Encoding,
    now: DateTime<Utc>,
    mut keep: impl FnMut(Listed) -> T,
) -> Result<Vec<T>> {
    let text = super::text(file)?;
    let mut kept = Vec::new();
    let mut sink = Sink::new(now, |price| kept.push(keep(listed(price))));
    match encoding {
        Encoding::Json => json::read(text, &mut sink)?,
        Encoding::Yaml => yaml::read(text, &mut sink)?,
        Encoding::Csv => csv::read(text, &mut sink)?,
    }
    sink.finish()?;
    Ok(kept)
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

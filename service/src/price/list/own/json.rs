//! Our own format in JSON. Each price is read by itself, so that every faulty one is told.

use super::{
    super::{ListPrice, json_fault},
    fault::{self, fault},
    file::{File, PriceFile},
    sink::Sink,
};
use crate::{Error, Result};
use serde_json::value::RawValue;

pub(super) fn read<K: FnMut(ListPrice)>(text: &str, sink: &mut Sink<K>) -> Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let frame = serde_path_to_error::deserialize::<_, File<&RawValue>>(&mut reader);
    let file = frame.map_err(|error| refusal(&error))?;
    reader.end().map_err(|error| json_fault(&error))?;
    if file.bare {
        sink.is_bare();
    }
    for raw in file.prices {
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        match serde_path_to_error::deserialize::<_, ListPrice>(&mut reader) {
            Ok(price) => sink.take(price)?,
            Err(error) => {
                let pointer = sink.pointer(sink.count());
                sink.faulty.add(fault(error.path(), &pointer, &error.inner().to_string()));
                sink.pass_over();
            }
        }
    }
    Ok(())
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

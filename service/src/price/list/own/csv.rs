//! Our own format in CSV: a header of field names, a row a price; what is nested is named with a point (`batch.input`,
//! `multipliers.eu`). A tiered price has a row for each tier, one after the other; the last one has no `up_to`. A text
//! that a spreadsheet would run as a formula has an apostrophe in front.

use super::{
    super::{ENTRIES, ListPrice},
    fault::fault,
    sink::Sink,
};
use crate::{Error, Result, error::FieldError, price::tariff, spreadsheet};
use csv::{Reader, ReaderBuilder, StringRecord};
use entity::terms::Component;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Columns of the price.
const OWN: [&str; 13] = [
    "model",
    "provider",
    "currency",
    "kind",
    "markup_bps",
    "effective_from",
    "effective_until",
    "source",
    "sourced_on",
    "note",
    "off_peak.hours_utc",
    "tier_by",
    "up_to",
];
/// Service tiers and the hours off peak, each with a column a rate.
const CARDS: [&str; 4] = ["batch", "flex", "priority", "off_peak"];
/// Columns of a multiplier begin so.
const MULTIPLIERS: &str = "multipliers.";
/// Columns of the rates of some hours begin so.
const OFF_PEAK: &str = "off_peak.";
/// Columns that hold whole numbers.
const NUMBERS: [&str; 2] = ["markup_bps", "up_to"];

/// The columns of every price, in order; multipliers come after them.
fn columns() -> Vec<String> {
    let rates = || Component::EVERY.into_iter().map(tariff::field);
    let cards = CARDS.into_iter().flat_map(|card| rates().map(move |rate| format!("{card}.{rate}")));
    OWN.into_iter().map(str::to_owned).chain(rates().map(str::to_owned)).chain(cards).collect()
}

/// Whether a column is said of each tier of a tiered price.
fn of_tier(column: &str) -> bool {
    let of_whole = column.starts_with(MULTIPLIERS) || column.starts_with(OFF_PEAK);
    !of_whole && (column == "up_to" || !OWN.contains(&column))
}

/// A price on its way from rows: what is said of the whole, what is said of each tier, and in which lines.
struct Draft {
    whole: Map<String, Value>,
    tiers: Vec<Map<String, Value>>,
    lines: Vec<u64>,
}

pub(super) fn read<K: FnMut(ListPrice)>(text: &str, sink: &mut Sink<K>) -> Result<()> {
    let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
    let header = header(&mut reader)?;
    let mut open: Option<Draft> = None;
    for record in reader.records() {
        let record = record.map_err(|error| malformed(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let (whole, tier) = cells(&header, &record);
        match open.as_mut().filter(|draft| draft.goes_on()) {
            Some(draft) if draft.whole == whole => {
                draft.tiers.push(tier);
                draft.lines.push(line);
            }
            Some(draft) => sink.faulty.add(FieldError {
                pointer: String::new(),
                code: "invalid_value",
                message: format!("line {line} should be the next tier of the price before, whose tier ends at up_to; it says otherwise in a column of the whole price: compare it with line {}", draft.lines[0]),
            }),
            None => {
                let before = open.replace(Draft { whole, tiers: vec![tier], lines: vec![line] });
                before.map_or(Ok(()), |draft| draft.pass_on(sink))?;
            }
        }
        if sink.count() + usize::from(open.is_some()) > ENTRIES {
            return Err(Error::invalid("", "too_many", format!("must have at most {ENTRIES} prices")));
        }
    }
    open.map_or(Ok(()), |draft| draft.pass_on(sink))
}

fn header(reader: &mut Reader<&[u8]>) -> Result<Vec<String>> {
    let known = columns();
    let header = reader.headers().map_err(|error| malformed(&error))?;
    let mut seen = BTreeSet::new();
    for column in header {
        let multiplier = column.strip_prefix(MULTIPLIERS).is_some_and(|word| !word.is_empty());
        if !multiplier && !known.iter().any(|known| known == column) {
            return Err(Error::malformed(
                format!("/{column}"),
                "unknown_field",
                format!("unknown column `{column}`"),
            ));
        }
        if !seen.insert(column) {
            return Err(Error::malformed(
                format!("/{column}"),
                "invalid_csv",
                format!("two columns are called `{column}`"),
            ));
        }
    }
    Ok(header.iter().map(str::to_owned).collect())
}

/// What a row says of the price and of its tier. An empty cell says nothing.
fn cells(header: &[String], record: &StringRecord) -> (Map<String, Value>, Map<String, Value>) {
    let (mut whole, mut tier) = (Map::new(), Map::new());
    for (column, cell) in header.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
        let cell = spreadsheet::text(cell);
        let value = match cell.parse::<i64>() {
            Ok(number) if NUMBERS.contains(&column.as_str()) => Value::from(number),
            _ => Value::from(cell),
        };
        let object = if of_tier(column) { &mut tier } else { &mut whole };
        match column.split_once('.') {
            Some((outer, inner)) => {
                let nested = object.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                nested.as_object_mut().and_then(|nested| nested.insert(inner.to_owned(), value));
            }
            None => drop(object.insert(column.clone(), value)),
        }
    }
    (whole, tier)
}

impl Draft {
    fn is_tiered(&self) -> bool {
        self.whole.get("kind").is_some_and(|kind| kind == "tiered")
    }

    /// Whether the next row is its next tier.
    fn goes_on(&self) -> bool {
        self.is_tiered() && self.tiers.last().is_some_and(|tier| tier.contains_key("up_to"))
    }

    fn pass_on<K: FnMut(ListPrice)>(mut self, sink: &mut Sink<K>) -> Result<()> {
        if self.is_tiered() {
            let tiers = self.tiers.into_iter().map(Value::Object).collect();
            self.whole.insert("tiers".to_owned(), Value::Array(tiers));
        } else {
            self.whole.extend(self.tiers.into_iter().flatten());
        }
        match serde_path_to_error::deserialize::<_, ListPrice>(Value::Object(self.whole)) {
            Ok(price) => sink.take(price),
            Err(error) => {
                let pointer = sink.pointer(sink.count());
                let fault = fault(error.path(), &pointer, &error.inner().to_string());
                let message = format!("line {}: {}", self.lines[0], fault.message);
                sink.faulty.add(FieldError { message, ..fault });
                sink.pass_over();
                Ok(())
            }
        }
    }
}

fn malformed(error: &csv::Error) -> Error {
    Error::malformed("", "invalid_csv", format!("the file is not CSV: {error}"))
}

pub(super) fn write(prices: &[ListPrice]) -> Result<Vec<u8>> {
    let words: BTreeSet<String> = prices
        .iter()
        .flat_map(|price| price.multipliers.keys())
        .map(|word| format!("{MULTIPLIERS}{word}"))
        .collect();
    let columns: Vec<String> = columns().into_iter().chain(words).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&columns).map_err(Error::internal)?;
    for price in prices {
        let Value::Object(mut whole) = serde_json::to_value(price).map_err(Error::internal)? else {
            continue;
        };
        let tiers = match whole.remove("tiers") {
            Some(Value::Array(tiers)) => tiers,
            _ => vec![Value::Object(Map::new())],
        };
        for tier in tiers {
            let cells =
                columns.iter().map(|column| cell(&whole, column).or_else(|| cell(tier.as_object()?, column)));
            writer.write_record(cells.map(Option::unwrap_or_default)).map_err(Error::internal)?;
        }
    }
    writer.into_inner().map_err(|error| Error::internal(error.error()))
}

/// What stands in a column.
fn cell(object: &Map<String, Value>, column: &str) -> Option<String> {
    let value = match column.split_once('.') {
        Some((outer, inner)) => object.get(outer)?.get(inner)?,
        None => object.get(column)?,
    };
    match value {
        Value::String(text) => Some(spreadsheet::cell(text).into_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

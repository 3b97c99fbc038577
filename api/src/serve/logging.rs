//! The log, on standard error: text for people, or JSON for machines, one object a line and nothing else. Panics, refused
//! configurations and the error that a command ends with are in it, too, also where no log has been started.

mod json;
mod spans;

use crate::config::{Config, LogFormat};
use serde_json::{Map, Value};
use spans::Spans;
use std::{
    io::{IsTerminal, Write},
    panic,
};
use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The target of the spans that carry the ids of requests; they exist whatever is logged.
const OURS: &str = api::middleware::request::SPAN;

/// Starts the log of this process.
pub fn start(config: &Config) {
    let always = filter_fn(|metadata| metadata.is_span() && metadata.target() == OURS);
    let filter = EnvFilter::new(&config.log)
        .or(always.with_max_level_hint(LevelFilter::ERROR))
        .and(filter_fn(|metadata| !is_of_the_driver(metadata)).with_max_level_hint(LevelFilter::TRACE));
    let lines = fmt::layer().with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal());
            let layers = Spans.and_then(lines).with_filter(filter);
            tracing_subscriber::registry().with(layers).init();
        }
        LogFormat::Json => {
            let lines = lines.with_ansi(false).event_format(json::Lines);
            let layers = Spans.and_then(lines).with_filter(filter);
            tracing_subscriber::registry().with(layers).init();
        }
    }
}

/// The spans of the database's driver: one of them shows the database's address, with its password.
fn is_of_the_driver(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("sea_orm")
}

/// Lets panics be told in the format of the log. The message of a panic may quote a value; the place is enough to find it.
pub fn catch_panics(format: LogFormat) {
    panic::set_hook(Box::new(move |info| {
        metrics::counter!("tollkeeper_panics_total").increment(1);
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        if tracing::dispatcher::has_been_set() {
            tracing::error!(place, "a task panicked");
        } else {
            complain(format, "a task panicked", &Map::from_iter([("place".to_owned(), Value::from(place))]));
        }
    }));
}

/// Says that a command was not carried out, and why, in the format of the log.
pub fn complain(format: LogFormat, message: &str, fields: &Map<String, Value>) {
    let line = match format {
        LogFormat::Json => json::line("ERROR", message, fields),
        LogFormat::Text => {
            let fields = fields.iter().map(|(name, value)| format!("\n  {name}: {value}"));
            format!("tollkeeper: {message}{}\n", fields.collect::<String>())
        }
    };
    // A closed standard error is no reason to fail in another way.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A line for standard output in the format of a log in JSON.
pub fn announcement(message: &str, fields: &Map<String, Value>) -> String {
    json::line("INFO", message, fields)
}

//! A line of the log as one JSON object: `timestamp`, `level`, `target`, `message`, and beside them the fields of the spans
//! around it, such as `request_id`, and its own.

use super::spans::Fields;
use serde_json::{Map, Value};
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::{LookupSpan, Scope},
};

/// What stands first in every line, whatever fields are called.
const FIXED: [&str; 4] = ["timestamp", "level", "target", "message"];

/// Formats events.
pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut all = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(Fields(fields)) = span.extensions().get::<Fields>() {
                all.extend(fields.clone());
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.0.remove("message").unwrap_or_default();
        // What comes from the crate `log` has its target among its fields.
        let foreign = own.0.remove("log.target").and_then(|target| target.as_str().map(str::to_owned));
        own.0.retain(|name, _| !name.starts_with("log."));
        all.extend(own.0);
        let target = foreign.as_deref().unwrap_or(event.metadata().target());
        let line = assemble([event.metadata().level().as_str(), target, &text(&message)], &all);
        writer.write_str(&line)
    }
}

fn text(message: &Value) -> String {
    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
}

/// A line of this program outside the log.
pub(super) fn line(level: &str, message: &str, fields: &Map<String, Value>) -> String {
    assemble([level, "tollkeeper", message], fields)
}

fn assemble([level, target, message]: [&str; 3], fields: &Map<String, Value>) -> String {
    let mut time = String::new();
    // Without a time a line is better than no line.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let mut line = String::from("{");
    for (name, value) in FIXED.into_iter().zip([&time, level, target, message]) {
        let comma = if line.len() > 1 { "," } else { "" };
        line += &format!("{comma}\"{name}\":{}", Value::from(value));
    }
    for (name, value) in fields.iter().filter(|(name, _)| !FIXED.contains(&name.as_str())) {
        line += &format!(",{}:{value}", Value::from(name.as_str()));
    }
    line + "}\n"
}

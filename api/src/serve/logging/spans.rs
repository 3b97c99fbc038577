//! What is known of the request or the batch that a line belongs to. A batch of the meter serves many requests; it follows
//! from their spans, and takes their ids over, so that its lines can be found by each of them. Warnings and errors are counted.

use serde_json::{Map, Value};
use std::fmt;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    fmt::{FormattedFields, format::DefaultFields},
    layer::Context,
    registry::LookupSpan,
};

/// The field of a request's span with its id, and that of a batch with the ids of its requests.
const ID: &str = "request_id";
const IDS: &str = "request_ids";

/// The fields of a span, as JSON.
#[derive(Default)]
pub(super) struct Fields(pub(super) Map<String, Value>);

/// The layer that keeps them.
pub(super) struct Spans;

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => return,
        };
        metrics::counter!("tollkeeper_log_lines_total", "level" => level).increment(1);
    }

    fn on_follows_from(&self, batch: &Id, request: &Id, context: Context<'_, S>) {
        let (Some(batch), Some(request)) = (context.span(batch), context.span(request)) else { return };
        let id = request.extensions().get::<Fields>().and_then(|fields| fields.0.get(ID).cloned());
        let Some(id) = id else { return };
        let mut extensions = batch.extensions_mut();
        if let Some(text) = extensions.get_mut::<FormattedFields<DefaultFields>>() {
            text.fields.push_str(&format!(" {ID}={}", id.as_str().unwrap_or_default()));
        }
        if let Some(Fields(fields)) = extensions.get_mut::<Fields>()
            && let Value::Array(ids) = fields.entry(IDS).or_insert_with(|| Value::Array(Vec::new()))
        {
            ids.push(id);
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }
    #[expect(clippy::disallowed_types, reason = "what the trait asks for; the driver tells durations so")]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // Raw identifiers of Rust.
        let name = field.name().strip_prefix("r#").unwrap_or(field.name());
        self.0.insert(name.to_owned(), value.into());
    }
}

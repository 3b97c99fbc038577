//! Ollama's own API: the list is at `api/tags`. Usually there is no key; one that stands behind a proxy takes a bearer token.

use super::{Dialect, Found, Listing, any_of, capable, models, place, text};
use entity::endpoint::CapabilityProfile;
use http::{HeaderName, header};
use serde_json::Value;
use url::Url;

/// Ollama.
pub(super) struct Ollama;

impl Dialect for Ollama {
    fn whose(&self) -> &'static str {
        "Ollama"
    }

    fn bases(&self, given: &Url) -> Vec<Url> {
        vec![place::without(given, &["/api/chat", "/api/generate", "/api/tags", "/api", "/v1"])]
    }

    fn list(&self, base: &Url, _after: Option<&str>) -> Url {
        place::below(base, "api/tags")
    }

    fn key(&self) -> (HeaderName, &'static str) {
        (header::AUTHORIZATION, "Bearer ")
    }

    fn read(&self, body: &Value) -> Option<Listing> {
        let entries = match body.get("models")? {
            Value::Null => &[][..],
            models => models.as_array()?,
        };
        let named = |entry: &Value| {
            entry["name"].as_str().is_some_and(|name| !name.starts_with("models/")) && entry.is_object()
        };
        any_of(entries, named).then(|| Listing { models: models(entries, entry), next: None })
    }

    fn capabilities(&self) -> CapabilityProfile {
        let own = capable(false, true, 32 * 1024);
        CapabilityProfile { parallel_tool_calls: false, ..own }
    }
}

fn entry(entry: &Value) -> Option<Found> {
    Some(Found {
        name: text(entry, "name")?,
        display_name: None,
        owned_by: None,
        context_window: None,
        max_output_tokens: None,
    })
}

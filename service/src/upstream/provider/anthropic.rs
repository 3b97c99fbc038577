//! Anthropic's protocol: the list is at `v1/models` in pages, the key is in `x-api-key`.

use super::{Dialect, Found, Listing, any_of, capable, models, place, text, tokens};
use entity::endpoint::CapabilityProfile;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

/// Anthropic's messages.
pub(super) struct Anthropic;

impl Dialect for Anthropic {
    fn whose(&self) -> &'static str {
        "Anthropic"
    }

    fn bases(&self, given: &Url) -> Vec<Url> {
        vec![place::without(given, &["/v1/messages", "/v1/models", "/v1", "/messages"])]
    }

    fn list(&self, base: &Url, after: Option<&str>) -> Url {
        let mut url = place::below(base, "v1/models");
        url.query_pairs_mut().append_pair("limit", "1000");
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after_id", after);
        }
        url
    }

    fn always(&self) -> Option<(HeaderName, HeaderValue)> {
        Some((HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01")))
    }

    fn key(&self) -> (HeaderName, &'static str) {
        (HeaderName::from_static("x-api-key"), "")
    }

    fn read(&self, body: &Value) -> Option<Listing> {
        let entries = body["data"].as_array()?;
        let more = body["has_more"].as_bool()?;
        let known = body.get("object").is_none() && any_of(entries, |entry| entry["type"] == "model");
        let next = if more { Some(text(body, "last_id")?) } else { None };
        known.then(|| Listing { models: models(entries, entry), next })
    }

    fn capabilities(&self) -> CapabilityProfile {
        capable(false, true, 128 * 1024)
    }
}

fn entry(entry: &Value) -> Option<Found> {
    Some(Found {
        name: text(entry, "id")?,
        display_name: text(entry, "display_name"),
        owned_by: None,
        context_window: tokens(entry, &["/max_input_tokens"]),
        max_output_tokens: tokens(entry, &["/max_tokens"]),
    })
}

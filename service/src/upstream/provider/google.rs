//! Google's generative language API: the list is at `v1beta/models` in pages, the key is in `x-goog-api-key`, never in the
//! URL.

use super::{Dialect, Found, Listing, any_of, capable, models, place, text, tokens};
use entity::endpoint::CapabilityProfile;
use http::HeaderName;
use serde_json::Value;
use url::Url;

/// Characters of the token of a page: what a URL takes.
const TOKEN: usize = 4096;

/// Google's generative language API.
pub(super) struct Google;

impl Dialect for Google {
    fn whose(&self) -> &'static str {
        "Google"
    }

    fn bases(&self, given: &Url) -> Vec<Url> {
        let given = place::up_to(given, "/v1beta/");
        vec![place::without(&given, &["/v1beta", "/v1"])]
    }

    fn list(&self, base: &Url, after: Option<&str>) -> Url {
        let mut url = place::below(base, "v1beta/models");
        url.query_pairs_mut().append_pair("pageSize", "1000");
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("pageToken", after);
        }
        url
    }

    fn key(&self) -> (HeaderName, &'static str) {
        (HeaderName::from_static("x-goog-api-key"), "")
    }

    fn read(&self, body: &Value) -> Option<Listing> {
        let entries = body["models"].as_array()?;
        let named = |entry: &Value| entry["name"].as_str().is_some_and(|name| name.starts_with("models/"));
        let next = body["nextPageToken"].as_str().filter(|token| !token.is_empty());
        if next.is_some_and(|token| token.len() > TOKEN) {
            return None;
        }
        let next = next.map(str::to_owned);
        any_of(entries, named).then(|| Listing { models: models(entries, entry), next })
    }

    fn capabilities(&self) -> CapabilityProfile {
        capable(true, true, 64 * 1024)
    }
}

fn entry(entry: &Value) -> Option<Found> {
    Some(Found {
        name: text(entry, "name")?.strip_prefix("models/")?.to_owned(),
        display_name: text(entry, "displayName"),
        owned_by: None,
        context_window: tokens(entry, &["/inputTokenLimit"]),
        max_output_tokens: tokens(entry, &["/outputTokenLimit"]),
    })
}

//! OpenAI's protocols, and whatever is compatible with them: the list is at `models`, the key is a bearer token.

use super::{Dialect, Found, Listing, any_of, capable, models, place, text, tokens};
use entity::endpoint::CapabilityProfile;
use http::{HeaderName, header};
use serde_json::Value;
use url::Url;

/// OpenAI's chat completions, or its responses: they share the list.
pub(super) struct OpenAi {
    pub(super) responses: bool,
}

impl Dialect for OpenAi {
    fn whose(&self) -> &'static str {
        "OpenAI"
    }

    fn bases(&self, given: &Url) -> Vec<Url> {
        let given = place::without(given, &["/chat/completions", "/responses", "/models"]);
        let versioned = place::below(&given, "v1");
        match given.path() {
            _ if place::names_a_version(&given) => vec![given],
            "" | "/" => vec![versioned, given],
            _ => vec![given, versioned],
        }
    }

    fn list(&self, base: &Url, _after: Option<&str>) -> Url {
        place::below(base, "models")
    }

    /// The list of OpenRouter is there for everybody, whatever the key.
    fn proof(&self, base: &Url) -> Option<Url> {
        let host = base.host_str().unwrap_or_default();
        (host == "openrouter.ai" || host.ends_with(".openrouter.ai")).then(|| place::below(base, "key"))
    }

    fn key(&self) -> (HeaderName, &'static str) {
        (header::AUTHORIZATION, "Bearer ")
    }

    fn read(&self, body: &Value) -> Option<Listing> {
        list(body)
    }

    fn capabilities(&self) -> CapabilityProfile {
        capable(!self.responses, true, 128 * 1024)
    }
}

/// The models of a list in OpenAI's form: under `data`, or bare. Anthropic's pages are no such lists.
pub(super) fn list(body: &Value) -> Option<Listing> {
    if body.get("object").is_none() && body.get("has_more").is_some() {
        return None;
    }
    let entries = match body.get("data") {
        // Some say null where they have none.
        Some(Value::Null) if body["object"] == "list" => &[][..],
        Some(data) => data.as_array()?,
        None => body.as_array()?,
    };
    let known = any_of(entries, |entry| entry["id"].is_string());
    known.then(|| Listing { models: models(entries, entry), next: None })
}

fn entry(entry: &Value) -> Option<Found> {
    let name = text(entry, "id")?;
    let display = text(entry, "display_name").or_else(|| text(entry, "name"));
    let context = ["/context_window", "/context_length", "/max_model_len", "/max_context_length"];
    let output = ["/max_completion_tokens", "/max_output_tokens", "/top_provider/max_completion_tokens"];
    Some(Found {
        display_name: display.filter(|display| *display != name),
        owned_by: text(entry, "owned_by").or_else(|| text(entry, "organization")),
        context_window: tokens(entry, &context),
        max_output_tokens: tokens(entry, &output),
        name,
    })
}

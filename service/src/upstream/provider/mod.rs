//! What providers speak: one small file a protocol. Each says how to ask for the list of models, with which headers, and how
//! to know its answer from that of any other. Nothing in here makes a call.

mod anthropic;
mod azure;
mod family;
mod google;
mod judge;
mod ollama;
mod openai;
mod place;

pub use family::likely;
pub(crate) use judge::{Verdict, judge};
pub(crate) use place::{names_a_version, shown, trimmed, whole_endpoint};

use crate::vault::Plain;
use entity::{
    endpoint::{CapabilityProfile, ToolCallMode},
    status::Protocol,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

/// Characters of a name.
const NAME: usize = 255;

/// A model, as its upstream tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What the upstream calls it.
    pub name: String,
    /// What the upstream calls it for people.
    pub display_name: Option<String>,
    /// Whose it is.
    pub owned_by: Option<String>,
    /// The most tokens of prompt and completion together.
    pub context_window: Option<i64>,
    /// The most tokens of a completion.
    pub max_output_tokens: Option<i64>,
}

/// One page of models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The models.
    pub models: Vec<Found>,
    /// What the next page is asked for by; none on the last.
    pub next: Option<String>,
}

/// How a protocol is spoken, as far as asking for the models goes.
pub(crate) trait Dialect: Sync {
    /// Whose protocol it is.
    fn whose(&self) -> &'static str;

    /// Where its paths may begin, for a base URL as people state it: the likeliest first.
    fn bases(&self, given: &Url) -> Vec<Url>;

    /// Where the list is, for a base; `after` continues it.
    fn list(&self, base: &Url, after: Option<&str>) -> Url;

    /// Where only a good key is let in, if the list is there for everybody.
    fn proof(&self, _base: &Url) -> Option<Url> {
        None
    }

    /// What it asks for besides the key.
    fn always(&self) -> Option<(HeaderName, HeaderValue)> {
        None
    }

    /// The header of the key, and what stands before the key in it.
    fn key(&self) -> (HeaderName, &'static str);

    /// The models of an answer, if it is one of this protocol.
    fn read(&self, body: &Value) -> Option<Listing>;

    /// What it can do.
    fn capabilities(&self) -> CapabilityProfile;
}

/// How a protocol is spoken.
pub(crate) fn dialect(protocol: Protocol) -> &'static dyn Dialect {
    match protocol {
        Protocol::OpenaiChat => &openai::OpenAi { responses: false },
        Protocol::OpenaiResponses => &openai::OpenAi { responses: true },
        Protocol::AnthropicMessages => &anthropic::Anthropic,
        Protocol::Google => &google::Google,
        Protocol::Ollama => &ollama::Ollama,
        Protocol::AzureOpenai => &azure::Azure,
    }
}

/// Whether two protocols ask for their models in the same way: then trying both tells nothing that trying one does not.
pub(crate) fn ask_alike(one: Protocol, other: Protocol) -> bool {
    let openai = |protocol| matches!(protocol, Protocol::OpenaiChat | Protocol::OpenaiResponses);
    one == other || openai(one) && openai(other)
}

/// The headers of a question: the protocol's own, then the connection's, which may stand in their place, then the key. None
/// if no header can carry the key.
pub(crate) fn headers(dialect: &dyn Dialect, own: &HeaderMap, secret: Option<&Plain>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.extend(dialect.always());
    for (name, value) in own {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(secret) = secret {
        let (name, before) = dialect.key();
        let text = Zeroizing::new([before.as_bytes(), secret.expose()].concat());
        let mut value = HeaderValue::from_bytes(&text).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Some(headers)
}

/// The models among these entries; an entry without an acceptable name is left out.
fn models<'v>(
    entries: impl IntoIterator<Item = &'v Value>,
    read: impl Fn(&Value) -> Option<Found>,
) -> Vec<Found> {
    entries.into_iter().filter_map(read).filter(|model| is_name(&model.name)).collect()
}

/// What can be kept of a text.
fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= NAME && !text.chars().any(char::is_control)
}

/// A text of an entry.
fn text(entry: &Value, field: &str) -> Option<String> {
    entry[field].as_str().filter(|text| is_name(text)).map(str::to_owned)
}

/// Whether a list is one of models: an entry that is odd spoils no list of others.
fn any_of(entries: &[Value], is_model: impl Fn(&Value) -> bool) -> bool {
    entries.is_empty() || entries.iter().any(is_model)
}

/// The first of these fields that is a positive number of tokens.
fn tokens(entry: &Value, fields: &[&str]) -> Option<i64> {
    fields.iter().find_map(|field| entry.pointer(field)?.as_i64().filter(|tokens| *tokens > 0))
}

/// What follows from a protocol that has tools and images.
const fn capable(audio: bool, json_schema: bool, max_tool_schema_bytes: i64) -> CapabilityProfile {
    CapabilityProfile {
        tool_call_mode: ToolCallMode::Native,
        parallel_tool_calls: true,
        streaming_tool_calls: true,
        json_schema,
        max_tool_schema_bytes,
        vision: true,
        audio,
    }
}

#[cfg(test)]
mod tests;

//! Where things are: base URLs are stated with and without a version, with and without a trailing slash, and sometimes as the
//! whole endpoint of a call. All of them lead to the same place.

use entity::status::Protocol;
use url::Url;

/// What the endpoints of calls end in, and what is spoken there. A longer ending stands before a shorter one.
const ENDPOINTS: [(&str, Protocol); 7] = [
    ("/chat/completions", Protocol::OpenaiChat),
    ("/responses", Protocol::OpenaiResponses),
    ("/v1/messages", Protocol::AnthropicMessages),
    ("/messages", Protocol::AnthropicMessages),
    ("/api/chat", Protocol::Ollama),
    ("/api/generate", Protocol::Ollama),
    ("/api/tags", Protocol::Ollama),
];

/// A base URL without a query, a fragment and trailing slashes.
pub(crate) fn trimmed(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

/// A base URL as it is shown: without a trailing slash.
pub(crate) fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// What is spoken at a URL that is the whole endpoint of a call.
pub(crate) fn whole_endpoint(url: &Url) -> Option<Protocol> {
    let path = url.path().trim_end_matches('/');
    if path.contains("/openai/deployments/") {
        return Some(Protocol::AzureOpenai);
    }
    if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") {
        return Some(Protocol::Google);
    }
    ENDPOINTS.iter().find(|(ending, _)| path.ends_with(ending)).map(|(_, protocol)| *protocol)
}

/// Whether a base URL ends in a version, such as `/v1` or `/v1beta`.
pub(crate) fn names_a_version(url: &Url) -> bool {
    let last = url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let digits = last.strip_prefix('v').unwrap_or_default();
    digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The base URL without the first of these endings that it has.
pub(super) fn without(url: &Url, endings: &[&str]) -> Url {
    let mut url = trimmed(url);
    let path = url.path().to_owned();
    if let Some(rest) = endings.iter().find_map(|ending| path.strip_suffix(ending)) {
        url.set_path(rest);
    }
    trimmed(&url)
}

/// The base URL up to a part of its path.
pub(super) fn up_to(url: &Url, part: &str) -> Url {
    let mut url = trimmed(url);
    let path = url.path().to_owned();
    if let Some((before, _)) = path.split_once(part) {
        url.set_path(before);
    }
    trimmed(&url)
}

/// The URL of a path below a base.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = trimmed(base);
    let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
    url.set_path(&joined);
    url
}

//! What an answer to the question for models means. The words of the upstream are looked at, and never repeated.

use super::{Dialect, Listing, dialect, place};
use crate::connection::CheckCode;
use entity::status::Protocol;
use http::StatusCode;
use serde_json::Value;
use url::Url;

/// What an answer means.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The models.
    Listed(Listing),
    /// None.
    Failed {
        /// What kind of failure.
        code: CheckCode,
        /// What happened and what to do about it.
        reason: String,
        /// Whether it is sure that the protocol is this one: no other needs to be tried here.
        sure: bool,
    },
}

/// What an answer to a question in a dialect means. `keyed` tells whether a key was sent.
pub(crate) fn judge(own: Protocol, base: &Url, (status, body): (StatusCode, &[u8]), keyed: bool) -> Verdict {
    let own = dialect(own);
    let body: Option<Value> = serde_json::from_slice(body).ok();
    if status.is_success() {
        return success(own, base, body.as_ref());
    }
    let speaker = body.as_ref().and_then(speaker).map(dialect);
    let foreign = speaker.filter(|speaker| !alike(*speaker, own));
    let (host, limited) = (place::shown(base), status == StatusCode::TOO_MANY_REQUESTS);
    if let Some(foreign) = foreign.filter(|_| status.is_client_error() && !limited) {
        return Verdict::Failed {
            code: CheckCode::WrongProtocol,
            reason: speaks(&host, foreign, own),
            sure: false,
        };
    }
    let (code, reason) = match status.as_u16() {
        400 if body.as_ref().is_some_and(is_googles_bad_key) => refused_key(&host, 400),
        code @ (401 | 403) if !keyed => no_key(&host, code),
        code @ (401 | 403) => refused_key(&host, code),
        code => failure(own, &host, code),
    };
    // Nothing at a place does not mean that nothing is at another.
    let sure = limited || speaker.is_some() && foreign.is_none() && code != CheckCode::NotFound;
    Verdict::Failed { code, reason, sure }
}

/// What a status means that has nothing to do with the key.
fn failure(own: &dyn Dialect, host: &str, code: u16) -> (CheckCode, String) {
    let whose = own.whose();
    match code {
        404 | 410 => (
            CheckCode::NotFound,
            format!(
                "There is no list of models in {whose}'s protocol at {host} ({code}): state another base URL, or what is spoken there."
            ),
        ),
        429 => (
            CheckCode::RateLimited,
            format!("{host} answers that too much was asked of it (429): try again later."),
        ),
        408 | 504 => {
            (CheckCode::Timeout, format!("{host} says that it took too long ({code}): try again later."))
        }
        300..=399 => (
            CheckCode::Redirected,
            format!(
                "{host} sends elsewhere ({code}), which is not followed: state the base URL that it leads to."
            ),
        ),
        500..=599 => (CheckCode::ProviderFailed, format!("{host} failed ({code}): try again later.")),
        _ => (
            CheckCode::RequestRefused,
            format!("{host} does not take a question in {whose}'s protocol ({code})."),
        ),
    }
}

fn success(own: &dyn Dialect, base: &Url, body: Option<&Value>) -> Verdict {
    let host = place::shown(base);
    let failed = |code, reason| Verdict::Failed { code, reason, sure: false };
    let Some(body) = body else {
        let reason =
            format!("What {host} answers is not JSON: it is a website, or something in between answers.");
        return failed(CheckCode::AnswerBroken, reason);
    };
    if let Some(listing) = own.read(body) {
        return Verdict::Listed(listing);
    }
    let other = [Protocol::AnthropicMessages, Protocol::OpenaiChat, Protocol::Google, Protocol::Ollama];
    if let Some(other) = other.into_iter().map(dialect).find(|other| other.read(body).is_some()) {
        return failed(CheckCode::WrongProtocol, speaks(&host, other, own));
    }
    let reason = format!("{host} answers, but not with a list of models in {}'s protocol.", own.whose());
    failed(CheckCode::WrongProtocol, reason)
}

fn speaks(host: &str, other: &dyn Dialect, own: &dyn Dialect) -> String {
    format!("{host} speaks {}'s protocol, not {}'s.", other.whose(), own.whose())
}

fn refused_key(host: &str, code: u16) -> (CheckCode, String) {
    let reason = if code == 403 {
        format!(
            "The key was refused (403) by {host}: it may not list models, is of another project, or calls from here are not let in."
        )
    } else {
        format!("The key was refused ({code}) by {host}: it is wrong, or of another project.")
    };
    (CheckCode::KeyRefused, reason)
}

fn no_key(host: &str, code: u16) -> (CheckCode, String) {
    let reason = format!("{host} asks for a key ({code}), and there is none: add a credential.");
    (CheckCode::NoCredential, reason)
}

/// Azure's errors look like OpenAI's, and so do those of many that are compatible with OpenAI.
fn alike(one: &dyn Dialect, other: &dyn Dialect) -> bool {
    let openai = |dialect: &dyn Dialect| matches!(dialect.whose(), "OpenAI" | "Azure OpenAI");
    one.whose() == other.whose() || openai(one) && openai(other)
}

/// Whose errors look like this one. A bare text is what several say.
fn speaker(body: &Value) -> Option<Protocol> {
    let error = body.get("error")?;
    let says = error.get("message")?.is_string();
    if body["type"] == "error" && error["type"].is_string() {
        Some(Protocol::AnthropicMessages)
    } else if says && error["code"].is_i64() && error["status"].is_string() {
        Some(Protocol::Google)
    } else {
        says.then_some(Protocol::OpenaiChat)
    }
}

/// Google says 400 of a key that it does not know.
fn is_googles_bad_key(body: &Value) -> bool {
    let details = body["error"]["details"].as_array();
    details.into_iter().flatten().any(|detail| detail["reason"] == "API_KEY_INVALID")
}

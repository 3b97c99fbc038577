//! What the fields of a connection may say. What a field says by itself is checked here, and what several say together.

use crate::{System, validate::Faults};
use entity::{
    endpoint::Endpoints,
    json::Texts,
    model_params::{ModelParams, Thousandths},
    status::{FormatMode, Protocol},
};
use serde_json::Value;
use std::collections::HashSet;

/// Other places where an upstream may be.
const ALTERNATES: usize = 16;
/// Protocols of a connection.
const PROTOCOLS: usize = 6;
/// Characters of a path.
const PATH: usize = 1024;
/// The last place in the order of connections.
const LAST: i32 = 1_000_000;
/// The most tokens that a parameter may ask for.
const TOKENS: i64 = 1_000_000_000;

/// Where an upstream is said to be: somewhere that calls may go, as far as that is known before a name is resolved.
pub(super) fn url(system: &System, pointer: &str, text: &str, faults: &mut Faults) {
    if let Err(refused) = system.upstream.check_url(text) {
        faults.add(pointer, refused.code, refused.message);
    }
}

/// Where else an upstream may be.
pub(super) fn alternates(system: &System, pointer: &str, Texts(urls): &Texts, faults: &mut Faults) {
    if urls.len() > ALTERNATES {
        faults.add(pointer, "too_many", format!("must have at most {ALTERNATES} entries"));
    }
    for (n, text) in urls.iter().enumerate() {
        let at = format!("{pointer}/{n}");
        url(system, &at, text, faults);
        faults.when(urls[..n].contains(text), &at, "duplicate", "is there twice");
    }
}

/// What a connection speaks where: each protocol once.
pub(super) fn endpoints(system: &System, Endpoints(list): &Endpoints, faults: &mut Faults) {
    if list.len() > PROTOCOLS {
        faults.add("/protocols", "too_many", format!("must have at most {PROTOCOLS} entries"));
    }
    let mut seen = HashSet::new();
    for (n, endpoint) in list.iter().enumerate() {
        let at = |field: &str| format!("/protocols/{n}/{field}");
        let again = !seen.insert(endpoint.protocol);
        faults.when(again, &at("protocol"), "duplicate", "each protocol may be there once");
        if let Some(text) = &endpoint.base_url {
            url(system, &at("base_url"), text, faults);
        }
        if let Some(path) = &endpoint.rewrite_path {
            rewrite_path(&at("rewrite_path"), path, faults);
        }
    }
}

fn rewrite_path(pointer: &str, path: &str, faults: &mut Faults) {
    if path.chars().count() > PATH {
        faults.add(pointer, "too_long", format!("must have at most {PATH} characters"));
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\');
    // Two slashes at the beginning would name another host.
    let wrong = !path.starts_with('/') || path.starts_with("//") || path.chars().any(odd);
    let message = "must be a path that begins with one slash, without blanks, query and fragment";
    faults.when(wrong, pointer, "invalid_path", message);
}

/// Parameters, each in its range.
pub(super) fn params(params: &ModelParams, faults: &mut Faults) {
    let fractions = [
        ("temperature", params.temperature, 0, 2),
        ("top_p", params.top_p, 0, 1),
        ("frequency_penalty", params.frequency_penalty, -2, 2),
        ("presence_penalty", params.presence_penalty, -2, 2),
    ];
    for (name, fraction, least, most) in fractions {
        let range = Thousandths(least * 1000)..=Thousandths(most * 1000);
        if fraction.is_some_and(|fraction| !range.contains(&fraction)) {
            let message = format!("must be between {least} and {most}");
            faults.add(format!("/model_params/{name}"), "out_of_range", message);
        }
    }
    if params.max_tokens.is_some_and(|tokens| !(1..=TOKENS).contains(&tokens)) {
        let message = format!("must be between 1 and {TOKENS}");
        faults.add("/model_params/max_tokens", "out_of_range", message);
    }
}

/// A place in the order of connections.
pub(super) fn priority(priority: Option<i32>, faults: &mut Faults) {
    if priority.is_some_and(|priority| !(0..=LAST).contains(&priority)) {
        faults.add("/priority", "out_of_range", format!("must be between 0 and {LAST}"));
    }
}

/// The place behind the last one.
pub(super) fn behind(last: Option<i32>) -> i32 {
    last.map_or(0, |last| last.saturating_add(1).min(LAST))
}

/// What a connection states of what it speaks, as it will be.
pub(super) struct Stated<'c> {
    pub(super) format: Option<Protocol>,
    pub(super) mode: FormatMode,
    pub(super) protocols: &'c Endpoints,
    pub(super) force: Option<Protocol>,
}

/// Only what is stated can be pinned, and only what is spoken can be forced.
pub(super) fn stated(stated: &Stated<'_>, faults: &mut Faults) {
    let unpinned = stated.mode == FormatMode::Pinned && stated.format.is_none();
    faults.when(unpinned, "/format", "required", "a pinned format must be stated");
    let Some(force) = stated.force else { return };
    let spoken: Vec<Protocol> = stated.protocols.0.iter().map(|endpoint| endpoint.protocol).collect();
    if spoken.contains(&force) {
        return;
    }
    let message = if spoken.is_empty() {
        "the connection states no protocols".to_owned()
    } else {
        let words: Vec<String> = spoken.into_iter().map(word).collect();
        format!("must be one of the connection's protocols: {}", words.join(", "))
    };
    faults.add("/force_protocol", "not_supported", message);
}

/// A protocol as it is written.
pub(crate) fn word(protocol: Protocol) -> String {
    match serde_json::to_value(protocol) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

//! Which protocol is spoken with an upstream, and how that was decided. Pure: what is stated and what was found goes in, a plan
//! comes out.

use crate::upstream::provider::{self, ask_alike};
use entity::{
    endpoint::Endpoints,
    status::{FormatMode, Protocol},
};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

/// What decided which protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatSource {
    /// It is the only one: it is forced, or the base URL is the endpoint of its calls.
    EndpointLock,
    /// It is stated and pinned.
    Pinned,
    /// It was found to work.
    Detected,
    /// It is stated, and may be found to be another one.
    Stated,
    /// It is what the provider, or the URL, usually speaks.
    FamilyDefault,
}

/// How the base URL is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaseUrlMode {
    /// As the place below which the protocol has its versions and paths.
    Root,
    /// As a place with its version, or as the endpoint of calls.
    FixedEndpoint,
    /// Not at all: calls go to another place, which was found to work.
    DetectedEndpoint,
}

/// Which protocol is spoken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FormatPlan {
    /// The one that is spoken.
    pub selected_format: Protocol,
    /// Those that may be spoken, the likeliest first.
    pub candidate_formats: Vec<Protocol>,
    /// What decided.
    pub source: FormatSource,
    /// How the base URL is read.
    pub base_url_mode: BaseUrlMode,
}

/// What is stated of a connection, and what was found.
#[derive(Debug, Clone)]
pub struct FormatFacts {
    /// The provider.
    pub provider: String,
    /// Where it is said to be.
    pub base_url: Url,
    /// What it is said to speak.
    pub format: Option<Protocol>,
    /// Whether that is not to be questioned.
    pub mode: FormatMode,
    /// What it speaks where.
    pub protocols: Endpoints,
    /// The only protocol that is used.
    pub force: Option<Protocol>,
    /// What was found to work.
    pub detected: Option<Protocol>,
    /// Where it was found to work, if not at the base URL.
    pub detected_endpoint: Option<Url>,
}

/// Decides which protocol is spoken: a lock stands above what is pinned, that above what was found, that above what is only
/// stated, and that above what is usual.
pub fn plan(facts: &FormatFacts) -> FormatPlan {
    let pinned = facts.format.filter(|_| facts.mode == FormatMode::Pinned);
    let endpoint = provider::whole_endpoint(&facts.base_url).filter(|_| pinned.is_none());
    let stated = facts.format.into_iter().chain(facts.protocols.0.iter().map(|endpoint| endpoint.protocol));
    let (source, first) = match (facts.force.or(endpoint), pinned) {
        (Some(lock), _) => (FormatSource::EndpointLock, vec![lock]),
        (None, Some(pinned)) => (FormatSource::Pinned, vec![pinned]),
        (None, None) => {
            let stated: Vec<Protocol> = stated.collect();
            let source = match (facts.detected, stated.is_empty()) {
                (Some(_), _) => FormatSource::Detected,
                (None, false) => FormatSource::Stated,
                (None, true) => FormatSource::FamilyDefault,
            };
            let usual = provider::likely(&facts.provider, &facts.base_url);
            (source, facts.detected.into_iter().chain(stated).chain(usual).collect())
        }
    };
    let mut candidates: Vec<Protocol> = Vec::new();
    for protocol in first {
        // Two that ask for their models alike are told apart by what is stated, not by asking.
        if !candidates.iter().any(|known| ask_alike(*known, protocol)) {
            candidates.push(protocol);
        }
    }
    FormatPlan {
        selected_format: candidates.first().copied().unwrap_or(Protocol::OpenaiChat),
        candidate_formats: candidates,
        source,
        base_url_mode: mode(&facts.base_url, facts.detected_endpoint.is_some()),
    }
}

impl FormatPlan {
    /// What was found to work stands in the plan; only a lock or a pin was not to be questioned.
    pub(super) fn settle(&mut self, facts: &FormatFacts, found: Protocol, elsewhere: bool) {
        if !matches!(self.source, FormatSource::EndpointLock | FormatSource::Pinned) {
            self.source = FormatSource::Detected;
        }
        self.selected_format = found;
        self.base_url_mode = mode(&facts.base_url, elsewhere);
    }
}

fn mode(url: &Url, elsewhere: bool) -> BaseUrlMode {
    if elsewhere {
        BaseUrlMode::DetectedEndpoint
    } else if provider::whole_endpoint(url).is_some() || provider::names_a_version(url) {
        BaseUrlMode::FixedEndpoint
    } else {
        BaseUrlMode::Root
    }
}

/// Which protocol a call is made in: the forced one; else the client's own, if the connection speaks it; else the first that
/// the connection speaks. A mapping's list narrows what the connection speaks; none if nothing is left.
pub fn spoken(
    forced: Option<Protocol>,
    supported: &[Protocol],
    mapping: Option<&[Protocol]>,
    client: Option<Protocol>,
) -> Option<Protocol> {
    let narrow = |protocol: &Protocol| mapping.is_none_or(|list| list.contains(protocol));
    if let Some(forced) = forced {
        return Some(forced).filter(narrow);
    }
    let left: Vec<Protocol> = match mapping {
        Some(list) => list.iter().copied().filter(|protocol| supported.contains(protocol)).collect(),
        None => supported.to_vec(),
    };
    client.filter(|client| left.contains(client)).or_else(|| left.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::*;
    use entity::endpoint::Endpoint;

    fn facts(base_url: &str) -> FormatFacts {
        FormatFacts {
            provider: "mine".into(),
            base_url: base_url.parse().unwrap(),
            format: None,
            mode: FormatMode::Auto,
            protocols: Endpoints::default(),
            force: None,
            detected: None,
            detected_endpoint: None,
        }
    }

    fn selected(facts: &FormatFacts) -> (Protocol, FormatSource, usize) {
        let plan = plan(facts);
        assert_eq!(plan.candidate_formats[0], plan.selected_format);
        (plan.selected_format, plan.source, plan.candidate_formats.len())
    }

    #[test]
    fn a_lock_stands_above_a_pin_a_pin_above_what_was_found_and_that_above_what_is_stated() {
        let mut facts = facts("https://api.anthropic.com");
        assert_eq!(selected(&facts), (AnthropicMessages, FormatSource::FamilyDefault, 5));
        facts.protocols = Endpoints(vec![Endpoint { protocol: Google, base_url: None, rewrite_path: None }]);
        assert_eq!(selected(&facts), (Google, FormatSource::Stated, 5));
        facts.format = Some(OpenaiResponses);
        assert_eq!(selected(&facts), (OpenaiResponses, FormatSource::Stated, 5));
        facts.detected = Some(Ollama);
        assert_eq!(selected(&facts), (Ollama, FormatSource::Detected, 5));
        facts.mode = FormatMode::Pinned;
        assert_eq!(selected(&facts), (OpenaiResponses, FormatSource::Pinned, 1));
        facts.force = Some(Google);
        assert_eq!(selected(&facts), (Google, FormatSource::EndpointLock, 1));
    }

    #[test]
    fn a_base_url_that_is_an_endpoint_locks_unless_another_format_is_pinned() {
        let mut facts = facts("https://a.example/v1/messages");
        assert_eq!(selected(&facts), (AnthropicMessages, FormatSource::EndpointLock, 1));
        facts.detected = Some(OpenaiChat);
        assert_eq!(selected(&facts), (AnthropicMessages, FormatSource::EndpointLock, 1));
        (facts.format, facts.mode) = (Some(OpenaiChat), FormatMode::Pinned);
        assert_eq!(selected(&facts), (OpenaiChat, FormatSource::Pinned, 1));
    }

    #[test]
    fn a_base_url_is_a_root_or_an_endpoint_until_another_is_found() {
        for (url, mode) in [
            ("https://a.example", BaseUrlMode::Root),
            ("https://a.example/x/", BaseUrlMode::Root),
            ("https://a.example/v1", BaseUrlMode::FixedEndpoint),
            ("https://a.example/v1beta/", BaseUrlMode::FixedEndpoint),
            ("https://a.example/v1/chat/completions", BaseUrlMode::FixedEndpoint),
            ("https://a.example/vault", BaseUrlMode::Root),
        ] {
            assert_eq!(plan(&facts(url)).base_url_mode, mode, "{url}");
            let found = FormatFacts { detected_endpoint: url.parse().ok(), ..facts(url) };
            assert_eq!(plan(&found).base_url_mode, BaseUrlMode::DetectedEndpoint, "{url}");
        }
    }

    #[test]
    fn a_call_is_made_in_the_clients_own_protocol_if_that_is_possible() {
        let both = [OpenaiChat, AnthropicMessages];
        assert_eq!(spoken(None, &both, None, Some(AnthropicMessages)), Some(AnthropicMessages));
        assert_eq!(spoken(None, &both, None, Some(Google)), Some(OpenaiChat));
        assert_eq!(spoken(None, &both, None, None), Some(OpenaiChat));
        assert_eq!(
            spoken(None, &both, Some(&[Google, AnthropicMessages]), Some(OpenaiChat)),
            Some(AnthropicMessages)
        );
        assert_eq!(spoken(None, &both, Some(&[Google]), Some(OpenaiChat)), None);
        assert_eq!(spoken(None, &[], None, Some(OpenaiChat)), None);
        assert_eq!(spoken(Some(Google), &both, None, Some(OpenaiChat)), Some(Google));
        assert_eq!(spoken(Some(Google), &both, Some(&[OpenaiChat]), Some(OpenaiChat)), None);
    }
}

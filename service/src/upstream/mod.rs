//! Calls to upstreams: every one that a tenant's words can lead somewhere. A name is resolved once, every address is checked,
//! and the address that was checked is the one that is connected to, also through a proxy. Redirects are not followed, bodies
//! and times are bounded, and what an upstream says is never repeated to the caller as it is.

use crate::{Result, vault::Plain};
use entity::status::ProxyScheme;
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use std::time::Duration;
use url::Url;

/// Where calls may go.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Private networks that the operator allows, over http and on any port, too.
    pub allowed_networks: Vec<IpNet>,
    /// Ports in public networks.
    pub ports: Vec<u16>,
    /// Certificates in PEM that are trusted beside the machine's own.
    pub extra_roots: String,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self { allowed_networks: Vec::new(), ports: vec![443], extra_roots: String::new() }
    }
}

/// One call.
#[derive(Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// Headers; secrets among them are marked sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// How long everything may take.
    pub patience: Duration,
    /// Bytes of the answer.
    pub most: usize,
}

/// What an upstream answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A proxy on the way.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// How it is spoken to.
    pub scheme: ProxyScheme,
    /// Its host: a name, or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `user:password`, if it asks.
    pub login: Option<Plain>,
}

/// How a call gets there.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Proxies, in the order in which they are tried: the next one if the one before cannot be reached or does not connect.
    pub proxies: Vec<Proxy>,
    /// Whether a call fails rather than go without a proxy.
    pub strict: bool,
    /// Hosts that are reached without a proxy.
    pub no_proxy: Vec<String>,
    /// Whether the upstream's certificate is not looked at.
    pub skip_verification: bool,
}

/// Why there is no answer. The message is for the people who configured the call: it names hosts and causes, never a secret,
/// and never what the other side wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// What happened.
    pub message: String,
}

/// What kind of fault kept a call from being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The address is one that calls may not go to.
    Forbidden,
    /// The name has no address.
    Unresolved,
    /// Nothing takes the connection.
    Unreachable,
    /// It took too long.
    Timeout,
    /// No trusted TLS.
    Tls,
    /// The proxy does not do it: it cannot be reached, refuses the login, or refuses to connect.
    Proxy,
    /// The answer is too large.
    TooLarge,
    /// The answer is not HTTP, or breaks off.
    Broken,
}

impl FaultKind {
    /// The stable word for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Forbidden => "address_forbidden",
            Self::Unresolved => "name_unresolved",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls_failed",
            Self::Proxy => "proxy_failed",
            Self::TooLarge => "answer_too_large",
            Self::Broken => "answer_broken",
        }
    }
}

/// Makes calls.
#[derive(Debug)]
pub struct Upstream {
    settings: UpstreamSettings,
}

impl Upstream {
    /// With these settings.
    pub fn new(settings: &UpstreamSettings) -> Result<Self> {
        Ok(Self { settings: settings.clone() })
    }
}

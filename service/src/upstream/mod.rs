//! Calls to upstreams: every one that a tenant's words can lead somewhere. A name is resolved once, every address is checked,
//! and the address that was checked is the one that is connected to, also through a proxy. Redirects are not followed, bodies
//! and times are bounded, and what an upstream says is never repeated to the caller as it is.

mod address;
mod dial;
mod exchange;
mod guard;
pub mod provider;
mod resolve;
mod send;
mod tls;
mod unverified;

pub use address::{Refused, check_no_proxy};
pub use resolve::{Answers, Resolver};
pub use tls::read_roots;

use crate::vault::Plain;
use entity::status::ProxyScheme;
use guard::{Checked, Purpose};
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use std::time::Duration;
use tls::Tls;
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
    /// Which of the proxies it came through; none if it came directly.
    pub via: Option<usize>,
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

impl Proxy {
    /// `host:port`, for people.
    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
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

impl Fault {
    fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
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
    resolver: Resolver,
    tls: Tls,
}

impl Upstream {
    /// With these settings; an error if the certificates among them cannot be read.
    pub fn new(settings: &UpstreamSettings) -> crate::Result<Self> {
        Self::with_resolver(settings, Resolver::System)
    }

    /// With another source of addresses.
    pub fn with_resolver(settings: &UpstreamSettings, resolver: Resolver) -> crate::Result<Self> {
        Ok(Self { settings: settings.clone(), resolver, tls: Tls::new(&settings.extra_roots)? })
    }

    /// A base URL that a tenant wants to save.
    pub fn check_url(&self, text: &str) -> Result<Url, Refused> {
        self.settings.check_url(text)
    }

    /// A proxy that a tenant wants to save; its host as it is to be saved.
    pub fn check_proxy(&self, host: &str, port: u16) -> Result<String, Refused> {
        self.settings.check_proxy(host, port)
    }
}

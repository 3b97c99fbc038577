//! Calls to upstreams: every one that a tenant's words can lead somewhere. A name is resolved once, every address is checked,
//! and the address that was checked is the one that is connected to, also through a proxy. Redirects are not followed, bodies
//! and times are bounded, and what an upstream says is never repeated to the caller as it is.

pub mod provider;

use crate::{Result, vault::Plain};
use dial::Stream;
use entity::status::ProxyScheme;
use guard::{Checked, Purpose};
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use std::time::{Duration, Instant};
use tls::Tls;
use tokio::time::timeout;
use url::{Host, Url};

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

/// How long one proxy may take to connect, at most.
const TUNNEL: Duration = Duration::from_secs(10);

/// Makes calls.
#[derive(Debug)]
pub struct Upstream {
    settings: UpstreamSettings,
    resolver: Resolver,
    tls: Tls,
}

/// Where a call goes.
#[derive(Debug)]
struct Target {
    host: Host<String>,
    tls: bool,
    at: Checked,
}

impl Upstream {
    /// With these settings; an error if the certificates among them cannot be read.
    pub fn new(settings: &UpstreamSettings) -> Result<Self> {
        Self::with_resolver(settings, Resolver::System)
    }

    /// With another source of addresses.
    pub fn with_resolver(settings: &UpstreamSettings, resolver: Resolver) -> Result<Self> {
        Ok(Self { settings: settings.clone(), resolver, tls: Tls::new(&settings.extra_roots)? })
    }

    /// A base URL that a tenant wants to save.
    pub fn check_url(&self, text: &str) -> std::result::Result<Url, Refused> {
        self.settings.check_url(text)
    }

    /// A proxy that a tenant wants to save; its host as it is to be saved.
    pub fn check_proxy(&self, host: &str, port: u16) -> std::result::Result<String, Refused> {
        self.settings.check_proxy(host, port)
    }

    /// Makes a call, and says what was answered, whatever its status.
    pub async fn send(&self, call: Call, way: &Way) -> std::result::Result<Answer, Fault> {
        let (started, patience) = (Instant::now(), call.patience);
        let name = format!(
            "{}:{}",
            call.url.host_str().unwrap_or_default(),
            call.url.port_or_known_default().unwrap_or_default()
        );
        let answered = timeout(patience, self.go(call, way, started)).await;
        answered.unwrap_or_else(|_| {
            Err(Fault::new(FaultKind::Timeout, format!("{name}: it did not answer within {patience:?}")))
        })
    }

    /// Makes a call through this proxy and no other way.
    pub async fn send_through(&self, call: Call, proxy: &Proxy) -> std::result::Result<Answer, Fault> {
        let way = Way { proxies: vec![proxy.clone()], strict: true, ..Way::default() };
        self.send(call, &way).await
    }

    async fn go(&self, call: Call, way: &Way, started: Instant) -> std::result::Result<Answer, Fault> {
        let target = self.find_target(&call.url).await?;
        let (stream, via) = self.connect(&target, way, started + call.patience).await?;
        let name = target.at.name();
        let stream = if target.tls {
            self.tls.start(stream, &target.host, name, !way.skip_verification).await?
        } else {
            stream
        };
        let (status, headers, body) = exchange::exchange(stream, call, name).await?;
        Ok(Answer { status, headers, body, elapsed: started.elapsed(), via })
    }

    /// A connection by the first way that works, and which proxy it goes through.
    async fn connect(
        &self,
        target: &Target,
        way: &Way,
        until: Instant,
    ) -> std::result::Result<(Stream, Option<usize>), Fault> {
        let direct = async { Ok((dial::connect(&target.at).await?, None)) };
        if address::bypasses(&way.no_proxy, &target.host, target.at.port()) {
            return direct.await;
        }
        let mut faults = Vec::new();
        for (n, proxy) in way.proxies.iter().enumerate() {
            // Each way that is left has an equal share of the time, so that a silent proxy does not use up the next one's.
            let left = u32::try_from(way.proxies.len() - n + 1).unwrap_or(u32::MAX);
            let share = until.saturating_duration_since(Instant::now()) / left;
            match timeout(share.min(TUNNEL), self.tunnel(proxy, &target.at)).await {
                Ok(Ok(stream)) => return Ok((stream, Some(n))),
                Ok(Err(fault)) if fault.kind == FaultKind::Forbidden => return Err(fault),
                Ok(Err(fault)) => faults.push(fault.message),
                Err(_) => {
                    faults.push(format!("the proxy {}:{}: it did not answer in time", proxy.host, proxy.port))
                }
            }
        }
        match (way.strict, faults.is_empty()) {
            (false, _) => direct.await,
            (true, true) => Err(Fault::new(FaultKind::Proxy, "the pool has no proxy that is enabled")),
            (true, false) => Err(Fault::new(FaultKind::Proxy, faults.join("; "))),
        }
    }

    async fn find_target(&self, url: &Url) -> std::result::Result<Target, Fault> {
        let forbidden = |why: &str| Fault::new(FaultKind::Forbidden, why);
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(forbidden("calls go over https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(forbidden("a URL with a user or a password is not called"));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(forbidden("a URL without a host is not called"));
        };
        let host = host.to_owned();
        let at = self.find(Purpose::Target { tls }, &host, port).await?;
        Ok(Target { host, tls, at })
    }

    async fn find_proxy(&self, proxy: &Proxy) -> std::result::Result<(Host<String>, Checked), Fault> {
        let host = address::read_host(&proxy.host)
            .ok_or_else(|| Fault::new(FaultKind::Unresolved, format!("{}: it is no host", proxy.host)))?;
        let at = self.find(Purpose::Proxy, &host, proxy.port).await?;
        Ok((host, at))
    }

    /// The addresses of a host, looked up once and checked all.
    async fn find(
        &self,
        purpose: Purpose,
        host: &Host<String>,
        port: u16,
    ) -> std::result::Result<Checked, Fault> {
        let found = self.resolver.addresses(host).await;
        let ips =
            found.map_err(|_| Fault::new(FaultKind::Unresolved, format!("{host}: the name is not known")))?;
        self.settings.check(purpose, (&host.to_string(), port), ips)
    }
}

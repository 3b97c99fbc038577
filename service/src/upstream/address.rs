//! What tenants write: base URLs, hosts of proxies, hosts without a proxy. Each is read as the WHATWG URL standard reads it,
//! so that an address in disguise (octal, full-width, percent-encoded) is known for what it is before it is saved.

use super::{Purpose, UpstreamSettings};
use ipnet::IpNet;
use std::{fmt, net::IpAddr};
use url::{Host, Url};

/// Bytes of a URL.
const LONGEST: usize = 2048;
/// Bytes of a host.
const LONGEST_HOST: usize = 253;

/// Why what a tenant wrote is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Stable word.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Refused {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn port(port: u16) -> Self {
        Self::new("port_not_allowed", format!("port {port} is not one that calls may go to"))
    }
}

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::new(code, message))
}

impl UpstreamSettings {
    /// A base URL. Names are looked at only when they are connected to, so one that does not resolve yet can be saved.
    pub fn check_url(&self, text: &str) -> Result<Url, Refused> {
        plain(text, LONGEST)?;
        let Ok(url) = Url::parse(text) else {
            return refuse("invalid_url", "must be a URL, as https://api.example.com/v1");
        };
        let tls = match url.scheme() {
            "https" => true,
            "http" if !self.allowed_networks.is_empty() => false,
            "http" => {
                return refuse(
                    "scheme_not_allowed",
                    "must be https: the operator allows no network for http",
                );
            }
            _ => return refuse("scheme_not_allowed", "must begin with https://"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("userinfo_not_allowed", "must not contain a user or a password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("query_not_allowed", "must not have a query or a fragment");
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return refuse("invalid_url", "must name a host");
        };
        self.check_address(Purpose::Target { tls }, &host, port)?;
        Ok(url)
    }

    /// A proxy's host and port; the host as it is saved.
    pub fn check_proxy(&self, host: &str, port: u16) -> Result<String, Refused> {
        plain(host, LONGEST_HOST)?;
        let Some(host) = read_host(host) else {
            return refuse("invalid_host", "must be a host name or an address");
        };
        self.check_address(Purpose::Proxy, &host, port)?;
        Ok(host.to_string())
    }

    fn check_address<S: AsRef<str>>(
        &self,
        purpose: Purpose,
        host: &Host<S>,
        port: u16,
    ) -> Result<(), Refused> {
        if port == 0 {
            return refuse("port_not_allowed", "must not have the port 0");
        }
        match host {
            Host::Ipv4(ip) => self.admit(purpose, (*ip).into(), port),
            Host::Ipv6(ip) => self.admit(purpose, (*ip).into(), port),
            Host::Domain(name) if !is_name(name.as_ref()) => refuse("invalid_host", "must name a host"),
            Host::Domain(_) => self.admit_name(purpose, port),
        }
    }

    /// A name may turn out to be in an allowed network, where any port is good.
    fn admit_name(&self, purpose: Purpose, port: u16) -> Result<(), Refused> {
        let good =
            purpose == Purpose::Proxy || !self.allowed_networks.is_empty() || self.ports.contains(&port);
        if good { Ok(()) } else { Err(Refused::port(port)) }
    }
}

/// Whether a domain, as the URL standard reads it, can be one host's name.
fn is_name(domain: &str) -> bool {
    !domain.trim_matches('.').is_empty() && !domain.contains('*')
}

/// No sane URL has these, and readers of URLs differ in what they make of them.
fn plain(text: &str, longest: usize) -> Result<(), Refused> {
    if text.len() > longest {
        return refuse("too_long", format!("must have at most {longest} bytes"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return refuse("invalid_character", "must not contain blanks, control characters or backslashes");
    }
    Ok(())
}

/// A host as the URL standard reads it; an IPv6 address also without brackets.
pub(super) fn read_host(text: &str) -> Option<Host<String>> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => Some(Host::Ipv6(ip)),
        Ok(IpAddr::V4(ip)) => Some(Host::Ipv4(ip)),
        Err(_) => match Host::parse(text).ok()? {
            Host::Domain(name) if !is_name(&name) => None,
            host => Some(host),
        },
    }
}

/// What a host without a proxy looks like.
#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    Everything,
    Network(IpNet),
    /// This host, on this port or any.
    Host(Host<String>, Option<u16>),
    /// The hosts below this name.
    Below(String, Option<u16>),
}

/// An entry of hosts that are reached without a proxy: a name, an address or a network, `.example.com` or `*.example.com` for
/// every name below one, `*` for all; names and addresses also with a port. Addresses are compared with what a URL says, never
/// with what a name resolves to: who owns the name would decide whether a strict connection goes direct.
pub fn check_no_proxy(entry: &str) -> Result<(), Refused> {
    plain(entry, LONGEST_HOST + 6)?;
    if pattern(entry).is_some() {
        return Ok(());
    }
    let message = "must be a host, an address or a network, .example.com for the names below one, or *";
    refuse("invalid_no_proxy", message)
}

fn pattern(entry: &str) -> Option<Pattern> {
    if entry == "*" {
        return Some(Pattern::Everything);
    }
    if let Ok(network) = entry.parse() {
        return Some(Pattern::Network(network));
    }
    if let Ok(ip) = entry.parse::<IpAddr>() {
        return Some(Pattern::Network(ip.into()));
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !entry.ends_with(']') => (name, Some(port.parse().ok()?)),
        _ => (entry, None),
    };
    match name.strip_prefix('*').unwrap_or(name).strip_prefix('.') {
        Some(below) => match read_host(below)? {
            Host::Domain(below) => Some(Pattern::Below(below, port)),
            _ => None,
        },
        None => Some(Pattern::Host(read_host(name)?, port)),
    }
}

/// Whether a host is reached without a proxy.
pub(super) fn bypasses(no_proxy: &[String], host: &Host<String>, port: u16) -> bool {
    no_proxy.iter().filter_map(|entry| pattern(entry)).any(|pattern| pattern.fits(host, port))
}

impl Pattern {
    fn fits(&self, host: &Host<String>, at: u16) -> bool {
        let on = |port: &Option<u16>| port.is_none_or(|port| port == at);
        match (self, host) {
            (Self::Everything, _) => true,
            (Self::Network(network), Host::Ipv4(ip)) => network.contains(&IpAddr::from(*ip)),
            (Self::Network(network), Host::Ipv6(ip)) => network.contains(&IpAddr::from(*ip).to_canonical()),
            (Self::Host(Host::Domain(name), port), Host::Domain(host)) => {
                on(port) && undotted(name) == undotted(host)
            }
            (Self::Host(name, port), host) => on(port) && name == host,
            (Self::Below(name, port), Host::Domain(host)) => {
                let above = undotted(host).strip_suffix(undotted(name));
                on(port) && above.is_some_and(|above| above.len() > 1 && above.ends_with('.'))
            }
            _ => false,
        }
    }
}

/// A name without the dot that may stand at its end.
pub(super) fn undotted(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests;

//! The guard: which addresses calls may go to. It is pure, and nothing is dialed but a [`Checked`], which it alone makes.

use super::{Fault, FaultKind, Refused, UpstreamSettings};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::Host;

/// How far an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In the internet.
    Public,
    /// In a network that the operator allows.
    Allowed,
}

/// What an address is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To call it.
    Target {
        /// Whether over TLS.
        tls: bool,
    },
    /// To go through it: proxies have any port.
    Proxy,
}

/// Addresses of one host, all of which the guard lets through.
#[derive(Debug, Clone)]
pub struct Checked {
    name: String,
    port: u16,
    addresses: Vec<SocketAddr>,
}

impl Checked {
    /// `host:port`, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// Says whether an address is one that calls may go to, and otherwise what it is.
pub fn reach(ip: IpAddr, allowed: &[IpNet]) -> Result<Reach, &'static str> {
    // The system connects a mapped address over IPv4, so it is that address.
    let ip = ip.to_canonical();
    if allowed.iter().any(|network| network.contains(&ip)) {
        return Ok(Reach::Allowed);
    }
    let fault = match ip {
        IpAddr::V4(ip) => not_public_v4(ip),
        IpAddr::V6(ip) => not_public_v6(ip),
    };
    fault.map_or(Ok(Reach::Public), Err)
}

/// Why an IPv4 address is none of the internet: the registry of special purposes, and the one public address that is a
/// machine's own metadata service.
fn not_public_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [169, 254, ..] | [168, 63, 129, 16] => Some("link-local, where metadata is served"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("in a private network"),
        [100, 64..=127, ..] => Some("in a carrier's network"),
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
            Some("reserved")
        }
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

/// Why an IPv6 address is none of the internet. What is not known to be public is not: global unicast alone is, without the
/// parts of it that are for tests and documents, or that hide an IPv4 address.
fn not_public_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let [first, second, zeros @ .., high, low] = ip.segments();
    match (first, second) {
        (0, 0) if ip.is_loopback() => Some("loopback"),
        (0, 0) if ip.is_unspecified() => Some("unspecified"),
        // The well-known prefix of NAT64: a network without IPv4 reaches the public IPv4 addresses by it.
        (0x64, 0xff9b) if zeros == [0; 4] => not_public_v4(embedded(high, low)),
        (0xfe80..=0xfebf, _) => Some("link-local, where metadata is served"),
        (0xfec0..=0xfeff | 0xfc00..=0xfdff, _) => Some("in a private network"),
        (0xff00.., _) => Some("multicast"),
        (0x2002, _) | (0x2001, 0) => Some("of a tunnel"),
        (0x2001, 0x1..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => Some("reserved"),
        (0x2000..=0x3fff, _) => None,
        _ => Some("reserved"),
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

impl UpstreamSettings {
    /// Lets all addresses of a host through, or none: one that may not be called would be the one that is connected to.
    pub(super) fn check(
        &self,
        purpose: Purpose,
        host: &Host<String>,
        port: u16,
        ips: Vec<IpAddr>,
    ) -> Result<Checked, Fault> {
        let name = format!("{host}:{port}");
        let fault = |kind, why: &str| Fault::new(kind, format!("{name}: {why}"));
        if ips.is_empty() {
            return Err(fault(FaultKind::Unresolved, "the name has no address"));
        }
        for ip in &ips {
            self.admit(purpose, *ip, port).map_err(|why| fault(FaultKind::Forbidden, &why.message))?;
        }
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip.to_canonical(), port)).collect();
        Ok(Checked { name, port, addresses })
    }

    /// Lets one address through, or says why not. What a name resolved to is not in the words: they are no directory of the
    /// operator's networks.
    pub(super) fn admit(&self, purpose: Purpose, ip: IpAddr, port: u16) -> Result<(), Refused> {
        let reach = reach(ip, &self.allowed_networks).map_err(|what| {
            Refused::new(
                "address_forbidden",
                format!("its address is {what}, which the operator does not allow"),
            )
        })?;
        match (purpose, reach) {
            (Purpose::Proxy, _) | (_, Reach::Allowed) => Ok(()),
            (Purpose::Target { tls: false }, Reach::Public) => Err(Refused::new(
                "scheme_not_allowed",
                "http is only for networks that the operator allows; use https",
            )),
            (Purpose::Target { tls: true }, Reach::Public) if self.ports.contains(&port) => Ok(()),
            (Purpose::Target { tls: true }, Reach::Public) => Err(Refused::port(port)),
        }
    }
}

#[cfg(test)]
mod tests;

//! The other side of calls to upstreams, on loopback: servers that answer as a test likes, over plain connections or TLS by a test's
//! own authority, and proxies, packaged ones among them. Each ends with the value that stands for it.

mod authority;
mod listen;
mod packaged;
mod proxy;

pub use authority::{Authority, Identity, authority};
pub use listen::{Connection, Dead, Served, blurting, dead, head, http, https, raw, saying, silent};
pub use packaged::{Packaged, microsocks, tinyproxy};
pub use proxy::{ConnectProxy, connect_proxy, refusing_proxy};

use service::upstream::{Resolver, UpstreamSettings};
use std::{net::IpAddr, sync::Arc};

/// Upstreams may be on this machine, where tests run theirs, and the authority of tests is trusted.
pub fn settings() -> UpstreamSettings {
    let here = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
    UpstreamSettings {
        allowed_networks: here.to_vec(),
        extra_roots: authority().pem().to_owned(),
        ..UpstreamSettings::default()
    }
}

/// Names with their addresses; every other name has none.
pub fn names(known: &[(&str, &[&str])]) -> Resolver {
    let addresses = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
    let known: Vec<(String, Vec<IpAddr>)> =
        known.iter().map(|(name, list)| ((*name).to_owned(), addresses(list))).collect();
    Resolver::Fixed(Arc::new(move |asked| {
        known.iter().find(|(name, _)| name == asked).map(|(_, list)| list.clone()).unwrap_or_default()
    }))
}

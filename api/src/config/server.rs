//! [`ServerSettings`]: how many connections are accepted, how long each may be quiet, and the certificate they see.

use super::{layers::Layers, parse, seconds};
use crate::{
    serve::{Limits, Timeouts},
    tls::{self, TlsFiles},
};
use std::time::Duration;

/// Longer than the minute after which most load balancers close what they do not use: who closes first meets no request.
const IDLE: Duration = Duration::from_secs(75);
const HEADER: Duration = Duration::from_secs(10);

/// Settings of the connections that the server accepts.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Connections at a time.
    pub max_connections: u32,
    /// Where certificate and key are, if it serves over TLS itself.
    pub tls: Option<TlsFiles>,
    limits: Limits,
}

impl ServerSettings {
    /// How much a connection may ask for.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How its addresses begin.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

pub(super) fn read(from: &mut Layers, body: Duration) -> ServerSettings {
    let timeouts = Timeouts {
        head: seconds(from, "header-timeout-seconds", HEADER),
        idle: seconds(from, "idle-timeout-seconds", IDLE),
        stall: body,
    };
    ServerSettings {
        max_connections: from.take("max-connections", parse::number(1, 1_000_000)).unwrap_or(8192),
        limits: Limits {
            timeouts,
            head_bytes: from.take("max-header-bytes", parse::number(8192, 1_048_576)).unwrap_or(65_536),
            streams: from.take("max-concurrent-streams", parse::number(1, 10_000)).unwrap_or(100),
        },
        tls: tls(from),
    }
}

/// Both files or neither. What is in them is read by what serves: other commands do without, also while they are replaced.
fn tls(from: &mut Layers) -> Option<TlsFiles> {
    match (from.has(tls::CERT), from.has(tls::KEY)) {
        (true, false) => from.missing(tls::KEY, "required together with tls-cert"),
        (false, true) => from.missing(tls::CERT, "required together with tls-key"),
        _ => {}
    }
    let (cert, key) = (from.take(tls::CERT, parse::path), from.take(tls::KEY, parse::path));
    cert.zip(key).map(|(cert, key)| TlsFiles { cert, key })
}

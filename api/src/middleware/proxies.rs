//! A load balancer that is not in `TOLLKEEPER_TRUSTED_PROXIES`: to this server every client then has the balancer's address,
//! so that wrong passwords of one delay the sign-ins of all, and `allowed_cidrs` mean nothing.

use crate::state::AppState;
use axum::http::HeaderMap;
use std::{net::IpAddr, sync::atomic::Ordering};

/// What a proxy says of the client that it asks for.
const FORWARDING: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// Says so, once, when somebody who is not trusted forwards requests of others, or claims to.
pub fn notice(state: &AppState, headers: &HeaderMap, peer: Option<IpAddr>) {
    let Some(peer) = peer.map(|peer| peer.to_canonical()) else { return };
    let Some(header) = FORWARDING.iter().find(|header| headers.contains_key(**header)) else { return };
    let trusted = state.settings.trusted_proxies.iter().any(|net| net.contains(&peer));
    if trusted || state.proxy_noticed.swap(true, Ordering::Relaxed) {
        return;
    }
    tracing::warn!(
        %peer,
        header,
        "a request was forwarded by an address that is not in TOLLKEEPER_TRUSTED_PROXIES: if that is your load \
         balancer, all its clients count as one address until you add it; if it is not, ignore this (said once)"
    );
}

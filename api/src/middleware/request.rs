//! What is known of a request before anything else: its id, the client's address, the client program. Also the headers
//! that every reply carries.

use crate::state::AppState;
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use service::ctx::RequestInfo;
use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Notes what is known of the request, runs it, logs it, and puts the common headers on its reply.
pub async fn identify(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let info = RequestInfo {
        id: request_id(request.headers()).unwrap_or_else(|| fresh_id(&state)),
        client_ip: client_ip(&state, request.headers(), peer),
        user_agent: text(request.headers(), &header::USER_AGENT),
    };
    let (id, method, path) = (info.id.clone(), request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(info);
    let started = Instant::now();
    let mut response = next.run(request).await;
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    metrics::counter!("tollkeeper_http_requests_total", "status" => status.to_string()).increment(1);
    metrics::histogram!("tollkeeper_http_request_seconds").record(elapsed);
    tracing::debug!(request_id = id, %method, path, status, elapsed_us = elapsed.as_micros(), "request");
    headers(&mut response, &id, &path);
    response
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(|text| text.chars().take(255).collect())
}

/// The client's own request id, if it is short and harmless.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let harmless = |id: &&str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless).map(str::to_owned)
}

fn fresh_id(state: &AppState) -> String {
    format!("req_{}", state.system.entropy.id::<()>(state.system.clock.local()).uuid().simple())
}

/// The peer, or, behind trusted proxies, the last address in `X-Forwarded-For` that is not one of them.
fn client_ip(state: &AppState, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
    let trusted = |ip: &IpAddr| state.settings.trusted_proxies.iter().any(|net| net.contains(ip));
    let peer = peer?.to_canonical();
    if !trusted(&peer) {
        return Some(peer);
    }
    let chain = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<&str> = chain.flat_map(|value| value.split(',')).collect();
    let mut client = peer;
    for hop in chain.into_iter().rev() {
        let Ok(ip) = hop.trim().parse::<IpAddr>() else { break };
        client = ip.to_canonical();
        if !trusted(&client) {
            break;
        }
    }
    Some(client)
}

fn headers(response: &mut Response, id: &str, path: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    let fixed = |name: &'static str, value: &'static str| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    for (name, value) in [
        fixed("x-content-type-options", "nosniff"),
        fixed("x-frame-options", "DENY"),
        fixed("referrer-policy", "no-referrer"),
        fixed("strict-transport-security", "max-age=31536000"),
        fixed("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, value);
    }
    if path.starts_with("/docs") {
        let policy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    } else {
        // What a route says of its own reply is stricter.
        let policy = "default-src 'none'; frame-ancestors 'none'";
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

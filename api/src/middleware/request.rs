//! What is known of a request before anything else: its id, the client's address, the client program. Also its line in the
//! log, its metrics, and the headers that every reply carries.

use crate::{
    middleware::proxies,
    state::{AccessLog, AppState},
};
use axum::{
    body::HttpBody,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use entity::{id::OrganizationId, status::ActorKind};
use service::ctx::RequestInfo;
use std::{
    fmt::Display,
    net::{IpAddr, SocketAddr},
    time::Instant,
};
use tracing::{Instrument, Span, field};

/// The target of the span around a request. It is there whatever is logged, so that every line has the request's id.
pub const SPAN: &str = service::meter::SPAN;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What stands for the status where the client has gone before there was one.
const CLIENT_GONE: u16 = 499;

/// Notes what is known of the request, runs it, logs it, and puts the common headers on its reply.
pub async fn identify(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    proxies::notice(&state, request.headers(), peer);
    let info = RequestInfo {
        id: request_id(request.headers()).unwrap_or_else(|| fresh_id(&state)),
        client_ip: client_ip(&state, request.headers(), peer),
        user_agent: text(request.headers(), &header::USER_AGENT),
    };
    let (id, path) = (info.id.clone(), request.uri().path().to_owned());
    let mut access = Access::new(&state, &request, &info);
    let span = access.span.clone();
    request.extensions_mut().insert(info);
    let mut response = next.run(request).instrument(span).await;
    access.answered(&response);
    headers(&mut response, &id, &path);
    response
}

/// Notes who asks, for every line of the request from here on.
pub(crate) fn note_actor(kind: ActorKind, id: impl Display) {
    let span = Span::current();
    span.record("actor", field::display(id));
    if let Ok(serde_json::Value::String(kind)) = serde_json::to_value(kind) {
        span.record("actor_kind", kind);
    }
}

/// Notes which organization it is about.
pub(crate) fn note_organization(id: OrganizationId) {
    Span::current().record("organization", field::display(id));
}

/// A request under way. Dropped, it is counted and logged, also if the client goes away in the middle.
struct Access {
    span: Span,
    method: &'static str,
    route: String,
    client_ip: Option<IpAddr>,
    log: AccessLog,
    started: Instant,
    status: u16,
    bytes: Option<u64>,
}

impl Access {
    fn new(state: &AppState, request: &Request, info: &RequestInfo) -> Self {
        metrics::gauge!("tollkeeper_http_requests_in_flight").increment(1);
        let span = tracing::error_span!(
            target: SPAN,
            "request",
            request_id = info.id,
            organization = field::Empty,
            actor = field::Empty,
            actor_kind = field::Empty,
        );
        let route = request.extensions().get::<MatchedPath>();
        Self {
            span,
            method: method(request.method()),
            // The path itself would make as many series, and show as much, as clients like.
            route: route.map_or("unmatched", MatchedPath::as_str).to_owned(),
            client_ip: info.client_ip,
            log: state.settings.access_log,
            started: Instant::now(),
            status: CLIENT_GONE,
            bytes: None,
        }
    }

    fn answered(&mut self, response: &Response) {
        self.status = response.status().as_u16();
        self.bytes = response.body().size_hint().exact();
    }

    fn is_a_probe(&self) -> bool {
        self.route.starts_with("/health/") || self.route == "/metrics"
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let Self { method, status, bytes, .. } = *self;
        metrics::gauge!("tollkeeper_http_requests_in_flight").decrement(1);
        let (route, text) = (self.route.clone(), status.to_string());
        metrics::counter!("tollkeeper_http_requests_total", "method" => method, "route" => route, "status" => text)
            .increment(1);
        let route = self.route.clone();
        metrics::histogram!("tollkeeper_http_request_duration_seconds", "method" => method, "route" => route)
            .record(elapsed);
        let client_ip = self.client_ip.filter(|_| self.log == AccessLog::On).map(field::display);
        let (route, duration_us) =
            (self.route.as_str(), u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        let _inside = self.span.enter();
        if self.log == AccessLog::Off || self.is_a_probe() {
            tracing::debug!(target: "tollkeeper::access", method, route, status, duration_us, bytes, client_ip, "request");
        } else {
            tracing::info!(target: "tollkeeper::access", method, route, status, duration_us, bytes, client_ip, "request");
        }
    }
}

/// One of a few words: clients may make methods up.
fn method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
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

//! What Traefik documents of its middlewares `headers` and `forwardAuth`, imitated under its own configuration file: Traefik
//! comes with no package registry. The path is passed on as it came, as by releases that do not clean it, which is harder.

use super::wire::{Answer, exchange};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
};
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// The expression of `authResponseHeadersRegex` that is imitated.
const REGEX: &str = "(?i)^tollkeeper[-_]";
/// The rule of the router that is imitated.
const RULE: &str = "PathPrefix(`/`) && !Method(`CONNECT`) && !Method(`TRACE`)";
/// What the entry point removes of a client that is not trusted.
const FORWARDED: [&str; 8] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-uri",
    "x-real-ip",
];

/// A router with its middlewares.
#[derive(Debug)]
pub struct Traefik {
    ask: BTreeMap<String, String>,
    provider: BTreeMap<String, String>,
    passed: Vec<String>,
    address: SocketAddr,
    upstream: SocketAddr,
}

impl Traefik {
    /// Reads the configuration, of which nothing else may be said.
    pub fn read(text: &str) -> Self {
        let config: Value = serde_saphyr::from_str(text).unwrap();
        let http = &config["http"];
        let order = serde_json::json!(["tollkeeper-ask", "tollkeeper", "provider"]);
        assert_eq!(http["routers"]["llm"]["middlewares"], order);
        assert_eq!(http["routers"]["llm"]["rule"], RULE);
        let auth = &http["middlewares"]["tollkeeper"]["forwardAuth"];
        assert_eq!(auth["authResponseHeadersRegex"], REGEX);
        assert_eq!(auth["trustForwardHeader"], false);
        let headers = |name: &str| {
            let headers = &http["middlewares"][name]["headers"]["customRequestHeaders"];
            serde_json::from_value(headers.clone()).unwrap()
        };
        let address = |url: &Value, path: &str| {
            let rest = url.as_str().unwrap().strip_prefix("http://").unwrap();
            rest.strip_suffix(path).unwrap().parse().unwrap()
        };
        Self {
            ask: headers("tollkeeper-ask"),
            provider: headers("provider"),
            passed: serde_json::from_value(auth["authRequestHeaders"].clone()).unwrap(),
            address: address(&auth["address"], "/v1/check"),
            upstream: address(&http["services"]["provider"]["loadBalancer"]["servers"][0]["url"], ""),
        }
    }

    /// Serves until the test ends.
    pub async fn serve(self, listener: TcpListener) {
        let router = Router::new().fallback(pass).with_state(Arc::new(self));
        axum::serve(listener, router).await.unwrap();
    }
}

/// `customRequestHeaders`: an empty value removes.
fn apply(headers: &mut HeaderMap, custom: &BTreeMap<String, String>) {
    for (name, value) in custom {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.remove(&name);
        if !value.is_empty() {
            headers.insert(name, value.parse().unwrap());
        }
    }
}

fn is_ours(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with("tollkeeper-") || name.starts_with("tollkeeper_")
}

/// One call, through the middlewares in their order.
async fn pass(State(traefik): State<Arc<Traefik>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (method, target, mut headers) = (parts.method, parts.uri.to_string(), parts.headers);
    let body = to_bytes(body, usize::MAX).await.unwrap();
    if matches!(method.as_str(), "CONNECT" | "TRACE") {
        return handed_on(Answer { status: 404, ..Answer::default() });
    }
    // The entry point: hop by hop headers and what only a trusted proxy may say.
    let named =
        headers.get("connection").and_then(|value| value.to_str().ok()).unwrap_or_default().to_lowercase();
    for name in named.split(',').map(str::trim).chain([
        "connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "content-length",
    ]) {
        headers.remove(name);
    }
    FORWARDED.iter().for_each(|name| drop(headers.remove(*name)));
    apply(&mut headers, &traefik.ask);
    let mut asking = HeaderMap::new();
    for name in traefik.passed.iter().map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap()) {
        for value in headers.get_all(&name) {
            asking.append(&name, value.clone());
        }
    }
    for (name, value) in [
        ("x-forwarded-uri", target.as_str()),
        ("x-forwarded-method", method.as_str()),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        asking.insert(name, value.parse().unwrap());
    }
    let answer = exchange(traefik.address, &head("GET", "/v1/check", &asking, 0), &[]).await;
    if !(200..300).contains(&answer.status) {
        return handed_on(answer);
    }
    let own: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name.as_str())).cloned().collect();
    own.iter().for_each(|name| drop(headers.remove(name)));
    for (name, value) in answer.headers.iter().filter(|(name, _)| is_ours(name)) {
        headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    apply(&mut headers, &traefik.provider);
    let head = head(method.as_str(), &target, &headers, body.len());
    handed_on(exchange(traefik.upstream, &head, &body).await)
}

fn head(method: &str, target: &str, headers: &HeaderMap, length: usize) -> String {
    let text =
        |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect::<String>();
    let lines = headers.iter().filter(|(name, _)| *name != "host");
    let lines: String = lines.map(|(name, value)| format!("\r\n{name}: {}", text(value))).collect();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: upstream\r\nConnection: close\r\nContent-Length: {length}{lines}"
    )
}

fn handed_on(answer: Answer) -> Response {
    // Status 0: nobody was there.
    let mut response = Response::builder().status(if answer.status == 0 { 500 } else { answer.status });
    for (name, value) in &answer.headers {
        if !["connection", "transfer-encoding", "content-length"].contains(&name.as_str()) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.body)).unwrap()
}

//! Calls to upstreams: where they may not go, what is sent, and what becomes of upstreams that are dead, slow or lie.

use axum::{Json, Router, extract::Request, http::HeaderMap};
use serde_json::{Value, json};
use service::upstream::{Answer, Call, Fault, FaultKind, Resolver, Upstream, UpstreamSettings, Way};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tests::{
    on_both,
    outbound::{self, dead, head, http, names, raw, saying, settings, silent},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes that an answer may have.
pub const MOST: usize = 64 * 1024;

/// A call that has all the time it needs.
pub fn get(url: &str) -> Call {
    Call {
        method: "GET".parse().unwrap(),
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Vec::new(),
        patience: Duration::from_secs(30),
        most: MOST,
    }
}

/// Calls that may go to this machine, with these names.
pub fn upstream(known: &[(&str, &[&str])]) -> Upstream {
    Upstream::with_resolver(&settings(), names(known)).unwrap()
}

/// Calls that may go to one address of this machine alone.
pub fn narrow() -> UpstreamSettings {
    UpstreamSettings { allowed_networks: vec!["127.0.0.1/32".parse().unwrap()], ..settings() }
}

pub async fn direct(upstream: &Upstream, url: &str) -> Result<Answer, Fault> {
    upstream.send(get(url), &Way::default()).await
}

pub async fn kind(upstream: &Upstream, url: &str) -> FaultKind {
    direct(upstream, url).await.unwrap_err().kind
}

/// Answers with what it was asked.
pub fn echo() -> Router {
    Router::new().fallback(async |request: Request| {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MOST).await.unwrap();
        let headers: Vec<(String, String)> = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let seen = json!({"method": head.method.as_str(), "uri": head.uri.to_string(), "headers": headers,
            "body": String::from_utf8_lossy(&body)});
        (axum::http::StatusCode::IM_A_TEAPOT, [("x-own", "1")], Json(seen))
    })
}

pub fn seen(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn headers(seen: &Value, name: &str) -> Vec<String> {
    let all: Vec<(String, String)> = serde_json::from_value(seen["headers"].clone()).unwrap();
    all.into_iter().filter(|(other, _)| other == name).map(|(_, value)| value).collect()
}

#[tokio::test]
async fn what_is_sent_and_answered_is_whole() {
    let server = http(echo()).await;
    let mut call = get(&server.http("/v1/chat?api-version=1&x=%20"));
    call.method = "POST".parse().unwrap();
    call.body = b"{\"model\":\"m\"}".to_vec();
    call.headers.insert("authorization", "Bearer secret".parse().unwrap());
    let answer = upstream(&[]).send(call, &Way::default()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.via), (418, None));
    assert_eq!(answer.headers["x-own"], "1");
    let seen = seen(&answer);
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["uri"], "/v1/chat?api-version=1&x=%20");
    assert_eq!(seen["body"], "{\"model\":\"m\"}");
    assert_eq!(headers(&seen, "authorization"), ["Bearer secret"]);
    assert_eq!(headers(&seen, "host"), [server.address.to_string()]);
    assert_eq!(headers(&seen, "accept-encoding"), ["identity"]);
}

#[tokio::test]
async fn headers_of_the_connection_are_not_the_callers() {
    let server = http(echo()).await;
    let mut call = get(&server.http("/"));
    call.method = "POST".parse().unwrap();
    call.body = b"12345".to_vec();
    for (name, value) in [
        ("host", "internal.example"),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("expect", "100-continue"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eA=="),
        ("accept-encoding", "gzip"),
    ] {
        call.headers.insert(name, value.parse().unwrap());
    }
    let seen = seen(&upstream(&[]).send(call, &Way::default()).await.unwrap());
    assert_eq!(seen["body"], "12345");
    assert_eq!(headers(&seen, "host"), [server.address.to_string()]);
    assert_eq!(headers(&seen, "content-length"), ["5"]);
    assert_eq!(headers(&seen, "accept-encoding"), ["identity"]);
    for gone in ["transfer-encoding", "upgrade", "expect", "te", "proxy-authorization"] {
        assert!(headers(&seen, gone).is_empty(), "{gone}");
    }
}

#[tokio::test]
async fn forbidden_addresses_are_never_connected_to() {
    let server = http(echo()).await;
    let port = server.address.port();
    let closed = UpstreamSettings { ports: vec![443, port], ..UpstreamSettings::default() };
    let closed = Upstream::with_resolver(&closed, names(&[("inside.example", &["127.0.0.1"])])).unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "0177.0.0.1",
        "0x7f000001",
        "2130706433",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "１２７.０.０.１",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "localhost",
        "localhost.",
        "a.LOCALHOST",
        "inside.example",
    ] {
        for scheme in ["https", "http"] {
            assert_eq!(
                kind(&closed, &format!("{scheme}://{host}:{port}/")).await,
                FaultKind::Forbidden,
                "{host}"
            );
        }
    }
    let trick = format!("https://api.openai.com@127.0.0.1:{port}/");
    assert_eq!(kind(&closed, &trick).await, FaultKind::Forbidden);
    assert_eq!(kind(&upstream(&[]), &trick).await, FaultKind::Forbidden, "userinfo is refused in itself");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_is_refused_if_any_of_its_addresses_is() {
    let server = http(echo()).await;
    let known: [(&str, &[&str]); 3] = [
        ("good-first.example", &["127.0.0.1", "10.0.0.1"]),
        ("bad-first.example", &["169.254.169.254", "127.0.0.1"]),
        ("mapped.example", &["127.0.0.1", "::ffff:10.0.0.1"]),
    ];
    let upstream = upstream(&known);
    for (name, addresses) in known {
        let fault =
            direct(&upstream, &format!("http://{name}:{}/", server.address.port())).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Forbidden, "{name}");
        assert!(!addresses.iter().any(|address| fault.message.contains(address)), "{fault}");
    }
    assert_eq!(server.connections(), 0);
}

/// A name that is this machine when it is checked, and metadata when it is asked again.
fn rebinding() -> (Upstream, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver = Resolver::Fixed(Arc::new(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        vec![if first { "127.0.0.1" } else { "169.254.169.254" }.parse().unwrap()]
    }));
    (Upstream::with_resolver(&settings(), resolver).unwrap(), asked)
}

#[tokio::test]
async fn a_name_is_asked_once_and_the_checked_address_is_called() {
    let server = http(echo()).await;
    let (upstream, asked) = rebinding();
    let url = format!("http://rebinding.example:{}/", server.address.port());
    let answer = direct(&upstream, &url).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(headers(&seen(&answer), "host"), [format!("rebinding.example:{}", server.address.port())]);
    assert_eq!(kind(&upstream, &url).await, FaultKind::Forbidden, "the next call looks anew");
    assert_eq!((asked.load(Ordering::SeqCst), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let inside = http(echo()).await;
    let to = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        inside.http("/latest/meta-data")
    );
    let server = saying(to).await;
    let answer = direct(&upstream(&[]), &server.http("/")).await.unwrap();
    assert_eq!((answer.status.as_u16(), inside.connections()), (302, 0));
}

#[tokio::test]
async fn answers_are_bounded() {
    let upstream = upstream(&[]);
    let full = "x".repeat(MOST);
    for (answer, fits) in [
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {MOST}\r\n\r\n{full}"), true),
        (format!("HTTP/1.1 200 OK\r\n\r\n{full}"), true),
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{full}x", MOST + 1), false),
        (format!("HTTP/1.1 200 OK\r\n\r\n{full}x"), false),
        (format!("HTTP/1.1 200 OK\r\nx-huge: {}\r\n\r\n", "y".repeat(200_000)), false),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(1000)), false),
    ] {
        let server = saying(answer).await;
        match direct(&upstream, &server.http("/")).await {
            Ok(answer) => assert!(fits && answer.body.len() == MOST),
            Err(fault) => assert!(!fits && fault.kind == FaultKind::TooLarge, "{fault}"),
        }
    }
    let endless = raw(None, async |mut connection| {
        head(&mut connection).await;
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        while connection.write_all(b"4\r\nabcd\r\n").await.is_ok() {}
    })
    .await;
    assert_eq!(kind(&upstream, &endless.http("/")).await, FaultKind::TooLarge);
}

#[tokio::test]
async fn upstreams_that_lie_or_break_off_are_broken() {
    let upstream = upstream(&[]);
    for answer in [
        "",
        "SSH-2.0-OpenSSH_9.2 hunter2\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhunter2",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhunter2\r\n",
        "HTTP/9.9 200 hunter2\r\n\r\n",
    ] {
        let server = saying(answer).await;
        let fault = direct(&upstream, &server.http("/")).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Broken, "{answer:?}: {fault}");
        assert!(fault.message.starts_with(&server.address.to_string()) && !fault.message.contains("hunter2"));
    }
}

#[tokio::test]
async fn slow_upstreams_use_up_the_patience() {
    let dripping = raw(None, async |mut connection| {
        head(&mut connection).await;
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while connection.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for server in [silent().await, dripping] {
        let call = Call { patience: Duration::from_millis(300), ..get(&server.http("/")) };
        let fault = upstream(&[]).send(call, &Way::default()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Timeout);
        assert_eq!(fault.message, format!("{}: it did not answer within 300ms", server.address));
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_no_connection() {
    let (sender, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let server = raw(None, move |mut connection| {
        let sender = sender.clone();
        async move {
            let _ = connection.read_to_end(&mut Vec::new()).await;
            let _ = sender.send(());
        }
    })
    .await;
    let call = Call { patience: Duration::from_millis(200), ..get(&server.http("/")) };
    assert_eq!(upstream(&[]).send(call, &Way::default()).await.unwrap_err().kind, FaultKind::Timeout);
    assert_eq!(closed.recv().await, Some(()));
}

#[tokio::test]
async fn dead_upstreams_and_unknown_names_are_told_apart() {
    let (nothing, server) = (dead(), http(echo()).await);
    let upstream = upstream(&[("two.example", &["::1", "127.0.0.1"])]);
    let fault = direct(&upstream, &format!("http://{}/", nothing.address)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert_eq!(fault.message, format!("{}: connection refused", nothing.address));
    assert_eq!(kind(&upstream, "https://nobody.example/").await, FaultKind::Unresolved);
    let second = direct(&upstream, &format!("http://two.example:{}/", server.address.port())).await;
    assert_eq!(second.unwrap().status.as_u16(), 418, "the second address is tried");
    let here = direct(&upstream, &format!("http://a.localhost:{}/", server.address.port())).await;
    assert_eq!(here.unwrap().status.as_u16(), 418, "allowed, it is an upstream as any other");
}

on_both!(an_instance_can_have_other_settings, |app| {
    let other = app.with_upstream(UpstreamSettings::default(), names(&[])).await;
    assert_eq!(kind(&other.system.upstream, "https://127.0.0.1/").await, FaultKind::Forbidden);
    let nothing = outbound::dead();
    let url = format!("http://{}/", nothing.address);
    assert_eq!(kind(&app.system.upstream, &url).await, FaultKind::Unreachable);
});

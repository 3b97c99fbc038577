//! Calls through proxies: tinyproxy, microsocks and our own; which one is taken, and what they never get to see.

use crate::upstream::{direct, echo, get, narrow, seen, upstream};
use axum::Router;
use entity::status::ProxyScheme::{self, Http, Https, Socks5};
use service::upstream::{Answer, Call, Fault, FaultKind, Proxy, Upstream, Way};
use std::{net::SocketAddr, time::Duration};
use tests::outbound::{
    Authority, ConnectProxy, authority, blurting, connect_proxy, dead, http, https, microsocks, names,
    refusing_proxy, saying, settings, silent, tinyproxy,
};

const LOGIN: (&str, &str) = ("ada", "canary-of-the-proxy");
/// `ada:canary-of-the-proxy`
const BASIC: &str = "YWRhOmNhbmFyeS1vZi10aGUtcHJveHk=";
const HERE: &[(&str, &[&str])] = &[("api.example", &["127.0.0.1"]), ("proxy.example", &["127.0.0.1"])];

fn proxy(scheme: ProxyScheme, address: SocketAddr, login: Option<&str>) -> Proxy {
    let login = login.map(|login| login.to_owned().into());
    Proxy { scheme, host: address.ip().to_string(), port: address.port(), login }
}

fn strictly(proxies: Vec<Proxy>) -> Way {
    Way { proxies, strict: true, ..Way::default() }
}

/// What a plain and a TLS upstream say through one proxy; they must agree.
async fn through(proxy: &Proxy) -> Result<Answer, Fault> {
    let plain = http(echo()).await;
    let secure = https(echo(), authority().issue(&["api.example"])).await;
    let upstream = upstream(HERE);
    let over_http = upstream.send_through(get(&plain.http("/a")), proxy).await;
    let over_tls = upstream.send_through(get(&secure.https("api.example", "/a")), proxy).await;
    match (&over_http, &over_tls) {
        (Ok(one), Ok(two)) => {
            assert_eq!((one.status.as_u16(), one.via, &seen(one)["uri"]), (418, Some(0), &"/a".into()));
            assert_eq!((two.status.as_u16(), two.via, &seen(two)["uri"]), (418, Some(0), &"/a".into()));
        }
        (Err(one), Err(two)) => {
            assert_eq!(one, two);
            assert_eq!(plain.connections() + secure.connections(), 0, "nothing goes another way");
        }
        _ => panic!("{over_http:?} but {over_tls:?}"),
    }
    over_tls
}

/// Right, wrong and no login at a proxy that asks for one.
async fn logins(scheme: ProxyScheme, address: SocketAddr) {
    let (user, password) = LOGIN;
    through(&proxy(scheme, address, Some(&format!("{user}:{password}")))).await.unwrap();
    for (login, words) in [
        (Some("ada:wrong-canary"), "it refuses the login"),
        (Some("eve:canary-of-the-proxy"), "it refuses the login"),
        (None, "it asks for a login"),
    ] {
        let fault = through(&proxy(scheme, address, login)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Proxy);
        assert_eq!(fault.message, format!("the proxy {address}: {words}"), "{login:?}");
        assert!(!format!("{fault:?}").contains("canary"));
    }
}

#[tokio::test]
async fn tinyproxy_connects() {
    let open = tinyproxy(None).await;
    through(&proxy(Http, open.address, None)).await.unwrap();
    through(&proxy(Http, open.address, Some("needless:login"))).await.unwrap();
    logins(Http, tinyproxy(Some(LOGIN)).await.address).await;
}

#[tokio::test]
async fn microsocks_connects() {
    let open = microsocks(None).await;
    through(&proxy(Socks5, open.address, None)).await.unwrap();
    through(&proxy(Socks5, open.address, Some("needless:login"))).await.unwrap();
    logins(Socks5, microsocks(Some(LOGIN)).await.address).await;
}

#[tokio::test]
async fn a_login_that_socks_cannot_say_is_told() {
    let server = microsocks(Some(LOGIN)).await;
    for login in ["ada:", ":x", "ada", &format!("ada:{}", "x".repeat(256))] {
        let fault = through(&proxy(Socks5, server.address, Some(login))).await.unwrap_err();
        assert!(
            fault.message.ends_with("its login must have a user and a password of 1 to 255 bytes"),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_proxy_over_tls_shows_a_certificate_that_is_always_looked_at() {
    let good = connect_proxy(Some(authority().issue(&["127.0.0.1"])), Some(BASIC)).await;
    logins(Https, good.served.address).await;
    for (identity, words) in [
        (Authority::new().issue(&["127.0.0.1"]), "its certificate comes from an unknown issuer"),
        (authority().issue(&["proxy.example"]), "its certificate is for another host"),
        (authority().issue_expired(&["127.0.0.1"]), "its certificate has expired"),
    ] {
        let bad = connect_proxy(Some(identity), None).await;
        let address = bad.served.address;
        let way = Way { skip_verification: true, ..strictly(vec![proxy(Https, address, None)]) };
        let fault = upstream(HERE).send(get("http://127.0.0.1:1/"), &way).await.unwrap_err();
        assert_eq!(fault.message, format!("the proxy {address}: {words}"));
        assert_eq!((fault.kind, bad.asked().len()), (FaultKind::Proxy, 0));
    }
}

#[tokio::test]
async fn a_proxy_is_given_the_checked_address_and_never_a_name() {
    let server = https(echo(), authority().issue(&["api.example"])).await;
    let ours = connect_proxy(None, None).await;
    let upstream = upstream(HERE);
    let named = Proxy { host: "proxy.example".into(), ..proxy(Http, ours.served.address, None) };
    upstream.send_through(get(&server.https("api.example", "/secret")), &named).await.unwrap();
    let asked = ours.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.address)), "{asked:?}");
    assert!(!asked[0].contains("api.example") && !asked[0].contains("secret"), "{asked:?}");
}

#[tokio::test]
async fn what_is_forbidden_is_forbidden_through_a_proxy_too() {
    let (server, ours) = (http(echo()).await, connect_proxy(None, None).await);
    let known: &[(&str, &[&str])] = &[
        ("inside.example", &["10.0.0.1"]),
        ("mixed.example", &["127.0.0.1", "169.254.169.254"]),
        ("api.example", &["127.0.0.1"]),
    ];
    let upstream = Upstream::with_resolver(&narrow(), names(known)).unwrap();
    let way = |proxies| Way { proxies, ..Way::default() };
    for host in ["inside.example", "mixed.example", "10.0.0.1", "169.254.169.254", "127.0.0.2", "[::1]", "0"]
    {
        let url = format!("http://{host}:{}/", server.address.port());
        let fault =
            upstream.send(get(&url), &way(vec![proxy(Http, ours.served.address, None)])).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Forbidden, "{host}");
    }
    assert_eq!((ours.served.connections(), server.connections()), (0, 0));

    // And a proxy where none may be: neither the next one nor the direct way is taken.
    for host in
        ["inside.example", "mixed.example", "10.0.0.1", "::1", "0x7f000002", "localhost.inside.example"]
    {
        let bad = Proxy { host: host.into(), ..proxy(Http, ours.served.address, None) };
        let proxies = vec![bad, proxy(Http, ours.served.address, None)];
        let outcome = upstream.send(get(&server.http("/")), &way(proxies)).await;
        if host == "localhost.inside.example" {
            assert_eq!(outcome.unwrap().via, Some(1), "one without an address is only passed over");
        } else {
            assert_eq!(outcome.unwrap_err().kind, FaultKind::Forbidden, "{host}");
            assert_eq!((ours.served.connections(), server.connections()), (0, 0), "{host}");
        }
    }
}

/// Proxies that do not work, each in its own way.
async fn broken() -> (Vec<(Proxy, &'static str)>, Vec<Box<dyn std::any::Any>>) {
    let (nothing, mute) = (dead(), silent().await);
    let garbage = saying("hunter2 is not HTTP\r\n\r\n").await;
    let blurting = blurting(b"220 hunter2 ESMTP\r\n").await;
    let closing = saying("").await;
    let huge = refusing_proxy(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000))).await;
    let refusing = refusing_proxy("HTTP/1.1 403 hunter2\r\ncontent-length: 7\r\n\r\nhunter2").await;
    let moved =
        refusing_proxy("HTTP/1.1 302 Found\r\nlocation: http://hunter2/\r\ncontent-length: 0\r\n\r\n").await;
    let cases = vec![
        (proxy(Http, nothing.address, None), "connection refused"),
        (proxy(Socks5, nothing.address, None), "connection refused"),
        (proxy(Http, mute.address, None), "it did not answer in time"),
        (proxy(Https, mute.address, None), "it did not answer in time"),
        (proxy(Socks5, mute.address, None), "it did not answer in time"),
        (proxy(Http, garbage.address, None), "it does not speak HTTP"),
        (proxy(Https, blurting.address, None), "it does not speak TLS"),
        (proxy(Socks5, blurting.address, None), "it does not speak SOCKS 5"),
        (proxy(Http, closing.address, None), "it closed the connection when it was asked to connect"),
        (proxy(Http, huge.served.address, None), "its answer is too large"),
        (proxy(Http, refusing.served.address, None), "it refuses to connect to "),
        (proxy(Http, moved.served.address, None), "it refuses to connect to "),
    ];
    (
        cases,
        vec![
            Box::new(nothing),
            Box::new(mute),
            Box::new(garbage),
            Box::new(blurting),
            Box::new(closing),
            Box::new((huge, refusing, moved)),
        ],
    )
}

#[tokio::test]
async fn a_proxy_that_does_not_work_is_passed_over_and_strict_calls_go_no_other_way() {
    let (cases, _held) = broken().await;
    let (server, good) = (http(echo()).await, connect_proxy(None, None).await);
    let good_one = proxy(Http, good.served.address, None);
    let upstream = upstream(HERE);
    for (bad, words) in cases {
        let call = || Call { patience: Duration::from_secs(3), ..get(&server.http("/")) };
        let before = server.connections();
        let fault = upstream.send(call(), &strictly(vec![bad.clone()])).await.unwrap_err();
        assert_eq!((fault.kind, server.connections()), (FaultKind::Proxy, before), "{words}");
        assert!(fault.message.contains(words) && !fault.message.contains("hunter2"), "{words}: {fault}");
        assert!(fault.message.starts_with(&format!("the proxy {}:{}: ", bad.host, bad.port)), "{fault}");

        let next = upstream.send(call(), &strictly(vec![bad.clone(), good_one.clone()])).await.unwrap();
        assert_eq!(next.via, Some(1), "{words}");
        let lenient = Way { proxies: vec![bad], ..Way::default() };
        assert_eq!(upstream.send(call(), &lenient).await.unwrap().via, None, "{words}");
    }
}

#[tokio::test]
async fn every_proxy_that_failed_is_named() {
    let (one, two) = (dead(), dead());
    let way = strictly([&one, &two].map(|dead| proxy(Http, dead.address, None)).to_vec());
    let fault = upstream(HERE).send(get("http://127.0.0.1:1/"), &way).await.unwrap_err();
    let expected =
        [&one, &two].map(|dead| format!("the proxy {}: connection refused", dead.address)).join("; ");
    assert_eq!((fault.kind, fault.message), (FaultKind::Proxy, expected));
}

#[tokio::test]
async fn a_strict_call_without_a_proxy_fails() {
    let server = http(echo()).await;
    let fault = upstream(HERE).send(get(&server.http("/")), &strictly(Vec::new())).await.unwrap_err();
    assert_eq!((fault.kind, server.connections()), (FaultKind::Proxy, 0));
    assert_eq!(fault.message, "the pool has no proxy that is enabled");
    assert_eq!(direct(&upstream(HERE), &server.http("/")).await.unwrap().via, None);
}

#[tokio::test]
async fn hosts_without_a_proxy_are_called_directly() {
    let (server, ours) = (http(echo()).await, connect_proxy(None, None).await);
    let url = format!("http://api.example:{}/", server.address.port());
    for (entries, via) in [
        (vec!["api.example"], None),
        (vec!["other.example", "*.EXAMPLE"], None),
        (vec!["*"], None),
        (vec!["api.example:1", "127.0.0.0/8", ".api.example"], Some(0)),
    ] {
        let no_proxy = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let way = Way { no_proxy, ..strictly(vec![proxy(Http, ours.served.address, None)]) };
        let before = ours.asked().len();
        assert_eq!(upstream(HERE).send(get(&url), &way).await.unwrap().via, via, "{entries:?}");
        assert_eq!(ours.asked().len() - before, via.map_or(0, |_| 1), "{entries:?}");
    }
    let forbidden = Way { no_proxy: vec!["*".into()], ..Way::default() };
    let fault = upstream(HERE).send(get("http://10.0.0.1/"), &forbidden).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Forbidden, "without a proxy is not without the guard");
}

#[tokio::test]
async fn a_fault_behind_the_proxy_is_the_upstreams_and_is_not_tried_again() {
    let (ours, other) = (connect_proxy(None, None).await, connect_proxy(None, None).await);
    let ways = |ours: &ConnectProxy, other: &ConnectProxy| Way {
        proxies: [ours, other].map(|ours| proxy(Http, ours.served.address, None)).to_vec(),
        ..Way::default()
    };
    let way = ways(&ours, &other);
    let stranger = https(Router::new(), Authority::new().issue(&["api.example"])).await;
    let fault = upstream(HERE).send(get(&stranger.https("api.example", "/")), &way).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Tls);
    assert!(fault.message.ends_with(&format!(", through the proxy {}", ours.served.address)), "{fault}");
    let lying = saying("nonsense").await;
    let fault = upstream(HERE).send(get(&lying.http("/")), &way).await.unwrap_err();
    assert_eq!((fault.kind, lying.connections(), other.asked().len()), (FaultKind::Broken, 1, 0));
}

#[tokio::test]
async fn a_dead_target_is_told_by_each_kind_of_proxy() {
    let target = dead();
    let url = format!("http://{}/", target.address);
    let (tiny, micro) = (tinyproxy(None).await, microsocks(None).await);
    let upstream = Upstream::new(&settings()).unwrap();
    for (scheme, address) in [(Http, tiny.address), (Socks5, micro.address)] {
        let fault = upstream.send_through(get(&url), &proxy(scheme, address, None)).await.unwrap_err();
        let words = format!("the proxy {address}: it refuses to connect to {}", target.address);
        assert_eq!((fault.kind, fault.message), (FaultKind::Proxy, words));
    }
}

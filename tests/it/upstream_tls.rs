//! Certificates of upstreams: whose are trusted, and what is said of those that are not.

use crate::upstream::{direct, echo, get, kind, seen, upstream};
use service::upstream::{FaultKind, Upstream, UpstreamSettings, Way};
use tests::outbound::{Authority, authority, blurting, http, https, names, settings};

const HERE: &[(&str, &[&str])] = &[("api.example", &["127.0.0.1"]), ("api.example.", &["127.0.0.1"])];

#[tokio::test]
async fn a_certificate_is_for_the_name_not_the_address() {
    let server = https(echo(), authority().issue(&["api.example"])).await;
    let upstream = upstream(HERE);
    let answer = direct(&upstream, &server.https("api.example", "/v1")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &seen(&answer)["uri"]), (418, &"/v1".into()));
    let answer = direct(&upstream, &server.https("api.example.", "/v1")).await.unwrap();
    assert_eq!(answer.status.as_u16(), 418, "a dot at the end is no part of a certificate's name");
    assert_eq!(kind(&upstream, &server.https("127.0.0.1", "/")).await, FaultKind::Tls);

    let server = https(echo(), authority().issue(&["127.0.0.1"])).await;
    assert_eq!(direct(&upstream, &server.https("127.0.0.1", "/")).await.unwrap().status.as_u16(), 418);
    assert_eq!(kind(&upstream, &server.https("api.example", "/")).await, FaultKind::Tls);
}

#[tokio::test]
async fn bad_certificates_are_refused_in_words_unless_nobody_looks() {
    let stranger = Authority::new();
    let skip = Way { skip_verification: true, ..Way::default() };
    for (identity, words) in [
        (stranger.issue(&["api.example"]), "its certificate comes from an unknown issuer"),
        (authority().issue(&["other.example"]), "its certificate is for another host"),
        (authority().issue_expired(&["api.example"]), "its certificate has expired"),
    ] {
        let server = https(echo(), identity).await;
        let (upstream, url) = (upstream(HERE), server.https("api.example", "/"));
        let fault = direct(&upstream, &url).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Tls);
        assert_eq!(fault.message, format!("api.example:{}: {words}", server.address.port()));
        assert_eq!(upstream.send(get(&url), &skip).await.unwrap().status.as_u16(), 418, "{words}");
        assert_eq!(kind(&upstream, &url).await, FaultKind::Tls, "a call that looked away changes no other");
    }
}

#[tokio::test]
async fn an_authority_is_trusted_because_the_operator_names_it() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = https(echo(), second.issue(&["api.example"])).await;
    let url = server.https("api.example", "/");
    for (roots, trusted) in [
        (String::new(), false),
        (first.pem().to_owned(), false),
        (format!("# two of them\n{}\n{}", first.pem(), second.pem()), true),
    ] {
        let settings = UpstreamSettings { extra_roots: roots, ..settings() };
        let upstream = Upstream::with_resolver(&settings, names(HERE)).unwrap();
        match direct(&upstream, &url).await {
            Ok(_) => assert!(trusted),
            Err(fault) => assert!(!trusted && fault.kind == FaultKind::Tls, "{fault}"),
        }
    }
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_an_error_at_once() {
    let cut = &authority().pem()[..200];
    let nonsense = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for roots in ["hello", cut, nonsense] {
        let settings = UpstreamSettings { extra_roots: roots.to_owned(), ..settings() };
        assert!(Upstream::new(&settings).is_err(), "{roots}");
    }
}

#[tokio::test]
async fn what_speaks_no_tls_is_told() {
    let upstream = upstream(HERE);
    for server in [http(echo()).await, blurting(b"220 hunter2 ESMTP\r\n").await] {
        let fault = direct(&upstream, &server.https("api.example", "/")).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Tls, "{fault}");
        assert!(!fault.message.contains("hunter2"));
    }
}

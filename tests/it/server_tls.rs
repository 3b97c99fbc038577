//! TLS by the server itself: what it shows and offers, that it can be changed under way, and what it refuses. With the
//! real program.

use reqwest::{Certificate, Client, ClientBuilder};
use std::{path::Path, time::Duration, time::Instant};
use tests::{
    Backend,
    outbound::Authority,
    server::{Installation, Server},
};
use tokio::time::sleep;

const LONG: Duration = Duration::from_mins(1);

/// Writes a certificate for this machine and its key.
fn write(authority: &Authority, directory: &Path) {
    let (certificate, key) = authority.issue_pem(&["127.0.0.1", "localhost"]);
    std::fs::write(directory.join("tls.pem"), certificate).unwrap();
    std::fs::write(directory.join("tls.key"), key).unwrap();
}

async fn installation(authority: &Authority) -> Installation {
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    write(authority, installation.directory());
    let path = |name: &str| installation.directory().join(name).display().to_string();
    let (cert, key) = (path("tls.pem"), path("tls.key"));
    installation.set("TLS_CERT", &cert);
    installation.set("TLS_KEY", &key);
    installation
}

fn trusting(authority: &Authority) -> ClientBuilder {
    Client::builder().add_root_certificate(Certificate::from_pem(authority.pem().as_bytes()).unwrap())
}

async fn status(client: &Client, server: &Server) -> Option<u16> {
    Some(client.get(server.url("/health/live")).send().await.ok()?.status().as_u16())
}

/// Waits for a line of the log.
async fn logged(server: &Server, words: &str) {
    let started = Instant::now();
    while !server.log().contains(words) {
        assert!(started.elapsed() < LONG, "no {words:?} in\n{}", server.log());
        sleep(Duration::from_millis(20)).await;
    }
}

/// What is agreed on in a handshake that offers these protocols.
async fn agreed(authority: &Authority, server: &Server, offered: &[&[u8]]) -> Option<Vec<u8>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
}

#[tokio::test]
async fn the_server_serves_over_tls_and_offers_both_protocols() {
    let authority = Authority::new();
    let installation = installation(&authority).await;
    let server = installation.serve().await;
    assert!(server.url("").starts_with("https://"), "{}", server.url(""));
    assert_eq!(status(&trusting(&authority).build().unwrap(), &server).await, Some(200));
    assert_eq!(status(&trusting(&Authority::new()).build().unwrap(), &server).await, None);
    assert_eq!(agreed(&authority, &server, &[b"http/1.1", b"h2"]).await.as_deref(), Some(&b"h2"[..]));
    assert_eq!(agreed(&authority, &server, &[b"http/1.1"]).await.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed(&authority, &server, &[]).await, None);
    let health = installation.run(&["health", "--listen", &server.address()]).await;
    health.ok();
}

#[tokio::test]
async fn a_certificate_is_read_again_without_closing_connections() {
    let (first, second) = (Authority::new(), Authority::new());
    let installation = installation(&first).await;
    let server = installation.serve().await;
    // One connection, which stays.
    let before = trusting(&first).pool_max_idle_per_host(1).build().unwrap();
    assert_eq!(status(&before, &server).await, Some(200));
    write(&second, installation.directory());
    server.hang_up();
    logged(&server, "read again").await;
    assert_eq!(status(&trusting(&second).build().unwrap(), &server).await, Some(200));
    assert_eq!(status(&trusting(&first).build().unwrap(), &server).await, None, "new connections see it");
    assert_eq!(status(&before, &server).await, Some(200), "the connection from before goes on");

    let (_, other_key) = first.issue_pem(&["127.0.0.1"]);
    for (file, text, setting) in [("tls.key", other_key.as_str(), "tls-key"), ("tls.pem", "", "tls-cert")] {
        std::fs::write(installation.directory().join(file), text).unwrap();
        server.hang_up();
        logged(&server, &format!("setting=\"{setting}\"")).await;
        assert_eq!(status(&trusting(&second).build().unwrap(), &server).await, Some(200), "{setting}");
    }
    assert!(!server.log().contains("PRIVATE KEY"));
    installation.run(&["health", "--listen", &server.address()]).await.ok();
}

#[tokio::test]
async fn a_pair_that_cannot_be_served_with_is_refused_by_name() {
    let authority = Authority::new();
    let mut installation = installation(&authority).await;
    let directory = installation.directory().to_owned();
    let refused = async |installation: &Installation, words: &[&str]| {
        let errors = installation.run(&["serve"]).await.refused();
        for word in words {
            assert!(errors.contains(word), "{word} is missing in {errors}");
        }
    };
    std::fs::write(directory.join("tls.key"), authority.issue_pem(&["127.0.0.1"]).1).unwrap();
    refused(&installation, &["TOLLKEEPER_TLS_KEY: ", "not the key of the certificate"]).await;
    std::fs::write(directory.join("tls.key"), "nonsense").unwrap();
    refused(&installation, &["TOLLKEEPER_TLS_KEY: ", "no private key in PEM"]).await;
    std::fs::remove_file(directory.join("tls.pem")).unwrap();
    refused(&installation, &["TOLLKEEPER_TLS_CERT: ", "tls.pem"]).await;
    installation.set("TLS_CERT", "");
    refused(&installation, &["TOLLKEEPER_TLS_CERT: required together with tls-key"]).await;
}

//! How a server ends: first it says so and serves on, then it closes what is idle and finishes what runs. With the real
//! program.

use std::time::{Duration, Instant};
use tests::{
    Backend,
    server::{Installation, Server},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

const LONG: Duration = Duration::from_mins(1);
const A_REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: tollkeeper\r\n\r\n";

async fn server(delay: &str, grace: &str) -> (Installation, Server) {
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    installation.set("SHUTDOWN_DELAY_SECONDS", delay);
    installation.set("SHUTDOWN_GRACE_SECONDS", grace);
    installation.set("IDLE_TIMEOUT_SECONDS", "3600");
    installation.set("HEADER_TIMEOUT_SECONDS", "3600");
    installation.set("BODY_TIMEOUT_SECONDS", "3600");
    let server = installation.serve().await;
    (installation, server)
}

async fn connected(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// One answer whose length is given, as text.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let length = loop {
        let byte = timeout(LONG, stream.read_u8()).await.expect("no answer").expect("closed");
        text.push(char::from(byte));
        if let Some(head) = text.strip_suffix("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            break length.map_or(0, |length| length.parse().unwrap());
        }
    };
    let mut body = vec![0; length];
    timeout(LONG, stream.read_exact(&mut body)).await.expect("no body").expect("closed");
    text + &String::from_utf8(body).unwrap()
}

async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the connection stays open");
    bytes
}

/// Waits until the server says that it drains.
async fn draining(server: &Server) {
    let started = Instant::now();
    loop {
        let (status, body) = server.get("/health/ready", None).await;
        if status == 503 {
            assert_eq!(body["code"], "draining", "{body}");
            return;
        }
        assert!(started.elapsed() < LONG, "{body}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_draining_server_serves_and_asks_clients_to_leave() {
    let (_installation, mut server) = server("3600", "1").await;
    let mut kept = connected(&server, A_REQUEST).await;
    assert!(!answer(&mut kept).await.contains("connection: close"));
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (io, executor) = (hyper_util::rt::TokioIo::new(stream), hyper_util::rt::TokioExecutor::new());
    let (mut http2, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(server.url("/health/live")).body(String::new()).unwrap();
    assert_eq!(http2.send_request(request).await.unwrap().status(), 200);

    server.terminate();
    draining(&server).await;
    assert!(!server.sign_in().await.is_empty(), "everything is served");
    kept.write_all(A_REQUEST).await.unwrap();
    let told = answer(&mut kept).await;
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("connection: close"), "{told}");
    assert!(until_closed(&mut kept).await.is_empty());
    drop(timeout(LONG, connection).await.expect("HTTP/2 goes on"));

    // A second signal ends it, whatever time is left.
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn idle_and_unfinished_connections_do_not_delay_the_end() {
    // Twice as long as anybody waits here.
    let (_installation, mut server) = server("0", "120").await;
    let mut idle = connected(&server, A_REQUEST).await;
    answer(&mut idle).await;
    let mut half = connected(&server, b"GET /health/live HTTP/1.1\r\nhost: ").await;
    let mut second_half = connected(&server, A_REQUEST).await;
    answer(&mut second_half).await;
    second_half.write_all(b"GET /health").await.unwrap();
    let mut silent = connected(&server, b"").await;
    server.terminate();
    for stream in [&mut idle, &mut half, &mut second_half, &mut silent] {
        assert!(until_closed(stream).await.is_empty());
    }
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn a_running_request_is_finished_and_no_other_is_accepted() {
    let (_installation, mut server) = server("0", "50").await;
    let body = r#"{"email": "owner@example.com", "password": "a passphrase of the owner"}"#;
    let (first, rest) = body.split_at(10);
    let head = format!(
        "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut running = connected(&server, format!("{head}{first}").as_bytes()).await;
    // Answered after it, and so read after it.
    server.get("/health/live", None).await;
    server.terminate();
    let started = Instant::now();
    while TcpStream::connect(server.address()).await.is_ok() {
        assert!(started.elapsed() < LONG, "connections are accepted");
        sleep(Duration::from_millis(10)).await;
    }
    running.write_all(rest.as_bytes()).await.unwrap();
    let told = answer(&mut running).await;
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("connection: close"), "{told}");
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn a_request_that_takes_longer_than_the_grace_is_cut_off() {
    let (_installation, mut server) = server("0", "1").await;
    let head = "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    let mut running = connected(&server, head.as_bytes()).await;
    server.get("/health/live", None).await;
    server.terminate();
    assert!(until_closed(&mut running).await.is_empty());
    assert!(server.ended().await.success(), "{}", server.log());
    assert!(server.log().contains("longer than the grace"), "{}", server.log());
}

#[tokio::test]
async fn a_hang_up_ends_no_server() {
    let (_installation, mut server) = server("0", "1").await;
    server.hang_up();
    let started = Instant::now();
    while !server.log().contains("SIGHUP does nothing") {
        assert!(started.elapsed() < LONG, "{}", server.log());
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.get("/health/ready", None).await.0, 200);
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
}

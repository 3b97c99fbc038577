//! Clients that open connections and send little or nothing: they are bounded in number and in time, and whoever asks how
//! the server is gets an answer all the same. With the real program.

use std::time::{Duration, Instant};
use tests::{
    Backend,
    server::{Installation, Server},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const HALF_A_HEAD: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: tollkeeper\r\nx-slow: ";
const A_REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: tollkeeper\r\n\r\n";
/// The head of a sign-in whose body does not come.
const A_HEAD: &[u8] =
    b"POST /v1/auth/login HTTP/1.1\r\nhost: tollkeeper\r\ncontent-type: application/json\r\n\
                        content-length: 1000\r\n\r\n{\"email\":";
/// Far beyond the timeouts of these tests, far below those of the server unless it is told otherwise.
const LONG: Duration = Duration::from_mins(1);

async fn server(settings: &[(&str, &str)]) -> (Installation, Server) {
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    for (name, value) in settings {
        installation.set(name, value);
    }
    let server = installation.serve().await;
    (installation, server)
}

async fn connected(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// What arrives until the server closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the connection stays open");
    String::from_utf8(bytes).unwrap()
}

/// The head of one answer.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        let byte = timeout(LONG, stream.read_u8()).await.expect("no answer").expect("closed");
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap()
}

async fn asked(server: &Server, request: &[u8]) -> String {
    let mut stream = connected(server, request).await;
    head(&mut stream).await
}

/// Lets this process open as many files as it may.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(maximum.map_or(8192, |most| most.min(8192)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// How many descriptors a process has open, where the system tells.
fn descriptors(server: &Server) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{}/fd", server.id())).ok()?.count())
}

#[tokio::test]
async fn half_sent_heads_are_bounded_and_health_answers() {
    raise_limit();
    let (_installation, server) =
        server(&[("MAX_CONNECTIONS", "300"), ("HEADER_TIMEOUT_SECONDS", "3600")]).await;
    let before = descriptors(&server);
    let mut heads = Vec::new();
    for n in 0..2000 {
        heads.push(connected(&server, HALF_A_HEAD).await);
        if n % 200 == 199 {
            for path in ["live", "ready"] {
                let request = format!("GET /health/{path} HTTP/1.1\r\nhost: tollkeeper\r\n\r\n");
                assert!(asked(&server, request.as_bytes()).await.starts_with("HTTP/1.1 200"), "after {n}");
            }
            if let Some((before, now)) = before.zip(descriptors(&server)) {
                assert!(now < before + 300 + 64, "{now} descriptors, {before} of them before");
            }
        }
    }
    assert!(until_closed(&mut heads[0]).await.is_empty());
    assert_eq!(server.get("/v1/auth/me", None).await.0, 401, "others are served, too");
}

#[tokio::test]
async fn health_answers_while_every_connection_is_busy() {
    let (_installation, server) = server(&[("MAX_CONNECTIONS", "4"), ("BODY_TIMEOUT_SECONDS", "3600")]).await;
    let mut busy = Vec::new();
    for _ in 0..4 {
        busy.push(connected(&server, A_HEAD).await);
    }
    // Until the heads have been read, the connections can be closed for new ones: that is when this says so.
    let started = Instant::now();
    let refused = loop {
        let answer = asked(&server, b"GET /v1/auth/me HTTP/1.1\r\nhost: tollkeeper\r\n\r\n").await;
        if answer.starts_with("HTTP/1.1 503") {
            break answer;
        }
        assert!(started.elapsed() < LONG, "{answer}");
        // One that was closed for this is replaced.
        busy.push(connected(&server, A_HEAD).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(refused.contains("connection: close") && refused.contains("retry-after"), "{refused}");
    for path in ["live", "ready"] {
        let request = format!("GET /health/{path} HTTP/1.1\r\nhost: tollkeeper\r\n\r\n");
        assert!(asked(&server, request.as_bytes()).await.starts_with("HTTP/1.1 200"), "{path}");
    }
    drop(busy);
    let started = Instant::now();
    while server.get("/v1/auth/me", None).await.0 != 401 {
        assert!(started.elapsed() < LONG, "the places are not given back");
    }
}

#[tokio::test]
async fn an_unfinished_head_ends_after_its_timeout() {
    let (_installation, server) = server(&[("HEADER_TIMEOUT_SECONDS", "1")]).await;
    for bytes in [&b""[..], b"GET", b"PRI * HTTP/2.0\r\n", HALF_A_HEAD] {
        assert_eq!(until_closed(&mut connected(&server, bytes).await).await, "");
    }
    // The second head of a connection, too.
    let mut stream = connected(&server, A_REQUEST).await;
    head(&mut stream).await;
    stream.write_all(HALF_A_HEAD).await.unwrap();
    until_closed(&mut stream).await;
}

#[tokio::test]
async fn an_idle_connection_ends_after_its_timeout() {
    let (_installation, server) = server(&[("IDLE_TIMEOUT_SECONDS", "1")]).await;
    let mut stream = connected(&server, A_REQUEST).await;
    assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_drips_is_refused() {
    let (_installation, server) = server(&[("BODY_TIMEOUT_SECONDS", "1")]).await;
    let (mut reader, mut writer) = connected(&server, A_HEAD).await.into_split();
    let dripping = tokio::spawn(async move {
        // Ends with the connection.
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(LONG, reader.read_to_end(&mut answer)).await.expect("the connection stays open");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("too slowly"), "{answer}");
    dripping.abort();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (_installation, server) = server(&[("MAX_HEADER_BYTES", "8192")]).await;
    let long = format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(9000));
    let many: String = (0..101).map(|n| format!("x-{n}: y\r\n")).collect();
    let many = format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    for request in [long, many] {
        assert!(asked(&server, request.as_bytes()).await.starts_with("HTTP/1.1 431"));
    }
}

#[tokio::test]
async fn a_caller_without_a_session_sends_little() {
    let (_installation, server) = server(&[]).await;
    for path in ["/v1/auth/login", "/v1/auth/refresh", "/v1/setup"] {
        let body = serde_json::json!({"email": "x".repeat(api::SIGN_IN_LIMIT)});
        let (status, problem) = server.post(path, None, &body).await;
        assert_eq!((status, &problem["code"]), (413, &"payload_too_large".into()), "{path}");
    }
}

#[tokio::test]
async fn http2_is_served_by_prior_knowledge() {
    let (_installation, server) = server(&[("MAX_CONCURRENT_STREAMS", "7")]).await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str, fields: usize| {
        let mut request = hyper::Request::get(server.url(path));
        for n in 0..fields {
            request = request.header(format!("x-{n}"), "y");
        }
        request.body(String::new()).unwrap()
    };
    let reply = sender.send_request(request("/health/live", 0)).await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.version()), (200, hyper::Version::HTTP_2));
    let reply = sender.send_request(request("/v1/auth/me", 0)).await.unwrap();
    assert_eq!(reply.status(), 401);
    let reply = sender.send_request(request("/health/live", 101)).await.unwrap();
    assert_eq!(reply.status(), 431);
    drop(sender);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn http2_clients_are_told_how_many_streams_they_may_open() {
    let (_installation, server) = server(&[("MAX_CONCURRENT_STREAMS", "7")]).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The preface, and SETTINGS without any.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "SETTINGS come first");
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();
    let most = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).map(|setting| setting[2..].to_vec());
    assert_eq!(most, Some(vec![0, 0, 0, 7]));
}

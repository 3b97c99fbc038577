//! One request and its answer over a connection. Nothing outlives the call, and nothing of the answer is unbounded.

use super::{Call, Fault, FaultKind, dial::Stream};
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{self, HeaderName},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, future::pending};
use url::Position;

/// Bytes of the answer's head.
const HEAD: usize = 64 * 1024;
/// Headers of the answer.
const HEADERS: usize = 128;

/// Headers that are the connection's, not the call's: one of them that a tenant sets could make two requests of one.
const OURS: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::ACCEPT_ENCODING,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
];

/// Status, headers and body.
pub type Parts = (StatusCode, HeaderMap, Vec<u8>);

/// Sends the call, and takes the answer.
pub(super) async fn exchange(stream: Stream, call: Call, name: &str) -> Result<Parts, Fault> {
    let most = call.most;
    let request = request(call).ok_or_else(|| broken(name, "this URL cannot be asked for"))?;
    let (mut sender, connection) =
        client().handshake(TokioIo::new(stream)).await.map_err(|error| fault(&error, name))?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(|error| fault(&error, name))?;
        let (head, body) = answer.into_parts();
        Ok((head.status, head.headers, read(body, most, name).await?))
    };
    beside(connection, asked).await
}

/// A client of which no answer's head is larger than it may be.
pub(super) fn client() -> http1::Builder {
    let mut client = http1::Builder::new();
    client.max_buf_size(HEAD).max_headers(HEADERS);
    client
}

/// Drives a connection while something is done on it, and no longer.
pub(super) async fn beside<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let driven = async {
        // Its faults are told to who works on it.
        connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        done = work => done,
        never = driven => match never {},
    }
}

fn request(call: Call) -> Option<Request<Full<Bytes>>> {
    let Call { method, url, mut headers, body, .. } = call;
    for name in &OURS {
        headers.remove(name);
    }
    let host = &url[Position::BeforeHost..Position::AfterPort];
    headers.insert(header::HOST, HeaderValue::from_str(host).ok()?);
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("tollkeeper/", env!("CARGO_PKG_VERSION"))));
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = method;
    *request.uri_mut() = url[Position::BeforePath..Position::AfterQuery].parse().ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

async fn read(mut body: Incoming, most: usize, name: &str) -> Result<Vec<u8>, Fault> {
    let too_large =
        || Fault::new(FaultKind::TooLarge, format!("{name}: its answer is larger than {most} bytes"));
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| fault(&error, name))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > most - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn fault(error: &hyper::Error, name: &str) -> Fault {
    if error.is_parse_too_large() {
        return Fault::new(FaultKind::TooLarge, format!("{name}: the headers of its answer are too large"));
    }
    broken(
        name,
        if error.is_parse() { "it does not answer in HTTP" } else { "it broke off before it had answered" },
    )
}

fn broken(name: &str, why: &str) -> Fault {
    Fault::new(FaultKind::Broken, format!("{name}: {why}"))
}

//! HTTP/1 byte by byte: clients of libraries correct a path before they send it, and attackers do not.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The longest that an answer may take.
const LONGEST: Duration = Duration::from_mins(1);

/// What came back; status 0 if the connection was closed without an answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let pair = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        };
        let answer = Self { status, headers: lines.filter_map(pair).collect(), body: String::new() };
        let body = bytes.get(end + 4..).unwrap_or_default();
        let body =
            if answer.header("transfer-encoding") == "chunked" { dechunked(body) } else { body.to_vec() };
        Self { body: String::from_utf8_lossy(&body).into_owned(), ..answer }
    }
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(end + 2..end + 2 + size).filter(|chunk| !chunk.is_empty()) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

/// Sends a request (its head in Latin-1, without the empty line at its end) and reads until the connection closes.
/// Nothing comes back where nobody listens.
pub async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let Ok(mut stream) = TcpStream::connect(address).await else { return Answer::default() };
    let head: Vec<u8> = head.chars().map(|char| u8::try_from(char).unwrap()).collect();
    let sent = [&head, &b"\r\n\r\n"[..], body].concat();
    let mut received = Vec::new();
    let (mut reader, mut writer) = stream.split();
    // A proxy that refuses early need not read the body, nor say goodbye.
    let both = async { tokio::join!(writer.write_all(&sent), reader.read_to_end(&mut received)) };
    let _ = timeout(LONGEST, both).await;
    Answer::read(&received)
}

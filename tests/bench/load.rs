//! A small HTTP/1.1 load generator over loopback: closed loop, one request in flight a connection, no parsing beyond
//! status and length, so that it measures the server and not itself.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What a run measured.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Requests a second.
    pub rate: f64,
    /// Median latency.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

/// Makes the n-th request of a connection.
pub type Make = Arc<dyn Fn(usize, u64) -> Vec<u8> + Send + Sync>;

/// A request in bytes.
pub fn request(method: &str, path: &str, bearer: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {bearer}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Runs `connections` closed loops for `time`, after a tenth of it as warm-up.
pub async fn run(address: SocketAddr, connections: usize, time: Duration, make: Make) -> Report {
    let begin = Instant::now() + time / 10;
    let end = begin + time;
    let loops = (0..connections).map(|n| tokio::spawn(one(address, n, (begin, end), make.clone())));
    let mut latencies = Vec::new();
    for task in loops.collect::<Vec<_>>() {
        latencies.extend(task.await.expect("a connection's loop"));
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    Report { rate: count(latencies.len()) / time.as_secs_f64(), p50: at(50), p99: at(99) }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("fewer than 2^32 requests"))
}

async fn one(address: SocketAddr, n: usize, (begin, end): (Instant, Instant), make: Make) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("nodelay");
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut latencies = Vec::new();
    for count in 0.. {
        let started = Instant::now();
        if started >= end {
            break;
        }
        stream.write_all(&make(n, count)).await.expect("send");
        let status = reply(&mut stream, &mut buffer).await;
        assert!((200..300).contains(&status), "status {status}: {}", String::from_utf8_lossy(&buffer));
        if started >= begin {
            latencies.push(started.elapsed());
        }
    }
    latencies
}

/// Reads one reply; `buffer` holds it afterwards.
async fn reply(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> u16 {
    buffer.clear();
    loop {
        let read = stream.read_buf(buffer).await.expect("read");
        assert!(read > 0, "the server closed the connection");
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).expect("headers");
        let status = text[9..12].parse().expect("status");
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().expect("length"))
        });
        let total = head + 4 + length.unwrap_or(0);
        while buffer.len() < total {
            assert!(stream.read_buf(buffer).await.expect("read") > 0, "the server closed the connection");
        }
        return status;
    }
}

/// One line of a table.
pub fn line(name: &str, connections: usize, report: Report) {
    println!(
        "{name:<44} {connections:>4} conn {:>9.0} req/s   p50 {:>8.3} ms   p99 {:>8.3} ms",
        report.rate,
        report.p50.as_secs_f64() * 1e3,
        report.p99.as_secs_f64() * 1e3
    );
}

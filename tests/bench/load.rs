//! A small HTTP/1.1 load generator over loopback: one request in flight a connection, at once or with a pause before the
//! next, no parsing beyond status and length, so that it measures the server and not itself.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
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
    /// Median latencies of the first and the second request of a pair.
    pub parts: [Duration; 2],
}

/// Makes the n-th request of a connection.
pub type Make = Arc<dyn Fn(usize, u64) -> Vec<u8> + Send + Sync>;

/// Makes the second request of a pair from the reply to the n-th first one of a connection.
pub type Follow = Arc<dyn Fn(usize, u64, &str) -> Vec<u8> + Send + Sync>;

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
    closed_loops(address, connections, time, (make, None)).await
}

/// The same with pairs of requests, the second made from the reply to the first: a pair counts as one.
pub async fn pairs(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    (first, second): (Make, Follow),
) -> Report {
    closed_loops(address, connections, time, (first, Some(second))).await
}

/// Runs `connections` clients that ask, wait for `pause`, and ask again. Each has a thread of its own: what it sees is what
/// the server makes it wait for, not what else the runtime of both has to do.
pub async fn paced(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    pause: Duration,
    make: Make,
) -> Report {
    let begin = Instant::now() + time / 10;
    let client = |n| {
        let client =
            one(address, n, (begin, begin + time), Script { first: make.clone(), follow: None, pause });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::spawn_blocking(move || runtime.block_on(client))
    };
    report(time, (0..connections).map(client).collect()).await
}

async fn closed_loops(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    (first, follow): (Make, Option<Follow>),
) -> Report {
    let begin = Instant::now() + time / 10;
    let script = Script { first, follow, pause: Duration::ZERO };
    let client = |n| tokio::spawn(one(address, n, (begin, begin + time), script.clone()));
    report(time, (0..connections).map(client).collect()).await
}

/// What a connection asks, again and again.
#[derive(Clone)]
struct Script {
    first: Make,
    follow: Option<Follow>,
    pause: Duration,
}

async fn report(time: Duration, loops: Vec<JoinHandle<Vec<[Duration; 2]>>>) -> Report {
    let (mut both, mut parts) = (Vec::new(), [Vec::new(), Vec::new()]);
    for task in loops {
        for [first, second] in task.await.expect("a connection's loop") {
            both.push(first + second);
            parts[0].push(first);
            parts[1].push(second);
        }
    }
    let rate = count(both.len()) / time.as_secs_f64();
    let p99 = percentile(&mut both, 99);
    Report {
        rate,
        p50: percentile(&mut both, 50),
        p99,
        parts: parts.map(|mut part| percentile(&mut part, 50)),
    }
}

fn percentile(latencies: &mut [Duration], percent: usize) -> Duration {
    latencies.sort_unstable();
    latencies[(latencies.len() - 1) * percent / 100]
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("fewer than 2^32 requests"))
}

async fn one(
    address: SocketAddr,
    n: usize,
    (begin, end): (Instant, Instant),
    script: Script,
) -> Vec<[Duration; 2]> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("nodelay");
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut latencies = Vec::new();
    for count in 0.. {
        let started = Instant::now();
        if started >= end {
            break;
        }
        ask(&mut stream, &(script.first)(n, count), &mut buffer).await;
        let first = started.elapsed();
        if let Some(follow) = &script.follow {
            let request = follow(n, count, std::str::from_utf8(&buffer).expect("text"));
            ask(&mut stream, &request, &mut buffer).await;
        }
        if started >= begin {
            latencies.push([first, (started + first).elapsed()]);
        }
        if !script.pause.is_zero() {
            tokio::time::sleep(script.pause).await;
        }
    }
    latencies
}

/// Sends a request that must succeed.
async fn ask(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) {
    stream.write_all(request).await.expect("send");
    let status = reply(stream, buffer).await;
    assert!((200..300).contains(&status), "status {status}: {}", String::from_utf8_lossy(buffer));
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

//! A proxy of our own that knows `CONNECT` alone: it keeps what it was asked, and can be spoken to over TLS.

use super::{
    Identity, Served,
    listen::{Connection, head, raw, say},
};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

/// A running proxy.
#[derive(Debug)]
pub struct ConnectProxy {
    /// Its server.
    pub served: Served,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// The heads of the requests that it was sent.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Connects to whatever it is asked for; `login` is the `base64` of the only login it takes.
pub async fn connect_proxy(tls: Option<Identity>, login: Option<&'static str>) -> ConnectProxy {
    proxy(tls, move |request, mut connection| async move {
        let given = request.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then(|| value.trim_start_matches("Basic ").to_owned())
        });
        if login.is_some_and(|login| given.as_deref() != Some(login)) {
            return say(
                connection,
                b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
            )
            .await;
        }
        let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let Ok(mut upstream) = TcpStream::connect(target).await else {
            return say(connection, b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
        };
        if connection.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
            let _ = copy_bidirectional(&mut connection, &mut upstream).await;
        }
    })
    .await
}

/// Answers every request with these words.
pub async fn refusing_proxy(answer: impl Into<String>) -> ConnectProxy {
    let answer: Arc<str> = answer.into().into();
    proxy(None, move |_, connection| {
        let answer = answer.clone();
        async move { say(connection, answer.as_bytes()).await }
    })
    .await
}

async fn proxy<H, T>(tls: Option<Identity>, answer: H) -> ConnectProxy
where
    H: Fn(String, Connection) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = asked.clone();
    let served = raw(tls, move |mut connection| {
        let (answer, kept) = (answer.clone(), kept.clone());
        async move {
            let request = head(&mut connection).await;
            kept.lock().unwrap().push(request.clone());
            answer(request, connection).await;
        }
    })
    .await;
    ConnectProxy { served, asked }
}

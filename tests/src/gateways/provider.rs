//! What is behind the proxies: it remembers exactly what reached it.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// A call that came through.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    /// Its headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Seen {
    /// All values of a header, put together.
    pub fn header(&self, name: &str) -> String {
        let named = self.headers.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Debug, Default)]
struct Inner {
    seen: Mutex<Vec<Seen>>,
    more: Notify,
}

/// A provider that answers everything with 200. To a path that ends in `stream` it sends half, and the rest on demand.
#[derive(Debug)]
pub struct Provider {
    /// Where it listens.
    pub address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, inner) = (listener.local_addr().unwrap(), Arc::new(Inner::default()));
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, inner, task }
    }

    /// What came through since the last look.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inner.seen.lock().unwrap())
    }

    /// The only call that came through since the last look.
    #[track_caller]
    pub fn only(&self) -> Seen {
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Sends the other half of a stream.
    pub fn send_more(&self) {
        self.inner.more.notify_one();
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let seen = Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: headers.collect(),
        body: to_bytes(body, usize::MAX).await.unwrap_or_default(),
    };
    let streams = parts.uri.path().ends_with("stream");
    inner.seen.lock().unwrap().push(seen);
    if !streams {
        return "through".into_response();
    }
    let halves = stream::unfold(0, move |half| {
        let inner = inner.clone();
        async move {
            if half == 1 {
                inner.more.notified().await;
            }
            (half < 2).then(|| (Ok::<_, std::convert::Infallible>(format!("data: {half}\n\n")), half + 1))
        }
    });
    ([("content-type", "text/event-stream")], Body::from_stream(halves)).into_response()
}

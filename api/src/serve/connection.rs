//! One connection: HTTP/1.1, or HTTP/2 if the client begins with it, from its first byte to its end. It ends when the
//! client closes it, when it is quiet for too long, when its place is needed, or with the server.

use super::{
    activity::{Activity, Answer, Timeouts},
    connections::{Connections, Place},
    shutdown::Phase,
    stream::Watched,
};
use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{convert::Infallible, future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::sleep,
};
use tower::ServiceExt;

/// Headers of a request.
const HEADERS: usize = 100;
/// How often a client over HTTP/2 is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const PONG: Duration = Duration::from_secs(20);
/// What HTTP/1.1 reads at a time is at least this; the library takes nothing less.
const LEAST_BUFFER: usize = 8192;

/// How much a connection may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it may be quiet.
    pub timeouts: Timeouts,
    /// Bytes of the head of a request.
    pub head_bytes: u32,
    /// Requests at a time over one connection of HTTP/2.
    pub streams: u32,
}

/// What connections have in common.
#[derive(Debug)]
pub struct Site {
    router: Router,
    /// What connections beyond the limit are served.
    overflow: Router,
    http: auto::Builder<TokioExecutor>,
    pub limits: Limits,
    pub connections: Arc<Connections>,
    pub phase: watch::Receiver<Phase>,
}

impl Site {
    pub fn new(
        router: Router,
        overflow: Router,
        limits: Limits,
        connections: Arc<Connections>,
        phase: watch::Receiver<Phase>,
    ) -> Arc<Self> {
        let mut http = auto::Builder::new(TokioExecutor::new());
        let buffer = usize::try_from(limits.head_bytes).unwrap_or(usize::MAX).max(LEAST_BUFFER);
        // How long a head may take is watched from outside: the library's own timeout begins after the first bytes.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(HEADERS)
            .max_buf_size(buffer);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.head_bytes);
        Arc::new(Self { router, overflow, http, limits, connections, phase })
    }
}

/// Serves it.
pub async fn serve<I>(stream: I, peer: SocketAddr, place: Place, site: Arc<Site>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = &place.activity;
    let service = service_fn(|request| answer(site.clone(), activity.clone(), peer, request));
    let io = TokioIo::new(Watched::new(stream, activity.clone()));
    let mut connection = pin!(site.http.serve_connection(io, service));
    let (mut timer, mut phases) = (pin!(sleep(site.limits.timeouts.head)), site.phase.clone());
    let mut goodbye = false;
    loop {
        let phase = *phases.borrow_and_update();
        if phase == Phase::Cut {
            return;
        }
        // A client of HTTP/1.1 hears it with its next answer: closing at once could meet a request under way.
        let leaves = |http2| phase.stop().is_some() || (http2 && phase.leaves());
        if !goodbye && activity.protocol().is_some_and(leaves) {
            connection.as_mut().graceful_shutdown();
            goodbye = true;
        }
        let ended = poll_fn(|cx| {
            if connection.as_mut().poll(cx).is_ready() {
                return std::task::Poll::Ready(());
            }
            let Some(deadline) = activity.deadline(&site.limits.timeouts, phase.stop()) else {
                return std::task::Poll::Pending;
            };
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            timer.as_mut().poll(cx)
        });
        tokio::select! {
            () = ended => return,
            () = activity.evicted() => return,
            () = activity.finished() => {}
            changed = phases.changed() => if changed.is_err() { return },
        }
    }
}

async fn answer(
    site: Arc<Site>,
    activity: Arc<Activity>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Answer<Body>>, Infallible> {
    let http2 = request.version() == Version::HTTP_2;
    let running = activity.begin(http2);
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let mut response = if fits(request.headers()) {
        let router = if activity.spare { &site.overflow } else { &site.router };
        router.clone().oneshot(request).await?
    } else {
        let mut refusal = Response::new(Body::empty());
        *refusal.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        refusal
    };
    if !http2 && (activity.spare || site.phase.borrow().leaves()) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answer::new(body, running)))
}

/// Over HTTP/1.1 the library counts; over HTTP/2 it only adds up their lengths.
fn fits(headers: &HeaderMap) -> bool {
    headers.len() <= HEADERS
}

//! [`Listener`]: accepts connections until the server stops, and leaves none of them behind. What goes wrong while
//! accepting is waited for, never spun on.

use super::{
    certificate::Certificate,
    connection::{self, Site},
    connections::Place,
    shutdown::Phase,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::task::TaskTracker;

/// The first pause after a connection could not be accepted; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Connections that may wait to be accepted: as many are taken in at the end, for there may be no end of new ones.
const BACKLOG: usize = 1024;
/// How often it is said.
const SILENCE: Duration = Duration::from_secs(10);

/// Accepts the connections of one address.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Certificate>,
    site: Arc<Site>,
    tasks: TaskTracker,
}

impl Listener {
    pub fn new(listener: TcpListener, tls: Option<Certificate>, site: Arc<Site>) -> Self {
        Self { socket: listener, tls, site, tasks: TaskTracker::new() }
    }

    /// Accepts until the server stops; ends when the last connection has.
    pub async fn run(self) {
        let Self { socket: listener, tls, site, tasks } = self;
        let (mut phases, mut pause, mut told) = (site.phase.clone(), PAUSE, None);
        let open = |stream, peer| open(&tasks, &site, tls.as_ref(), stream, peer);
        loop {
            tokio::select! {
                biased;
                () = reached(&mut phases, |phase| phase.stop().is_some() || phase == Phase::Cut) => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        pause = PAUSE;
                        open(stream, peer);
                        site.connections.settled().await;
                    }
                    Err(error) if is_of_connection(&error) => {}
                    Err(error) => {
                        if told.is_none_or(|told: Instant| told.elapsed() >= SILENCE) {
                            told = Some(Instant::now());
                            tracing::warn!(%error, "connections cannot be accepted; idle ones are closed");
                        }
                        site.connections.shed();
                        sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                },
            }
        }
        // Closing the socket would reset those that wait to be accepted, and their requests with them.
        if let Ok(listener) = listener.into_std() {
            for (stream, peer) in std::iter::from_fn(|| listener.accept().ok()).take(BACKLOG) {
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    open(stream, peer);
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// Waits for a phase.
async fn reached(phases: &mut watch::Receiver<Phase>, is_it: impl Fn(Phase) -> bool) {
    // What is waited for holds a lock: it is dropped here.
    let _ = phases.wait_for(|phase| is_it(*phase)).await;
}

/// Whether a connection failed, and not the listener.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn open(
    tasks: &TaskTracker,
    site: &Arc<Site>,
    tls: Option<&Certificate>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let Some(place) = site.connections.enter() else {
        tracing::debug!(%peer, "a connection was closed: too many are busy");
        return;
    };
    // Small replies must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let site = site.clone();
    let Some(tls) = tls else {
        tasks.spawn(connection::serve(stream, peer, place, site));
        return;
    };
    let acceptor = TlsAcceptor::from(tls.borrow().clone());
    tasks.spawn(async move {
        if let Some(stream) = handshake(acceptor, stream, &place, &site).await {
            connection::serve(stream, peer, place, site).await;
        }
    });
}

/// The handshake has as long as the first head, and both together have no longer.
async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    place: &Place,
    site: &Site,
) -> Option<TlsStream<TcpStream>> {
    let deadline = place.activity.first_head(&site.limits.timeouts);
    let mut phases = site.phase.clone();
    tokio::select! {
        outcome = timeout_at(deadline, acceptor.accept(stream)) => match outcome {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => None,
        },
        () = place.activity.evicted() => None,
        () = reached(&mut phases, |phase| phase == Phase::Cut) => None,
    }
}

//! How a server ends, in [`Phase`]s. At SIGTERM it says that it is not ready and goes on serving, so that load balancers
//! find out before anything fails; then it accepts nothing more and finishes what runs. A second signal ends it at once.

use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// Where a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It serves, is not ready, and asks clients to connect elsewhere.
    Draining,
    /// It accepts nothing since then.
    Stopping(Instant),
    /// Whatever still runs is cut off.
    Cut,
}

impl Phase {
    /// Whether connections end with the request that they serve.
    pub fn leaves(self) -> bool {
        self != Self::Serving
    }

    /// When it stopped to accept, if it has.
    pub fn stop(self) -> Option<Instant> {
        match self {
            Self::Stopping(at) => Some(at),
            _ => None,
        }
    }
}

/// A signal to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: the operator or the orchestrator ends the server.
    Terminate,
    /// SIGINT: somebody sits before it and waits.
    Interrupt,
}

/// The signals to end, and to read certificates again.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}

/// The signals to end.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}

/// How long each phase may last.
#[derive(Debug, Clone, Copy)]
pub struct Grace {
    /// How long requests are served while the server is not ready.
    pub delay: Duration,
    /// How long running requests may finish.
    pub grace: Duration,
}

/// Waits for the signal, calls `drain`, and lets the listeners (`served`) end; a second signal cuts all that short.
pub async fn wait(
    signals: &mut Signals,
    phases: &watch::Sender<Phase>,
    grace: Grace,
    drain: impl FnOnce(),
    served: impl Future<Output = ()>,
) {
    let first = signals.next().await;
    drain();
    phases.send_replace(Phase::Draining);
    let ended = async {
        if first == Signal::Terminate && !grace.delay.is_zero() {
            let seconds = grace.delay.as_secs();
            tracing::info!(seconds, "draining: not ready any more; requests are served until balancers know");
            tokio::time::sleep(grace.delay).await;
        }
        tracing::info!("stopping: running requests finish");
        phases.send_replace(Phase::Stopping(Instant::now()));
        if tokio::time::timeout(grace.grace, served).await.is_err() {
            tracing::warn!("requests that took longer than the grace are cut off");
        }
    };
    tokio::select! {
        () = ended => {}
        _ = signals.next() => tracing::warn!("a second signal: running requests are cut off"),
    }
    phases.send_replace(Phase::Cut);
}

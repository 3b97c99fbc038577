//! The certificate in use. SIGHUP reads it again: connections go on with the one that they began with, and a pair that
//! cannot be used changes nothing.

use crate::tls::{self, TlsFiles};
use rustls::ServerConfig;
use std::sync::Arc;
use tokio::sync::watch;

/// What new connections are shown.
pub type Certificate = watch::Receiver<Arc<ServerConfig>>;

/// Reads the files, and again whenever SIGHUP arrives.
pub fn watch(files: &TlsFiles) -> anyhow::Result<Certificate> {
    let config = tls::load(files)?;
    warn_if_exposed(files);
    let (sender, receiver) = watch::channel(config);
    #[cfg(unix)]
    reload_at_hangup(files.clone(), sender)?;
    Ok(receiver)
}

#[cfg(unix)]
fn reload_at_hangup(files: TlsFiles, sender: watch::Sender<Arc<ServerConfig>>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup())?;
    // It ends with the last listener that could use what it reads.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangups.recv() => reload(&files, &sender),
                () = sender.closed() => return,
            }
        }
    });
    Ok(())
}

/// Without TLS there is nothing to read again, and SIGHUP, which would end the process, says so.
pub fn absent() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangups = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                tracing::warn!("SIGHUP does nothing: no certificate is set (TOLLKEEPER_TLS_CERT)");
            }
        });
    }
    Ok(())
}

fn reload(files: &TlsFiles, sender: &watch::Sender<Arc<ServerConfig>>) {
    match tls::load(files) {
        Ok(config) => {
            sender.send_replace(config);
            warn_if_exposed(files);
            tracing::info!("the certificate has been read again");
        }
        Err(fault) => tracing::error!(
            setting = fault.setting,
            error = fault.message,
            "the certificate could not be read again; the one from before stays in use"
        ),
    }
}

fn warn_if_exposed(files: &TlsFiles) {
    if tls::is_exposed(files) {
        let path = files.key.display();
        tracing::warn!(%path, "every user of this machine can read the private key (TOLLKEEPER_TLS_KEY)");
    }
}

//! The log, on standard error: text for people or JSON for machines. Also panics end up in it.

use crate::config::{Config, LogFormat};
use std::{io::IsTerminal, panic};
use tracing_subscriber::EnvFilter;

/// Starts the log of this process.
pub fn start(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    panic::set_hook(Box::new(|info| {
        // The message of a panic may quote a value; the place is enough to find it.
        let place = info.location().map(ToString::to_string);
        tracing::error!(place, "a task panicked; the request is answered with 500");
    }));
}

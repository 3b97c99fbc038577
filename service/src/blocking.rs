//! Work that would keep others from running, on a thread of its own: its lines in the log have the id of the request, and a panic
//! in it is told without its message, which may quote a value.

use crate::{Error, Result};
use tracing::Span;

/// Runs it to its end.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let span = Span::current();
    let work = tokio::task::spawn_blocking(move || span.in_scope(work));
    work.await.map_err(|_| Error::internal("a blocking task panicked or was cancelled"))
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_panic_is_told_without_its_message() {
        let outcome: crate::Result<()> = super::run(|| panic!("hunter2")).await;
        let fault = outcome.unwrap_err().to_string();
        assert!(fault.contains("panicked") && !fault.contains("hunter2"), "{fault}");
    }
}

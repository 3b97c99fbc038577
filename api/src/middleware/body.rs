//! [`Steady`]: a body that has to keep coming. A client that sends a byte now and then would otherwise hold what has
//! arrived, and whatever waits for the rest, until the request times out.

use crate::state::AppState;
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Bytes that have to arrive, unless the body ends before, within each timeout.
const STEP: usize = 16 * 1024;

/// The body came too slowly.
#[derive(Debug)]
pub struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body arrived too slowly")
    }
}

impl Error for TooSlow {}

/// Whether an error comes from a body that was too slow.
pub fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    is_caused_by::<TooSlow>(error)
}

/// Whether an error is of this kind, or any of its causes.
pub fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(is_caused_by::<E>)
}

/// Puts the timeout on the body of a request.
pub async fn keep_coming(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let timeout = state.settings.body_timeout;
    next.run(request.map(
        |body| {
            if body.is_end_stream() { body } else { Body::new(Steady::new(body, timeout)) }
        },
    ))
    .await
}

struct Steady {
    body: Body,
    timeout: Duration,
    /// Runs since the first wait after the last step.
    timer: Option<Pin<Box<Sleep>>>,
    arrived: usize,
}

impl Steady {
    fn new(body: Body, timeout: Duration) -> Self {
        Self { body, timeout, timer: None, arrived: 0 }
    }
}

impl HttpBody for Steady {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.arrived += frame.data_ref().map_or(0, Bytes::len);
                if self.arrived >= STEP {
                    (self.arrived, self.timer) = (0, None);
                }
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                let timeout = self.timeout;
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
                if timer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(Err(axum::Error::new(TooSlow))));
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    /// A body of pieces of some bytes with a pause before each.
    struct Dripping {
        pieces: usize,
        bytes: usize,
        pause: Duration,
        timer: Option<Pin<Box<Sleep>>>,
    }

    impl HttpBody for Dripping {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            if self.pieces == 0 {
                return Poll::Ready(None);
            }
            let pause = self.pause;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(pause)));
            std::task::ready!(timer.as_mut().poll(cx));
            (self.timer, self.pieces) = (None, self.pieces - 1);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; self.bytes])))))
        }
    }

    async fn collected(
        timeout: Duration,
        pieces: usize,
        bytes: usize,
        pause: Duration,
    ) -> Result<usize, axum::Error> {
        let body = Body::new(Dripping { pieces, bytes, pause, timer: None });
        let steady = Steady::new(body, timeout);
        Ok(Body::new(steady).collect().await?.to_bytes().len())
    }

    #[tokio::test]
    async fn a_body_that_drips_is_given_up() {
        let timeout = Duration::from_millis(50);
        let error = collected(timeout, 1_000_000, 100, Duration::from_millis(5)).await.unwrap_err();
        assert!(is_too_slow(&error));
        assert!(!is_too_slow(&axum::Error::new(fmt::Error)));
    }

    #[tokio::test]
    async fn a_slow_body_that_makes_progress_is_read() {
        let (timeout, pause) = (Duration::from_secs(5), Duration::from_millis(20));
        assert_eq!(collected(timeout, 10, STEP, pause).await.unwrap(), 10 * STEP);
        assert_eq!(collected(timeout, 10, 1, pause).await.unwrap(), 10);
    }
}

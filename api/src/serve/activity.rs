//! [`Activity`]: what one connection is doing, as its stream, its requests and their answers report it. From that follow
//! the moment at which it has been quiet for too long, and whether it may be closed to make place for another.

use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a connection that is new, or speaks HTTP/2, has for its goodbye when the server stops.
const GOODBYE: Duration = Duration::from_secs(1);
/// Bytes of a write that count as progress of an answer over HTTP/2. Pings and the like are smaller: a client that never
/// opens its window would stay open by acknowledging them.
const PROGRESS: usize = 512;

/// How long a connection may be quiet.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From its beginning, or the first byte of a head, until the head of a request is complete.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Within an answer that the client does not read.
    pub stall: Duration,
}

/// What a connection is doing.
#[derive(Debug)]
pub struct Activity {
    doing: Mutex<Doing>,
    opened: Instant,
    /// Beyond the limit of connections: it is told how the server is, and nothing else.
    pub spare: bool,
    evicted: CancellationToken,
    finished: Notify,
}

#[derive(Debug)]
struct Doing {
    /// Requests whose handlers run.
    handling: u32,
    /// Requests whose answers are being sent.
    sending: u32,
    /// Whether the head of any request was complete.
    served: bool,
    http2: bool,
    /// When it last began, finished or got ahead with anything.
    since: Instant,
    /// When the first byte after the last request arrived.
    head_since: Option<Instant>,
    /// Whether the client does not take what is to be sent.
    blocked: bool,
}

/// Who is closed first when there are too many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Idleness {
    /// It has sent no request yet.
    New,
    /// It has sent a part of the next request.
    HalfHead,
    /// It waits between two requests.
    BetweenRequests,
}

impl Activity {
    pub fn new(spare: bool) -> Self {
        let opened = Instant::now();
        let doing = Doing {
            handling: 0,
            sending: 0,
            served: false,
            http2: false,
            since: opened,
            head_since: None,
            blocked: false,
        };
        let (evicted, finished) = (CancellationToken::new(), Notify::new());
        Self { doing: Mutex::new(doing), opened, spare, evicted, finished }
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have arrived.
    pub fn read(&self) {
        let mut doing = self.doing();
        if !doing.is_busy() && doing.head_since.is_none() {
            doing.head_since = Some(Instant::now());
        }
    }

    /// Bytes have been taken by the client.
    pub fn wrote(&self, bytes: usize) {
        let mut doing = self.doing();
        doing.blocked = false;
        if !doing.http2 || bytes >= PROGRESS {
            doing.since = Instant::now();
        }
    }

    /// The client takes no bytes at the moment.
    pub fn blocked(&self) {
        self.doing().blocked = true;
    }

    /// A request has arrived.
    pub fn begin(self: &Arc<Self>, http2: bool) -> Running {
        let mut doing = self.doing();
        doing.handling += 1;
        (doing.served, doing.http2) = (true, http2);
        (doing.since, doing.head_since) = (Instant::now(), None);
        drop(doing);
        Running { activity: self.clone(), sending: false }
    }

    /// When the first head must be complete.
    pub fn first_head(&self, timeouts: &Timeouts) -> Instant {
        self.opened + timeouts.head
    }

    /// When it will have been quiet for too long, if nothing happens; none while a handler runs, which has a timeout of
    /// its own. `stop` is when the server stopped to accept.
    pub fn deadline(&self, timeouts: &Timeouts, stop: Option<Instant>) -> Option<Instant> {
        let doing = self.doing();
        if doing.handling > 0 {
            return None;
        }
        if doing.sending > 0 || doing.blocked {
            return Some(doing.since + timeouts.stall);
        }
        let half = doing.head_since.filter(|_| !doing.http2);
        let quiet = match half {
            _ if !doing.served => self.first_head(timeouts),
            Some(head_since) => head_since + timeouts.head,
            None => doing.since + timeouts.idle,
        };
        let stopped = stop.map(|stop| {
            if doing.http2 {
                stop + GOODBYE
            } else if doing.served || half.is_some() {
                stop
            } else {
                // Its request may be under way: it was accepted last.
                stop.max(self.opened + GOODBYE)
            }
        });
        Some(stopped.map_or(quiet, |stopped| stopped.min(quiet)))
    }

    /// Whether any request has arrived, and whether over HTTP/2.
    pub fn protocol(&self) -> Option<bool> {
        let doing = self.doing();
        doing.served.then_some(doing.http2)
    }

    /// How idle it is, and since when; none if something would be lost with it.
    pub fn idleness(&self) -> Option<(Idleness, Instant)> {
        let doing = self.doing();
        if doing.is_busy() {
            None
        } else if !doing.served {
            Some((Idleness::New, self.opened))
        } else if let Some(since) = doing.head_since.filter(|_| !doing.http2) {
            Some((Idleness::HalfHead, since))
        } else {
            Some((Idleness::BetweenRequests, doing.since))
        }
    }

    /// Closes it.
    pub fn evict(&self) {
        self.evicted.cancel();
    }

    /// Waits until it is to be closed.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Waits until a request over HTTP/2 has been answered: that happens in a task of its own.
    pub async fn finished(&self) {
        self.finished.notified().await;
    }
}

impl Doing {
    fn is_busy(&self) -> bool {
        self.handling > 0 || self.sending > 0 || self.blocked
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Running {
    activity: Arc<Activity>,
    sending: bool,
}

impl Running {
    /// The handler has answered.
    fn answered(&mut self) {
        let mut doing = self.activity.doing();
        doing.handling -= 1;
        doing.sending += 1;
        doing.since = Instant::now();
        self.sending = true;
    }

    fn progress(&self) {
        self.activity.doing().since = Instant::now();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut doing = self.activity.doing();
        let count = if self.sending { &mut doing.sending } else { &mut doing.handling };
        *count -= 1;
        doing.since = Instant::now();
        if doing.http2 {
            self.activity.finished.notify_one();
        }
    }
}

/// The body of an answer, which keeps its request running until it is sent.
#[derive(Debug)]
pub struct Answer<B> {
    body: B,
    running: Running,
}

impl<B> Answer<B> {
    pub fn new(body: B, mut running: Running) -> Self {
        running.answered();
        Self { body, running }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.running.progress();
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

    const TIMEOUTS: Timeouts = Timeouts {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        stall: Duration::from_secs(15),
    };

    /// In how many seconds, about, it will have been quiet for too long.
    fn left(activity: &Activity, stop: Option<Instant>) -> Option<u64> {
        let left = activity.deadline(&TIMEOUTS, stop)?.saturating_duration_since(Instant::now());
        Some((left + Duration::from_millis(500)).as_secs())
    }

    #[tokio::test]
    async fn each_part_of_a_connection_has_its_timeout() {
        let activity = Arc::new(Activity::new(false));
        activity.read();
        assert_eq!(left(&activity, None), Some(10), "the first head");
        let running = activity.begin(false);
        assert_eq!(left(&activity, None), None, "a handler has a timeout of its own");
        let answer = Answer::new(String::new(), running);
        assert_eq!(left(&activity, None), Some(15), "an answer that nobody reads");
        drop(answer);
        assert_eq!(left(&activity, None), Some(75), "between two requests");
        activity.blocked();
        assert_eq!(left(&activity, None), Some(15), "what is still to be sent");
        activity.wrote(1);
        assert_eq!(left(&activity, None), Some(75), "all is sent");
        activity.read();
        assert_eq!(left(&activity, None), Some(10), "the next head");
    }

    #[tokio::test]
    async fn pings_of_http2_are_neither_heads_nor_progress() {
        let activity = Arc::new(Activity::new(false));
        drop(activity.begin(true));
        activity.doing().since -= Duration::from_secs(30);
        activity.read();
        activity.wrote(17);
        assert_eq!(left(&activity, None), Some(45));
        activity.wrote(PROGRESS);
        assert_eq!(left(&activity, None), Some(75));
    }

    #[tokio::test]
    async fn what_is_idle_ends_with_the_server() {
        let [new, served, http2, busy] = [(); 4].map(|()| Arc::new(Activity::new(false)));
        drop(served.begin(false));
        drop(http2.begin(true));
        let _running = busy.begin(false);
        let stop = Some(Instant::now());
        let seconds = [&new, &served, &http2, &busy].map(|activity| left(activity, stop));
        assert_eq!(seconds, [Some(1), Some(0), Some(1), None]);
        new.read();
        assert_eq!(left(&new, stop), Some(0), "half a head");
    }
}

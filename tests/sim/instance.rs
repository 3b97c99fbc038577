//! [`Instance`]: one server of several: what waits there, the batch that is under way, and what it remembers. It can be stopped
//! at any await; then all of that is gone.

use crate::{
    flaw::Flaw,
    store::{Db, Step},
    town::SECRETS,
    world::Shared,
};
use entity::id::OrganizationId;
use sea_orm::DbErr;
use service::{
    Result,
    meter::{
        Answer, Cache, Job, Request, Task,
        round::{Means, Round},
    },
    secrets::Secrets,
};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// A request that was sent, and what comes back.
#[derive(Debug)]
pub struct Sent {
    pub task: Task,
    pub home: OrganizationId,
    /// When it was sent, in steps.
    pub begun: usize,
    /// Whether the client is still there to be told.
    gone: bool,
    answer: oneshot::Receiver<Result<Answer>>,
}

/// A request and its answer.
#[derive(Debug)]
pub struct Answered {
    pub sent: Sent,
    pub answer: Result<Answer>,
}

/// A batch under way: what is remembered after it, and what is put back.
type Running = Pin<Box<dyn Future<Output = (Cache, Vec<Job>)> + Send>>;

/// One server.
pub struct Instance {
    pub n: usize,
    world: Shared,
    flaw: Flaw,
    queue: VecDeque<(Job, Sent)>,
    waiting: Vec<Sent>,
    /// What was put back; it is at the head of the next batch, as it is of what waits.
    back: Vec<Job>,
    round: Option<Running>,
    cache: Option<Cache>,
}

impl Instance {
    pub fn new(n: usize, world: &Shared, flaw: Flaw) -> Self {
        let (queue, waiting, back) = (VecDeque::new(), Vec::new(), Vec::new());
        let cache = Some(Cache::default());
        Self { n, world: world.clone(), flaw, queue, waiting, back, round: None, cache }
    }

    /// Whether it has anything to do.
    pub fn is_busy(&self) -> bool {
        self.round.is_some() || !self.queue.is_empty() || !self.back.is_empty()
    }

    /// Whether a request of the batch under way is one whose answer nobody will see.
    pub fn is_blind(&self) -> bool {
        self.waiting.iter().any(|sent| sent.gone)
    }

    /// Takes a request in; a client that is gone does not wait for the answer.
    pub fn send(&mut self, task: Task, home: OrganizationId, begun: usize, gone: bool) {
        let (reply, mut answer) = oneshot::channel();
        if gone {
            answer.close();
        }
        let job = Job { request: Request::new(task.clone(), home), reply, since: Instant::now() };
        self.queue.push_back((job, Sent { task, home, begun, gone, answer }));
    }

    /// Stops, and begins anew with nothing. Nobody who waits is answered.
    pub fn crash(&mut self) {
        self.world.note(|| format!("instance {} crashes", self.n));
        self.world.get().open.remove(&self.n);
        self.round = None;
        self.queue.clear();
        self.waiting.clear();
        self.back.clear();
        self.cache = Some(Cache::default());
    }

    /// Goes on to the next await; what was answered, in the order of the batch.
    pub fn poll(&mut self) -> Vec<Answered> {
        if self.round.is_none() && !self.begin() {
            return Vec::new();
        }
        let Some(round) = &mut self.round else { return Vec::new() };
        if let Poll::Ready((cache, back)) = round.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            (self.round, self.cache, self.back) = (None, Some(cache), back);
        }
        self.collect()
    }

    /// Begins a batch of some of what waits.
    fn begin(&mut self) -> bool {
        if self.queue.is_empty() && self.back.is_empty() {
            return false;
        }
        let most = 1 + self.world.get().dice.below(8);
        let most = most.min(self.queue.len());
        let (more, sent): (Vec<Job>, Vec<Sent>) = self.queue.drain(..most).unzip();
        let mut jobs = std::mem::take(&mut self.back);
        jobs.extend(more);
        self.waiting.extend(sent);
        let world = self.world.clone();
        world.note(|| format!("instance {} begins a batch of {}", self.n, jobs.len()));
        let store = Arc::new(Db { world: world.clone(), instance: self.n, flaw: self.flaw });
        let cache = self.cache.take().unwrap_or_default();
        self.round = Some(Box::pin(Round { store, means: Chance(world), cache }.run(jobs)));
        true
    }

    fn collect(&mut self) -> Vec<Answered> {
        let mut answered = Vec::new();
        for mut sent in std::mem::take(&mut self.waiting) {
            match sent.answer.try_recv() {
                Ok(answer) => answered.push(Answered { sent, answer }),
                Err(TryRecvError::Empty) => self.waiting.push(sent),
                // It was dropped without an answer, which only happens to who is gone; it counts until the batch is over.
                Err(TryRecvError::Closed) if self.round.is_some() || !self.back.is_empty() => {
                    self.waiting.push(sent);
                }
                Err(TryRecvError::Closed) => {}
            }
        }
        answered
    }
}

/// Time passes by chance.
#[derive(Debug)]
struct Chance(Shared);

impl Means for Chance {
    fn secrets(&self) -> &Secrets {
        &SECRETS
    }

    async fn pause(&self, time: Duration) {
        loop {
            Step::default().await;
            let mut world = self.0.get();
            let long = time > Duration::from_secs(1);
            let over = if long { !world.calm && world.dice.one_in(300) } else { world.dice.one_in(2) };
            if over {
                if long {
                    world.note(|| "the batch takes too long".into());
                }
                return;
            }
        }
    }

    fn waited(&self, _: Instant) -> Duration {
        let mut world = self.0.get();
        if !world.calm && world.dice.one_in(30) { Duration::MAX } else { Duration::ZERO }
    }

    async fn mend(&self, error: &DbErr) -> bool {
        Step::default().await;
        error.to_string().contains("no partition of relation")
    }
}

//! The meter: the one place that decides whether a virtual key may make a call.
//!
//! Requests wait in a bounded queue; one task takes what waits, asks the database once whether anything they depend on
//! has changed, and decides all of them in memory. That statement begins after the requests arrived, so no decision uses
//! anything older than the last administrative change that had been answered by then, on any instance. What the task
//! remembers between batches only saves reading again what has not changed.
//!
//! - `question.rs`: what is asked, and by whom; `facts.rs`: what decisions read of each table;
//! - `batch.rs`: one batch, from arrival to answer; `head.rs` and `load.rs`: its statements;
//! - `cache.rs`: what is remembered, and when it may be trusted;
//! - `decide.rs`: the decision itself, a pure function, with `glob.rs` and `code.rs`.
//!
//! Limits will be decided here too: a batch will then hold its organizations' head rows while it decides.

mod batch;
mod cache;
mod code;
mod decide;
mod facts;
mod glob;
pub(crate) mod head;
mod load;
mod question;

pub use code::Code;
pub use decide::{Check, Decision, ModelRule};
pub use facts::{Facts, Key};
pub use glob::matches;
pub use question::{Asker, Call, Gateway, Proof, Purpose, Question};

use crate::{Error, Result, System};
use batch::{Batch, Job};
use cache::Cache;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait; more are answered "overloaded".
const QUEUE: usize = 4096;
/// Requests of one batch.
const BATCH: usize = 256;
/// The longest that a request waits for its answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the meter has asked of the database so far.
#[derive(Debug, Default)]
pub struct Work {
    statements: AtomicU64,
    entries: AtomicU64,
}

impl Work {
    /// Statements that were run.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Rows that were read into memory.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    fn ran(&self, entries: usize) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        metrics::counter!("tollkeeper_meter_statements_total").increment(1);
        metrics::counter!("tollkeeper_meter_entries_total").increment(entries as u64);
    }
}

/// Asks for decisions. Clones share one task.
#[derive(Debug, Clone)]
pub struct Meter {
    system: Arc<System>,
    queue: mpsc::Sender<Job>,
    work: Arc<Work>,
}

impl Meter {
    /// Starts the task; it ends when the last handle is gone.
    pub fn start(system: Arc<System>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let work = Arc::new(Work::default());
        tokio::spawn(serve(system.clone(), work.clone(), jobs));
        Self { system, queue, work }
    }

    /// What the meter has asked of the database so far.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Decides one request.
    pub async fn ask(&self, question: Question) -> Result<Decision> {
        if question.needs_nothing() {
            return Ok(Decision::unknown(self.system.clock.local()));
        }
        wait(self.put(question)?).await
    }

    /// Decides many requests that arrived together; those that are no questions keep their errors.
    pub async fn ask_all(&self, questions: Vec<Result<Question>>) -> Vec<Result<Decision>> {
        let waiting: Vec<_> = questions.into_iter().map(|question| self.put(question?)).collect();
        let mut decisions = Vec::with_capacity(waiting.len());
        for answer in waiting {
            decisions.push(match answer {
                Ok(answer) => wait(answer).await,
                Err(error) => Err(error),
            });
        }
        decisions
    }

    fn put(&self, question: Question) -> Result<oneshot::Receiver<Result<Decision>>> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job { question, reply }).map_err(|_| Error::Overloaded)?;
        Ok(answer)
    }
}

async fn wait(answer: oneshot::Receiver<Result<Decision>>) -> Result<Decision> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(decision)) => decision,
        Ok(Err(_)) => Err(Error::internal("the batch was lost")),
        Err(_) => Err(Error::Overloaded),
    }
}

/// While one batch waits for the database the next one gathers by itself: no delay at low load, large batches at high
/// load. Each batch runs in a task of its own, so that a panic costs its requests and the cache, and never the meter.
async fn serve(system: Arc<System>, work: Arc<Work>, mut queue: mpsc::Receiver<Job>) {
    let mut cache = Cache::default();
    loop {
        let mut jobs = Vec::new();
        if queue.recv_many(&mut jobs, BATCH).await == 0 {
            return;
        }
        metrics::gauge!("tollkeeper_meter_queue").set(u32::try_from(queue.len()).unwrap_or(u32::MAX));
        let batch = Batch { system: system.clone(), work: work.clone(), cache };
        cache = tokio::spawn(batch.run(jobs)).await.unwrap_or_default();
    }
}

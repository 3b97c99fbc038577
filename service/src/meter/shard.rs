//! [`Shard`]: the task that decides for some of the organizations. While one batch waits for the database the next one gathers
//! by itself: no delay at low load, large batches at high load.
//!
//! A batch that fails because of the database is run again as a whole, with the same ids: whatever had been carried out is
//! found as a repetition, and nobody is answered before. A batch that fails for a reason of its own is split, until the one
//! request that fails gets its own error.

use super::{
    Work,
    batch::{Answer, Batch, Request},
    cache::Cache,
    queue::{Job, Queue},
    sql::Sql,
    store::Read,
};
use crate::{Error, Result, System, db};
use entity::id::OrganizationId;
use sea_orm::{DbErr, error::ConnAcquireErr};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// Requests of one batch.
const BATCH: usize = 256;
/// The longest that one run of a batch waits for the database.
const LONGEST: Duration = Duration::from_secs(5);
/// How long a request is tried again before it is told that the database is away.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two runs.
const PAUSE: Duration = Duration::from_millis(20);

/// The task of a shard.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) system: Arc<System>,
    pub(super) work: Arc<Work>,
    pub(super) queue: Arc<Queue>,
}

impl Shard {
    /// Decides until the queue is closed. Each batch runs in a task of its own, so that a panic costs its requests and the
    /// cache, and never the meter.
    pub(super) async fn serve(self) {
        let store = Arc::new(Sql { system: self.system.clone(), work: self.work.clone() });
        let mut cache = Cache::default();
        loop {
            let jobs = self.queue.take(BATCH).await;
            if jobs.is_empty() {
                return;
            }
            metrics::gauge!("tollkeeper_meter_queue")
                .set(u32::try_from(self.queue.len()).unwrap_or(u32::MAX));
            let round = Round { system: self.system.clone(), store: store.clone(), cache };
            cache = tokio::spawn(round.run(jobs)).await.unwrap_or_default();
        }
    }
}

/// One batch, until everybody is answered.
struct Round {
    system: Arc<System>,
    store: Arc<Sql>,
    cache: Cache,
}

impl Round {
    async fn run(mut self, mut jobs: Vec<Job>) -> Cache {
        // Who asked for a call and has gone will not make it; what gives back is carried out, whoever waits for it.
        jobs.retain(|job| job.request.task.returns() || !job.reply.is_closed());
        metrics::histogram!("tollkeeper_meter_batch_size").record(u32::try_from(jobs.len()).unwrap_or(0));
        for job in &jobs {
            metrics::histogram!("tollkeeper_meter_stage_seconds", "stage" => "queue")
                .record(job.since.elapsed());
        }
        let mut parts = vec![jobs];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.persist(&mut part).await {
                Ok(answers) => part.into_iter().zip(answers).for_each(|(job, answer)| reply(job, answer)),
                Err(error) if part.len() > 1 && !is_passing(&error) => parts.extend(split(part)),
                Err(error) => part.into_iter().for_each(|job| reply(job, Err(Error::Db(error.clone())))),
            }
        }
        self.cache
    }

    /// Runs a part until it succeeds, fails for a reason of its own, or has waited too long.
    async fn persist(&mut self, part: &mut [Job]) -> Read<Vec<Result<Answer>>> {
        let mut pause = PAUSE;
        loop {
            let error = match self.once(part).await {
                Ok(answers) => return Ok(answers),
                Err(error) => error,
            };
            // What is remembered may be of a database that is no more.
            self.cache = Cache::default();
            part.iter_mut().for_each(|job| job.request.again = true);
            let missing = db::lacks_partition(&error) && db::make_partitions(&self.system).await.is_ok();
            let oldest = part.iter().map(|job| job.since).min();
            let waited = oldest.is_some_and(|since| since.elapsed() > PATIENCE);
            if waited || !(missing || is_passing(&error)) {
                return Err(error);
            }
            tracing::debug!(%error, requests = part.len(), "a batch is run again");
            metrics::counter!("tollkeeper_meter_retries_total").increment(1);
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn once(&mut self, part: &mut [Job]) -> Read<Vec<Result<Answer>>> {
        let mut requests: Vec<Request> = part.iter().map(|job| job.request.clone()).collect();
        let mut batch = Batch { store: &*self.store, secrets: &self.system.secrets, cache: &mut self.cache };
        let started = Instant::now();
        let run = timeout(LONGEST, batch.run(&mut requests)).await;
        metrics::histogram!("tollkeeper_meter_database_seconds").record(started.elapsed());
        for (job, request) in part.iter_mut().zip(requests) {
            job.request.id = request.id;
        }
        run.unwrap_or(Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)))
    }
}

/// Whether trying again may help.
fn is_passing(error: &DbErr) -> bool {
    Error::Db(error.clone()).is_unavailable()
}

/// By organization, if there are several; else in halves.
fn split(mut part: Vec<Job>) -> Vec<Vec<Job>> {
    let first = part.first().map(|job| job.request.home);
    if part.iter().all(|job| Some(job.request.home) == first) {
        let rest = part.split_off(part.len() / 2);
        return vec![rest, part];
    }
    let mut of: BTreeMap<OrganizationId, Vec<Job>> = BTreeMap::new();
    for job in part {
        of.entry(job.request.home).or_default().push(job);
    }
    of.into_values().rev().collect()
}

fn reply(job: Job, answer: Result<Answer>) {
    if let Ok(Answer::Decided(decision)) = &answer {
        let checks = decision.checks.iter().filter_map(|check| check.code);
        let limits =
            decision.limits.iter().filter(|verdict| verdict.blocks()).filter_map(super::Verdict::code);
        for code in checks.chain(limits) {
            metrics::counter!("tollkeeper_meter_denials_total", "code" => code.word()).increment(1);
        }
    }
    // Whoever asked may have gone.
    let _ = job.reply.send(answer);
}

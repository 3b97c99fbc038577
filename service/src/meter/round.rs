//! [`Round`]: one batch, until everybody is answered.
//!
//! A batch that fails because of the database is run again as a whole, with the same ids: whatever had been carried out is
//! found as a repetition, and nobody is answered before. A batch that fails for a reason of its own, be it a panic, is
//! split, until the one request that fails gets its own error.

use super::{
    batch::Batch,
    cache::Cache,
    contain::{Failure, Outcome},
    queue::Job,
    store::Store,
    task::{Answer, Request},
};
use crate::{Error, Result, db, secrets::Secrets};
use entity::id::OrganizationId;
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use sea_orm::{DbErr, error::ConnAcquireErr};
use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest that one run of a batch waits for the database.
const LONGEST: Duration = Duration::from_secs(5);
/// How long a request is tried again before it is told that the database is away.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where only the operator can help: the disk is full, the file is gone.
const LASTING: Duration = Duration::from_millis(500);
/// Between two runs.
const PAUSE: Duration = Duration::from_millis(20);

/// What a round needs beside its database: the passing of time, and somebody who mends what can be mended.
pub trait Means: Send + Sync {
    /// The configured secrets.
    fn secrets(&self) -> &Secrets;

    /// Waits.
    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// How long ago that was.
    fn waited(&self, since: Instant) -> Duration;

    /// Whether what failed has been mended, so that it may be tried again.
    fn mend(&self, error: &DbErr) -> impl Future<Output = bool> + Send;
}

/// One batch, until everybody is answered.
#[derive(Debug)]
pub struct Round<S, M> {
    /// The database.
    pub store: Arc<S>,
    /// Everything else.
    pub means: M,
    /// What is remembered from earlier ones.
    pub cache: Cache,
}

impl<S: Store, M: Means> Round<S, M> {
    /// Answers them all, but for those that are put back: what these depend on is to be loaded first. What is remembered
    /// afterwards comes with them.
    pub async fn run(mut self, mut jobs: Vec<Job>) -> (Cache, Vec<Job>) {
        // Who asked for a call and has gone will not make it; what gives back is carried out, whoever waits for it.
        jobs.retain(|job| job.request.task.returns() || !job.reply.is_closed());
        metrics::histogram!("tollkeeper_meter_batch_size").record(u32::try_from(jobs.len()).unwrap_or(0));
        for job in &jobs {
            metrics::histogram!("tollkeeper_meter_stage_seconds", "stage" => "queue")
                .record(self.means.waited(job.since));
        }
        let (mut parts, mut back) = (vec![jobs], Vec::new());
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.persist(&mut part).await {
                Ok(answers) => part.into_iter().zip(answers).for_each(|(job, answer)| reply(job, answer)),
                Err(Failure::Behind(homes)) => {
                    let is_behind = |job: &Job| homes.contains(&job.request.home) && !job.request.prepared;
                    let (behind, rest): (Vec<Job>, Vec<Job>) = part.into_iter().partition(is_behind);
                    back.extend(behind.into_iter().map(Job::prepared));
                    parts.push(rest);
                }
                Err(Failure::Panic(Some(n))) if n < part.len() => {
                    reply(part.remove(n), Err(Failure::Panic(Some(n)).into()));
                    parts.push(part);
                }
                Err(failure) if part.len() > 1 && !is_passing(&failure) => parts.extend(split(part)),
                Err(Failure::Database(error)) => {
                    part.into_iter().for_each(|job| reply(job, Err(Error::Db(error.clone()))));
                }
                Err(Failure::Panic(n)) => {
                    part.into_iter().for_each(|job| reply(job, Err(Failure::Panic(n).into())));
                }
            }
        }
        (self.cache, back)
    }

    /// Runs a part until it succeeds, fails for a reason of its own, or has waited too long.
    async fn persist(&mut self, part: &mut [Job]) -> Outcome {
        let mut pause = PAUSE;
        loop {
            let failure = match self.once(part).await {
                Ok(answers) => return Ok(answers),
                Err(Failure::Behind(homes)) => return Err(Failure::Behind(homes)),
                Err(failure) => failure,
            };
            // What is remembered may be of a database that is no more, or have been left half-changed.
            self.cache = Cache::default();
            part.iter_mut().for_each(|job| job.request.again = true);
            let Failure::Database(error) = &failure else { return Err(failure) };
            let mended = self.means.mend(error).await;
            let oldest = part.iter().map(|job| job.since).min();
            let patience = if db::is_lasting(error) { LASTING } else { PATIENCE };
            let waited = oldest.is_some_and(|since| self.means.waited(since) > patience);
            if waited || !(mended || is_passing(&failure)) {
                return Err(failure);
            }
            tracing::debug!(%error, requests = part.len(), "a batch is run again");
            metrics::counter!("tollkeeper_meter_retries_total").increment(1);
            self.means.pause(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn once(&mut self, part: &mut [Job]) -> Outcome {
        let mut requests: Vec<Request> = part.iter().map(|job| job.request.clone()).collect();
        let mut batch = Batch { store: &*self.store, secrets: self.means.secrets(), cache: &mut self.cache };
        let started = Instant::now();
        let run = {
            // What it was about to change goes with it: the transaction is undone, the cache is dropped.
            let run = AssertUnwindSafe(batch.run(&mut requests)).catch_unwind();
            match select(pin!(run), pin!(self.means.pause(LONGEST))).await {
                Either::Left((run, _)) => run.unwrap_or(Err(Failure::Panic(None))),
                Either::Right(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout).into()),
            }
        };
        metrics::histogram!("tollkeeper_meter_database_seconds").record(started.elapsed());
        for (job, request) in part.iter_mut().zip(requests) {
            job.request.id = request.id;
        }
        run
    }
}

/// Whether trying again may help.
fn is_passing(failure: &Failure) -> bool {
    let Failure::Database(error) = failure else { return false };
    // A partition that could not be made does not come by itself, and calls of other months need not wait for it.
    Error::Db(error.clone()).is_unavailable() && !db::lacks_partition(error)
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

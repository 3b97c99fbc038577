//! [`Shard`]: the task that decides for some of the organizations. While one batch waits for the database the next one gathers
//! by itself: no delay at low load, large batches at high load.

use super::{
    Work,
    cache::Cache,
    queue::{Job, Queue},
    round::{Means, Round},
    sql::Sql,
    task::SPAN,
};
use crate::{System, db, secrets::Secrets};
use entity::id::OrganizationId;
use sea_orm::DbErr;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};
use tracing::Instrument;

/// Requests of one batch.
const BATCH: usize = 256;
/// Between a panic of the task and its restart.
const RESTART: Duration = Duration::from_millis(50);

/// The task of a shard.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    pub(super) system: Arc<System>,
    pub(super) work: Arc<Work>,
    pub(super) queue: Arc<Queue>,
}

impl Shard {
    /// Serves until the queue is closed, whatever happens: without this task nobody is answered.
    pub(super) async fn supervise(self) {
        while let Err(error) = tokio::spawn(self.clone().serve()).await {
            if error.is_cancelled() {
                return;
            }
            tracing::error!("the task that decides has panicked and is started again");
            metrics::counter!("tollkeeper_meter_panics_total").increment(1);
            sleep(RESTART).await;
        }
    }

    /// Decides until the queue is closed. Each batch runs in a task of its own, so that a panic costs its requests and the
    /// cache, and never the meter.
    async fn serve(self) {
        let store = Arc::new(Sql { system: self.system.clone(), work: self.work.clone() });
        let mut cache = Cache::default();
        let mut loads = JoinSet::new();
        loop {
            let jobs = self.queue.take(BATCH).await;
            while loads.try_join_next().is_some() {}
            // Closed: what was put back and is still being loaded for is answered, too.
            if jobs.is_empty() {
                match loads.join_next().await {
                    Some(_) => continue,
                    None => return,
                }
            }
            metrics::gauge!("tollkeeper_meter_queue")
                .set(u32::try_from(self.queue.len()).unwrap_or(u32::MAX));
            // Its lines, and those of its statements, are found by the ids of all of its requests.
            let span = tracing::error_span!(target: SPAN, "batch", requests = jobs.len());
            for job in &jobs {
                span.follows_from(&job.request.span);
            }
            let round = Round { store: store.clone(), means: Live(self.system.clone()), cache };
            let back;
            (cache, back) = tokio::spawn(round.run(jobs).instrument(span)).await.unwrap_or_default();
            self.load(back, &mut loads);
        }
    }

    /// Loads what requests depend on, while others are decided; then they are put back. Whatever comes of the loading, the
    /// next batch decides: it reads by itself what is still missing.
    fn load(&self, jobs: Vec<Job>, loads: &mut JoinSet<()>) {
        let mut of: BTreeMap<OrganizationId, Vec<Job>> = BTreeMap::new();
        for job in jobs {
            of.entry(job.request.home).or_default().push(job);
        }
        for (home, jobs) in of {
            self.work.puts_back(jobs.len());
            let (system, aside) = (self.system.clone(), self.queue.set_aside(jobs));
            loads.spawn(async move {
                let loading = tokio::spawn(async move { system.books.now(&system, home).await.map(drop) });
                if let Ok(Err(error)) = loading.await {
                    tracing::debug!(%error, "what decisions depend on could not be loaded ahead");
                }
                drop(aside);
            });
        }
    }
}

/// The means of a process that serves.
#[derive(Debug)]
struct Live(Arc<System>);

impl Means for Live {
    fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    async fn pause(&self, time: Duration) {
        sleep(time).await;
    }

    fn waited(&self, since: Instant) -> Duration {
        since.elapsed()
    }

    async fn mend(&self, error: &DbErr) -> bool {
        self.0.db.notice(error);
        db::lacks_partition(error) && db::make_partitions(&self.0).await.is_ok()
    }
}

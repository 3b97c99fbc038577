//! [`Shard`]: the task that decides for some of the organizations. While one batch waits for the database the next one gathers
//! by itself: no delay at low load, large batches at high load.

use super::{
    Work,
    cache::Cache,
    queue::Queue,
    round::{Means, Round},
    sql::Sql,
};
use crate::{System, db, secrets::Secrets};
use sea_orm::DbErr;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Requests of one batch.
const BATCH: usize = 256;

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
            let round = Round { store: store.clone(), means: Live(self.system.clone()), cache };
            cache = tokio::spawn(round.run(jobs)).await.unwrap_or_default();
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
        db::lacks_partition(error) && db::make_partitions(&self.0).await.is_ok()
    }
}

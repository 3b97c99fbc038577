//! What a server does besides answering. Each job fails softly: it says so in the log and tries again at its next turn.

use api::state::AppState;
use service::{
    Error, activity,
    clock::watch,
    db, housekeeping,
    presence::{self, Presence},
};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const FLUSH: Duration = Duration::from_secs(5);
const HOUSEKEEPING: Duration = Duration::from_secs(45);
/// How often it is looked whether the database keeps what is written, also where nobody asks whether the server is ready.
const TRIAL: Duration = Duration::from_secs(5);
/// How often it is looked whether the ledgers have their partitions for a year to come.
const PARTITIONS: Duration = Duration::from_hours(1);
/// How often it is looked whether it is time to ask the price feed.
const FEED: Duration = Duration::from_mins(1);

/// How often it is measured how long one waits for a connection.
const PROBE: Duration = Duration::from_secs(5);

/// Starts the jobs; they end with `stop`.
pub fn start(state: &AppState, presence: &Presence, stop: &CancellationToken) -> TaskTracker {
    let tracker = TaskTracker::new();
    let flushing = state.clone();
    tracker.spawn(every(FLUSH, stop.clone(), move || flush(flushing.clone())));
    let keeping = state.clone();
    tracker.spawn(every(HOUSEKEEPING, stop.clone(), move || keep(keeping.clone())));
    let trying = state.clone();
    tracker.spawn(every(TRIAL, stop.clone(), move || try_writing(trying.clone())));
    let preparing = state.clone();
    tracker.spawn(every(PARTITIONS, stop.clone(), move || prepare(preparing.clone())));
    let (serving, presence) = (state.clone(), presence.clone());
    tracker.spawn(every(presence::BEAT, stop.clone(), move || beat(serving.clone(), presence.clone())));
    let feeding = state.clone();
    tracker.spawn(every(FEED, stop.clone(), move || feed(feeding.clone())));
    let probing = state.clone();
    tracker.spawn(every(PROBE, stop.clone(), move || probe(probing.clone())));
    tracker
}

async fn every<F: Future<Output = ()>>(period: Duration, stop: CancellationToken, job: impl Fn() -> F) {
    let mut turns = interval(period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        // A job under way is dropped at the stop: whatever it does is one statement at a time.
        tokio::select! {
            () = stop.cancelled() => return,
            () = job() => {}
        }
    }
}

/// Takes a connection of each pool and gives it back, as any request would.
async fn probe(state: AppState) {
    for pool in state.system.db.pools() {
        let started = Instant::now();
        // A pool that has none within its time counts with that time.
        let _ = pool.acquire().await;
        metrics::histogram!("tollkeeper_database_acquire_seconds", "pool" => pool.name)
            .record(started.elapsed());
    }
}

async fn flush(state: AppState) {
    if let Err(error) = activity::flush(&state.system).await {
        tracing::warn!(%error, "last uses could not be written; they are kept for the next time");
    }
}

async fn try_writing(state: AppState) {
    let db = &state.system.db;
    // What is found is in the log already, once.
    let kept = db.verify_writable().await.is_ok() && matches!(db::read_only(&db.reader).await, Ok(None));
    metrics::gauge!("tollkeeper_database_writable").set(i32::from(kept));
}

async fn beat(state: AppState, presence: Presence) {
    if let Err(error) = presence.beat(&state.system).await {
        tracing::warn!(%error, "that this instance serves could not be noted");
    }
}

/// Makes partitions where this role may; where it may not, that matters only once they are about to run out.
async fn prepare(state: AppState) {
    let made = db::make_partitions(&state.system).await;
    let left = db::partitions(&state.system.db.reader, db::MONTHS_AHEAD).await.ok().flatten();
    if let Some(left) = left {
        metrics::gauge!("tollkeeper_partitions_remaining_seconds").set(left.seconds());
    }
    let run_out = left.is_some_and(|left| left.run_out());
    match made {
        Ok(0) => {}
        Ok(made) => tracing::info!(made, "partitions made for the months to come"),
        Err(error) if run_out => {
            let days = left.map(|left| left.days());
            tracing::error!(%error, days, "the ledgers run out of partitions");
        }
        Err(Error::InvalidState("partitions_not_owned", _)) => {}
        Err(error) => tracing::warn!(%error, "partitions for the months to come could not be made"),
    }
}

async fn feed(state: AppState) {
    if let Err(error) = state.feed.turn(&state.system).await {
        tracing::warn!(%error, "the price feed could not be asked");
    }
}

async fn keep(state: AppState) {
    if let Err(error) = watch::beat(&state.system).await {
        tracing::warn!(%error, "the database's clock could not be watched");
    }
    housekeeping::round(&state.system).await;
    state.throttle.tidy();
    if let Some(metrics) = &state.metrics {
        metrics.run_upkeep();
    }
}

//! [`Connections`]: how many connections there may be. When there are too many, those that wait are closed first, the
//! ones without a request before all others; if every one of them is busy, a few more are let in and told how the server is.

use super::activity::{Activity, Idleness};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// Connections beyond the limit, for the question whether the server lives and is ready.
pub const SPARE: usize = 32;
/// Connections without a request that are closed at a time: looking for them costs as much for one as for many.
const AT_ONCE: usize = 16;
/// How long one of those that were told to close is waited for.
const LEAVING: Duration = Duration::from_millis(100);

/// The connections of a listener.
#[derive(Debug)]
pub struct Connections {
    open: Mutex<Open>,
    limit: usize,
    left: Notify,
}

#[derive(Debug, Default)]
struct Open {
    connections: BTreeMap<u64, Arc<Activity>>,
    /// Those that were told to close, and have not yet.
    leaving: BTreeSet<u64>,
    next: u64,
}

/// The place of a connection; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    id: u64,
    /// What the connection is doing.
    pub activity: Arc<Activity>,
}

impl Connections {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), limit, left: Notify::new() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, if need be that of an idle one; none if all of them are busy.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open();
        if open.connections.len() >= self.limit {
            open.shed();
        }
        let count = open.connections.len();
        if count + open.leaving.len() >= self.limit + SPARE {
            return None;
        }
        let activity = Arc::new(Activity::new(count >= self.limit));
        let id = open.next;
        open.next += 1;
        open.connections.insert(id, activity.clone());
        drop(open);
        Some(Place { connections: self.clone(), id, activity })
    }

    /// Waits, though not for long, until connections that were told to close have: each has a descriptor until then.
    pub async fn settled(&self) {
        loop {
            let left = self.left.notified();
            if self.open().leaving.len() < AT_ONCE || timeout(LEAVING, left).await.is_err() {
                return;
            }
        }
    }

    /// Closes some connections that are idle, so that their descriptors are free again.
    pub fn shed(&self) {
        self.open().shed();
    }
}

impl Open {
    fn shed(&mut self) {
        let mut idle: Vec<(Idleness, Instant, u64)> = self
            .connections
            .iter()
            .filter_map(|(id, activity)| activity.idleness().map(|(idleness, since)| (idleness, since, *id)))
            .collect();
        idle.sort_unstable();
        // Of those that have been of use, one has to be enough.
        let fresh = idle.iter().take(AT_ONCE).take_while(|(idleness, ..)| *idleness == Idleness::New).count();
        for (_, _, id) in idle.into_iter().take(fresh.max(1)) {
            if let Some(activity) = self.connections.remove(&id) {
                self.leaving.insert(id);
                activity.evict();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.connections.remove(&self.id);
        open.leaving.remove(&self.id);
        drop(open);
        self.connections.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_without_a_request_goes_first() {
        let connections = Connections::new(3);
        let served = connections.enter().unwrap();
        drop(served.activity.begin(false));
        let older = connections.enter().unwrap();
        let newer = connections.enter().unwrap();
        let fourth = connections.enter().unwrap();
        for evicted in [&older, &newer] {
            evicted.activity.evicted().await;
        }
        assert!(!fourth.activity.spare);
        assert!(served.activity.idleness().is_some());
        assert_eq!(connections.open().connections.len(), 2);
    }

    #[tokio::test]
    async fn a_connection_between_requests_makes_place_alone() {
        let connections = Connections::new(2);
        let places = [connections.enter().unwrap(), connections.enter().unwrap()];
        for place in &places {
            drop(place.activity.begin(false));
        }
        let third = connections.enter().unwrap();
        assert!(!third.activity.spare);
        assert_eq!(connections.open().connections.len(), 2);
        places[0].activity.evicted().await;
    }

    #[tokio::test]
    async fn a_connection_counts_until_it_is_closed() {
        let connections = Connections::new(2);
        let open: Vec<_> = (0..2 + SPARE).map(|_| connections.enter().unwrap()).collect();
        assert!(connections.enter().is_none(), "none of those that were told to close has");
        drop(open);
        connections.settled().await;
        assert!(connections.enter().is_some());
        assert!(connections.open().leaving.is_empty());
    }

    #[tokio::test]
    async fn busy_connections_stay_and_spare_ones_are_bounded() {
        let connections = Connections::new(2);
        let places = [connections.enter().unwrap(), connections.enter().unwrap()];
        let running: Vec<_> = places.iter().map(|place| place.activity.begin(false)).collect();
        let spare = || {
            let place = connections.enter().unwrap();
            assert!(place.activity.spare);
            let running = place.activity.begin(false);
            (place, running)
        };
        let spare: Vec<_> = (0..SPARE).map(|_| spare()).collect();
        assert!(connections.enter().is_none(), "every one is busy");
        drop((running, spare));
        assert!(connections.enter().is_some());
    }
}

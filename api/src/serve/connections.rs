//! [`Connections`]: how many connections there may be. When there are too many, those that wait are closed first, the
//! ones without a request before all others; if every one of them is busy, a few more are let in and told how the server is.

use super::activity::{Activity, Idleness};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// Connections beyond the limit, for the question whether the server lives and is ready.
pub const SPARE: usize = 32;
/// Connections without a request that are closed at a time: looking for them costs as much for one as for many.
const AT_ONCE: usize = 16;

/// The connections of a listener.
#[derive(Debug)]
pub struct Connections {
    open: Mutex<Open>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Open {
    connections: BTreeMap<u64, Arc<Activity>>,
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
        Arc::new(Self { open: Mutex::default(), limit })
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
        if count >= self.limit + SPARE {
            return None;
        }
        let activity = Arc::new(Activity::new(count >= self.limit));
        let id = open.next;
        open.next += 1;
        open.connections.insert(id, activity.clone());
        drop(open);
        Some(Place { connections: self.clone(), id, activity })
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
                activity.evict();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().connections.remove(&self.id);
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

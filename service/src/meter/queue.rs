//! [`Queue`]: what waits for a batch. Each organization has a lane of its own, first come first served; batches take from the
//! lanes in turn, so that one organization's crowd waits for itself. What gives back has room of its own: refused, it would
//! keep its holds and deny everybody.

use super::task::{Answer, Request};
use crate::{Error, Result};
use entity::id::OrganizationId;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::{Notify, oneshot};

/// Requests of each of the two sorts that may wait.
const ROOM: usize = 4096;
/// How much of that one organization may fill.
const SHARE: usize = ROOM / 4;

/// A request, and who waits for its answer.
#[derive(Debug)]
pub struct Job {
    /// What is asked.
    pub request: Request,
    /// Who waits.
    pub reply: oneshot::Sender<Result<Answer>>,
    /// Since when.
    pub since: Instant,
}

impl Job {
    /// The same, once it is put back.
    pub(super) fn prepared(mut self) -> Self {
        self.request.prepared = true;
        self
    }
}

#[derive(Debug, Default)]
struct Lane {
    jobs: VecDeque<Job>,
    /// How many of them ask, and how many give back.
    sorts: [usize; 2],
}

#[derive(Debug, Default)]
struct Lanes {
    of: HashMap<OrganizationId, Lane>,
    /// Organizations with something waiting, the next one first.
    turns: VecDeque<OrganizationId>,
    sorts: [usize; 2],
    closed: bool,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    arrived: Notify,
}

/// Requests that were set aside. Dropped, they are put back, before all others of their organizations.
#[derive(Debug)]
pub(super) struct Aside {
    queue: Arc<Queue>,
    jobs: Vec<Job>,
}

impl Drop for Aside {
    fn drop(&mut self) {
        let mut lanes = self.queue.lanes();
        for job in self.jobs.drain(..).rev() {
            let home = job.request.home;
            let lane = lanes.of.entry(home).or_default();
            lane.jobs.push_front(job);
            if lane.jobs.len() == 1 {
                lanes.turns.push_back(home);
            }
        }
        drop(lanes);
        self.queue.arrived.notify_one();
    }
}

fn sort(request: &Request) -> usize {
    usize::from(request.task.returns())
}

impl Queue {
    fn lanes(&self) -> std::sync::MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request in its lane, if there is room.
    pub(super) fn put(&self, job: Job) -> Result<()> {
        let (home, sort) = (job.request.home, sort(&job.request));
        let mut lanes = self.lanes();
        let own = lanes.of.get(&home).map_or(0, |lane| lane.sorts[sort]);
        if lanes.closed || lanes.sorts[sort] >= ROOM || own >= SHARE {
            return Err(Error::Overloaded);
        }
        lanes.sorts[sort] += 1;
        let lane = lanes.of.entry(home).or_default();
        lane.sorts[sort] += 1;
        lane.jobs.push_back(job);
        if lane.jobs.len() == 1 {
            lanes.turns.push_back(home);
        }
        drop(lanes);
        self.arrived.notify_one();
        Ok(())
    }

    /// Sets requests aside, while what they depend on is loaded. They go on taking the place in the queue that they had.
    pub(super) fn set_aside(self: &Arc<Self>, jobs: Vec<Job>) -> Aside {
        let mut lanes = self.lanes();
        for job in &jobs {
            let (home, sort) = (job.request.home, sort(&job.request));
            lanes.sorts[sort] += 1;
            lanes.of.entry(home).or_default().sorts[sort] += 1;
        }
        drop(lanes);
        Aside { queue: self.clone(), jobs }
    }

    /// Waits for requests and takes up to `most`, from the lanes in turn; nothing once the queue is closed and empty.
    pub(super) async fn take(&self, most: usize) -> Vec<Job> {
        loop {
            let arrived = self.arrived.notified();
            let (jobs, closed) = {
                let mut lanes = self.lanes();
                (lanes.take(most), lanes.closed)
            };
            if !jobs.is_empty() || closed {
                return jobs;
            }
            arrived.await;
        }
    }

    /// How many requests wait.
    pub(super) fn len(&self) -> usize {
        self.lanes().sorts.iter().sum()
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.lanes().closed = true;
        self.arrived.notify_one();
    }
}

impl Lanes {
    fn take(&mut self, most: usize) -> Vec<Job> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(home) = self.turns.pop_front() else { break };
            // Each lane in turn gives its part of what is left.
            let part = ((most - taken.len()) / (self.turns.len() + 1)).max(1);
            let Some(lane) = self.of.get_mut(&home) else { continue };
            for job in lane.jobs.drain(..part.min(lane.jobs.len())) {
                lane.sorts[sort(&job.request)] -= 1;
                self.sorts[sort(&job.request)] -= 1;
                taken.push(job);
            }
            if !lane.jobs.is_empty() {
                self.turns.push_back(home);
            } else if lane.sorts == [0; 2] {
                self.of.remove(&home);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{
        question::{Asker, Call, Proof, Question},
        task::Task,
    };
    use uuid::Uuid;

    fn job(home: u128) -> Job {
        let home = OrganizationId::new(Uuid::from_u128(home));
        let question =
            Question { asker: Asker::Administrator(home), key: Proof::Nothing, call: Call::default() };
        let (reply, _) = oneshot::channel();
        Job { request: Request::new(Task::Look(question), home), reply, since: Instant::now() }
    }

    fn homes(jobs: &[Job]) -> Vec<u128> {
        jobs.iter().map(|job| job.request.home.uuid().as_u128()).collect()
    }

    #[tokio::test]
    async fn a_crowd_waits_for_itself() {
        let queue = Queue::default();
        for _ in 0..SHARE {
            queue.put(job(1)).unwrap();
        }
        assert!(matches!(queue.put(job(1)), Err(Error::Overloaded)), "its lane is full");
        for other in 2..5 {
            queue.put(job(other)).unwrap();
        }
        let batch = queue.take(256).await;
        assert_eq!(batch.len(), 256);
        let homes = homes(&batch);
        for other in 2..5 {
            assert!(homes.contains(&other), "{other} is in the first batch");
        }
        assert_eq!(queue.len(), SHARE + 3 - 256);
    }

    #[tokio::test]
    async fn what_was_set_aside_keeps_its_place() {
        let queue = Arc::new(Queue::default());
        for _ in 0..SHARE {
            queue.put(job(1)).unwrap();
        }
        let taken = queue.take(2).await;
        let since: Vec<Instant> = taken.iter().map(|job| job.since).collect();
        let aside = queue.set_aside(taken);
        assert_eq!(queue.len(), SHARE);
        assert!(matches!(queue.put(job(1)), Err(Error::Overloaded)), "they still fill their part");
        assert_eq!(queue.take(SHARE).await.len(), SHARE - 2);
        queue.close();
        drop(aside);
        let again = queue.take(8).await;
        assert_eq!(again.iter().map(|job| job.since).collect::<Vec<_>>(), since, "the first are the first");
        assert_eq!(queue.len(), 0);
        assert!(queue.take(8).await.is_empty());
        assert!(queue.lanes().of.is_empty());
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_comes_out_in_order() {
        let queue = Queue::default();
        let mut put = 0;
        for home in 0..ROOM as u128 + 10 {
            put += usize::from(queue.put(job(home)).is_ok());
        }
        assert_eq!(put, ROOM);
        let mut seen = Vec::new();
        while queue.len() > 0 {
            seen.extend(homes(&queue.take(100).await));
        }
        assert_eq!(seen, (0..ROOM as u128).collect::<Vec<_>>());
        queue.close();
        assert!(queue.take(1).await.is_empty());
        assert!(queue.put(job(1)).is_err());
    }
}

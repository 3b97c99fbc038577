//! Time and randomness, taken from here and nowhere else, so that tests can fix both.

pub mod watch;

use crate::{Error, Result};
use chrono::{DateTime, TimeDelta, Utc};
use entity::id::Id;
use rand::{Rng as _, SeedableRng, rngs::StdRng};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use std::sync::Mutex;

/// How far a clock may be behind the last decision of an organization and still be taken for the same clock: that of a
/// database that has failed over, or one that is being corrected.
const BEHIND: TimeDelta = TimeDelta::seconds(60);

/// Whether a clock shows that the time of an earlier decision was wrong.
pub fn is_step_back(now: DateTime<Utc>, last: DateTime<Utc>) -> bool {
    last.signed_duration_since(now) > BEHIND
}

/// The time of a decision of an organization. A little behind its last one, it waits there, so that no window is entered
/// twice. Further behind, the earlier time was wrong, and waiting for it would freeze the organization: windows are found by
/// their beginnings, so going back returns to what they have counted.
pub fn decision_time(now: DateTime<Utc>, last: DateTime<Utc>) -> DateTime<Utc> {
    if is_step_back(now, last) { now } else { now.max(last) }
}

/// Where the time comes from.
#[derive(Debug)]
pub enum Clock {
    /// The database's clock for decisions and rows, the machine's for what never meets a database.
    System,
    /// A fixed time that a test moves.
    Fixed(Mutex<DateTime<Utc>>),
}

impl Clock {
    /// A fixed clock.
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self::Fixed(Mutex::new(at))
    }

    /// The time by the database, so that instances with skewed clocks agree. SQLite lives in this process, and so
    /// does its clock.
    pub async fn now<C: ConnectionTrait>(&self, db: &C) -> Result<DateTime<Utc>> {
        if matches!(self, Self::Fixed(_)) || db.get_database_backend() == DatabaseBackend::Sqlite {
            return Ok(self.local());
        }
        let statement = Statement::from_string(DatabaseBackend::Postgres, "SELECT clock_timestamp() AS t");
        let row = db.query_one_raw(statement).await?.ok_or_else(|| Error::internal("no time"))?;
        Ok(row.try_get::<DateTime<Utc>>("", "t")?)
    }

    /// The time that a statement read from the database beside other things.
    pub fn beside(&self, database: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::System => database,
            Self::Fixed(_) => self.local(),
        }
    }

    /// The time by this machine, for access tokens and throttles in memory.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn local(&self) -> DateTime<Utc> {
        to_the_microsecond(match self {
            Self::System => Utc::now(),
            Self::Fixed(at) => *at.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        })
    }

    /// Moves a fixed clock; the system's cannot be moved.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Fixed(at) = self {
            *at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += by;
        }
    }
}

/// Cuts a time to what Postgres keeps, so that a row reads the same on both databases.
pub fn to_the_microsecond(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

/// Where randomness comes from.
#[derive(Debug)]
pub enum Entropy {
    /// The operating system, asked each time.
    System,
    /// A seeded generator for tests.
    Seeded(Box<Mutex<StdRng>>),
}

impl Entropy {
    /// A reproducible generator.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Box::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
            Self::System => rand::fill(&mut bytes),
            Self::Seeded(rng) => {
                rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill_bytes(&mut bytes);
            }
        }
        bytes
    }

    /// A new UUIDv7 for a row made at `now`.
    pub fn id<K>(&self, now: DateTime<Utc>) -> Id<K> {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        Id::new(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid())
    }
}

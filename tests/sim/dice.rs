//! [`Dice`]: everything that happens by chance, drawn from one seed, so that it happens again.

use rand::{Rng as _, SeedableRng, rngs::StdRng};
use sea_orm::{DbErr, RuntimeErr, error::ConnAcquireErr};
use uuid::Uuid;

/// Chance.
#[derive(Debug)]
pub struct Dice(StdRng);

impl Dice {
    /// The same seed throws the same.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `most`, which is not 0.
    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.bits() % most as u64).unwrap()
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.bits() % u64::try_from(most - least + 1).unwrap()).unwrap()
    }

    /// Whether something that happens once in so many times happens.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// An id that carries no time.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.bits(), self.bits())
    }

    /// An id that was made at this time, in milliseconds since 1970.
    pub fn timed(&mut self, millis: i64) -> Uuid {
        let mut random = [0; 10];
        self.0.fill_bytes(&mut random);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or(0), &random).into_uuid()
    }

    /// What a lost connection looks like, in one of its forms.
    pub fn lost_connection(&mut self) -> DbErr {
        let cause = || RuntimeErr::Internal("the connection is lost".into());
        match self.below(3) {
            0 => DbErr::Exec(cause()),
            1 => DbErr::Query(cause()),
            _ => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        }
    }
}

//! What a panic costs: the request that caused it, and no other. A request is decided by itself; if that panics before
//! anything of the batch has changed, the others never notice. If something may be half-changed, nothing of the batch is
//! used, and it is run again without the request.

use super::task::{Answer, Request};
use crate::{Error, Result};
use entity::id::OrganizationId;
use sea_orm::DbErr;
use std::{
    collections::BTreeSet,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Why a batch has come to nothing.
#[derive(Debug)]
pub enum Failure {
    /// The database; nothing is known of what has been done.
    Database(DbErr),
    /// What these organizations' decisions depend on is to be loaded first, without the lock. Nothing has been done.
    Behind(BTreeSet<OrganizationId>),
    /// A panic: while the request in this place was decided, or, without one, anywhere.
    Panic(Option<usize>),
}

/// The answers of a batch, or why it has come to nothing.
pub type Outcome = std::result::Result<Vec<Result<Answer>>, Failure>;

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => Self::Db(error),
            Failure::Behind(_) => Self::Overloaded,
            Failure::Panic(_) => panicked(),
        }
    }
}

/// What is told to who caused a panic. The panic itself is logged where it happens.
fn panicked() -> Error {
    metrics::counter!("tollkeeper_meter_panics_total").increment(1);
    Error::internal("deciding the request panicked")
}

/// A value of which it is known whether anybody could have changed it.
#[derive(Debug, Default)]
pub(super) struct Watched<T> {
    value: T,
    touched: bool,
}

impl<T> Watched<T> {
    /// The value itself.
    pub(super) fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Watched<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.touched = true;
        &mut self.value
    }
}

/// Decides every request in turn over a state that is watched.
pub(super) fn each<S, W>(
    requests: &mut [Request],
    state: &mut S,
    watched: impl Fn(&mut S) -> &mut Watched<W>,
    mut decide: impl FnMut(&mut S, &mut Request) -> Result<Answer>,
) -> Outcome {
    let mut answers = Vec::with_capacity(requests.len());
    for (n, request) in requests.iter_mut().enumerate() {
        watched(state).touched = false;
        let answer = catch_unwind(AssertUnwindSafe(|| decide(state, request)));
        match answer {
            Ok(answer) => answers.push(answer),
            Err(_) if watched(state).touched => return Err(Failure::Panic(Some(n))),
            Err(_) => answers.push(Err(panicked())),
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Asker, Call, Proof, Question, Task};
    use uuid::Uuid;

    fn requests(count: u128) -> Vec<Request> {
        let home = |n| OrganizationId::new(Uuid::from_u128(n));
        let question =
            |n| Question { asker: Asker::Administrator(home(n)), key: Proof::Nothing, call: Call::default() };
        (1..=count).map(|n| Request::new(Task::Look(question(n)), home(n))).collect()
    }

    fn run(
        requests: &mut [Request],
        sum: &mut Watched<u128>,
        mut panics: impl FnMut(u128, &mut Watched<u128>),
    ) -> Outcome {
        each(
            requests,
            sum,
            |sum| sum,
            |sum, request| {
                let n = request.home.uuid().as_u128();
                panics(n, sum);
                **sum += n;
                Err(Error::Overloaded)
            },
        )
    }

    #[test]
    fn panic_before_a_change_costs_one_request() {
        let mut sum = Watched::default();
        let answers = run(&mut requests(4), &mut sum, |n, _| assert!(n % 2 == 0, "odd")).unwrap();
        let internal = |answer: &Result<Answer>| matches!(answer, Err(Error::Internal(_)));
        assert_eq!(answers.iter().map(internal).collect::<Vec<_>>(), [true, false, true, false]);
        assert_eq!(sum.into_inner(), 6, "the others are carried out");
    }

    #[test]
    fn panic_after_a_change_names_the_request() {
        let mut sum = Watched::default();
        let failure = run(&mut requests(4), &mut sum, |n, sum| {
            if n == 3 {
                **sum = 1_000;
                panic!("half-changed");
            }
        });
        assert!(matches!(failure, Err(Failure::Panic(Some(2)))), "{failure:?}");
    }
}

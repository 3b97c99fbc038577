//! [`Judge`]: compares what instances answer and commit with what must be, by the naive rules, and remembers what was promised.

use crate::{
    check::{self, Invariant, Said, Verdict, Violation, hold},
    expect::Expect,
    instance::Answered,
    naive::{Booked, Part},
    outcome::{Fact, Outcome},
    world::{Commit, Name, Rows, Told, Who},
};
use entity::{id::KeyId, reservation, status::ReservationState};
use service::{
    Error,
    meter::{Answer, Task, command::Command},
};
use std::collections::{BTreeMap, HashMap};

/// Watches over a run.
#[derive(Debug, Default)]
pub struct Judge {
    /// What clients have said of calls.
    pub said: Said,
    /// Keys that may not be used, and since when that is answered, in steps.
    pub barred: HashMap<KeyId, usize>,
    /// What was answered to who settled.
    settled: BTreeMap<Name, Vec<Fact>>,
    /// Nothing fails any more.
    pub calm: bool,
    /// Requests that were answered, and batches that were judged.
    pub answers: usize,
    pub judged: usize,
}

/// Whether a request caused a panic: then nothing is known of it, as after an error of the database.
fn panicked(one: &Answered) -> bool {
    matches!(&one.answer, Err(Error::Internal(text)) if text.contains("panicked"))
}

impl Judge {
    /// Notes what a client says.
    pub fn hear(&mut self, task: &Task) {
        let Task::Do(Command::Settle(_, attempts, print) | Command::Report { attempts, print, .. }) = task
        else {
            return;
        };
        self.said.entry(print.to_vec()).or_insert_with(|| attempts.clone());
    }

    /// Judges a commit that nobody was told of, or that is not of the meter.
    pub fn silent(&mut self, commit: &Commit) -> Verdict {
        check::rows(commit, &self.said)
    }

    /// Judges what was answered after a commit.
    pub fn committed(&mut self, commit: &Commit, answered: &[Answered]) -> Verdict {
        let told = commit.told.as_ref();
        if let Some(told) = told.filter(|_| commit.steady) {
            let mut expect = expect(&commit.policy, &commit.before, told);
            self.compare(&mut expect, answered)?;
            Self::books(commit, &expect, answered)?;
            self.judged += 1;
        }
        check::rows(commit, &self.said)?;
        self.remember(&commit.after, answered)
    }

    /// Judges what was answered to who only asked.
    pub fn looked(
        &mut self,
        world: (&crate::policy::Policy, &Rows),
        told: &Told,
        answered: &[Answered],
    ) -> Verdict {
        self.compare(&mut expect(world.0, world.1, told), answered)
    }

    /// Whether an error of the database is all that was answered: then nobody knows anything.
    pub fn is_unknown(answered: &[Answered]) -> bool {
        answered.iter().all(|one| matches!(one.answer, Err(Error::Db(_))) || panicked(one))
    }

    fn compare(&mut self, expect: &mut Expect<'_>, answered: &[Answered]) -> Verdict {
        for Answered { sent, answer } in answered.iter().filter(|one| !panicked(one)) {
            self.answers += 1;
            let actual = Outcome::of(answer);
            let expected = expect.answer(sent, &actual);
            let invariant = self.invariant(&expected, &actual);
            let text = || {
                format!(
                    "answered was {actual:?}\n  and it must be {expected:?}\n  to {:?} of {}",
                    sent.task, sent.home
                )
            };
            hold(actual == expected, invariant, text)?;
        }
        Ok(())
    }

    /// Which promise is broken if this is answered instead of that.
    fn invariant(&self, expected: &Outcome, actual: &Outcome) -> Invariant {
        match (expected, actual) {
            (Outcome::Decided(false, limits), Outcome::Authorized(_)) => {
                if limits.values().any(|(_, denies)| *denies) { Invariant::I1 } else { Invariant::I8 }
            }
            (Outcome::Authorized(_) | Outcome::Decided(true, _), Outcome::Decided(false, _)) => {
                if self.calm {
                    Invariant::I9
                } else {
                    Invariant::I5
                }
            }
            (Outcome::Decided(..), Outcome::Decided(..)) => Invariant::I5,
            _ => Invariant::I6,
        }
    }

    /// The books are as they must be after a batch, and nothing else has changed but what was released.
    fn books(commit: &Commit, expect: &Expect<'_>, answered: &[Answered]) -> Verdict {
        let nothing = expect.booked.is_empty();
        for (name, booked) in &expect.booked {
            let after = commit.after.reservations.get(name).map(|row| Booked::of(row).whole());
            let text = || format!("{name:?} is\n  {after:?}\n  and must be\n  {booked:?}");
            hold(after == Some(booked.clone().whole()), Invariant::I6, text)?;
        }
        for name in check::changed(commit) {
            let (before, after) = (commit.before.reservations.get(&name), &commit.after.reservations[&name]);
            let at = expect.told.time(name.0);
            let same = |before| Booked::of(before).at(at).whole() == Booked::of(after).whole();
            let only_released = before.is_some_and(|before| same(before));
            let known = expect.booked.contains_key(&name) || only_released;
            hold(known, Invariant::I6, || format!("nobody asked for {name:?}: {after:?}"))?;
        }
        for (name, facts) in &expect.facts {
            let events: Vec<Fact> =
                commit.after.events.get(name).iter().flat_map(|of| of.iter()).map(Fact::of).collect();
            let text = || format!("the events of {name:?} are\n  {events:?}\n  and must be\n  {facts:?}");
            hold(events == *facts, Invariant::I7, text)?;
        }
        for (key, after) in &commit.after.windows {
            let before = commit.before.windows.get(key);
            let grows = after.used > before.map_or(0, |row| row.used)
                || after.held > before.map_or(0, |row| row.held);
            hold(!(nothing && grows), Invariant::I4, || {
                format!("{} denials have changed {key:?} from {before:?} to {after:?}", answered.len())
            })?;
        }
        for (key, after) in &commit.after.windows {
            let before = commit.before.windows.get(key);
            let more = after.would_deny - before.map_or(0, |row| row.would_deny);
            let expected = expect.would_deny.get(key).copied().unwrap_or(0);
            let text = || format!("{key:?} would have denied {more} more, and must {expected}");
            hold(more == expected, Invariant::I3, text)?;
        }
        Ok(())
    }

    /// What was answered is kept, and told again.
    fn remember(&mut self, after: &Rows, answered: &[Answered]) -> Verdict {
        for Answered { sent, answer } in answered {
            match answer {
                Ok(Answer::Settled(row, events)) => {
                    let facts: Vec<Fact> = events.iter().map(Fact::of).collect();
                    let name = (row.organization_id, row.id);
                    let first = self.settled.entry(name).or_insert_with(|| facts.clone());
                    let text = || format!("{name:?} was settled with {first:?}, and now with {facts:?}");
                    hold(*first == facts, Invariant::I6, text)?;
                }
                Ok(Answer::Authorized(_, row)) => {
                    let there = after.reservations.get(&(row.organization_id, row.id));
                    let held = |row: &reservation::Model| {
                        // What settling has added was not asked, and is not told.
                        let asked = row.legs.0.iter().map(|leg| leg.remaining.is_some());
                        let parts = Booked::of(row).parts.into_iter().zip(asked).filter(|(_, asked)| *asked);
                        parts.map(|(part, _)| Part { used: 0, ..part }).collect::<Vec<_>>()
                    };
                    let same = there.is_some_and(|there| held(there) == held(row));
                    hold(same, Invariant::I6, || format!("answered was {row:?}, and there is {there:?}"))?;
                    let since = row.key_id.and_then(|key| self.barred.get(&key));
                    let late = since.is_some_and(|since| sent.begun > *since);
                    hold(!late, Invariant::I8, || format!("a revoked key makes a call: {row:?}"))?;
                }
                _ => {}
            }
        }
        self.durable(after)
    }

    /// Whatever was answered to who settled is on the books.
    pub fn durable(&self, rows: &Rows) -> Verdict {
        for (name, facts) in &self.settled {
            let row = rows.reservations.get(name).filter(|row| row.state == ReservationState::Settled);
            let events: Vec<Fact> =
                rows.events.get(name).iter().flat_map(|of| of.iter()).map(Fact::of).collect();
            let kept = row.is_some() && events == *facts;
            hold(kept, Invariant::I6, || {
                format!("{name:?} was settled with {facts:?}, and there is {events:?}")
            })?;
        }
        Ok(())
    }

    /// Effects were answered, and nothing was committed.
    pub fn uncommitted(answered: &[Answered]) -> Verdict {
        let of = |one: &&Answered| {
            matches!(
                one.answer,
                Ok(Answer::Authorized(..) | Answer::Settled(..) | Answer::Voided(_) | Answer::Extended(_))
            )
        };
        match answered.iter().find(of) {
            None => Ok(()),
            Some(one) => Err(Violation {
                invariant: Invariant::I6,
                text: format!("answered without a commit: {:?}", one.answer),
            }),
        }
    }
}

fn expect<'c>(policy: &'c crate::policy::Policy, before: &'c Rows, told: &'c Told) -> Expect<'c> {
    let (booked, facts, would_deny) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    Expect { policy, before, told, booked, facts, would_deny }
}

/// Whether a commit is one of an instance, and it knows.
pub fn is_of(commit: &Commit, instance: usize) -> bool {
    commit.known && commit.who == Who::Instance(instance)
}

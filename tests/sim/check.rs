//! What must hold of the rows alone after every commit, whoever made it and whether or not anybody knows.

use crate::{
    naive,
    world::{Commit, Name, Rows},
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::OrganizationId,
    reservation,
    status::{Metric, Mode, ReservationState},
};
use service::meter::{
    command::Attempt,
    ledger::{Step, WindowKey},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// A promise of the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// No more is used and held than a limit has, but for what is known to be over.
    I1,
    /// What is held is the sum of what open calls hold.
    I2,
    /// What is used is the sum of what settled calls used.
    I3,
    /// A denial changes nothing.
    I4,
    /// Whoever fits is not denied.
    I5,
    /// Repetitions change nothing, and what is answered stays.
    I6,
    /// Events are what clients said, once.
    I7,
    /// What is forbidden is forbidden from the answer on.
    I8,
    /// Without contention and faults, with something left, calls are granted.
    I9,
    /// The time of an organization is never behind its last commit. Behind its last decision it goes only if that was of a wrong
    /// time, which is noted; and it is never far from the clock.
    Time,
}

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Violation {
    pub invariant: Invariant,
    pub text: String,
}

/// Whether it holds.
pub type Verdict = Result<(), Violation>;

/// What clients have said of calls, by fingerprint.
pub type Said = HashMap<Vec<u8>, Vec<Attempt>>;

/// A promise that must hold.
pub fn hold(holds: bool, invariant: Invariant, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation { invariant, text: text() }) }
}

/// Checks the rows after a commit.
pub fn rows(commit: &Commit, said: &Said) -> Verdict {
    if Arc::ptr_eq(&commit.before, &commit.after) {
        return time(commit);
    }
    let changed: Vec<Name> = changed(commit);
    for name in &changed {
        let before = commit.before.reservations.get(name);
        closed_stays(before, &commit.after.reservations[name])?;
        released(commit, before, &commit.after.reservations[name])?;
        fresh(commit, before, &commit.after.reservations[name])?;
        events(&commit.after, *name, said)?;
    }
    counters(&commit.after)?;
    amounts(commit, &changed)?;
    time(commit)
}

/// Reservations that are not as they were.
pub fn changed(commit: &Commit) -> Vec<Name> {
    let same = |name: &Name, row: &Arc<reservation::Model>| {
        commit.before.reservations.get(name).is_some_and(|before| Arc::ptr_eq(before, row))
    };
    let all = commit.after.reservations.iter();
    all.filter(|(name, row)| !same(name, row)).map(|(name, _)| *name).collect()
}

fn time(commit: &Commit) -> Verdict {
    let Some(told) = &commit.told else { return Ok(()) };
    for organization in told.last_t.keys().filter(|id| **id != OrganizationId::PLATFORM) {
        let (at, minute) = (told.time(*organization), TimeDelta::minutes(1));
        let of = |times: &BTreeMap<OrganizationId, DateTime<Utc>>| {
            times.get(organization).copied().unwrap_or(DateTime::UNIX_EPOCH)
        };
        let (last, since) = (of(&commit.last_t), of(&commit.since));
        let wrong = last - told.clock > minute;
        let text = |what: &str, time| format!("{organization} decides at {at}, and {what} {time}");
        hold(wrong || at >= last, Invariant::Time, || text("its last decision was at", last))?;
        hold(at >= since, Invariant::Time, || text("its last commit was at", since))?;
        let near = at <= told.clock + minute;
        hold(near, Invariant::Time, || text("the clock shows", told.clock))?;
        let noted = commit.steps.iter().filter(|step| step.organization == *organization);
        let expected = wrong.then_some(Step { organization: *organization, from: last, to: told.clock });
        let same = noted.copied().eq(expected);
        hold(same, Invariant::Time, || text("what was noted of its clock is not", last))?;
        let own = commit.after.reservations.values().filter(|row| row.organization_id == *organization);
        for row in own.filter(|row| row.state == ReservationState::Held) {
            let from = row.counted_from.unwrap_or(row.created_at);
            hold(from <= at, Invariant::Time, || text("an open call is counted from", from))?;
        }
    }
    Ok(())
}

/// What is over stays as it is.
fn closed_stays(before: Option<&Arc<reservation::Model>>, after: &reservation::Model) -> Verdict {
    let Some(before) = before.filter(|row| row.state != ReservationState::Held) else { return Ok(()) };
    hold(**before == *after, Invariant::I6, || {
        format!("a closed call has changed: {before:?} is now {after:?}")
    })
}

/// Nothing is released before its time.
fn released(commit: &Commit, before: Option<&Arc<reservation::Model>>, row: &reservation::Model) -> Verdict {
    if row.state != ReservationState::Held {
        return Ok(());
    }
    let Some(at) = commit.told.as_ref().map(|told| told.time(row.organization_id)) else { return Ok(()) };
    let still = |metric| naive::holds(metric, row.expires_at, row.terms.release_after, at);
    let concurrent = row.legs.0.iter().any(|leg| leg.metric == Metric::Concurrency);
    // What was released by a clock that was ahead stays so.
    let before = before.map_or(0, |row| row.released);
    let early = before < 1 && row.released >= 1 && concurrent && still(Metric::Concurrency)
        || before < 2 && row.released >= 2 && still(Metric::Requests);
    hold(!early, Invariant::I2, || format!("released before its time, at {at}: {row:?}"))
}

/// A new call holds of windows that are not over.
fn fresh(commit: &Commit, before: Option<&Arc<reservation::Model>>, row: &reservation::Model) -> Verdict {
    if before.is_some() || row.state != ReservationState::Held {
        return Ok(());
    }
    if let Some(at) = commit.told.as_ref().map(|told| told.time(row.organization_id)) {
        hold(row.created_at == at, Invariant::Time, || format!("decided at {at}: {row:?}"))?;
    }
    for leg in &row.legs.0 {
        let start = naive::window(leg.period, row.created_at).map(|start| start.timestamp_micros());
        let text = || format!("made at {}, and holds of another window: {leg:?}", row.created_at);
        hold(start == Some(leg.window), Invariant::Time, text)?;
    }
    Ok(())
}

/// The events of a call are what its client said.
fn events(after: &Rows, name: Name, said: &Said) -> Verdict {
    let row = &after.reservations[&name];
    let none = Arc::default();
    let events = after.events.get(&name).unwrap_or(&none);
    let settled = row.state == ReservationState::Settled;
    let text =
        || format!("events of a call that is not settled, or none of one that is: {row:?}, {events:?}");
    hold(settled != events.is_empty(), Invariant::I7, text)?;
    let numbered = events.iter().enumerate().all(|(n, event)| i32::try_from(n) == Ok(event.attempt));
    hold(numbered, Invariant::I7, || format!("not one event an attempt: {events:?}"))?;
    let Some(attempts) = row.settle_hash.as_ref().and_then(|hash| said.get(hash)) else { return Ok(()) };
    let same = attempts.len() == events.len()
        && attempts.iter().zip(events.iter()).all(|(attempt, event)| {
            let usage = service::meter::usage_of(event);
            (usage.prompt_tokens(), usage.completion_tokens(), event.status)
                == (attempt.usage.prompt_tokens(), attempt.usage.completion_tokens(), attempt.status)
        });
    hold(same, Invariant::I7, || format!("said was {attempts:?}, and the events are {events:?}"))
}

/// Every window has counted what its calls say.
fn counters(after: &Rows) -> Verdict {
    let mut sums: BTreeMap<WindowKey, (i64, i64)> = BTreeMap::new();
    for row in after.reservations.values() {
        for leg in &row.legs.0 {
            let (used, held) = sums.entry(WindowKey::of(leg)).or_default();
            match row.state {
                ReservationState::Settled => *used += leg.used,
                ReservationState::Held => *held += holds(row, leg),
                ReservationState::Voided => {}
            }
        }
    }
    let keys: BTreeSet<&WindowKey> = sums.keys().chain(after.windows.keys()).collect();
    for key in keys {
        let (used, held) = sums.get(key).copied().unwrap_or_default();
        let row = after.windows.get(key).map_or((0, 0), |row| (row.used, row.held));
        hold(row.1 == held, Invariant::I2, || format!("{key:?} holds {}, and its calls hold {held}", row.1))?;
        hold(row.0 == used, Invariant::I3, || format!("{key:?} has used {}, and its calls {used}", row.0))?;
    }
    Ok(())
}

/// What a call holds of a leg, as it is marked.
fn holds(row: &reservation::Model, leg: &entity::ledger::Leg) -> i64 {
    let open = row.state == ReservationState::Held;
    let kept = row.released == 0 || row.released == 1 && leg.metric != Metric::Concurrency;
    if open && kept { leg.held } else { 0 }
}

/// No window goes over the amount of its limit, but for what calls used beyond what they held.
fn amounts(commit: &Commit, changed: &[Name]) -> Verdict {
    let mut excess: BTreeMap<WindowKey, i64> = BTreeMap::new();
    for name in changed {
        let after = &commit.after.reservations[name];
        let before = commit.before.reservations.get(name);
        let at = commit.told.as_ref().map(|told| told.time(name.0));
        for (n, leg) in after.legs.0.iter().enumerate() {
            // What is released in this very batch is free for others before a late settlement adds to what is used.
            let still =
                at.is_none_or(|at| naive::holds(leg.metric, after.expires_at, after.terms.release_after, at));
            // A leg that settling has added, for a model that was not authorized, held nothing.
            let leg_before = before.filter(|_| still).and_then(|row| Some((row, row.legs.0.get(n)?)));
            let held = leg_before.map_or(0, |(row, leg)| holds(row, leg));
            let more = if after.state == ReservationState::Settled { leg.used - held } else { 0 };
            *excess.entry(WindowKey::of(leg)).or_default() += more.max(0);
        }
    }
    for (key, row) in &commit.after.windows {
        let Some(limit) = commit.policy.limits.get(&key.limit).filter(|limit| limit.mode == Mode::Block)
        else {
            continue;
        };
        let counted = row.used - row.adjusted + row.held;
        let before = commit.before.windows.get(key).map_or(0, |row| row.used - row.adjusted + row.held);
        let most = limit.amount.max(before) + excess.get(key).copied().unwrap_or(0);
        let text = || format!("{key:?} counts {counted} of {}, after {before}", limit.amount);
        hold(counted <= most, Invariant::I1, text)?;
    }
    Ok(())
}

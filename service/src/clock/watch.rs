//! [`Watch`]: the clocks of the database and of this instance, watched. Every instance looks at both now and then; one row keeps
//! the last time that any of them has seen. A jump suspends whatever destroys by age, since a wrong clock must not decide
//! what is old; it is also what `doctor` reports.

use super::{Clock, is_step_back};
use crate::{Result, System, db::Db, meter::ledger::Step};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    clock_watch::{Column, Entity, Model},
    org_head,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    sea_query::OnConflict,
};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

/// The id of the only row.
const ONLY: i32 = 1;
/// How far the clock of an instance may be from the database's before people are told.
pub const SKEW: TimeDelta = TimeDelta::seconds(5);
/// A clock that moves by more than this beside the time that has passed has jumped; clocks further apart than this do not
/// know what is old.
pub const JUMP: TimeDelta = TimeDelta::minutes(5);
/// How long nothing is destroyed after a jump.
pub const QUIET: TimeDelta = TimeDelta::hours(24);
/// How long a step of organizations' clocks is one event to the log.
const EPISODE: Duration = Duration::from_mins(10);

/// What this instance knows of the clocks.
#[derive(Debug, Default)]
pub struct Watch {
    /// Microseconds by which the database's clock is ahead of this machine's.
    offset: AtomicI64,
    /// When it was last looked, by the time that passes here and by the database's clock.
    last: Mutex<Option<(Instant, DateTime<Utc>)>>,
    /// When a step was last logged.
    alarmed: Mutex<Option<Instant>>,
    /// The largest step that is not in the row yet.
    stepped: Mutex<Option<TimeDelta>>,
    skewed: AtomicBool,
    suspended: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// The time of the database, without asking it: this machine's, corrected by what was seen last.
    pub fn corrected(&self, clock: &Clock) -> DateTime<Utc> {
        let offset = TimeDelta::microseconds(self.offset.load(Ordering::Relaxed));
        let local = clock.local();
        local.checked_add_signed(offset).unwrap_or(local)
    }

    /// Organizations had decided by a time that was wrong. A clock is that of all of them, so the log says it once.
    pub fn step_back(&self, steps: &[Step]) {
        let Some(Step { organization, from, to }) = steps.first() else { return };
        metrics::counter!("tollkeeper_clock_steps_total").increment(steps.len() as u64);
        let largest = steps.iter().map(|step| step.to.signed_duration_since(step.from)).min();
        {
            let mut stepped = locked(&self.stepped);
            *stepped = stepped.into_iter().chain(largest).min();
        }
        let now = Instant::now();
        let before = locked(&self.alarmed).replace(now);
        if before.is_none_or(|before| now.duration_since(before) > EPISODE) {
            tracing::error!(
                %organization, %from, %to,
                "the database's clock is behind the last decision by more than a minute: it was ahead, or is behind now. \
                 Decisions go on by the clock; check what sets it"
            );
        }
    }

    /// How far the clock has moved beside the time that has passed here.
    fn jump(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let (instant, last) = (Instant::now(), &mut *locked(&self.last));
        let (before, at) = last.replace((instant, now))?;
        let passed = TimeDelta::from_std(instant.duration_since(before)).ok()?;
        Some(now.signed_duration_since(at) - passed)
    }

    /// Takes in how far the clocks are apart.
    fn compare(&self, offset: TimeDelta) {
        self.offset.store(offset.num_microseconds().unwrap_or(0), Ordering::Relaxed);
        metrics::gauge!("tollkeeper_clock_skew_seconds").set(offset.abs().to_std().unwrap_or_default());
        let skewed = offset.abs() > SKEW;
        if skewed && !self.skewed.swap(skewed, Ordering::Relaxed) {
            let ahead = -offset.num_milliseconds();
            tracing::warn!(
                ahead,
                "this machine's clock is that many milliseconds ahead of the database's; correct it"
            );
        }
        self.skewed.store(skewed, Ordering::Relaxed);
    }
}

/// How far the database's clock is ahead of this machine's, and the former. The answer is of some moment between the two
/// readings here.
async fn offset(system: &System) -> Result<(DateTime<Utc>, TimeDelta)> {
    let before = system.clock.local();
    let now = system.clock.now(&system.db.writer).await?;
    let after = system.clock.local();
    let early = now.signed_duration_since(after).max(TimeDelta::zero());
    let late = before.signed_duration_since(now).max(TimeDelta::zero());
    Ok((now, early - late))
}

#[expect(clippy::disallowed_methods, reason = "the installation's own row, which has no tenant")]
async fn read(db: &Db) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(ONLY).one(&db.writer).await?)
}

/// Looks at the clocks.
pub async fn beat(system: &System) -> Result<()> {
    let (now, apart) = offset(system).await?;
    system.watch.compare(apart);
    let here = system.watch.jump(now);
    let before = read(&system.db).await?;
    // A jump and its end between two looks are seen by decisions alone.
    let stepped = *locked(&system.watch.stepped);
    let jump = jump(before.as_ref(), now, here).or(stepped.filter(|step| step.abs() > JUMP));
    if let Some(jump) = jump {
        metrics::counter!("tollkeeper_clock_jumps_total").increment(1);
        let seconds = jump.num_seconds();
        tracing::warn!(
            seconds,
            "the database's clock has jumped, or nothing was running: nothing is removed by age for a day"
        );
    }
    store(system, seen(None, now, jump)).await?;
    let mut waiting = locked(&system.watch.stepped);
    *waiting = waiting.filter(|step| Some(*step) != stepped);
    Ok(())
}

/// How far a clock has jumped that shows this time, by what an instance has seen of it itself, if it has looked before, and by
/// what was seen last by any. Who has just started does not know whether time has passed without any instance, or not.
pub fn jump(before: Option<&Model>, now: DateTime<Utc>, here: Option<TimeDelta>) -> Option<TimeDelta> {
    let since = before.map(|row| now.signed_duration_since(row.seen_at));
    let elsewhere = since.filter(|since| here.is_none() || *since < TimeDelta::zero());
    here.into_iter().chain(elsewhere).max_by_key(TimeDelta::abs).filter(|jump| jump.abs() > JUMP)
}

/// The row after that: a jump that was seen earlier stays until there is another.
pub fn seen(before: Option<&Model>, now: DateTime<Utc>, jump: Option<TimeDelta>) -> Model {
    let earlier = before.and_then(|row| row.jumped_at.zip(row.jumped_seconds));
    let (jumped_at, jumped_seconds) = jump.map(|jump| (now, jump.num_seconds())).or(earlier).unzip();
    Model { id: ONLY, seen_at: now, jumped_at, jumped_seconds }
}

#[expect(clippy::disallowed_methods, reason = "the installation's own row, which has no tenant")]
async fn store(system: &System, row: Model) -> Result<()> {
    // Another instance may have seen a jump meanwhile, which a row without one does not undo.
    let all = [Column::SeenAt, Column::JumpedAt, Column::JumpedSeconds];
    let columns = if row.jumped_at.is_some() { &all[..] } else { &all[..1] };
    let replace = OnConflict::column(Column::Id).update_columns(columns.iter().copied()).to_owned();
    let row = row.into_active_model().reset_all();
    Entity::insert(row).on_conflict(replace).exec_without_returning(&system.db.writer).await?;
    Ok(())
}

/// Whether a clock that shows this time can be trusted about what is old: it has not jumped for a day, and does not stand
/// before what was seen of it.
pub fn is_steady(row: Option<&Model>, now: DateTime<Utc>) -> bool {
    let Some(row) = row else { return true };
    let quiet = row.jumped_at.is_none_or(|at| now.signed_duration_since(at) >= QUIET);
    quiet && row.seen_at.signed_duration_since(now) <= JUMP
}

/// The time by which things may be destroyed because they are old; none while the clocks cannot be trusted about that.
pub async fn time_to_destroy(system: &System) -> Result<Option<DateTime<Utc>>> {
    let (now, apart) = offset(system).await?;
    let row = read(&system.db).await?;
    let stepped = locked(&system.watch.stepped).is_some_and(|step| step.abs() > JUMP);
    let trusted = apart.abs() <= JUMP && !stepped && is_steady(row.as_ref(), now);
    metrics::gauge!("tollkeeper_housekeeping_suspended").set(i32::from(!trusted));
    if !trusted && !system.watch.suspended.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "nothing is removed by age: the clocks have jumped in the last day, or are more than 5 minutes apart"
        );
    }
    system.watch.suspended.store(!trusted, Ordering::Relaxed);
    Ok(trusted.then_some(now))
}

/// What is wrong, or was lately, with the clock of a database that shows this time; empty = nothing.
pub async fn faults(db: &Db, now: DateTime<Utc>) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    if let Some(row) = read(db).await?.filter(|row| !is_steady(Some(row), now)) {
        let jump = match (row.jumped_at, row.jumped_seconds) {
            (Some(at), Some(seconds)) => format!("it jumped by {seconds} s, to {at}"),
            _ => format!("{} was seen already", row.seen_at),
        };
        faults.push(format!("{jump}: nothing is removed by age until it has run evenly for 24 hours"));
    }
    faults.extend(later(db, now).await?);
    Ok(faults)
}

/// Organizations that have decided by a later time than the clock shows.
#[expect(clippy::disallowed_methods, reason = "heads of every tenant, for the operator")]
async fn later(db: &Db, now: DateTime<Utc>) -> Result<Option<String>> {
    let later = org_head::Entity::find().filter(org_head::Column::LastT.gt(now));
    let count = later.clone().count(&db.writer).await?;
    let last = later.order_by_desc(org_head::Column::LastT).one(&db.writer).await?;
    let last = last.map(|head| head.last_t).filter(|last| is_step_back(now, *last));
    Ok(last.map(|last| {
        format!("{count} organizations have decided by a time up to {last}: their next decisions go on by the clock")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::decision_time;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_that_was_wrong_is_not_waited_for() {
        let last = at("2027-01-15T10:01:00Z");
        for (now, expected) in [
            ("2027-01-15T10:02:00Z", "2027-01-15T10:02:00Z"),
            ("2027-01-15T10:00:00Z", "2027-01-15T10:01:00Z"),
            ("2027-01-15T09:59:59.999999Z", "2027-01-15T09:59:59.999999Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("2427-01-15T10:02:00Z", "2427-01-15T10:02:00Z"),
        ] {
            assert_eq!(decision_time(at(now), last), at(expected), "{now}");
        }
    }

    #[test]
    fn instances_agree_on_the_time_of_the_database() {
        let right = at("2027-01-15T10:00:00Z");
        for seconds in [-3600, -7, 0, 7, 3600] {
            let off = TimeDelta::seconds(seconds);
            let (clock, watch) = (Clock::fixed(right + off), Watch::default());
            watch.compare(-off);
            assert_eq!(watch.corrected(&clock), right, "{seconds}");
            assert_eq!(watch.skewed.load(Ordering::Relaxed), seconds.abs() > 5, "{seconds}");
        }
    }

    #[test]
    fn a_clock_is_trusted_a_day_after_its_last_jump() {
        let row = |seen_at: &str, jumped_at: Option<&str>| Model {
            id: ONLY,
            seen_at: at(seen_at),
            jumped_at: jumped_at.map(at),
            jumped_seconds: jumped_at.map(|_| 400),
        };
        let now = at("2027-01-15T10:00:00Z");
        for (row, steady) in [
            (None, true),
            (Some(row("2027-01-15T09:59:00Z", None)), true),
            (Some(row("2027-01-15T10:04:00Z", None)), true),
            (Some(row("2027-01-15T10:06:00Z", None)), false),
            (Some(row("2027-01-15T09:59:00Z", Some("2027-01-14T10:00:01Z"))), false),
            (Some(row("2027-01-15T09:59:00Z", Some("2027-01-14T10:00:00Z"))), true),
            (Some(row("2027-01-15T09:59:00Z", Some("2028-01-14T10:00:00Z"))), false),
        ] {
            assert_eq!(is_steady(row.as_ref(), now), steady, "{row:?}");
        }
    }
}

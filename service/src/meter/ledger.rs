//! [`Ledger`]: windows and reservations as a batch found them, and what its requests make of them, one after the other. Pure:
//! no clock, no database. A request changes everything that it touches, or nothing.

use super::limits::Verdict;
use crate::{Error, Result};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{LimitId, OrganizationId, ReservationId},
    ledger::Leg,
    limit_window, reservation,
    status::{Metric, Mode, ReservationState},
    usage_event, usage_raw,
};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Nothing of what a reservation holds has been released.
pub const NOTHING: i32 = 0;
/// Its place among the open calls has been released.
pub const CONCURRENCY: i32 = 1;
/// Everything has been released.
pub const EVERYTHING: i32 = 2;

/// Usage is recorded of calls that were made from then on: the first month that the ledgers have a partition for.
pub const LEDGER_BEGINS: DateTime<Utc> = match DateTime::from_timestamp(1_793_491_200, 0) {
    Some(begin) => begin,
    None => DateTime::UNIX_EPOCH,
};

/// One window of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowKey {
    /// The limit.
    pub limit: LimitId,
    /// For whom it is counted.
    pub subject: Uuid,
    /// Its first moment.
    pub start: DateTime<Utc>,
}

impl WindowKey {
    /// The window of a leg.
    pub fn of(leg: &Leg) -> Self {
        let start = DateTime::from_timestamp_micros(leg.window).unwrap_or_default();
        Self { limit: leg.limit, subject: leg.subject, start }
    }
}

/// What a window has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// By calls whose use is known.
    pub used: i64,
    /// The worst case of those whose use is not known yet.
    pub held: i64,
    /// What a reset has forgiven.
    pub adjusted: i64,
    /// Calls that a shadow limit would have denied.
    pub would_deny: i64,
}

impl Counters {
    /// What counts against the amount.
    pub fn counted(&self) -> i128 {
        i128::from(self.used) - i128::from(self.adjusted) + i128::from(self.held)
    }
}

/// A window as it was found and as it is.
#[derive(Debug)]
struct Slot {
    organization: OrganizationId,
    counters: Counters,
    changed: bool,
}

/// A reservation as it was found or made.
#[derive(Debug)]
struct Kept {
    row: reservation::Model,
    changed: bool,
}

/// A clock that is so far behind the last decision of an organization that the time of that decision was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The organization.
    pub organization: OrganizationId,
    /// The time of its last decision.
    pub from: DateTime<Utc>,
    /// The time by the clock.
    pub to: DateTime<Utc>,
}

/// What a batch writes of the head of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The time of the batch.
    pub last_t: DateTime<Utc>,
    /// When holds have to be looked through for some to release.
    pub next_release_at: Option<DateTime<Utc>>,
    /// Until when open calls may be of a later time than now.
    pub ahead_until: Option<DateTime<Utc>>,
}

/// What a batch leaves behind, to be written.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Writes {
    /// Windows, each as it is now.
    pub windows: Vec<limit_window::Model>,
    /// Reservations, each as it is now.
    pub reservations: Vec<reservation::Model>,
    /// New events.
    pub events: Vec<usage_event::Model>,
    /// Usage objects of some of these, sealed.
    pub raws: Vec<usage_raw::Model>,
    /// The clock of each organization that something was written of.
    pub heads: BTreeMap<OrganizationId, Tick>,
    /// Organizations whose last decision was of a wrong time, to be noted in their audit logs.
    pub steps: Vec<Step>,
}

impl Writes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
            && self.reservations.is_empty()
            && self.events.is_empty()
            && self.heads.is_empty()
            && self.steps.is_empty()
    }
}

/// The state that a batch decides on.
#[derive(Debug, Default)]
pub struct Ledger {
    windows: HashMap<WindowKey, Slot>,
    reservations: HashMap<(OrganizationId, ReservationId), Kept>,
    events: Vec<usage_event::Model>,
    raws: Vec<usage_raw::Model>,
}

/// How an open call ends.
#[derive(Debug)]
pub struct Closing {
    /// Settled or voided.
    pub state: ReservationState,
    /// Tells a repetition from another settlement.
    pub settle_hash: Option<Vec<u8>>,
    /// When.
    pub at: DateTime<Utc>,
    /// What it used of each leg, in the order of the legs.
    pub used: Vec<i64>,
    /// What its attempts used.
    pub events: Vec<usage_event::Model>,
}

fn overflow() -> Error {
    Error::invalid("/usage", "out_of_range", "a limit cannot count that much")
}

impl Ledger {
    /// Takes in a window that was read; one that is not there has counted nothing.
    pub fn learn_window(&mut self, key: WindowKey, organization: OrganizationId, counters: Counters) {
        self.windows.insert(key, Slot { organization, counters, changed: false });
    }

    /// Takes in a reservation that was read.
    pub fn learn(&mut self, row: reservation::Model) {
        self.reservations.insert((row.organization_id, row.id), Kept { row, changed: false });
    }

    /// What a window has counted.
    pub fn counters(&self, key: &WindowKey) -> Counters {
        self.windows.get(key).map(|slot| slot.counters).unwrap_or_default()
    }

    /// The windows that reservations at hand name.
    pub fn legs(&self) -> impl Iterator<Item = WindowKey> {
        self.reservations.values().flat_map(|kept| kept.row.legs.0.iter().map(WindowKey::of))
    }

    /// A reservation of an organization.
    pub fn reservation(
        &self,
        organization: OrganizationId,
        id: ReservationId,
    ) -> Option<&reservation::Model> {
        self.reservations.get(&(organization, id)).map(|kept| &kept.row)
    }

    /// The events of a reservation that were written in this batch.
    pub fn events(&self, organization: OrganizationId, id: ReservationId) -> Vec<usage_event::Model> {
        let of = |event: &&usage_event::Model| event.organization_id == organization && event.id == id;
        self.events.iter().filter(of).cloned().collect()
    }

    /// Puts an authorized call on the books: every leg is held on its window, or, of a call that is known already, counted.
    pub fn open(&mut self, row: reservation::Model, events: Vec<usage_event::Model>) -> Result<()> {
        let mut changes = Vec::with_capacity(row.legs.0.len());
        for leg in &row.legs.0 {
            let mut counters = self.counters(&WindowKey::of(leg));
            let held = if row.state == ReservationState::Held { leg.held } else { 0 };
            counters.held = counters.held.checked_add(held).ok_or_else(overflow)?;
            counters.used = counters.used.checked_add(leg.used).ok_or_else(overflow)?;
            changes.push((WindowKey::of(leg), counters));
        }
        self.apply(row.organization_id, changes);
        self.events.extend(events);
        self.reservations.insert((row.organization_id, row.id), Kept { row, changed: true });
        Ok(())
    }

    /// Keeps usage objects of events that were written in this batch.
    pub fn keep(&mut self, raws: Vec<usage_raw::Model>) {
        self.raws.extend(raws);
    }

    /// Notes that shadow limits would have denied a call.
    pub fn would_deny<'v>(
        &mut self,
        organization: OrganizationId,
        verdicts: impl Iterator<Item = &'v Verdict>,
    ) {
        let shadows = verdicts.filter(|verdict| verdict.limit.mode == Mode::Shadow && verdict.denies());
        let changes: Vec<_> = shadows
            .filter_map(|verdict| verdict.window)
            .map(|key| {
                let counters = self.counters(&key);
                (key, Counters { would_deny: counters.would_deny.saturating_add(1), ..counters })
            })
            .collect();
        self.apply(organization, changes);
    }

    /// Ends an open call: what it still holds goes from its windows, and what it used is counted, on the windows that were
    /// fixed when it was authorized.
    pub fn close(&mut self, organization: OrganizationId, id: ReservationId, closing: Closing) -> Result<()> {
        let absent = || Error::internal("a reservation that is not there cannot be closed");
        let mut row = self.reservation(organization, id).cloned().ok_or_else(absent)?;
        let mut changes = Vec::with_capacity(row.legs.0.len());
        for (leg, used) in row.legs.0.iter_mut().zip(&closing.used) {
            let mut counters = self.counters(&WindowKey::of(leg));
            counters.held = counters.held.saturating_sub(still_held(row.released, leg)).max(0);
            counters.used = counters.used.checked_add(*used).ok_or_else(overflow)?;
            leg.used = *used;
            changes.push((WindowKey::of(leg), counters));
        }
        row.state = closing.state;
        row.settle_hash = closing.settle_hash;
        row.closed_at = Some(closing.at);
        row.release_at = None;
        self.apply(organization, changes);
        self.events.extend(closing.events);
        self.reservations.insert((organization, id), Kept { row, changed: true });
        Ok(())
    }

    /// Moves the end of an open call, if that is later.
    pub fn extend(
        &mut self,
        organization: OrganizationId,
        id: ReservationId,
        (at, until): (DateTime<Utc>, DateTime<Utc>),
    ) {
        let Some(kept) = self.reservations.get_mut(&(organization, id)) else { return };
        if until > kept.row.expires_at {
            kept.row.expires_at = until;
            kept.row.counted_from = Some(at);
        }
        kept.row.release_at = next_release(&kept.row);
        kept.changed = true;
    }

    /// Open calls whose time is counted from a moment that has yet to come, since a clock was ahead, have the same time from
    /// now on: they neither hold until the clock is there again, nor are over at once. What they hold stays in its windows.
    pub fn rebase(&mut self, at: &BTreeMap<OrganizationId, DateTime<Utc>>) {
        for kept in self.reservations.values_mut() {
            let row = &mut kept.row;
            let from = row.counted_from.unwrap_or(row.created_at);
            let Some(now) = at.get(&row.organization_id).copied() else { continue };
            if row.state != ReservationState::Held || from <= now {
                continue;
            }
            row.expires_at = now.checked_add_signed(row.expires_at - from).unwrap_or(now);
            row.counted_from = Some(now);
            row.release_at = next_release(row);
            kept.changed = true;
        }
    }

    /// Releases what is due of every reservation at hand: a place among the open calls at the call's end, everything else
    /// some time after. Each leg once.
    pub fn release(&mut self, at: &BTreeMap<OrganizationId, DateTime<Utc>>) {
        let due = |kept: &&Kept| {
            let now = at.get(&kept.row.organization_id);
            now.is_some_and(|now| kept.row.release_at.is_some_and(|due| due <= *now))
        };
        let rows: Vec<_> = self.reservations.values().filter(due).map(|kept| kept.row.clone()).collect();
        for mut row in rows {
            let (organization, id) = (row.organization_id, row.id);
            while row.release_at.zip(at.get(&organization)).is_some_and(|(due, now)| due <= *now) {
                self.release_next(&mut row);
            }
            self.reservations.insert((organization, id), Kept { row, changed: true });
        }
    }

    fn release_next(&mut self, row: &mut reservation::Model) {
        let first = row.released == NOTHING && row.legs.0.iter().any(|leg| leg.metric == Metric::Concurrency);
        let next = if first { CONCURRENCY } else { EVERYTHING };
        let mut changes = Vec::new();
        for leg in &row.legs.0 {
            let free = still_held(row.released, leg) - still_held(next, leg);
            if free != 0 {
                let counters = self.counters(&WindowKey::of(leg));
                let held = counters.held.saturating_sub(free).max(0);
                changes.push((WindowKey::of(leg), Counters { held, ..counters }));
            }
        }
        self.apply(row.organization_id, changes);
        row.released = next;
        row.release_at = next_release(row);
    }

    fn apply(&mut self, organization: OrganizationId, changes: Vec<(WindowKey, Counters)>) {
        for (key, counters) in changes {
            let slot = self.windows.entry(key).or_insert(Slot {
                organization,
                counters: Counters::default(),
                changed: false,
            });
            slot.changed |= slot.counters != counters;
            slot.counters = counters;
        }
    }

    /// What has changed, in order, so that batches of several instances touch rows in one order.
    pub fn writes(self) -> Writes {
        let mut windows: Vec<limit_window::Model> = self
            .windows
            .into_iter()
            .filter(|(_, slot)| slot.changed)
            .map(|(key, Slot { organization, counters, .. })| limit_window::Model {
                limit_id: key.limit,
                subject_id: key.subject,
                window_start: key.start,
                organization_id: organization,
                used: counters.used,
                held: counters.held,
                adjusted: counters.adjusted,
                would_deny: counters.would_deny,
            })
            .collect();
        windows.sort_unstable_by_key(|row| (row.limit_id, row.subject_id, row.window_start));
        let changed = self.reservations.into_values().filter(|kept| kept.changed);
        let mut reservations: Vec<_> = changed.map(|kept| kept.row).collect();
        reservations.sort_unstable_by_key(|row| (row.organization_id, row.id));
        let mut events = self.events;
        events.sort_unstable_by_key(|row| (row.organization_id, row.id, row.attempt));
        Writes { windows, reservations, events, raws: self.raws, ..Writes::default() }
    }
}

/// What a leg of an open call still holds, after so much has been released.
fn still_held(released: i32, leg: &Leg) -> i64 {
    match (released, leg.metric) {
        (NOTHING, _) => leg.held,
        (CONCURRENCY, metric) if metric != Metric::Concurrency => leg.held,
        _ => 0,
    }
}

/// When something of an open call is to be released next: its place among the open calls at its end, everything else after
/// the time that its organization gives it.
pub fn next_release(row: &reservation::Model) -> Option<DateTime<Utc>> {
    if row.state != ReservationState::Held || row.released >= EVERYTHING {
        return None;
    }
    let holds = |concurrency: bool| {
        let is = |leg: &Leg| (leg.metric == Metric::Concurrency) == concurrency && leg.held > 0;
        row.legs.0.iter().any(is)
    };
    if row.released == NOTHING && holds(true) {
        return Some(row.expires_at);
    }
    let after = TimeDelta::try_seconds(row.terms.release_after?)?;
    holds(false).then(|| row.expires_at.checked_add_signed(after))?
}

//! [`Flaw`]: the broken variants. Each breaks one promise of the store or of its transactions, and nothing else; the decisions
//! are those of production. A simulation that does not notice one of them would not notice the like in the meter either.

use crate::{
    store::SimTx,
    world::{Effect, Flight, Told, Who},
};
use chrono::{DateTime, Utc};
use entity::{
    id::OrganizationId,
    limit_window, reservation,
    status::{Metric, Period, ReservationState},
    usage_event,
};
use service::{
    limit::window,
    meter::{
        head::Moment,
        ledger::{WindowKey, Writes},
        store::{Credentials, Due, Found, Known, Missing, Named, Parents, Read, Transaction},
    },
    price::names::Mapping,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    Nothing,
    NoLock,
    NoDedup,
    SettledAgain,
    TombstoneMissing,
    WrongWindow,
    LogIgnored,
    PolicyBeforeLock,
    RestoreUnnoticed,
    StartUnnoticed,
    ReleasedTwice,
    ReleasedAtOnce,
    ReleaseForgotten,
    ClockBeforeLock,
    LastTimeIgnored,
    DenialConsumes,
    HeldNotReturned,
    CommitLost,
    LeftOpen,
    NotAtomic,
    OverrunDropped,
    AttemptDropped,
    UnknownFree,
    ClockNeverBack,
    CallsLeftAhead,
    StepUnnoted,
    PrunedByWrongClock,
    AliasIgnored,
    MappingIgnored,
    DisabledAliasLeads,
    DisabledMappingLeads,
}

/// A transaction with a flaw, or none.
#[derive(Debug)]
pub struct Flawed {
    tx: SimTx,
    flaw: Flaw,
    began: DateTime<Utc>,
    asked: BTreeSet<WindowKey>,
    wrote: bool,
}

impl Flawed {
    pub fn new(mut tx: SimTx, flaw: Flaw) -> Self {
        let began = {
            let world = tx.world.get();
            if flaw == Flaw::PolicyBeforeLock {
                let seen = Some((world.policy.clone(), world.heads.clone()));
                drop(world);
                tx.seen = seen;
                tx.world.get().now
            } else {
                world.now
            }
        };
        Self { tx, flaw, began, asked: BTreeSet::new(), wrote: false }
    }

    /// Notes what the meter is told, true or not.
    fn tell(&mut self, moment: &Moment) {
        let mut world = self.tx.world.get();
        let told = Told {
            now: moment.now,
            clock: self.tx.clock,
            last_t: moment.heads.iter().map(|head| (head.organization, head.last_t)).collect(),
            platform: world.platform(),
            commits: world.commits,
        };
        if let Who::Instance(n) = self.tx.who {
            world.looks.insert(n, told.clone());
        }
        drop(world);
        self.tx.told = Some(told);
    }

    /// Whether the connection has stayed in an earlier transaction.
    fn is_within_another(&self) -> bool {
        matches!(self.tx.who, Who::Instance(n) if self.tx.world.get().open.contains(&n))
    }

    /// What a denial must not do.
    fn consume(&self) -> Writes {
        let world = self.tx.world.get();
        let row = |key: &WindowKey| {
            let limit = world.policy.limits.get(&key.limit)?;
            let there = world.rows.windows.get(key).cloned();
            let mut row = there.unwrap_or(limit_window::Model {
                limit_id: key.limit,
                subject_id: key.subject,
                window_start: key.start,
                organization_id: limit.organization_id,
                used: 0,
                held: 0,
                adjusted: 0,
                would_deny: 0,
            });
            row.used += 1;
            Some(row)
        };
        Writes { windows: self.asked.iter().filter_map(row).collect(), ..Writes::default() }
    }

    /// What is written otherwise than it was said to be.
    fn bend(&self, writes: &mut Writes) {
        match self.flaw {
            Flaw::TombstoneMissing => writes.reservations.retain(|row| row.key_id.is_some()),
            Flaw::ReleasedTwice => {
                for row in writes.reservations.iter_mut().filter(|row| row.state == ReservationState::Held) {
                    if row.released > 0 {
                        (row.released, row.release_at) = (0, Some(row.expires_at));
                        if let Some(tick) = writes.heads.get_mut(&row.organization_id) {
                            let (at, next) = (tick.last_t, &mut tick.next_release_at);
                            *next = Some(next.map_or(at, |next| next.min(at)));
                        }
                    }
                }
            }
            Flaw::ReleaseForgotten => writes.heads.values_mut().for_each(|tick| tick.next_release_at = None),
            Flaw::HeldNotReturned => {
                let settles = writes.reservations.iter().any(|row| row.state == ReservationState::Settled);
                let world = self.tx.world.get();
                for row in writes.windows.iter_mut().filter(|_| settles) {
                    let key =
                        WindowKey { limit: row.limit_id, subject: row.subject_id, start: row.window_start };
                    row.held = row.held.max(world.rows.windows.get(&key).map_or(0, |there| there.held));
                }
            }
            Flaw::OverrunDropped => cap(writes),
            Flaw::UnknownFree => forgive(writes),
            Flaw::StepUnnoted => writes.steps.clear(),
            Flaw::AttemptDropped => writes.events.retain(|event| event.attempt == 0),
            _ => {}
        }
    }
}

/// Nothing is used beyond what is held.
fn cap(writes: &mut Writes) {
    let settled = writes.reservations.iter_mut().filter(|row| row.state == ReservationState::Settled);
    for leg in settled.flat_map(|row| &mut row.legs.0) {
        let over = leg.used - leg.held;
        if over > 0 && leg.held > 0 {
            leg.used = leg.held;
            let key = WindowKey::of(leg);
            let own = |row: &&mut limit_window::Model| {
                (row.limit_id, row.subject_id, row.window_start) == (key.limit, key.subject, key.start)
            };
            if let Some(row) = writes.windows.iter_mut().find(own) {
                row.used -= over;
            }
        }
    }
}

/// What cannot be priced is charged to no limit of cost.
fn forgive(writes: &mut Writes) {
    let estimated = |row: &reservation::Model| {
        let own =
            |event: &&usage_event::Model| (event.organization_id, event.id) == (row.organization_id, row.id);
        writes.events.iter().filter(own).any(|event| event.estimated && !event.priced)
    };
    let free: Vec<_> = writes.reservations.iter().filter(|row| estimated(row)).map(|row| row.id).collect();
    let rows = writes.reservations.iter_mut().filter(|row| free.contains(&row.id));
    for leg in rows.flat_map(|row| &mut row.legs.0).filter(|leg| leg.metric == Metric::Cost) {
        let (key, used) = (WindowKey::of(leg), std::mem::take(&mut leg.used));
        let own = |row: &&mut limit_window::Model| {
            (row.limit_id, row.subject_id, row.window_start) == (key.limit, key.subject, key.start)
        };
        if let Some(row) = writes.windows.iter_mut().find(own) {
            row.used -= used;
        }
    }
}

impl Transaction for Flawed {
    async fn lock(&mut self, organizations: &BTreeSet<OrganizationId>) -> Read<()> {
        if self.flaw == Flaw::NoLock {
            return self.tx.point("does not lock").await;
        }
        self.tx.lock(organizations).await
    }

    async fn heads(&mut self, known: &Known) -> Read<Moment> {
        let mut moment = self.tx.heads(known).await?;
        match self.flaw {
            Flaw::ClockBeforeLock => moment.now = self.began,
            Flaw::RestoreUnnoticed | Flaw::StartUnnoticed => moment.started = None,
            // As it once was: the time of the last decision is waited for, however long that takes.
            Flaw::ClockNeverBack => {
                let last = moment.heads.iter().map(|head| head.last_t).max();
                moment.now = last.map_or(moment.now, |last| last.max(moment.now));
            }
            _ => {}
        }
        for head in &mut moment.heads {
            match self.flaw {
                Flaw::LogIgnored => head.changes.clear(),
                Flaw::RestoreUnnoticed => head.tag = 0,
                Flaw::LastTimeIgnored => head.last_t = DateTime::UNIX_EPOCH,
                _ => {}
            }
        }
        self.tell(&moment);
        Ok(moment)
    }

    async fn credentials(&mut self, missing: &Missing) -> Read<Credentials> {
        self.tx.credentials(missing).await
    }

    async fn parents(&mut self, missing: &Parents) -> Read<Found> {
        let mut found = self.tx.parents(missing).await?;
        for connection in &mut found.connections {
            match self.flaw {
                Flaw::MappingIgnored => connection.mappings = Arc::default(),
                Flaw::DisabledMappingLeads => {
                    let all = connection.mappings.iter().cloned();
                    connection.mappings = all.map(|mapping| Mapping { enabled: true, ..mapping }).collect();
                }
                _ => {}
            }
        }
        Ok(found)
    }

    async fn due(&mut self, at: &BTreeMap<OrganizationId, DateTime<Utc>>) -> Read<Due> {
        let mut due = self.tx.due(at).await?;
        if self.flaw == Flaw::ReleasedAtOnce {
            due.rows.iter_mut().for_each(|row| row.terms.release_after = Some(0));
        }
        Ok(due)
    }

    async fn reservations(&mut self, named: &Named) -> Read<Vec<reservation::Model>> {
        let mut rows = self.tx.reservations(named).await?;
        match self.flaw {
            Flaw::NoDedup => rows.clear(),
            Flaw::SettledAgain => {
                for row in rows.iter_mut().filter(|row| row.state == ReservationState::Settled) {
                    (row.state, row.settle_hash, row.closed_at) = (ReservationState::Held, None, None);
                }
            }
            Flaw::WrongWindow => {
                let now = self.tx.told.as_ref().map_or(self.began, |told| told.now);
                let legs = rows.iter_mut().flat_map(|row| &mut row.legs.0);
                for leg in legs.filter(|leg| leg.period != Period::Total) {
                    leg.window = window::start(leg.period, now).timestamp_micros();
                }
            }
            _ => {}
        }
        Ok(rows)
    }

    async fn later(
        &mut self,
        organization: OrganizationId,
        at: DateTime<Utc>,
    ) -> Read<Vec<reservation::Model>> {
        let rows = self.tx.later(organization, at).await?;
        Ok(if self.flaw == Flaw::CallsLeftAhead { Vec::new() } else { rows })
    }

    async fn events(&mut self, named: &Named) -> Read<Vec<usage_event::Model>> {
        self.tx.events(named).await
    }

    async fn windows(&mut self, keys: &BTreeSet<WindowKey>) -> Read<Vec<limit_window::Model>> {
        self.asked.clone_from(keys);
        self.tx.windows(keys).await
    }

    async fn write(&mut self, writes: &Writes) -> Read<()> {
        self.wrote = true;
        let mut writes = writes.clone();
        self.bend(&mut writes);
        if self.flaw == Flaw::SettledAgain {
            // The events are there: without this, the constraint on them would save the day.
            let world = self.tx.world.get();
            writes.events.retain(|event| !world.rows.events.contains_key(&(event.organization_id, event.id)));
        }
        if self.flaw == Flaw::NotAtomic {
            let windows = Writes { windows: std::mem::take(&mut writes.windows), ..Writes::default() };
            let (who, effect, told) = (self.tx.who, Effect::Batch(windows), None);
            self.tx.world.get().apply(Flight { who, effect, told }, false);
        }
        self.tx.write(&writes).await
    }

    async fn commit(mut self) -> Read<()> {
        let unlucky = self.flaw == Flaw::CommitLost && self.tx.world.get().dice.one_in(4);
        if unlucky || self.is_within_another() {
            return self.tx.pretend().await;
        }
        if self.flaw == Flaw::DenialConsumes && !self.wrote {
            *self.tx.written() = self.consume();
        }
        let (world, who) = (self.tx.world.clone(), self.tx.who);
        let outcome = self.tx.commit().await;
        if let (Flaw::LeftOpen, Err(_), Who::Instance(n)) = (self.flaw, &outcome, who) {
            // The connection goes on being used within a transaction that nobody ends.
            world.get().open.insert(n);
        }
        outcome
    }
}

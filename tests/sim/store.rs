//! [`Db`]: the simulated database as the meter sees it. Every call waits at least once, where the scheduler may do something
//! else, crash the instance, or let the call fail; a commit fails, or succeeds and is said to have failed.

use crate::{
    flaw::{Flaw, Flawed},
    policy::Policy,
    world::{Effect, Flight, HeadRow, Shared, Told, Who, World},
};
use chrono::{DateTime, Utc};
use entity::{
    id::{OrganizationId, ReservationId},
    limit_window, reservation,
    status::{PriceGuess, ReservationState},
    usage_event,
};
use sea_orm::{DbErr, RuntimeErr};
use service::{
    Error, Result,
    meter::{
        head::{Head, Moment},
        ledger::{Step as StepBack, WindowKey, Writes},
        store::{Credentials, Due, Found, Known, LATER, Missing, Named, Parents, Read, Store, Transaction},
    },
    price::resolve::Prices,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

/// Waits once: the scheduler goes on with whatever it likes.
#[derive(Debug, Default)]
pub struct Step(bool);

impl Future for Step {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A connection of one instance.
#[derive(Debug, Clone)]
pub struct Db {
    pub world: Shared,
    pub instance: usize,
    pub flaw: Flaw,
}

/// A transaction of the simulated database.
#[derive(Debug)]
pub struct SimTx {
    pub world: Shared,
    pub who: Who,
    pub told: Option<Told>,
    /// The time that the clock showed when the heads were read.
    pub clock: DateTime<Utc>,
    /// The policy of an earlier moment, where a flaw has it that way.
    pub seen: Option<(Arc<Policy>, BTreeMap<OrganizationId, HeadRow>)>,
    id: u64,
    started: DateTime<Utc>,
    reads: bool,
    writes: Writes,
    flying: bool,
    over: bool,
}

impl Db {
    fn transaction(&self, reads: bool) -> SimTx {
        SimTx::new(&self.world, Who::Instance(self.instance), reads)
    }
}

impl Store for Db {
    type Transaction = Flawed;

    async fn begin(&self) -> Read<Flawed> {
        let tx = self.transaction(false);
        tx.point("begins").await?;
        Ok(Flawed::new(tx, self.flaw))
    }

    fn look(&self) -> Flawed {
        Flawed::new(self.transaction(true), self.flaw)
    }

    fn remembered(&self, moment: &Moment, organization: OrganizationId) -> Option<Prices> {
        let forgotten = self.world.get().dice.one_in(5);
        (!forgotten).then(|| self.current(moment, organization).ok()).flatten()
    }

    async fn prices(&self, moment: &Moment, organization: OrganizationId) -> Result<Prices> {
        Step::default().await;
        self.current(moment, organization)
    }

    fn id(&self, at: DateTime<Utc>) -> ReservationId {
        let mut world = self.world.get();
        let panics = !world.calm && world.dice.one_in(300);
        let id = ReservationId::new(world.dice.timed(at.timestamp_millis()));
        drop(world);
        if panics {
            self.world.note(|| format!("instance {} panics while it decides", self.instance));
            resume_unwind(Box::new("a decision panics"));
        }
        id
    }

    fn alarm(&self, steps: &[StepBack]) {
        self.world.note(|| format!("the clock was wrong: {steps:?}"));
    }
}

impl Db {
    fn current(&self, moment: &Moment, organization: OrganizationId) -> Result<Prices> {
        let world = self.world.get();
        let absent = || Error::NotFound("organization");
        let tenant = world.policy.tenants.get(&organization).ok_or_else(absent)?;
        let book = |id: OrganizationId| match self.flaw {
            Flaw::AliasIgnored => Arc::new(world.policy.book(id, |_| None)),
            Flaw::DisabledAliasLeads => Arc::new(world.policy.book(id, |_| Some(true))),
            _ => world.policy.books.get(&id).cloned().unwrap_or_default(),
        };
        Ok(Prices {
            organization: book(organization),
            platform: book(OrganizationId::PLATFORM),
            unpriced_policy: tenant.unpriced,
            price_guess: PriceGuess::Flag,
            now: moment.now,
        })
    }
}

impl SimTx {
    pub fn new(world: &Shared, who: Who, reads: bool) -> Self {
        let (id, started) = {
            let mut world = world.get();
            (world.begin(), world.started)
        };
        let (told, seen, writes) = (None, None, Writes::default());
        let clock = DateTime::UNIX_EPOCH;
        Self {
            world: world.clone(),
            who,
            told,
            clock,
            seen,
            id,
            started,
            reads,
            writes,
            flying: false,
            over: false,
        }
    }

    /// A point at which anything may happen.
    pub async fn point(&self, what: &'static str) -> Read<()> {
        Step::default().await;
        let mut world = self.world.get();
        if world.started != self.started {
            return Err(world.dice.lost_connection());
        }
        let fails = !world.calm && world.dice.one_in(120);
        let end = if fails { " and fails" } else { "" };
        world.note(|| format!("{:?} tx {} {what}{end}", self.who, self.id));
        let panics = !fails && !world.calm && matches!(self.who, Who::Instance(_)) && world.dice.one_in(1500);
        if panics {
            drop(world);
            self.world.note(|| format!("tx {} panics", self.id));
            resume_unwind(Box::new("a batch panics"));
        }
        if fails {
            let mended = world.dice.one_in(6).then(|| DbErr::Custom("no partition of relation".into()));
            return Err(mended.unwrap_or_else(|| world.dice.lost_connection()));
        }
        Ok(())
    }

    fn policy(&self) -> Arc<Policy> {
        self.seen.as_ref().map_or_else(|| self.world.get().policy.clone(), |(policy, _)| policy.clone())
    }

    /// What the transaction does, known to have been done or not.
    pub async fn finish(mut self, effect: Effect) -> Read<()> {
        self.point("commits").await?;
        let flight = Flight { who: self.who, effect, told: self.told.clone() };
        let mut flight = Some(flight);
        let luck = {
            let mut world = self.world.get();
            if world.calm { 99 } else { world.dice.below(30) }
        };
        if luck < 6 {
            // The commit is on its way; whoever gives it up now does not know what becomes of it.
            if let Some(Flight { who, effect: Effect::Batch(writes), told }) = flight {
                (self.writes, self.flying) = (writes, true);
                Step::default().await;
                self.flying = false;
                let writes = std::mem::take(&mut self.writes);
                flight = Some(Flight { who, effect: Effect::Batch(writes), told });
            }
        }
        let Some(flight) = flight else { return Ok(()) };
        let mut world = self.world.get();
        if world.started != self.started {
            return Err(world.dice.lost_connection());
        }
        self.over = true;
        match luck {
            0 => {
                world.note(|| format!("tx {}: the reply is lost, it may be committed later", self.id));
                world.abandon(self.id, Some(flight));
                Err(world.dice.lost_connection())
            }
            1 => {
                world.note(|| format!("tx {} is committed, and the reply is lost", self.id));
                world.apply(flight, false);
                world.release(self.id);
                Err(world.dice.lost_connection())
            }
            2 => {
                world.note(|| format!("tx {}: the commit fails, and nothing is kept", self.id));
                world.release(self.id);
                Err(DbErr::Exec(RuntimeErr::Internal("the disk is full".into())))
            }
            _ => {
                world.note(|| format!("tx {} is committed", self.id));
                world.apply(flight, true);
                world.release(self.id);
                Ok(())
            }
        }
    }

    /// Ends without any effect, though it says otherwise.
    pub async fn pretend(mut self) -> Read<()> {
        self.point("commits").await?;
        self.over = true;
        self.world.get().release(self.id);
        Ok(())
    }

    /// What is to be written when it commits.
    pub fn written(&mut self) -> &mut Writes {
        &mut self.writes
    }

    fn head(&self, world: &World, organization: OrganizationId, known: Option<i64>) -> Option<Head> {
        let now = world.heads.get(&organization)?;
        let row = self.seen.as_ref().map_or(Some(now), |(_, heads)| heads.get(&organization))?;
        let since = known.unwrap_or(i64::MAX - 256);
        let near = row.version <= since.saturating_add(256);
        let later = row.log.iter().filter(|(version, ..)| *version > since && near);
        Some(Head {
            organization,
            version: row.version,
            tag: row.tag,
            floor: row.floor,
            since,
            changes: later.map(|(_, kind, subject)| (*kind, *subject)).collect(),
            last_t: now.last_t,
            next_release_at: now.next_release,
            ahead_until: now.ahead_until,
        })
    }
}

impl Drop for SimTx {
    fn drop(&mut self) {
        if self.over || self.reads {
            return;
        }
        let mut world = self.world.get();
        if world.started != self.started {
            return;
        }
        let writes = std::mem::take(&mut self.writes);
        let flight = self.flying.then(|| Flight {
            who: self.who,
            effect: Effect::Batch(writes),
            told: self.told.clone(),
        });
        world.abandon(self.id, flight);
    }
}

impl Transaction for SimTx {
    async fn lock(&mut self, organizations: &BTreeSet<OrganizationId>) -> Read<()> {
        self.point("locks").await?;
        for organization in organizations {
            while !self.world.get().lock(*organization, self.id) {
                Step::default().await;
                let mut world = self.world.get();
                // Whoever waits too long for a lock is told so.
                if world.started != self.started || (!world.calm && world.dice.one_in(200)) {
                    return Err(world.dice.lost_connection());
                }
            }
        }
        self.world.note(|| format!("{:?} tx {} has its locks", self.who, self.id));
        Ok(())
    }

    async fn heads(&mut self, known: &Known) -> Read<Moment> {
        self.point("reads heads").await?;
        let world = self.world.get();
        let heads = known.iter().filter_map(|(id, version)| self.head(&world, *id, *version)).collect();
        let (now, started) = (world.now, Some(world.started));
        drop(world);
        self.clock = now;
        Ok(Moment { began: Instant::now(), now, started, heads })
    }

    async fn credentials(&mut self, missing: &Missing) -> Read<Credentials> {
        self.point("reads keys").await?;
        Ok(self.policy().credentials(missing))
    }

    async fn parents(&mut self, missing: &Parents) -> Read<Found> {
        self.point("reads policy").await?;
        Ok(self.policy().parents(missing))
    }

    async fn due(&mut self, at: &BTreeMap<OrganizationId, DateTime<Utc>>) -> Read<Due> {
        self.point("reads what is due").await?;
        let world = self.world.get();
        let mut due = Due::default();
        for (organization, at) in at {
            let own = world.rows.reservations.values().filter(|row| row.organization_id == *organization);
            let (now, later): (Vec<_>, Vec<_>) =
                own.filter(|row| row.release_at.is_some()).partition(|row| row.release_at <= Some(*at));
            due.rows.extend(now.into_iter().map(|row| reservation::Model::clone(row)));
            due.next.insert(*organization, later.into_iter().filter_map(|row| row.release_at).min());
        }
        Ok(due)
    }

    async fn later(
        &mut self,
        organization: OrganizationId,
        at: DateTime<Utc>,
    ) -> Read<Vec<reservation::Model>> {
        self.point("reads calls of a later time").await?;
        let world = self.world.get();
        let later = |row: &&Arc<reservation::Model>| {
            row.organization_id == organization
                && row.state == ReservationState::Held
                && row.counted_from.unwrap_or(row.created_at) > at
        };
        let rows = world.rows.reservations.values().filter(later);
        Ok(rows.map(|row| reservation::Model::clone(row)).take(LATER).collect())
    }

    async fn reservations(&mut self, named: &Named) -> Read<Vec<reservation::Model>> {
        self.point("reads reservations").await?;
        let world = self.world.get();
        let found = named.iter().filter_map(|name| world.rows.reservations.get(name));
        Ok(found.map(|row| reservation::Model::clone(row)).collect())
    }

    async fn events(&mut self, named: &Named) -> Read<Vec<usage_event::Model>> {
        self.point("reads events").await?;
        let world = self.world.get();
        let found = named.iter().filter_map(|name| world.rows.events.get(name));
        Ok(found.flat_map(|events| events.iter().cloned()).collect())
    }

    async fn windows(&mut self, keys: &BTreeSet<WindowKey>) -> Read<Vec<limit_window::Model>> {
        self.point("reads windows").await?;
        let world = self.world.get();
        Ok(keys.iter().filter_map(|key| world.rows.windows.get(key)).cloned().collect())
    }

    async fn write(&mut self, writes: &Writes) -> Read<()> {
        self.point("writes").await?;
        let world = self.world.get();
        let twice = |event: &usage_event::Model| {
            let there = world.rows.events.get(&(event.organization_id, event.id));
            there.is_some_and(|events| events.iter().any(|other| other.attempt == event.attempt))
        };
        let refused = |row: &reservation::Model| row.terms.project.as_deref() == Some("poison");
        if self.reads || writes.events.iter().any(twice) || writes.reservations.iter().any(refused) {
            return Err(DbErr::Custom("a constraint is violated".into()));
        }
        drop(world);
        self.writes = writes.clone();
        Ok(())
    }

    async fn commit(mut self) -> Read<()> {
        let writes = std::mem::take(&mut self.writes);
        self.finish(Effect::Batch(writes)).await
    }
}

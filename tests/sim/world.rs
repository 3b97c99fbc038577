//! [`World`]: the simulated database and its clock. What is committed is here; so are the locks, and connections that are
//! dead to their instances while the database still works for them. Whatever is committed is kept as a [`Commit`] until
//! it has been judged.

use crate::{dice::Dice, policy::Policy};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    clock_watch,
    id::{OrganizationId, ReservationId},
    limit_window, reservation, usage_event,
};
use service::{
    clock::watch,
    head::PolicyKind,
    meter::ledger::{Step, Tick, WindowKey, Writes},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// A reservation of an organization.
pub type Name = (OrganizationId, ReservationId);

/// What the meter writes.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub windows: BTreeMap<WindowKey, limit_window::Model>,
    pub reservations: BTreeMap<Name, Arc<reservation::Model>>,
    pub events: BTreeMap<Name, Arc<Vec<usage_event::Model>>>,
}

/// The head of an organization.
#[derive(Debug, Clone)]
pub struct HeadRow {
    pub version: i64,
    pub tag: i64,
    pub floor: i64,
    pub log: Vec<(i64, PolicyKind, Uuid)>,
    pub last_t: DateTime<Utc>,
    pub next_release: Option<DateTime<Utc>>,
    pub ahead_until: Option<DateTime<Utc>>,
}

/// What a batch was told when it read the heads, and when that was.
#[derive(Debug, Clone)]
pub struct Told {
    pub now: DateTime<Utc>,
    /// The time that the clock really showed.
    pub clock: DateTime<Utc>,
    pub last_t: BTreeMap<OrganizationId, DateTime<Utc>>,
    /// The version of the platform's policy, which a batch does not lock.
    pub platform: (i64, i64),
    /// Commits before that moment.
    pub commits: u64,
}

impl Told {
    /// The time that a batch decides by.
    pub fn time(&self, organization: OrganizationId) -> DateTime<Utc> {
        let waits = |last: &&DateTime<Utc>| **last - self.now <= TimeDelta::minutes(1);
        self.last_t.get(&organization).filter(waits).map_or(self.now, |last| self.now.max(*last))
    }
}

/// What a transaction does when it commits.
#[derive(Debug)]
pub enum Effect {
    /// Writes of the meter.
    Batch(Writes),
    /// A change of the policy of an organization, or of the platform, with what the log says of it.
    Edit(OrganizationId, Box<Policy>, Vec<(OrganizationId, PolicyKind, Uuid)>),
    /// A window whose use is forgiven.
    Forgive(WindowKey),
}

/// Who committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Instance(usize),
    Admin,
}

/// What was committed.
#[derive(Debug)]
pub struct Commit {
    pub who: Who,
    /// Whether the instance knows.
    pub known: bool,
    pub told: Option<Told>,
    pub before: Arc<Rows>,
    pub after: Arc<Rows>,
    pub policy: Arc<Policy>,
    /// The time of each organization's last decision before.
    pub last_t: BTreeMap<OrganizationId, DateTime<Utc>>,
    /// The lowest that the clock was since each organization's last commit before.
    pub since: BTreeMap<OrganizationId, DateTime<Utc>>,
    /// Whether the platform's policy was the same from the reading of the heads on.
    pub steady: bool,
    /// Clocks that were wrong, as it was noted.
    pub steps: Vec<Step>,
}

/// A connection that is dead to its instance.
#[derive(Debug)]
struct Limbo {
    id: u64,
    flight: Option<Flight>,
}

/// A commit that is on its way.
#[derive(Debug)]
pub struct Flight {
    pub who: Who,
    pub effect: Effect,
    pub told: Option<Told>,
}

/// The simulated database.
#[derive(Debug)]
pub struct World {
    pub dice: Dice,
    /// Nothing fails any more.
    pub calm: bool,
    pub now: DateTime<Utc>,
    /// How far the clock is ahead of the right time, and how far it has jumped since an instance looked.
    pub ahead: TimeDelta,
    pub drift: TimeDelta,
    /// When an instance last looked after a jump, and what instances have seen of the clock.
    pub shaken: DateTime<Utc>,
    pub watch: clock_watch::Model,
    /// The lowest that the clock was since each organization's last commit, which was no earlier than this.
    pub since: BTreeMap<OrganizationId, DateTime<Utc>>,
    pub started: DateTime<Utc>,
    pub policy: Arc<Policy>,
    /// Earlier contents of the policy, with the heads that went with them.
    pub backups: Vec<(Arc<Policy>, BTreeMap<OrganizationId, HeadRow>)>,
    pub heads: BTreeMap<OrganizationId, HeadRow>,
    pub rows: Arc<Rows>,
    pub commits: u64,
    pub fresh: Vec<Commit>,
    /// What batches that only look were told, by instance.
    pub looks: BTreeMap<usize, Told>,
    /// Instances whose connection has stayed in a transaction, where a flaw has it that way: nothing is kept of what they commit.
    pub open: BTreeSet<usize>,
    pub trace: Option<Vec<String>>,
    locks: BTreeMap<OrganizationId, u64>,
    limbo: Vec<Limbo>,
    transactions: u64,
}

/// All instances share one database.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub fn get(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what happens, if anybody wants to know.
    pub fn note(&self, text: impl FnOnce() -> String) {
        self.get().note(text);
    }
}

impl World {
    pub fn new(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        // From the turn of the year 2026 on, some years long, mostly next to the end of something.
        let begin = DateTime::from_timestamp(1_798_761_600 - 5, 0).unwrap();
        let now = begin + TimeDelta::seconds(dice.between(0, 1_000_000));
        Self {
            dice,
            calm: false,
            now,
            ahead: TimeDelta::zero(),
            drift: TimeDelta::zero(),
            shaken: begin - TimeDelta::days(10),
            watch: watch::seen(None, now, None),
            since: BTreeMap::new(),
            started: begin,
            policy: Arc::default(),
            backups: Vec::new(),
            heads: BTreeMap::new(),
            rows: Arc::default(),
            commits: 0,
            fresh: Vec::new(),
            looks: BTreeMap::new(),
            open: BTreeSet::new(),
            trace: traced.then(Vec::new),
            locks: BTreeMap::new(),
            limbo: Vec::new(),
            transactions: 0,
        }
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(text());
        }
    }

    /// A new head, as that of a new organization.
    pub fn open(&mut self, organization: OrganizationId) {
        let tag = self.dice.bits().cast_signed();
        let (log, last_t) = (Vec::new(), DateTime::UNIX_EPOCH);
        self.heads.insert(
            organization,
            HeadRow { version: 0, tag, floor: 0, log, last_t, next_release: None, ahead_until: None },
        );
    }

    /// The version and the tag of the platform's policy.
    pub fn platform(&self) -> (i64, i64) {
        self.heads.get(&OrganizationId::PLATFORM).map_or((0, 0), |head| (head.version, head.tag))
    }

    /// The name of a new transaction.
    pub fn begin(&mut self) -> u64 {
        self.transactions += 1;
        self.transactions
    }

    /// Takes the lock of a head, if nobody has it.
    pub fn lock(&mut self, organization: OrganizationId, id: u64) -> bool {
        *self.locks.entry(organization).or_insert(id) == id
    }

    /// Lets the locks of a transaction go.
    pub fn release(&mut self, id: u64) {
        self.locks.retain(|_, holder| *holder != id);
    }

    /// What becomes of a transaction whose instance has given it up: it ends at once, or the database notices later. A commit
    /// that is on its way may still be carried out.
    pub fn abandon(&mut self, id: u64, flight: Option<Flight>) {
        if flight.is_some() || (!self.calm && self.dice.one_in(3)) {
            self.note(|| format!("tx {id} is left behind"));
            self.limbo.push(Limbo { id, flight });
        } else {
            self.release(id);
        }
    }

    /// The database notices that a connection is dead; whether there was one.
    pub fn notice(&mut self) -> bool {
        if self.limbo.is_empty() {
            return false;
        }
        let which = self.dice.below(self.limbo.len());
        let Limbo { id, flight } = self.limbo.swap_remove(which);
        match flight {
            Some(flight) if self.dice.one_in(2) => {
                self.note(|| format!("tx {id}, left behind, is committed"));
                self.apply(flight, false);
            }
            _ => self.note(|| format!("tx {id}, left behind, is undone")),
        }
        self.release(id);
        true
    }

    /// Every connection is lost, and what was not committed.
    pub fn restart(&mut self) {
        self.locks.clear();
        self.limbo.clear();
        self.open.clear();
        self.started += TimeDelta::seconds(1);
    }

    /// Carries out a commit.
    pub fn apply(&mut self, flight: Flight, known: bool) {
        let Flight { who, effect, told } = flight;
        let (before, policy) = (self.rows.clone(), self.policy.clone());
        let last_t = self.heads.iter().map(|(id, head)| (*id, head.last_t)).collect();
        let since = self.since.clone();
        let told_of = told.iter().flat_map(|told| told.last_t.keys());
        self.since.extend(told_of.map(|id| (*id, self.now)));
        let steps = if let Effect::Batch(writes) = &effect { writes.steps.clone() } else { Vec::new() };
        let steady = told.as_ref().is_some_and(|told| told.platform == self.platform());
        match effect {
            Effect::Batch(writes) => self.write(&writes),
            Effect::Edit(home, next, changes) => self.edit(home, *next, &changes),
            Effect::Forgive(key) => {
                if let Some(row) = Arc::make_mut(&mut self.rows).windows.get_mut(&key) {
                    row.adjusted = row.used;
                }
            }
        }
        self.commits += 1;
        let after = self.rows.clone();
        self.fresh.push(Commit { who, known, told, before, after, policy, last_t, since, steady, steps });
    }

    /// What a batch writes, as the database does it: rows that are there keep what is not written again.
    fn write(&mut self, writes: &Writes) {
        let rows = Arc::make_mut(&mut self.rows);
        for row in &writes.windows {
            let key = WindowKey { limit: row.limit_id, subject: row.subject_id, start: row.window_start };
            let there = rows.windows.entry(key).or_insert_with(|| row.clone());
            (there.used, there.held, there.would_deny) = (row.used, row.held, row.would_deny);
        }
        for row in &writes.reservations {
            let name = (row.organization_id, row.id);
            let next = match rows.reservations.get(&name) {
                None => row.clone(),
                Some(there) => reservation::Model {
                    state: row.state,
                    settle_hash: row.settle_hash.clone(),
                    legs: row.legs.clone(),
                    released: row.released,
                    expires_at: row.expires_at,
                    release_at: row.release_at,
                    closed_at: row.closed_at,
                    counted_from: row.counted_from,
                    ..reservation::Model::clone(there)
                },
            };
            rows.reservations.insert(name, Arc::new(next));
        }
        for event in &writes.events {
            let name = (event.organization_id, event.id);
            Arc::make_mut(rows.events.entry(name).or_default()).push(event.clone());
        }
        for (organization, tick) in &writes.heads {
            let Tick { last_t, next_release_at, ahead_until } = *tick;
            if let Some(head) = self.heads.get_mut(organization) {
                (head.last_t, head.next_release, head.ahead_until) = (last_t, next_release_at, ahead_until);
            }
        }
    }

    /// A change of policy. What is not to be read anew bumps nothing: a new key.
    fn edit(&mut self, home: OrganizationId, next: Policy, changes: &[(OrganizationId, PolicyKind, Uuid)]) {
        if self.dice.one_in(3) {
            self.backups.push((self.policy.clone(), self.heads.clone()));
        }
        self.policy = Arc::new(self.policy.merged(next, home));
        let organizations: BTreeSet<_> = changes.iter().map(|(id, ..)| *id).collect();
        for organization in organizations {
            let tag = self.dice.bits().cast_signed();
            let prune = self.dice.one_in(12);
            let Some(head) = self.heads.get_mut(&organization) else { continue };
            head.version += 1;
            head.tag = tag;
            let own = changes.iter().filter(|(id, ..)| *id == organization);
            head.log.extend(own.map(|(_, kind, subject)| (head.version, *kind, *subject)));
            if prune {
                let floor = head.version - 2;
                head.log.retain(|(version, ..)| *version > floor);
                head.floor = head.floor.max(floor);
            }
        }
    }

    /// The policy is that of an earlier backup; the database was started anew. Before any instance asks again, something may be
    /// changed and changed back, so that a version that was known is reached once more, with another past.
    pub fn restore(&mut self) {
        if self.backups.is_empty() {
            return;
        }
        let which = self.dice.below(self.backups.len());
        let (policy, heads) = self.backups[which].clone();
        self.restart();
        // Books of prices stay: what was charged names them.
        let Policy { prices, aliases, books, .. } = &*self.policy;
        self.policy = Arc::new(Policy {
            prices: prices.clone(),
            aliases: aliases.clone(),
            books: books.clone(),
            ..Policy::clone(&policy)
        });
        for (organization, old) in heads {
            let (tag, more) = (self.dice.bits().cast_signed(), self.dice.between(0, 3));
            let Some(head) = self.heads.get_mut(&organization) else { continue };
            let (last_t, next_release, ahead_until) = (head.last_t, head.next_release, head.ahead_until);
            *head = HeadRow { tag, last_t, next_release, ahead_until, ..old };
            for _ in 0..more {
                head.version += 1;
                head.log.push((head.version, PolicyKind::Organization, organization.uuid()));
            }
        }
        self.commits += 1;
        self.note(|| "the policy is restored from a backup".into());
    }
}

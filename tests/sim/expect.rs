//! [`Expect`]: what must be answered to the requests of one batch, one after the other, and what must be on the books after it.

use crate::{
    instance::Sent,
    naive::{self, Booked, Part, Worst, Worth},
    names::{self, together},
    outcome::{Fact, Outcome, post},
    policy::{KeyRow, Lock, Policy},
    world::{Name, Rows, Told},
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{OrganizationId, ReservationId},
    status::{Metric, ReservationState, UsageOrigin},
};
use service::{
    cost::Usage,
    meter::{
        Asker, Call, Question, Task,
        command::{Attempt, Command, Naming},
        facts::Limit,
        ledger::{LEDGER_BEGINS, WindowKey},
    },
};
use std::collections::BTreeMap;

/// What comes of a request, or the code that it is refused with.
type Ruling<T> = Result<T, &'static str>;

/// The naive books of one batch.
#[derive(Debug)]
pub struct Expect<'c> {
    pub policy: &'c Policy,
    pub before: &'c Rows,
    pub told: &'c Told,
    /// What has become of calls in this batch.
    pub booked: BTreeMap<Name, Booked>,
    /// New events.
    pub facts: BTreeMap<Name, Vec<Fact>>,
    /// Calls that shadow limits would have denied.
    pub would_deny: BTreeMap<WindowKey, i64>,
}

impl Expect<'_> {
    /// What must be answered. Of a call whose id is made by the server, the answer says which one it is.
    pub fn answer(&mut self, sent: &Sent, actual: &Outcome) -> Outcome {
        let said = match &sent.task {
            Task::Look(question) => self.look(question, sent.home),
            Task::Do(Command::Authorize { question, reservation, seconds, print }) => {
                let id = match (reservation, actual) {
                    (Some(id), _) | (None, Outcome::Authorized(id)) => Some(*id),
                    _ => None,
                };
                self.authorize((question, sent.home), (id, reservation.is_some()), *seconds, print)
            }
            Task::Do(Command::Count(question)) => self.count((question, sent.home), actual),
            Task::Do(Command::Settle(naming, attempts, print)) => self.settle(naming, attempts, print),
            Task::Do(Command::Void(naming)) => self.void(naming),
            Task::Do(Command::Extend(naming, seconds)) => self.extend(naming, *seconds),
            Task::Do(Command::Report { question, reservation, attempts, print }) => {
                let id = match (reservation, actual) {
                    (Some(id), _) | (None, Outcome::Settled(id)) => *id,
                    _ => ReservationId::new(uuid::Uuid::nil()),
                };
                self.report((question, sent.home), (id, reservation.is_some()), attempts, print)
            }
        };
        said.unwrap_or_else(|code| Outcome::Fault(code.into()))
    }

    fn row(&self, name: Name) -> Option<Booked> {
        let at = self.told.time(name.0);
        let there = || self.before.reservations.get(&name).map(|row| Booked::of(row).at(at));
        self.booked.get(&name).cloned().or_else(there)
    }

    /// The key that somebody asks about, if it exists for them. Refused is who may not ask.
    fn key<'s>(
        &'s self,
        question: &Question,
        home: OrganizationId,
    ) -> Ruling<Option<(&'s KeyRow, Option<&'s Lock>)>> {
        let token = match &question.asker {
            Asker::Gateway(gateway) => Some(naive::admit(self.policy, gateway, self.told.time(home))?),
            _ => None,
        };
        let found = naive::proved(self.policy, &question.key).filter(|(key, _)| match &question.asker {
            Asker::Gateway(_) => token.is_some_and(|row| naive::reaches(row, key.organization, key.team())),
            Asker::Key => true,
            Asker::Administrator(own) => *own == key.organization,
        });
        Ok(found)
    }

    fn look(&self, question: &Question, home: OrganizationId) -> Ruling<Outcome> {
        let Some((key, lock)) = self.key(question, home)? else {
            return Ok(Outcome::Decided(false, BTreeMap::new()));
        };
        let at = self.told.time(key.organization);
        let may = naive::may(self.policy, key, lock, (&question.asker, &question.call), at);
        let worst = naive::worst(self.policy, key, &question.call, at);
        let own = matches!(question.asker, Asker::Key);
        let path = self.path(key, &question.call);
        let mut stands = self.stands(key, path, &worst, !own, at);
        if own {
            stands.iter_mut().for_each(|stand| (stand.full, stand.unpriced) = (false, false));
        }
        Ok(Self::decided(&stands, may))
    }

    fn open(&self, key: &KeyRow, worst: Worst, parts: Vec<Part>, body: &[u8], at: DateTime<Utc>) -> Booked {
        let cost = if let Worth::Most(cost, currency) = worst.worth { Some((cost, currency)) } else { None };
        Booked {
            state: ReservationState::Held,
            parts,
            body: body.to_vec(),
            settle: None,
            made: at,
            expires: at,
            release_after: self.policy.tenants[&key.organization].release_after,
            team: key.team(),
            key: Some(key.id),
            connection: None,
            candidates: worst.candidates,
            tokens: worst.tokens,
            cost,
            exact: true,
            from: None,
            released: 0,
        }
    }

    fn authorize(
        &mut self,
        (question, home): (&Question, OrganizationId),
        (id, chosen): (Option<ReservationId>, bool),
        seconds: i64,
        print: &[u8],
    ) -> Ruling<Outcome> {
        let Some((key, lock)) = self.key(question, home)? else {
            return Ok(Outcome::Decided(false, BTreeMap::new()));
        };
        let (organization, at) = (key.organization, self.told.time(key.organization));
        let may = naive::may(self.policy, key, lock, (&question.asker, &question.call), at);
        if let Some(row) = id.and_then(|id| self.row((organization, id))) {
            repeats(&row, print)?;
            if may {
                return Ok(Outcome::Authorized(id.unwrap()));
            }
        } else if let Some(id) = id.filter(|_| chosen) {
            timely(id, at)?;
        }
        let worst = naive::worst(self.policy, key, &question.call, at);
        let stands = self.stands(key, self.path(key, &question.call), &worst, true, at);
        let decided = Self::decided(&stands, may);
        let (Outcome::Decided(true, _), Some(id)) = (&decided, id) else { return Ok(decided) };
        let shadows = Self::shadows(&stands, at);
        let row = self.open(key, worst, Self::parts(&stands, at), print, at);
        let connection = question.call.connection_id;
        let row = Booked { expires: at + TimeDelta::seconds(seconds), connection, ..row };
        self.booked.insert((organization, id), row);
        shadows.into_iter().for_each(|key| *self.would_deny.entry(key).or_default() += 1);
        Ok(Outcome::Authorized(id))
    }

    fn count(&mut self, (question, home): (&Question, OrganizationId), actual: &Outcome) -> Ruling<Outcome> {
        let Some((key, lock)) = self.key(question, home)? else {
            return Ok(Outcome::Decided(false, BTreeMap::new()));
        };
        let (organization, at) = (key.organization, self.told.time(key.organization));
        let may = naive::may(self.policy, key, lock, (&question.asker, &question.call), at);
        let worst = naive::worst(self.policy, key, &question.call, at);
        let stands = self.stands(key, self.path(key, &question.call), &worst, false, at);
        let decided = Self::decided(&stands, may);
        let (Outcome::Decided(true, _), Outcome::Authorized(id)) = (&decided, actual) else {
            return Ok(decided);
        };
        let name = (organization, *id);
        if self.row(name).is_some() {
            return Ok(Outcome::Authorized(*id));
        }
        let shadows = Self::shadows(&stands, at);
        let row = self.open(key, worst, Self::parts(&stands, at), &[0; 16], at);
        let row = Booked { connection: question.call.connection_id, ..row };
        self.record(name, row, &[Attempt::of(Usage::default())], UsageOrigin::Check);
        shadows.into_iter().for_each(|key| *self.would_deny.entry(key).or_default() += 1);
        Ok(Outcome::Authorized(*id))
    }

    fn record(&mut self, name: Name, mut row: Booked, attempts: &[Attempt], origin: UsageOrigin) {
        row.parts.iter_mut().for_each(|part| part.held = 0);
        row.settle = Some(row.body.clone());
        row.state = ReservationState::Settled;
        let facts = post(self.policy, name.0, &mut row, attempts, origin);
        self.booked.insert(name, row);
        self.facts.insert(name, facts);
    }

    fn named(&self, naming: &Naming) -> Ruling<Option<Booked>> {
        let token = match &naming.by {
            Asker::Gateway(gateway) => {
                Some(naive::admit(self.policy, gateway, self.told.time(naming.organization))?)
            }
            _ => None,
        };
        let row = self.row((naming.organization, naming.reservation));
        match (&naming.by, token) {
            (Asker::Administrator(own), _) if *own != naming.organization => Err("not_found"),
            (Asker::Gateway(_), Some(token)) => {
                let own = [OrganizationId::PLATFORM, naming.organization].contains(&token.organization);
                let served =
                    row.as_ref().is_none_or(|row| naive::reaches(token, naming.organization, row.team));
                if own && served { Ok(row) } else { Err("not_found") }
            }
            _ => Ok(row),
        }
    }

    fn settle(&mut self, naming: &Naming, attempts: &[Attempt], print: &[u8]) -> Ruling<Outcome> {
        let mut row = self.named(naming)?.ok_or("not_found")?;
        let (name, settled) =
            ((naming.organization, naming.reservation), Outcome::Settled(naming.reservation));
        match row.state {
            ReservationState::Voided => Err("reservation_voided"),
            ReservationState::Settled if row.settle.as_deref() == Some(print) => Ok(settled),
            ReservationState::Settled => Err("already_settled"),
            ReservationState::Held => {
                self.meet_strangers(name.0, &mut row, attempts);
                let facts = post(self.policy, name.0, &mut row, attempts, UsageOrigin::Authorize);
                row.state = ReservationState::Settled;
                row.settle = Some(print.to_vec());
                self.booked.insert(name, row);
                self.facts.insert(name, facts);
                Ok(settled)
            }
        }
    }

    /// The limits that count a call, by any of its names.
    fn path<'s>(&'s self, key: &KeyRow, call: &Call) -> Vec<&'s Limit> {
        naive::path(self.policy, key, call, &together(&names::of_call(self.policy, key, call)))
    }

    /// What served the call without being authorized, or at another connection, is counted where it is limited, at the time of
    /// the call.
    fn meet_strangers(&self, organization: OrganizationId, row: &mut Booked, attempts: &[Attempt]) {
        let strange = |attempt: &&Attempt| {
            let unknown =
                attempt.model.as_deref().is_some_and(|model| names::candidate(row, model).is_none());
            unknown || attempt.connection_id.is_some() && attempt.connection_id != row.connection
        };
        let strangers = attempts.iter().filter(strange);
        let named =
            strangers.filter_map(|attempt| names::of_attempt(self.policy, organization, row, attempt));
        let named: Vec<_> = named.collect();
        let key = row.key.and_then(|key| self.policy.keys.get(&key)).filter(|_| !named.is_empty());
        let Some(key) = key else { return };
        let call = Call { connection_id: row.connection, ..Call::default() };
        for limit in naive::path(self.policy, key, &call, &together(&named)) {
            let met = row.parts.iter().any(|part| part.limit == limit.id);
            let counts = limit.models.is_some() && limit.metric != Metric::Concurrency;
            let window = naive::window(limit.period, row.made).filter(|_| counts && !met);
            row.parts.extend(window.map(|window| Part {
                limit: limit.id,
                subject: limit.subject_id,
                window,
                metric: limit.metric,
                models: limit.models.clone().map(|globs| globs.0),
                currency: limit.currency.clone(),
                held: 0,
                used: 0,
                asked: false,
            }));
        }
    }

    fn void(&mut self, naming: &Naming) -> Ruling<Outcome> {
        let (name, voided) = ((naming.organization, naming.reservation), Outcome::Voided(naming.reservation));
        let Some(mut row) = self.named(naming)? else {
            let at = self.told.time(naming.organization);
            if naming.organization == OrganizationId::PLATFORM || timely(naming.reservation, at).is_err() {
                return Err("not_found");
            }
            self.booked.insert(name, tombstone(at));
            return Ok(voided);
        };
        match row.state {
            ReservationState::Voided => Ok(voided),
            ReservationState::Settled => Err("already_settled"),
            ReservationState::Held => {
                row.state = ReservationState::Voided;
                self.booked.insert(name, row);
                Ok(voided)
            }
        }
    }

    fn extend(&mut self, naming: &Naming, seconds: i64) -> Ruling<Outcome> {
        let mut row = self.named(naming)?.ok_or("not_found")?;
        let at = self.told.time(naming.organization);
        match row.state {
            ReservationState::Voided => Err("reservation_voided"),
            ReservationState::Settled => Err("already_settled"),
            ReservationState::Held if row.expires <= at => Err("reservation_expired"),
            ReservationState::Held => {
                let until = at + TimeDelta::seconds(seconds);
                if until > row.expires {
                    (row.expires, row.from) = (until, Some(at));
                }
                let extended = Outcome::Extended(naming.reservation, row.expires);
                self.booked.insert((naming.organization, naming.reservation), row);
                Ok(extended)
            }
        }
    }

    fn report(
        &mut self,
        (question, home): (&Question, OrganizationId),
        (id, chosen): (ReservationId, bool),
        attempts: &[Attempt],
        print: &[u8],
    ) -> Ruling<Outcome> {
        let (key, _) = self.key(question, home)?.ok_or("key_unknown")?;
        let (organization, now) = (key.organization, self.told.time(key.organization));
        let name = (organization, id);
        if let Some(row) = self.row(name) {
            repeats(&row, print)?;
            return Ok(Outcome::Settled(id));
        }
        if chosen && naive::made(id) > now + TimeDelta::minutes(5) {
            return Err("in_the_future");
        }
        if chosen && naive::made(id) < LEDGER_BEGINS {
            return Err("too_old");
        }
        let at = naive::made(id).min(now);
        let nothing = Worst { tokens: (0, 0), worth: Worth::Nothing, free: false, candidates: Vec::new() };
        let named = names::of_reported(self.policy, key, &question.call, attempts);
        let path = naive::path(self.policy, key, &question.call, &together(&named));
        let stands = self.stands(key, path, &nothing, true, at);
        let row = self.open(key, nothing, Self::parts(&stands, at), print, at);
        self.record(
            name,
            Booked { exact: false, connection: question.call.connection_id, ..row },
            attempts,
            UsageOrigin::Usage,
        );
        Ok(Outcome::Settled(id))
    }
}

fn repeats(row: &Booked, print: &[u8]) -> Ruling<()> {
    match row.state {
        ReservationState::Voided => Err("reservation_voided"),
        _ if row.body == print => Ok(()),
        ReservationState::Settled => Err("already_settled"),
        ReservationState::Held => Err("reservation_in_use"),
    }
}

fn timely(id: ReservationId, at: DateTime<Utc>) -> Ruling<()> {
    let made = naive::made(id);
    if made > at + TimeDelta::minutes(5) {
        return Err("in_the_future");
    }
    if made < at - TimeDelta::hours(24) { Err("too_old") } else { Ok(()) }
}

fn tombstone(at: DateTime<Utc>) -> Booked {
    Booked {
        state: ReservationState::Voided,
        parts: Vec::new(),
        body: Vec::new(),
        settle: None,
        made: at,
        expires: at,
        release_after: None,
        team: None,
        key: None,
        connection: None,
        candidates: Vec::new(),
        tokens: (0, 0),
        cost: None,
        exact: false,
        from: None,
        released: 0,
    }
}

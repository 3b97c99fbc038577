//! [`Rules`]: what is answered to each request of a batch, in the order of their arrival, and what it does to the ledger that
//! the batch carries along. No clock and no database: everything has been read.

use super::{
    batch::Gathered,
    cache::Cache,
    command::{Attempt, Command, Fingerprint, Naming},
    decide::{Decision, admit_asker, decide, is_of, serves},
    estimate::{Estimate, Price, estimate},
    facts::GatewayToken,
    ledger::{Closing, LEDGER_BEGINS},
    limits::{Asking, judge},
    names,
    opening::{Opening, end, is_timely, tombstone},
    post::{Posting, post},
    question::{Asker, Question},
    raw,
    stranger::Stranger,
    task::{Answer, Request, Task, bytes},
};
use crate::{Error, Result, cost::Usage, price::resolve::Prices, secrets::Secrets};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, OrganizationId, ReservationId},
    reservation,
    status::{ReservationState, UsageOrigin},
};
use std::sync::Arc;

/// Answers the requests of one batch.
pub(super) struct Rules<'r> {
    pub(super) secrets: &'r Secrets,
    pub(super) cache: &'r mut Cache,
    pub(super) gathered: &'r mut Gathered,
}

impl Rules<'_> {
    /// Answers one request; what goes wrong with it concerns no other.
    pub(super) fn answer(&mut self, request: &Request) -> Result<Answer> {
        let id = request.id.ok_or_else(|| Error::internal("a request without an id"))?;
        match &request.task {
            Task::Look(question) => self.look(question, request.home).map(Answer::Decided),
            Task::Do(Command::Authorize { question, reservation, seconds, print }) => {
                let (chosen, by_platform) = (reservation.is_some(), self.by_platform(question));
                let opening = Opening { id, chosen, seconds: *seconds, print: *print, by_platform };
                self.authorize(question, request.home, opening)
            }
            Task::Do(Command::Count(question)) => self.count(question, request.home, id),
            Task::Do(Command::Settle(naming, attempts, print)) => self.settle(naming, attempts, *print),
            Task::Do(Command::Void(naming)) => self.void(naming),
            Task::Do(Command::Extend(naming, seconds)) => self.extend(naming, *seconds),
            Task::Do(Command::Report { question, reservation, attempts, print }) => {
                let (at, chosen) = (self.gathered.time_of(request), reservation.is_some());
                self.report(question, attempts, &Reported { home: request.home, id, at, chosen }, *print)
            }
        }
    }

    fn now(&self, organization: OrganizationId) -> DateTime<Utc> {
        self.gathered.at.get(&organization).copied().unwrap_or(self.gathered.now)
    }

    fn token(&mut self, asker: &Asker) -> Option<Arc<GatewayToken>> {
        match asker {
            Asker::Gateway(gateway) => self.cache.token(gateway.id()),
            Asker::Key | Asker::Administrator(_) => None,
        }
    }

    /// Whether a gateway of the installation asks.
    fn by_platform(&mut self, question: &Question) -> bool {
        let token = self.token(&question.asker);
        token.is_some_and(|token| token.organization_id == OrganizationId::PLATFORM)
    }

    /// What the key and everything around it say, without the limits.
    fn decision(&mut self, question: &Question, home: OrganizationId) -> Result<Decision> {
        let token = self.token(&question.asker);
        let id = question.key.key();
        let mut facts = id.and_then(|id| self.cache.facts(id, question.call.connection_id));
        if let Some(facts) = &mut facts {
            let prices = self.gathered.prices.get(&facts.key.organization_id);
            facts.names = names::of_call(prices, facts.connection.as_deref(), &question.call.models);
        }
        decide(self.secrets, token.as_deref(), facts, question, self.now(home))
    }

    fn prices(&self, organization: OrganizationId) -> Result<&Prices> {
        let prices = self.gathered.prices.get(&organization);
        prices.ok_or_else(|| Error::internal("the prices of an organization were not read"))
    }

    /// The decision with the limits on the call's path.
    fn judged(&mut self, question: &Question, home: OrganizationId, worst: bool) -> Result<Decision> {
        let mut decision = self.decision(question, home)?;
        let Some(facts) = decision.facts.clone() else { return Ok(decision) };
        let organization = facts.key.organization_id;
        let at = self.now(organization);
        let estimate = estimate(self.prices(organization)?, &question.call, &facts, at);
        let asking = if worst { Asking::Worst(&estimate) } else { Asking::Request(&estimate) };
        decision.limits = judge(&facts, asking, &self.gathered.ledger, at);
        decision.estimate = Some(estimate);
        Ok(decision)
    }

    fn look(&mut self, question: &Question, home: OrganizationId) -> Result<Decision> {
        let worst = !matches!(question.asker, Asker::Key);
        let mut decision = self.judged(question, home, worst)?;
        if !worst {
            // A key that asks about itself makes no call that could be denied.
            decision.limits.iter_mut().for_each(|verdict| verdict.trouble = None);
        }
        Ok(decision)
    }

    fn authorize(&mut self, question: &Question, home: OrganizationId, opening: Opening) -> Result<Answer> {
        let checked = self.decision(question, home)?;
        let Some(organization) = checked.facts.as_ref().map(|facts| facts.key.organization_id) else {
            return Ok(Answer::Decided(checked));
        };
        if let Some(row) = self.gathered.ledger.reservation(organization, opening.id) {
            repeats(row, opening.print)?;
            if checked.allowed() {
                return Ok(Answer::Authorized(checked.into(), row.clone()));
            }
        } else if opening.chosen {
            is_timely(opening.id, self.now(organization), None)?;
        }
        let decision = self.judged(question, home, true)?;
        if !decision.allowed() {
            return Ok(Answer::Decided(decision));
        }
        let row = opening.row(&decision, question)?;
        self.gathered.ledger.would_deny(organization, decision.limits.iter());
        self.gathered.ledger.open(row.clone(), Vec::new())?;
        Ok(Answer::Authorized(decision.into(), row))
    }

    /// A request by itself: it is decided, and counted at once.
    fn count(&mut self, question: &Question, home: OrganizationId, id: ReservationId) -> Result<Answer> {
        let decision = self.judged(question, home, false)?;
        let Some(facts) = decision.facts.as_ref().filter(|_| decision.allowed()) else {
            return Ok(Answer::Decided(decision));
        };
        let organization = facts.key.organization_id;
        if let Some(row) = self.gathered.ledger.reservation(organization, id) {
            return Ok(Answer::Authorized(decision.clone().into(), row.clone()));
        }
        let by_platform = self.by_platform(question);
        let opening = Opening { id, chosen: false, seconds: 0, print: [0; 16], by_platform };
        let row = opening.row(&decision, question)?;
        let attempts = [Attempt::of(Usage::default())];
        let attempts = self.served(organization, question.call.connection_id, &attempts)?;
        self.gathered.ledger.would_deny(organization, decision.limits.iter());
        let row = self.record(row, &attempts, UsageOrigin::Check)?;
        Ok(Answer::Authorized(decision.into(), row))
    }

    /// Puts what is known from the start on the books, as a reservation that is settled.
    fn record(
        &mut self,
        mut row: reservation::Model,
        attempts: &[Attempt],
        origin: UsageOrigin,
    ) -> Result<reservation::Model> {
        let at = self.now(row.organization_id);
        let posting = post(&row, attempts, self.prices(row.organization_id)?, (origin, at))?;
        row.state = ReservationState::Settled;
        row.settle_hash = Some(row.body_hash.clone());
        row.closed_at = Some(at);
        row.release_at = None;
        for (leg, used) in row.legs.0.iter_mut().zip(&posting.used) {
            (leg.held, leg.used) = (0, *used);
        }
        self.gathered.ledger.open(row.clone(), posting.events)?;
        self.gathered.ledger.keep(raw::rows(&row, attempts, at));
        Ok(row)
    }

    /// The reservation that somebody names; what is another's is not there.
    fn named(&mut self, naming: &Naming) -> Result<Option<reservation::Model>> {
        let token = self.token(&naming.by);
        admit_asker(self.secrets, token.as_deref(), &naming.by, self.now(naming.organization))?;
        let absent = Error::NotFound("reservation");
        if !is_of(token.as_deref(), &naming.by, naming.organization) {
            return Err(absent);
        }
        let Some(row) = self.gathered.ledger.reservation(naming.organization, naming.reservation) else {
            return Ok(None);
        };
        let own = serves(token.as_deref(), &naming.by, (row.organization_id, row.team_id));
        if own { Ok(Some(row.clone())) } else { Err(absent) }
    }

    /// The attempts with what is known of the connections that have served them, if those are the organization's, and each
    /// credential is one of the connection's. What was disabled or deleted since is there all the same: usage is never lost.
    fn served(
        &mut self,
        organization: OrganizationId,
        authorized: Option<ConnectionId>,
        attempts: &[Attempt],
    ) -> Result<Vec<Attempt>> {
        let mut attempts = attempts.to_vec();
        for attempt in &mut attempts {
            let by = attempt.connection_id.or(authorized);
            let connection = by.and_then(|id| self.cache.connection(id));
            let connection = connection.filter(|connection| connection.organization_id == organization);
            if attempt.connection_id.is_some() && connection.is_none() {
                return Err(Error::NotFound("connection"));
            }
            if let Some(id) = attempt.credential_id {
                let credential = self.cache.credential(id);
                let own = credential.filter(|credential| credential.organization_id == organization);
                own.filter(|credential| by == Some(credential.connection_id))
                    .ok_or(Error::NotFound("credential"))?;
            }
            attempt.mappings = connection.as_ref().map(|one| one.mappings.clone()).unwrap_or_default();
            attempt.connection_provider = connection.map(|connection| connection.provider.clone());
        }
        Ok(attempts)
    }

    fn settle(&mut self, naming: &Naming, attempts: &[Attempt], print: Fingerprint) -> Result<Answer> {
        let row = self.named(naming)?.ok_or(Error::NotFound("reservation"))?;
        let key = (row.organization_id, row.id);
        match row.state {
            ReservationState::Voided => Err(voided()),
            ReservationState::Settled if row.settle_hash.as_deref() == Some(&print[..]) => {
                let mut events = self.gathered.events.get(&key).cloned().unwrap_or_default();
                if events.is_empty() {
                    events = self.gathered.ledger.events(row.organization_id, row.id);
                }
                Ok(Answer::Settled(row, events))
            }
            ReservationState::Settled => Err(settled()),
            ReservationState::Held => self.close(row, attempts, print),
        }
    }

    fn close(
        &mut self,
        mut row: reservation::Model,
        attempts: &[Attempt],
        print: Fingerprint,
    ) -> Result<Answer> {
        let attempts = &self.served(row.organization_id, row.terms.connection, attempts)?;
        if let Some(stranger) = Stranger::of(&row, attempts) {
            let facts = self.cache.facts(stranger.key, row.terms.connection);
            let names = stranger.names(self.gathered.prices.get(&row.organization_id), self.cache);
            let legs = facts.map(|facts| stranger.legs(&facts, &names)).unwrap_or_default();
            row.legs.0.extend(legs);
            self.gathered.ledger.learn(row.clone());
        }
        let at = self.now(row.organization_id);
        let prices = self.prices(row.organization_id)?;
        let Posting { events, used } = post(&row, attempts, prices, (UsageOrigin::Authorize, at))?;
        let state = ReservationState::Settled;
        let closing = Closing { state, settle_hash: Some(bytes(print)), at, used, events: events.clone() };
        self.gathered.ledger.close(row.organization_id, row.id, closing)?;
        self.gathered.ledger.keep(raw::rows(&row, attempts, at));
        Ok(Answer::Settled(self.now_is(&row)?, events))
    }

    /// A call that has not happened. One that is not known yet never will: who authorizes it later finds that it is over.
    fn void(&mut self, naming: &Naming) -> Result<Answer> {
        let at = self.now(naming.organization);
        let Some(row) = self.named(naming)? else {
            let late = || Error::NotFound("reservation");
            if naming.organization == OrganizationId::PLATFORM {
                return Err(late());
            }
            is_timely(naming.reservation, at, None).map_err(|_| late())?;
            let row = tombstone(naming, at);
            self.gathered.ledger.open(row.clone(), Vec::new())?;
            return Ok(Answer::Voided(row));
        };
        match row.state {
            ReservationState::Voided => Ok(Answer::Voided(row)),
            ReservationState::Settled => Err(settled()),
            ReservationState::Held => {
                let state = ReservationState::Voided;
                let used = vec![0; row.legs.0.len()];
                let closing = Closing { state, settle_hash: None, at, used, events: Vec::new() };
                self.gathered.ledger.close(row.organization_id, row.id, closing)?;
                Ok(Answer::Voided(self.now_is(&row)?))
            }
        }
    }

    fn extend(&mut self, naming: &Naming, seconds: i64) -> Result<Answer> {
        let row = self.named(naming)?.ok_or(Error::NotFound("reservation"))?;
        let at = self.now(row.organization_id);
        match row.state {
            ReservationState::Voided => Err(voided()),
            ReservationState::Settled => Err(settled()),
            ReservationState::Held if row.expires_at <= at => Err(expired()),
            ReservationState::Held => {
                let until = end(at, seconds).max(row.expires_at);
                self.gathered.ledger.extend(row.organization_id, row.id, (at, until));
                Ok(Answer::Extended(self.now_is(&row)?))
            }
        }
    }

    fn now_is(&self, row: &reservation::Model) -> Result<reservation::Model> {
        let now = self.gathered.ledger.reservation(row.organization_id, row.id);
        now.cloned().ok_or_else(|| Error::internal("a reservation got lost"))
    }

    /// A call that was made without being authorized here: whatever the limits say, it is counted.
    fn report(
        &mut self,
        question: &Question,
        attempts: &[Attempt],
        reported: &Reported,
        print: Fingerprint,
    ) -> Result<Answer> {
        let Reported { home, id, at, chosen } = *reported;
        let mut decision = self.decision(question, home)?;
        let Some(mut facts) = decision.facts.clone() else {
            return Err(Error::invalid("/key", "key_unknown", "the key is unknown"));
        };
        let organization = facts.key.organization_id;
        let attempts = &self.served(organization, question.call.connection_id, attempts)?;
        if let Some(row) = self.gathered.ledger.reservation(organization, id) {
            repeats(row, print)?;
            let row = row.clone();
            let mut events = self.gathered.events.get(&(organization, id)).cloned().unwrap_or_default();
            if events.is_empty() {
                events = self.gathered.ledger.events(organization, id);
            }
            return Ok(Answer::Settled(row, events));
        }
        // An id of ours is kept when the batch is run again, and the clock may have been set back in between.
        if chosen {
            is_timely(id, self.now(organization), Some(LEDGER_BEGINS))?;
        }
        let nothing = Estimate {
            input_tokens: 0,
            output_tokens: 0,
            price: Price::Waived,
            bounds_input: true,
            bounds_cost: true,
            free: false,
            candidates: Vec::new(),
        };
        let prices = self.gathered.prices.get(&organization);
        facts.names = names::of_reported(prices, attempts, |attempt| attempt.mappings.clone());
        decision.limits = judge(&facts, Asking::Worst(&nothing), &self.gathered.ledger, at);
        decision.estimate = Some(nothing);
        decision.at = at;
        let by_platform = self.by_platform(question);
        let mut row =
            Opening { id, chosen: true, seconds: 0, print, by_platform }.row(&decision, question)?;
        row.terms.exact = false;
        let row = self.record(row, attempts, UsageOrigin::Usage)?;
        let events = self.gathered.ledger.events(organization, id);
        Ok(Answer::Settled(row, events))
    }
}

/// A call that was made already.
struct Reported {
    home: OrganizationId,
    id: ReservationId,
    /// When it was made.
    at: DateTime<Utc>,
    /// Whether the id is the caller's.
    chosen: bool,
}

fn settled() -> Error {
    Error::InvalidState(
        "already_settled",
        "the reservation is settled already, with another outcome or other usage".into(),
    )
}

fn expired() -> Error {
    let message = "the reservation has expired: settle it or void it";
    Error::InvalidState("reservation_expired", message.into())
}

fn voided() -> Error {
    let message = "the reservation is voided: the call has not happened";
    Error::InvalidState("reservation_voided", message.into())
}

/// One id is one call: it may be repeated, and not used for another.
fn repeats(row: &reservation::Model, print: Fingerprint) -> Result<()> {
    if row.state == ReservationState::Voided {
        return Err(voided());
    }
    if row.body_hash == print {
        return Ok(());
    }
    let code = if row.state == ReservationState::Settled { "already_settled" } else { "reservation_in_use" };
    Err(Error::InvalidState(code, "the reservation_id is that of another call".into()))
}

//! [`Stranger`]: a call that was served by a model other than those it was authorized for, or by another connection, whose
//! mapping may give it another name. The limits that count that name were not asked, since nobody knew; what it used is
//! counted by them all the same, in the windows of the time of the call.

use super::{
    cache::Cache,
    command::{Attempt, Command},
    facts::{Facts, Limit},
    ledger::Ledger,
    names,
    task::{Request, Task},
};
use crate::price::{names::Names, resolve::Prices};
use entity::{
    id::KeyId,
    json::Texts,
    ledger::Leg,
    reservation,
    status::{Metric, ReservationState},
};
use std::sync::Arc;

/// A call that was served by what it was not authorized for.
#[derive(Debug)]
pub(super) struct Stranger<'r> {
    /// The key.
    pub(super) key: KeyId,
    /// The call.
    pub(super) row: &'r reservation::Model,
    attempts: Vec<&'r Attempt>,
}

impl<'r> Stranger<'r> {
    /// The call, if it is one and has yet to be settled.
    pub(super) fn of(row: &'r reservation::Model, attempts: &'r [Attempt]) -> Option<Self> {
        let strange = |attempt: &&Attempt| {
            let model = attempt.model.as_deref();
            let elsewhere = attempt.connection_id.is_some() && attempt.connection_id != row.terms.connection;
            elsewhere || model.is_some_and(|model| names::candidate(row, model).is_none())
        };
        let key = row.key_id.filter(|_| row.state == ReservationState::Held)?;
        let attempts: Vec<&Attempt> = attempts.iter().filter(strange).collect();
        (!attempts.is_empty()).then_some(Self { key, row, attempts })
    }

    /// All names that its models have, at the connections that have served them.
    pub(super) fn names(&self, prices: Option<&Prices>, cache: &mut Cache) -> Vec<Names> {
        let names = |attempt: &&Attempt| {
            let by = attempt.connection_id.or(self.row.terms.connection);
            let mappings = cache.mappings(self.row.organization_id, by);
            names::of_attempt(self.row, attempt, &mappings, prices)
        };
        self.attempts.iter().filter_map(names).collect()
    }

    /// The limits that count one of its models and were not asked.
    pub(super) fn limits<'f>(
        &self,
        facts: &'f Facts,
        names: &[Names],
    ) -> impl Iterator<Item = &'f Arc<Limit>> {
        let asked = |limit: &Limit| self.row.legs.0.iter().any(|leg| leg.limit == limit.id);
        let named = || names.iter().flat_map(Names::all);
        let counts =
            |limit: &Limit| limit.models.is_some() && named().next().is_some() && limit.counts(named());
        let limits = facts.limits.iter().filter(|limit| limit.metric != Metric::Concurrency);
        limits.filter(|limit| counts(limit) && !asked(limit)).collect::<Vec<_>>().into_iter()
    }

    /// What it holds of them: nothing, but a place to count.
    pub(super) fn legs(&self, facts: &Facts, names: &[Names]) -> Vec<Leg> {
        let leg = |limit: &Arc<Limit>| {
            let window = limit.window(self.row.created_at)?;
            Some(Leg {
                limit: limit.id,
                subject: window.subject,
                window: window.start.timestamp_micros(),
                period: limit.period,
                metric: limit.metric,
                mode: limit.mode,
                currency: limit.currency.clone(),
                models: limit.models.as_ref().map(|Texts(globs)| globs.clone()),
                held: 0,
                used: 0,
                amount: limit.amount,
                remaining: None,
            })
        };
        self.limits(facts, names).filter_map(leg).collect()
    }
}

/// The settlements that tell of what was not authorized.
pub(super) fn strangers<'r>(
    requests: &'r [Request],
    ledger: &'r Ledger,
) -> impl Iterator<Item = Stranger<'r>> {
    requests.iter().filter_map(|request| {
        let Task::Do(Command::Settle(naming, attempts, _)) = &request.task else { return None };
        Stranger::of(ledger.reservation(naming.organization, naming.reservation)?, attempts)
    })
}

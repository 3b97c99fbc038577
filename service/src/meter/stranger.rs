//! [`Stranger`]: a call that was served by a model other than those it was authorized for. The limits that count that model were
//! not asked, since nobody knew; what it used is counted by them all the same, in the windows of the time of the call.

use super::{
    command::{Attempt, Command},
    facts::{Facts, Limit},
    ledger::Ledger,
    task::{Request, Task},
};
use entity::{
    id::KeyId,
    json::Texts,
    ledger::Leg,
    reservation,
    status::{Metric, ReservationState},
};
use std::sync::Arc;

/// A call that was served by models that it was not authorized for.
#[derive(Debug)]
pub(super) struct Stranger<'r> {
    /// The key.
    pub(super) key: KeyId,
    /// The call.
    pub(super) row: &'r reservation::Model,
    models: Vec<&'r str>,
}

impl<'r> Stranger<'r> {
    /// The call, if it is one and has yet to be settled.
    pub(super) fn of(row: &'r reservation::Model, attempts: &'r [Attempt]) -> Option<Self> {
        let authorized = |model: &str| row.terms.candidates.iter().any(|candidate| candidate.model == model);
        let models = attempts.iter().filter_map(|attempt| attempt.model.as_deref());
        let models: Vec<&str> = models.filter(|model| !authorized(model)).collect();
        let open = row.state == ReservationState::Held && !models.is_empty();
        let key = row.key_id.filter(|_| open)?;
        Some(Self { key, row, models })
    }

    /// The limits that count one of its models and were not asked.
    pub(super) fn limits<'f>(&self, facts: &'f Facts) -> impl Iterator<Item = &'f Arc<Limit>> {
        let asked = |limit: &Limit| self.row.legs.0.iter().any(|leg| leg.limit == limit.id);
        let counts = |limit: &Limit| limit.models.is_some() && limit.counts(self.models.iter().copied());
        let limits = facts.limits.iter().filter(|limit| limit.metric != Metric::Concurrency);
        limits.filter(|limit| counts(limit) && !asked(limit)).collect::<Vec<_>>().into_iter()
    }

    /// What it holds of them: nothing, but a place to count.
    pub(super) fn legs(&self, facts: &Facts) -> Vec<Leg> {
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
        self.limits(facts).filter_map(leg).collect()
    }
}

/// The settlements that tell of models that were not authorized.
pub(super) fn strangers<'r>(
    requests: &'r [Request],
    ledger: &'r Ledger,
) -> impl Iterator<Item = Stranger<'r>> {
    requests.iter().filter_map(|request| {
        let Task::Do(Command::Settle(naming, attempts, _)) = &request.task else { return None };
        Stranger::of(ledger.reservation(naming.organization, naming.reservation)?, attempts)
    })
}

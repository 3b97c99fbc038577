//! [`Outcome`] and [`Fact`]: what is answered and what events say, without the details that are told elsewhere, and what was used
//! and what it cost, computed naively.

use crate::{
    naive::{self, Booked, Part},
    policy::Policy,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{LimitId, OrganizationId, ReservationId},
    status::{Metric, UsageOrigin, UsageStatus},
    terms::Component,
    usage_event,
};
use service::{
    Error,
    meter::{Answer, Verdict, command::Attempt},
};
use std::collections::BTreeMap;

/// What is said, without the details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Fault(String),
    /// Whether it would be allowed, and how much each limit on the path has counted.
    Decided(bool, BTreeMap<LimitId, (i128, bool)>),
    Authorized(ReservationId),
    Settled(ReservationId),
    Voided(ReservationId),
    Extended(ReservationId, DateTime<Utc>),
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub attempt: i32,
    pub origin: UsageOrigin,
    pub model: Option<String>,
    pub currency: Option<String>,
    pub cost: i64,
    pub requests: i64,
    pub tokens: (i64, i64),
    pub overrun: bool,
}

impl Fact {
    /// What a row says.
    pub fn of(row: &usage_event::Model) -> Self {
        Self {
            attempt: row.attempt,
            origin: row.origin,
            model: row.requested_model.clone(),
            currency: row.currency.clone(),
            cost: row.cost.0,
            requests: row.requests,
            tokens: (row.input_tokens, row.output_tokens),
            overrun: row.overrun,
        }
    }
}

impl Outcome {
    /// What was said.
    pub fn of(answer: &service::Result<Answer>) -> Self {
        match answer {
            Ok(Answer::Decided(decision)) => {
                let limit =
                    |verdict: &Verdict| (verdict.limit.id, (verdict.counters.counted(), verdict.denies()));
                Self::Decided(decision.allowed(), decision.limits.iter().map(limit).collect())
            }
            Ok(Answer::Authorized(_, row)) => Self::Authorized(row.id),
            Ok(Answer::Settled(row, _)) => Self::Settled(row.id),
            Ok(Answer::Voided(row)) => Self::Voided(row.id),
            Ok(Answer::Extended(row)) => Self::Extended(row.id, row.expires_at),
            Err(Error::Unauthenticated(code, _) | Error::InvalidState(code, _)) => {
                Self::Fault((*code).into())
            }
            Err(Error::Forbidden(_)) => Self::Fault("forbidden".into()),
            Err(Error::NotFound(_)) => Self::Fault("not_found".into()),
            Err(Error::Invalid(faults)) => Self::Fault(faults[0].code.into()),
            Err(other) => Self::Fault(format!("{other:?}")),
        }
    }
}

/// What was used, and what it cost: of each window, and as events.
pub fn post(
    policy: &Policy,
    organization: OrganizationId,
    row: &mut Booked,
    attempts: &[Attempt],
    origin: UsageOrigin,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (n, attempt) in (0..).zip(attempts) {
        let model = attempt.model.clone().or_else(|| row.candidates.first().map(|one| one.0.clone()));
        let pinned = row.candidates.iter().find(|one| Some(&one.0) == model.as_ref()).and_then(|one| one.1);
        let pinned = pinned.and_then(|id| policy.prices.iter().find(|price| price.id == id));
        let price = model
            .as_deref()
            .and_then(|model| pinned.or_else(|| naive::price(policy, organization, model, row.made)));
        let count = |component| i64::try_from(attempt.usage.get(component)).unwrap();
        let tokens = (count(Component::Input), count(Component::Output));
        let skipped = attempt.status == UsageStatus::Skipped;
        facts.push(Fact {
            attempt: n,
            origin,
            model,
            currency: price.map(|price| price.currency.clone()),
            cost: price.map_or(0, |price| tokens.0 * price.rates.0 + tokens.1 * price.rates.1),
            requests: if skipped { 0 } else { count(Component::Request) },
            tokens,
            overrun: false,
        });
    }
    row.parts.iter_mut().for_each(|part| part.used = used(part, &facts));
    let over = row.parts.iter().any(|part| part.held > 0 && part.used > part.held);
    let most = row.cost.clone().map_or((i64::MAX, None), |(most, currency)| (most, Some(currency)));
    let spent: i64 = facts.iter().filter(|fact| fact.currency == most.1).map(|fact| fact.cost).sum();
    let dear = most.1.is_some() && spent > most.0;
    let large = |fact: &Fact| fact.tokens.0 > row.tokens.0 || fact.tokens.1 > row.tokens.1;
    let overrun = over || dear || (row.exact && facts.iter().any(large));
    if let Some(last) = facts.last_mut() {
        last.overrun = overrun && origin == UsageOrigin::Authorize;
    }
    facts
}

/// What the attempts at a call used of one limit.
fn used(part: &Part, facts: &[Fact]) -> i64 {
    let counts = |fact: &&Fact| {
        let model: Vec<String> = fact.model.iter().cloned().collect();
        naive::concerns(part.models.as_deref(), &model)
    };
    let counted = || facts.iter().filter(counts);
    match part.metric {
        Metric::Concurrency => 0,
        Metric::Requests => counted().map(|fact| fact.requests).max().unwrap_or(0),
        Metric::InputTokens => counted().map(|fact| fact.tokens.0).sum(),
        Metric::OutputTokens => counted().map(|fact| fact.tokens.1).sum(),
        Metric::Tokens => counted().map(|fact| fact.tokens.0 + fact.tokens.1).sum(),
        Metric::Cost => counted().filter(|fact| fact.currency == part.currency).map(|fact| fact.cost).sum(),
    }
}

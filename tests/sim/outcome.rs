//! [`Outcome`] and [`Fact`]: what is answered and what events say, without the details that are told elsewhere, and what was used
//! and what it cost, computed naively.

use crate::{
    naive::{self, Booked, Part},
    names::{self, Named},
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
#[expect(clippy::struct_excessive_bools, reason = "what is known of an attempt: each is told by itself")]
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
    pub priced: bool,
    pub estimated: bool,
    pub unclear: bool,
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
            priced: row.priced,
            estimated: row.estimated,
            unclear: row.usage_unclear,
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

/// What one attempt used and cost, as far as it is known.
fn fact(
    policy: &Policy,
    organization: OrganizationId,
    row: &Booked,
    (attempt, named): (&Attempt, Option<&Named>),
    origin: UsageOrigin,
) -> Fact {
    let model = named.map(|named| named.model.clone());
    let moved = attempt.connection_id.is_some() && attempt.connection_id != row.connection;
    let pinned = row.candidates.iter().find(|one| Some(&one.model) == model.as_ref() && !moved);
    let pinned = pinned.and_then(|one| one.price);
    let pinned = pinned.and_then(|id| policy.prices.iter().find(|price| price.id == id));
    let price =
        named.and_then(|named| pinned.or_else(|| naive::price(policy, organization, named, row.made)));
    let count = |component| i64::try_from(attempt.usage.get(component)).unwrap();
    let tokens = (count(Component::Input), count(Component::Output));
    let skipped = attempt.status == UsageStatus::Skipped;
    Fact {
        attempt: 0,
        origin,
        model,
        currency: price.map(|price| price.currency.clone()),
        cost: price.map_or(0, |price| tokens.0 * price.rates.0 + tokens.1 * price.rates.1),
        requests: if skipped { 0 } else { count(Component::Request) },
        tokens,
        overrun: false,
        // What charges for nothing is known, however much was used.
        priced: price.is_some_and(|price| !attempt.unclear || price.rates == (0, 0)),
        estimated: false,
        unclear: attempt.unclear,
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
    let named: Vec<Option<Named>> =
        attempts.iter().map(|attempt| names::of_attempt(policy, organization, row, attempt)).collect();
    let each = (0..).zip(attempts.iter().zip(named.iter().map(Option::as_ref)));
    let mut facts: Vec<Fact> =
        each.map(|(n, of)| Fact { attempt: n, ..fact(policy, organization, row, of, origin) }).collect();
    let concerns = |part: &Part, fact: &Fact| {
        let named = named[usize::try_from(fact.attempt).unwrap()].as_ref();
        let all = named.map(|named| named.all.iter().cloned().collect()).unwrap_or_default();
        naive::concerns(part.models.as_deref(), &all)
    };
    let (cost, tokens) = (row.cost.clone(), row.tokens);
    let guess = |part: &Part, fact: &Fact| {
        let status = attempts[usize::try_from(fact.attempt).unwrap()].status;
        let served = !matches!(status, UsageStatus::Skipped | UsageStatus::Error) || fact.tokens != (0, 0);
        let unknown = match part.metric {
            Metric::Cost => served && !(fact.priced && fact.currency == part.currency),
            Metric::Requests | Metric::Concurrency => false,
            _ => fact.unclear,
        };
        if unknown { guess(part, cost.as_ref(), tokens) } else { 0 }
    };
    row.parts.iter_mut().for_each(|part| part.used = used(part, &facts, &concerns, &guess));
    let over = row.parts.iter().any(|part| part.held > 0 && part.used > part.held);
    let most = row.cost.clone().map_or((i64::MAX, None), |(most, currency)| (most, Some(currency)));
    let spent: i64 = facts.iter().filter(|fact| fact.currency == most.1).map(|fact| fact.cost).sum();
    let dear = most.1.is_some() && spent > most.0;
    let large = |fact: &Fact| fact.tokens.0 > row.tokens.0 || fact.tokens.1 > row.tokens.1;
    let overrun = over || dear || (row.exact && facts.iter().any(large));
    let raw = facts.clone();
    for (fact, raw) in facts.iter_mut().zip(&raw) {
        let guessed = |part: &&Part| concerns(part, raw) && guess(part, raw) > 0;
        fact.estimated = row.parts.iter().any(|part| guessed(&part));
        if row.parts.iter().filter(guessed).any(|part| part.metric == Metric::Cost) {
            if let Some((most, currency)) = cost.clone().filter(|_| !raw.priced) {
                (fact.cost, fact.currency) = (most, Some(currency));
            }
            fact.priced = false;
        }
    }
    if let Some(last) = facts.last_mut() {
        last.overrun = overrun && origin == UsageOrigin::Authorize;
    }
    facts
}

/// What a limit is charged for what nobody knows: what the call holds of it, or, if it was not asked, was authorized with.
fn guess(part: &Part, cost: Option<&(i64, String)>, tokens: (i64, i64)) -> i64 {
    match part.metric {
        _ if part.asked => part.held,
        Metric::Cost => match cost {
            Some((most, currency)) if part.currency.as_ref() == Some(currency) => *most,
            _ => 0,
        },
        Metric::InputTokens => tokens.0,
        Metric::OutputTokens => tokens.1,
        Metric::Tokens => tokens.0 + tokens.1,
        Metric::Requests | Metric::Concurrency => 0,
    }
}

/// What the attempts at a call used of one limit.
fn used(
    part: &Part,
    facts: &[Fact],
    concerns: &impl Fn(&Part, &Fact) -> bool,
    guess: &impl Fn(&Part, &Fact) -> i64,
) -> i64 {
    let counted = || facts.iter().filter(|fact| concerns(part, fact));
    // Nobody knows more of what cannot be priced than its worst case: no price of the town is partial.
    let sum = |of: fn(&Fact) -> i64| counted().map(|fact| of(fact).max(guess(part, fact))).sum();
    match part.metric {
        Metric::Concurrency => 0,
        Metric::Requests => counted().map(|fact| fact.requests).max().unwrap_or(0),
        Metric::InputTokens => sum(|fact| fact.tokens.0),
        Metric::OutputTokens => sum(|fact| fact.tokens.1),
        Metric::Tokens => sum(|fact| fact.tokens.0 + fact.tokens.1),
        Metric::Cost => {
            let cost = |fact: &Fact| if fact.currency == part.currency { fact.cost } else { 0 };
            counted().map(|fact| cost(fact).max(guess(part, fact))).sum()
        }
    }
}

//! What a call used, as events and as use of the windows that it is counted in. Pure.

use super::{command::Attempt, glob::matches, question::Call};
use crate::{
    Error, Result,
    cost::{self, Manner, Usage},
    price::{
        book::Entry,
        resolve::{Prices, Wanted},
    },
};
use chrono::{DateTime, Utc};
use entity::{
    json::Tags,
    ledger::{CallTerms, Leg},
    money::Nanos,
    reservation,
    status::{Metric, UsageOrigin, UsageStatus},
    terms::Component,
    usage_event,
};
use std::sync::Arc;

/// What a call used, ready to be put on the books.
#[derive(Debug)]
pub struct Posting {
    /// One event an attempt.
    pub events: Vec<usage_event::Model>,
    /// What is counted on each leg, in their order.
    pub used: Vec<i64>,
}

/// Works out what the attempts at a call used and cost, each at the price of the model that served it: the price that was in
/// force when the call was authorized.
pub fn post(
    row: &reservation::Model,
    attempts: &[Attempt],
    prices: &Prices,
    (origin, at): (UsageOrigin, DateTime<Utc>),
) -> Result<Posting> {
    let mut events = Vec::with_capacity(attempts.len());
    for (n, attempt) in (0..).zip(attempts) {
        let mut event =
            event(row, attempt, prices, origin).map_err(|error| within(error, n, attempts.len()))?;
        (event.attempt, event.occurred_at) = (n, at);
        events.push(event);
    }
    let used = row.legs.0.iter().map(|leg| used(leg, &events)).collect::<Option<Vec<_>>>();
    let used =
        used.ok_or_else(|| Error::invalid("/usage", "out_of_range", "a limit cannot count that much"))?;
    let over = row.legs.0.iter().zip(&used).any(|(leg, used)| leg.held > 0 && *used > leg.held);
    let overrun = over || exceeds(&row.terms, &events);
    if let Some(last) = events.last_mut() {
        last.overrun = origin == UsageOrigin::Authorize && overrun;
    }
    Ok(Posting { events, used })
}

/// The place of a fault, where there are several attempts.
fn within(error: Error, n: i32, attempts: usize) -> Error {
    match error {
        Error::Invalid(mut faults) if attempts > 1 => {
            for fault in &mut faults {
                fault.pointer = format!("/attempts/{n}{}", fault.pointer);
            }
            Error::Invalid(faults)
        }
        error => error,
    }
}

/// Whether a call used more than the figures that it was authorized with.
fn exceeds(terms: &CallTerms, events: &[usage_event::Model]) -> bool {
    let over = |event: &usage_event::Model| {
        let usage = usage(event);
        let tokens = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        tokens(usage.prompt_tokens()) > terms.input_tokens
            || tokens(usage.completion_tokens()) > terms.output_tokens
    };
    let dear = terms.cost.as_ref().is_some_and(|(most, currency)| {
        let same = events.iter().filter(|event| event.currency.as_ref() == Some(currency));
        same.map(|event| i128::from(event.cost.0)).sum::<i128>() > i128::from(*most)
    });
    dear || terms.exact && events.iter().any(over)
}

fn event(
    row: &reservation::Model,
    attempt: &Attempt,
    prices: &Prices,
    origin: UsageOrigin,
) -> Result<usage_event::Model> {
    let requested = attempt.model.clone().or_else(|| Some(row.terms.candidates.first()?.model.clone()));
    let usage = counted(attempt);
    let price = requested.as_ref().and_then(|model| price(row, attempt, prices, model));
    let (nanos, priced) = charged(price.as_deref(), &usage, &attempt.manner)?;
    let count = |component: Component| i64::try_from(usage.get(component)).unwrap_or(i64::MAX);
    Ok(usage_event::Model {
        organization_id: row.organization_id,
        id: row.id,
        attempt: 0,
        occurred_at: row.created_at,
        origin,
        key_id: row.key_id,
        secret_id: row.secret_id,
        team_id: row.team_id,
        user_id: row.user_id,
        service_account_id: row.service_account_id,
        connection_id: attempt.connection_id.or(row.terms.connection),
        credential_id: attempt.credential_id,
        provider: provider(attempt).or_else(|| price.as_ref()?.provider.as_deref()).map(str::to_owned),
        model: requested.as_ref().map(|model| prices.resolved(model).to_owned()),
        requested_model: requested,
        project: row.terms.project.clone(),
        session_id: row.terms.session.clone(),
        endpoint: row.terms.scope.clone(),
        tags: Some(row.terms.tags.clone()).filter(|Tags(tags)| !tags.is_empty()),
        client_ip: row.terms.client_ip.map(|ip| ip.to_string()),
        status: attempt.status,
        error_code: attempt.error_code.clone(),
        service_tier: attempt.manner.service_tier,
        region: attempt.manner.region.clone(),
        speed: attempt.manner.speed.clone(),
        input_tokens: count(Component::Input),
        cache_read_tokens: count(Component::CacheRead),
        cache_write_tokens: count(Component::CacheWrite),
        cache_write_1h_tokens: count(Component::CacheWrite1h),
        output_tokens: count(Component::Output),
        reasoning_tokens: count(Component::Reasoning),
        audio_input_tokens: count(Component::AudioInput),
        audio_output_tokens: count(Component::AudioOutput),
        image_input_tokens: count(Component::ImageInput),
        image_output_tokens: count(Component::ImageOutput),
        requests: count(Component::Request),
        images: count(Component::Image),
        seconds: count(Component::Second),
        characters: count(Component::Character),
        latency_ms: attempt.latency_ms,
        ttft_ms: attempt.ttft_ms,
        cost: nanos,
        currency: price.as_ref().map(|price| price.currency.as_ref().to_owned()),
        price_id: price.map(|price| price.id),
        priced,
        overrun: false,
    })
}

/// What it costs, and whether everything that was used has a rate.
fn charged(price: Option<&Entry>, usage: &Usage, manner: &Manner) -> Result<(Nanos, bool)> {
    let Some(price) = price else { return Ok((Nanos::ZERO, false)) };
    let bill = cost::bill(&price.terms, usage, manner)?;
    Ok((bill.cost, bill.is_priced()))
}

/// What an attempt used; one that was not sent was no request.
fn counted(attempt: &Attempt) -> Usage {
    let mut usage = attempt.usage;
    if attempt.status == UsageStatus::Skipped {
        // Nothing is less than the most there can be.
        let _ = usage.set(Component::Request, 0);
    }
    usage
}

/// The provider that served an attempt, as far as it was said or its connection says it.
fn provider(attempt: &Attempt) -> Option<&str> {
    attempt.provider.as_deref().or(attempt.connection_provider.as_deref())
}

/// The price that was named when the call was authorized; of a model that was not, the one that was in force then.
fn price(row: &reservation::Model, attempt: &Attempt, prices: &Prices, model: &str) -> Option<Arc<Entry>> {
    let connection_id = attempt.connection_id.or(row.terms.connection);
    let named = row.terms.candidates.iter().find(|candidate| candidate.model == model);
    let moved = |entry: &&Arc<Entry>| {
        let elsewhere =
            attempt.provider.is_some() && attempt.provider.as_deref() != entry.provider.as_deref();
        elsewhere || connection_id != row.terms.connection
    };
    let kept = named.and_then(|candidate| prices.price(candidate.price?)).filter(|entry| !moved(entry));
    if let Some(entry) = kept {
        return Some(entry.clone());
    }
    let wanted = Wanted { model, provider: provider(attempt), connection_id, at: row.created_at };
    prices.winner(&wanted).map(|winner| winner.entry)
}

/// What an event says was used.
pub fn usage(event: &usage_event::Model) -> Usage {
    let mut usage = Usage::NONE;
    for component in Component::EVERY {
        let count = match component {
            Component::Input => event.input_tokens,
            Component::CacheRead => event.cache_read_tokens,
            Component::CacheWrite => event.cache_write_tokens,
            Component::CacheWrite1h => event.cache_write_1h_tokens,
            Component::Output => event.output_tokens,
            Component::Reasoning => event.reasoning_tokens,
            Component::AudioInput => event.audio_input_tokens,
            Component::AudioOutput => event.audio_output_tokens,
            Component::ImageInput => event.image_input_tokens,
            Component::ImageOutput => event.image_output_tokens,
            Component::Request => event.requests,
            Component::Image => event.images,
            Component::Second => event.seconds,
            Component::Character => event.characters,
        };
        // A row holds no more of anything than a call can have.
        let _ = usage.set(component, u64::try_from(count).unwrap_or(0));
    }
    usage
}

/// What the attempts at a call use of one limit. A call that took several attempts is one request.
fn used(leg: &Leg, events: &[usage_event::Model]) -> Option<i64> {
    let models = leg.models.as_ref();
    let counts = |event: &&usage_event::Model| {
        let named = event.requested_model.as_deref();
        models.is_none_or(|globs| named.is_none_or(|model| globs.iter().any(|glob| matches(glob, model))))
    };
    let counted = events.iter().filter(counts);
    let sum = |of: fn(&usage_event::Model) -> u64| {
        let total = counted.clone().try_fold(0_u64, |sum, event| sum.checked_add(of(event)));
        total.and_then(|total| i64::try_from(total).ok())
    };
    match leg.metric {
        Metric::Concurrency => Some(0),
        Metric::Requests => Some(counted.map(|event| event.requests).max().unwrap_or(0)),
        Metric::InputTokens => sum(|event| usage(event).prompt_tokens()),
        Metric::OutputTokens => sum(|event| usage(event).completion_tokens()),
        Metric::Tokens => sum(|event| usage(event).total_tokens()),
        Metric::Cost => {
            let same = counted.filter(|event| event.currency == leg.currency);
            same.map(|event| event.cost.0).try_fold(0_i64, i64::checked_add)
        }
    }
}

/// The models of a call and the prices in force for them.
pub fn terms_of(call: &Call, tags: Tags) -> CallTerms {
    CallTerms {
        connection: call.connection_id,
        scope: call.scope.clone(),
        project: call.project.clone(),
        session: call.session_id.clone(),
        tags,
        client_ip: call.client_ip,
        ..CallTerms::default()
    }
}

//! What a call used, as events and as use of the windows that it is counted in. Pure.

use super::{command::Attempt, glob::any_match, names, opening::made, question::Call};
use crate::{
    Error, Result,
    cost::{self, Usage},
    price::{
        book::Entry,
        minute_of_day,
        names::Names,
        resolve::{Prices, Wanted},
    },
};
use chrono::{DateTime, Utc};
use entity::{
    id::ReservationId,
    json::Tags,
    ledger::{CallTerms, Leg},
    money::Nanos,
    reservation,
    status::{Metric, PriceGuess, PriceSource, UsageOrigin, UsageStatus},
    terms::{Component, Terms},
    usage_event,
};
use std::{borrow::Cow, sync::Arc};

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
    let named = |attempt: &Attempt| names::of_attempt(row, attempt, &attempt.mappings, Some(prices));
    let names: Vec<Option<Names>> = attempts.iter().map(named).collect();
    let mut events = Vec::with_capacity(attempts.len());
    for (n, (attempt, names)) in (0..).zip(attempts.iter().zip(&names)) {
        let mut event = event(row, attempt, names.as_ref(), prices, origin)
            .map_err(|error| within(error, n, attempts.len()))?;
        (event.attempt, event.occurred_at) = (n, at);
        events.push(event);
    }
    let used = row.legs.0.iter().map(|leg| used(leg, &events, &names, &row.terms));
    let used = used
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Error::invalid("/usage", "out_of_range", "a limit cannot count that much"))?;
    let over = row.legs.0.iter().zip(&used).any(|(leg, used)| leg.held > 0 && *used > leg.held);
    let overrun = over || exceeds(&row.terms, &events);
    events.iter_mut().zip(&names).for_each(|(event, names)| mark(event, names.as_ref(), row));
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
    names: Option<&Names>,
    prices: &Prices,
    origin: UsageOrigin,
) -> Result<usage_event::Model> {
    let found = names.and_then(|names| price(row, attempt, prices, names));
    let source = found.as_ref().map_or(Some(PriceSource::None), |found| found.source);
    let price = found.map(|found| found.entry);
    let usage = counted(attempt, price.as_deref());
    let (cost, priced) = charged(price.as_deref(), row.id, &usage, attempt)?;
    let unbilled = unbilled(&Served { row, attempt, names, usage: &usage, origin });
    if let (None, Some(cost)) = (&price, cost::charged_as_stated(attempt.stated_cost)) {
        let (currency, price_source) = (Some(cost::STATED_IN.to_owned()), Some(PriceSource::ProviderStated));
        return Ok(usage_event::Model { cost, currency, priced: true, price_source, ..unbilled });
    }
    Ok(usage_event::Model {
        provider: unbilled.provider.or_else(|| price.as_ref()?.provider.as_deref().map(str::to_owned)),
        cost,
        currency: price.as_ref().map(|price| price.currency.as_ref().to_owned()),
        price_id: price.map(|price| price.id),
        priced,
        price_source: source,
        guessed: source == Some(PriceSource::Family) && prices.price_guess == PriceGuess::Flag,
        ..unbilled
    })
}

/// An attempt at a call, and what is known of it before it is charged.
struct Served<'a> {
    row: &'a reservation::Model,
    attempt: &'a Attempt,
    names: Option<&'a Names>,
    usage: &'a Usage,
    origin: UsageOrigin,
}

/// The event of an attempt that costs nothing yet.
fn unbilled(&Served { row, attempt, names, usage, origin }: &Served<'_>) -> usage_event::Model {
    usage_event::Model {
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
        provider: provider(attempt).map(str::to_owned),
        model: names.map(|names| names.resolved().to_owned()),
        requested_model: names.map(|names| names.requested().to_owned()),
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
        input_tokens: usage.column(Component::Input),
        cache_read_tokens: usage.column(Component::CacheRead),
        cache_write_tokens: usage.column(Component::CacheWrite),
        cache_write_1h_tokens: usage.column(Component::CacheWrite1h),
        output_tokens: usage.column(Component::Output),
        reasoning_tokens: usage.column(Component::Reasoning),
        audio_input_tokens: usage.column(Component::AudioInput),
        audio_output_tokens: usage.column(Component::AudioOutput),
        image_input_tokens: usage.column(Component::ImageInput),
        image_output_tokens: usage.column(Component::ImageOutput),
        cache_read_audio_tokens: usage.column(Component::CacheReadAudio),
        requests: usage.column(Component::Request),
        images: usage.column(Component::Image),
        seconds: usage.column(Component::Second),
        characters: usage.column(Component::Character),
        web_searches: usage.column(Component::WebSearch),
        code_executions: usage.column(Component::CodeExecution),
        latency_ms: attempt.latency_ms,
        ttft_ms: attempt.ttft_ms,
        cost: Nanos::ZERO,
        currency: None,
        price_id: None,
        priced: false,
        overrun: false,
        estimated: false,
        usage_unclear: attempt.unclear,
        price_source: None,
        guessed: false,
        provider_stated_cost: attempt.stated_cost,
        raw_usage: attempt.raw.as_ref().map(|raw| raw.state(row.organization_id)),
    }
}

/// Whether a price charges for requests and nothing else, if for anything.
fn is_by_request(price: &Entry) -> bool {
    price.terms.charged().all(|component| component == Component::Request)
}

/// What it costs, and whether that is known: everything that was used has a rate. A price by the request alone needs no more
/// than that there was one.
fn charged(
    price: Option<&Entry>,
    id: ReservationId,
    usage: &Usage,
    attempt: &Attempt,
) -> Result<(Nanos, bool)> {
    let Some(price) = price else { return Ok((Nanos::ZERO, false)) };
    let bill = cost::bill(&terms_at(&price.terms, id), usage, &attempt.manner)?;
    Ok((bill.cost, bill.is_priced() && (!attempt.unclear || is_by_request(price))))
}

/// What an attempt used; one that was not sent was no request, and a total alone is all prompt where the model has no output.
fn counted(attempt: &Attempt, price: Option<&Entry>) -> Usage {
    let mut usage = attempt.usage;
    if attempt.unsided && price.is_some_and(|price| cost::has_no_output(&price.terms)) {
        usage = usage.without_completion();
    }
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

/// The price of an attempt, and where it comes from, as far as that was noted.
struct Found {
    entry: Arc<Entry>,
    source: Option<PriceSource>,
}

/// The price that was named when the call was authorized; of a model that was not, the one that was in force then.
fn price(row: &reservation::Model, attempt: &Attempt, prices: &Prices, names: &Names) -> Option<Found> {
    let model = names.requested();
    let connection_id = attempt.connection_id.or(row.terms.connection);
    let named = row.terms.candidates.iter().find(|candidate| candidate.model == model);
    let moved = |entry: &&Arc<Entry>| {
        let elsewhere =
            attempt.provider.is_some() && attempt.provider.as_deref() != entry.provider.as_deref();
        elsewhere || connection_id != row.terms.connection
    };
    let kept = named.and_then(|candidate| prices.price(candidate.price?)).filter(|entry| !moved(entry));
    if let Some(entry) = kept {
        let source = named.and_then(|candidate| candidate.source);
        return Some(Found { entry: entry.clone(), source });
    }
    let wanted = Wanted { model, provider: provider(attempt), connection_id, at: row.created_at };
    let winner = names.winner(prices, &wanted)?;
    Some(Found { source: Some(winner.step.into()), entry: winner.entry })
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
            Component::CacheReadAudio => event.cache_read_audio_tokens,
            Component::Request => event.requests,
            Component::Image => event.images,
            Component::Second => event.seconds,
            Component::Character => event.characters,
            Component::WebSearch => event.web_searches,
            Component::CodeExecution => event.code_executions,
        };
        // A row holds no more of anything than a call can have.
        let _ = usage.set(component, u64::try_from(count).unwrap_or(0));
    }
    usage
}

/// What the attempts at a call use of one limit. A call that took several attempts is one request.
fn used(leg: &Leg, events: &[usage_event::Model], names: &[Option<Names>], terms: &CallTerms) -> Option<i64> {
    let named = events.iter().zip(names);
    let mut counted = named.filter(|(_, names)| counts(leg, names.as_ref())).map(|(event, _)| event);
    match leg.metric {
        Metric::Concurrency => Some(0),
        Metric::Requests => Some(counted.map(|event| event.requests).max().unwrap_or(0)),
        _ => counted.try_fold(0_i64, |sum, event| sum.checked_add(share(leg, event, terms)?.amount)),
    }
}

/// Whether a limit counts an attempt, by any name of the model that served it.
fn counts(leg: &Leg, names: Option<&Names>) -> bool {
    let fits = |globs: &Vec<String>| names.is_none_or(|names| any_match(globs, names.all()));
    leg.models.as_ref().is_none_or(fits)
}

/// What one attempt uses of a limit of tokens or cost.
struct Share {
    amount: i64,
    /// Whether it is the worst case, since what was really used is not known.
    estimated: bool,
}

/// What is known counts as it is. What is not known counts with what the call held, so that nothing is free because nobody
/// could read it, price it, or express it in the currency of the limit.
fn share(leg: &Leg, event: &usage_event::Model, terms: &CallTerms) -> Option<Share> {
    let usage = usage(event);
    let same = event.currency == leg.currency;
    let (told, known) = match leg.metric {
        Metric::Cost => (if same { event.cost.0 } else { 0 }, event.priced && same || is_unserved(event)),
        Metric::InputTokens => (i64::try_from(usage.prompt_tokens()).ok()?, !event.usage_unclear),
        Metric::OutputTokens => (i64::try_from(usage.completion_tokens()).ok()?, !event.usage_unclear),
        Metric::Tokens => (i64::try_from(usage.total_tokens()).ok()?, !event.usage_unclear),
        Metric::Requests | Metric::Concurrency => (0, true),
    };
    let worst = if known { 0 } else { worst(leg, terms) };
    Some(Share { amount: told.max(worst), estimated: worst > 0 })
}

/// Whether an attempt was not sent, or failed and says of nothing that it was used: no provider charges for that.
fn is_unserved(event: &usage_event::Model) -> bool {
    let used = Component::EVERY.into_iter().filter(|component| *component != Component::Request);
    let nothing = |usage: Usage| used.map(|component| usage.get(component)).all(|count| count == 0);
    matches!(event.status, UsageStatus::Skipped | UsageStatus::Error) && nothing(usage(event))
}

/// The worst case of a call for a limit: what it held, also if that has been released since. A limit that was not asked,
/// because nobody knew which model would serve the call, takes what the call was authorized with.
fn worst(leg: &Leg, terms: &CallTerms) -> i64 {
    if leg.remaining.is_some() {
        return leg.held;
    }
    match leg.metric {
        Metric::InputTokens => terms.input_tokens,
        Metric::OutputTokens => terms.output_tokens,
        Metric::Tokens => terms.input_tokens.saturating_add(terms.output_tokens),
        Metric::Cost => {
            let same = terms.cost.as_ref().filter(|(_, currency)| leg.currency.as_ref() == Some(currency));
            same.map_or(0, |(cost, _)| *cost)
        }
        Metric::Requests | Metric::Concurrency => 0,
    }
}

/// Marks an attempt of which a limit counts the worst case. If it has no cost of its own, that is its cost, so that reports
/// say what limits say; a cost that is known in another currency stays.
fn mark(event: &mut usage_event::Model, names: Option<&Names>, row: &reservation::Model) {
    let estimated =
        |leg: &&Leg| counts(leg, names) && share(leg, event, &row.terms).is_some_and(|share| share.estimated);
    let by_cost = row.legs.0.iter().filter(estimated).any(|leg| leg.metric == Metric::Cost);
    event.estimated = row.legs.0.iter().any(|leg| estimated(&leg));
    if !by_cost {
        return;
    }
    if let Some((most, currency)) = row.terms.cost.as_ref().filter(|_| !event.priced) {
        let told = if event.currency.as_ref() == Some(currency) { event.cost.0 } else { 0 };
        (event.cost, event.currency) = (Nanos(told.max(*most)), Some(currency.clone()));
        event.price_id = None;
        (event.price_source, event.guessed) = (Some(PriceSource::None), false);
    }
    event.priced = false;
}

/// The terms of a price in the minute in which a call was made, by its id: whoever works out the bill later finds the same.
pub fn terms_at(terms: &Terms, id: ReservationId) -> Cow<'_, Terms> {
    made(id).map_or(Cow::Borrowed(terms), |at| terms.at(minute_of_day(at)))
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

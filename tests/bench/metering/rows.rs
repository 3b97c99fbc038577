//! The rows that a call leaves behind, as the meter writes them, for the comparisons that write them in other ways.

use super::setting::{COST, USED, WORST};
use chrono::{DateTime, Utc};
use entity::{
    id::{KeyId, LimitId, OrganizationId, PriceId, ReservationId, TeamId},
    ledger::{CallTerms, Candidate, Leg, Legs},
    money::Nanos,
    reservation,
    status::{Grain, Metric, Mode, Period, ReservationState, UsageStatus},
    usage_event, usage_rollup,
};
use service::limit::window;
use uuid::Uuid;

/// Whose call it is.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The organization.
    pub organization: OrganizationId,
    /// The team.
    pub team: TeamId,
    /// The key.
    pub key: KeyId,
    /// The price in force.
    pub price: PriceId,
}

/// What a call holds of a limit.
pub fn leg((limit, subject): (LimitId, Uuid), metric: Metric, at: DateTime<Utc>) -> Leg {
    let (period, held) = match metric {
        Metric::Requests => (Period::Minute, 1),
        _ => (Period::Month, WORST.0 * 2_500 + WORST.1 * 10_000),
    };
    Leg {
        limit,
        subject,
        window: window::start(period, at).timestamp_micros(),
        period,
        metric,
        mode: Mode::Block,
        currency: (metric == Metric::Cost).then(|| "USD".into()),
        models: None,
        held,
        used: 0,
        amount: i64::MAX / 4,
        remaining: Some(1),
    }
}

/// What a call used of a limit.
pub fn used(leg: &Leg) -> i64 {
    if leg.metric == Metric::Requests { 1 } else { COST }
}

/// A call that holds.
pub fn held(caller: Caller, id: ReservationId, legs: Vec<Leg>) -> reservation::Model {
    let candidate =
        Candidate { model: "gpt-4o".into(), price: Some(caller.price), source: None, names: Vec::new() };
    let terms = CallTerms {
        candidates: vec![candidate],
        input_tokens: WORST.0,
        output_tokens: WORST.1,
        cost: Some((WORST.0 * 2_500 + WORST.1 * 10_000, "USD".into())),
        exact: true,
        release_after: Some(86_400),
        ..CallTerms::default()
    };
    reservation::Model {
        key_id: Some(caller.key),
        team_id: Some(caller.team),
        legs: Legs(legs),
        terms,
        ..tests::ledger::reservation(caller.organization, id)
    }
}

/// The same when it is settled.
pub fn settled(mut row: reservation::Model, at: DateTime<Utc>) -> reservation::Model {
    row.legs.0.iter_mut().for_each(|leg| leg.used = used(leg));
    row.state = ReservationState::Settled;
    row.settle_hash = Some(vec![0; 16]);
    (row.closed_at, row.release_at) = (Some(at), None);
    row
}

/// What it used.
pub fn event(row: &reservation::Model, at: DateTime<Utc>) -> usage_event::Model {
    usage_event::Model {
        occurred_at: at,
        key_id: row.key_id,
        team_id: row.team_id,
        provider: Some("openai".into()),
        requested_model: Some("gpt-4o".into()),
        model: Some("gpt-4o".into()),
        input_tokens: USED.0,
        output_tokens: USED.1,
        latency_ms: Some(840),
        cost: Nanos(COST),
        currency: Some("USD".into()),
        price_id: row.terms.candidates[0].price,
        priced: true,
        ..tests::ledger::event(row.organization_id, row.id)
    }
}

/// The sum of one event by day, of which nothing is known but that it was one request.
pub fn rollup(
    organization_id: OrganizationId,
    dimensions_id: Uuid,
    start: DateTime<Utc>,
) -> usage_rollup::Model {
    usage_rollup::Model {
        organization_id,
        grain: Grain::Day,
        start,
        dimensions_id,
        key_id: None,
        team_id: None,
        user_id: None,
        service_account_id: None,
        connection_id: None,
        provider: None,
        model: None,
        project: None,
        status: UsageStatus::Success,
        currency: None,
        events: 1,
        input_tokens: 0,
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        cache_write_1h_tokens: 0,
        output_tokens: 0,
        reasoning_tokens: 0,
        audio_input_tokens: 0,
        audio_output_tokens: 0,
        image_input_tokens: 0,
        image_output_tokens: 0,
        cache_read_audio_tokens: 0,
        requests: 1,
        images: 0,
        seconds: 0,
        characters: 0,
        web_searches: 0,
        code_executions: 0,
        cost_units: 0,
        cost: Nanos::ZERO,
        unpriced_events: 0,
        overruns: 0,
        latency_events: 0,
        latency_ms: 0,
        estimated_events: 0,
        unclear_events: 0,
        guessed_events: 0,
    }
}

//! Rows of the ledger, written past the server: reservations, usage events, and their sums, which are folded here in the
//! plainest way there is, so that what the server makes of them can be compared.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{OrganizationId, ReservationId},
    ledger::{CallTerms, Legs},
    money::Nanos,
    reservation,
    status::{Grain, ReservationState, UsageOrigin, UsageStatus},
    terms::ServiceTier,
    usage_event, usage_rollup,
};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use service::System;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};
use uuid::Uuid;

/// Rows of one statement.
const CHUNK: usize = 50;

/// When the call of an id was made.
pub fn made_at(id: ReservationId) -> DateTime<Utc> {
    let millis = i64::try_from(id.uuid().as_u128() >> 80).unwrap();
    DateTime::from_timestamp_millis(millis).unwrap()
}

/// The first attempt of a call, of which nothing is known but that it was one request.
pub fn event(organization_id: OrganizationId, id: ReservationId) -> usage_event::Model {
    usage_event::Model {
        organization_id,
        id,
        attempt: 0,
        occurred_at: made_at(id),
        origin: UsageOrigin::Authorize,
        key_id: None,
        secret_id: None,
        team_id: None,
        user_id: None,
        service_account_id: None,
        connection_id: None,
        credential_id: None,
        provider: None,
        requested_model: None,
        model: None,
        project: None,
        session_id: None,
        endpoint: None,
        tags: None,
        client_ip: None,
        status: UsageStatus::Success,
        error_code: None,
        service_tier: ServiceTier::Standard,
        region: None,
        speed: None,
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
        latency_ms: None,
        ttft_ms: None,
        cost: Nanos::ZERO,
        currency: None,
        price_id: None,
        priced: false,
        overrun: false,
        estimated: false,
        usage_unclear: false,
        price_source: None,
        guessed: false,
        provider_stated_cost: None,
        raw_usage: None,
    }
}

/// A call that was authorized when its id says, for five minutes, and holds nothing.
pub fn reservation(organization_id: OrganizationId, id: ReservationId) -> reservation::Model {
    let created_at = made_at(id);
    let expires_at = created_at + TimeDelta::minutes(5);
    reservation::Model {
        organization_id,
        id,
        key_id: None,
        secret_id: None,
        team_id: None,
        user_id: None,
        service_account_id: None,
        by_platform: false,
        state: ReservationState::Held,
        body_hash: vec![0; 16],
        settle_hash: None,
        legs: Legs::default(),
        released: 0,
        terms: CallTerms::default(),
        created_at,
        expires_at,
        release_at: Some(expires_at + TimeDelta::hours(24)),
        closed_at: None,
        counted_from: None,
    }
}

async fn insert<E: EntityTrait>(system: &System, rows: Vec<E::Model>)
where
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: Send,
{
    let rows: Vec<E::ActiveModel> = rows.into_iter().map(|row| row.into_active_model().reset_all()).collect();
    for chunk in rows.chunks(CHUNK) {
        E::insert_many(chunk.to_vec()).exec_without_returning(&system.db.writer).await.unwrap();
    }
}

/// Writes events; their sums are not up to date before [`sum_up`].
pub async fn record(system: &System, events: impl IntoIterator<Item = usage_event::Model>) {
    insert::<usage_event::Entity>(system, events.into_iter().collect()).await;
}

/// Writes reservations.
pub async fn reserve(system: &System, rows: impl IntoIterator<Item = reservation::Model>) {
    insert::<reservation::Entity>(system, rows.into_iter().collect()).await;
}

/// Makes the sums of an organization anew from all of its events.
pub async fn sum_up(system: &System, organization: OrganizationId) {
    use usage_event::{Column, Entity};
    let of = usage_rollup::Column::OrganizationId.eq(organization);
    usage_rollup::Entity::delete_many().filter(of).exec(&system.db.writer).await.unwrap();
    let select = Entity::find().filter(Column::OrganizationId.eq(organization)).order_by_asc(Column::Id);
    let mut sums = BTreeMap::new();
    for event in select.all(&system.db.writer).await.unwrap() {
        for (grain, seconds) in [(Grain::Hour, 3600), (Grain::Day, 86400)] {
            let row = alone(&event, grain, seconds);
            let place = (grain, row.start, row.dimensions_id);
            sums.entry(place).and_modify(|sum| add(sum, &row)).or_insert(row);
        }
    }
    insert::<usage_rollup::Entity>(system, sums.into_values().collect()).await;
}

/// The sum of one event.
fn alone(event: &usage_event::Model, grain: Grain, seconds: i64) -> usage_rollup::Model {
    let e = event.clone();
    let dimensions = (
        (e.key_id, e.team_id, e.user_id, e.service_account_id, e.connection_id),
        (&e.provider, &e.model, &e.project, e.status, &e.currency),
    );
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        (salt, dimensions).hash(&mut hasher);
        hasher.finish()
    };
    let at = e.occurred_at.timestamp();
    usage_rollup::Model {
        organization_id: e.organization_id,
        grain,
        start: DateTime::from_timestamp(at - at % seconds, 0).unwrap(),
        dimensions_id: Uuid::from_u64_pair(half(0), half(1)),
        key_id: e.key_id,
        team_id: e.team_id,
        user_id: e.user_id,
        service_account_id: e.service_account_id,
        connection_id: e.connection_id,
        provider: e.provider,
        model: e.model,
        project: e.project,
        status: e.status,
        currency: e.currency,
        events: 1,
        input_tokens: e.input_tokens,
        cache_read_tokens: e.cache_read_tokens,
        cache_write_tokens: e.cache_write_tokens,
        cache_write_1h_tokens: e.cache_write_1h_tokens,
        output_tokens: e.output_tokens,
        reasoning_tokens: e.reasoning_tokens,
        audio_input_tokens: e.audio_input_tokens,
        audio_output_tokens: e.audio_output_tokens,
        image_input_tokens: e.image_input_tokens,
        image_output_tokens: e.image_output_tokens,
        cache_read_audio_tokens: e.cache_read_audio_tokens,
        requests: e.requests,
        images: e.images,
        seconds: e.seconds,
        characters: e.characters,
        web_searches: e.web_searches,
        code_executions: e.code_executions,
        cost_units: 0,
        cost: e.cost,
        unpriced_events: i64::from(!e.priced),
        overruns: i64::from(e.overrun),
        latency_events: i64::from(e.latency_ms.is_some()),
        latency_ms: e.latency_ms.unwrap_or(0),
        estimated_events: i64::from(e.estimated),
        unclear_events: i64::from(e.usage_unclear),
        guessed_events: i64::from(e.guessed),
    }
}

fn add(sum: &mut usage_rollup::Model, row: &usage_rollup::Model) {
    macro_rules! each {
        ($($field:ident)*) => { $(sum.$field += row.$field;)* };
    }
    each!(events input_tokens cache_read_tokens cache_write_tokens cache_write_1h_tokens output_tokens reasoning_tokens
        audio_input_tokens audio_output_tokens image_input_tokens image_output_tokens cache_read_audio_tokens
        requests images seconds characters web_searches code_executions unpriced_events overruns latency_events latency_ms estimated_events unclear_events guessed_events);
    sum.cost = sum.cost.checked_add(row.cost).unwrap();
}

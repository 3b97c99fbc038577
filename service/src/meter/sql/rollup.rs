//! The sums that events add to: their hour and their day, by all dimensions.

use chrono::{DateTime, Utc};
use entity::{
    money::Nanos,
    status::{Grain, Period},
    usage_event, usage_latency, usage_rollup,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Billionths in one unit of a currency.
const UNIT: i64 = 1_000_000_000;

type Key = (entity::id::OrganizationId, Grain, DateTime<Utc>, Uuid);

/// What these events add to each sum, in one order for all instances.
pub(super) fn sums(events: &[usage_event::Model]) -> (Vec<usage_rollup::Model>, Vec<usage_latency::Model>) {
    let mut rollups: BTreeMap<Key, usage_rollup::Model> = BTreeMap::new();
    let mut latencies: BTreeMap<(Key, i32), i64> = BTreeMap::new();
    for event in events {
        let dimensions = dimensions(event);
        for (grain, period) in [(Grain::Hour, Period::Hour), (Grain::Day, Period::Day)] {
            let start = crate::limit::window::start(period, event.occurred_at);
            let key = (event.organization_id, grain, start, dimensions);
            let row = rollup(key, event);
            rollups.entry(key).and_modify(|sum| add(sum, &row)).or_insert(row);
            if let Some(latency) = event.latency_ms {
                *latencies.entry((key, bucket(latency))).or_default() += 1;
            }
        }
    }
    let latency = |((key, bucket), events): ((Key, i32), i64)| {
        let (organization_id, grain, start, dimensions_id) = key;
        usage_latency::Model { organization_id, grain, start, dimensions_id, bucket, events }
    };
    (rollups.into_values().collect(), latencies.into_iter().map(latency).collect())
}

/// Names what events have in common that are summed together: made from all dimensions, each told apart from the next.
pub fn dimensions(event: &usage_event::Model) -> Uuid {
    let mut hash = Sha256::new();
    let ids: [Option<Uuid>; 5] = [
        event.key_id.map(Into::into),
        event.team_id.map(Into::into),
        event.user_id.map(Into::into),
        event.service_account_id.map(Into::into),
        event.connection_id.map(Into::into),
    ];
    for id in ids {
        hash.update(id.unwrap_or_default());
    }
    let texts = [&event.provider, &event.model, &event.project, &event.currency];
    for text in texts.map(|text| text.as_deref().unwrap_or_default()) {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hash.update([event.status as u8]);
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// The bucket of a latency: eight to each doubling, so that none is wider than an eighth of its lower end.
pub fn bucket(milliseconds: i64) -> i32 {
    let value = milliseconds.max(0).cast_unsigned();
    if value < 16 {
        return i32::try_from(value).unwrap_or(0);
    }
    // The power of two below, and the three bits after the leading one.
    let power = value.ilog2();
    let eighth = (value >> (power - 3)) & 7;
    i32::try_from(u64::from(power) * 8 + eighth).unwrap_or(i32::MAX) - 16
}

fn rollup(
    (organization_id, grain, start, dimensions_id): Key,
    event: &usage_event::Model,
) -> usage_rollup::Model {
    usage_rollup::Model {
        organization_id,
        grain,
        start,
        dimensions_id,
        key_id: event.key_id,
        team_id: event.team_id,
        user_id: event.user_id,
        service_account_id: event.service_account_id,
        connection_id: event.connection_id,
        provider: event.provider.clone(),
        model: event.model.clone(),
        project: event.project.clone(),
        status: event.status,
        currency: event.currency.clone(),
        events: 1,
        input_tokens: event.input_tokens,
        cache_read_tokens: event.cache_read_tokens,
        cache_write_tokens: event.cache_write_tokens,
        cache_write_1h_tokens: event.cache_write_1h_tokens,
        output_tokens: event.output_tokens,
        reasoning_tokens: event.reasoning_tokens,
        audio_input_tokens: event.audio_input_tokens,
        audio_output_tokens: event.audio_output_tokens,
        image_input_tokens: event.image_input_tokens,
        image_output_tokens: event.image_output_tokens,
        cache_read_audio_tokens: event.cache_read_audio_tokens,
        requests: event.requests,
        images: event.images,
        seconds: event.seconds,
        characters: event.characters,
        web_searches: event.web_searches,
        code_executions: event.code_executions,
        cost_units: event.cost.0 / UNIT,
        cost: Nanos(event.cost.0 % UNIT),
        unpriced_events: i64::from(!event.priced),
        overruns: i64::from(event.overrun),
        latency_events: i64::from(event.latency_ms.is_some()),
        latency_ms: event.latency_ms.unwrap_or(0),
        estimated_events: i64::from(event.estimated),
        unclear_events: i64::from(event.usage_unclear),
        guessed_events: i64::from(event.guessed),
    }
}

/// Adds one sum to another. No sum of a batch comes near the end of its type.
fn add(sum: &mut usage_rollup::Model, more: &usage_rollup::Model) {
    macro_rules! each {
        ($($field:ident)*) => { $(sum.$field = sum.$field.saturating_add(more.$field);)* };
    }
    each!(events input_tokens cache_read_tokens cache_write_tokens cache_write_1h_tokens output_tokens
        reasoning_tokens audio_input_tokens audio_output_tokens image_input_tokens image_output_tokens
        cache_read_audio_tokens requests images seconds characters web_searches code_executions cost_units unpriced_events overruns latency_events latency_ms estimated_events
        unclear_events guessed_events);
    sum.cost = Nanos(sum.cost.0.saturating_add(more.cost.0));
}

#[cfg(test)]
mod tests {
    use super::bucket;

    #[test]
    fn buckets_follow_each_other_and_are_narrow() {
        let mut last = -1;
        let mut lower = 0_i64;
        for value in 0..100_000_i64 {
            let now = bucket(value);
            assert!(now == last || now == last + 1, "{value}: {last} then {now}");
            if now != last {
                assert!(lower < 16 || value - lower <= lower / 8 + 1, "{lower}..{value}");
                (last, lower) = (now, value);
            }
        }
        assert_eq!(bucket(-5), 0);
        assert!(bucket(i64::MAX) > last);
    }
}

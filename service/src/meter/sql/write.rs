//! What a batch leaves behind, as statements: on Postgres one for all of it, on SQLite one a table.

use super::{
    rollup,
    rows::{Column, Kind, Rows},
};
use crate::{
    Result,
    meter::ledger::{Tick, Writes},
};
use sea_orm::{DatabaseBackend, EntityTrait, IdenStatic, Iterable, ModelTrait, Statement, Value};

/// The columns of a table in the order of its entity, with their kinds.
macro_rules! shape {
    ($name:ident, [$($column:ident $kind:ident),* $(,)?]) => {
        const $name: &[Column] = &[$((stringify!($column), Kind::$kind)),*];
    };
}

shape!(WINDOW, [
    limit_id Uuid, subject_id Uuid, window_start Time, organization_id Uuid, used Big, held Big, adjusted Big,
    would_deny Big,
]);
shape!(RESERVATION, [
    organization_id Uuid, id Uuid, key_id UuidNull, secret_id UuidNull, team_id UuidNull, user_id UuidNull,
    service_account_id UuidNull, by_platform Bool, state Text, body_hash Bytes, settle_hash BytesNull, legs Json,
    released Int, terms Json, created_at Time, expires_at Time, release_at TimeNull, closed_at TimeNull,
    counted_from TimeNull,
]);
shape!(EVENT, [
    organization_id Uuid, id Uuid, attempt Int, occurred_at Time, origin Text, key_id UuidNull, secret_id UuidNull,
    team_id UuidNull, user_id UuidNull, service_account_id UuidNull, connection_id UuidNull, credential_id UuidNull,
    provider TextNull, requested_model TextNull, model TextNull, project TextNull, session_id TextNull,
    endpoint TextNull, tags JsonNull, client_ip TextNull, status Text, error_code TextNull, service_tier Text,
    region TextNull, speed TextNull, input_tokens Big, cache_read_tokens Big, cache_write_tokens Big,
    cache_write_1h_tokens Big, output_tokens Big, reasoning_tokens Big, audio_input_tokens Big,
    audio_output_tokens Big, image_input_tokens Big, image_output_tokens Big, cache_read_audio_tokens Big,
    requests Big, images Big, seconds Big, characters Big, web_searches Big, code_executions Big,
    latency_ms BigNull, ttft_ms BigNull, cost Big, currency TextNull, price_id UuidNull, priced Bool,
    overrun Bool, estimated Bool, usage_unclear Bool, price_source TextNull, guessed Bool,
    provider_stated_cost BigNull, raw_usage TextNull,
]);
shape!(RAW, [
    id Uuid, organization_id Uuid, event_id Uuid, attempt Int, raw Bytes, data_key_id Uuid, created_at Time,
]);
shape!(ROLLUP, [
    organization_id Uuid, grain Text, start Time, dimensions_id Uuid, key_id UuidNull, team_id UuidNull,
    user_id UuidNull, service_account_id UuidNull, connection_id UuidNull, provider TextNull, model TextNull,
    project TextNull, status Text, currency TextNull, events Big, input_tokens Big, cache_read_tokens Big,
    cache_write_tokens Big, cache_write_1h_tokens Big, output_tokens Big, reasoning_tokens Big,
    audio_input_tokens Big, audio_output_tokens Big, image_input_tokens Big, image_output_tokens Big,
    cache_read_audio_tokens Big, requests Big, images Big, seconds Big, characters Big, web_searches Big,
    code_executions Big, cost_units Big, cost Big, unpriced_events Big, overruns Big, latency_events Big,
    latency_ms Big, estimated_events Big, unclear_events Big, guessed_events Big,
]);
shape!(LATENCY, [
    organization_id Uuid, grain Text, start Time, dimensions_id Uuid, bucket Int, events Big,
]);
shape!(HEAD, [organization_id Uuid, last_t Time, next_release_at TimeNull, ahead_until TimeNull]);

/// The columns by which a rollup is found, and its dimensions: what of a row is not summed.
const ROLLUP_KEY: usize = 14;
const LATENCY_KEY: usize = 5;

/// Rows of one table to insert, or to put in the place of those that are there.
struct Insert {
    table: &'static str,
    rows: Rows,
    conflict: String,
}

/// The statements that write it.
pub(super) fn statements(backend: DatabaseBackend, writes: &Writes) -> Result<Vec<Statement>> {
    let inserts = inserts(writes)?;
    let heads = heads(writes);
    if backend == DatabaseBackend::Postgres {
        return Ok(vec![together(inserts, heads)]);
    }
    let insert = |Insert { table, rows, conflict }: Insert| {
        rows.statements(backend, |names, source| format!("INSERT INTO {table} ({names}) {source} {conflict}"))
    };
    let mut all: Vec<Statement> = inserts.into_iter().flat_map(insert).collect();
    all.extend(
        heads
            .statements(backend, |names, source| format!("WITH source({names}) AS ({source}) {UPDATE_HEAD}")),
    );
    Ok(all)
}

const UPDATE_HEAD: &str = "UPDATE org_head SET last_t = source.last_t, next_release_at = source.next_release_at, \
     ahead_until = source.ahead_until \
     FROM source WHERE org_head.organization_id = source.organization_id";

/// One statement on Postgres: its parts run side by side on tables that they do not share.
fn together(inserts: Vec<Insert>, heads: Rows) -> Statement {
    let (mut parts, mut values) = (Vec::new(), Vec::new());
    for (n, Insert { table, rows, conflict }) in inserts.into_iter().enumerate() {
        let names = rows.list();
        let (sql, more) = rows.part(values.len() + 1, |source| {
            format!("part{n} AS (INSERT INTO {table} ({names}) {source} {conflict})")
        });
        parts.push(sql);
        values.extend(more);
    }
    let names = heads.list();
    let (sql, more) = heads.part(values.len() + 1, |source| format!("source({names}) AS ({source})"));
    parts.push(sql);
    values.extend(more);
    let sql = format!("WITH {} {UPDATE_HEAD}", parts.join(", "));
    Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, values)
}

fn inserts(writes: &Writes) -> Result<Vec<Insert>> {
    let (rollups, latencies) = rollup::sums(&writes.events);
    let all = [
        Insert {
            table: "limit_window",
            rows: rows(WINDOW, &writes.windows)?,
            conflict: replace("limit_id, subject_id, window_start", &["used", "held", "would_deny"]),
        },
        Insert {
            table: "reservation",
            rows: rows(RESERVATION, &writes.reservations)?,
            conflict: replace(
                "organization_id, id",
                &[
                    "state",
                    "settle_hash",
                    "legs",
                    "released",
                    "expires_at",
                    "release_at",
                    "closed_at",
                    "counted_from",
                ],
            ),
        },
        // What is written once is never written again: an event that is there already is a mistake, and fails.
        Insert { table: "usage_event", rows: rows(EVENT, &writes.events)?, conflict: String::new() },
        Insert { table: "usage_raw", rows: rows(RAW, &writes.raws)?, conflict: String::new() },
        Insert {
            table: "usage_rollup",
            rows: rows(ROLLUP, &rollups)?,
            conflict: add(
                "usage_rollup",
                "organization_id, grain, start, dimensions_id",
                &ROLLUP[ROLLUP_KEY..],
            ),
        },
        Insert {
            table: "usage_latency",
            rows: rows(LATENCY, &latencies)?,
            conflict: add(
                "usage_latency",
                "organization_id, grain, start, dimensions_id, bucket",
                &LATENCY[LATENCY_KEY..],
            ),
        },
    ];
    Ok(all.into_iter().filter(|insert| !insert.rows.is_empty()).collect())
}

fn replace(key: &str, columns: &[&str]) -> String {
    let set: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!("ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", "))
}

fn add(table: &str, key: &str, columns: &[Column]) -> String {
    let sum = |(column, _): &Column| format!("{column} = {table}.{column} + excluded.{column}");
    let set: Vec<String> = columns.iter().map(sum).collect();
    format!("ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", "))
}

fn heads(writes: &Writes) -> Rows {
    let time = Value::ChronoDateTimeUtc;
    let row = |(id, tick): (&entity::id::OrganizationId, &Tick)| -> Vec<Value> {
        let Tick { last_t, next_release_at, ahead_until } = *tick;
        vec![(*id).into(), time(Some(last_t)), time(next_release_at), time(ahead_until)]
    };
    Rows::new(HEAD, writes.heads.iter().map(row).collect())
}

/// Rows of an entity as values, in the order of its columns, which must be that of the shape.
fn rows<M: ModelTrait>(columns: &'static [Column], models: &[M]) -> Result<Rows> {
    let order: Vec<<M::Entity as EntityTrait>::Column> = <M::Entity as EntityTrait>::Column::iter().collect();
    let same = order.iter().map(IdenStatic::as_str).eq(columns.iter().map(|(name, _)| *name));
    if !same {
        return Err(crate::Error::internal("the columns of a ledger are not those of its entity"));
    }
    let row = |model: &M| {
        order.iter().zip(columns).map(|(column, (_, kind))| plain(model.get(*column), *kind)).collect()
    };
    Ok(Rows::new(columns, models.iter().map(row).collect()))
}

/// JSON goes as text.
fn plain(value: Value, kind: Kind) -> Value {
    match (value, kind) {
        (Value::Json(json), Kind::Json | Kind::JsonNull) => Value::String(json.map(|json| json.to_string())),
        (value, _) => value,
    }
}

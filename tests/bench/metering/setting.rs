//! What the meter is measured on: organizations whose keys have three limits on their path, none of which ever denies, a
//! price, the requests of a pair, and a past of as many events as a benchmark asks for.

use super::rows;
use crate::{
    load::{Follow, Make, request},
    stage::{Organization, Stage, insert},
};
use entity::{
    id::{OrganizationId, PriceId, ReservationId},
    limit,
    money::Rate,
    price,
    status::{Metric, Mode, Origin, Period, PriceKind, SetBy, SubjectKind},
    terms::{Band, Component, Rates, ServiceTier, Terms},
    usage_event, usage_rollup,
};
use sea_orm::{
    ConnectionTrait, DatabaseBackend, EntityName, EntityTrait, IdenStatic, Iterable, Statement, Value,
};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// The most that is asked for, and what is used of it.
pub const WORST: (i64, i64) = (1200, 500);
/// The tokens that a call used.
pub const USED: (i64, i64) = (1100, 350);
/// Its cost, in billionths of a dollar.
pub const COST: i64 = 1100 * 2_500 + 350 * 10_000;

/// The price of the model that every call asks for.
pub async fn price(stage: &Stage) -> PriceId {
    let now = stage.system.clock.local();
    let rates = [(Component::Input, Rate(2_500_000_000)), (Component::Output, Rate(10_000_000_000))];
    let standard = BTreeMap::from([(ServiceTier::Standard, Rates(BTreeMap::from(rates)))]);
    let row = price::Model {
        id: stage.system.entropy.id(now),
        organization_id: OrganizationId::PLATFORM,
        connection_id: None,
        provider: Some("openai".into()),
        model: Some("gpt-4o".into()),
        kind: PriceKind::PerToken,
        currency: "USD".into(),
        terms: Terms {
            tier_by: None,
            bands: vec![Band { up_to: None, rates: standard }],
            multipliers: BTreeMap::new(),
            off_peak: None,
        },
        markup_bps: 0,
        effective_from: now - chrono::TimeDelta::days(30),
        effective_until: None,
        origin: Origin::Manual,
        source: None,
        sourced_on: None,
        note: None,
        created_by: "system".into(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let id = row.id;
    insert(&stage.system.db.writer, vec![row]).await;
    id
}

/// Limits of every key, of the team and of the organization.
pub async fn limits(stage: &Stage, organizations: &[Organization]) {
    let transaction = stage.system.db.begin().await.expect("a transaction");
    for made in organizations {
        let row =
            |kind, subject, metric, period| limit_row(stage, made.id, (kind, subject), (metric, period));
        let mut rows = vec![
            row(SubjectKind::Team, made.team.uuid(), Metric::Requests, Period::Minute),
            row(SubjectKind::Organization, made.id.uuid(), Metric::Cost, Period::Month),
        ];
        let keys = made.keys.iter();
        rows.extend(keys.map(|(key, _)| row(SubjectKind::Key, key.uuid(), Metric::Cost, Period::Month)));
        insert(&transaction, rows).await;
    }
    transaction.commit().await.expect("a commit");
}

fn limit_row(
    stage: &Stage,
    organization_id: OrganizationId,
    (subject_kind, subject_id): (SubjectKind, Uuid),
    (metric, period): (Metric, Period),
) -> limit::Model {
    let now = stage.system.clock.local();
    limit::Model {
        id: stage.system.entropy.id(now),
        organization_id,
        subject_kind,
        subject_id,
        team_id: None,
        each: None,
        metric,
        currency: (metric == Metric::Cost).then(|| "USD".into()),
        period,
        period_count: 1,
        timezone: None,
        models: None,
        mode: Mode::Block,
        amount: i64::MAX / 4,
        alert_at: None,
        overrides: None,
        set_by: SetBy::Organization,
        created_by: "system".into(),
        deleted_at: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// Which key's turn it is: with a step that is prime to their number all are visited, in no order that a cache could like.
fn turn(n: usize, count: u64, keys: usize) -> usize {
    (usize::try_from(count).expect("a count") * 104_729 + n * 7_919) % keys
}

fn call(key: &str) -> String {
    let (input, output) = WORST;
    format!(
        "{{\"key\":\"{key}\",\"model\":\"gpt-4o\",\"input_tokens\":{input},\"max_output_tokens\":{output}}}"
    )
}

fn settlement(reservation: &str) -> String {
    let (input, output) = USED;
    format!(
        "{{\"reservation_id\":\"{reservation}\",\"usage\":{{\"input_tokens\":{input},\"output_tokens\":{output}}},\
         \"latency_ms\":840}}"
    )
}

/// The reservations that a reply names.
fn named(reply: &str) -> impl Iterator<Item = &str> {
    let mark = "\"reservation_id\":\"";
    reply.match_indices(mark).map(move |(at, _)| {
        let id = &reply[at + mark.len()..];
        id.split('"').next().expect("an id")
    })
}

/// Every key with the token of a gateway of its organization.
fn keys(organizations: &[Organization]) -> Arc<Vec<(String, String)>> {
    let of = |made: &Organization| {
        let gateway = made.gateway.clone();
        made.keys.iter().map(move |(_, key)| (gateway.clone(), key.clone())).collect::<Vec<_>>()
    };
    Arc::new(organizations.iter().flat_map(of).collect())
}

/// Authorize, then settle.
pub fn pair(organizations: &[Organization]) -> (Make, Follow) {
    let keys = keys(organizations);
    let also = keys.clone();
    let first: Make = Arc::new(move |n, count| {
        let (gateway, key) = &keys[turn(n, count, keys.len())];
        request("POST", "/v1/authorize", gateway, &call(key))
    });
    let second: Follow = Arc::new(move |n, count, reply| {
        let (gateway, _) = &also[turn(n, count, also.len())];
        let reservation = named(reply).next().expect("the call is allowed");
        request("POST", "/v1/settle", gateway, &settlement(reservation))
    });
    (first, second)
}

/// The same, so many at a time in one request.
pub fn batches(organizations: &[Organization], size: u64) -> (Make, Follow) {
    let keys = keys(organizations);
    let also = keys.clone();
    let first: Make = Arc::new(move |n, count| {
        let calls: Vec<String> =
            (0..size).map(|at| call(&keys[turn(n, count * size + at, keys.len())].1)).collect();
        let body = format!("{{\"requests\":[{}]}}", calls.join(","));
        request("POST", "/v1/authorize/batch", &keys[0].0, &body)
    });
    let second: Follow = Arc::new(move |_, _, reply| {
        let settlements: Vec<String> = named(reply).map(settlement).collect();
        assert_eq!(settlements.len() as u64, size, "every call is allowed");
        let body = format!("{{\"requests\":[{}]}}", settlements.join(","));
        request("POST", "/v1/settle/batch", &also[0].0, &body)
    });
    (first, second)
}

/// Gives an organization a past: so many events, the calls they are of, and a day's sum of every key.
pub async fn past(stage: &Stage, of: &Organization, events: usize) {
    let now = stage.system.clock.local();
    let id: ReservationId = stage.system.entropy.id(now - chrono::TimeDelta::days(3));
    let event = tests::ledger::event(of.id, id);
    let mut call = tests::ledger::reservation(of.id, id);
    (call.state, call.release_at) = (entity::status::ReservationState::Settled, None);
    let sum = service::meter::dimensions(&event);
    let db = &stage.system.db.writer;
    insert(db, vec![event]).await;
    insert(db, vec![call]).await;
    insert(db, vec![rows::rollup(of.id, sum, service::limit::window::start(Period::Day, now))]).await;

    let postgres = db.get_database_backend() == DatabaseBackend::Postgres;
    let series = if postgres {
        "SELECT g FROM generate_series(1, $2) AS g"
    } else {
        "WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < $2) SELECT g FROM s"
    };
    // Ten a second, from long ago to now.
    let then = (now - chrono::TimeDelta::days(2)).timestamp_millis();
    let hex = if postgres {
        format!("(lpad(to_hex({then} + g * 100), 12, '0') || '70008000' || lpad(to_hex(g), 12, '0'))::uuid")
    } else {
        format!("unhex(printf('%012x70008000%012x', {then} + g * 100, g))")
    };
    let keys = "(SELECT id, row_number() OVER () - 1 AS n FROM virtual_key WHERE organization_id = $1)";
    let count = of.keys.len();
    for (table, columns) in [
        (usage_event::Entity.table_name(), names::<usage_event::Entity>()),
        (entity::reservation::Entity.table_name(), names::<entity::reservation::Entity>()),
    ] {
        let chosen = chosen(&columns, &[("id", &hex), ("key_id", "k.id")]);
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT {chosen} FROM ({series}) AS s JOIN {keys} k ON k.n = s.g % {count} \
             JOIN {table} t ON t.organization_id = $1 AND t.id = $3",
            columns.join(", ")
        );
        let values: [Value; 3] = [of.id.into(), i64::try_from(events).expect("a count").into(), id.into()];
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values))
            .await
            .expect("a past");
    }
    let (table, columns) = (usage_rollup::Entity.table_name(), names::<usage_rollup::Entity>());
    let random = if postgres { "gen_random_uuid()" } else { "randomblob(16)" };
    let chosen = chosen(&columns, &[("dimensions_id", random), ("key_id", "k.id")]);
    let sql = format!(
        "INSERT INTO {table} ({}) SELECT {chosen} FROM {keys} k JOIN {table} t ON t.organization_id = $1",
        columns.join(", ")
    );
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [of.id.into()]))
        .await
        .expect("sums");
}

fn names<E: EntityTrait>() -> Vec<&'static str> {
    E::Column::iter().map(|column| column.as_str()).collect()
}

/// The columns of a row to copy, some of them put otherwise.
fn chosen(columns: &[&str], otherwise: &[(&str, &str)]) -> String {
    let one = |column: &&str| {
        let found = otherwise.iter().find(|(name, _)| name == column);
        found.map_or_else(|| format!("t.{column}"), |(_, text)| (*text).to_owned())
    };
    columns.iter().map(one).collect::<Vec<_>>().join(", ")
}

//! The statement that every batch begins with: the heads of the organizations concerned, what their logs have beyond
//! what is known, and the time, all of one moment after the batch's requests arrived.

use super::cache::REACH;
use crate::{System, head::PolicyKind};
use chrono::{DateTime, Utc};
use entity::id::OrganizationId;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, FromQueryResult, Statement, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The head of an organization, with the changes since the version that was known.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) organization: OrganizationId,
    pub(super) version: i64,
    pub(super) tag: i64,
    pub(super) floor: i64,
    pub(super) changes: Vec<(PolicyKind, Uuid)>,
}

/// The heads, and the moment they are of.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) now: DateTime<Utc>,
    pub(super) started: Option<DateTime<Utc>>,
    pub(super) heads: Vec<Head>,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    organization_id: OrganizationId,
    policy_version: i64,
    tag: i64,
    log_floor: i64,
    kind: Option<String>,
    subject: Option<Uuid>,
    at: Option<DateTime<Utc>>,
    started: Option<DateTime<Utc>>,
}

/// Reads the heads of these organizations, each with the version that is known of it.
pub(super) async fn read(
    system: &System,
    known: &BTreeMap<OrganizationId, Option<i64>>,
) -> Result<Moment, DbErr> {
    let rows = system.db.reader.query_all_raw(statement(system.db.backend(), known)).await?;
    let mut moment = Moment { now: system.clock.local(), started: None, heads: Vec::new() };
    for row in rows {
        let row = Row::from_query_result(&row, "")?;
        if let Some(at) = row.at {
            moment.now = system.clock.beside(at);
        }
        moment.started = row.started;
        let change = row.kind.zip(row.subject).map(|(kind, id)| (PolicyKind::from_word(&kind), id));
        match moment.heads.last_mut() {
            Some(head) if head.organization == row.organization_id => head.changes.extend(change),
            _ => moment.heads.push(Head {
                organization: row.organization_id,
                version: row.policy_version,
                tag: row.tag,
                floor: row.log_floor,
                changes: change.into_iter().collect(),
            }),
        }
    }
    Ok(moment)
}

/// The organizations are padded with the first to a power of two, so that few texts are prepared.
fn statement(backend: DatabaseBackend, known: &BTreeMap<OrganizationId, Option<i64>>) -> Statement {
    let count = known.len().next_power_of_two();
    let first = known.iter().next();
    let padded = known.iter().chain(first.into_iter().cycle()).take(count);
    // Of an unknown organization no log is wanted: no version is beyond the last.
    let values: Vec<Value> = padded
        .flat_map(|(organization, version)| {
            [organization.uuid().into(), version.unwrap_or(i64::MAX - REACH).into()]
        })
        .collect();
    let places: Vec<String> = (0..count).map(|n| format!("(${}, ${})", 2 * n + 1, 2 * n + 2)).collect();
    let clock = match backend {
        DatabaseBackend::Postgres => "clock_timestamp() AS at, pg_postmaster_start_time() AS started",
        _ => "NULL AS at, NULL AS started",
    };
    let sql = format!(
        "WITH known(id, version) AS (SELECT DISTINCT * FROM (VALUES {}) AS v) \
         SELECT h.organization_id, h.policy_version, h.tag, h.log_floor, l.kind, l.subject, {clock} \
         FROM known k JOIN org_head h ON h.organization_id = k.id \
         LEFT JOIN policy_log l ON l.organization_id = k.id AND l.version > k.version \
         AND h.policy_version <= k.version + {REACH} \
         ORDER BY h.organization_id",
        places.join(", ")
    );
    Statement::from_sql_and_values(backend, sql, values)
}

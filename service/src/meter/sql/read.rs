//! The statements that a batch reads with. They join with the keys that are wanted, and give the range of ids, so that
//! Postgres looks into the partitions concerned and no others.

use super::rows::{Column, Kind, Rows};
use crate::meter::{
    ledger::WindowKey,
    store::{LATER, Named, Read},
};
use chrono::{DateTime, Utc};
use entity::id::OrganizationId;
use sea_orm::{DatabaseBackend, FromQueryResult, QueryResult, Statement, Value};
use std::collections::BTreeSet;

/// Holds that are released at a time.
pub(super) const AT_A_TIME: usize = 500;

const NAMED: &[Column] = &[("organization_id", Kind::Uuid), ("id", Kind::Uuid)];
const WINDOWS: &[Column] =
    &[("limit_id", Kind::Uuid), ("subject_id", Kind::Uuid), ("window_start", Kind::Time)];
const HEADS: &[Column] = &[("organization_id", Kind::Uuid)];

/// Rows as what they are.
pub(super) fn models<M: FromQueryResult>(rows: &[QueryResult]) -> Read<Vec<M>> {
    rows.iter().map(|row| M::from_query_result(row, "")).collect()
}

/// Locks heads in the order of their ids.
pub(super) fn lock(organizations: &BTreeSet<OrganizationId>) -> Statement {
    let rows = organizations.iter().map(|id| vec![(*id).into()]).collect();
    let (sql, values) = Rows::new(HEADS, rows).part(1, |source| {
        format!(
            "SELECT h.organization_id FROM org_head h WHERE h.organization_id IN ({source}) \
             ORDER BY h.organization_id FOR NO KEY UPDATE"
        )
    });
    Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, values)
}

/// Holds of an organization to release.
pub(super) fn due(backend: DatabaseBackend, organization: OrganizationId, at: DateTime<Utc>) -> Statement {
    let sql = format!(
        "SELECT * FROM reservation WHERE organization_id = $1 AND release_at <= $2 ORDER BY release_at LIMIT {AT_A_TIME}"
    );
    Statement::from_sql_and_values(backend, sql, [organization.into(), at.into()])
}

/// When the next hold of an organization is to be released.
pub(super) fn next_due(
    backend: DatabaseBackend,
    organization: OrganizationId,
    at: DateTime<Utc>,
) -> Statement {
    let sql = "SELECT release_at AS next FROM reservation WHERE organization_id = $1 AND release_at > $2 \
               ORDER BY release_at LIMIT 1";
    Statement::from_sql_and_values(backend, sql, [organization.into(), at.into()])
}

/// Open calls of an organization whose time is counted from a later moment.
pub(super) fn later(backend: DatabaseBackend, organization: OrganizationId, at: DateTime<Utc>) -> Statement {
    let sql = format!(
        "SELECT * FROM reservation WHERE organization_id = $1 AND state = 'held' \
         AND COALESCE(counted_from, created_at) > $2 LIMIT {LATER}"
    );
    Statement::from_sql_and_values(backend, sql, [organization.into(), at.into()])
}

/// Reservations by their ids.
pub(super) fn reservations(backend: DatabaseBackend, named: &Named) -> Vec<Statement> {
    by_id(backend, named, "reservation", "")
}

/// The events of reservations.
pub(super) fn events(backend: DatabaseBackend, named: &Named) -> Vec<Statement> {
    by_id(backend, named, "usage_event", "ORDER BY t.organization_id, t.id, t.attempt")
}

fn by_id(backend: DatabaseBackend, named: &Named, table: &str, order: &str) -> Vec<Statement> {
    let rows: Vec<Vec<Value>> =
        named.iter().map(|(organization, id)| vec![(*organization).into(), (*id).into()]).collect();
    let join = "t.organization_id = wanted.organization_id AND t.id = wanted.id";
    if backend != DatabaseBackend::Postgres {
        return Rows::new(NAMED, rows).statements(backend, |names, source| {
            format!(
                "WITH wanted({names}) AS ({source}) SELECT t.* FROM wanted JOIN {table} t ON {join} {order}"
            )
        });
    }
    let ids = || named.iter().map(|(_, id)| *id);
    let range: [Option<Value>; 2] = [ids().min().map(Into::into), ids().max().map(Into::into)];
    let rows = Rows::new(NAMED, rows);
    let names = rows.list();
    let (sql, values) = rows.part(3, |source| {
        format!(
            "WITH wanted({names}) AS ({source}) SELECT t.* FROM wanted JOIN {table} t ON {join} \
             WHERE t.id >= $1 AND t.id <= $2 {order}"
        )
    });
    let values: Vec<Value> = range.into_iter().flatten().chain(values).collect();
    vec![Statement::from_sql_and_values(backend, sql, values)]
}

/// Windows by their keys.
pub(super) fn windows(backend: DatabaseBackend, keys: &BTreeSet<WindowKey>) -> Vec<Statement> {
    let row = |key: &WindowKey| vec![key.limit.into(), key.subject.into(), key.start.into()];
    Rows::new(WINDOWS, keys.iter().map(row).collect()).statements(backend, |names, source| {
        format!(
            "WITH wanted({names}) AS ({source}) SELECT t.* FROM wanted JOIN limit_window t \
             ON t.limit_id = wanted.limit_id AND t.subject_id = wanted.subject_id \
             AND t.window_start = wanted.window_start"
        )
    })
}

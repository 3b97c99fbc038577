//! The statement that every batch reads first: the heads of the organizations concerned, what their logs have beyond
//! what is known, and the time, all of one moment after the batch's requests arrived.

use super::ledger::Step;
use crate::{
    clock::{self, Clock},
    head::PolicyKind,
};
use chrono::{DateTime, Utc};
use entity::id::OrganizationId;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, FromQueryResult, Statement, Value};
use std::{collections::BTreeMap, time::Instant};
use uuid::Uuid;

/// Versions that an instance catches up with one by one; further behind it forgets everything of the organization.
pub(super) const REACH: i64 = 256;

/// The head of an organization, with the changes since the version that was known.
#[derive(Debug)]
pub struct Head {
    /// The organization.
    pub organization: OrganizationId,
    /// The version of its policy.
    pub version: i64,
    /// Random, new at each version.
    pub tag: i64,
    /// The version from which on the log is complete.
    pub floor: i64,
    /// The version that was known; the largest there is, if none was.
    pub since: i64,
    /// What the log says has changed since.
    pub changes: Vec<(PolicyKind, Uuid)>,
    /// The time of the organization's last decision.
    pub last_t: DateTime<Utc>,
    /// No hold is to be released before this; none = none at all.
    pub next_release_at: Option<DateTime<Utc>>,
    /// Until then, some open calls may be of a later time than now.
    pub ahead_until: Option<DateTime<Utc>>,
}

impl Head {
    /// The time for this organization.
    pub fn time(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        clock::decision_time(now, self.last_t)
    }

    /// The step back, if the time of the last decision turns out to have been wrong.
    pub fn step(&self, now: DateTime<Utc>) -> Option<Step> {
        let Self { organization, last_t, .. } = *self;
        clock::is_step_back(now, last_t).then_some(Step { organization, from: last_t, to: now })
    }

    /// What has changed since a version with this tag; none if that cannot be told, and anything may have.
    pub fn changes_since(&self, version: i64, tag: i64) -> Option<&[(PolicyKind, Uuid)]> {
        if (version, tag) == (self.version, self.tag) {
            return Some(&[]);
        }
        let ahead = (1..=REACH).contains(&(self.version - self.since)) && version < self.version;
        let covered = (self.floor.max(self.since)..).contains(&version);
        let listed = self.changes.iter().all(|(kind, _)| *kind != PolicyKind::All);
        (ahead && covered && listed).then_some(&self.changes)
    }
}

/// The heads, and the moment they are of.
#[derive(Debug)]
pub struct Moment {
    /// When reading them began, by this process.
    pub began: Instant,
    /// The time by the database.
    pub now: DateTime<Utc>,
    /// When the database was started, if it says so.
    pub started: Option<DateTime<Utc>>,
    /// The heads.
    pub heads: Vec<Head>,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    organization_id: OrganizationId,
    policy_version: i64,
    tag: i64,
    log_floor: i64,
    kind: Option<String>,
    subject: Option<Uuid>,
    last_t: DateTime<Utc>,
    next_release_at: Option<DateTime<Utc>>,
    ahead_until: Option<DateTime<Utc>>,
    at: Option<DateTime<Utc>>,
    started: Option<DateTime<Utc>>,
}

/// Reads the heads of these organizations, each with the version that is known of it.
pub async fn read<C: ConnectionTrait>(
    db: &C,
    clock: &Clock,
    known: &BTreeMap<OrganizationId, Option<i64>>,
) -> Result<Moment, DbErr> {
    let began = Instant::now();
    let rows = db.query_all_raw(statement(db.get_database_backend(), known)).await?;
    let mut moment = Moment { began, now: clock.local(), started: None, heads: Vec::new() };
    for row in rows {
        let row = Row::from_query_result(&row, "")?;
        if let Some(at) = row.at {
            moment.now = clock.beside(at);
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
                since: since(known.get(&row.organization_id).copied().flatten()),
                changes: change.into_iter().collect(),
                last_t: row.last_t,
                next_release_at: row.next_release_at,
                ahead_until: row.ahead_until,
            }),
        }
    }
    Ok(moment)
}

/// Of an unknown organization no log is wanted: no version is beyond the last.
fn since(known: Option<i64>) -> i64 {
    known.unwrap_or(i64::MAX - REACH)
}

/// The organizations are padded with the first to a power of two, so that few texts are prepared.
fn statement(backend: DatabaseBackend, known: &BTreeMap<OrganizationId, Option<i64>>) -> Statement {
    let count = known.len().next_power_of_two();
    let first = known.iter().next();
    let padded = known.iter().chain(first.into_iter().cycle()).take(count);
    let values: Vec<Value> = padded
        .flat_map(|(organization, version)| [organization.uuid().into(), since(*version).into()])
        .collect();
    let places: Vec<String> = (0..count).map(|n| format!("(${}, ${})", 2 * n + 1, 2 * n + 2)).collect();
    let clock = match backend {
        DatabaseBackend::Postgres => "clock_timestamp() AS at, pg_postmaster_start_time() AS started",
        _ => "NULL AS at, NULL AS started",
    };
    let sql = format!(
        "WITH known(id, version) AS (SELECT DISTINCT * FROM (VALUES {}) AS v) \
         SELECT h.organization_id, h.policy_version, h.tag, h.log_floor, h.last_t, h.next_release_at, h.ahead_until, \
         l.kind, l.subject, {clock} \
         FROM known k JOIN org_head h ON h.organization_id = k.id \
         LEFT JOIN policy_log l ON l.organization_id = k.id AND l.version > k.version \
         AND h.policy_version <= k.version + {REACH} \
         ORDER BY h.organization_id",
        places.join(", ")
    );
    Statement::from_sql_and_values(backend, sql, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_as_far_as_the_log_was_read() {
        let change = (PolicyKind::Team, Uuid::nil());
        let head = || Head {
            organization: OrganizationId::PLATFORM,
            version: 20,
            tag: 5,
            floor: 3,
            since: 15,
            changes: vec![change],
            last_t: DateTime::UNIX_EPOCH,
            next_release_at: None,
            ahead_until: None,
        };
        let told = |head: &Head, version, tag| head.changes_since(version, tag).map(<[_]>::len);
        for (version, tag, expected) in [
            (20, 5, Some(0)),
            (20, 6, None),
            (19, 5, Some(1)),
            (15, 5, Some(1)),
            (14, 5, None),
            (21, 5, None),
            (21, 4, None),
        ] {
            assert_eq!(told(&head(), version, tag), expected, "{version} {tag}");
        }
        for untold in [
            Head { floor: 16, ..head() },
            Head { since: since(None), ..head() },
            Head { since: since(None), version: i64::MAX, ..head() },
            Head { version: 16 + REACH, ..head() },
            Head { changes: vec![change, (PolicyKind::All, Uuid::nil())], ..head() },
        ] {
            assert_eq!(told(&untold, 15, 5), None, "{untold:?}");
        }
    }
}

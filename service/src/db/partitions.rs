//! The monthly partitions of the ledgers on Postgres. On SQLite there are none.

use super::reach::is_refused;
use crate::{Error, Result, System};
use chrono::{DateTime, Months, Utc};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, RuntimeErr, Statement};

/// How many months ahead a server makes partitions.
pub const MONTHS_AHEAD: u32 = 12;

/// The ledgers that have partitions.
const LEDGERS: [&str; 2] = ["reservation", "usage_event"];

/// Until when the ledgers have partitions without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitions {
    /// The time by the database.
    pub now: DateTime<Utc>,
    /// What is written before this has a partition.
    pub until: DateTime<Utc>,
}

impl Partitions {
    /// Whole days that are left.
    pub fn days(&self) -> u32 {
        u32::try_from((self.until - self.now).num_days()).unwrap_or(0)
    }

    /// Seconds that are left.
    pub fn seconds(&self) -> u32 {
        u32::try_from((self.until - self.now).num_seconds()).unwrap_or(0)
    }

    /// Whether they end so soon that the role that makes them must act.
    pub fn run_out(&self) -> bool {
        self.days() < 60
    }

    /// Whether what is written within the hour has none.
    pub fn are_missing(&self) -> bool {
        (self.until - self.now).num_hours() < 1
    }
}

/// Whether a ledger has no partition for what is to be written: a check is violated that is no constraint of ours.
pub(crate) fn lacks_partition(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let database = error.as_database_error();
    database.is_some_and(|error| error.code().as_deref() == Some("23514") && error.constraint().is_none())
}

/// Makes the partitions of the ledgers for this month and the twelve to come; how many were missing. On SQLite there are none.
pub async fn make_partitions(system: &System) -> Result<u64> {
    let now = system.clock.now(&system.db.reader).await?;
    make_partitions_until(&system.db.writer, now, MONTHS_AHEAD).await
}

/// The same for as many months as are asked for, by the connected role. One role owns the ledgers, and it alone can.
pub async fn make_partitions_until<C: ConnectionTrait>(
    db: &C,
    now: DateTime<Utc>,
    months: u32,
) -> Result<u64> {
    if db.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(0);
    }
    let mut made = 0;
    for parent in LEDGERS {
        for month in 0..=months {
            let Some(at) = now.checked_add_months(Months::new(month)) else { continue };
            let sql = "SELECT make_ledger_partition($1, $2) AS made";
            let select =
                Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, [parent.into(), at.into()]);
            let row = db.query_one_raw(select).await.map_err(of_others)?;
            made += u64::from(row.map(|row| row.try_get::<bool>("", "made")).transpose()?.unwrap_or(false));
        }
    }
    Ok(made)
}

fn of_others(error: DbErr) -> Error {
    if is_refused(&error) {
        let message = "this role does not own the ledgers: run `tollkeeper partitions` as the role that does";
        return Error::InvalidState("partitions_not_owned", message.into());
    }
    error.into()
}

/// Until when the ledgers have partitions, looked for up to `months` ahead; none on SQLite.
pub async fn partitions<C: ConnectionTrait>(db: &C, months: u32) -> Result<Option<Partitions>> {
    if db.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(None);
    }
    let sql = "SELECT clock_timestamp() AS now, coalesce(min(start) FILTER (WHERE part IS NULL), \
                 max(start) + interval '1 month') AT TIME ZONE 'UTC' AS until \
               FROM (SELECT start, to_regclass(parent || '_' || to_char(start, 'YYYYMM')) AS part \
                 FROM unnest(ARRAY['reservation', 'usage_event']) AS parent, \
                 generate_series(0, $1::int) AS ahead, \
                 LATERAL (SELECT date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + ahead * interval '1 month' AS start) AS month) AS months";
    let months = i32::try_from(months).unwrap_or(i32::MAX);
    let select = Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, [months.into()]);
    let row = db.query_one_raw(select).await?.ok_or_else(|| Error::internal("no partitions"))?;
    Ok(Some(Partitions { now: row.try_get("", "now")?, until: row.try_get("", "until")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_comes_before_the_end() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let of = |now, until| Partitions { now: at(now), until: at(until) };
        let fine = of("2026-11-30T12:00:00Z", "2027-12-01T00:00:00Z");
        assert!(!fine.run_out() && !fine.are_missing());
        let soon = of("2026-11-30T12:00:00Z", "2027-01-01T00:00:00Z");
        assert!(soon.run_out() && !soon.are_missing() && soon.days() == 31);
        assert!(of("2026-11-30T23:30:00Z", "2026-12-01T00:00:00Z").are_missing());
        let over = of("2026-12-30T00:00:00Z", "2026-12-01T00:00:00Z");
        assert!(over.are_missing() && over.run_out() && over.days() == 0);
    }
}

//! The monthly partitions of the ledgers on Postgres. On SQLite there are none.

use crate::{Result, System};
use chrono::Months;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, RuntimeErr, Statement};

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
    if system.db.backend() != DatabaseBackend::Postgres {
        return Ok(0);
    }
    let now = system.clock.now(&system.db.reader).await?;
    let mut made = 0;
    for parent in ["reservation", "usage_event"] {
        for month in 0..=12 {
            let Some(at) = now.checked_add_months(Months::new(month)) else { continue };
            let sql = "SELECT make_ledger_partition($1, $2) AS made";
            let select =
                Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, [parent.into(), at.into()]);
            let row = system.db.writer.query_one_raw(select).await?;
            made += u64::from(row.map(|row| row.try_get::<bool>("", "made")).transpose()?.unwrap_or(false));
        }
    }
    Ok(made)
}

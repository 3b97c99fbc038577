//! Whether the database can be served from: it has the schema, it takes writes, the ledgers have room for what comes.

use super::{Db, partitions::partitions};
use crate::{Error, Result};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

/// Whether the database can be served from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It can; the word is what will keep it from being so unless somebody acts.
    Ready(Option<&'static str>),
    /// It lacks a migration.
    SchemaBehind,
    /// A newer release has taken away what this one needs.
    SchemaContracted,
    /// It takes no writes; why.
    ReadOnly(&'static str),
    /// The ledgers have no partition for what is written now.
    PartitionsMissing,
}

/// Why the database takes no writes, if it does not.
pub async fn read_only<C: ConnectionTrait>(db: &C) -> Result<Option<&'static str>> {
    if db.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(None);
    }
    let sql =
        "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only')::bool AS read_only";
    let row = db.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await?;
    let row = row.ok_or_else(|| Error::internal("no answer"))?;
    let (standby, read_only): (bool, bool) = (row.try_get("", "standby")?, row.try_get("", "read_only")?);
    Ok(match (standby, read_only) {
        (true, _) => Some("the database is a read-only standby: promote it, or connect to the primary"),
        (_, true) => Some("the database takes no writes: default_transaction_read_only is on"),
        _ => None,
    })
}

impl Db {
    /// Whether it can be served from by a program that needs this migration, and cannot go on after a later one that has this
    /// word in its name.
    pub async fn readiness(&self, migration: &str, contract: &str) -> Result<Readiness> {
        let applied = self.migrations_from(migration).await?;
        if applied.iter().all(|name| name != migration) {
            return Ok(Readiness::SchemaBehind);
        }
        if applied.iter().any(|name| name != migration && name.contains(contract)) {
            return Ok(Readiness::SchemaContracted);
        }
        if let Some(why) = read_only(&self.reader).await? {
            self.suspicion.raise();
            return Ok(Readiness::ReadOnly(why));
        }
        // Two months ahead is as far as the alarm looks.
        let partitions = partitions(&self.reader, 2).await?;
        if partitions.is_some_and(|partitions| partitions.are_missing()) {
            return Ok(Readiness::PartitionsMissing);
        }
        let run_out = partitions.is_some_and(|partitions| partitions.run_out());
        Ok(Readiness::Ready(run_out.then_some("partitions_run_out")))
    }
}

//! [`Queue`]: a fair queue before the lock of a row. Postgres lets whoever shares the lock of a row overtake whoever waits
//! for all of it, so a team for which keys are made without a pause could never be suspended. Whoever holds or locks such
//! a row queues up here first, and an advisory lock serves the queue in order. Writers on SQLite queue by themselves.

use super::Scoped;
use crate::{Ctx, Result};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

/// How a row is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Queue {
    /// With others.
    Shared,
    /// Alone.
    Alone,
}

impl Queue {
    /// Waits in the queue; the place at its head lasts until the transaction ends. Tenants never wait for each other, whatever ids they
    /// make up.
    pub(super) async fn wait<E: Scoped>(self, db: &impl ConnectionTrait, ctx: &Ctx, id: E::Id) -> Result<()> {
        if !E::HELD || db.get_database_backend() != DatabaseBackend::Postgres {
            return Ok(());
        }
        let sql = match self {
            Self::Shared => "SELECT pg_advisory_xact_lock_shared(hashtext($1), hashtext($2))",
            Self::Alone => "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))",
        };
        let row = [ctx.scope.organization.to_string().into(), format!("{} {id}", E::KIND).into()];
        db.execute_raw(Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, row)).await?;
        Ok(())
    }
}

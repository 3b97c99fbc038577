//! What the pools of connections are doing, for the metrics.

use super::{Db, Pool};
use crate::Result;
use sea_orm::{DatabaseBackend, DbErr, RuntimeErr};
use std::sync::Arc;

/// One pool of connections.
#[derive(Debug)]
pub struct PoolUse<'d> {
    /// `reader`, `writer` or `meter`.
    pub name: &'static str,
    handle: Handle<'d>,
}

#[derive(Debug)]
enum Handle<'d> {
    Sqlite(&'d sqlx::SqlitePool),
    Postgres(&'d sqlx::PgPool),
}

impl Db {
    /// Its pools. On SQLite the meter has none of its own.
    pub fn pools(&self) -> Vec<PoolUse<'_>> {
        let mut pools = vec![PoolUse::of("reader", &self.reader), PoolUse::of("writer", &self.writer)];
        if self.backend() == DatabaseBackend::Postgres {
            pools.push(PoolUse::of("meter", &self.meter));
        }
        pools
    }
}

impl<'d> PoolUse<'d> {
    fn of(name: &'static str, pool: &'d Pool) -> Self {
        let connection = pool.connections();
        let handle = match connection.get_database_backend() {
            DatabaseBackend::Postgres => Handle::Postgres(connection.get_postgres_connection_pool()),
            _ => Handle::Sqlite(connection.get_sqlite_connection_pool()),
        };
        Self { name, handle }
    }

    /// How many connections there are, and how many of them nobody uses.
    pub fn connections(&self) -> (u32, u32) {
        let (size, idle) = match self.handle {
            Handle::Sqlite(pool) => (pool.size(), pool.num_idle()),
            Handle::Postgres(pool) => (pool.size(), pool.num_idle()),
        };
        (size, u32::try_from(idle).unwrap_or(u32::MAX).min(size))
    }

    /// How many connections there may be.
    pub fn capacity(&self) -> u32 {
        match self.handle {
            Handle::Sqlite(pool) => pool.options().get_max_connections(),
            Handle::Postgres(pool) => pool.options().get_max_connections(),
        }
    }

    /// Takes a connection and gives it back.
    pub async fn acquire(&self) -> Result<()> {
        let outcome = match self.handle {
            Handle::Sqlite(pool) => pool.acquire().await.map(drop),
            Handle::Postgres(pool) => pool.acquire().await.map(drop),
        };
        outcome.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))).into())
    }
}

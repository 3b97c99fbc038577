//! [`Db`]: connections. On SQLite one writer, first come first served, and a pool of readers; on Postgres a pool for
//! each, so that a unit of work that reads on the side can never wait for a connection that another unit holds.

mod partitions;
mod postgres;
mod sqlite;

pub(crate) use partitions::lacks_partition;
pub use partitions::make_partitions;
use postgres::{METER_SESSION, postgres};
use sqlite::sqlite;
pub use sqlite::sqlite_file;

use crate::{Error, Result};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    DbErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use std::time::Duration;

/// The connections of one instance.
#[derive(Debug, Clone)]
pub struct Db {
    /// Reads.
    pub reader: DatabaseConnection,
    /// Writes: units of work. On SQLite a pool of one, which makes writers queue instead of failing.
    pub writer: DatabaseConnection,
    /// The meter's transactions. On SQLite it queues with the other writers.
    meter: DatabaseConnection,
}

/// How long a call waits for a free connection before it is answered "unavailable".
const ACQUIRE: Duration = Duration::from_secs(5);

/// Connections of the meter.
const METER: u32 = 4;

/// How long a connection may be idle before it is tried on its next use: a database that was started anew has ended those that
/// nobody used meanwhile.
const IDLE: Duration = Duration::from_secs(1);

impl Db {
    /// Connects to `sqlite://…` or `postgres://…`; a missing SQLite file is created.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self> {
        if url.starts_with("sqlite:") {
            let writer = Database::connect(sqlite(url, 1)).await?;
            let reader = Database::connect(sqlite(url, max_connections)).await?;
            Ok(Self { reader, meter: writer.clone(), writer })
        } else {
            let half = (max_connections / 2).max(1);
            let writer = Database::connect(postgres(url, half, &[])).await?;
            let reader = Database::connect(postgres(url, (max_connections - half).max(1), &[])).await?;
            let meter = Database::connect(postgres(url, METER, &METER_SESSION)).await?;
            Ok(Self { reader, writer, meter })
        }
    }

    /// Which database it is.
    pub fn backend(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    /// A writing transaction: `BEGIN IMMEDIATE` on SQLite, READ COMMITTED on Postgres.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        Ok(self.writer.begin_with_options(immediate()).await?)
    }

    /// A transaction of the meter.
    pub(crate) async fn begin_metering(&self) -> std::result::Result<DatabaseTransaction, DbErr> {
        self.meter.begin_with_options(immediate()).await
    }

    /// Cuts every connection.
    pub async fn close(&self) {
        for pool in [&self.meter, &self.writer, &self.reader] {
            // Whoever still uses it is cut off with the process.
            let _ = pool.clone().close().await;
        }
    }

    /// Whether the schema has this migration, and with it all before.
    pub async fn has_migration(&self, name: &str) -> Result<bool> {
        let backend = self.backend();
        let place = if backend == DatabaseBackend::Postgres { "$1" } else { "?" };
        let sql = format!("SELECT 1 FROM seaql_migrations WHERE version = {place}");
        let select = Statement::from_sql_and_values(backend, sql, [name.into()]);
        Ok(self.reader.query_one_raw(select).await?.is_some())
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.reader.ping().await.map_err(Error::from)
    }
}

fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    }
}

fn options(url: &str, max_connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE)
        .connect_timeout(ACQUIRE)
        .test_before_acquire_if_idle_for(IDLE)
        .sqlx_logging_level(log::LevelFilter::Trace)
        .sqlx_slow_statements_logging_settings(log::LevelFilter::Warn, Duration::from_secs(1));
    options
}

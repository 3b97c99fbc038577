//! [`Db`]: connections. On SQLite one writer, first come first served, and a pool of readers; on Postgres a pool for
//! each, so that a unit of work that reads on the side can never wait for a connection that another unit holds.

use crate::{Error, Result, System};
use chrono::Months;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    DbErr, RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use std::{path::PathBuf, str::FromStr, time::Duration};

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

/// How long a connection may be idle before it is tried on its next use: a database that was started anew has ended those that
/// nobody used meanwhile.
const IDLE: Duration = Duration::from_secs(1);

/// Set on every Postgres connection: a lock may be held by a stopped instance for a second at most, commits are
/// durable, and decisions see the latest commit.
const POSTGRES_SESSION: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "1000"),
    ("lock_timeout", "5000"),
    ("statement_timeout", "30000"),
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
];

/// Set on the meter's connections beside that. Its statements join a few keys with large tables, by index: planned once, whatever
/// the keys, since planning would cost as much as running; and a plan that was made while a table was young must not read the
/// whole table once it has grown.
const METER_SESSION: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("enable_bitmapscan", "off"),
];
/// Connections of the meter.
const METER: u32 = 4;

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

/// The file behind a `sqlite:` address; none if it is no such address, or names a database in memory.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let options = SqliteConnectOptions::from_str(url).ok().filter(|_| !in_memory)?;
    Some(options.get_filename().to_owned()).filter(|file| !file.as_os_str().is_empty())
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

fn sqlite(url: &str, max_connections: u32) -> ConnectOptions {
    let mut options = options(url, max_connections);
    options.acquire_timeout(Duration::from_secs(30)).map_sqlx_sqlite_opts(|options| {
        options
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(ACQUIRE)
            .statement_cache_capacity(256)
    });
    options
}

fn postgres(url: &str, max_connections: u32, more: &'static [(&str, &str)]) -> ConnectOptions {
    let mut options = options(url, max_connections);
    options.map_sqlx_postgres_opts(move |options| {
        let session = POSTGRES_SESSION.into_iter().chain(more.iter().copied());
        options.statement_cache_capacity(256).options(session).application_name("tollkeeper")
    });
    options
}

//! [`Db`]: connections. On SQLite one writer, first come first served, and a pool of readers; on Postgres a pool for
//! each, so that a unit of work that reads on the side can never wait for a connection that another unit holds.

use crate::{Error, Result};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
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
}

/// How long a call waits for a free connection before it is answered "unavailable".
const ACQUIRE: Duration = Duration::from_secs(5);

/// How long a connection may be idle before it is tried on its next use.
const IDLE: Duration = Duration::from_secs(30);

/// Set on every Postgres connection: a lock may be held by a stopped instance for a second at most, commits are
/// durable, and decisions see the latest commit.
const POSTGRES_SESSION: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "1000"),
    ("lock_timeout", "5000"),
    ("statement_timeout", "30000"),
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
];

impl Db {
    /// Connects to `sqlite://…` or `postgres://…`; a missing SQLite file is created.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self> {
        if url.starts_with("sqlite:") {
            let writer = Database::connect(sqlite(url, 1)).await?;
            let reader = Database::connect(sqlite(url, max_connections)).await?;
            Ok(Self { reader, writer })
        } else {
            let half = (max_connections / 2).max(1);
            let writer = Database::connect(postgres(url, half)).await?;
            let reader = Database::connect(postgres(url, (max_connections - half).max(1))).await?;
            Ok(Self { reader, writer })
        }
    }

    /// Which database it is.
    pub fn backend(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    /// A writing transaction: `BEGIN IMMEDIATE` on SQLite, READ COMMITTED on Postgres.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        Ok(self.writer.begin_with_options(options).await?)
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

fn postgres(url: &str, max_connections: u32) -> ConnectOptions {
    let mut options = options(url, max_connections);
    options.map_sqlx_postgres_opts(|options| {
        options.statement_cache_capacity(256).options(POSTGRES_SESSION).application_name("tollkeeper")
    });
    options
}

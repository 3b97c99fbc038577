//! [`Db`]: connections. On SQLite one writer, first come first served, and a pool of readers; on Postgres a pool for
//! each, so that a unit of work that reads on the side can never wait for a connection that another unit holds.

mod address;
mod guard;
mod partitions;
mod pool;
mod pool_use;
mod postgres;
mod reach;
mod readiness;
mod sqlite;
mod suspicion;

pub use address::{check_postgres_address, is_address};
pub use guard::Unwritable;
pub(crate) use guard::is_lasting;
pub(crate) use partitions::lacks_partition;
pub use partitions::{MONTHS_AHEAD, Partitions, make_partitions, make_partitions_until, partitions};
pub use pool::Pool;
pub use pool_use::PoolUse;
pub use postgres::{LEAST_CONNECTIONS, missing_settings};
pub use readiness::{Readiness, read_only};
pub use sqlite::sqlite_file;

use crate::{Error, Result};
use guard::Guard;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseTransaction, DbErr, RuntimeErr,
    SqliteTransactionMode, Statement, TransactionOptions,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use suspicion::Suspicion;
use tokio::{sync::Mutex, time::timeout};

/// The connections of one instance.
#[derive(Debug, Clone)]
pub struct Db {
    /// Reads.
    pub reader: Pool,
    /// Writes: units of work. On SQLite a pool of one, which makes writers queue instead of failing.
    pub writer: Pool,
    /// The meter's transactions. On SQLite it queues with the other writers.
    meter: Pool,
    /// Keeps the files of a SQLite database the same.
    anchor: Option<Pool>,
    guard: Arc<Guard>,
    suspicion: Suspicion,
    /// When a write was last tried, and what came of it.
    tried: Arc<Mutex<Option<Tried>>>,
}

type Tried = (Instant, std::result::Result<(), Unwritable>);

/// How long a call waits for a free connection before it is answered "unavailable".
const ACQUIRE: Duration = Duration::from_secs(5);

/// How often a write is tried, however often it is asked for.
const TRIED: Duration = Duration::from_secs(1);

/// How long such a write waits for its turn.
const TURN: Duration = Duration::from_millis(1500);

/// How long a connection may be idle before it is tried on its next use: a database that was started anew has ended those that
/// nobody used meanwhile.
const IDLE: Duration = Duration::from_secs(1);

impl Db {
    /// Connects to `sqlite://…` or `postgres://…`; a missing SQLite file is created. On Postgres all connections together are
    /// `max_connections`, and at least [`LEAST_CONNECTIONS`].
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self> {
        let (guard, tried) = (Arc::<Guard>::default(), Arc::default());
        if url.starts_with("sqlite:") {
            let sqlite::Pools { anchor, writer, reader } =
                sqlite::connect(url, max_connections, &guard).await?;
            let suspicion = Suspicion::default();
            Ok(Self { reader, meter: writer.clone(), writer, anchor, guard, suspicion, tried })
        } else {
            let postgres::Pools { writer, reader, meter, suspicion } =
                postgres::connect(url, max_connections).await?;
            Ok(Self { reader, writer, meter, anchor: None, guard, suspicion, tried })
        }
    }

    /// A single connection for changing the schema, without the time limits of requests.
    pub async fn connect_for_schema(url: &str) -> Result<Pool> {
        if !url.starts_with("sqlite:") {
            return postgres::connect_for_schema(url).await;
        }
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).connect_timeout(ACQUIRE).sqlx_logging(false);
        Ok(Pool::direct(Database::connect(options).await?))
    }

    /// Which database it is.
    pub fn backend(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    fn is_sqlite(&self) -> bool {
        self.backend() == DatabaseBackend::Sqlite
    }

    /// A writing transaction: `BEGIN IMMEDIATE` on SQLite, READ COMMITTED on Postgres.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        Ok(self.begin_on(&self.writer).await?)
    }

    /// A transaction of the meter.
    pub(crate) async fn begin_metering(&self) -> std::result::Result<DatabaseTransaction, DbErr> {
        self.begin_on(&self.meter).await
    }

    async fn begin_on(&self, pool: &Pool) -> std::result::Result<DatabaseTransaction, DbErr> {
        self.unmoved().await?;
        let begun = pool.begin_with_options(immediate()).await;
        if self.is_sqlite() { begun.map_err(|error| self.guard.not_begun(error)) } else { begun }
    }

    /// Commits a transaction. Whoever is told that it has succeeded finds it after any restart.
    #[expect(clippy::disallowed_methods, reason = "the one place that commits")]
    pub async fn commit(&self, tx: DatabaseTransaction) -> std::result::Result<(), DbErr> {
        if let Err(error) = tx.commit().await {
            metrics::counter!("tollkeeper_database_commit_failures_total").increment(1);
            return Err(if self.is_sqlite() { self.guard.not_committed(error) } else { error });
        }
        // What has gone into a file without a name is gone with the process.
        self.unmoved().await
    }

    /// The files of a SQLite database are those that were opened. If the log alone is gone, what it holds is written into the
    /// database itself while it can still be read.
    async fn unmoved(&self) -> std::result::Result<(), DbErr> {
        let outcome = self.guard.unmoved();
        if let Some(file) = self.guard.changed(outcome.is_ok()) {
            [&self.writer, &self.reader].into_iter().for_each(|pool| sqlite::point(pool, &file));
        }
        if let (Err(_), Some(anchor)) = (&outcome, &self.anchor)
            && self.guard.may_rescue()
        {
            match sqlite::empty_log(anchor).await {
                Ok(()) => tracing::warn!("what was in the log of the database is written into the database"),
                Err(error) => {
                    self.guard.not_rescued();
                    tracing::error!(%error, "what is in the log of the database is not rescued yet");
                }
            }
        }
        outcome
    }

    /// Whether what is written is kept. A SQLite database is really written to, a page, at most once a second however often
    /// this is asked; while others write the answer is that of the last time. On Postgres nothing is tried.
    pub async fn verify_writable(&self) -> std::result::Result<(), Unwritable> {
        if !self.is_sqlite() {
            return Ok(());
        }
        let mut tried = self.tried.lock().await;
        if let Some((at, outcome)) = *tried
            && at.elapsed() < TRIED
        {
            return outcome;
        }
        let outcome = self.try_writing().await;
        *tried = Some((Instant::now(), outcome));
        outcome
    }

    async fn try_writing(&self) -> std::result::Result<(), Unwritable> {
        self.unmoved().await.map_err(|_| Unwritable::Replaced)?;
        // A number that nobody uses; also writing the same one writes.
        match timeout(TURN, self.writer.execute_unprepared("PRAGMA user_version = 0")).await {
            Ok(Ok(_)) => {
                self.unmoved().await.map_err(|_| Unwritable::Replaced)?;
                self.guard.written()
            }
            Ok(Err(error)) => Err(self.guard.not_written(&error)),
            Err(_) => self.guard.overtaken(),
        }
    }

    /// Cuts every connection.
    pub async fn close(&self) {
        for pool in [&self.meter, &self.writer, &self.reader].into_iter().chain(&self.anchor) {
            // Whoever still uses it is cut off with the process.
            let _ = pool.close().await;
        }
    }

    /// Whether the schema has this migration, and with it all before.
    pub async fn has_migration(&self, name: &str) -> Result<bool> {
        Ok(self.migrations_from(name).await?.iter().any(|applied| applied == name))
    }

    /// The migrations that are applied, from this one on.
    async fn migrations_from(&self, name: &str) -> Result<Vec<String>> {
        let backend = self.backend();
        let place = if backend == DatabaseBackend::Postgres { "$1" } else { "?" };
        let sql = format!("SELECT version FROM seaql_migrations WHERE version >= {place}");
        let select = Statement::from_sql_and_values(backend, sql, [name.into()]);
        let rows = self.reader.query_all_raw(select).await?;
        Ok(rows.iter().map(|row| row.try_get("", "version")).collect::<std::result::Result<_, _>>()?)
    }

    /// Takes notice of an error: connections that cannot write are not used again.
    pub(crate) fn notice(&self, error: &DbErr) {
        if is_read_only(error) {
            self.suspicion.raise();
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.reader.ping().await.map_err(Error::from)
    }
}

/// Whether Postgres refused a write because the transaction may only read.
fn is_read_only(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("25006"))
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

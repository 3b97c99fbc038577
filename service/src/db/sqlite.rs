//! How connections to SQLite are made.

use super::{ACQUIRE, guard::Guard, options, pool::Pool};
use crate::{Error, Result};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbErr, RuntimeErr, Statement};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

/// Connections of a pool that are opened at once.
const EAGER: u32 = 32;

/// The file behind a `sqlite:` address; none if it is no such address, or names a database in memory.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let options = SqliteConnectOptions::from_str(url).ok().filter(|_| !in_memory)?;
    Some(options.get_filename().to_owned()).filter(|file| !file.as_os_str().is_empty())
}

/// The connections to one database.
pub(super) struct Pools {
    /// Opened first and used for nothing while all is well: as long as it is open, the log and the shared memory are the files
    /// that they were at the start, whichever other connection comes and goes. None for a database in memory.
    pub(super) anchor: Option<Pool>,
    /// The one that writes.
    pub(super) writer: Pool,
    /// Those that read.
    pub(super) reader: Pool,
}

/// Connects, and sets the guard over the files and the connections.
pub(super) async fn connect(url: &str, readers: u32, guard: &Arc<Guard>) -> Result<Pools> {
    let mut anchor = None;
    let file = sqlite_file(url);
    if let Some(file) = &file {
        let connection = Pool::direct(Database::connect(sqlite(url, 1, true)).await?);
        // The first read opens the log and the shared memory.
        connection.execute_unprepared("SELECT count(*) FROM sqlite_schema").await?;
        guard.watch(file).map_err(|error| {
            Error::Db(DbErr::Conn(RuntimeErr::Internal(format!("{}: {error}", file.display()))))
        })?;
        anchor = Some(connection);
    }
    let pool = async |connections, writes| {
        // A file that has gone since is not to be made again, empty.
        let mut options = sqlite(url, connections, anchor.is_none());
        guard.stand_over(&mut options, writes);
        Database::connect(options).await.map(Pool::direct)
    };
    let (writer, reader) = (pool(1, true).await?, pool(readers, false).await?);
    Ok(Pools { anchor, writer, reader })
}

/// New connections of a pool are to this file from now on.
pub(super) fn point(pool: &Pool, file: &Path) {
    let pool = pool.connections().get_sqlite_connection_pool();
    pool.set_connect_options((*pool.connect_options()).clone().filename(file));
}

/// Writes all that is in the log into the database itself.
pub(super) async fn empty_log(connection: &Pool) -> std::result::Result<(), DbErr> {
    let checkpoint = Statement::from_string(connection.get_database_backend(), "PRAGMA wal_checkpoint(FULL)");
    let row = connection.query_one_raw(checkpoint).await?;
    // Its first number says whether somebody was in the way.
    match row.map(|row| row.try_get_by_index::<i32>(0)).transpose()? {
        Some(0) => Ok(()),
        _ => Err(DbErr::Custom("others use the database".into())),
    }
}

/// Connections are opened at once and stay: to open one later, when another file is in the place of the database, would be to open
/// the log of one database with another, and to close it would write the one into the other.
fn sqlite(url: &str, max_connections: u32, create: bool) -> ConnectOptions {
    let mut options = options(url, max_connections);
    options.min_connections(max_connections.min(EAGER));
    options.acquire_timeout(Duration::from_secs(30)).idle_timeout(None).max_lifetime(None);
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .create_if_missing(create)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(ACQUIRE)
            .statement_cache_capacity(256)
    });
    options
}

/// The code of an error of SQLite, with what kind of its class it is.
pub(super) fn extended_code(error: &DbErr) -> Option<i32> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error()?.code()?.parse().ok()
}

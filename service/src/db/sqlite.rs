//! How connections to SQLite are made.

use super::{ACQUIRE, options};
use sea_orm::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use std::{path::PathBuf, str::FromStr, time::Duration};

/// The file behind a `sqlite:` address; none if it is no such address, or names a database in memory.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let options = SqliteConnectOptions::from_str(url).ok().filter(|_| !in_memory)?;
    Some(options.get_filename().to_owned()).filter(|file| !file.as_os_str().is_empty())
}

pub(super) fn sqlite(url: &str, max_connections: u32) -> ConnectOptions {
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

//! The schema, brought up or down by one process at a time: under an advisory lock on Postgres, under the lock file on
//! `SQLite`. A schema that is ahead is fine, for migrations expand before they contract.

use crate::config::{Config, Database};
use anyhow::{Context, bail};
use migration::{Migrator, MigratorTrait, SchemaManager};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, Statement};
use std::{
    collections::HashSet,
    fs::{File, TryLockError},
    time::Duration,
};

/// The number of our advisory lock: "tollkeep" in ASCII.
const LOCK: i64 = 0x746f_6c6c_6b65_6570;

/// A `SQLite` file belongs to the process that holds its lock file, for as long as this lives.
#[must_use = "the lock ends with it"]
pub struct FileLock(#[expect(dead_code, reason = "held, not read")] Option<File>);

/// Takes a `SQLite` database for this process; nothing on Postgres.
pub fn lock_file(config: &Config) -> anyhow::Result<FileLock> {
    let Some(path) = config.database.beside(".lock") else { return Ok(FileLock(None)) };
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(FileLock(Some(file))),
        Err(TryLockError::WouldBlock) => bail!(
            "another tollkeeper works on this database ({} is locked); SQLite is served by one process, several share Postgres",
            path.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// A connection for changing the schema: one, and without the time limits of requests.
pub async fn connect(config: &Config) -> anyhow::Result<DatabaseConnection> {
    if let Database::Sqlite { file, .. } = &config.database {
        create_private(file).with_context(|| format!("cannot make {}", file.display()))?;
    }
    let mut options = ConnectOptions::new(config.database.url());
    options.max_connections(1).connect_timeout(Duration::from_secs(5)).sqlx_logging(false);
    sea_orm::Database::connect(options).await.context("the database cannot be reached")
}

/// Makes the file before the database does, so that nobody else can read it. Its companions inherit the mode.
fn create_private(file: &std::path::Path) -> std::io::Result<()> {
    match crate::keyring::private().create_new(true).open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The same as the database is found: where a `SQLite` file is missing nothing is applied, and nothing is made.
pub async fn found(config: &Config) -> anyhow::Result<Vec<(String, bool)>> {
    if matches!(&config.database, Database::Sqlite { file, .. } if !file.exists()) {
        return Ok(all(&HashSet::new()));
    }
    let db = connect(config).await?;
    let found = status(&db).await?;
    // The last connection takes the log and the shared memory along.
    db.close().await?;
    Ok(found)
}

/// Every migration of this binary and whether it is applied, in order.
pub async fn status(db: &DatabaseConnection) -> anyhow::Result<Vec<(String, bool)>> {
    let mut applied = HashSet::new();
    if SchemaManager::new(db).has_table("seaql_migrations").await? {
        let sql = "SELECT version FROM seaql_migrations";
        for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await? {
            applied.insert(row.try_get::<String>("", "version")?);
        }
    }
    Ok(all(&applied))
}

fn all(applied: &HashSet<String>) -> Vec<(String, bool)> {
    let names = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
    names.map(|name| (name.clone(), applied.contains(&name))).collect()
}

/// The migrations that this binary needs and the database lacks.
pub async fn pending(db: &DatabaseConnection) -> anyhow::Result<Vec<String>> {
    let all = status(db).await?;
    Ok(all.into_iter().filter(|(_, applied)| !applied).map(|(name, _)| name).collect())
}

/// Applies what is pending, and says what that was. The caller holds the [`lock_file`].
pub async fn up(config: &Config) -> anyhow::Result<Vec<String>> {
    let db = connect(config).await?;
    let lock = lock(config).await?;
    let pending = pending(&db).await?;
    if !pending.is_empty() {
        Migrator::up(&db, None).await.context("the schema could not be brought up to date")?;
    }
    db.close().await?;
    unlock(lock).await?;
    Ok(pending)
}

/// Reverts the last `steps` migrations, and what is in them.
pub async fn down(config: &Config, steps: u32) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let lock = lock(config).await?;
    Migrator::down(&db, Some(steps)).await.context("the schema could not be brought back")?;
    db.close().await?;
    unlock(lock).await
}

/// Waits for the advisory lock of Postgres, on a connection of its own, with which it ends whatever happens.
async fn lock(config: &Config) -> anyhow::Result<Option<DatabaseConnection>> {
    if matches!(config.database, Database::Sqlite { .. }) {
        return Ok(None);
    }
    let db = connect(config).await?;
    let sql = format!("SELECT pg_try_advisory_lock({LOCK}) AS locked");
    loop {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), &sql)).await?;
        if row.context("the database does not answer")?.try_get::<bool>("", "locked")? {
            return Ok(Some(db));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn unlock(lock: Option<DatabaseConnection>) -> anyhow::Result<()> {
    match lock {
        Some(lock) => Ok(lock.close().await?),
        None => Ok(()),
    }
}

//! The schema, brought up or down by one process at a time: under an advisory lock on Postgres, which ends with the transaction
//! of each migration, under the lock file on `SQLite`. A schema that is ahead is fine, for migrations expand before they
//! contract; one that has contracted is not.

use crate::config::{Config, Database};
use anyhow::{Context, bail};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, Statement};
use service::{
    clock::Clock,
    db::{Db, Pool, read_only},
    presence,
};
use std::{
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

/// Refuses to open a `SQLite` database beside a server whose log was deleted: this process would begin another log, and share
/// the server's memory of the one that is gone, which ends the database.
pub fn refuse_beside_lost_log(config: &Config) -> anyhow::Result<()> {
    let beside = |suffix| config.database.beside(suffix).filter(|path| path.exists());
    let (Some(memory), Some(lock)) = (beside("-shm"), beside(".lock")) else { return Ok(()) };
    if beside("-wal").is_some() {
        return Ok(());
    }
    let file = File::options().write(true).open(&lock);
    let file = file.with_context(|| format!("cannot open {}", lock.display()))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => bail!(
            "the log beside {} was deleted while the database is served: stop the server first",
            memory.display()
        ),
        _ => Ok(()),
    }
}

/// A connection for changing the schema: one, and without the time limits of requests.
pub async fn connect(config: &Config) -> anyhow::Result<Pool> {
    if let Database::Sqlite { file, .. } = &config.database {
        create_private(file).with_context(|| format!("cannot make {}", file.display()))?;
    }
    Db::connect_for_schema(config.database.url()).await.context("the database cannot be reached")
}

/// Makes the file before the database does, so that nobody else can read it. Its companions inherit the mode.
fn create_private(file: &std::path::Path) -> std::io::Result<()> {
    match crate::keyring::private().create_new(true).open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Where a schema is, beside the migrations of this binary.
#[derive(Debug)]
pub struct Status {
    /// Every migration of this binary and whether it is applied, in order.
    pub known: Vec<(String, bool)>,
    /// What a newer release has applied.
    pub newer: Vec<String>,
}

impl Status {
    fn of(applied: &[String]) -> Self {
        let names: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
        let newer = applied.iter().filter(|name| !names.contains(name)).cloned().collect();
        let known = names.into_iter().map(|name| {
            let done = applied.contains(&name);
            (name, done)
        });
        Self { known: known.collect(), newer }
    }

    /// What this binary needs and the database lacks.
    pub fn pending(&self) -> Vec<&str> {
        self.known.iter().filter(|(_, applied)| !applied).map(|(name, _)| name.as_str()).collect()
    }

    /// What a newer release has taken away, so that this one cannot serve.
    pub fn contracted(&self) -> Option<&str> {
        self.newer.iter().map(String::as_str).find(|name| name.contains(migration::CONTRACT))
    }
}

/// Where the schema is as the database is found: where a `SQLite` file is missing nothing is applied, and nothing is made.
pub async fn found(config: &Config) -> anyhow::Result<Status> {
    if matches!(&config.database, Database::Sqlite { file, .. } if !file.exists()) {
        return Ok(Status::of(&[]));
    }
    refuse_beside_lost_log(config)?;
    let db = connect(config).await?;
    let found = status(&db).await?;
    // The last connection takes the log and the shared memory along.
    db.close().await?;
    Ok(found)
}

/// Reads it.
pub async fn status<C: ConnectionTrait>(db: &C) -> anyhow::Result<Status> {
    let mut applied = Vec::new();
    if has_table(db, "seaql_migrations").await? {
        let sql = "SELECT version FROM seaql_migrations ORDER BY version";
        for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await? {
            applied.push(row.try_get::<String>("", "version")?);
        }
    }
    Ok(Status::of(&applied))
}

async fn has_table<C: ConnectionTrait>(db: &C, name: &str) -> anyhow::Result<bool> {
    let backend = db.get_database_backend();
    let sql = if backend == DatabaseBackend::Postgres {
        format!("SELECT 1 WHERE to_regclass('{name}') IS NOT NULL")
    } else {
        format!("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{name}'")
    };
    Ok(db.query_one_raw(Statement::from_string(backend, sql)).await?.is_some())
}

/// Refuses to serve from a database that cannot be served from by this binary, and says why.
pub async fn check(config: &Config) -> anyhow::Result<()> {
    let db = connect(config).await?;
    refuse_read_only(&db).await?;
    let status = status(&db).await?;
    if !status.pending().is_empty() {
        bail!("the schema is behind: run `tollkeeper migrate up`, or start with `serve --migrate`");
    }
    if let Some(name) = status.contracted() {
        bail!(
            "the schema is of a newer release, and {name} took away what this one needs: install the newer release"
        );
    }
    if let Some(name) = status.newer.last() {
        tracing::warn!(name, "the schema is of a newer release; this one goes on with it");
    }
    Ok(db.close().await?)
}

async fn refuse_read_only<C: ConnectionTrait>(db: &C) -> anyhow::Result<()> {
    match read_only(db).await? {
        Some(why) => bail!("{why}"),
        None => Ok(()),
    }
}

/// Applies what is pending, and says what that was. The caller holds the [`lock_file`].
pub async fn up(config: &Config) -> anyhow::Result<Vec<String>> {
    let db = connect(config).await?;
    let applied = match config.database {
        Database::Sqlite { .. } => {
            let pending: Vec<String> = status(&db).await?.pending().into_iter().map(str::to_owned).collect();
            if !pending.is_empty() {
                Migrator::up(db.connections(), None)
                    .await
                    .context("the schema could not be brought up to date")?;
            }
            pending
        }
        Database::Postgres { .. } => up_one_by_one(&db).await?,
    };
    db.close().await?;
    Ok(applied)
}

/// Each migration is a transaction of its own, so that none holds its locks longer than it must.
async fn up_one_by_one(db: &Pool) -> anyhow::Result<Vec<String>> {
    refuse_read_only(db).await?;
    let mut applied = Vec::new();
    loop {
        let tx = lock(db).await?;
        let status = status(&tx).await?;
        let Some(name) = status.pending().first().map(|name| (*name).to_owned()) else {
            tx.rollback().await?;
            return Ok(applied);
        };
        if let Some(newer) = status.newer.last() {
            bail!(
                "{name} is pending, and {newer} of another release is applied: use a release that has both"
            );
        }
        Migrator::up(&tx, Some(1)).await.with_context(|| format!("{name} could not be applied"))?;
        tx.commit().await.with_context(|| format!("{name} could not be applied"))?;
        applied.push(name);
    }
}

/// Reverts the last `steps` migrations, and what is in them: all or none. On Postgres no instance may be serving.
pub async fn down(config: &Config, steps: u32) -> anyhow::Result<()> {
    let db = connect(config).await?;
    let failed = "the schema could not be brought back";
    if matches!(config.database, Database::Sqlite { .. }) {
        Migrator::down(db.connections(), Some(steps)).await.context(failed)?;
    } else {
        refuse_read_only(&db).await?;
        let tx = lock(&db).await?;
        if let Some(newer) = status(&tx).await?.newer.last() {
            bail!("{newer} was applied by a newer release, which alone can revert it");
        }
        refuse_serving(&tx).await?;
        Migrator::down(&tx, Some(steps)).await.context(failed)?;
        tx.commit().await.context(failed)?;
    }
    Ok(db.close().await?)
}

/// Refuses while instances serve, and keeps new ones from starting until the transaction ends.
async fn refuse_serving(tx: &DatabaseTransaction) -> anyhow::Result<()> {
    if !has_table(tx, "instance").await? {
        return Ok(());
    }
    tx.execute_unprepared("LOCK TABLE instance IN SHARE ROW EXCLUSIVE MODE").await?;
    let now = Clock::System.now(tx).await?;
    let serving = presence::serving(tx, now).await?;
    if serving.is_empty() {
        return Ok(());
    }
    let one = |row: &entity::instance::Model| {
        format!("release {} since {}", row.version, row.started_at.format("%Y-%m-%d %H:%M:%S UTC"))
    };
    let list: Vec<String> = serving.iter().map(one).collect();
    bail!(
        "{} serving from this database ({}): stop every instance first; one that was killed counts for 30 s",
        if list.len() == 1 { "1 instance is".into() } else { format!("{} instances are", list.len()) },
        list.join(", ")
    )
}

/// A transaction that nobody else changes the schema beside.
async fn lock(db: &Pool) -> anyhow::Result<DatabaseTransaction> {
    let sql = format!("SELECT pg_try_advisory_xact_lock({LOCK}) AS locked");
    loop {
        let tx = db.begin().await?;
        let row = tx.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, &sql)).await?;
        if row.context("the database does not answer")?.try_get::<bool>("", "locked")? {
            return Ok(tx);
        }
        tx.rollback().await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

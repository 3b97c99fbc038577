//! `tollkeeper doctor`: everything that can be wrong with an installation, looked at without changing anything. Whether a SQLite
//! database can be written is tried by writing what is there already; no file is made that stays.

use crate::{
    config::{Config, Database},
    keyring, schema,
};
use anyhow::bail;
use sea_orm::{ConnectionTrait, Statement, TryGetable};
use service::{
    checks,
    clock::{Clock, watch},
    db::{self, Db, LEAST_CONNECTIONS, MONTHS_AHEAD, Pool},
    presence, vault,
};
use std::{fs, path::Path};

/// The oldest Postgres that is supported.
const OLDEST_SERVER: i64 = 150_000;
/// How far the clocks of machine and database may be apart, in milliseconds.
const LARGEST_SKEW: i64 = watch::SKEW.num_milliseconds();

/// What was found, a line each.
#[derive(Default)]
struct Report {
    wrong: usize,
}

impl Report {
    fn note(&mut self, what: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(found) => say!("ok     {what}: {found}"),
            Err(fault) => {
                self.wrong += 1;
                say!("WRONG  {what}: {fault}");
            }
        }
    }
}

/// Runs it.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let mut report = Report::default();
    if let Database::Sqlite { file, .. } = &config.database {
        if !file.exists() {
            bail!("{} does not exist; the first `tollkeeper serve` makes it", file.display());
        }
        schema::refuse_beside_lost_log(config)?;
        report.note("file modes", modes(config));
    }
    match Db::connect(config.database.url(), LEAST_CONNECTIONS).await {
        Ok(db) => {
            examine(config, &db, &mut report).await;
            // The last connection takes the log and the shared memory along.
            db.close().await;
        }
        Err(error) => report.note("database", Err(error.to_string())),
    }
    match report.wrong {
        0 => Ok(()),
        1 => bail!("1 thing is wrong"),
        wrong => bail!("{wrong} things are wrong"),
    }
}

async fn examine(config: &Config, db: &Db, report: &mut Report) {
    report.note("database", db.ping().await.map(|()| "answers".into()).map_err(|error| error.to_string()));
    let schema = current(db).await;
    let whole = schema.is_ok();
    report.note("schema", schema);
    report.note("secrets", secrets(config, db).await);
    report.note("data keys", data_keys(config, db).await);
    if whole {
        report.note("clock history", history(db).await);
    }
    report.note("sign-ins", proxies(config, db).await);
    match config.database {
        Database::Sqlite { .. } => {
            report.note("journal_mode", pragma::<String>(db, "journal_mode", &"wal".into()).await);
            report.note("synchronous", pragma::<i32>(db, "synchronous", &2).await);
            report.note("foreign_keys", pragma::<i32>(db, "foreign_keys", &1).await);
            report.note("writes", writes(db).await);
            report.note("integrity", pragma::<String>(db, "quick_check", &"ok".into()).await);
        }
        Database::Postgres { .. } => {
            report.note("server version", version(&db.writer).await);
            report.note("writes", writes(db).await);
            report.note("settings", settings(db).await);
            report.note("synchronous_commit", durable(&db.writer).await);
            report.note("clock", skew(&db.writer).await);
            report.note("partitions", partitions(&db.writer).await);
            report.note("instances", instances(db).await);
        }
    }
}

/// Whether the database's clock has run evenly.
async fn history(db: &Db) -> Result<String, String> {
    let now = Clock::System.now(&db.writer).await.map_err(|error| error.to_string())?;
    let faults = watch::faults(db, now).await.map_err(|error| error.to_string())?;
    if faults.is_empty() { Ok("even".into()) } else { Err(faults.join("; ")) }
}

async fn ask<T: TryGetable>(db: &Pool, sql: String) -> Result<T, String> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    let row = row.map_err(|error| error.to_string())?.ok_or("no answer")?;
    T::try_get_by_index(&row, 0).map_err(|error| format!("{error:?}"))
}

async fn current(db: &Db) -> Result<String, String> {
    let status = schema::status(&db.writer).await.map_err(|error| error.to_string())?;
    let pending = status.pending();
    if !pending.is_empty() {
        return Err(format!("{} pending; run `tollkeeper migrate up`", pending.join(", ")));
    }
    if let Some(name) = status.contracted() {
        return Err(format!(
            "{name} of a newer release took away what this one needs: install the newer release"
        ));
    }
    Ok(match status.newer.last() {
        Some(name) => format!("of a newer release ({name}), which this one can go on with"),
        None => "up to date".into(),
    })
}

async fn secrets(config: &Config, db: &Db) -> Result<String, String> {
    let secrets = keyring::open(config).map_err(|error| error.to_string())?;
    let mismatches = checks::mismatches(db, &secrets).await.map_err(|error| error.to_string())?;
    let texts: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
    if texts.is_empty() { Ok("those of the database".into()) } else { Err(texts.join("; ")) }
}

async fn data_keys(config: &Config, db: &Db) -> Result<String, String> {
    let secrets = keyring::open(config).map_err(|error| error.to_string())?;
    let (active, _) = secrets.encryption.active();
    let wrapped = vault::wrapped(db).await.map_err(|error| error.to_string())?;
    let text = |(version, count): &(i32, u64)| format!("{count} wrapped with version {version}");
    let of = |part: Vec<&(i32, u64)>| part.into_iter().map(text).collect::<Vec<_>>().join(", ");
    let unknown = wrapped.iter().filter(|(version, _)| secrets.encryption.get(*version).is_none());
    let unknown = of(unknown.collect());
    if !unknown.is_empty() {
        return Err(format!("{unknown} of encryption_key, which is not configured"));
    }
    let all = of(wrapped.iter().collect());
    if wrapped.iter().any(|(version, _)| *version < active) {
        return Ok(format!("{all}; `tollkeeper rotate-key` wraps them with version {active}"));
    }
    Ok(if all.is_empty() { "none yet".into() } else { all })
}

/// A balancer that is not trusted makes all people one address, and then wrong passwords of one delay the others.
async fn proxies(config: &Config, db: &Db) -> Result<String, String> {
    let seen = service::session::only_address(db).await.map_err(|error| error.to_string())?;
    let Some((address, people)) = seen.filter(|_| config.http.trusted_proxies.is_empty()) else {
        return Ok("from the addresses of the people, as far as can be seen".into());
    };
    let text = format!("all {people} people who signed in this week came from {address}");
    if address.is_loopback() {
        return Ok(format!("{text}: behind a proxy, set TOLLKEEPER_TRUSTED_PROXIES"));
    }
    Err(format!("{text}: set TOLLKEEPER_TRUSTED_PROXIES if that is your load balancer"))
}

async fn pragma<T: TryGetable + PartialEq + std::fmt::Display>(
    db: &Db,
    name: &str,
    expected: &T,
) -> Result<String, String> {
    let found = ask::<T>(&db.writer, format!("PRAGMA {name}")).await?;
    if found == *expected { Ok(found.to_string()) } else { Err(format!("{found} instead of {expected}")) }
}

async fn version(db: &Pool) -> Result<String, String> {
    let number = ask::<i64>(db, "SELECT current_setting('server_version_num')::bigint".into()).await?;
    let text = format!("{}.{}", number / 10_000, number % 10_000);
    if number >= OLDEST_SERVER { Ok(text) } else { Err(format!("{text}; at least 15 is needed")) }
}

async fn durable(db: &Pool) -> Result<String, String> {
    let setting = |name: &str| format!("SELECT current_setting('{name}')");
    let commit = ask::<String>(db, setting("synchronous_commit")).await?;
    let fsync = ask::<String>(db, setting("fsync")).await?;
    if commit == "off" || fsync == "off" {
        return Err(format!("synchronous_commit = {commit}, fsync = {fsync}: a commit may be lost"));
    }
    Ok(commit)
}

async fn skew(db: &Pool) -> Result<String, String> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let before = Clock::System.local().timestamp_millis();
    let theirs = ask::<i64>(db, sql.into()).await?;
    let after = Clock::System.local().timestamp_millis();
    // The answer was given at some moment between the two.
    let apart = (before - theirs).max(theirs - after).max(0);
    let text = format!("{apart} ms apart from the database's");
    if apart <= LARGEST_SKEW { Ok(text) } else { Err(text) }
}

async fn writes(db: &Db) -> Result<String, String> {
    match db::read_only(&db.writer).await.map_err(|error| error.to_string())? {
        Some(why) => Err(why.into()),
        None => db.verify_writable().await.map(|()| "are kept".into()).map_err(|fault| fault.to_string()),
    }
}

/// What every connection of a server relies on is looked up on one of each pool.
async fn settings(db: &Db) -> Result<String, String> {
    let missing = db::missing_settings(db).await.map_err(|error| error.to_string())?;
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    Ok(if db.writer.is_pooled() {
        "arrive with each transaction, through a pooler".into()
    } else {
        "arrive with each connection".into()
    })
}

/// The ledgers have partitions for months to come.
async fn partitions(db: &Pool) -> Result<String, String> {
    let found = db::partitions(db, MONTHS_AHEAD).await.map_err(|error| error.to_string())?;
    let Some(found) = found else { return Ok("none needed".into()) };
    let text = format!("until the beginning of {}", found.until.format("%Y-%m"));
    if found.run_out() {
        return Err(format!("{text} only; run `tollkeeper partitions` as the role that owns the ledgers"));
    }
    Ok(text)
}

async fn instances(db: &Db) -> Result<String, String> {
    let now = Clock::System.now(&db.writer).await.map_err(|error| error.to_string())?;
    let serving = presence::serving(&db.writer, now).await.map_err(|error| error.to_string())?;
    let versions: Vec<String> = serving.into_iter().map(|row| format!("release {}", row.version)).collect();
    Ok(if versions.is_empty() { "none serving".into() } else { format!("serving: {}", versions.join(", ")) })
}

/// Files that hold secrets or digests are for their owner alone.
fn modes(config: &Config) -> Result<String, String> {
    let files = ["", "-wal", ".secrets", ".setup-token"];
    let open: Vec<String> = files
        .iter()
        .filter_map(|suffix| config.database.beside(suffix))
        .filter(|path| is_open(path))
        .map(|path| path.display().to_string())
        .collect();
    if open.is_empty() { Ok("private".into()) } else { Err(format!("others can read {}", open.join(", "))) }
}

#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open(_: &Path) -> bool {
    false
}

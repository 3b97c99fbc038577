//! [`Guard`]: what makes sure that SQLite keeps what it confirms.
//!
//! - A connection whose COMMIT or ROLLBACK failed is never used again. sqlx counts how deep it is in transactions and counts down
//!   only on success; with the count off by one, the next BEGIN is a SAVEPOINT within a transaction that nobody ends, and what is
//!   "committed" from then on is gone with the process. So before a connection is handed out the count must be zero, and before
//!   the writing one goes back it must take a BEGIN.
//! - The files must be those that were opened. What is written to a file that has no name any more is gone with the process, too.
//!   The file itself never shrinks, since nothing here runs VACUUM: if it has, another was copied over it.
//! - That nothing can be written is said once, when it begins, and once when it is over.

use super::sqlite::extended_code;
use crate::{Error, error::is_restricted};
use futures_util::future::BoxFuture;
use sea_orm::{ConnectOptions, DbErr, RuntimeErr};
use sqlx::{Connection, sqlite::SqliteConnection};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long after a failure the database does not count as writable, however well a small write goes: a full disk may have space
/// for one page and none for the next batch.
const SETTLED: Duration = Duration::from_secs(2);
/// How often the same trouble is said.
const SAID: Duration = Duration::from_mins(1);
/// A writer that is busy for so long is taken for stuck.
const STUCK: Duration = Duration::from_secs(30);

/// Why nothing can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// No space.
    #[error("the disk of the database is full: free some space on it")]
    Full,
    /// Not allowed.
    #[error("the database can only be read: the server must be allowed to write its file and its directory")]
    ReadOnly,
    /// The file system fails.
    #[error("the file system of the database fails: look into the server's log")]
    Failing,
    /// Not a database any more.
    #[error("the file of the database is damaged: stop the server and restore a backup")]
    Damaged,
    /// Not the files that were opened.
    #[error(
        "the file of the database, its -wal or its -shm was deleted, moved, overwritten or replaced while it is served: \
         stop the server, see that the right file is in place, and start it again"
    )]
    Replaced,
    /// Any other reason.
    #[error("the database does not answer")]
    Unavailable,
}

impl Unwritable {
    /// A stable word.
    pub fn code(self) -> &'static str {
        match self {
            Self::Full => "database_full",
            Self::ReadOnly => "database_read_only",
            Self::Failing => "database_failing",
            Self::Damaged => "database_damaged",
            Self::Replaced => "database_replaced",
            Self::Unavailable => "database_unavailable",
        }
    }

    /// What an error says about the database, rather than about the statement.
    fn of(error: &DbErr) -> Option<Self> {
        /// The file has been moved, as SQLite itself sees it.
        const READONLY_DBMOVED: i32 = 1032;
        let code = extended_code(error)?;
        match (code, code & 0xff) {
            (READONLY_DBMOVED, _) => Some(Self::Replaced),
            (_, 8) => Some(Self::ReadOnly),
            (_, 10 | 14) => Some(Self::Failing),
            (_, 11 | 26) => Some(Self::Damaged),
            (_, 13) => Some(Self::Full),
            _ => None,
        }
    }
}

/// Whether trying again at once is of no use: it is the operator who ends it.
pub(crate) fn is_lasting(error: &DbErr) -> bool {
    let replaced = Unwritable::Replaced.to_string();
    let internal =
        |error: &DbErr| matches!(error, DbErr::Conn(RuntimeErr::Internal(text)) if *text == replaced);
    Unwritable::of(error).is_some() || internal(error)
}

/// What is known of one SQLite database. On Postgres nothing is.
#[derive(Debug, Default)]
pub(super) struct Guard {
    files: OnceLock<Files>,
    /// Whether the writing connection is to be thrown away.
    suspect: AtomicBool,
    /// Whether new connections are refused.
    barred: AtomicBool,
    /// Whether what is in a log without a name has been looked after.
    rescued: AtomicBool,
    trouble: Mutex<Trouble>,
}

/// What is in the way, and since when.
#[derive(Debug, Default)]
struct Trouble {
    now: Option<Unwritable>,
    failed: Option<Instant>,
    said: Option<(Unwritable, Instant)>,
    wrote: Option<Instant>,
}

/// The files of the database, as they were when it was opened.
#[derive(Debug)]
struct Files {
    names: Vec<(PathBuf, Identity)>,
    /// The largest size of the first that was seen, in bytes.
    size: AtomicU64,
}

type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Where files have no number, they are at least there.
#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|_| (0, 0))
}

impl Files {
    /// The database, its log and its shared memory. The last two stay the same files for as long as one connection is open.
    fn of(file: &Path) -> io::Result<Self> {
        // The log is beside the file itself, wherever a link to it is.
        let file = fs::canonicalize(file)?;
        let beside = |suffix: &str| {
            let mut name = file.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let known = |path: PathBuf| identity(&path).map(|identity| (path, identity));
        ["", "-wal", "-shm"]
            .into_iter()
            .map(|suffix| known(beside(suffix)))
            .collect::<io::Result<_>>()
            .map(|names| Self { names, size: AtomicU64::new(0) })
    }

    /// Only looks at names: opening and closing a file of a database would drop the locks that SQLite has on it.
    fn are_there(&self) -> bool {
        self.names.iter().all(|(path, known)| identity(path).is_ok_and(|now| now == *known))
            && self.has_grown()
    }

    /// Whether the database is at least as large as it ever was. If not, what it had is lost: no later size makes up for it.
    fn has_grown(&self) -> bool {
        let size =
            self.names.first().and_then(|(path, _)| fs::metadata(path).ok()).map_or(0, |file| file.len());
        let grown = self.size.fetch_max(size, Ordering::Relaxed) <= size;
        if !grown {
            self.size.store(u64::MAX, Ordering::Relaxed);
        }
        grown
    }

    fn was_overwritten(&self) -> bool {
        self.size.load(Ordering::Relaxed) == u64::MAX
    }
}

impl Guard {
    /// Remembers the files. There must be an open connection that has read.
    pub(super) fn watch(&self, file: &Path) -> io::Result<()> {
        let files = Files::of(file)?;
        let _ = self.files.set(files);
        Ok(())
    }

    fn is_unmoved(&self) -> bool {
        self.files.get().is_none_or(Files::are_there)
    }

    /// The files must be those that were opened.
    pub(super) fn unmoved(&self) -> Result<(), DbErr> {
        if self.is_unmoved() {
            return Ok(());
        }
        let fault = Unwritable::Replaced;
        self.trouble().is(fault, &"see above");
        Err(DbErr::Conn(RuntimeErr::Internal(fault.to_string())))
    }

    /// Where new connections are to be made from now on, if that has changed: in a place that cannot be, while the files are not
    /// those that were opened. A connection that is refused after it was made would be waited for.
    pub(super) fn changed(&self, unmoved: bool) -> Option<PathBuf> {
        if self.barred.swap(!unmoved, Ordering::Relaxed) != unmoved {
            return None;
        }
        let (database, _) = self.files.get()?.names.first()?;
        Some(if unmoved { database.clone() } else { database.join("replaced") })
    }

    /// Whether the database itself is where it was, and nothing has been rescued yet.
    pub(super) fn may_rescue(&self) -> bool {
        let Some(files) = self.files.get().filter(|files| !files.was_overwritten()) else { return false };
        let database = files.names.first();
        let there = database.is_some_and(|(path, known)| identity(path).is_ok_and(|now| now == *known));
        there && !self.rescued.swap(true, Ordering::Relaxed)
    }

    /// It did not work, and is to be tried again.
    pub(super) fn not_rescued(&self) {
        self.rescued.store(false, Ordering::Relaxed);
    }

    /// A transaction of the writing connection could not be begun. Whatever the reason, nothing was done, and the connection may
    /// be the reason.
    pub(super) fn not_begun(&self, error: DbErr) -> DbErr {
        if let Some(fault) = Unwritable::of(&error) {
            self.trouble().is(fault, &error);
        }
        if Error::Db(error.clone()).is_unavailable() {
            return error;
        }
        self.suspect.store(true, Ordering::Relaxed);
        DbErr::Conn(RuntimeErr::Internal(error.to_string()))
    }

    /// A transaction of the writing connection could not be committed: the connection is not to be used again. Nothing was kept,
    /// or so it seems: a caller that repeats itself finds out.
    pub(super) fn not_committed(&self, error: DbErr) -> DbErr {
        self.suspect.store(true, Ordering::Relaxed);
        // A key that a deferred constraint protects is the caller's affair.
        if error.sql_err().is_some() || is_restricted(&error) {
            return error;
        }
        self.trouble().is(Unwritable::of(&error).unwrap_or(Unwritable::Unavailable), &error);
        if Error::Db(error.clone()).is_unavailable() {
            return error;
        }
        DbErr::Conn(RuntimeErr::Internal(error.to_string()))
    }

    /// A write that was made to see whether it can be has failed.
    pub(super) fn not_written(&self, error: &DbErr) -> Unwritable {
        let fault = Unwritable::of(error).unwrap_or(Unwritable::Unavailable);
        self.trouble().is(fault, error);
        fault
    }

    /// Such a write has been kept.
    pub(super) fn written(&self) -> Result<(), Unwritable> {
        self.rescued.store(false, Ordering::Relaxed);
        self.trouble().over()
    }

    /// Such a write has not come to its turn in time: others write, or nobody can.
    pub(super) fn overtaken(&self) -> Result<(), Unwritable> {
        let trouble = self.trouble();
        match trouble.now {
            Some(fault) => Err(fault),
            None if trouble.wrote.is_some_and(|at| at.elapsed() < STUCK) => Ok(()),
            None => Err(Unwritable::Unavailable),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the guard on the connections of a pool. What waits to be rolled back has been, when a connection is handed out again.
    pub(super) fn stand_over(self: &Arc<Self>, options: &mut ConnectOptions, writes: bool) {
        let (opened, taken, given_back) = (self.clone(), self.clone(), self.clone());
        options.map_sqlx_sqlite_before_acquire(move |connection, _| {
            Box::pin(std::future::ready(Ok(taken.is_sound(connection, writes))))
        });
        options.map_sqlx_sqlite_pool_opts(move |options| {
            let (opened, given_back) = (opened.clone(), given_back.clone());
            let options = options.after_connect(move |_, _| {
                let moved = || sqlx::Error::Configuration(Unwritable::Replaced.to_string().into());
                let outcome = if opened.is_unmoved() { Ok(()) } else { Err(moved()) };
                Box::pin(std::future::ready(outcome))
            });
            if !writes {
                return options;
            }
            options.after_release(move |connection, _| {
                let guard = given_back.clone();
                let check: BoxFuture<'_, sqlx::Result<bool>> = Box::pin(async move {
                    Ok(commits_by_itself(connection).await && guard.is_sound(connection, true))
                });
                check
            })
        });
    }

    /// Whether a connection is in no transaction, and none of it has failed to end.
    fn is_sound(&self, connection: &SqliteConnection, writes: bool) -> bool {
        let suspect = writes && self.suspect.swap(false, Ordering::Relaxed);
        let open = connection.is_in_transaction();
        if open {
            tracing::debug!("a connection that is still in a transaction is closed, which undoes it");
        }
        !suspect && !open
    }
}

/// Whether SQLite itself thinks that the connection is in no transaction. It is asked after any rollback that still waits.
async fn commits_by_itself(connection: &mut SqliteConnection) -> bool {
    sqlx::raw_sql("BEGIN; ROLLBACK").execute(connection).await.is_ok()
}

impl Trouble {
    fn is(&mut self, fault: Unwritable, error: &dyn std::fmt::Display) {
        let now = Instant::now();
        (self.now, self.failed) = (Some(fault), Some(now));
        metrics::gauge!("tollkeeper_database_writable").set(0);
        if self.said.is_some_and(|(said, at)| said == fault && at.elapsed() < SAID) {
            return;
        }
        self.said = Some((fault, now));
        tracing::error!(code = fault.code(), %error, "nothing can be written: {fault}");
    }

    fn over(&mut self) -> Result<(), Unwritable> {
        if let (Some(fault), Some(failed)) = (self.now, self.failed)
            && failed.elapsed() < SETTLED
        {
            return Err(fault);
        }
        self.wrote = Some(Instant::now());
        metrics::gauge!("tollkeeper_database_writable").set(1);
        if let Some(fault) = self.now.take() {
            tracing::info!(code = fault.code(), "the database can be written again");
        }
        Ok(())
    }
}

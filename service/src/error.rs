//! [`Error`]: why a use-case did not happen, by meaning. The api crate alone turns it into HTTP.

use crate::db;
use sea_orm::{DbErr, RuntimeErr, SqlErr};
use std::{borrow::Cow, fmt, time::Duration};

/// The result of every service function.
pub type Result<T> = std::result::Result<T, Error>;

/// What a missing or conflicting thing is, as shown to people.
pub type Kind = &'static str;

/// One invalid field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer to the field, as `/allowed_models/3`; a query parameter as `?cursor`.
    pub pointer: String,
    /// Stable word, as `too_long`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.trim_start_matches('/') {
            "" => f.write_str(&self.message),
            field => write!(f, "{field}: {}", self.message),
        }
    }
}

/// Why a use-case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller has not proved who it is; the code says how.
    #[error("{1}")]
    Unauthenticated(&'static str, &'static str),
    /// The caller is known and may not do this.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// It does not exist, is another organization's, or is outside the caller's reach.
    #[error("{0} not found")]
    NotFound(Kind),
    /// The request cannot be understood.
    #[error("{}", .0.message)]
    Malformed(FieldError),
    /// The request is understood and its values are not acceptable.
    #[error("{}", .0.iter().map(FieldError::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// Another one has this unique key.
    #[error("{kind} {key:?} exists already")]
    Conflict {
        /// What exists.
        kind: Kind,
        /// Its key.
        key: String,
    },
    /// The row changed since the caller, or (if not `stated`) this call, read it.
    #[error("the current version is {current}")]
    VersionConflict {
        /// Its version now.
        current: i64,
        /// Whether the caller stated the version it expected.
        stated: bool,
    },
    /// The caller must state the version that it has seen, and did not.
    #[error("the version that this applies to must be stated")]
    VersionMissing,
    /// It cannot go while others depend on it.
    #[error("{count} {by} depend on it")]
    InUse {
        /// What depends on it.
        by: Kind,
        /// How many.
        count: u64,
    },
    /// The thing is not in a state that allows this; the code says which rule.
    #[error("{1}")]
    InvalidState(&'static str, Cow<'static, str>),
    /// No price is found for a model, and the organization refuses to go without.
    #[error("there is no price for {0:?}")]
    PriceUnknown(String),
    /// An upstream did not do what was asked of it; why, for people.
    #[error("{0}")]
    Upstream(String),
    /// Too many attempts.
    #[error("too many attempts, try again in {} s", .0.as_secs())]
    Throttled(Duration),
    /// A bounded resource is used up for the moment.
    #[error("overloaded")]
    Overloaded,
    /// The database failed.
    #[error("database: {0}")]
    Db(DbErr),
    /// A promise of the code itself was broken.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Db(error)
    }
}

impl Error {
    /// One invalid field.
    pub fn invalid(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), code, message: message.into() }])
    }
    /// A request that cannot be understood, at one place.
    pub fn malformed(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self::Malformed(FieldError { pointer: pointer.into(), code, message: message.into() })
    }
    /// A broken promise of the code.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }
    /// Whether trying again later may help: the database is away, busy or chose another winner.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Overloaded => true,
            Self::Db(error) => is_unavailable(error),
            _ => false,
        }
    }
}

/// SQLSTATEs, and classes of them, that pass by themselves or are the operator's to mend: lost connections, shutdowns, no
/// room, too many connections, a read-only database, deadlocks, serialization failures, timeouts.
const POSTGRES: [&str; 10] = ["08", "53", "57P", "58", "25006", "25P03", "40001", "40P01", "55P03", "57014"];
/// The same of SQLite, by primary code: busy, locked, read-only, I/O error, corrupt, full, cannot open, not a database.
const SQLITE: [i32; 8] = [5, 6, 8, 10, 11, 13, 14, 26];

/// SQLSTATEs have five characters; SQLite's codes are shorter numbers, with the primary code in the last byte.
fn passes(code: &str) -> bool {
    if code.len() == 5 {
        return POSTGRES.iter().any(|passing| code.starts_with(passing));
    }
    code.parse::<i32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff)))
}

fn is_unavailable(error: &DbErr) -> bool {
    // The operator's to mend: `tollkeeper partitions`.
    if db::lacks_partition(error) {
        return true;
    }
    // Whatever keeps a connection from being made, nothing was asked of the database yet.
    let (DbErr::Exec(inner) | DbErr::Query(inner)) = error else {
        return matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_));
    };
    let RuntimeErr::SqlxError(error) = inner else { return true };
    match error.as_ref() {
        sqlx::Error::Database(database) => database.code().is_some_and(|code| passes(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Whether a foreign key is in the way. SQLite restricts a deletion by a trigger of its own, which `sql_err` does not know.
pub fn is_restricted(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) = error
    else {
        return false;
    };
    let text = "FOREIGN KEY constraint failed";
    let by_trigger = inner
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some("1811") && error.message().contains(text));
    by_trigger || matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_)))
}

/// Lets the caller name what a unique constraint protects.
pub trait ConflictExt<T> {
    /// A unique violation means that another `kind` has this `key`.
    fn conflict(self, kind: Kind, key: &str) -> Result<T>;
}

impl<T> ConflictExt<T> for Result<T> {
    fn conflict(self, kind: Kind, key: &str) -> Result<T> {
        self.map_err(|error| match &error {
            Error::Db(db) if matches!(db.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
                Error::Conflict { kind, key: key.to_owned() }
            }
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_is_wrong() {
        // SQLite: BUSY_SNAPSHOT, IOERR_WRITE, READONLY_DBMOVED, FULL, CORRUPT_INDEX, NOTADB. A database that only reads.
        for code in ["5", "517", "778", "1032", "13", "779", "26", "57P01", "53100", "25006", "40P01"] {
            assert!(passes(code), "{code}");
        }
        // Constraints, a missing table, a mistake in SQL; 1555 and 2067 are violated keys on SQLite.
        for code in ["1", "19", "1555", "2067", "23505", "42P01", "42601", "22P02", ""] {
            assert!(!passes(code), "{code}");
        }
    }
}

//! Reaching a Postgres: what stands between, and why it cannot be reached, in a sentence that has neither its address nor a
//! password in it.

use super::{ACQUIRE, postgres::Use};
use crate::{Error, Result};
use sea_orm::{DbErr, RuntimeErr};
use sqlx::{Connection, PgConnection, Row, error::DatabaseError, postgres::PgConnectOptions};
use std::{io, time::Duration};
use tokio::time::{sleep, timeout};

/// The setting that stands for all: where it arrived, the others did.
pub(super) const GUARD: &str = "idle_in_transaction_session_timeout";
/// Its value on connections for requests, in milliseconds: more than a slow round trip, and twice in a row less than two
/// seconds, as the meter and a use-case of a stopped instance may hold what others need one after the other.
pub(super) const GUARDED: &str = "900";
/// How long after a refusal that may pass it is tried again.
const AGAIN: Duration = Duration::from_millis(200);

type Reached<T> = std::result::Result<T, sqlx::Error>;

/// With settings that are made together with the connection.
pub(super) fn with_settings(options: PgConnectOptions, settings: &[(&str, &str)]) -> PgConnectOptions {
    options.options(settings.iter().copied()).application_name("tollkeeper")
}

/// With nothing in the startup packet that a pooler refuses.
pub(super) fn without_settings(options: PgConnectOptions) -> PgConnectOptions {
    options.extra_float_digits(None).application_name("tollkeeper")
}

/// Whether a pooler stands between that does not keep a connection for its client: settings made with the connection are
/// refused or lost, or two connections share one of the database.
pub(super) async fn is_pooled(url: &str) -> Result<bool> {
    let options = url.parse::<PgConnectOptions>().map_err(|error| refused(&error))?;
    let settings = with_settings(options.clone(), &Use::Requests.settings());
    match connect(&settings).await {
        Ok(mut direct) => {
            let kept =
                check_guard(&mut direct, GUARDED).await.is_ok() && !is_shared(&mut direct, &settings).await;
            let _ = direct.close().await;
            Ok(!kept)
        }
        Err(error) if refuses_settings(&error) => {
            let plain = connect(&without_settings(options)).await.map_err(|error| refused(&error))?;
            let _ = plain.close().await;
            Ok(true)
        }
        Err(error) => Err(refused(&error)),
    }
}

/// Connects, with time for a server that is just starting.
async fn connect(options: &PgConnectOptions) -> Reached<PgConnection> {
    let mut last = None;
    let attempts = async {
        loop {
            match PgConnection::connect_with(options).await {
                Err(error) if may_pass(&error) => last = Some(error),
                done => return done,
            }
            sleep(AGAIN).await;
        }
    };
    match timeout(ACQUIRE, attempts).await {
        Ok(done) => done,
        Err(_) => Err(last.unwrap_or(sqlx::Error::PoolTimedOut)),
    }
}

fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("53300" | "57P03")),
        _ => false,
    }
}

/// Poolers refuse what they do not know, unless they are told to ignore it.
fn refuses_settings(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("startup parameter"))
}

/// An error unless the settings that were made with the connection are there; one of them stands for all.
pub(super) async fn check_guard(connection: &mut PgConnection, expected: &str) -> Reached<()> {
    let sql = "SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'";
    let row = sqlx::raw_sql(sql).fetch_one(connection).await?;
    if row.try_get::<String, _>(0)? != expected {
        return Err(sqlx::Error::Protocol("the settings of the connection were lost on the way".into()));
    }
    Ok(())
}

/// Whether another connection is served by the same process of the database, or this one by another than before. Nothing is
/// concluded where a second connection cannot be had.
async fn is_shared(first: &mut PgConnection, options: &PgConnectOptions) -> bool {
    let Ok(Ok(mut second)) = timeout(ACQUIRE, PgConnection::connect_with(options)).await else {
        return false;
    };
    let looked = async {
        let (before, other, after) = (pid(first).await?, pid(&mut second).await?, pid(first).await?);
        Reached::Ok(before == other || before != after)
    };
    let shared = looked.await.unwrap_or(true);
    let _ = second.close().await;
    shared
}

async fn pid(connection: &mut PgConnection) -> Reached<String> {
    sqlx::raw_sql("SELECT pg_backend_pid()::text").fetch_one(connection).await?.try_get(0)
}

/// Whether the role may not do what it was asked to.
pub(super) fn is_refused(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("42501"))
}

fn refused(error: &sqlx::Error) -> Error {
    Error::InvalidState("database_unreachable", sentence(error).into())
}

/// The same for an error of the pools.
pub(super) fn unreachable(error: &DbErr) -> Error {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => refused(error),
        DbErr::ConnectionAcquire(_) => refused(&sqlx::Error::PoolTimedOut),
        // Other errors are of the query builder and may quote what it was given.
        _ => Error::InvalidState("database_unreachable", "the connection failed".into()),
    }
}

/// Why a database cannot be reached.
fn sentence(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => server_says(error.as_ref()),
        sqlx::Error::Io(error) => network_says(error).into(),
        sqlx::Error::Tls(error) if error.to_string().contains("does not support TLS") => {
            "the server offers no TLS, which `sslmode` in the URL asks for".into()
        }
        sqlx::Error::Tls(error) => format!("TLS with the server failed: {error}"),
        sqlx::Error::Configuration(_) => {
            "the URL is not of the form postgres://user:password@host:port/name (special characters percent-encoded)".into()
        }
        sqlx::Error::PoolTimedOut => format!("the server did not answer within {} s", ACQUIRE.as_secs()),
        sqlx::Error::Protocol(_) => "what answers under this address does not speak as Postgres does".into(),
        _ => "the connection failed".into(),
    }
}

fn network_says(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens under this address and port (connection refused)"
        }
        io::ErrorKind::TimedOut => "the network did not answer in time",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no route leads to the host",
        io::ErrorKind::NotFound => "the Unix socket of the URL does not exist",
        io::ErrorKind::PermissionDenied => "the Unix socket of the URL may not be opened",
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            "the connection was closed while it was made"
        }
        _ if error.to_string().contains("failed to lookup address") => "the host name is unknown",
        _ => "the network failed",
    }
}

fn server_says(error: &dyn DatabaseError) -> String {
    let message = error.message();
    let code = error.code().unwrap_or_default();
    match &*code {
        "08P01" if message.contains("statement pooling") => {
            "the pooler between works in statement mode: set `pool_mode = transaction`, or `session`".into()
        }
        "28P01" => "the server refuses the user or the password".into(),
        "28000" if message.contains("does not exist") => "the server has no such user".into(),
        // Postgres says the same of a user without an entry and of one whose entry asks for TLS.
        "28000" if message.contains("no encryption") || message.contains("SSL off") => {
            "the server does not let this user in from here without TLS, or at all (pg_hba.conf): add `sslmode=require` to \
             the URL, or the user there"
                .into()
        }
        "28000" => "the server does not let this user in from here (pg_hba.conf)".into(),
        "3D000" => "the server has no database of this name".into(),
        "42501" => "the user may not connect to this database: GRANT CONNECT is missing".into(),
        "53300" => "the server has no connection left: lower `database_max_connections`, or raise the limit of the server, the database or the role".into(),
        "55000" => "the database takes no connections at present".into(),
        "57P03" => "the server is starting or stopping".into(),
        _ => format!("the server says: {message} ({code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_that_cannot_be_read_is_not_repeated() {
        for url in [
            "postgres://u:hunter2#@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:hunter2@h/d?sslmode=hunter2",
        ] {
            let error = is_pooled(url).await.unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("postgres://user:password@"), "{error}");
        }
    }

    #[test]
    fn the_network_is_told_from_the_name() {
        assert!(network_says(&io::ErrorKind::ConnectionRefused.into()).contains("refused"));
        let unknown = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(network_says(&unknown), "the host name is unknown");
    }
}

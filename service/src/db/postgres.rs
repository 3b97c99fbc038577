//! How connections to Postgres are made: directly, where the settings of a connection are made with it and statements stay
//! prepared, or through a pooler, where each transaction brings its settings along ([`Pool`]).

use super::{Db, options, pool::Pool, reach, suspicion::Suspicion};
use crate::{Error, Result};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseBackend, Statement};
use sqlx::{Connection, postgres::PgConnectOptions};

/// Settings and their values, as Postgres lists them.
pub(super) type Settings = Vec<(&'static str, &'static str)>;

/// The connections that an instance needs at least: one of the meter, one that writes, two that read.
pub const LEAST_CONNECTIONS: u32 = 4;

/// Statements of one connection that stay prepared.
const PREPARED: usize = 256;

/// A lock is held by a stopped instance for a second at most, commits are durable, and decisions see the latest commit.
const REQUESTS: [(&str, &str); 5] = [
    (reach::GUARD, reach::GUARDED),
    ("lock_timeout", "5000"),
    ("statement_timeout", "30000"),
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
];

/// Set on the meter's connections beside that. Its statements join a few keys with large tables, by index: planned once, whatever
/// the keys, since planning would cost as much as running; and a plan that was made while a table was young must not read the
/// whole table once it has grown.
const METER: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("enable_bitmapscan", "off"),
];

/// A change of the schema takes as long as it takes; a process that is stopped in the middle of one is ended after a minute.
const SCHEMA: [(&str, &str); 4] = [
    (reach::GUARD, "60000"),
    ("lock_timeout", "0"),
    ("statement_timeout", "0"),
    ("synchronous_commit", "on"),
];

/// What connections are for, which says what is set on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Requests,
    Meter,
    Schema,
}

impl Use {
    pub(super) fn settings(self) -> Settings {
        match self {
            Self::Requests => REQUESTS.to_vec(),
            Self::Meter => [&REQUESTS[..], &METER[..]].concat(),
            Self::Schema => SCHEMA.to_vec(),
        }
    }
}

/// How the connections of an instance are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shares {
    meter: u32,
    writer: u32,
    reader: u32,
}

impl Shares {
    /// Never more than there are, nor fewer than [`LEAST_CONNECTIONS`].
    fn of(connections: u32) -> Self {
        let connections = connections.max(LEAST_CONNECTIONS);
        let meter = (connections / 4).clamp(1, 4);
        let writer = (connections - meter) / 2;
        Self { meter, writer, reader: connections - meter - writer }
    }
}

/// A Postgres that was reached.
struct Server<'u> {
    url: &'u str,
    pooled: bool,
    suspicion: Suspicion,
}

impl<'u> Server<'u> {
    async fn reach(url: &'u str) -> Result<Self> {
        Ok(Self { url, pooled: reach::is_pooled(url).await?, suspicion: Suspicion::default() })
    }

    /// Connections on which everything is set that they are for; otherwise they are refused.
    async fn pool(&self, connections: u32, purpose: Use) -> Result<Pool> {
        let settings = purpose.settings();
        let options = if self.pooled {
            pooled(self.url, connections)
        } else {
            direct(self.url, connections, &settings, self.suspicion.clone())
        };
        let connected = Database::connect(options).await.map_err(|error| reach::unreachable(&error))?;
        let pool = if self.pooled { Pool::pooled(connected, &settings) } else { Pool::direct(connected) };
        let missing = missing(&pool, &settings).await?;
        if missing.is_empty() {
            return Ok(pool);
        }
        let _ = pool.close().await;
        let message = format!(
            "what stands between this server and the database does not keep settings: {}; use a pooler in session or \
             transaction mode, or connect directly",
            missing.join(", ")
        );
        Err(Error::InvalidState("database_settings_lost", message.into()))
    }
}

/// The pools of an instance.
pub(super) struct Pools {
    pub(super) writer: Pool,
    pub(super) reader: Pool,
    pub(super) meter: Pool,
    pub(super) suspicion: Suspicion,
}

/// Connects for serving: `max_connections` in all.
pub(super) async fn connect(url: &str, max_connections: u32) -> Result<Pools> {
    let server = Server::reach(url).await?;
    let shares = Shares::of(max_connections);
    let writer = server.pool(shares.writer, Use::Requests).await?;
    let reader = server.pool(shares.reader, Use::Requests).await?;
    let meter = server.pool(shares.meter, Use::Meter).await?;
    Ok(Pools { writer, reader, meter, suspicion: server.suspicion })
}

/// Connects for changing the schema: one connection.
pub(super) async fn connect_for_schema(url: &str) -> Result<Pool> {
    Server::reach(url).await?.pool(1, Use::Schema).await
}

fn direct(url: &str, connections: u32, settings: &Settings, suspicion: Suspicion) -> ConnectOptions {
    let mut options = options(url, connections);
    let settings = settings.clone();
    let guard = settings.iter().find(|(name, _)| *name == reach::GUARD).map_or("0", |(_, value)| *value);
    options.map_sqlx_postgres_opts(move |options| {
        reach::with_settings(options, &settings).statement_cache_capacity(PREPARED)
    });
    options.map_sqlx_postgres_before_acquire(move |connection, _| {
        let suspicion = suspicion.clone();
        Box::pin(async move { suspicion.clears(connection).await })
    });
    // A pooler may be put between while the server runs.
    options.map_sqlx_postgres_pool_opts(move |pool| {
        pool.after_connect(move |connection, _| Box::pin(reach::check_guard(connection, guard)))
    });
    options
}

/// What this connection has prepared is gone with the transaction, and forgotten before the next.
fn pooled(url: &str, connections: u32) -> ConnectOptions {
    let mut options = options(url, connections);
    options.map_sqlx_postgres_opts(|options: PgConnectOptions| {
        reach::without_settings(options).statement_cache_capacity(PREPARED)
    });
    options.map_sqlx_postgres_before_acquire(|connection, _| {
        Box::pin(async move { connection.clear_cached_statements().await.map(|()| true) })
    });
    options
}

/// The settings that a statement of this pool does not find, as sentences.
async fn missing(pool: &Pool, settings: &Settings) -> Result<Vec<String>> {
    // A transaction that was begun already does not follow the default; the preamble sets its own.
    let settings: Settings = settings
        .iter()
        .map(|(name, value)| (name.strip_prefix("default_").unwrap_or(name), *value))
        .collect();
    let names: Vec<String> = settings.iter().map(|(name, _)| format!("'{name}'")).collect();
    let sql = format!("SELECT name, setting FROM pg_settings WHERE name IN ({})", names.join(", "));
    let rows = pool.query_all_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await;
    let rows = rows.map_err(|error| reach::unreachable(&error))?;
    let mut missing = Vec::new();
    for row in rows {
        let (name, found) = (row.try_get::<String>("", "name")?, row.try_get::<String>("", "setting")?);
        let expected = settings.iter().find(|(setting, _)| *setting == name);
        if let Some((_, value)) = expected.filter(|(_, value)| *value != found) {
            missing.push(format!("{name} is {found} instead of {value}"));
        }
    }
    Ok(missing)
}

/// The settings that connections in use do not have, as sentences; each kind of connection is asked.
pub async fn missing_settings(db: &Db) -> Result<Vec<String>> {
    let pools = [
        ("writer", &db.writer, Use::Requests),
        ("reader", &db.reader, Use::Requests),
        ("meter", &db.meter, Use::Meter),
    ];
    let mut all = Vec::new();
    for (name, pool, purpose) in pools {
        let missing = missing(pool, &purpose.settings()).await?;
        all.extend(missing.into_iter().map(|sentence| format!("{name}: {sentence}")));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_all_there_is() {
        for connections in LEAST_CONNECTIONS..=200 {
            let Shares { meter, writer, reader } = Shares::of(connections);
            assert_eq!(meter + writer + reader, connections);
            assert!(meter >= 1 && writer >= 1 && reader >= 2, "{connections}");
        }
        assert_eq!(Shares::of(16), Shares { meter: 4, writer: 6, reader: 6 });
        assert_eq!(Shares::of(1), Shares::of(LEAST_CONNECTIONS));
    }
}

//! How connections to Postgres are made.

use super::options;
use sea_orm::ConnectOptions;

/// Set on every Postgres connection: a lock may be held by a stopped instance for a second at most, commits are
/// durable, and decisions see the latest commit.
const POSTGRES_SESSION: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "1000"),
    ("lock_timeout", "5000"),
    ("statement_timeout", "30000"),
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
];

/// Set on the meter's connections beside that. Its statements join a few keys with large tables, by index: planned once, whatever
/// the keys, since planning would cost as much as running; and a plan that was made while a table was young must not read the
/// whole table once it has grown.
pub(super) const METER_SESSION: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("enable_bitmapscan", "off"),
];

pub(super) fn postgres(url: &str, max_connections: u32, more: &'static [(&str, &str)]) -> ConnectOptions {
    let mut options = options(url, max_connections);
    options.map_sqlx_postgres_opts(move |options| {
        let session = POSTGRES_SESSION.into_iter().chain(more.iter().copied());
        options.statement_cache_capacity(256).options(session).application_name("tollkeeper")
    });
    options
}

//! The integration suite: one module a resource, every case on SQLite and on Postgres. Run it with `cargo suite`.

mod binary;
mod cursors;
mod http;
mod idempotency;
mod keys;
mod openapi;
mod schema;
mod team_members;
mod teams;

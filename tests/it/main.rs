//! The integration suite: one module a resource, every case on SQLite and on Postgres. Run it with `cargo suite`.

mod auth;
mod binary;
mod cursors;
mod http;
mod idempotency;
mod jwt;
mod keys;
mod openapi;
mod schema;
mod sessions;
mod team_members;
mod teams;
mod throttle;

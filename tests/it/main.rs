//! The integration suite: one module a resource, every case on SQLite and on Postgres. Run it with `cargo suite`.

mod admin_tokens;
mod audit_events;
mod auth;
mod binary;
mod cursors;
mod http;
mod idempotency;
mod invitations;
mod jwt;
mod keys;
mod members;
mod openapi;
mod organizations;
mod schema;
mod service_accounts;
mod sessions;
mod team_members;
mod teams;
mod throttle;

//! The integration suite: one module a resource, every case on SQLite and on Postgres. Run it with `cargo suite`.

mod auth;
mod admin_tokens;
mod audit_events;
mod binary;
mod cursors;
mod http;
mod idempotency;
mod jwt;
mod invitations;
mod keys;
mod members;
mod openapi;
mod organizations;
mod schema;
mod sessions;
mod service_accounts;
mod team_members;
mod teams;
mod throttle;

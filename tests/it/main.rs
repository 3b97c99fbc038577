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
mod keys_life;
mod keys_list;
mod keys_race;
mod keys_rotate;
mod members;
mod openapi;
mod organizations;
mod schema;
mod service_accounts;
mod sessions;
mod team_members;
mod teams;
mod throttle;
mod tokens;

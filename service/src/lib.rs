//! What Tollkeeper does: one file a resource, each a view, its requests and its use-cases.
//!
//! A service function takes a [`Ctx`] (who asks, in which scope, with what clock) and plain values, and
//! answers with a view or an [`Error`]. Reading goes through `ctx.repository::<E>()`, which is scoped to the
//! caller's organization and reach. Changing goes through a [`Unit`]: `ctx.begin()` opens one transaction,
//! `unit.repository::<E>()` writes in it under optimistic locking and notes an audit entry for each
//! write, and `unit.commit(view)` takes the organization's head lock last, appends the audit chain, bumps the policy
//! version, stores the reply of an idempotent call, and commits. Dropping a unit undoes everything.
//! A service knows no HTTP: no status, no header, no JSON.

#![deny(clippy::float_arithmetic)]

pub mod access;
pub mod activity;
pub mod admin_token;
pub mod audit;
pub mod auth;
pub mod authz;
pub mod blocking;
pub mod bootstrap;
pub mod catalogue;
mod ceiling;
pub mod checks;
pub mod clock;
pub mod connection;
pub mod cost;
pub mod credential;
pub mod ctx;
pub mod db;
pub mod decision;
pub mod device;
pub mod error;
pub mod gateway_token;
pub mod head;
pub mod housekeeping;
pub mod idempotency;
pub mod invitation;
pub mod json_text;
pub mod jwt;
pub mod key;
pub mod limit;
pub mod mapping;
pub mod member;
pub mod meter;
pub mod model;
pub mod model_alias;
pub mod organization;
pub mod page;
pub mod password;
pub mod password_reset;
pub mod presence;
pub mod price;
pub mod provider;
pub mod proxy_pool;
pub mod repository;
pub mod reservation;
pub mod scope;
pub mod secrets;
pub mod service_account;
pub mod session;
pub mod spreadsheet;
pub mod system;
mod tables;
pub mod team;
pub mod throttle;
pub mod token;
pub mod turn;
pub mod unit;
pub mod upstream;
pub mod usage;
pub mod user;
pub mod validate;
pub mod vault;

pub use ctx::Ctx;
pub use error::{Error, Result};
pub use system::System;
pub use turn::Turn;
pub use unit::Unit;

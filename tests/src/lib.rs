//! What every test starts from: [`TestApp`] (the whole server over a database of its own), typed callers
//! ([`Client`]), and [`on_both!`], which runs a test on SQLite and on Postgres.
//!
//! The clock stands still until a test moves it, randomness is seeded, and requests go straight into the router. A
//! database that is missing fails the test; nothing is skipped.

mod app;
mod client;
pub mod cluster;
pub mod contract;
mod database;
pub mod disk;
pub mod gateways;
pub mod ledger;
pub mod line;
pub mod outbound;
pub mod pooler;
pub mod provider;
mod reply;
mod seed;
pub mod server;
pub mod treasure;
pub mod witness;

pub use app::{TestApp, TestClock, encryption_keys, encryption_setting, run};
pub use client::{Client, Request};
pub use database::{Backend, Database};
pub use reply::Reply;
pub use seed::PASSWORD;

/// Whether tests may take minutes: `cargo suite --long`.
pub fn is_long() -> bool {
    std::env::var_os("TOLLKEEPER_TEST_LONG").is_some()
}

/// A test on both databases: `on_both!(name, |app| { … });`, `app` being a [`TestApp`] of its own.
#[macro_export]
macro_rules! on_both {
    ($(#[$meta:meta])* $name:ident, |$app:ident| $body:block) => {
        mod $name {
            #[allow(unused_imports, clippy::allow_attributes, reason = "a test may need nothing from its file")]
            use super::*;

            async fn test($app: $crate::TestApp) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::run($crate::Backend::Sqlite, test).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::run($crate::Backend::Postgres, test).await;
            }
        }
    };
}

/// A test on Postgres alone, for what SQLite cannot have: several instances.
#[macro_export]
macro_rules! on_postgres {
    ($(#[$meta:meta])* $name:ident, |$app:ident| $body:block) => {
        mod $name {
            #[allow(unused_imports, clippy::allow_attributes, reason = "a test may need nothing from its file")]
            use super::*;

            async fn test($app: $crate::TestApp) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::run($crate::Backend::Postgres, test).await;
            }
        }
    };
}

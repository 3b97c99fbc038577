//! The integration suite: one module a resource, every case on SQLite and on Postgres. Run it with `cargo suite`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod teams;

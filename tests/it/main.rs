//! The integration suite: one module a resource, every case on SQLite and on Postgres. Run it with `cargo suite`.

mod teams;

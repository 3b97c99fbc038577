//! `cargo suite [filter…]`: every test, on SQLite and on a throw-away Postgres cluster.
//! `cargo suite --long [filter…]`: the same, and the tests that take minutes do all of their work (`TOLLKEEPER_TEST_LONG`).
//! `cargo suite --bench [name…]`: the benchmark programs, on the same, with durable commits.
//!
//! Finds Postgres, gateways and proxies or installs them, starts a cluster, builds the server, runs `cargo test --workspace` and answers with its
//! exit code. The cluster is gone afterwards, however this program ends: see [`guard`].

mod account;
mod cluster;
mod gateways;
mod guard;
mod haproxy;
mod pgbouncer;
mod postgres;
mod promtool;
mod proxies;
mod scratch;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

/// Names and usage objects that a property is tried with in the longer mode.
const LONG_CASES: &str = "20000";

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [word, bin, fsync] if word == guard::WORD => guard::keep(Path::new(bin), fsync).map(|()| 0),
        [word, names @ ..] if word == "--bench" => {
            on_postgres("on", &["build", "--release", "--workspace", "--bins"], |cargo| {
                cargo.args(["bench", "--workspace", "--bench", "bench", "--"]).args(names);
            })
        }
        [word, filters @ ..] if word == "--long" => test(filters, true),
        filters => test(filters, false),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("suite: {error}");
            ExitCode::FAILURE
        },
        ExitCode::from,
    )
}

fn test(filters: &[String], long: bool) -> Result<u8> {
    on_postgres("off", &["build", "--workspace", "--bins"], |cargo| {
        if long {
            cargo.env("TOLLKEEPER_TEST_LONG", "1").env("PROPTEST_CASES", LONG_CASES);
        }
        cargo.args(["test", "--workspace", "--"]).args(filters);
    })
}

/// Starts a cluster, builds the server (of the whole workspace, so that both builds share their features), and runs cargo with whatever `run` adds.
fn on_postgres(fsync: &str, build: &[&str], run: impl FnOnce(&mut Command)) -> Result<u8> {
    let bin = postgres::find_or_install()?;
    gateways::ensure()?;
    haproxy::ensure()?;
    pgbouncer::ensure()?;
    promtool::ensure()?;
    proxies::ensure()?;
    let guard = guard::Guard::start(&bin, fsync)?;
    let cargo = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.env("TOLLKEEPER_TEST_POSTGRES", &guard.url).env("TOLLKEEPER_TEST_POSTGRES_BIN", &bin);
        command.env("TMPDIR", &guard.temporary);
        command
    };
    let built = status(cargo().args(build))?;
    if built != 0 {
        return Ok(built);
    }
    let mut command = cargo();
    run(&mut command);
    status(&mut command)
}

fn status(command: &mut Command) -> Result<u8> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    // Ended by a signal: no code of its own.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Runs a command to its end; what it printed, if it succeeded.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

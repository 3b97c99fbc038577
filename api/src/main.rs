//! The `tollkeeper` program: which command runs, with which configuration.

mod commands;
mod config;
mod keyring;
mod schema;
mod serve;
mod tls;
mod usage;

use clap::{Parser, Subcommand};
use commands::{admin, backup, doctor, health, migrate, partitions, rotate_key};
use config::{Config, Faults, Flags, LogFormat};
use serde_json::Map;
use serve::logging;
use std::{ffi::OsString, process::ExitCode};

/// Keys, limits and money in front of an organization's LLM providers.
#[derive(Parser)]
#[command(name = "tollkeeper", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API; what happens without a command.
    Serve(serve::Options),
    /// Bring the schema of the database up to date, back, or say where it is.
    Migrate(migrate::Options),
    /// Make the partitions of the ledgers on Postgres for the months to come, as the role that owns them.
    Partitions(partitions::Options),
    /// Say what is wrong with the installation, if anything.
    Doctor,
    /// Print the OpenAPI document.
    Openapi,
    /// What only the operator can do, without signing in.
    Admin(admin::Options),
    /// Copy the `SQLite` database to a new file while it is served.
    Backup(backup::Options),
    /// Wrap everything with the active encryption key while instances serve, and retire older ones.
    RotateKey(rotate_key::Options),
    /// Ask the server of this configuration whether it is ready; for health checks of containers.
    Health,
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let config = || Config::load(&cli.flags);
    match cli.command.unwrap_or_else(|| Command::Serve(serve::Options::default())) {
        Command::Serve(options) => serve::run(config()?, &options).await,
        Command::Migrate(options) => migrate::run(&config()?, &options).await,
        Command::Partitions(options) => partitions::run(&config()?, &options).await,
        Command::Doctor => doctor::run(&config()?).await,
        Command::Openapi => commands::openapi(),
        Command::Admin(options) => admin::run(&config()?, options).await,
        Command::Backup(options) => backup::run(&config()?, &options).await,
        Command::RotateKey(options) => rotate_key::run(&config()?, &options).await,
        Command::Health => health::run(&config()?).await,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let format = LogFormat::early(&arguments);
    logging::catch_panics(format);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error, format),
    };
    let Err(error) = run(cli).await else { return ExitCode::SUCCESS };
    let mut fields = Map::new();
    let message = match error.downcast_ref::<Faults>() {
        Some(Faults(faults)) if format == LogFormat::Json => {
            fields.insert("faults".to_owned(), faults.as_slice().into());
            "the configuration is not usable".to_owned()
        }
        _ => format!("{error:#}"),
    };
    logging::complain(format, &message, &fields);
    ExitCode::FAILURE
}

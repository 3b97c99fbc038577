//! `tollkeeper migrate up|down|status`.

use crate::{
    config::{Config, Database},
    schema,
};
use anyhow::bail;
use std::io::{BufRead, IsTerminal, Write, stdin, stdout};

/// What to do with the schema.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    direction: Direction,
}

#[derive(clap::Subcommand)]
enum Direction {
    /// Apply every migration that is pending.
    Up,
    /// Revert the last migration, and lose what is in it; no instance may be serving.
    Down {
        /// How many to revert.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
        /// Do not ask; for scripts.
        #[arg(long)]
        yes: bool,
    },
    /// List the migrations and whether they are applied; makes no database.
    Status,
}

/// Runs it.
pub async fn run(config: &Config, options: &Options) -> anyhow::Result<()> {
    match options.direction {
        Direction::Up => {
            let _lock = schema::lock_file(config)?;
            let applied = schema::up(config).await?;
            for name in applied {
                say!("applied {name}");
            }
            say!("the schema is up to date");
        }
        Direction::Down { steps, yes } => down(config, steps, yes).await?,
        Direction::Status => {
            let status = schema::found(config).await?;
            for (name, applied) in status.known {
                say!("{} {name}", if applied { "applied" } else { "pending" });
            }
            for name in status.newer {
                say!("newer   {name}");
            }
        }
    }
    Ok(())
}

async fn down(config: &Config, steps: u32, yes: bool) -> anyhow::Result<()> {
    if let Database::Sqlite { file, .. } = &config.database
        && !file.exists()
    {
        bail!("{} does not exist: there is nothing to revert", file.display());
    }
    let _lock = schema::lock_file(config)?;
    let db = schema::connect(config).await?;
    let known = schema::status(&db).await?.known;
    db.close().await?;
    let applied = known.into_iter().rev().filter(|(_, applied)| *applied).map(|(name, _)| name);
    let names: Vec<String> = applied.take(steps as usize).collect();
    if names.is_empty() {
        say!("nothing is applied");
        return Ok(());
    }
    if !yes {
        confirm(&names)?;
    }
    schema::down(config, steps).await?;
    for name in names {
        say!("reverted {name}");
    }
    Ok(())
}

/// Asks on the terminal; where there is none, nobody can have meant it.
fn confirm(names: &[String]) -> anyhow::Result<()> {
    if !stdin().is_terminal() {
        bail!("this deletes what is stored in {}: add --yes to confirm", names.join(", "));
    }
    say!("This reverts, and deletes everything that is stored in:");
    names.iter().for_each(|name| say!("  {name}"));
    print!("Type yes to go on: ");
    stdout().flush()?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { bail!("not confirmed, nothing was changed") }
}

//! `tollkeeper migrate up|down|status`.

use crate::{config::Config, schema};

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
    /// Revert the last migration, and lose what is in it.
    Down {
        /// How many to revert.
        #[arg(long, default_value_t = 1)]
        steps: u32,
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
                println!("applied {name}");
            }
            println!("the schema is up to date");
        }
        Direction::Down { steps } => {
            let _lock = schema::lock_file(config)?;
            schema::down(config, steps).await?;
            println!("reverted {steps}");
        }
        Direction::Status => {
            for (name, applied) in schema::found(config).await? {
                println!("{} {name}", if applied { "applied" } else { "pending" });
            }
        }
    }
    Ok(())
}

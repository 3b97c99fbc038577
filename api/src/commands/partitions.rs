//! `tollkeeper partitions`: makes the partitions of the ledgers for the months to come, by the role that owns them, where
//! servers connect as one that does not. For cron.

use crate::{config::Config, schema};
use anyhow::bail;
use service::{
    clock::Clock,
    db::{MONTHS_AHEAD, make_partitions_until, partitions, read_only},
};

/// How far ahead.
#[derive(clap::Args)]
pub struct Options {
    /// For how many months to come.
    #[arg(long, default_value_t = MONTHS_AHEAD, value_parser = clap::value_parser!(u32).range(1..=60))]
    months: u32,
}

/// Runs it.
pub async fn run(config: &Config, options: &Options) -> anyhow::Result<()> {
    if let Some(file) = config.database.beside("") {
        say!("{} is SQLite, which has no partitions: nothing to do", file.display());
        return Ok(());
    }
    let db = schema::connect(config).await?;
    if let Some(why) = read_only(&db).await? {
        bail!("{why}");
    }
    if !schema::status(&db).await?.pending().is_empty() {
        bail!("the schema is behind: run `tollkeeper migrate up`");
    }
    let now = Clock::System.now(&db).await?;
    let made = make_partitions_until(&db, now, options.months).await?;
    let until = partitions(&db, options.months).await?.map(|partitions| partitions.until);
    let until = until.map(|until| until.format("%Y-%m").to_string()).unwrap_or_default();
    say!("made {made}; the ledgers have partitions until the beginning of {until}");
    Ok(db.close().await?)
}

//! `tollkeeper backup PATH`: a consistent copy of a `SQLite` database, also while it is served.

use crate::{
    config::{Config, Database},
    schema,
};
use anyhow::{Context, bail};
use sea_orm::{ConnectionTrait, Statement};
use service::db::Db;
use std::path::PathBuf;

/// Where to.
#[derive(clap::Args)]
pub struct Options {
    /// The new file; it must not exist.
    path: PathBuf,
}

/// Runs it.
pub async fn run(config: &Config, options: &Options) -> anyhow::Result<()> {
    let Database::Sqlite { url, file } = &config.database else {
        bail!("the database is Postgres: back it up with pg_dump, or by the means of who runs it");
    };
    if !file.exists() {
        bail!("{} does not exist", file.display());
    }
    schema::refuse_beside_lost_log(config)?;
    let path = &options.path;
    let text = path.to_str().context("the path is not UTF-8")?;
    // Made first, empty and private: VACUUM INTO fills an empty file, and refuses any other.
    let made = crate::keyring::private().create_new(true).open(path);
    made.with_context(|| format!("cannot make {}", path.display()))?;
    if let Err(error) = copy(url, text).await {
        // Half a copy is none, and would be taken for one.
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    say!("copied {} to {}", file.display(), path.display());
    say!("the secrets ({}.secrets) are not in it; keep them apart", file.display());
    Ok(())
}

async fn copy(url: &str, path: &str) -> anyhow::Result<()> {
    let db = Db::connect(url, 1).await.context("the database cannot be opened")?;
    let copy = Statement::from_sql_and_values(db.backend(), "VACUUM INTO ?", [path.into()]);
    let copied = db.reader.execute_raw(copy).await.context("the copy failed");
    db.close().await;
    copied.map(drop)
}

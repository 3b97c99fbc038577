//! The commands beside `serve`.

/// Prints a line. Where nobody reads it any more (`doctor | head`), the command goes on: its work is not its words.
macro_rules! say {
    ($($text:tt)*) => {
        drop(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*))))
    };
}

pub mod admin;
pub mod backup;
pub mod doctor;
pub mod health;
pub mod migrate;
pub mod partitions;
pub mod rotate_key;

use crate::{
    config::{Config, Database},
    keyring, schema,
};
use anyhow::{Context, bail};
use service::{
    System,
    clock::{Clock, Entropy},
    db::{Db, LEAST_CONNECTIONS},
    secrets::Secrets,
    system::Settings,
};
use std::{io::Write, sync::Arc};

/// Prints the OpenAPI document.
pub fn openapi() -> anyhow::Result<()> {
    let mut text = api::openapi().to_pretty_json()?;
    text.push('\n');
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// The means of the service layer.
pub fn system(config: &Config, db: Db, secrets: Secrets, public_url: String) -> service::Result<Arc<System>> {
    let settings = Settings {
        public_url,
        password_workers: config.password_workers,
        upstream: config.upstream.clone(),
        ..Settings::default()
    };
    System::new(db, Clock::System, Entropy::System, secrets, settings).map(Arc::new)
}

/// The installation as a command finds it: served before, with a schema that fits and the right secrets.
pub async fn installation(config: &Config) -> anyhow::Result<Arc<System>> {
    if let Database::Sqlite { file, .. } = &config.database
        && !file.exists()
    {
        bail!("{} does not exist; `tollkeeper migrate up` or `tollkeeper serve` makes it", file.display());
    }
    schema::refuse_beside_lost_log(config)?;
    let probe = schema::connect(config).await?;
    if !schema::status(&probe).await?.pending().is_empty() {
        bail!("the schema is behind; run `tollkeeper migrate up`");
    }
    probe.close().await?;
    let secrets = keyring::open(config)?;
    let db = Db::connect(config.database.url(), LEAST_CONNECTIONS)
        .await
        .context("the database cannot be reached")?;
    service::checks::enroll(&db, &secrets).await.context("refused")?;
    let issuer = config.issuer(config.listen);
    Ok(system(config, db, secrets, issuer)?)
}

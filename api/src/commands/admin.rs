//! x
use crate::config::Config;
/// x
#[derive(clap::Args)]
pub struct Options {}
/// x
pub async fn run(config: &Config, _options: Options) -> anyhow::Result<()> {
    super::installation(config).await.map(|_| ())
}

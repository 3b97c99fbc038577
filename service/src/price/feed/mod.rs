//! The price feed: a price list at an address that the operator names, fetched from time to time into the prices of the
//! installation. Whatever goes wrong, the last good list stays. Of several instances one asks at each turn.

mod fetch;
mod state;

use super::list::{self, Encoding, ListFormat, PriceList};
use crate::{Ctx, Error, Result, System, scope::Scope};
use chrono::{DateTime, TimeDelta, Utc};
use entity::price_feed::Model;
use fetch::Fetched;
use serde::Serialize;
use sha2::{Digest, Sha256};
use state::Outcome;
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;

/// Where the feed is, and how it is asked.
#[derive(Debug, Clone)]
pub struct FeedSource {
    /// Its address.
    pub url: String,
    /// What is there.
    pub format: ListFormat,
    /// How often it is asked.
    pub interval: TimeDelta,
    /// How long an answer may take.
    pub patience: Duration,
}

/// The feed, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Feed(Option<Arc<Source>>);

#[derive(Debug)]
struct Source {
    given: FeedSource,
    digest: Vec<u8>,
    client: reqwest::Client,
}

/// What is known of the price feed.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceFeed {
    /// Whether the operator has named one.
    pub configured: bool,
    /// When it was last asked; null = never.
    #[schema(required)]
    pub checked_at: Option<DateTime<Utc>>,
    /// When it last had a list that was imported; null = never.
    #[schema(required)]
    pub imported_at: Option<DateTime<Utc>>,
    /// When it is asked again; null = never.
    #[schema(required)]
    pub next_at: Option<DateTime<Utc>>,
    /// The tag of the list that was last imported; null = it had none.
    #[schema(required)]
    pub etag: Option<String>,
    /// Why it could not be read when it was last asked; the prices are those of the last good list.
    #[schema(required, example = "the feed answered 503 Service Unavailable")]
    pub fault: Option<String>,
}

impl Feed {
    /// The feed at an address.
    pub fn new(source: FeedSource) -> Result<Self> {
        let client = fetch::client(source.patience)?;
        let digest = Sha256::digest(&source.url).to_vec();
        Ok(Self(Some(Arc::new(Source { given: source, digest, client }))))
    }

    /// Asks the feed, if it is time and no other instance does.
    pub async fn turn(&self, system: &Arc<System>) -> Result<()> {
        let Some(source) = &self.0 else { return Ok(()) };
        let ctx = Ctx::internal(system, Scope::platform());
        match state::claim(&ctx, &source.digest, source.given.interval, false).await? {
            Some(known) => source.ask(&ctx, known).await,
            None => Ok(()),
        }
    }

    /// Asks the feed now.
    pub async fn refresh(&self, ctx: &Ctx) -> Result<PriceFeed> {
        let none = || Error::InvalidState("no_price_feed", "no price feed is configured".into());
        let source = self.0.as_ref().ok_or_else(none)?;
        // The reply to the caller is the state of the feed, not what the import says.
        let inner = Ctx { ticket: Arc::default(), ..ctx.clone() };
        if let Some(known) = state::claim(&inner, &source.digest, source.given.interval, true).await? {
            source.ask(&inner, known).await?;
        }
        let status = self.status(ctx).await?;
        ctx.begin().await?.commit(status).await
    }

    /// What is known of it.
    pub async fn status(&self, ctx: &Ctx) -> Result<PriceFeed> {
        let known = match &self.0 {
            Some(source) => state::read(ctx, &source.digest).await?,
            None => None,
        };
        Ok(PriceFeed {
            configured: self.0.is_some(),
            checked_at: known.as_ref().and_then(|known| known.checked_at),
            imported_at: known.as_ref().and_then(|known| known.imported_at),
            next_at: known.as_ref().map(|known| known.next_at),
            etag: known.as_ref().and_then(|known| known.etag.clone()),
            fault: known.and_then(|known| known.fault),
        })
    }
}

impl Source {
    /// Fetches the list, imports it if it is another one, and notes what came of it.
    async fn ask(&self, ctx: &Ctx, known: Model) -> Result<()> {
        let answer = fetch::fetch(&self.client, &self.given.url, known.etag.as_deref()).await;
        let outcome = match answer {
            Ok(Fetched::Same) => Outcome::Same,
            Ok(Fetched::List { file, encoding, etag }) => match self.import(ctx, file, encoding).await {
                Ok(()) => Outcome::Imported(etag),
                Err(error) if error.is_unavailable() => return Err(error),
                Err(error) => Outcome::Failed(error.to_string()),
            },
            Err(fault) => Outcome::Failed(fault),
        };
        state::note(ctx, known, outcome).await
    }

    async fn import(&self, ctx: &Ctx, file: Vec<u8>, encoding: Encoding) -> Result<()> {
        let list = PriceList { file, format: self.given.format, encoding, with_models: true };
        let report = list::import(ctx, list, false).await?;
        tracing::info!(counts = ?report.counts, models = ?report.models, "price feed imported");
        Ok(())
    }
}

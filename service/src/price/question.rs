//! Asking which price holds for a model, and why: nothing changes, and nothing is noted.

use super::{
    Price,
    losers::Loser,
    names::{Mapping, Names},
    resolve::{Prices, Resolution, Step, Wanted},
};
use crate::{Ctx, Result, mapping, validate::Faults};
use chrono::{DateTime, Utc};
use entity::{id::ConnectionId, model_mapping, provider_connection, status::UnpricedPolicy};
use sea_orm::ColumnTrait;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which price to find.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PriceQuestion {
    /// The model, or an alias, as a client calls it.
    #[param(min_length = 1, max_length = 255, example = "gpt-4o")]
    pub model: String,
    /// The provider; absent = that of the connection, or whichever has a price.
    #[param(max_length = 64, example = "openai")]
    pub provider: Option<String>,
    /// The connection that serves it, whose own prices hold first; absent = none.
    pub connection_id: Option<ConnectionId>,
    /// The moment; absent = now.
    pub at: Option<DateTime<Utc>>,
}

/// Which price holds for a model, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceResolution {
    /// The model that was asked for.
    #[schema(example = "fast")]
    pub model: String,
    /// The provider that was asked for, or that of the connection.
    #[schema(required)]
    pub provider: Option<String>,
    /// The connection that was asked for.
    #[schema(required)]
    pub connection_id: Option<ConnectionId>,
    /// The moment that was asked for.
    pub at: DateTime<Utc>,
    /// The model, with every alias and the connection's mapping followed.
    #[schema(example = "gpt-4o-mini")]
    pub resolved_model: String,
    /// The aliases that were followed, in order.
    pub aliases: Vec<String>,
    /// The price that holds; null = none.
    #[schema(required)]
    pub price: Option<Price>,
    /// Where it was found; null = nowhere.
    #[schema(required)]
    pub step: Option<Step>,
    /// Why it holds, or why there is none.
    #[schema(example = "the platform's price of gpt-4o-mini at openai")]
    pub reason: String,
    /// Prices that do not hold, in the order in which they were looked at; at most 50.
    pub losers: Vec<Loser>,
    /// Whether there are more of them.
    pub more_losers: bool,
    /// What the organization decided about calls without a price.
    pub unpriced_policy: UnpricedPolicy,
}

impl PriceResolution {
    pub(super) fn of(prices: &Prices, wanted: &Wanted<'_>, found: Resolution) -> Self {
        Self {
            model: wanted.model.to_owned(),
            provider: wanted.provider.map(Into::into),
            connection_id: wanted.connection_id,
            at: wanted.at,
            resolved_model: found.model,
            aliases: found.aliases,
            step: found.winner.as_ref().map(|winner| winner.step),
            price: found.winner.map(|winner| winner.entry.view()),
            reason: found.reason,
            losers: found.losers,
            more_losers: found.more_losers,
            unpriced_policy: prices.unpriced_policy,
        }
    }
}

/// What is wrong with the names of a question, each under its place.
pub(super) fn check(faults: &mut Faults, at: &str, model: &str, provider: Option<&str>) {
    faults.model(&format!("{at}model"), model);
    if let Some(provider) = provider {
        faults.word(&format!("{at}provider"), provider);
    }
}

/// What a connection says about calls that it serves.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Its provider.
    provider: Option<String>,
    /// What it calls models.
    mappings: Vec<Mapping>,
}

impl Served {
    /// What this connection says, which must be there; without one, nothing.
    pub(super) async fn by(ctx: &Ctx, connection: Option<ConnectionId>) -> Result<Self> {
        let Some(connection) = connection else { return Ok(Self::default()) };
        let row = ctx.repository::<provider_connection::Entity>().find(connection).await?;
        let its = model_mapping::Column::ConnectionId.eq(connection);
        let mappings = ctx.repository::<model_mapping::Entity>().views::<mapping::Mapping>(its).await?;
        Ok(Self { provider: Some(row.provider), mappings: mappings.into_iter().map(Mapping::from).collect() })
    }

    /// The provider that is named, or else that of the connection.
    pub(super) fn provider<'s>(&'s self, named: Option<&'s str>) -> Option<&'s str> {
        named.or(self.provider.as_deref())
    }

    /// All names of a model, those by which the connection calls it among them.
    pub(super) fn names(&self, prices: &Prices, model: &str) -> Names {
        let mut names = prices.names(model);
        names.map(&self.mappings);
        names
    }
}

/// Finds the price that holds for a model.
pub async fn resolve(ctx: &Ctx, question: PriceQuestion) -> Result<PriceResolution> {
    let mut faults = Faults::default();
    check(&mut faults, "?", &question.model, question.provider.as_deref());
    faults.moment("?at", question.at);
    faults.finish()?;
    let served = Served::by(ctx, question.connection_id).await?;
    let prices = ctx.system.books.now(&ctx.system, ctx.scope.organization).await?;
    let wanted = Wanted {
        model: &question.model,
        provider: served.provider(question.provider.as_deref()),
        connection_id: question.connection_id,
        at: question.at.unwrap_or(prices.now),
    };
    let found = prices.resolve(&served.names(&prices, &question.model), &wanted);
    Ok(PriceResolution::of(&prices, &wanted, found))
}

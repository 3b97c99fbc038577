//! The catalogue that ships with the server: providers, models and prices, dated and with their source. It becomes rows of
//! the platform, marked as such; what an operator has changed is never touched again.

mod apply;
mod begin;
mod state;

use crate::{Ctx, Error, Result, audit::hex, price::list::ListPrice, repository::Scoped};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{json::Capabilities, model, price, provider, status::Origin};
use sea_orm::{ColumnTrait, Condition};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

pub use apply::{AppliedCatalogue, Changes, Outcome, apply, restore};

/// What ships with this release. `cargo run -p catalogue -- write` makes it.
const BUILT_IN: &str = include_str!("catalogue.json");

/// Providers, models and prices of some day.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Later ones have larger numbers.
    pub version: i64,
    /// Who says so: a price list.
    pub source: String,
    /// Of what day that is.
    pub dated: NaiveDate,
    /// Who offers the models.
    pub providers: Vec<ListedProvider>,
    /// What they offer.
    pub models: Vec<ListedModel>,
    /// What it costs.
    pub prices: Vec<ListPrice>,
    /// SHA-256 of the text that it was read from.
    #[serde(skip)]
    pub digest: Vec<u8>,
}

/// A provider of the catalogue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedProvider {
    /// What models and prices call it.
    pub name: String,
    /// What people call it.
    pub display_name: String,
}

/// A model of the catalogue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedModel {
    /// The provider's name.
    pub provider: String,
    /// What clients call it.
    pub name: String,
    /// What it can do.
    #[serde(default, serialize_with = "only_what_it_can")]
    pub capabilities: Capabilities,
    /// Tokens of prompt and completion together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<i64>,
    /// Tokens of a completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// Whether it is on its way out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// When it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_on: Option<NaiveDate>,
}

fn only_what_it_can<S: Serializer>(
    capabilities: &Capabilities,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let all = serde_json::to_value(capabilities).map_err(serde::ser::Error::custom)?;
    serializer.collect_map(all.as_object().into_iter().flatten().filter(|(_, can)| **can == true))
}

impl Catalogue {
    /// What ships with this release.
    pub fn built_in() -> Result<Self> {
        Self::read(BUILT_IN)
    }

    /// Reads a catalogue in our own format.
    pub fn read(text: &str) -> Result<Self> {
        let catalogue: Self = serde_json::from_str(text).map_err(Error::internal)?;
        Ok(Self { digest: Sha256::digest(text).to_vec(), ..catalogue })
    }
}

/// Which catalogue the installation has, and which one ships with the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct CatalogueStatus {
    /// The version that was last applied; null = none.
    #[schema(required)]
    pub applied_version: Option<i64>,
    /// Its SHA-256, hexadecimal.
    #[schema(required)]
    pub digest: Option<String>,
    /// When that was.
    #[schema(required)]
    pub applied_at: Option<DateTime<Utc>>,
    /// What ships with the server that answers.
    pub built_in: BuiltIn,
    /// The platform's providers.
    pub providers: Origins,
    /// The platform's models.
    pub models: Origins,
    /// The platform's prices.
    pub prices: Origins,
}

/// The catalogue that ships with a server.
#[derive(Debug, Serialize, ToSchema)]
pub struct BuiltIn {
    /// Later ones have larger numbers.
    pub catalogue_version: i64,
    /// Its SHA-256, hexadecimal.
    pub digest: String,
    /// Who says so: a price list.
    #[schema(example = "litellm price list 86135fc6")]
    pub source: String,
    /// Of what day that is.
    pub dated: NaiveDate,
}

/// How many rows there are, by where they come from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Origins {
    /// From the catalogue, and as it has them.
    pub catalogue: u64,
    /// Made or changed by the operator.
    pub manual: u64,
    /// From a price list that was imported.
    pub import: u64,
}

/// Which catalogue the installation has.
pub async fn status(ctx: &Ctx) -> Result<CatalogueStatus> {
    let shipped = Catalogue::built_in()?;
    let applied = state::read(&ctx.system.db.reader).await?;
    Ok(CatalogueStatus {
        applied_version: applied.as_ref().map(|state| state.version),
        digest: applied.as_ref().map(|state| hex(&state.digest)),
        applied_at: applied.map(|state| state.applied_at),
        built_in: BuiltIn {
            catalogue_version: shipped.version,
            digest: hex(&shipped.digest),
            source: shipped.source,
            dated: shipped.dated,
        },
        providers: origins::<provider::Entity>(ctx, provider::Column::Origin).await?,
        models: origins::<model::Entity>(ctx, model::Column::Origin).await?,
        prices: origins::<price::Entity>(ctx, price::Column::Origin).await?,
    })
}

async fn origins<E: Scoped>(ctx: &Ctx, column: E::Column) -> Result<Origins> {
    let of =
        async |origin: Origin| ctx.repository::<E>().count(Condition::all().add(column.eq(origin))).await;
    Ok(Origins {
        catalogue: of(Origin::Catalogue).await?,
        manual: of(Origin::Manual).await?,
        import: of(Origin::Import).await?,
    })
}

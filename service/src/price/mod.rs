//! Prices: what calls cost, by model, provider and time. Append-only: a price in force never changes, and a new one takes
//! its place.

pub mod book;
pub mod books;
mod create;
mod edit;
mod entry;
mod family;
pub mod feed;
pub mod list;
pub mod losers;
pub mod names;
mod patch;
pub mod question;
pub mod quote;
mod read;
mod reader;
pub mod resolve;
mod sharded;
mod shelf;
mod source;
pub mod tariff;
mod term;

pub use create::create;
pub use edit::{PriceEnd, delete, end, update};
pub use patch::PricePatch;
pub use read::{PriceFilter, get, list};

use chrono::{DateTime, NaiveDate, Timelike, Utc};
use entity::{
    id::{ConnectionId, OrganizationId, PriceId},
    price,
    status::Origin,
};
use serde::{Deserialize, Serialize};
use tariff::{Tariff, tariff};
use utoipa::ToSchema;

/// The minute of the day, in UTC, by which prices of some hours hold.
pub(crate) fn minute_of_day(at: DateTime<Utc>) -> u16 {
    u16::try_from(at.hour() * 60 + at.minute()).unwrap_or_default()
}

/// Whose a row of the price book or the catalogue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A connection's.
    Connection,
    /// The organization's.
    Organization,
    /// The installation's: it is there for every organization.
    Platform,
}

impl Level {
    /// The level of what is this organization's.
    pub fn of(owner: OrganizationId) -> Self {
        if owner == OrganizationId::PLATFORM { Self::Platform } else { Self::Organization }
    }
}

/// What calls of a model cost, from some moment on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Price {
    /// Its id.
    pub id: PriceId,
    /// Whose it is.
    pub scope: Level,
    /// The connection it is for; null = all of the scope.
    #[schema(required)]
    pub connection_id: Option<ConnectionId>,
    /// The provider it is for; null = whoever serves the model.
    #[schema(required, example = "openai")]
    pub provider: Option<String>,
    /// A model, or a glob of models; null = the default price.
    #[schema(required, example = "gpt-4o")]
    pub model: Option<String>,
    /// ISO 4217.
    #[schema(example = "USD")]
    pub currency: String,
    /// What it charges for.
    #[serde(flatten)]
    pub tariff: Tariff,
    /// What a team is charged above cost, in hundredths of a percent.
    pub markup_bps: i32,
    /// In force from this moment on.
    pub effective_from: DateTime<Utc>,
    /// In force up to but not including this moment; null = until the next price of the same key begins.
    #[schema(required)]
    pub effective_until: Option<DateTime<Utc>>,
    /// Where it comes from.
    pub origin: Origin,
    /// Who says so: a price list.
    #[schema(required, example = "litellm price list 86135fc6")]
    pub source: Option<String>,
    /// Of what day that is.
    #[schema(required)]
    pub sourced_on: Option<NaiveDate>,
    /// A remark.
    #[schema(required)]
    pub note: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(PricePage, Price);

impl From<price::Model> for Price {
    fn from(row: price::Model) -> Self {
        let scope = row.connection_id.map_or(Level::of(row.organization_id), |_| Level::Connection);
        Self {
            id: row.id,
            scope,
            connection_id: row.connection_id,
            provider: row.provider,
            model: row.model,
            currency: row.currency,
            tariff: Tariff::of(row.kind, &row.terms),
            markup_bps: row.markup_bps,
            effective_from: row.effective_from,
            effective_until: row.effective_until,
            origin: row.origin,
            source: row.source,
            sourced_on: row.sourced_on,
            note: row.note,
            created_by: row.created_by,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

tariff! {
    /// A price to make.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    pub struct NewPrice {
        /// A model, or a glob of models (`*` stands for any text); absent or null = the default price, for models
        /// without one.
        #[serde(default)]
        #[schema(max_length = 255, example = "gpt-4o")]
        pub model: Option<String>,
        /// The provider it is for; absent or null = whoever serves the model.
        #[serde(default)]
        #[schema(max_length = 64, example = "openai")]
        pub provider: Option<String>,
        /// The connection it is for; absent or null = all of the organization. It holds before every other price there.
        #[serde(default)]
        pub connection_id: Option<ConnectionId>,
        /// ISO 4217; absent or null = the organization's default currency.
        #[serde(default)]
        #[schema(example = "USD")]
        pub currency: Option<String>,
        /// What a team is charged above cost, in hundredths of a percent.
        #[serde(default)]
        #[schema(minimum = 0, maximum = 1_000_000, default = 0)]
        pub markup_bps: i32,
        /// In force from this moment on; absent or null = now.
        #[serde(default)]
        pub effective_from: Option<DateTime<Utc>>,
        /// In force up to but not including this moment; absent or null = until the next price of the same key begins.
        #[serde(default)]
        pub effective_until: Option<DateTime<Utc>>,
        /// A remark, at most 1024 characters.
        #[serde(default)]
        #[schema(max_length = 1024)]
        pub note: Option<String>,
    }
}

impl From<price::Model> for NewPrice {
    /// What was stated, so that it could be made again.
    fn from(row: price::Model) -> Self {
        let mut new = Self {
            model: row.model,
            provider: row.provider,
            connection_id: row.connection_id,
            currency: Some(row.currency),
            markup_bps: row.markup_bps,
            effective_from: Some(row.effective_from),
            effective_until: row.effective_until,
            note: row.note,
            ..Self::default()
        };
        new.set_terms(row.kind, &row.terms);
        new
    }
}

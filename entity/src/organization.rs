//! Organizations, the tenants. The row with the nil id is the platform itself.

use crate::{
    id::OrganizationId,
    json::Texts,
    status::{PriceGuess, Standing, UnpricedPolicy},
};
use sea_orm::entity::prelude::*;

/// A row of `organization`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "organization")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrganizationId,
    /// Unique short name for paths.
    pub slug: String,
    /// Shown name.
    pub name: String,
    /// At work or suspended.
    pub status: Standing,
    /// Globs of models its keys may call; none = no restriction.
    #[sea_orm(column_type = "JsonBinary")]
    pub allowed_models: Option<Texts>,
    /// Longest life of a new key, in seconds; none = no restriction.
    pub max_key_lifetime: Option<i64>,
    /// ISO 4217; of amounts that name no currency.
    pub default_currency: String,
    /// What happens to calls for which no price is found.
    pub unpriced_policy: UnpricedPolicy,
    /// What happens where a price can only be guessed.
    pub price_guess: PriceGuess,
    /// The cap on completions of calls that state none; none = the model's own.
    pub default_max_output_tokens: Option<i64>,
    /// Seconds after which what an unresolved call holds is released; none = never.
    pub release_after: Option<i64>,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

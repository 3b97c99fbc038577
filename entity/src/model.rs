//! Models: what providers offer, and what it can do. Those of the platform have its nil id.

use crate::{
    id::{ModelId, OrganizationId},
    json::Capabilities,
    status::Origin,
};
use sea_orm::entity::prelude::*;

/// A row of `model`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "model")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ModelId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The provider's name.
    pub provider: String,
    /// What clients call it; unique for its provider.
    pub name: String,
    /// What it can do.
    #[sea_orm(column_type = "JsonBinary")]
    pub capabilities: Capabilities,
    /// Tokens of prompt and completion together.
    pub context_window: Option<i64>,
    /// Tokens of a completion.
    pub max_output_tokens: Option<i64>,
    /// Whether it is on its way out.
    pub deprecated: bool,
    /// When it goes, if that is known.
    pub deprecated_on: Option<Date>,
    /// Where it comes from.
    pub origin: Origin,
    /// Who says so: a price list.
    pub source: Option<String>,
    /// Of what day that is.
    pub sourced_on: Option<Date>,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! Model aliases: other names that an organization's clients may use.

use crate::id::{ModelAliasId, OrganizationId};
use sea_orm::entity::prelude::*;

/// A row of `model_alias`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "model_alias")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ModelAliasId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// Unique in its organization.
    pub name: String,
    /// The model, or another alias.
    pub target: String,
    /// Whether it leads anywhere.
    pub enabled: bool,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

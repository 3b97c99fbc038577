//! Providers: the kinds of upstream. Those of the platform have its nil id.

use crate::{
    id::{OrganizationId, ProviderId},
    status::Origin,
};
use sea_orm::entity::prelude::*;

/// A row of `provider`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "provider")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProviderId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// What models and prices call it; unique.
    pub name: String,
    /// What people call it.
    pub display_name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

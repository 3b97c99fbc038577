//! Named non-person owners of keys.

use crate::{
    id::{OrganizationId, ServiceAccountId},
    status::Standing,
};
use sea_orm::entity::prelude::*;

/// A row of `service_account`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "service_account")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ServiceAccountId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Unique in its organization among those not deleted.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// At work, suspended or deleted.
    pub status: Standing,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! What changed in each policy version, so that a cache drops only that.

use crate::id::OrganizationId;
use sea_orm::entity::prelude::*;

/// A row of `policy_log`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "policy_log")]
pub struct Model {
    /// The organization.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: OrganizationId,
    /// The version that the change made.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    /// Number within the version.
    #[sea_orm(primary_key, auto_increment = false)]
    pub n: i32,
    /// What kind of thing changed; `all` for too many.
    pub kind: String,
    /// Which one.
    pub subject: Uuid,
}

impl ActiveModelBehavior for ActiveModel {}

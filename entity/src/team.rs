//! Teams, the groups inside an organization that own keys.

use crate::{
    id::{OrganizationId, TeamId},
    json::{Tags, Texts},
    status::Standing,
};
use sea_orm::entity::prelude::*;

/// A row of `team`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "team")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TeamId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Unique in its organization among teams that are not deleted.
    pub name: String,
    /// At work, suspended or deleted.
    pub status: Standing,
    /// Globs of models its keys may call; none = no restriction.
    #[sea_orm(column_type = "JsonBinary")]
    pub allowed_models: Option<Texts>,
    /// Longest life of a new key, in seconds; none = no restriction.
    pub max_key_lifetime: Option<i64>,
    /// Labels such as a cost centre.
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Tags,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! Who belongs to which team, and as what.

use crate::{
    id::{OrganizationId, TeamId, UserId},
    status::TeamRole,
};
use sea_orm::entity::prelude::*;

/// A row of `team_member`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "team_member")]
pub struct Model {
    /// The team.
    #[sea_orm(primary_key, auto_increment = false)]
    pub team_id: TeamId,
    /// The person.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The role in the team.
    pub role: TeamRole,
    /// Whether an administrator of the team alone has added the person, who was in the organization already.
    pub added_by_team: bool,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

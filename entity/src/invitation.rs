//! Invitations into an organization, each with a one-time secret.

use crate::{
    id::{InvitationId, OrganizationId},
    json::Tags,
    secret::Sealed,
    status::Role,
};
use sea_orm::entity::prelude::*;

/// A row of `invitation`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "invitation")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InvitationId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Case-folded address; none for the very first owner, who brings one along.
    pub email: Option<String>,
    /// The role it gives.
    pub role: Role,
    /// Teams it leads into, each `{team_id: role}`.
    #[sea_orm(column_type = "JsonBinary")]
    pub teams: Tags,
    /// Makes the person who accepts it an operator.
    pub operator: bool,
    /// Who made it: a prefixed id.
    pub created_by: String,
    /// The version of the pepper in the digest.
    pub pepper_version: i32,
    /// The digest of its secret.
    pub digest: Sealed,
    /// Refused from this moment on.
    pub expires_at: DateTimeUtc,
    /// When it was accepted.
    pub accepted_at: Option<DateTimeUtc>,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! Virtual keys: what a program may call, and for whom. Secrets and last use live in other tables.

use crate::{
    id::{InvitationId, KeyId, OrganizationId, ServiceAccountId, TeamId, UserId},
    json::{Metadata, Tags, Texts},
    status::KeyStatus,
};
use sea_orm::entity::prelude::*;

/// A row of `virtual_key`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "virtual_key")]
pub struct Model {
    /// Its id; in base62 also the public part of its secrets.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: KeyId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Shown name; need not be unique.
    pub name: String,
    /// The owning team; exactly one owner is set.
    pub team_id: Option<TeamId>,
    /// The owning person.
    pub user_id: Option<UserId>,
    /// The owning service account.
    pub service_account_id: Option<ServiceAccountId>,
    /// The member of the owning team whom it was issued to.
    pub issued_to_user_id: Option<UserId>,
    /// The invitation into the owning team that it was issued to, until that is accepted.
    pub issued_to_invitation_id: Option<InvitationId>,
    /// When whom it was issued to leaves the team: in the future, when an invitation expires that nobody has accepted yet. Refused
    /// from then on.
    pub holder_left_at: Option<DateTimeUtc>,
    /// Who made it: the prefixed id of a user or a token.
    pub created_by: String,
    /// What its administrators decided.
    pub status: KeyStatus,
    /// Globs of models it may call; none = no restriction.
    #[sea_orm(column_type = "JsonBinary")]
    pub allowed_models: Option<Texts>,
    /// Globs of models it may not call, whatever else allows them.
    #[sea_orm(column_type = "JsonBinary")]
    pub denied_models: Option<Texts>,
    /// What kinds of call it may make; none = every kind.
    #[sea_orm(column_type = "JsonBinary")]
    pub scopes: Option<Texts>,
    /// Networks it may be used from; none = anywhere.
    #[sea_orm(column_type = "JsonBinary")]
    pub allowed_cidrs: Option<Texts>,
    /// Refused from this moment on.
    pub expires_at: Option<DateTimeUtc>,
    /// Labels.
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Tags,
    /// The owner's own JSON.
    #[sea_orm(column_type = "JsonBinary")]
    pub metadata: Metadata,
    /// When it was revoked.
    pub revoked_at: Option<DateTimeUtc>,
    /// When it was deleted; kept for its history.
    pub archived_at: Option<DateTimeUtc>,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

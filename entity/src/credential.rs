//! Credentials: the secrets of a connection, sealed.

use crate::{
    id::{ConnectionId, CredentialId, DataKeyId, OrganizationId},
    secret::Sealed,
    status::CredentialState,
};
use sea_orm::entity::prelude::*;

/// A row of `credential`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "credential")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CredentialId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The connection it opens.
    pub connection_id: ConnectionId,
    /// What people call it.
    pub label: String,
    /// Whether it is used.
    pub state: CredentialState,
    /// Why, if somebody said.
    pub state_reason: Option<String>,
    /// Since when.
    pub state_since: DateTimeUtc,
    /// The secret, sealed; none once it is retired.
    pub secret: Option<Sealed>,
    /// What it is sealed with.
    pub data_key_id: Option<DataKeyId>,
    /// A keyed digest of the secret: equal secrets of one organization have equal ones.
    pub digest: Sealed,
    /// With which pepper.
    pub pepper_version: i32,
    /// Its first and last characters.
    pub display: String,
    /// Who made it: the prefixed id of a user or a token.
    pub created_by: String,
    /// When it was deleted; usage names it for ever.
    pub deleted_at: Option<DateTimeUtc>,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! Gateway tokens: they let a gateway ask for decisions. Those of the platform serve every organization.

use crate::{
    id::{GatewayTokenId, OrganizationId},
    json::Texts,
    secret::Sealed,
};
use sea_orm::entity::prelude::*;

/// A row of `gateway_token`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "gateway_token")]
pub struct Model {
    /// Its id; in base62 also the public part of its secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: GatewayTokenId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Shown name, unique in its organization.
    pub name: String,
    /// Decisions it may ask for.
    #[sea_orm(column_type = "JsonBinary")]
    pub scopes: Texts,
    /// Teams whose keys it serves; none = all.
    #[sea_orm(column_type = "JsonBinary")]
    pub team_ids: Option<Texts>,
    /// Networks the gateway itself may call from; none = anywhere.
    #[sea_orm(column_type = "JsonBinary")]
    pub allowed_cidrs: Option<Texts>,
    /// Who made it: a prefixed id.
    pub created_by: String,
    /// The version of the pepper in the digest.
    pub pepper_version: i32,
    /// The digest of its secret.
    pub digest: Sealed,
    /// The last four characters of the secret part, for people.
    pub last4: String,
    /// Refused from this moment on.
    pub expires_at: Option<DateTimeUtc>,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

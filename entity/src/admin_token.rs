//! Admin tokens: long-lived, scoped, for CI and Terraform. They open the admin API, never inference.

use crate::{
    id::{AdminTokenId, OrganizationId, UserId},
    json::Texts,
    secret::Sealed,
};
use sea_orm::entity::prelude::*;

/// A row of `admin_token`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "admin_token")]
pub struct Model {
    /// Its id; in base62 also the public part of its secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AdminTokenId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Shown name, unique in its organization.
    pub name: String,
    /// Permissions it carries, never more than its maker has.
    #[sea_orm(column_type = "JsonBinary")]
    pub permissions: Texts,
    /// Its maker, whose rights bound it at every use.
    pub created_by: UserId,
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

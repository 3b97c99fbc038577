//! The secrets of virtual keys, as keyed digests. A key has two while a rotation's grace lasts.

use crate::{
    id::{KeyId, OrganizationId, SecretId},
    secret::Sealed,
};
use sea_orm::entity::prelude::*;

/// A row of `key_secret`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "key_secret")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SecretId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The key it opens.
    pub key_id: KeyId,
    /// How it is digested: `hmac-sha256`.
    pub scheme: String,
    /// The version of the pepper in the digest.
    pub pepper_version: i32,
    /// The digest.
    pub digest: Sealed,
    /// The last four characters of the secret part, for people.
    pub last4: String,
    /// Who has seen it: the prefixed id of whoever made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// The end of its grace; none while it is the current one.
    pub expires_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

//! One-time password reset links.

use crate::{
    id::{PasswordResetId, UserId},
    secret::Sealed,
};
use sea_orm::entity::prelude::*;

/// A row of `password_reset`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "password_reset")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PasswordResetId,
    /// Whose password it resets.
    pub user_id: UserId,
    /// The version of the pepper in the digest.
    pub pepper_version: i32,
    /// The digest of its secret.
    pub digest: Sealed,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// Refused from this moment on.
    pub expires_at: DateTimeUtc,
    /// When it was used.
    pub used_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

//! Refresh tokens, single use.

use crate::{
    id::{RefreshTokenId, SessionId},
    secret::Sealed,
};
use sea_orm::entity::prelude::*;

/// A row of `refresh_token`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_token")]
pub struct Model {
    /// Its id; in base62 also the public part of the token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RefreshTokenId,
    /// The session it continues.
    pub session_id: SessionId,
    /// The token that was exchanged for it; none for the first of a session.
    pub replaces: Option<RefreshTokenId>,
    /// The version of the pepper in the digest.
    pub pepper_version: i32,
    /// The digest of its secret.
    pub digest: Sealed,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was exchanged; a second exchange ends the session.
    pub used_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

//! People, global by e-mail address.

use crate::{id::UserId, secret::Sealed, status::Standing};
use sea_orm::entity::prelude::*;

/// A row of `user_account`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "user_account")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// Case-folded address, unique.
    pub email: String,
    /// Shown name.
    pub name: String,
    /// Argon2id PHC string; none until a password is set.
    pub password_hash: Option<Sealed>,
    /// At work or suspended, by the operator.
    pub status: Standing,
    /// Bumped to end every session at once; access tokens carry it.
    pub session_version: i64,
    /// Runs this installation.
    pub operator: bool,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

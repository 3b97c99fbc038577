//! Devices that a person has signed in from.

use crate::{
    id::{DeviceId, UserId},
    secret::Sealed,
};
use sea_orm::entity::prelude::*;

/// A row of `device`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "device")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DeviceId,
    /// Who signed in.
    pub user_id: UserId,
    /// The version of the pepper in the digest.
    pub pepper_version: i32,
    /// The digest of its token.
    pub digest: Sealed,
    /// The address of its latest sign-in.
    pub client_ip: Option<String>,
    /// The program of its latest sign-in.
    pub user_agent: Option<String>,
    /// When it was first signed in from.
    pub created_at: DateTimeUtc,
    /// When it was last signed in from.
    pub used_at: DateTimeUtc,
    /// When it is no longer known, unless it is signed in from before.
    pub expires_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

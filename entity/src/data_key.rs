//! Data keys: what an organization's secrets are sealed with, wrapped with an encryption key of the configuration.

use crate::{
    id::{DataKeyId, OrganizationId},
    secret::Sealed,
    status::DataKeyState,
};
use sea_orm::entity::prelude::*;

/// A row of `data_key`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "data_key")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DataKeyId,
    /// Whose secrets it seals.
    pub organization_id: OrganizationId,
    /// Whether new secrets are sealed with it.
    pub state: DataKeyState,
    /// The name of the encryption key, as its check value has it.
    pub kek_name: String,
    /// The version of the encryption key that wraps it.
    pub kek_version: i32,
    /// The key, wrapped.
    pub wrapped: Sealed,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last wrapped.
    pub wrapped_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

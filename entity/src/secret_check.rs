//! Check values of the configured secrets: an instance with others refuses to start.

use sea_orm::entity::prelude::*;

/// A row of `secret_check`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "secret_check")]
pub struct Model {
    /// Which secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Which version of it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// A keyed digest of a constant.
    pub check_value: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}

//! Which version of the built-in catalogue the database has. One row.

use sea_orm::entity::prelude::*;

/// A row of `catalogue_state`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "catalogue_state")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// Of the catalogue that was last applied.
    pub version: i64,
    /// SHA-256 of it.
    pub digest: Vec<u8>,
    /// When.
    pub applied_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

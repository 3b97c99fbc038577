//! Instances that serve from this database, by what they say of themselves every few seconds.

use sea_orm::entity::prelude::*;

/// A row of `instance`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instance")]
pub struct Model {
    /// Of one run of the program.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When it started, by the database.
    pub started_at: DateTimeUtc,
    /// When it last said that it serves, by the database.
    pub seen_at: DateTimeUtc,
    /// Its release.
    pub version: String,
}

impl ActiveModelBehavior for ActiveModel {}

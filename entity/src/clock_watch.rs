//! What instances have seen of the database's clock. One row.

use sea_orm::entity::prelude::*;

/// A row of `clock_watch`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "clock_watch")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The time that was seen last.
    pub seen_at: DateTimeUtc,
    /// When the clock was last seen to have jumped, by the clock after the jump; none = never.
    pub jumped_at: Option<DateTimeUtc>,
    /// How far it jumped then; below zero = back.
    pub jumped_seconds: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

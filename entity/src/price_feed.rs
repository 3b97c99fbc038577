//! What is known of the price feed. One row.

use sea_orm::entity::prelude::*;

/// A row of `price_feed`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "price_feed")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// SHA-256 of the address that the rest is known of; an address may hold a secret.
    pub source: Vec<u8>,
    /// Of the list that was last imported.
    pub etag: Option<String>,
    /// When the feed was last asked.
    pub checked_at: Option<DateTimeUtc>,
    /// When it last had a list that was imported.
    pub imported_at: Option<DateTimeUtc>,
    /// When it is asked again, by one of the instances.
    pub next_at: DateTimeUtc,
    /// Why it could not be read when it was last asked.
    pub fault: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

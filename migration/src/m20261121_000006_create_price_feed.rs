//! What is known of the price feed.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            int("id"),
            bytes("source"),
            text_null("etag", 1024),
            time_null("checked_at"),
            time_null("imported_at"),
            time("next_at"),
            text_null("fault", 1024),
        ];
        manager.create_table(table("price_feed", columns, &["id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["price_feed"]).await
    }
}

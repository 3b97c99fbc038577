//! Usage objects that cannot be read exactly, sealed; an event says what became of its own. Of events from before none is
//! kept.

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
        manager.create_table(usage_raw()).await?;
        index(manager, "usage_raw", &["organization_id", "event_id", "attempt"], true).await?;
        index(manager, "usage_raw", &["data_key_id"], false).await?;
        index(manager, "usage_raw", &["created_at"], false).await?;
        let mut column = text_null("raw_usage", 16);
        manager.alter_table(Table::alter().table(name("usage_event")).add_column(&mut column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = name("raw_usage");
        manager.alter_table(Table::alter().table(name("usage_event")).drop_column(column).take()).await?;
        drop_tables(manager, &["usage_raw"]).await
    }
}

/// There is no foreign key to `data_key`: rows are written by the meter's batches, which wait for no key and fail because of
/// none. One that is destroyed between sealing and writing leaves a value that opens no more.
fn usage_raw() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        uuid("event_id"),
        int("attempt"),
        bytes("raw"),
        uuid("data_key_id"),
        time("created_at"),
    ];
    table("usage_raw", columns, &["id"])
}

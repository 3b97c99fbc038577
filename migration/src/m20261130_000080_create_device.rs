//! Devices that people have signed in from, and which of them a session was opened on.

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
        manager.create_table(device()).await?;
        index(manager, "device", &["user_id"], false).await?;
        index(manager, "device", &["expires_at"], false).await?;
        // No foreign key: a device that is forgotten leaves its sessions as they were.
        let column = Table::alter().table(name("session")).add_column(uuid_null("device_id")).take();
        manager.alter_table(column).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Table::alter().table(name("session")).drop_column(name("device_id")).take();
        manager.alter_table(column).await?;
        drop_tables(manager, &["device"]).await
    }
}

fn device() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("user_id"),
        int("pepper_version"),
        bytes("digest"),
        text_null("client_ip", 64),
        text_null("user_agent", 255),
        time("created_at"),
        time("used_at"),
        time("expires_at"),
    ];
    table("device", columns, &["id"])
        .foreign_key(&mut foreign_key("device", &["user_id"], "user_account", &["id"]))
        .take()
}

//! Data keys: what an organization's secrets are sealed with, each wrapped with an encryption key of the configuration.

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
        manager.create_table(data_key()).await?;
        index(manager, "data_key", &["organization_id", "id"], true).await?;
        let db = manager.get_connection();
        // New secrets of an organization are sealed with one key.
        db.execute_unprepared(
            "CREATE UNIQUE INDEX uq_data_key_active ON data_key (organization_id) WHERE state = 'active'",
        )
        .await?;
        let mut alter = Table::alter().table(name("idempotency_record")).take();
        manager.alter_table(alter.add_column(uuid_null("data_key_id")).take()).await?;
        // Replies that were sealed otherwise: that the call was made is kept, what it answered is not.
        db.execute_unprepared("UPDATE idempotency_record SET reply = NULL").await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("UPDATE idempotency_record SET reply = NULL").await?;
        let mut alter = Table::alter().table(name("idempotency_record")).take();
        manager.alter_table(alter.drop_column(name("data_key_id")).take()).await?;
        drop_tables(manager, &["data_key"]).await
    }
}

/// An encryption key cannot be retired while a data key is wrapped with it: its check value is in the way.
fn data_key() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("state", 16),
        text("kek_name", 32),
        int("kek_version"),
        bytes("wrapped"),
        time("created_at"),
        time("wrapped_at"),
    ];
    table("data_key", columns, &["id"])
        .check(one_of("data_key", "state", &["active", "retired"]))
        .foreign_key(&mut foreign_key("data_key", &["organization_id"], "organization", &["id"]))
        .foreign_key(&mut foreign_key(
            "data_key",
            &["kek_name", "kek_version"],
            "secret_check",
            &["name", "version"],
        ))
        .take()
}

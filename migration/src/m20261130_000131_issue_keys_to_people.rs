//! Whom a team's key is issued to: a person, or an invitation that is not accepted yet; and since when that person is gone.
//! Keys from before are issued to nobody.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const HOLDERS: [&str; 2] = ["issued_to_user_id", "issued_to_invitation_id"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No foreign keys: a key remembers whom it was issued to when that person or invitation is gone.
        for holder in HOLDERS {
            add(manager, uuid_null(holder)).await?;
            let index = format!(
                "CREATE INDEX ix_virtual_key_{holder} ON virtual_key (organization_id, {holder}, id) \
                 WHERE {holder} IS NOT NULL"
            );
            manager.get_connection().execute_unprepared(&index).await?;
        }
        add(manager, time_null("holder_left_at")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for holder in HOLDERS {
            let index = format!("DROP INDEX ix_virtual_key_{holder}");
            manager.get_connection().execute_unprepared(&index).await?;
            drop_column(manager, holder).await?;
        }
        drop_column(manager, "holder_left_at").await
    }
}

async fn add(manager: &SchemaManager<'_>, mut column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(name("virtual_key")).add_column(&mut column).take()).await
}

async fn drop_column(manager: &SchemaManager<'_>, column: &str) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(name("virtual_key")).drop_column(name(column)).take()).await
}

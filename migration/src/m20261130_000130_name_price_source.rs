//! Where the price of a call comes from, whether it is a guess, and what an organization wants of guesses. Of events from
//! before it is not known. The columns have defaults, so that the previous release can write rows.

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
        add(manager, "organization", text("price_guess", 16).default("flag").take()).await?;
        add(manager, "usage_event", text_null("price_source", 32)).await?;
        add(manager, "usage_event", bool("guessed").default(false).take()).await?;
        add(manager, "usage_rollup", big("guessed_events").default(0).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            ("usage_rollup", "guessed_events"),
            ("usage_event", "guessed"),
            ("usage_event", "price_source"),
            ("organization", "price_guess"),
        ];
        for (table, column) in columns {
            let drop = Table::alter().table(name(table)).drop_column(name(column)).take();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}

async fn add(manager: &SchemaManager<'_>, table: &str, mut column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(name(table)).add_column(&mut column).take()).await
}

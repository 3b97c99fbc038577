//! What providers state that calls cost, beside what they are charged. Of events from before nothing is known.

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
        let mut column = big_null("provider_stated_cost");
        manager.alter_table(Table::alter().table(name("usage_event")).add_column(&mut column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = name("provider_stated_cost");
        manager.alter_table(Table::alter().table(name("usage_event")).drop_column(column).take()).await
    }
}

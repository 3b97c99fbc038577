//! What is kept of clocks that were wrong: the last time that was seen, and the last jump; of each organization the later time
//! that some of its calls may be of; of a call the moment that its time is counted from, if that is not when it was made.

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
        let columns = [int("id"), time("seen_at"), time_null("jumped_at"), big_null("jumped_seconds")];
        let only = Check::named(name("ck_clock_watch_id"), Expr::cust("id = 1"));
        manager.create_table(table("clock_watch", columns, &["id"]).check(only).take()).await?;
        for (table, mut column) in
            [("org_head", time_null("ahead_until")), ("reservation", time_null("counted_from"))]
        {
            let add = Table::alter().table(name(table)).add_column(&mut column).take();
            manager.alter_table(add).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [("reservation", "counted_from"), ("org_head", "ahead_until")] {
            manager.alter_table(Table::alter().table(name(table)).drop_column(name(column)).take()).await?;
        }
        drop_tables(manager, &["clock_watch"]).await
    }
}

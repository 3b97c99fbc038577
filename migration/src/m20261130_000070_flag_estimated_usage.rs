//! Usage that was charged at an estimate, and usage that says nothing: flags of events, and how many of each the sums hold.
//! Events and sums from before have neither. The columns have defaults, so that the previous release can write rows.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const FLAGS: [&str; 2] = ["estimated", "usage_unclear"];
const COUNTS: [&str; 2] = ["estimated_events", "unclear_events"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for flag in FLAGS {
            add(manager, "usage_event", bool(flag).default(false).take()).await?;
        }
        for count in COUNTS {
            add(manager, "usage_rollup", big(count).default(0).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, columns) in [("usage_rollup", COUNTS), ("usage_event", FLAGS)] {
            for column in columns {
                let drop = Table::alter().table(name(table)).drop_column(name(column)).take();
                manager.alter_table(drop).await?;
            }
        }
        Ok(())
    }
}

async fn add(manager: &SchemaManager<'_>, table: &str, mut column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(name(table)).add_column(&mut column).take()).await
}

//! Audio that was read from a cache, web searches and executions of code: how much of each a call had, and the sums.
//! Events and sums from before have none. The columns have defaults, so that the previous release can write rows.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: [&str; 2] = ["usage_event", "usage_rollup"];
const CLASSES: [&str; 3] = ["cache_read_audio_tokens", "web_searches", "code_executions"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            for class in CLASSES {
                let mut column = big(class).default(0).take();
                manager.alter_table(Table::alter().table(name(table)).add_column(&mut column).take()).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            for class in CLASSES {
                manager
                    .alter_table(Table::alter().table(name(table)).drop_column(name(class)).take())
                    .await?;
            }
        }
        Ok(())
    }
}

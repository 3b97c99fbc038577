//! Who gave a person the place in a team: an administrator of that team alone, or the organization. Places from before count
//! as given by the organization. The column has a default, so that the previous release can write rows.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "team_member";
const COLUMN: &str = "added_by_team";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = bool(COLUMN).default(false).take();
        manager.alter_table(Table::alter().table(name(TABLE)).add_column(&mut column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(name(TABLE)).drop_column(name(COLUMN)).take()).await
    }
}

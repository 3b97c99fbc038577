//! Keys that were issued to invitations before these ended with them: from now on they do. Where the invitation is gone, nobody
//! can accept it any more.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const END: &str = "UPDATE virtual_key SET holder_left_at = COALESCE((SELECT invitation.expires_at FROM invitation \
     WHERE invitation.id = virtual_key.issued_to_invitation_id), virtual_key.updated_at) \
     WHERE issued_to_invitation_id IS NOT NULL AND holder_left_at IS NULL";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(END).await.map(drop)
    }

    /// Nothing: earlier programs know the column, too, and refuse these keys.
    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}

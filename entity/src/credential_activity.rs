//! When a secret or a token was last used: throttled, and off every versioned row.

use sea_orm::entity::prelude::*;

/// A row of `credential_activity`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "credential_activity")]
pub struct Model {
    /// The key secret or token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When it last was let through, to about a minute.
    pub last_used_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! Failed sign-ins, counted before the password is verified.

use sea_orm::entity::prelude::*;

/// A row of `login_throttle`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "login_throttle")]
pub struct Model {
    /// SHA-256 of what it counts: an account at a network, an account, an address, a network, a known device.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Vec<u8>,
    /// Failures since the last success, or since the day began.
    pub failures: i32,
    /// No attempt is verified before this moment.
    pub not_before: DateTimeUtc,
    /// When it was last counted.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

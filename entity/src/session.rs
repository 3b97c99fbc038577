//! Sign-in sessions: families of refresh tokens.

use crate::id::{DeviceId, SessionId, UserId};
use sea_orm::entity::prelude::*;

/// A row of `session`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// The device it was opened on; null if that was before devices were kept.
    pub device_id: Option<DeviceId>,
    /// The address it was opened from.
    pub client_ip: Option<String>,
    /// The program it was opened with.
    pub user_agent: Option<String>,
    /// When it was opened.
    pub created_at: DateTimeUtc,
    /// When it was last refreshed.
    pub refreshed_at: DateTimeUtc,
    /// Its absolute end, however often it is refreshed.
    pub expires_at: DateTimeUtc,
    /// When it was ended.
    pub revoked_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

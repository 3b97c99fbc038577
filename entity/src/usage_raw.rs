//! Usage objects as providers sent them, sealed, of attempts that they do not tell exactly.

use crate::{
    id::{DataKeyId, OrganizationId, ReservationId, UsageRawId},
    secret::Sealed,
};
use sea_orm::entity::prelude::*;

/// A row of `usage_raw`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_raw")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UsageRawId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The call of the event.
    pub event_id: ReservationId,
    /// Which attempt of the call.
    pub attempt: i32,
    /// The object as JSON, sealed.
    pub raw: Sealed,
    /// What it is sealed with.
    pub data_key_id: DataKeyId,
    /// When it was kept, by the database.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

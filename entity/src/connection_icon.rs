//! Icons that an organization chose for its connections.

use crate::id::{ConnectionId, OrganizationId};
use sea_orm::entity::prelude::*;

/// A row of `connection_icon`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "connection_icon")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// What kind of image.
    pub media_type: String,
    /// The image.
    pub content: Vec<u8>,
    /// When it was set.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! Models that the upstream of a connection said it has.

use crate::id::{ConnectionId, OrganizationId};
use sea_orm::entity::prelude::*;

/// A row of `discovered_model`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "discovered_model")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// What the upstream calls it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// What the upstream calls it for people.
    pub display_name: Option<String>,
    /// Whose it is, as the upstream says.
    pub owned_by: Option<String>,
    /// The most tokens of prompt and completion together.
    pub context_window: Option<i64>,
    /// The most tokens of a completion.
    pub max_output_tokens: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

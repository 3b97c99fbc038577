//! Model mappings: what clients call a model, and what the upstream of a connection calls it.

use crate::{
    endpoint::Protocols,
    id::{ConnectionId, MappingId, OrganizationId},
};
use sea_orm::entity::prelude::*;

/// A row of `model_mapping`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "model_mapping")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MappingId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The connection.
    pub connection_id: ConnectionId,
    /// What clients call it; unique in the connection.
    pub client_name: String,
    /// What the upstream calls it.
    pub upstream_name: String,
    /// Its share among connections that serve the same name.
    pub weight: i32,
    /// Whether it is used.
    pub enabled: bool,
    /// The protocols it is served by; none = all of the connection's.
    #[sea_orm(column_type = "JsonBinary")]
    pub protocols: Option<Protocols>,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

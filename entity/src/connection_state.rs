//! What is seen of a connection while it works. Written without touching the connection's version.

use crate::{
    endpoint::CapabilityProfile,
    id::{ConnectionId, OrganizationId},
    status::{Health, Protocol},
};
use sea_orm::entity::prelude::*;

/// A row of `connection_state`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "connection_state")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// How it is.
    pub health: Health,
    /// Failures since the last success.
    pub consecutive_failures: i32,
    /// Stable word for the last failure.
    pub error_code: Option<String>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// When that was.
    pub error_at: Option<DateTimeUtc>,
    /// When it last worked.
    pub success_at: Option<DateTimeUtc>,
    /// Milliseconds of the last answer.
    pub latency_ms: Option<i64>,
    /// The base URL that was found to work; it stands above the stated one.
    pub detected_endpoint: Option<String>,
    /// The protocol that was found to work.
    pub detected_format: Option<Protocol>,
    /// What it can do, as far as that follows from the protocol.
    #[sea_orm(column_type = "JsonBinary")]
    pub capabilities: Option<CapabilityProfile>,
    /// When that was found.
    pub detected_at: Option<DateTimeUtc>,
    /// When its models were last read.
    pub models_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

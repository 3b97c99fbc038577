//! The audit log: append-only, one hash chain an organization.

use crate::{
    id::{AuditEventId, OrganizationId},
    status::ActorKind,
};
use sea_orm::entity::prelude::*;

/// A row of `audit_event`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_event")]
pub struct Model {
    /// The organization; the platform for what has none.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: OrganizationId,
    /// Gapless number in the organization, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// Its id.
    pub id: AuditEventId,
    /// When it happened.
    pub occurred_at: DateTimeUtc,
    /// What kind of principal acted.
    pub actor_kind: ActorKind,
    /// Which one: a prefixed id, never an address.
    pub actor_id: String,
    /// What was done, as `virtual_key.update`.
    pub action: String,
    /// What it was done to: a prefixed id.
    pub subject: String,
    /// The request it came with.
    pub request_id: String,
    /// The address it came from.
    pub client_ip: Option<String>,
    /// `{"before":…,"after":…}` without secrets, as the exact text that is hashed.
    #[sea_orm(column_type = "Text")]
    pub detail: String,
    /// SHA-256 of the previous hash and the canonical text of this row, 32 bytes.
    pub hash: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}

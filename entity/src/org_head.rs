//! The one lock of an organization: its policy version, the clock of its decisions, and the end of its audit chain.

use crate::id::OrganizationId;
use sea_orm::entity::prelude::*;

/// A row of `org_head`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "org_head")]
pub struct Model {
    /// The organization.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: OrganizationId,
    /// Bumped by every change that a decision depends on, in the same transaction.
    pub policy_version: i64,
    /// Random, new at each bump: a database that went back in time is noticed.
    pub tag: i64,
    /// The oldest version from which the policy log is complete.
    pub log_floor: i64,
    /// The time of the last decision. A clock that is up to a minute behind it waits for it.
    pub last_t: DateTimeUtc,
    /// No hold of the organization is to be released before this; none = none is to be released at all.
    pub next_release_at: Option<DateTimeUtc>,
    /// Until the clock is there, some open calls may be of a later time than now: the clock was once ahead.
    pub ahead_until: Option<DateTimeUtc>,
    /// Number of the last audit event.
    pub audit_seq: i64,
    /// Hash of the last audit event, 32 bytes.
    pub audit_hash: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}

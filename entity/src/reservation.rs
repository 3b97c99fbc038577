//! Reservations: calls that were authorized, what they hold, and what became of them. One id has one effect, for ever.

use crate::{
    id::{KeyId, OrganizationId, ReservationId, SecretId, ServiceAccountId, TeamId, UserId},
    ledger::{CallTerms, Legs},
    status::ReservationState,
};
use sea_orm::entity::prelude::*;

/// A row of `reservation`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "reservation")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: OrganizationId,
    /// Its id, a UUIDv7; the time in it says in which partition it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReservationId,
    /// The key; none of a call that was voided before it was authorized.
    pub key_id: Option<KeyId>,
    /// The secret that proved the key.
    pub secret_id: Option<SecretId>,
    /// The team that owned the key.
    pub team_id: Option<TeamId>,
    /// The person who owned the key.
    pub user_id: Option<UserId>,
    /// The service account that owned the key.
    pub service_account_id: Option<ServiceAccountId>,
    /// Whether a gateway of the installation asked, which may settle it without naming the tenant.
    pub by_platform: bool,
    /// What became of it.
    pub state: ReservationState,
    /// Tells a repetition of the request from another one: 16 bytes.
    pub body_hash: Vec<u8>,
    /// The same of what settled it.
    pub settle_hash: Option<Vec<u8>>,
    /// What it holds, or held, of which windows.
    #[sea_orm(column_type = "JsonBinary")]
    pub legs: Legs,
    /// What has been released without being settled: 0 nothing, 1 concurrency, 2 everything.
    pub released: i32,
    /// What was asked and answered.
    #[sea_orm(column_type = "JsonBinary")]
    pub terms: CallTerms,
    /// When it was authorized.
    pub created_at: DateTimeUtc,
    /// From then on it is unresolved.
    pub expires_at: DateTimeUtc,
    /// When something of it is to be released next.
    pub release_at: Option<DateTimeUtc>,
    /// When it was settled or voided.
    pub closed_at: Option<DateTimeUtc>,
    /// The moment that the time until `expires_at` was counted from; none = when it was authorized.
    pub counted_from: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

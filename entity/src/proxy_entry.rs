//! Proxies of a pool, with what the last test of each found. They hang on their pool and have no version of their own.

use crate::{
    id::{DataKeyId, OrganizationId, ProxyEntryId, ProxyPoolId},
    secret::Sealed,
    status::{ProxyScheme, TestStatus},
};
use sea_orm::entity::prelude::*;

/// A row of `proxy_entry`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "proxy_entry")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProxyEntryId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The pool it is in.
    pub proxy_pool_id: ProxyPoolId,
    /// Its place in the pool.
    pub position: i32,
    /// Whether it is used.
    pub enabled: bool,
    /// How it is spoken to.
    pub scheme: ProxyScheme,
    /// Its host: a name, or an address.
    pub host: String,
    /// Its port.
    pub port: i32,
    /// Its address with the password masked.
    pub display_url: String,
    /// `user:password`, sealed; none without.
    pub login: Option<Sealed>,
    /// What it is sealed with.
    pub data_key_id: Option<DataKeyId>,
    /// What the last test found.
    pub test_status: TestStatus,
    /// When it was last tested.
    pub tested_at: Option<DateTimeUtc>,
    /// Milliseconds of the last test.
    pub latency_ms: Option<i64>,
    /// The status that the target of the last test answered.
    pub http_status: Option<i32>,
    /// The address that the target saw, if it told.
    pub exit_address: Option<String>,
    /// Stable word for what went wrong in the last test.
    pub error_code: Option<String>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! Proxy pools: the outbound proxies that connections use.

use crate::{
    id::{OrganizationId, ProxyPoolId},
    json::Texts,
    status::{PoolStatus, ProxyStrategy},
};
use sea_orm::entity::prelude::*;

/// A row of `proxy_pool`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "proxy_pool")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProxyPoolId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Unique in its organization.
    pub name: String,
    /// Whether its proxies are used.
    pub status: PoolStatus,
    /// Which of its proxies a call takes.
    pub strategy: ProxyStrategy,
    /// Whether a call fails rather than go without a proxy.
    pub strict: bool,
    /// Hosts that are reached without a proxy.
    #[sea_orm(column_type = "JsonBinary")]
    pub no_proxy: Texts,
    /// Who made it: the prefixed id of a user or a token.
    pub created_by: String,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! How often calls took how long, by hour and day: counts that can be added up, so that percentiles of any sum are real.

use crate::{id::OrganizationId, status::Grain};
use sea_orm::entity::prelude::*;

/// A row of `usage_latency`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_latency")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: OrganizationId,
    /// An hour or a day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: Grain,
    /// Its first moment, in UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub start: DateTimeUtc,
    /// The dimensions, as in `usage_rollup`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub dimensions_id: Uuid,
    /// Which latencies: eight buckets to each doubling.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: i32,
    /// Events.
    pub events: i64,
}

impl ActiveModelBehavior for ActiveModel {}

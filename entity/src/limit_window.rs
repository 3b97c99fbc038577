//! What a limit has counted in one of its windows. A window without a row has counted nothing.

use crate::id::{LimitId, OrganizationId};
use sea_orm::entity::prelude::*;

/// A row of `limit_window`. What counts is used - adjusted + held.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "limit_window")]
pub struct Model {
    /// The limit.
    #[sea_orm(primary_key, auto_increment = false)]
    pub limit_id: LimitId,
    /// For whom it is counted: the limit's subject, or one under it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    /// Its first moment.
    #[sea_orm(primary_key, auto_increment = false)]
    pub window_start: DateTimeUtc,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// By calls whose use is known.
    pub used: i64,
    /// The worst case of calls whose use is not known yet.
    pub held: i64,
    /// What a reset has forgiven of what was used.
    pub adjusted: i64,
    /// Calls that a shadow limit would have denied.
    pub would_deny: i64,
}

impl ActiveModelBehavior for ActiveModel {}

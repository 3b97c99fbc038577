//! Prices: effective-dated, append-only, immutable once in force. Those of the platform have its nil id.

use crate::{
    id::{ConnectionId, OrganizationId, PriceId},
    status::{Origin, PriceKind},
    terms::Terms,
};
use sea_orm::entity::prelude::*;

/// A row of `price`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "price")]
pub struct Model {
    /// Its id; what was charged names it for ever.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PriceId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The connection it is for; none = all of the organization.
    pub connection_id: Option<ConnectionId>,
    /// The provider it is for; none = whoever serves the model.
    pub provider: Option<String>,
    /// A model, or a glob of models; none = the default price.
    pub model: Option<String>,
    /// How it charges.
    pub kind: PriceKind,
    /// ISO 4217.
    pub currency: String,
    /// What it charges for.
    #[sea_orm(column_type = "JsonBinary")]
    pub terms: Terms,
    /// What a team is charged above cost, in hundredths of a percent.
    pub markup_bps: i32,
    /// From this moment on.
    pub effective_from: DateTimeUtc,
    /// Up to but not including this moment; none = until the next one of the same key begins.
    pub effective_until: Option<DateTimeUtc>,
    /// Where it comes from.
    pub origin: Origin,
    /// Who says so: a price list.
    pub source: Option<String>,
    /// Of what day that is.
    pub sourced_on: Option<Date>,
    /// A remark.
    pub note: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

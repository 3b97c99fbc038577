//! Limits: who may have how much of what, per when. A rate limit, a quota and a budget are the same thing.

use crate::{
    id::{LimitId, OrganizationId, TeamId},
    json::{Metadata, Percentages, Texts},
    status::{Each, Metric, Mode, Period, SetBy, SubjectKind},
};
use sea_orm::entity::prelude::*;

/// A row of `usage_limit`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_limit")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LimitId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// What kind of thing is limited.
    pub subject_kind: SubjectKind,
    /// Which one.
    pub subject_id: Uuid,
    /// The team in which a member is limited.
    pub team_id: Option<TeamId>,
    /// Counted for each of these under the subject; none = for the subject as a whole.
    pub each: Option<Each>,
    /// What is counted.
    pub metric: Metric,
    /// ISO 4217; of a limit of cost.
    pub currency: Option<String>,
    /// How long it is counted.
    pub period: Period,
    /// So many periods at a time.
    pub period_count: i32,
    /// IANA name of the zone in whose calendar the periods are; none = UTC.
    pub timezone: Option<String>,
    /// Globs of the models whose calls are counted; none = all.
    #[sea_orm(column_type = "JsonBinary")]
    pub models: Option<Texts>,
    /// What comes of a call that does not fit.
    pub mode: Mode,
    /// The most: calls, tokens, open calls, or billionths of the currency's unit.
    pub amount: i64,
    /// Percentages at which somebody is told.
    #[sea_orm(column_type = "JsonBinary")]
    pub alert_at: Option<Percentages>,
    /// Other amounts for a time.
    #[sea_orm(column_type = "JsonBinary")]
    pub overrides: Option<Metadata>,
    /// Who may change it.
    pub set_by: SetBy,
    /// Who made it: the prefixed id of a user or a token.
    pub created_by: String,
    /// When it was deleted; kept for what it counted.
    pub deleted_at: Option<DateTimeUtc>,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

//! Limits: who may have how much of what, per when. What a limit counts never changes: amount and mode do, and another
//! shape is another limit.

mod amount;
mod create;
mod edit;
mod read;
mod reset;
mod subject;
mod terms;
pub(crate) mod warning;
pub mod window;

pub(crate) use amount::amount_text;
pub use create::create;
pub(crate) use create::{make_for_key, of_key, warnings_for_key};
pub use edit::{LimitPatch, delete, update};
pub use read::{LimitFilter, LimitWindow, LimitWindowPage, get, list, list_windows};
pub use reset::reset;
pub use subject::SubjectId;
pub use terms::{NewKeyLimit, NewLimit};
pub use warning::LimitWarning;

use chrono::{DateTime, Utc};
use entity::{
    id::{LimitId, TeamId},
    json::{Percentages, Texts},
    limit,
    status::{Each, Metric, Mode, Period, SetBy, SubjectKind},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The time zone of limits that name none.
const UTC: &str = "UTC";

/// The most of something that calls may have: a rate limit, a quota or a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Limit {
    /// Its id.
    pub id: LimitId,
    /// What kind of thing is limited.
    pub subject_kind: SubjectKind,
    /// Which one.
    pub subject_id: SubjectId,
    /// The team in which a member is limited; null for every other kind.
    #[schema(required)]
    pub team_id: Option<TeamId>,
    /// Counted for each of these under the subject; null = for the subject as a whole.
    #[schema(required)]
    pub each: Option<Each>,
    /// What is counted.
    pub metric: Metric,
    /// ISO 4217; of a limit of cost, null for every other metric.
    #[schema(required, example = "USD")]
    pub currency: Option<String>,
    /// How long it counts before it begins anew.
    pub window: Period,
    /// So many windows at a time.
    pub window_count: i32,
    /// The time zone in whose calendar windows begin and end.
    #[schema(example = "UTC")]
    pub timezone: String,
    /// Globs of the models whose calls are counted; null = all.
    #[schema(required, example = json!(["gpt-4o*"]))]
    pub models: Option<Texts>,
    /// What comes of a call that does not fit.
    pub mode: Mode,
    /// The most, a decimal number: money in the currency's unit, or a whole number of calls or tokens.
    #[schema(example = "500.000000000")]
    pub amount: String,
    /// Percentages at which somebody is told; null = none.
    #[schema(required)]
    pub alert_at: Option<Percentages>,
    /// Who set it, and so may change it.
    pub set_by: SetBy,
    /// Who made it: the id of a user or of an admin token.
    #[schema(example = "user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub created_by: String,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// What may be a mistake, as it was found when the limit was made; told once, in that reply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<LimitWarning>,
}
crate::page!(LimitPage, Limit);

impl From<limit::Model> for Limit {
    fn from(row: limit::Model) -> Self {
        Self {
            id: row.id,
            subject_kind: row.subject_kind,
            subject_id: SubjectId::of(row.subject_kind, row.subject_id),
            team_id: row.team_id,
            each: row.each,
            metric: row.metric,
            currency: row.currency,
            window: row.period,
            window_count: row.period_count,
            timezone: row.timezone.unwrap_or_else(|| UTC.to_owned()),
            models: row.models,
            mode: row.mode,
            amount: amount_text(row.metric, row.amount),
            alert_at: row.alert_at,
            set_by: row.set_by,
            created_by: row.created_by,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            warnings: Vec::new(),
        }
    }
}

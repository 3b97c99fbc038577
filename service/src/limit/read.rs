//! Reading limits, and what they have counted in their windows.

use super::{Limit, SubjectId, amount_text, window};
use crate::{
    Ctx, Error, Result,
    page::{Page, PageRequest},
};
use chrono::{DateTime, Utc};
use entity::{
    id::{LimitId, TeamId},
    limit::{self, Column, Entity},
    limit_window, membership, provider_connection, service_account,
    status::{Metric, SubjectKind},
    team, virtual_key,
};
use sea_orm::{
    ColumnTrait, Condition,
    sea_query::{ExprTrait, SimpleExpr},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Which limits: those that meet everything that is given.
#[derive(Debug, Default)]
pub struct LimitFilter {
    /// Only on things of this kind.
    pub subject_kind: Option<SubjectKind>,
    /// Only on this thing.
    pub subject_id: Option<SubjectId>,
    /// Only on members of this team in it.
    pub team_id: Option<TeamId>,
    /// Only those that count this.
    pub metric: Option<Metric>,
}

impl LimitFilter {
    /// The filter as a condition. What is not there, or not in reach, is not found.
    async fn condition(&self, ctx: &Ctx) -> Result<Condition> {
        if let Some(team) = self.team_id {
            ctx.repository::<team::Entity>().find(team).await?;
        }
        let mut condition = Condition::all()
            .add_option(self.subject_kind.map(|kind| Column::SubjectKind.eq(kind)))
            .add_option(self.team_id.map(|team| Column::TeamId.eq(team)))
            .add_option(self.metric.map(|metric| Column::Metric.eq(metric)));
        if let Some(subject) = self.subject_id {
            known(ctx, subject).await?;
            condition = condition.add(of(subject));
        }
        Ok(condition)
    }
}

fn of(subject: SubjectId) -> SimpleExpr {
    let kinds = subject.kinds().iter().copied();
    Column::SubjectKind.is_in(kinds).and(Column::SubjectId.eq(subject.uuid()))
}

/// Whether a caller can know of a subject: it is in reach, or a limit on it is.
async fn known(ctx: &Ctx, subject: SubjectId) -> Result<()> {
    let found = match subject {
        SubjectId::Organization(id) if id == ctx.scope.organization => Ok(()),
        SubjectId::Organization(_) => Err(Error::NotFound("organization")),
        SubjectId::Team(id) => ctx.repository::<team::Entity>().find(id).await.map(drop),
        SubjectId::User(id) => ctx.repository::<membership::Entity>().find(id).await.map(drop),
        SubjectId::ServiceAccount(id) => ctx.repository::<service_account::Entity>().find(id).await.map(drop),
        SubjectId::Key(id) => {
            ctx.repository::<virtual_key::Entity>().with_archived().find(id).await.map(drop)
        }
        SubjectId::Connection(id) => ctx.repository::<provider_connection::Entity>().find(id).await.map(drop),
    };
    match found {
        Err(Error::NotFound(_)) if ctx.repository::<Entity>().first(of(subject)).await?.is_some() => Ok(()),
        found => found,
    }
}

/// One page of the limits within reach.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: LimitFilter) -> Result<Page<Limit>> {
    let condition = filter.condition(ctx).await?;
    Ok(ctx.repository::<Entity>().rows(page, condition).await?.map(Limit::from))
}

/// One limit.
pub async fn get(ctx: &Ctx, id: LimitId) -> Result<Limit> {
    Ok(ctx.repository::<Entity>().find(id).await?.into())
}

/// What a limit has counted in one of its windows. What counts is used − adjusted + held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitWindow {
    /// Its first moment; of a limit that counts for ever, 1970.
    pub window_start: DateTime<Utc>,
    /// When it is over and the limit begins anew; null = never.
    #[schema(required)]
    pub resets_at: Option<DateTime<Utc>>,
    /// By calls whose use is known.
    #[schema(example = "123.450000000")]
    pub used: String,
    /// The worst case of calls whose use is not known yet.
    #[schema(example = "0.250000000")]
    pub held: String,
    /// What a reset has forgiven of what was used.
    #[schema(example = "0.000000000")]
    pub adjusted: String,
    /// What is left of the limit's amount as it is now; below zero if more than that was used.
    #[schema(example = "376.300000000")]
    pub remaining: String,
    /// Calls that a shadow limit would have denied.
    #[schema(example = 0)]
    pub would_deny: i64,
}
crate::page!(LimitWindowPage, LimitWindow);

impl LimitWindow {
    /// What is shown of a window of a limit.
    pub(super) fn of(limit: &limit::Model, row: &limit_window::Model) -> Self {
        let text = |amount: i64| amount_text(limit.metric, amount);
        let counted = i128::from(row.used) - i128::from(row.adjusted) + i128::from(row.held);
        let remaining = (i128::from(limit.amount) - counted).clamp(i64::MIN.into(), i64::MAX.into());
        Self {
            window_start: row.window_start,
            resets_at: window::end(limit.period, row.window_start),
            used: text(row.used),
            held: text(row.held),
            adjusted: text(row.adjusted),
            remaining: text(i64::try_from(remaining).unwrap_or_default()),
            would_deny: row.would_deny,
        }
    }
}

/// The windows of a limit that have a row: those in which something was counted, for the subject itself.
pub(super) fn windows_of(limit: &limit::Model) -> SimpleExpr {
    let subject = limit_window::Column::SubjectId.eq(limit.subject_id);
    limit_window::Column::LimitId.eq(limit.id).and(subject)
}

/// One page of the windows of a limit in which something was counted.
pub async fn list_windows(ctx: &Ctx, id: LimitId, page: &PageRequest) -> Result<Page<LimitWindow>> {
    let limit = ctx.repository::<Entity>().find(id).await?;
    let windows = ctx.repository::<limit_window::Entity>().narrow(windows_of(&limit));
    let found = windows.in_time(page, limit_window::Column::WindowStart, |row| row.window_start).await?;
    Ok(found.map(|row| LimitWindow::of(&limit, &row)))
}

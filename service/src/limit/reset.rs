//! Resetting a limit: what its current window has used is forgiven. `used` and `held` stay as they are, so that what calls
//! have used can still be checked against the events.

use super::{LimitWindow, edit::changeable, read::windows_of, window::start};
use crate::{Ctx, Error, Result, Unit, clock::decision_time, head};
use chrono::{DateTime, Utc};
use entity::{
    id::LimitId,
    limit,
    limit_window::{ActiveModel, Column, Entity, Model},
    status::{Metric, Period},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, ExprTrait};

/// Forgives what the current window of a limit has used.
pub async fn reset(ctx: &Ctx, id: LimitId) -> Result<LimitWindow> {
    let mut unit = ctx.begin().await?;
    let limit = changeable(&unit, id).await?;
    if limit.period == Period::Request || limit.metric == Metric::Concurrency {
        let message = "it counts nothing that could be forgiven";
        return Err(Error::InvalidState("nothing_to_reset", message.into()));
    }
    // Decisions write windows under this lock, by the time of their organization. A window that is read after it stays as it
    // was read.
    unit.take_turn(ctx.scope.organization).await;
    let head = head::lock(&unit.tx, ctx.scope.organization).await?;
    let begin = start(limit.period, decision_time(unit.now, head.last_t));
    let row = forgive(&mut unit, &limit, begin).await?;
    unit.commit(LimitWindow::of(&limit, &row)).await
}

async fn forgive(unit: &mut Unit<'_>, limit: &limit::Model, begin: DateTime<Utc>) -> Result<Model> {
    let current = windows_of(limit).and(Column::WindowStart.eq(begin));
    let Some(row) = unit.read::<Entity>().first(current.clone()).await? else {
        // A window without a row has counted nothing.
        return Ok(Model {
            limit_id: limit.id,
            subject_id: limit.subject_id,
            window_start: begin,
            organization_id: limit.organization_id,
            used: 0,
            held: 0,
            adjusted: 0,
            would_deny: 0,
        });
    };
    let changes = ActiveModel { adjusted: Set(row.used), ..Default::default() };
    unit.repository::<Entity>().narrow(current).amend("reset", limit.id, changes).await
}

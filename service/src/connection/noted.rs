//! What a check leaves behind in the runtime row of a connection. A failure is counted in one statement, so that none of two
//! that happen at once is lost; none of them disables anything.

use super::{CheckCode, search::Finding};
use crate::{Result, Unit, upstream::provider::dialect};
use entity::{
    connection_state::{ActiveModel, Column, Entity},
    id::ConnectionId,
    status::Health,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter,
    sea_query::{Expr, SimpleExpr},
};

/// Characters of what went wrong.
const REASON: usize = 1024;

/// Notes what was found of a connection, which is held.
pub(super) async fn finding(unit: &Unit<'_>, id: ConnectionId, finding: &Finding) -> Result<()> {
    let Some(won) = &finding.won else {
        return failure(unit, id, (finding.code, &finding.reason)).await;
    };
    let changes = ActiveModel {
        health: Set(Health::Healthy),
        consecutive_failures: Set(0),
        error_code: Set(None),
        error: Set(None),
        error_at: Set(None),
        success_at: Set(Some(unit.now)),
        latency_ms: Set(Some(i64::try_from(won.latency_ms).unwrap_or(i64::MAX))),
        detected_endpoint: Set(finding.detected_endpoint.clone()),
        detected_format: Set(Some(won.protocol)),
        capabilities: Set(Some(dialect(won.protocol).capabilities())),
        detected_at: Set(Some(unit.now)),
        ..Default::default()
    };
    write(unit, id, changes, None).await
}

/// Notes that a connection, which is held, failed.
pub(super) async fn failure(
    unit: &Unit<'_>,
    id: ConnectionId,
    (code, reason): (CheckCode, &str),
) -> Result<()> {
    let changes = ActiveModel {
        health: Set(code.health()),
        error_code: Set(Some(code.word().to_owned())),
        error: Set(Some(reason.chars().take(REASON).collect())),
        error_at: Set(Some(unit.now)),
        ..Default::default()
    };
    let one_more = Expr::col(Column::ConsecutiveFailures).add(1);
    write(unit, id, changes, Some((Column::ConsecutiveFailures, one_more))).await
}

/// Notes that the models of a connection were read.
pub(super) async fn models(unit: &Unit<'_>, id: ConnectionId) -> Result<()> {
    let changes = ActiveModel { models_at: Set(Some(unit.now)), ..Default::default() };
    write(unit, id, changes, None).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "a runtime row is no edit, and its connection was found in scope"
)]
async fn write(
    unit: &Unit<'_>,
    id: ConnectionId,
    changes: ActiveModel,
    counted: Option<(Column, SimpleExpr)>,
) -> Result<()> {
    let mut update = Entity::update_many().set(changes);
    if let Some((column, value)) = counted {
        update = update.col_expr(column, value);
    }
    let update = update.filter(Column::OrganizationId.eq(unit.ctx.scope.organization));
    update.filter(Column::ConnectionId.eq(id)).exec(&unit.tx).await?;
    Ok(())
}

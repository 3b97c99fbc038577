//! The terms of prices: from when until when each is in force. Of the prices of one key, the one that began last is in
//! force. An open-ended one gives way to a later one; one with an end holds its whole term.

use crate::{Error, Result, Unit, head};
use chrono::{DateTime, Utc};
use entity::price::{Column, Entity, Model};
use sea_orm::{ColumnTrait, Condition, ExprTrait, sea_query::Expr};

/// Keeps everybody else from changing the prices of the scope until the unit ends. The time from then on: what is in
/// force by it stays so, and a term that is free stays free.
pub(super) async fn lock(unit: &Unit<'_>) -> Result<DateTime<Utc>> {
    unit.take_turn(unit.ctx.scope.organization).await;
    head::lock(&unit.tx, unit.ctx.scope.organization).await?;
    unit.ctx.system.clock.now(&unit.tx).await
}

/// Refuses a price that begins within the term of another one of its key, or within whose term another one begins that
/// is in force at some moment from `since` on. To be asked under the lock, of a row that is written already.
pub(super) async fn check(unit: &Unit<'_>, row: &Model, since: DateTime<Utc>) -> Result<()> {
    let begin = row.effective_from;
    let around = Condition::all().add(Column::EffectiveFrom.lt(begin)).add(Column::EffectiveUntil.gt(begin));
    let lasts = Column::EffectiveUntil.is_null().or(Column::EffectiveUntil.gt(since));
    let within = row.effective_until.filter(|end| *end > since).map(|end| {
        let begins =
            Condition::all().add(Column::EffectiveFrom.gte(begin)).add(Column::EffectiveFrom.lt(end));
        begins.add(Column::EffectiveFrom.gte(since).or(lasts))
    });
    let others = same_key(row).add(Column::Id.ne(row.id));
    let overlap = Condition::any().add(around).add_option(within);
    let Some(other) = unit.read::<Entity>().first(others.add(overlap)).await? else { return Ok(()) };
    let end = other.effective_until.map_or_else(String::new, |end| format!(" until {}", end.to_rfc3339()));
    let message = format!("{} is in force from {}{end}", other.id, other.effective_from.to_rfc3339());
    Err(Error::InvalidState("overlap", message.into()))
}

/// As the index has it, so that a book of 100,000 prices is not gone through for each.
pub(super) const MODEL: &str = "COALESCE(model, '')";
const PROVIDER: &str = "COALESCE(provider, '')";

fn same_key(row: &Model) -> Condition {
    let connection = row.connection_id;
    let same = |column, value: &Option<String>| Expr::cust(column).eq(value.as_deref().unwrap_or_default());
    Condition::all()
        .add(connection.map_or_else(|| Column::ConnectionId.is_null(), |id| Column::ConnectionId.eq(id)))
        .add(same(MODEL, &row.model))
        .add(same(PROVIDER, &row.provider))
}

//! What is known of the feed: one row of the installation, which also says whose turn it is.

use crate::{Ctx, Result, clock::to_the_microsecond};
use chrono::TimeDelta;
use entity::price_feed::{ActiveModel, Column, Entity, Model};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, sea_query::OnConflict};

/// The id of the only row.
const ONLY: i32 = 1;
/// Characters of a fault that are kept.
const FAULT: usize = 1024;

/// What is known of the feed at this address.
#[expect(clippy::disallowed_methods, reason = "the installation's own row, which has no tenant")]
pub(super) async fn read(ctx: &Ctx, source: &[u8]) -> Result<Option<Model>> {
    let row = Entity::find_by_id(ONLY).filter(Column::Source.eq(source)).one(&ctx.system.db.reader).await?;
    Ok(row)
}

/// Takes the turn, if it is time for one or the operator wants it: no other instance asks before the next. What was known
/// of another address is forgotten.
#[expect(clippy::disallowed_methods, reason = "the installation's own row, which has no tenant")]
pub(super) async fn claim(
    ctx: &Ctx,
    source: &[u8],
    interval: TimeDelta,
    now_in_any_case: bool,
) -> Result<Option<Model>> {
    let db = &ctx.system.db.writer;
    let now = to_the_microsecond(ctx.system.clock.now(db).await?);
    let fresh = ActiveModel {
        id: Set(ONLY),
        source: Set(source.to_vec()),
        etag: Set(None),
        checked_at: Set(None),
        imported_at: Set(None),
        next_at: Set(now),
        fault: Set(None),
    };
    let unless_there = OnConflict::column(Column::Id).do_nothing().to_owned();
    Entity::insert(fresh.clone()).on_conflict(unless_there).exec_without_returning(db).await?;
    let of_another = Entity::update_many().set(ActiveModel { id: sea_orm::NotSet, ..fresh });
    of_another.filter(Column::Source.ne(source)).exec(db).await?;
    // No turn is further away than an interval, unless it was taken by a clock that was ahead.
    let time = Condition::any().add(Column::NextAt.lte(now)).add(Column::NextAt.gt(now + interval));
    let time = if now_in_any_case { Condition::all() } else { time };
    let turn = ActiveModel { next_at: Set(now + interval), checked_at: Set(Some(now)), ..Default::default() };
    let mine = Entity::update_many().set(turn).filter(Column::Id.eq(ONLY)).filter(time);
    Ok(mine.exec_with_returning(db).await?.into_iter().next())
}

/// What came of a turn.
pub(super) enum Outcome {
    /// The list of the last time.
    Same,
    /// A list that was imported, and its tag.
    Imported(Option<String>),
    /// Nothing that could be imported, and why.
    Failed(String),
}

/// Notes what came of a turn.
#[expect(clippy::disallowed_methods, reason = "the installation's own row, which has no tenant")]
pub(super) async fn note(ctx: &Ctx, known: Model, outcome: Outcome) -> Result<()> {
    let mut noted = ActiveModel { fault: Set(None), ..Default::default() };
    match outcome {
        Outcome::Same => {}
        Outcome::Imported(etag) => (noted.etag, noted.imported_at) = (Set(etag), Set(known.checked_at)),
        Outcome::Failed(fault) => {
            tracing::warn!(fault, "the price feed could not be read; the last good prices stay");
            noted.fault = Set(Some(fault.chars().filter(|c| !c.is_control()).take(FAULT).collect()));
        }
    }
    let update = Entity::update_many().set(noted).filter(Column::Source.eq(known.source));
    update.exec(&ctx.system.db.writer).await?;
    Ok(())
}

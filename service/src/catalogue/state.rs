//! Which catalogue the database has: one row, and the lock that whoever applies one takes first.

use super::Catalogue;
use crate::{Error, Result, Unit};
use entity::catalogue_state::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{LockType, OnConflict},
};

/// The id of the only row.
const ONLY: i32 = 1;

/// What was applied last; none if nothing ever was.
#[expect(clippy::disallowed_methods, reason = "the installation's own row, which has no tenant")]
pub(super) async fn read<C: ConnectionTrait>(db: &C) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(ONLY).one(db).await?)
}

/// The same, locked until the unit ends: of two instances that start at once, one finds what the other has done. What was
/// never applied has version 0.
#[expect(clippy::disallowed_methods, reason = "the installation's own row, which has no tenant")]
pub(super) async fn lock(unit: &Unit<'_>) -> Result<Model> {
    let none =
        ActiveModel { id: Set(ONLY), version: Set(0), digest: Set(Vec::new()), applied_at: Set(unit.now) };
    let unless_there = OnConflict::column(Column::Id).do_nothing().to_owned();
    Entity::insert(none).on_conflict(unless_there).exec_without_returning(&unit.tx).await?;
    let row = Entity::find_by_id(ONLY).lock(LockType::NoKeyUpdate).one(&unit.tx).await?;
    row.ok_or_else(|| Error::internal("the state of the catalogue is gone"))
}

/// Notes that the unit has applied a catalogue.
#[expect(clippy::disallowed_methods, reason = "the installation's own row, which has no tenant")]
pub(super) async fn save(unit: &Unit<'_>, catalogue: &Catalogue) -> Result<()> {
    let applied = ActiveModel {
        version: Set(catalogue.version),
        digest: Set(catalogue.digest.clone()),
        applied_at: Set(unit.now),
        ..Default::default()
    };
    Entity::update_many().set(applied).filter(Column::Id.eq(ONLY)).exec(&unit.tx).await?;
    Ok(())
}

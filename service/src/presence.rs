//! Which instances serve from a database that several share: each says so every few seconds. On SQLite the lock file of its one
//! process says it.

use crate::{Result, System};
use chrono::{DateTime, TimeDelta, Utc};
use entity::instance::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter,
    QueryOrder, sea_query::OnConflict,
};
use std::time::Duration;
use uuid::Uuid;

/// How often an instance says that it serves.
pub const BEAT: Duration = Duration::from_secs(5);
/// How long an instance that says nothing counts as serving: it may be stopped, or cut off, and come back.
const ABSENT: TimeDelta = TimeDelta::seconds(30);
/// How far ahead of the clock a sign of life may be; one further ahead was written while the clock was wrong.
const AHEAD: TimeDelta = TimeDelta::minutes(1);
/// How long the last sign of an instance is kept.
const KEPT: TimeDelta = TimeDelta::hours(1);

/// One run of the program.
#[derive(Debug, Clone)]
pub struct Presence {
    id: Uuid,
    started_at: DateTime<Utc>,
    version: &'static str,
}

impl Presence {
    /// Says for the first time that this run serves.
    pub async fn join(system: &System, version: &'static str) -> Result<Self> {
        let started_at = system.clock.now(&system.db.writer).await?;
        let presence = Self { id: system.entropy.id::<()>(started_at).uuid(), started_at, version };
        presence.beat(system).await?;
        Ok(presence)
    }

    /// Says it again, and forgets instances that are long gone.
    #[expect(clippy::disallowed_methods, reason = "the installation's own rows, which have no tenant")]
    pub async fn beat(&self, system: &System) -> Result<()> {
        if system.db.backend() != DatabaseBackend::Postgres {
            return Ok(());
        }
        let now = system.clock.now(&system.db.writer).await?;
        let row = ActiveModel {
            id: Set(self.id),
            started_at: Set(self.started_at),
            seen_at: Set(now),
            version: Set(self.version.to_owned()),
        };
        let again = OnConflict::column(Column::Id).update_column(Column::SeenAt).to_owned();
        Entity::insert(row).on_conflict(again).exec_without_returning(&system.db.writer).await?;
        let stale = Condition::any().add(Column::SeenAt.lt(now - KEPT)).add(Column::SeenAt.gt(now + KEPT));
        Entity::delete_many().filter(stale).exec(&system.db.writer).await?;
        Ok(())
    }

    /// Says that it does not any more.
    #[expect(clippy::disallowed_methods, reason = "the installation's own rows, which have no tenant")]
    pub async fn leave(&self, system: &System) -> Result<()> {
        if system.db.backend() == DatabaseBackend::Postgres {
            Entity::delete_by_id(self.id).exec(&system.db.writer).await?;
        }
        Ok(())
    }
}

/// The instances that serve, by what they last said, the oldest first.
#[expect(clippy::disallowed_methods, reason = "the installation's own rows, which have no tenant")]
pub async fn serving<C: ConnectionTrait>(db: &C, now: DateTime<Utc>) -> Result<Vec<Model>> {
    let seen = Condition::all().add(Column::SeenAt.gt(now - ABSENT)).add(Column::SeenAt.lt(now + AHEAD));
    Ok(Entity::find().filter(seen).order_by_asc(Column::StartedAt).all(db).await?)
}

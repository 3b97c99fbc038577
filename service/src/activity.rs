//! When secrets and tokens were last used: noted in memory, written in bulk, throttled, off every versioned row.

use crate::{Result, System, clock::watch::JUMP};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{credential_activity as activity, id::KeyId, key_secret};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use uuid::Uuid;

/// A use is written at most this often for each secret.
const THROTTLE: TimeDelta = TimeDelta::seconds(60);
/// Rows of one statement (a statement over 16 KiB is slow over TLS).
const CHUNK: usize = 80;

/// Uses that are not written yet, and when each recently used secret was last written.
#[derive(Debug)]
pub struct Activity {
    pending: Mutex<HashMap<Uuid, DateTime<Utc>>>,
    written: moka::sync::Cache<Uuid, DateTime<Utc>>,
}

impl Default for Activity {
    fn default() -> Self {
        let written =
            moka::sync::Cache::builder().max_capacity(100_000).time_to_live(Duration::from_mins(2)).build();
        Self { pending: Mutex::default(), written }
    }
}

impl Activity {
    /// A secret or token was let through.
    pub fn note(&self, id: Uuid, at: DateTime<Utc>) {
        if self.written.get(&id).is_some_and(|last| (at - last).abs() < THROTTLE) {
            return;
        }
        self.written.insert(id, at);
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id, at);
    }
}

/// Writes what is pending. What cannot be written now is kept for the next time.
#[expect(clippy::disallowed_methods, reason = "bulk by id of rows that a decision found in scope")]
pub async fn flush(system: &System) -> Result<()> {
    let pending =
        std::mem::take(&mut *system.activity.pending.lock().unwrap_or_else(PoisonError::into_inner));
    let mut rows: Vec<(Uuid, DateTime<Utc>)> = pending.into_iter().collect();
    rows.sort_unstable();
    // A use that has yet to come was noted by a clock that was ahead, and gives way.
    let noted = || Expr::col((activity::Entity, activity::Column::LastUsedAt));
    let earlier = noted().lt(Expr::col(("excluded", activity::Column::LastUsedAt)));
    let later = OnConflict::column(activity::Column::Id)
        .update_column(activity::Column::LastUsedAt)
        .action_and_where(earlier.or(noted().gt(system.time() + JUMP)))
        .to_owned();
    for (n, chunk) in rows.chunks(CHUNK).enumerate() {
        let models =
            chunk.iter().map(|(id, at)| activity::ActiveModel { id: Set(*id), last_used_at: Set(*at) });
        let insert = activity::Entity::insert_many(models).on_conflict(later.clone());
        if let Err(error) = insert.exec_without_returning(&system.db.writer).await {
            let mut pending = system.activity.pending.lock().unwrap_or_else(PoisonError::into_inner);
            for (id, at) in &rows[n * CHUNK..] {
                pending.entry(*id).or_insert(*at);
            }
            return Err(error.into());
        }
    }
    Ok(())
}

/// When each of these was last used.
#[expect(clippy::disallowed_methods, reason = "by ids of rows that were found in scope")]
pub(crate) async fn last_used<C: ConnectionTrait>(
    db: &C,
    ids: Vec<Uuid>,
) -> Result<HashMap<Uuid, DateTime<Utc>>> {
    let select = activity::Entity::find().filter(activity::Column::Id.is_in(ids));
    let rows = select.all(db).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.last_used_at)).collect())
}

/// When each of these keys was last used, with whichever of its secrets.
#[expect(clippy::disallowed_methods, reason = "by ids of rows that were found in scope")]
pub(crate) async fn keys_last_used<C: ConnectionTrait>(
    db: &C,
    keys: impl IntoIterator<Item = KeyId>,
) -> Result<HashMap<KeyId, DateTime<Utc>>> {
    let secret = activity::Entity::belongs_to(key_secret::Entity)
        .from(activity::Column::Id)
        .to(key_secret::Column::Id)
        .into();
    let rows: Vec<(KeyId, DateTime<Utc>)> = activity::Entity::find()
        .select_only()
        .column(key_secret::Column::KeyId)
        .column_as(activity::Column::LastUsedAt.max(), "last_used_at")
        .join(JoinType::InnerJoin, secret)
        .filter(key_secret::Column::KeyId.is_in(keys))
        .group_by(key_secret::Column::KeyId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().collect())
}

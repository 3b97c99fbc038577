//! Data keys: one active a tenant, made when it is first needed, unwrapped by each instance and kept in memory for a while. Which
//! one is active is read, and held, in the transaction that seals: no instance seals with a key that another has destroyed.

use super::cipher;
use crate::{
    Error, Result, System,
    checks::{self, NAMES},
    db::Db,
    secrets::Key32,
};
use chrono::{DateTime, Utc};
use entity::{
    data_key::{ActiveModel, Column, Entity, Model},
    id::{DataKeyId, OrganizationId},
    secret::Sealed,
    status::DataKeyState,
};
use moka::sync::Cache;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, SqlErr,
    sea_query::{LockType, OnConflict},
};
use std::{fmt, sync::Arc, time::Duration};

/// Data keys that an instance keeps unwrapped.
const KEPT: u64 = 10_000;
/// For how long: one that was destroyed is in no memory after that.
const KEPT_FOR: Duration = Duration::from_mins(10);
/// How often the active key is looked for, while others put new ones in its place.
const LOOKS: usize = 5;

/// The unwrapped data keys of this instance.
#[derive(Clone)]
pub(crate) struct DataKeys(Cache<(OrganizationId, DataKeyId), Arc<Key32>>);

impl Default for DataKeys {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(KEPT).time_to_live(KEPT_FOR).build())
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl DataKeys {
    /// Wipes a key that was destroyed.
    pub(super) fn forget(&self, organization: OrganizationId, id: DataKeyId) {
        self.0.invalidate(&(organization, id));
    }
}

/// Makes the data key of a tenant, if it has none.
pub async fn ensure(system: &System, organization: OrganizationId) -> Result<()> {
    let now = system.clock.now(&system.db.writer).await?;
    active(system, &system.db.writer, organization, now).await.map(drop)
}

/// The key that new secrets of a tenant are sealed with; held until the transaction ends.
pub(super) async fn active<C: ConnectionTrait>(
    system: &System,
    db: &C,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<(DataKeyId, Arc<Key32>)> {
    for _ in 0..LOOKS {
        if let Some(row) = find_active(db, organization).await? {
            return Ok((row.id, unwrapped(system, &row)?));
        }
        // There is none, or it was retired between being found and being held, and another is there by now.
        make(system, db, organization, now).await?;
    }
    Err(Error::internal("the active data key changes all the time"))
}

/// The key that is active at the moment, for values that are sealed before the transaction begins that stores them. Nothing
/// holds it: what is stored may be sealed with a key that has been retired since, or destroyed.
#[expect(clippy::disallowed_methods, reason = "the tenant is put on here")]
pub(super) async fn current(
    system: &System,
    organization: OrganizationId,
) -> Result<(DataKeyId, Arc<Key32>)> {
    let of = Entity::find().filter(Column::OrganizationId.eq(organization));
    if let Some(row) = of.filter(Column::State.eq(DataKeyState::Active)).one(&system.db.reader).await? {
        return Ok((row.id, unwrapped(system, &row)?));
    }
    let now = system.clock.now(&system.db.writer).await?;
    active(system, &system.db.writer, organization, now).await
}

/// How many data keys are wrapped with which version of the encryption key, the oldest first.
#[expect(clippy::disallowed_methods, reason = "the data keys of every tenant, counted")]
pub async fn wrapped(db: &Db) -> Result<Vec<(i32, u64)>> {
    let select = Entity::find()
        .select_only()
        .column(Column::KekVersion)
        .column_as(Column::Id.count(), "n")
        .group_by(Column::KekVersion)
        .order_by_asc(Column::KekVersion);
    let rows: Vec<(i32, i64)> = select.into_tuple().all(&db.reader).await?;
    Ok(rows.into_iter().map(|(version, count)| (version, count.unsigned_abs())).collect())
}

/// A data key of a tenant; none if it was destroyed.
#[expect(clippy::disallowed_methods, reason = "the tenant is put on here, once for all")]
pub(super) async fn by_id<C: ConnectionTrait>(
    system: &System,
    db: &C,
    organization: OrganizationId,
    id: DataKeyId,
) -> Result<Option<Arc<Key32>>> {
    if let Some(key) = system.data_keys.0.get(&(organization, id)) {
        return Ok(Some(key));
    }
    let row = Entity::find_by_id(id).filter(Column::OrganizationId.eq(organization)).one(db).await?;
    row.map(|row| unwrapped(system, &row)).transpose()
}

#[expect(clippy::disallowed_methods, reason = "the tenant is put on here, once for all")]
async fn find_active<C: ConnectionTrait>(db: &C, organization: OrganizationId) -> Result<Option<Model>> {
    let select = Entity::find()
        .filter(Column::OrganizationId.eq(organization))
        .filter(Column::State.eq(DataKeyState::Active))
        .lock(LockType::KeyShare);
    Ok(select.one(db).await?)
}

/// Makes a data key that is active if the tenant has none: of two that are made at once, one stays. Answers its id.
#[expect(clippy::disallowed_methods, reason = "the tenant is put on here, once for all")]
pub(super) async fn make<C: ConnectionTrait>(
    system: &System,
    db: &C,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<DataKeyId> {
    let id: DataKeyId = system.entropy.id(now);
    let key = Key32::new(system.entropy.bytes());
    let (version, wrapped) = wrap(system, organization, id, &key)?;
    let row = ActiveModel {
        id: Set(id),
        organization_id: Set(organization),
        state: Set(DataKeyState::Active),
        kek_name: Set(NAMES[0].to_owned()),
        kek_version: Set(version),
        wrapped: Set(wrapped),
        created_at: Set(now),
        wrapped_at: Set(now),
    };
    let unless_there = OnConflict::new().do_nothing().to_owned();
    let inserted = Entity::insert(row).on_conflict(unless_there).exec_without_returning(db).await;
    inserted.map_err(|error| match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => checks::retired(version),
        _ => error.into(),
    })?;
    Ok(id)
}

/// Wraps a data key with the active encryption key.
pub(super) fn wrap(
    system: &System,
    organization: OrganizationId,
    id: DataKeyId,
    key: &Key32,
) -> Result<(i32, Sealed)> {
    let (version, kek) = system.secrets.encryption.active();
    let place = place(organization, id, version);
    Ok((version, cipher::seal(kek, system.entropy.bytes(), &place, key.expose())?))
}

/// Unwraps a data key.
pub(super) fn unwrap(system: &System, row: &Model) -> Result<Key32> {
    let version = row.kek_version;
    let missing = || {
        let message = format!("version {version} of encryption_key is not configured on this instance");
        Error::InvalidState("encryption_key_missing", message.into())
    };
    let kek = system.secrets.encryption.get(version).ok_or_else(missing)?;
    let plain = cipher::open(kek, &place(row.organization_id, row.id, version), &row.wrapped);
    let broken = || Error::internal(format!("the data key {} does not open", row.id));
    plain.and_then(|plain| Key32::from_slice(&plain)).ok_or_else(broken)
}

fn place(organization: OrganizationId, id: DataKeyId, version: i32) -> Vec<u8> {
    let parts: [&[u8]; 5] =
        [b"v1", organization.0.as_bytes(), b"data_key", id.0.as_bytes(), &version.to_be_bytes()];
    cipher::framed(&parts)
}

fn unwrapped(system: &System, row: &Model) -> Result<Arc<Key32>> {
    let known = (row.organization_id, row.id);
    if let Some(key) = system.data_keys.0.get(&known) {
        return Ok(key);
    }
    let key = Arc::new(unwrap(system, row)?);
    system.data_keys.0.insert(known, key.clone());
    Ok(key)
}

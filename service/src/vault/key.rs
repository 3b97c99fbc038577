//! Data keys: one active a tenant, made when it is first needed, unwrapped once an instance and kept in memory. Which one is
//! active is read, and held, in the transaction that seals: no instance seals with a key that another has destroyed.

use super::{broken, cipher};
use crate::{Error, Result, System, checks::NAMES, secrets::Key32};
use chrono::{DateTime, Utc};
use entity::{
    data_key::{ActiveModel, Column, Entity, Model},
    id::{DataKeyId, OrganizationId},
    status::DataKeyState,
};
use moka::sync::Cache;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{LockType, OnConflict},
};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// Data keys that an instance keeps unwrapped.
const KEPT: u64 = 10_000;

/// The unwrapped data keys of this instance.
#[derive(Clone)]
pub(crate) struct DataKeys(Cache<(OrganizationId, DataKeyId), Arc<Key32>>);

impl Default for DataKeys {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Makes the data key of a tenant, if it has none.
pub async fn ensure(system: &System, organization: OrganizationId) -> Result<()> {
    let now = system.clock.now(&system.db.writer).await?;
    make(system, &system.db.writer, organization, now).await
}

/// The key that new secrets of a tenant are sealed with; held until the transaction ends.
pub(super) async fn active<C: ConnectionTrait>(
    system: &System,
    db: &C,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<(DataKeyId, Arc<Key32>)> {
    let row = match find_active(db, organization).await? {
        Some(row) => row,
        None => {
            make(system, db, organization, now).await?;
            find_active(db, organization).await?.ok_or_else(broken)?
        }
    };
    Ok((row.id, unwrapped(system, &row)?))
}

/// A data key of a tenant.
#[expect(clippy::disallowed_methods, reason = "the tenant is put on here, once for all")]
pub(super) async fn by_id<C: ConnectionTrait>(
    system: &System,
    db: &C,
    organization: OrganizationId,
    id: DataKeyId,
) -> Result<Arc<Key32>> {
    if let Some(key) = system.data_keys.0.get(&(organization, id)) {
        return Ok(key);
    }
    let row = Entity::find_by_id(id).filter(Column::OrganizationId.eq(organization)).one(db).await?;
    unwrapped(system, &row.ok_or_else(broken)?)
}

#[expect(clippy::disallowed_methods, reason = "the tenant is put on here, once for all")]
async fn find_active<C: ConnectionTrait>(db: &C, organization: OrganizationId) -> Result<Option<Model>> {
    let select = Entity::find()
        .filter(Column::OrganizationId.eq(organization))
        .filter(Column::State.eq(DataKeyState::Active))
        .lock(LockType::KeyShare);
    Ok(select.one(db).await?)
}

/// Of two that are made at once, one stays.
#[expect(clippy::disallowed_methods, reason = "the tenant is put on here, once for all")]
async fn make<C: ConnectionTrait>(
    system: &System,
    db: &C,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<()> {
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
    Entity::insert(row).on_conflict(unless_there).exec_without_returning(db).await?;
    Ok(())
}

/// Wraps a data key with the active encryption key.
pub(super) fn wrap(
    system: &System,
    organization: OrganizationId,
    id: DataKeyId,
    key: &Key32,
) -> Result<(i32, entity::secret::Sealed)> {
    let (version, kek) = system.secrets.encryption.active();
    let place = place(organization, id, version);
    Ok((version, cipher::seal(kek, system.entropy.bytes(), &place, key.expose())?))
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
    let missing = || {
        let message = format!("version {} of the encryption key is not configured", row.kek_version);
        Error::internal(message)
    };
    let kek = system.secrets.encryption.get(row.kek_version).ok_or_else(missing)?;
    let plain: Zeroizing<Vec<u8>> =
        cipher::open(kek, &place(row.organization_id, row.id, row.kek_version), &row.wrapped)?;
    let key = Arc::new(Key32::new(plain.as_slice().try_into().map_err(|_| broken())?));
    system.data_keys.0.insert(known, key.clone());
    Ok(key)
}

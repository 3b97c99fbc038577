//! The vault: what must be read back is sealed here, with XChaCha20-Poly1305 and a data key of its organization, bound to its
//! place by the associated data. Data keys are wrapped with an encryption key of the configuration ([`key`]). A sealed value
//! that was moved to another organization, table, row or column does not open. Both kinds of keys are changed by [`rotate`].

mod cipher;
mod digest;
mod key;
mod places;
mod plain;
pub mod rotate;
#[cfg(test)]
mod tests;

use self::places::SealedColumn;
pub use digest::{digest, digests, display};
pub(crate) use key::DataKeys;
pub use key::{ensure, wrapped};
pub use plain::Plain;

use crate::{Ctx, Error, Result, System, Unit, audit::hex};
use chrono::{DateTime, Utc};
use entity::{
    id::{DataKeyId, OrganizationId},
    secret::Sealed,
};
use sea_orm::ConnectionTrait;
use std::fmt;

/// Where a sealed value is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The tenant.
    pub organization: OrganizationId,
    /// The table.
    pub table: &'static str,
    /// The row, by the bytes of its id.
    pub row: &'p [u8],
    /// The column.
    pub column: &'static str,
}

impl Place<'_> {
    /// `v1|organization|table|row|column|data key`, each part led by its length, so that no two places read the same.
    fn bound_to(&self, key: DataKeyId) -> Vec<u8> {
        let parts: [&[u8]; 6] = [
            b"v1",
            self.organization.0.as_bytes(),
            self.table.as_bytes(),
            self.row,
            self.column.as_bytes(),
            key.0.as_bytes(),
        ];
        cipher::framed(&parts)
    }
}

/// `table.column of row`, for reports.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of {}", self.table, self.column, hex(self.row))
    }
}

/// Seals a value with the data key of its organization; the row names the key beside it.
pub async fn seal(unit: &Unit<'_>, place: Place<'_>, plain: &[u8]) -> Result<(DataKeyId, Sealed)> {
    seal_in(&unit.ctx.system, &unit.tx, unit.now, place, plain).await
}

/// The same within a transaction that is no unit.
pub(crate) async fn seal_in<C: ConnectionTrait>(
    system: &System,
    tx: &C,
    now: DateTime<Utc>,
    place: Place<'_>,
    plain: &[u8],
) -> Result<(DataKeyId, Sealed)> {
    known(&place)?;
    let (id, key) = key::active(system, tx, place.organization, now).await?;
    let nonce = system.entropy.bytes::<24>();
    Ok((id, cipher::seal(&key, nonce, &place.bound_to(id), plain)?))
}

/// The same before any transaction, of a value that may be lost: a rotation that retires the key and destroys it before the
/// value is stored does not know of it.
pub(crate) async fn seal_ahead(
    system: &System,
    place: Place<'_>,
    plain: &[u8],
) -> Result<(DataKeyId, Sealed)> {
    known(&place)?;
    let (id, key) = key::current(system, place.organization).await?;
    Ok((id, cipher::seal(&key, system.entropy.bytes(), &place.bound_to(id), plain)?))
}

/// Nothing is sealed for a place that a rotation would not find.
fn known(place: &Place<'_>) -> Result<()> {
    if SealedColumn::of(place).is_some() {
        return Ok(());
    }
    Err(Error::internal(format!("{}.{} is no place of sealed values", place.table, place.column)))
}

/// Opens what was sealed for this place with that data key.
pub async fn open(ctx: &Ctx, place: Place<'_>, key: DataKeyId, sealed: &Sealed) -> Result<Plain> {
    let plain = open_if_good(ctx, place, key, sealed).await?;
    plain.ok_or_else(|| Error::internal(format!("{place} does not open with the data key {key}")))
}

/// The same for what may be lost: nothing if it does not open, now or ever.
pub(crate) async fn open_if_good(
    ctx: &Ctx,
    place: Place<'_>,
    key: DataKeyId,
    sealed: &Sealed,
) -> Result<Option<Plain>> {
    let (system, db) = (&ctx.system, &ctx.system.db.reader);
    if let Some(secret) = key::by_id(system, db, place.organization, key).await? {
        return Ok(cipher::open(&secret, &place.bound_to(key), sealed).map(Plain::new));
    }
    // A rotation has sealed the value anew, and destroyed the key, since the caller read the row.
    let Some(column) = SealedColumn::of(&place) else { return Ok(None) };
    let Some(row) = column.read(db, place.row).await? else { return Ok(None) };
    let secret = key::by_id(system, db, place.organization, row.key).await?;
    let plain = secret.and_then(|secret| cipher::open(&secret, &place.bound_to(row.key), &row.sealed));
    Ok(plain.map(Plain::new))
}

//! Rotation: a key gets a new secret and keeps everything else. The secret before it lives on for a grace at most; one
//! that was in its grace already ends at once, so that no more than two live.

use super::{IssuedKey, create::expiry, not_revoked, owner::Owner, secret, view};
use crate::{Ctx, Error, Result, Unit, validate::Faults};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::KeyId,
    key_secret,
    virtual_key::{Entity, Model},
};
use serde::Deserialize;
use utoipa::ToSchema;

/// The longest grace, in seconds: thirty days.
const GRACE: i64 = 2_592_000;

/// How to rotate a key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// How long the secret before goes on working.
    #[schema(minimum = 0, maximum = 2_592_000, default = 0, example = 3600)]
    pub grace_seconds: i64,
    /// A new end of the key's life; absent or null = as it was.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Rotation {
    fn check(&self, now: DateTime<Utc>) -> Result<()> {
        let mut faults = Faults::default();
        let wrong = !(0..=GRACE).contains(&self.grace_seconds);
        faults.when(wrong, "/grace_seconds", "out_of_range", "must be between 0 and 2592000 seconds");
        expiry(&mut faults, self.expires_at, now);
        faults.finish()
    }
}

/// Gives a key a new secret, and shows it. A rotation asks for no version and loses to nothing but a revoke.
pub async fn rotate(ctx: &Ctx, id: KeyId, rotation: Rotation) -> Result<IssuedKey> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let mut unit = ctx.begin().await?;
    rotation.check(unit.now)?;
    if rotation.expires_at.is_some() {
        let held = Owner::of(&current)?.hold(&unit).await.map_err(beyond_the_holder)?;
        held.allows(rotation.expires_at, unit.now)?;
    }
    let key = unit.read::<Entity>().lock(id).await?;
    not_revoked(&key)?;
    if rotation.expires_at.is_some() {
        same_owner(&current, &key)?;
    }
    retire(&mut unit, id, TimeDelta::seconds(rotation.grace_seconds)).await?;
    let token = secret::add(&mut unit, id).await?;
    unit.forget_replies(id.uuid()).await?;
    secret::renew(&mut unit, "rotate", &key, rotation.expires_at.or(key.expires_at)).await?;
    let issued = view::issued(&unit, id, &token).await?;
    unit.commit_secret(issued, &token).await
}

/// A team that is not in reach though its key is: whom the key was issued to asks.
fn beyond_the_holder(error: Error) -> Error {
    let message = "only who administers the team gives its key another end";
    if matches!(error, Error::NotFound("team")) { Error::Forbidden(message.into()) } else { error }
}

/// The owner that allowed the new end is still the owner.
fn same_owner(before: &Model, now: &Model) -> Result<()> {
    if Owner::of(before)? == Owner::of(now)? {
        return Ok(());
    }
    Err(Error::VersionConflict { current: now.version, stated: false })
}

async fn retire(unit: &mut Unit<'_>, key: KeyId, grace: TimeDelta) -> Result<()> {
    let secrets = unit.read::<key_secret::Entity>().narrow(secret::of(key));
    for old in secrets.views::<view::KeySecret>(secret::live(unit.now)).await? {
        let end = if old.expires_at.is_none() { unit.now + grace } else { unit.now };
        secret::end(unit, old.id, end).await?;
    }
    Ok(())
}

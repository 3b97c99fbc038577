//! The life of a key after its making: disabled, enabled, revoked, handed to another owner, deleted. Stopping a key is an
//! emergency: it asks for no version and wins every race.

use super::{Key, NewOwner, holder::Holder, not_revoked, view};
use crate::{Ctx, Result, Unit, repository::Expected};
use entity::{
    id::KeyId,
    status::KeyStatus,
    virtual_key::{ActiveModel, Entity, Model},
};
use sea_orm::ActiveValue::Set;

fn status(status: KeyStatus) -> ActiveModel {
    ActiveModel { status: Set(status), ..Default::default() }
}

/// What revokes a key; one that was revoked before keeps its time.
fn revoked(key: &Model, unit: &Unit<'_>) -> ActiveModel {
    let at = key.revoked_at.unwrap_or(unit.now);
    ActiveModel { revoked_at: Set(Some(at)), ..status(KeyStatus::Revoked) }
}

async fn done(mut unit: Unit<'_>, action: &str, id: KeyId, changes: ActiveModel) -> Result<Key> {
    unit.repository::<Entity>().force(action, id, changes).await?;
    let key = view::read(&unit, id).await?;
    unit.commit(key).await
}

/// Refuses a key until it is enabled again.
pub async fn disable(ctx: &Ctx, id: KeyId) -> Result<Key> {
    let unit = ctx.begin().await?;
    not_revoked(&unit.read::<Entity>().lock(id).await?)?;
    done(unit, "disable", id, status(KeyStatus::Disabled)).await
}

/// Lets a disabled key work again.
pub async fn enable(ctx: &Ctx, id: KeyId, version: Option<i64>) -> Result<Key> {
    let unit = ctx.begin().await?;
    let key = unit.read::<Entity>().lock(id).await?;
    Expected::new(version, key.version)?;
    not_revoked(&key)?;
    done(unit, "enable", id, status(KeyStatus::Active)).await
}

/// Refuses a key for ever.
pub async fn revoke(ctx: &Ctx, id: KeyId) -> Result<Key> {
    let unit = ctx.begin().await?;
    let key = unit.read::<Entity>().lock(id).await?;
    not_revoked(&key)?;
    unit.forget_replies(id.uuid()).await?;
    let changes = revoked(&key, &unit);
    done(unit, "revoke", id, changes).await
}

/// Hands a key to another owner, and a team's to another holder. The owner must be active and allow a key that ends then.
pub async fn transfer(ctx: &Ctx, id: KeyId, version: Option<i64>, to: NewOwner) -> Result<Key> {
    let current = ctx.repository::<Entity>().find(id).await?;
    Expected::new(version, current.version)?;
    let unit = ctx.begin().await?;
    Holder::find(&unit, to.issued_to_user_id, to.issued_to_invitation_id).await?;
    let owner = to.one()?;
    to.holder()?;
    let held = owner.hold(&unit).await?;
    let holder = to.hold_holder(&unit).await?;
    let key = unit.read::<Entity>().lock(id).await?;
    Expected::new(version, key.version)?;
    held.allows(key.expires_at, unit.now)?;
    held.at_work()?;
    not_revoked(&key)?;
    let ActiveModel { issued_to_user_id, issued_to_invitation_id, holder_left_at, .. } = holder;
    let changes =
        ActiveModel { issued_to_user_id, issued_to_invitation_id, holder_left_at, ..owner.columns() };
    done(unit, "transfer", id, changes).await
}

/// Revokes a key and archives it: it stays readable, and nothing changes it any more.
pub async fn delete(ctx: &Ctx, id: KeyId, version: Option<i64>) -> Result<()> {
    let mut unit = ctx.begin().await?;
    let key = unit.read::<Entity>().lock(id).await?;
    Expected::new(version, key.version)?;
    unit.forget_replies(id.uuid()).await?;
    let changes = ActiveModel { archived_at: Set(Some(unit.now)), ..revoked(&key, &unit) };
    unit.repository::<Entity>().force("delete", id, changes).await?;
    unit.commit(()).await
}

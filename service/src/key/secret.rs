//! The secrets of a key: the current one, one in the grace of a rotation, and those that have ended and are kept as
//! digests, so that a leaked one can still be told. All changes happen under the lock of the key's row.

use super::view::{self, KeySecret};
use crate::{
    Ctx, Error, Result, Unit,
    page::{Page, PageRequest},
    repository::Expected,
    token::{self, Token, TokenKind},
};
use chrono::{DateTime, Utc};
use entity::{
    id::{KeyId, SecretId},
    key_secret::{ActiveModel, Column, Entity},
    virtual_key,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, sea_query::SimpleExpr};

/// How secrets are digested.
const SCHEME: &str = "hmac-sha256";

pub(super) fn of(key: KeyId) -> SimpleExpr {
    Column::KeyId.eq(key)
}

/// Secrets that have not ended.
pub(super) fn live(now: DateTime<Utc>) -> Condition {
    Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now))
}

/// Gives a key a new current secret.
pub(super) async fn add(unit: &mut Unit<'_>, key: KeyId) -> Result<Token> {
    let minted = token::mint(&unit.ctx.system, TokenKind::VirtualKey, key.uuid());
    let row = ActiveModel {
        id: Set(unit.id()),
        key_id: Set(key),
        scheme: Set(SCHEME.to_owned()),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest),
        last4: Set(minted.last4),
        created_by: Set(unit.ctx.actor.id.clone()),
        created_at: Set(unit.now),
        expires_at: Set(None),
        ..Default::default()
    };
    unit.repository::<Entity>().add(row).await?;
    Ok(minted.token)
}

/// Ends a secret then.
pub(super) async fn end(unit: &mut Unit<'_>, secret: SecretId, at: DateTime<Utc>) -> Result<()> {
    let changes = ActiveModel { expires_at: Set(Some(at)), ..Default::default() };
    unit.repository::<Entity>().amend("end", secret, changes).await?;
    Ok(())
}

/// One page of a key's secrets, those that have ended among them.
pub async fn list_secrets(ctx: &Ctx, key: KeyId, page: &PageRequest) -> Result<Page<KeySecret>> {
    ctx.repository::<virtual_key::Entity>().with_archived().find(key).await?;
    let mut found = ctx.repository::<Entity>().narrow(of(key)).list(page, Condition::all()).await?;
    view::complete_secrets(&ctx.system.db.reader, &mut found.items).await?;
    Ok(found)
}

/// One secret of a key.
pub async fn get_secret(ctx: &Ctx, (key, secret): (KeyId, SecretId)) -> Result<KeySecret> {
    ctx.repository::<virtual_key::Entity>().with_archived().find(key).await?;
    let mut found = [ctx.repository::<Entity>().narrow(of(key)).view::<KeySecret>(secret).await?];
    view::complete_secrets(&ctx.system.db.reader, &mut found).await?;
    let [secret] = found;
    Ok(secret)
}

/// Ends the grace of a secret before its time. The current secret goes with its key, or with a rotation.
pub async fn end_secret(ctx: &Ctx, (key, secret): (KeyId, SecretId), version: Option<i64>) -> Result<()> {
    let mut unit = ctx.begin().await?;
    let row = unit.read::<virtual_key::Entity>().lock(key).await?;
    let found = unit.read::<Entity>().narrow(of(key)).find(secret).await?;
    Expected::new(version, row.version)?;
    let (code, message) = match found.expires_at {
        None => ("secret_current", "this is the key's current secret: rotate or revoke the key"),
        Some(end) if end <= unit.now => ("secret_ended", "the secret has ended"),
        Some(_) => {
            let now = unit.now;
            end(&mut unit, secret, now).await?;
            renew(&mut unit, "end_grace", &row, row.expires_at).await?;
            return unit.commit(()).await;
        }
    };
    Err(Error::InvalidState(code, message.into()))
}

/// The key's secrets changed, and with them what is shown of it: one version up, with this end of its life.
pub(super) async fn renew(
    unit: &mut Unit<'_>,
    action: &str,
    key: &virtual_key::Model,
    expires_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let changes = virtual_key::ActiveModel { expires_at: Set(expires_at), ..Default::default() };
    unit.repository::<virtual_key::Entity>().force(action, key.id, changes).await?;
    Ok(())
}

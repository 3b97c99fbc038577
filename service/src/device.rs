//! Known devices. Where a person has signed in before, the next sign-in shows the device's own token and is throttled by
//! itself, so that guesses from elsewhere keep nobody out. The token opens nothing without the password.

use crate::{
    Ctx, Error, Result, Unit,
    access::Identity,
    page::{Page, PageRequest},
    repository::View,
    session,
    token::{self, Presented, Shown, TokenKind},
    user,
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    device::{ActiveModel, Column, Entity},
    id::{DeviceId, UserId},
    session as sessions,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, DerivePartialModel, EntityTrait, QueryFilter};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// How long a device stays known without a sign-in.
const LIFETIME: TimeDelta = TimeDelta::days(30);

/// A device that the caller has signed in from.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// The address of its latest sign-in.
    #[schema(required)]
    pub client_ip: Option<String>,
    /// The program of its latest sign-in.
    #[schema(required)]
    pub user_agent: Option<String>,
    /// When it was first signed in from.
    pub created_at: DateTime<Utc>,
    /// When it was last signed in from.
    pub used_at: DateTime<Utc>,
    /// When it is no longer known, unless it is signed in from before.
    pub expires_at: DateTime<Utc>,
}
crate::page!(DevicePage, Device);

impl View for Device {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// The device of a token, if it is one that this account is known to sign in from. Anything else is an unknown device:
/// whether there is such an account is not told by the reply, and a client may send a token that has expired.
#[expect(clippy::disallowed_methods, reason = "bound by the digest that is checked here")]
pub(crate) async fn recognize(
    ctx: &Ctx,
    presented: Option<&Presented>,
    email: &str,
) -> Result<Option<DeviceId>> {
    let Some(token) = presented.and_then(|presented| presented.token(TokenKind::Device)) else {
        return Ok(None);
    };
    let Some(row) = Entity::find_by_id(DeviceId::new(token.id())).one(&ctx.system.db.reader).await? else {
        return Ok(None);
    };
    let genuine = ctx.system.secrets.matches(token.signed_part(), row.pepper_version, &row.digest.0);
    if !genuine || row.expires_at <= ctx.now().await? {
        return Ok(None);
    }
    let account = user::by_email(ctx, email).await?;
    Ok(account.filter(|account| account.id == row.user_id).map(|_| row.id))
}

/// The device of a sign-in that succeeded: the known one, for longer, or a new one with its token.
pub(crate) async fn remember(
    unit: &Unit<'_>,
    user: UserId,
    known: Option<DeviceId>,
) -> Result<(DeviceId, Option<Shown>)> {
    if let Some(id) = known
        && renew(unit, user, id).await?
    {
        return Ok((id, None));
    }
    let id: DeviceId = unit.id();
    let minted = token::mint(&unit.ctx.system, TokenKind::Device, id.uuid());
    let row = ActiveModel {
        id: Set(id),
        user_id: Set(user),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest),
        created_at: Set(unit.now),
        ..seen(unit)
    };
    #[expect(clippy::disallowed_methods, reason = "a device is made here only, for its own person")]
    Entity::insert(row).exec_without_returning(&unit.tx).await?;
    Ok((id, Some(Shown::from(&minted.token))))
}

/// Not if it was forgotten while the password was verified.
#[expect(clippy::disallowed_methods, reason = "the token's digest was checked")]
async fn renew(unit: &Unit<'_>, user: UserId, id: DeviceId) -> Result<bool> {
    let own = Condition::all().add(Column::Id.eq(id)).add(Column::UserId.eq(user));
    let update = Entity::update_many().set(seen(unit)).filter(own);
    Ok(update.exec(&unit.tx).await?.rows_affected == 1)
}

fn seen(unit: &Unit<'_>) -> ActiveModel {
    let request = &unit.ctx.request;
    ActiveModel {
        client_ip: Set(request.client_ip.map(|ip| ip.to_string())),
        user_agent: Set(request.user_agent.clone()),
        used_at: Set(unit.now),
        expires_at: Set(unit.now + LIFETIME),
        ..Default::default()
    }
}

/// Forgets the devices that meet a condition; answers how many there were.
#[expect(clippy::disallowed_methods, reason = "the condition names a person or a device of the caller's")]
pub(crate) async fn forget(unit: &Unit<'_>, which: Condition) -> Result<u64> {
    Ok(Entity::delete_many().filter(which).exec(&unit.tx).await?.rows_affected)
}

/// One page of the devices that the caller is known to sign in from.
pub async fn list(ctx: &Ctx, identity: &Identity, page: &PageRequest) -> Result<Page<Device>> {
    let known = Condition::all().add(Column::ExpiresAt.gt(ctx.now().await?));
    ctx.repository::<Entity>().narrow(Column::UserId.eq(identity.user)).list(page, known).await
}

/// Forgets one of the caller's devices and ends what was signed in from it.
pub async fn forget_one(ctx: &Ctx, identity: &Identity, id: DeviceId) -> Result<()> {
    let mut unit = ctx.begin().await?;
    let own = Condition::all().add(Column::Id.eq(id)).add(Column::UserId.eq(identity.user));
    if forget(&unit, own).await? == 0 {
        return Err(Error::NotFound("device"));
    }
    let on_it = Condition::all()
        .add(sessions::Column::UserId.eq(identity.user))
        .add(sessions::Column::DeviceId.eq(id));
    let ended = session::end(&unit, on_it).await?;
    unit.audit("device.forget", id, json!({ "ended": ended }));
    unit.commit(()).await
}

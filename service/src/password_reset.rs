//! One-time links that set a forgotten password. The operator makes one and hands it over; the latest one counts, once.

use crate::{
    Ctx, Error, Result, Unit,
    password::Password,
    scope::Scope,
    token::{self, Presented, Shown, TokenKind},
    user,
    validate::Faults,
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{PasswordResetId, UserId},
    password_reset::{ActiveModel, Column, Entity, Model},
    user_account,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a link is good.
const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// A link that sets a password, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResetLink {
    /// The person sends it to `/v1/auth/reset` with a new password.
    #[schema(example = "tkp_…")]
    pub token: Shown,
    /// Refused from this moment on.
    pub expires_at: DateTime<Utc>,
}

/// A forgotten password to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordReset {
    /// From the operator.
    pub token: Presented,
    /// The new password.
    pub password: Password,
}

fn refused() -> Error {
    Error::Unauthenticated("token_invalid", "the reset link is not valid, or was used")
}

/// Makes a link for a person's account; one made before is void.
#[expect(clippy::disallowed_methods, reason = "a link is made here only; the account was found in scope")]
pub async fn create(ctx: &Ctx, user: UserId) -> Result<ResetLink> {
    let mut unit = ctx.begin().await?;
    unit.read::<user_account::Entity>().hold(user).await?;
    void(&unit, user).await?;
    let id: PasswordResetId = unit.id();
    let minted = token::mint(&ctx.system, TokenKind::PasswordReset, id.uuid());
    let expires_at = unit.now + LIFETIME;
    let row = ActiveModel {
        id: Set(id),
        user_id: Set(user),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest),
        created_at: Set(unit.now),
        expires_at: Set(expires_at),
        used_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(&unit.tx).await?;
    unit.audit("user.reset_link", user, serde_json::json!({ "expires_at": expires_at }));
    let view = ResetLink { token: Shown::from(&minted.token), expires_at };
    unit.commit_secret(view, &minted.token).await
}

/// Sets a password by a link. Every session of the account ends, and nobody is signed in.
pub async fn redeem(ctx: &Ctx, reset: PasswordReset) -> Result<()> {
    let link = verified(ctx, &reset.token).await?;
    let mut faults = Faults::default();
    faults.password("/password", &reset.password);
    faults.finish()?;
    let hash = ctx.system.passwords.hash(reset.password).await?;
    let caller = ctx.within(Scope::platform()).acting_as(link.user_id, false);
    let mut unit = caller.begin().await?;
    // The account before its links, as by whoever makes one.
    let account = unit.read::<user_account::Entity>().lock(link.user_id).await?;
    lock(&unit, link.id).await?;
    user::set_password(&mut unit, "reset_password", &account, hash).await?;
    unit.forget_replies(link.id.uuid()).await?;
    unit.commit(()).await
}

/// The row behind a token, if it is good: its form is checked before any I/O, its secret before anything else is said.
#[expect(clippy::disallowed_methods, reason = "bound by the digest that is checked here")]
async fn verified(ctx: &Ctx, token: &Presented) -> Result<Model> {
    let token = token.token(TokenKind::PasswordReset).ok_or_else(refused)?;
    let id = PasswordResetId::new(token.id());
    let row = Entity::find_by_id(id).one(&ctx.system.db.reader).await?.ok_or_else(refused)?;
    if !ctx.system.secrets.matches(token.signed_part(), row.pepper_version, &row.digest.0) {
        return Err(refused());
    }
    good(row, ctx.now().await?)
}

fn good(row: Model, now: DateTime<Utc>) -> Result<Model> {
    if row.used_at.is_some() {
        Err(refused())
    } else if row.expires_at <= now {
        Err(Error::Unauthenticated("token_expired", "the reset link has expired"))
    } else {
        Ok(row)
    }
}

#[expect(clippy::disallowed_methods, reason = "bound by the digest that was checked")]
async fn lock(unit: &Unit<'_>, id: PasswordResetId) -> Result<Model> {
    let row = Entity::find_by_id(id).lock(LockType::Update).one(&unit.tx).await?;
    good(row.ok_or_else(refused)?, unit.now)
}

/// Makes the links of a person void.
#[expect(clippy::disallowed_methods, reason = "the account was found in scope")]
pub(crate) async fn void(unit: &Unit<'_>, user: UserId) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(unit.now))
        .filter(Column::UserId.eq(user))
        .filter(Column::UsedAt.is_null())
        .exec(&unit.tx)
        .await?;
    Ok(())
}

//! Sign-in sessions. A session is one lineage of refresh tokens: each is exchanged once, for the one that follows it, and
//! an old one that comes back ends the session.

use crate::{
    Ctx, Error, Result, Unit,
    access::Identity,
    clock::Clock,
    db::Db,
    device,
    jwt::{self, Claims},
    page::{Page, PageRequest},
    repository::View,
    token::{self, Minted, Presented, Shown, Token, TokenKind},
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{DeviceId, RefreshTokenId, SessionId, UserId},
    refresh_token,
    session::{ActiveModel, Column, Entity, Model},
    status::Standing,
    user_account,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DerivePartialModel, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::HashSet, net::IpAddr};
use utoipa::ToSchema;
use uuid::Uuid;

/// How long a session lasts, however often it is refreshed.
const LIFETIME: TimeDelta = TimeDelta::days(30);
/// How long a session lasts without being refreshed.
const IDLE: TimeDelta = TimeDelta::days(7);
/// How long a token that was just exchanged may be exchanged again, for the same successor.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

/// People and addresses that are enough to tell a load balancer from people.
const SEEN: u64 = 1_000;

/// What a sign-in gives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// A JWT for the `Authorization` header.
    #[schema(value_type = String, example = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9…")]
    pub access_token: Shown,
    /// How to send it.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds until it expires.
    #[schema(example = 900)]
    pub expires_in: i64,
    /// Exchanged once, at `/v1/auth/refresh`, for the tokens that follow.
    #[schema(value_type = String, example = "tkr_…")]
    pub refresh_token: Shown,
    /// At a sign-in from a device that is not known yet: what makes it known. Keep it as long as you can and send it with
    /// each sign-in, so that guesses from elsewhere do not delay that. Null where the device keeps the one it has.
    #[schema(required, value_type = Option<String>, example = "tkd_…")]
    pub device_token: Option<Shown>,
}

/// A session to continue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The latest refresh token of the session.
    pub refresh_token: Presented,
}

/// A sign-in that lasts.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The device it was opened on; null if that was before devices were kept.
    #[schema(required)]
    pub device_id: Option<DeviceId>,
    /// The address it was opened from.
    #[schema(required)]
    pub client_ip: Option<String>,
    /// The program it was opened with.
    #[schema(required)]
    pub user_agent: Option<String>,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed.
    pub refreshed_at: DateTime<Utc>,
    /// Its end, however often it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// Whether this call was made in it.
    #[sea_orm(skip)]
    pub current: bool,
}
crate::page!(SessionPage, Session);

impl View for Session {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

fn refused() -> Error {
    Error::Unauthenticated("token_invalid", "the refresh token is not valid")
}
fn ended() -> Error {
    Error::Unauthenticated("session_ended", "the session has ended, sign in again")
}

/// Opens a session for a person who has just proved an identity, on a known device or on a new one.
#[expect(clippy::disallowed_methods, reason = "a session is opened here only, for its own person")]
pub(crate) async fn open(
    unit: &Unit<'_>,
    user: &user_account::Model,
    known: Option<DeviceId>,
) -> Result<Tokens> {
    let (device, device_token) = device::remember(unit, user.id, known).await?;
    let session = Model {
        id: unit.id(),
        user_id: user.id,
        device_id: Some(device),
        client_ip: unit.ctx.request.client_ip.map(|ip| ip.to_string()),
        user_agent: unit.ctx.request.user_agent.clone(),
        created_at: unit.now,
        refreshed_at: unit.now,
        expires_at: unit.now + LIFETIME,
        revoked_at: None,
    };
    let row = ActiveModel::from(session.clone()).reset_all();
    Entity::insert(row).exec_without_returning(&unit.tx).await?;
    let id: RefreshTokenId = unit.id();
    let first = token::mint(&unit.ctx.system, TokenKind::Refresh, id.uuid());
    keep(unit, session.id, &first, None).await?;
    Ok(Tokens { device_token, ..tokens(unit.ctx, user, session.id, &first.token)? })
}

fn tokens(ctx: &Ctx, user: &user_account::Model, session: SessionId, refresh: &Token) -> Result<Tokens> {
    let claims = Claims { user: user.id, session, session_version: user.session_version };
    let access = ctx.system.issuer.sign(claims, ctx.system.time())?;
    Ok(Tokens {
        access_token: access.into(),
        token_type: "Bearer",
        expires_in: jwt::LIFETIME.num_seconds(),
        refresh_token: refresh.into(),
        device_token: None,
    })
}

/// Exchanges a refresh token for the tokens that follow. An old one ends the session, and that stays so although the
/// answer is an error: whoever else has it is out too.
pub async fn refresh(ctx: &Ctx, request: &Refresh) -> Result<Tokens> {
    let token = request.refresh_token.token(TokenKind::Refresh).ok_or_else(refused)?;
    let row = find(&ctx.system.db.reader, token.id()).await?.ok_or_else(refused)?;
    if !ctx.system.secrets.matches(token.signed_part(), row.pepper_version, &row.digest.0) {
        return Err(refused());
    }
    let unit = ctx.begin().await?;
    let session = lock(&unit, row.session_id).await?;
    let user = owner(&unit, &session).await?;
    let caller = ctx.acting_as(user.id, user.operator);
    let unit = unit.within(&caller);
    let next = if exchange(&unit, row.id).await? {
        let id: RefreshTokenId = unit.id();
        let (version, _) = ctx.system.secrets.pepper.active();
        let next = token::successor(&ctx.system, &token, id.uuid(), version).ok_or_else(refused)?;
        let next = next.minted(&ctx.system);
        keep(&unit, session.id, &next, Some(row.id)).await?;
        next.token
    } else if let Some(next) = again(&unit, &token).await? {
        next
    } else {
        return Err(reused(unit, &session).await);
    };
    touch(&unit, session.id).await?;
    unit.commit(tokens(ctx, &user, session.id, &next)?).await
}

async fn reused(mut unit: Unit<'_>, session: &Model) -> Error {
    unit.audit("session.reuse", session.id, json!({ "ended": true }));
    // Whoever copied the refresh token may have copied the device's as well.
    let committed = match end_with_device(&unit, session).await {
        Ok(()) => unit.commit(()).await,
        Err(error) => Err(error),
    };
    committed.err().unwrap_or(Error::Unauthenticated(
        "token_reused",
        "the refresh token was used before; its session has ended",
    ))
}

/// The successor of a token that was exchanged a moment ago, as long as the successor itself has not been.
#[expect(clippy::disallowed_methods, reason = "bound to its session by the token that it replaces")]
async fn again(unit: &Unit<'_>, token: &Token) -> Result<Option<Token>> {
    let before = find(&unit.tx, token.id()).await?.ok_or_else(refused)?;
    if before.used_at.is_none_or(|used| used + OVERLAP <= unit.now) {
        return Ok(None);
    }
    let live = refresh_token::Entity::find()
        .filter(refresh_token::Column::Replaces.eq(before.id))
        .filter(refresh_token::Column::UsedAt.is_null())
        .one(&unit.tx)
        .await?;
    Ok(live.and_then(|live| token::successor(&unit.ctx.system, token, live.id.uuid(), live.pepper_version)))
}

/// Marks a token exchanged, if it has not been.
#[expect(clippy::disallowed_methods, reason = "the token's digest was checked")]
async fn exchange(unit: &Unit<'_>, id: RefreshTokenId) -> Result<bool> {
    let update = refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::UsedAt, Expr::value(unit.now))
        .filter(refresh_token::Column::Id.eq(id))
        .filter(refresh_token::Column::UsedAt.is_null());
    Ok(update.exec(&unit.tx).await?.rows_affected == 1)
}

#[expect(clippy::disallowed_methods, reason = "the token's digest is checked next")]
async fn find<C: ConnectionTrait>(db: &C, id: Uuid) -> Result<Option<refresh_token::Model>> {
    Ok(refresh_token::Entity::find_by_id(RefreshTokenId::new(id)).one(db).await?)
}

#[expect(clippy::disallowed_methods, reason = "a refresh token is kept here only, for its own session")]
async fn keep(
    unit: &Unit<'_>,
    session: SessionId,
    minted: &Minted,
    replaces: Option<RefreshTokenId>,
) -> Result<()> {
    let row = refresh_token::ActiveModel {
        id: Set(RefreshTokenId::new(minted.token.id())),
        session_id: Set(session),
        replaces: Set(replaces),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest.clone()),
        created_at: Set(unit.now),
        used_at: Set(None),
    };
    refresh_token::Entity::insert(row).exec_without_returning(&unit.tx).await?;
    Ok(())
}

/// The session, locked, if it still goes on: refreshes, sign-outs and suspensions take turns.
#[expect(clippy::disallowed_methods, reason = "the refresh token's digest was checked")]
async fn lock(unit: &Unit<'_>, id: SessionId) -> Result<Model> {
    let select = Entity::find_by_id(id).lock(LockType::NoKeyUpdate);
    let session = select.one(&unit.tx).await?;
    session.filter(|session| alive(session, unit.now)).ok_or_else(ended)
}

fn alive(session: &Model, now: DateTime<Utc>) -> bool {
    session.revoked_at.is_none() && session.expires_at > now && session.refreshed_at + IDLE > now
}

async fn owner(unit: &Unit<'_>, session: &Model) -> Result<user_account::Model> {
    let user = unit.read::<user_account::Entity>().find(session.user_id).await?;
    let suspended = Error::Unauthenticated("account_suspended", "the account is suspended");
    if user.status == Standing::Active { Ok(user) } else { Err(suspended) }
}

#[expect(clippy::disallowed_methods, reason = "the refresh token's digest was checked")]
async fn touch(unit: &Unit<'_>, id: SessionId) -> Result<()> {
    let update = Entity::update_many().col_expr(Column::RefreshedAt, Expr::value(unit.now));
    update.filter(Column::Id.eq(id)).exec(&unit.tx).await?;
    Ok(())
}

/// Ends the sessions that meet a condition; answers how many there were.
#[expect(clippy::disallowed_methods, reason = "the condition names a person or a session of the caller's")]
pub(crate) async fn end(unit: &Unit<'_>, which: Condition) -> Result<u64> {
    let update = Entity::update_many().col_expr(Column::RevokedAt, Expr::value(unit.now));
    let ended = update.filter(which).filter(Column::RevokedAt.is_null()).exec(&unit.tx).await?;
    Ok(ended.rows_affected)
}

/// Ends every session of a person, and knows none of the devices any more.
pub(crate) async fn end_all(unit: &Unit<'_>, user: UserId) -> Result<u64> {
    device::forget(unit, entity::device::Column::UserId.eq(user).into()).await?;
    end(unit, Column::UserId.eq(user).into()).await
}

/// Ends a session, and no longer knows the device that it was opened on.
async fn end_with_device(unit: &Unit<'_>, session: &Model) -> Result<()> {
    let own = Condition::all()
        .add(entity::device::Column::UserId.eq(session.user_id))
        .add(entity::device::Column::Id.eq(session.device_id));
    device::forget(unit, own).await?;
    end(unit, Column::Id.eq(session.id).into()).await.map(drop)
}

/// The private address that everybody has signed in from this week, and how many people that were, if it was one address
/// and several people: a load balancer's, more likely than not.
#[expect(clippy::disallowed_methods, reason = "counts the people of the installation and shows none")]
pub async fn only_address(db: &Db) -> Result<Option<(IpAddr, usize)>> {
    let since = Clock::System.local() - IDLE;
    let select = Entity::find().select_only().column(Column::UserId).column(Column::ClientIp).distinct();
    let seen: Vec<(UserId, Option<String>)> =
        select.filter(Column::CreatedAt.gt(since)).limit(SEEN).into_tuple().all(&db.reader).await?;
    let addresses: HashSet<&str> = seen.iter().filter_map(|(_, address)| address.as_deref()).collect();
    let only = addresses.into_iter().next().filter(|_| seen.len() > 1);
    let only = only.filter(|only| seen.iter().all(|(_, address)| address.as_deref() == Some(*only)));
    let address = only.and_then(|only| only.parse().ok()).filter(is_inside);
    Ok(address.map(|address| (address, seen.len())))
}

/// Whether an address is one of a network of one's own.
fn is_inside(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// One page of the caller's sessions that go on.
pub async fn list(ctx: &Ctx, identity: &Identity, page: &PageRequest) -> Result<Page<Session>> {
    let now = ctx.now().await?;
    let going_on = Condition::all()
        .add(Column::RevokedAt.is_null())
        .add(Column::ExpiresAt.gt(now))
        .add(Column::RefreshedAt.gt(now - IDLE));
    let own = ctx.repository::<Entity>().narrow(Column::UserId.eq(identity.user));
    let mut page = own.list::<Session>(page, going_on).await?;
    for session in &mut page.items {
        session.current = Some(session.id) == identity.session;
    }
    Ok(page)
}

/// The session that the call is made in.
pub async fn current(ctx: &Ctx, identity: &Identity) -> Result<Session> {
    let id = identity.session.ok_or(Error::NotFound("session"))?;
    let session = ctx.repository::<Entity>().view::<Session>(id).await?;
    Ok(Session { current: true, ..session })
}

/// Ends the session that the call is made in, at once. The device stays known: people sign out and in again.
pub async fn sign_out(ctx: &Ctx, identity: &Identity) -> Result<()> {
    let id = identity.session.ok_or(Error::NotFound("session"))?;
    let mut unit = ctx.begin().await?;
    if end(&unit, own(identity, id)).await? == 0 {
        return Err(Error::NotFound("session"));
    }
    unit.audit("session.end", id, json!({}));
    unit.commit(()).await
}

/// Ends one of the caller's sessions, at once, and no longer knows its device: it may be lost.
pub async fn end_one(ctx: &Ctx, identity: &Identity, id: SessionId) -> Result<()> {
    let mut unit = ctx.begin().await?;
    let session = of_caller(&unit, identity, id).await?;
    if session.revoked_at.is_some() {
        return Err(Error::NotFound("session"));
    }
    end_with_device(&unit, &session).await?;
    unit.audit("session.end", id, json!({}));
    unit.commit(()).await
}

fn own(identity: &Identity, id: SessionId) -> Condition {
    Condition::all().add(Column::Id.eq(id)).add(Column::UserId.eq(identity.user))
}

/// One of the caller's sessions, locked.
#[expect(clippy::disallowed_methods, reason = "the condition names the caller")]
async fn of_caller(unit: &Unit<'_>, identity: &Identity, id: SessionId) -> Result<Model> {
    let select = Entity::find().filter(own(identity, id)).lock(LockType::NoKeyUpdate);
    select.one(&unit.tx).await?.ok_or(Error::NotFound("session"))
}

/// Ends the caller's other sessions, and knows no other device any more.
pub async fn end_others(ctx: &Ctx, identity: &Identity) -> Result<()> {
    let mut unit = ctx.begin().await?;
    let current = of_caller(&unit, identity, identity.session.ok_or(Error::NotFound("session"))?).await?;
    let elsewhere = Condition::all()
        .add(entity::device::Column::UserId.eq(identity.user))
        .add_option(current.device_id.map(|id| entity::device::Column::Id.ne(id)));
    device::forget(&unit, elsewhere).await?;
    let others = Condition::all().add(Column::UserId.eq(identity.user)).add(Column::Id.ne(current.id));
    let count = end(&unit, others).await?;
    unit.audit("session.end_others", identity.user, json!({ "ended": count }));
    unit.commit(()).await
}

//! The first start: the organization `default` and the first operator, who owns it. However many instances start at once,
//! and however often, there is one of each: everything here happens under the platform's head lock.

use crate::{
    Ctx, Error, Result, System, Unit,
    auth::accept,
    head,
    organization::{self, Founding},
    password::Password,
    repository::Repository,
    scope::Scope,
    session::{self, Tokens},
    token::{self, Presented, Token, TokenKind},
    user::{self, NewUser},
    validate::Faults,
};
use chrono::TimeDelta;
use entity::{
    id::{InvitationId, OrganizationId, UserId},
    invitation,
    json::Tags,
    membership,
    status::{Role, Standing},
    user_account,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Name of the first organization.
const FIRST: &str = "default";
/// How long a set-up token is good.
const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// The first person, with the token that the first start gave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Printed at the first start, or in the file it named.
    pub token: Presented,
    /// The address of the account.
    #[schema(max_length = 320, example = "ada@example.com")]
    pub email: String,
    /// Its password.
    pub password: Password,
    /// Shown name.
    #[schema(min_length = 1, max_length = 255, example = "Ada Lovelace")]
    pub name: String,
}

/// Makes what the installation lacks: the first organization, and the first operator or a token to become it, which is
/// returned to be shown.
pub async fn prepare(system: &Arc<System>, first_owner: Option<(String, Password)>) -> Result<Option<Token>> {
    let platform = Ctx::internal(system, Scope::platform());
    let db = &system.db.reader;
    if first_organization(db).await?.is_some() && has_operator(&platform.repository()).await? {
        return Ok(None);
    }
    let first_owner = match first_owner {
        Some((email, password)) => {
            let name = email.split('@').next().unwrap_or_default().to_owned();
            Some(first_user(&platform, (email, password, name)).await?)
        }
        None => None,
    };
    let unit = platform.begin().await?;
    head::lock(&unit.tx, OrganizationId::PLATFORM).await?;
    let found = first_organization(&unit.tx).await?;
    let home = Ctx::internal(system, Scope::all(found.unwrap_or_else(|| unit.id())));
    let mut unit = unit.within(&home);
    if found.is_none() {
        let first = Founding { name: FIRST.into(), slug: FIRST.into(), owner: None };
        organization::found(&mut unit, first).await?;
    }
    let mut unit = unit.within(&platform);
    if has_operator(&unit.read()).await? {
        return unit.commit(()).await.map(|()| None);
    }
    let Some(first_owner) = first_owner else { return invite(unit.within(&home)).await.map(Some) };
    let user = user::register(&mut unit, first_owner).await?;
    let mut unit = unit.within(&home);
    own(&mut unit, user.id).await?;
    unit.commit(()).await?;
    Ok(None)
}

/// Makes the first operator, and signs in. Of two who try at once, one wins.
pub async fn set_up(ctx: &Ctx, setup: Setup) -> Result<Tokens> {
    let invitation = accept::verified(&ctx.system, &setup.token).await?;
    if !invitation.operator {
        return Err(Error::Unauthenticated("token_invalid", "this is not the set-up token"));
    }
    if has_operator(&ctx.repository()).await? {
        return Err(already_set_up());
    }
    accept::good(&invitation, ctx.now().await?)?;
    let new = first_user(ctx, (setup.email, setup.password, setup.name)).await?;
    let person = ctx.acting_as(new.id, true);
    let home = person.within(Scope::all(invitation.organization_id));
    let unit = person.begin().await?;
    head::lock(&unit.tx, OrganizationId::PLATFORM).await?;
    if has_operator(&unit.read()).await? {
        return Err(already_set_up());
    }
    let mut unit = unit.within(&home);
    let invitation = accept::claim(&mut unit, invitation.id).await?;
    let mut unit = unit.within(&person);
    let user = user::register(&mut unit, new).await?;
    let mut unit = unit.within(&home);
    accept::join(&mut unit, &invitation, user.id).await?;
    let tokens = session::open(&unit, &user, None).await?;
    unit.audit_in(OrganizationId::PLATFORM, "user.login", user.id, json!({}));
    unit.commit(tokens).await
}

fn already_set_up() -> Error {
    Error::InvalidState("already_set_up", "the installation has its first operator".into())
}

/// The first account, checked, with its password hashed.
async fn first_user(ctx: &Ctx, (email, password, name): (String, Password, String)) -> Result<NewUser> {
    let email = user::fold_email(&email);
    let mut faults = Faults::default();
    faults.email("/email", &email);
    faults.password("/password", &password);
    faults.name("/name", &name);
    faults.finish()?;
    let password_hash = ctx.system.passwords.hash(password).await?;
    Ok(NewUser { id: ctx.id(ctx.now().await?), email, name, password_hash, operator: true })
}

#[expect(clippy::disallowed_methods, reason = "whether there is any organization is asked across all")]
async fn first_organization<C: ConnectionTrait>(db: &C) -> Result<Option<OrganizationId>> {
    let any = entity::organization::Entity::find()
        .filter(entity::organization::Column::Id.ne(OrganizationId::PLATFORM));
    let first = any.order_by_asc(entity::organization::Column::Id).one(db).await?;
    Ok(first.map(|organization| organization.id))
}

async fn has_operator<C: ConnectionTrait>(users: &Repository<'_, user_account::Entity, C>) -> Result<bool> {
    Ok(users.count(user_account::Column::Operator.eq(true)).await? > 0)
}

async fn own(unit: &mut Unit<'_>, user: UserId) -> Result<()> {
    let row = membership::ActiveModel {
        user_id: Set(user),
        role: Set(Role::Owner),
        status: Set(Standing::Active),
        ..Default::default()
    };
    unit.repository::<membership::Entity>().insert(row).await?;
    Ok(())
}

/// Makes a set-up token. Tokens of other instances and earlier starts stay good until one of them is used.
async fn invite(mut unit: Unit<'_>) -> Result<Token> {
    let id: InvitationId = unit.id();
    let minted = token::mint(&unit.ctx.system, TokenKind::Invitation, id.uuid());
    let row = invitation::ActiveModel {
        id: Set(id),
        email: Set(None),
        role: Set(Role::Owner),
        teams: Set(Tags::default()),
        operator: Set(true),
        created_by: Set(unit.ctx.actor.id.clone()),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest),
        expires_at: Set(unit.now + LIFETIME),
        accepted_at: Set(None),
        ..Default::default()
    };
    unit.repository::<invitation::Entity>().insert(row).await?;
    unit.commit(()).await?;
    Ok(minted.token)
}

//! Getting in with a password, changing it, and what one is. Whatever is wrong with a sign-in, the answer and its time are
//! the same, unless the password is right.

pub mod accept;

use crate::{
    Ctx, Error, Result,
    access::{self, Identity},
    authz::{Grant, Permission},
    device,
    password::Password,
    session::{self, Session, Tokens},
    throttle::{self, Attempt},
    token::Presented,
    user::{self, User},
    validate::Faults,
};
use entity::{
    id::{DeviceId, OrganizationId, SessionId, TeamId},
    membership, organization,
    status::{Role, Standing, TeamRole},
    user_account,
};
use sea_orm::ColumnTrait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// A sign-in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The address of the account.
    #[schema(max_length = 320, example = "ada@example.com")]
    pub email: String,
    /// Its password.
    pub password: Password,
    /// What an earlier sign-in on this device gave, if one did; one that has expired does no harm.
    #[serde(default)]
    pub device_token: Option<Presented>,
}

/// A password to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password until now.
    pub current_password: Password,
    /// The password from now on.
    pub new_password: Password,
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The account.
    pub user: User,
    /// The session of this call.
    pub session: Session,
    /// What an operator may do for the installation; empty for others.
    #[schema(value_type = Vec<String>, example = json!(["platform:users"]))]
    pub permissions: Vec<&'static str>,
    /// The organizations the person belongs to.
    pub memberships: Vec<MyMembership>,
}

/// The caller's place in an organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyMembership {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its short name for paths.
    #[schema(example = "default")]
    pub slug: String,
    /// Its shown name.
    pub name: String,
    /// Whether the organization is at work.
    pub organization_status: Standing,
    /// The role in it.
    pub role: Role,
    /// Whether the membership is at work.
    pub status: Standing,
    /// Teams and the roles in them.
    pub teams: Vec<MyTeam>,
    /// What the person may do in it, to some extent; none while the membership is suspended.
    #[schema(value_type = Vec<String>, example = json!(["keys:read", "keys:rotate"]))]
    pub permissions: Vec<&'static str>,
}

/// The caller's place in a team.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyTeam {
    /// The team.
    pub team_id: TeamId,
    /// The role in it.
    pub role: TeamRole,
}

fn refused() -> Error {
    Error::Unauthenticated("invalid_credentials", "the e-mail address or the password is wrong")
}

/// Signs a person in.
pub async fn login(ctx: &Ctx, login: Login) -> Result<Tokens> {
    let email = user::fold_email(&login.email);
    let mut faults = Faults::default();
    faults.email("/email", &email);
    faults.finish()?;
    let device = device::recognize(ctx, login.device_token.as_ref(), &email).await?;
    let attempt = throttle::admit(ctx, &email, device.map(DeviceId::uuid)).await?;
    let account = user::by_email(ctx, &email).await?;
    let stored = account.as_ref().and_then(|account| account.password_hash.as_ref());
    let right = ctx.system.passwords.verify(login.password, stored).await?;
    let Some(verified) = account.as_ref().filter(|_| right) else {
        distrust(ctx, &attempt, device).await?;
        note_failure(ctx, account.as_ref(), "wrong_password").await?;
        return Err(refused());
    };
    let caller = ctx.acting_as(verified.id, verified.operator);
    let mut unit = caller.begin().await?;
    let user = unit.read::<user_account::Entity>().hold(verified.id).await?;
    if user.status != Standing::Active {
        drop(unit);
        note_failure(ctx, Some(&user), "account_suspended").await?;
        return Err(Error::Forbidden("the account is suspended".into()));
    }
    // The password that was verified is still the password: a change in between has ended the sessions it knew of.
    if user.session_version != verified.session_version {
        return Err(refused());
    }
    attempt.forgive(&unit).await?;
    let tokens = session::open(&unit, &user, device).await?;
    unit.audit("user.login", user.id, json!({}));
    unit.commit(tokens).await
}

/// A device that keeps guessing wrong is no longer known: from then on it waits like any other.
async fn distrust(ctx: &Ctx, attempt: &Attempt, device: Option<DeviceId>) -> Result<()> {
    let Some(device) = device.filter(|_| attempt.is_distrusted()) else { return Ok(()) };
    let mut unit = ctx.begin().await?;
    device::forget(&unit, entity::device::Column::Id.eq(device).into()).await?;
    unit.audit("device.distrust", device, json!({}));
    unit.commit(()).await
}

/// A failed sign-in in the audit log: by id, never by what was typed.
async fn note_failure(ctx: &Ctx, account: Option<&user_account::Model>, reason: &str) -> Result<()> {
    let subject = account.map_or_else(|| "unknown".to_owned(), |account| account.id.to_string());
    let mut unit = ctx.begin().await?;
    unit.audit("user.login_failed", subject, json!({ "reason": reason }));
    unit.commit(()).await
}

/// Changes the caller's password. Every session ends; the answer opens a new one.
pub async fn change_password(ctx: &Ctx, identity: &Identity, change: PasswordChange) -> Result<Tokens> {
    let mut faults = Faults::default();
    faults.password("/new_password", &change.new_password);
    faults.finish()?;
    let account = ctx.repository::<user_account::Entity>().find(identity.user).await?;
    // Guesses of others do not delay a person who is signed in.
    let attempt = throttle::admit(ctx, &account.email, identity.session.map(SessionId::uuid)).await?;
    let right = ctx.system.passwords.verify(change.current_password, account.password_hash.as_ref()).await?;
    if !right {
        note_failure(ctx, Some(&account), "wrong_password").await?;
        let message = "this is not the password until now";
        return Err(Error::invalid("/current_password", "wrong_password", message));
    }
    let hash = ctx.system.passwords.hash(change.new_password).await?;
    let mut unit = ctx.begin().await?;
    let user = unit.read::<user_account::Entity>().lock(account.id).await?;
    if user.session_version != account.session_version {
        return Err(Error::Unauthenticated("session_ended", "the session has ended, sign in again"));
    }
    attempt.forgive(&unit).await?;
    let user = user::set_password(&mut unit, "set_password", &user, hash).await?;
    let tokens = session::open(&unit, &user, None).await?;
    unit.commit(tokens).await
}

/// Who the caller is, and what the person may do where.
pub async fn me(ctx: &Ctx, identity: &Identity) -> Result<Me> {
    let user: User = user::get(ctx, identity.user).await?;
    let session = session::current(ctx, identity).await?;
    let mut memberships = Vec::new();
    for (member, organization) in access::memberships(&ctx.system, identity.user).await? {
        let teams = access::team_roles(&ctx.system, organization.id, identity.user).await?;
        memberships.push(membership(&member, organization, &teams));
    }
    let runs = |permission: &Permission| user.operator && permission.row().operator() == Grant::All;
    let permissions = Permission::EVERY.iter().copied().filter(runs).map(Permission::word).collect();
    Ok(Me { user, session, permissions, memberships })
}

fn membership(
    member: &membership::Model,
    organization: organization::Model,
    teams: &[(TeamId, TeamRole)],
) -> MyMembership {
    let may = |permission: &Permission| {
        member.status == Standing::Active && permission.reach(member.role, member.user_id, teams).is_some()
    };
    MyMembership {
        organization_id: organization.id,
        slug: organization.slug,
        name: organization.name,
        organization_status: organization.status,
        role: member.role,
        status: member.status,
        teams: teams.iter().map(|(team_id, role)| MyTeam { team_id: *team_id, role: *role }).collect(),
        permissions: Permission::EVERY.iter().copied().filter(may).map(Permission::word).collect(),
    }
}

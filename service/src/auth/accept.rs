//! Accepting an invitation, once. For a new address it makes the account and signs in; for an address that has an account,
//! that account must be signed in already, and its password is not touched. An invitation gives what its maker could
//! give at the moment it is accepted, or nothing.

use crate::{
    Ctx, Error, Result, System, Unit,
    access::Identity,
    authz::Permission,
    ceiling::Ceiling,
    error::ConflictExt,
    invitation::InvitedTeam,
    key,
    password::Password,
    scope::Scope,
    session::{self, Tokens},
    token::{Presented, TokenKind},
    user::{self, NewUser},
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{InvitationId, OrganizationId, TeamId, UserId},
    invitation::{self, Model},
    membership, organization,
    status::{Role, Standing},
    team, team_member, user_account,
};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An invitation to accept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// From the one who invites.
    pub token: Presented,
    /// Shown name; needed if the address has no account yet, and only then.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255, example = "Ada Lovelace")]
    pub name: Option<String>,
    /// Password of the new account; needed if the address has no account yet, and only then.
    #[serde(default)]
    pub password: Option<Password>,
}

/// What accepting an invitation gives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// The organization that the person now belongs to.
    pub organization_id: OrganizationId,
    /// The person.
    pub user_id: UserId,
    /// The role in the organization.
    pub role: Role,
    /// A session for an account that was made just now; null for one that was signed in already.
    #[schema(required)]
    pub tokens: Option<Tokens>,
}

fn refused() -> Error {
    Error::Unauthenticated("token_invalid", "the invitation is not valid")
}

/// Accepts an invitation.
pub async fn accept(ctx: &Ctx, identity: Option<&Identity>, acceptance: Acceptance) -> Result<Accepted> {
    let invitation = verified(&ctx.system, &acceptance.token).await?;
    // The installation's first owner comes in by the set-up, which asks for more.
    let email = invitation.email.clone().filter(|_| !invitation.operator).ok_or_else(refused)?;
    good(&invitation, ctx.now().await?)?;
    match user::by_email(ctx, &email).await? {
        Some(account) => with_account(ctx, identity, (&invitation, &account), &acceptance).await,
        None => with_new_account(ctx, &invitation, email, acceptance).await,
    }
}

async fn with_account(
    ctx: &Ctx,
    identity: Option<&Identity>,
    (invitation, account): (&Model, &user_account::Model),
    acceptance: &Acceptance,
) -> Result<Accepted> {
    let needed = "the address has an account; sign in with it and accept again";
    let identity = identity.filter(|identity| identity.session.is_some());
    let identity = identity.ok_or(Error::Unauthenticated("sign_in_required", needed))?;
    if identity.user != account.id {
        return Err(Error::Forbidden("the invitation is for another account".into()));
    }
    let mut faults = Faults::default();
    let message = "the address has an account already, which keeps its own";
    faults.when(acceptance.name.is_some(), "/name", "not_allowed", message);
    faults.when(acceptance.password.is_some(), "/password", "not_allowed", message);
    faults.finish()?;
    let home = ctx.within(Scope::all(invitation.organization_id)).acting_as(account.id, account.operator);
    let mut unit = home.begin().await?;
    let invitation = claim_backed(&mut unit, invitation.id).await?;
    join(&mut unit, &invitation, account.id).await?;
    unit.commit(accepted(&invitation, account.id, None)).await
}

async fn with_new_account(
    ctx: &Ctx,
    invitation: &Model,
    email: String,
    acceptance: Acceptance,
) -> Result<Accepted> {
    let (name, password) = credentials(acceptance.name, acceptance.password)?;
    let hash = ctx.system.passwords.hash(password).await?;
    let new = NewUser { id: ctx.id(ctx.now().await?), email, name, password_hash: hash, operator: false };
    let person = ctx.acting_as(new.id, false);
    let home = person.within(Scope::all(invitation.organization_id));
    let mut unit = home.begin().await?;
    let invitation = claim_backed(&mut unit, invitation.id).await?;
    let mut unit = unit.within(&person);
    let user = user::register(&mut unit, new).await?;
    let mut unit = unit.within(&home);
    join(&mut unit, &invitation, user.id).await?;
    let tokens = session::open(&unit, &user, None).await?;
    unit.commit(accepted(&invitation, user.id, Some(tokens))).await
}

fn accepted(invitation: &Model, user_id: UserId, tokens: Option<Tokens>) -> Accepted {
    Accepted { organization_id: invitation.organization_id, user_id, role: invitation.role, tokens }
}

/// What a new account needs, or what is wrong with it.
fn credentials(name: Option<String>, password: Option<Password>) -> Result<(String, Password)> {
    let mut faults = Faults::default();
    let message = "a new account needs it";
    match &name {
        Some(name) => faults.name("/name", name),
        None => faults.add("/name", "required", message),
    }
    match &password {
        Some(password) => faults.password("/password", password),
        None => faults.add("/password", "required", message),
    }
    faults.finish()?;
    name.zip(password).ok_or_else(|| Error::internal("a fault that was not reported"))
}

/// The invitation behind a token: its form is checked before any I/O, its secret before anything else is said.
#[expect(clippy::disallowed_methods, reason = "bound by the digest that is checked here")]
pub(crate) async fn verified(system: &System, token: &Presented) -> Result<Model> {
    let token = token.token(TokenKind::Invitation).ok_or_else(refused)?;
    let id = InvitationId::new(token.id());
    let row = invitation::Entity::find_by_id(id).one(&system.db.reader).await?.ok_or_else(refused)?;
    let right = system.secrets.matches(token.signed_part(), row.pepper_version, &row.digest.0);
    if right { Ok(row) } else { Err(refused()) }
}

/// Whether an invitation still stands.
pub(crate) fn good(invitation: &Model, now: DateTime<Utc>) -> Result<()> {
    if invitation.accepted_at.is_some() {
        return Err(Error::InvalidState("invitation_accepted", "the invitation was accepted before".into()));
    }
    if invitation.expires_at <= now {
        return Err(Error::Unauthenticated("token_expired", "the invitation has expired"));
    }
    Ok(())
}

/// Takes an invitation that its maker still stands behind. The organization is locked first, as it is by whoever demotes,
/// suspends or removes a member, and the maker is asked about under that lock.
async fn claim_backed(unit: &mut Unit<'_>, id: InvitationId) -> Result<Model> {
    unit.read::<organization::Entity>().lock(unit.ctx.scope.organization).await?;
    let invitation = claim(unit, id).await?;
    match backed(unit, &invitation).await {
        Err(Error::Forbidden(_)) => {
            let message =
                "the invitation is not valid any more: who made it may no longer give what it gives";
            Err(Error::Unauthenticated("token_invalid", message))
        }
        backed => backed.map(|()| invitation),
    }
}

/// Whether the maker of an invitation could make it today.
async fn backed(unit: &Unit<'_>, invitation: &Model) -> Result<()> {
    let maker = Ceiling::of(unit, &invitation.created_by).await?;
    let teams = crate::invitation::teams(&invitation.teams)?;
    let ids: Vec<TeamId> = teams.iter().map(|team| team.team_id).collect();
    if !maker.holds_in(unit, Permission::MembersWrite, &ids).await? {
        maker.gives(&[Permission::MembersWrite])?;
    }
    crate::invitation::members_only(&maker, invitation.role)?;
    maker.gives_role(invitation.role)?;
    teams.iter().try_for_each(|team| maker.gives_team_role(team.role))
}

/// Takes an invitation for this unit, in its organization's scope: of all who try, one goes on.
pub(crate) async fn claim(unit: &mut Unit<'_>, id: InvitationId) -> Result<Model> {
    let invitation = unit.read::<invitation::Entity>().lock(id).await.map_err(|error| match error {
        Error::NotFound(_) => refused(),
        error => error,
    })?;
    good(&invitation, unit.now)?;
    let changes = invitation::ActiveModel { accepted_at: Set(Some(unit.now)), ..Default::default() };
    unit.forget_replies(id.uuid()).await?;
    unit.repository::<invitation::Entity>().force("accept", id, changes).await
}

/// Makes a person a member as an invitation says, in its organization's scope. Teams that are gone are passed over.
pub(crate) async fn join(unit: &mut Unit<'_>, invitation: &Model, user: UserId) -> Result<()> {
    let row = membership::ActiveModel {
        user_id: Set(user),
        role: Set(invitation.role),
        status: Set(Standing::Active),
        ..Default::default()
    };
    let added = unit.repository::<membership::Entity>().insert(row).await;
    added.conflict("member", &user.to_string())?;
    for InvitedTeam { team_id, role } in crate::invitation::teams(&invitation.teams)? {
        match unit.read::<team::Entity>().hold(team_id).await {
            Err(Error::NotFound(_)) => continue,
            held => held?,
        };
        let row = team_member::ActiveModel {
            team_id: Set(team_id),
            user_id: Set(user),
            role: Set(role),
            added_by_team: Set(false),
            ..Default::default()
        };
        unit.repository::<team_member::Entity>().insert(row).await?;
    }
    key::give_keys_of_invitation(unit, invitation.id, user).await
}

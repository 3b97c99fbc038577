//! The door: who a credential belongs to, and how far it reaches in an organization. What is decided here becomes the
//! [`Scope`] that every query carries; nothing below can widen it.

use crate::{
    Error, Result, System,
    authz::Permission,
    ctx::Actor,
    jwt::Claims,
    scope::{Reach, Scope},
    token::{Token, TokenKind},
};
use entity::{
    admin_token,
    id::{AdminTokenId, OrganizationId, UserId},
    membership, organization, session,
    status::{ActorKind, Role, Standing, TeamRole},
    team, team_member, user_account,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use std::{str::FromStr, sync::Arc};

/// A caller whose credential has been checked against the database.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who acts.
    pub actor: Actor,
    /// The person who acts, or who made the admin token and bounds it.
    pub user: UserId,
    /// What an admin token is narrowed to; none for a signed-in person.
    pub token: Option<TokenGrant>,
    /// The session of a signed-in person.
    pub session: Option<entity::id::SessionId>,
}

/// What an admin token is narrowed to.
#[derive(Debug, Clone)]
pub struct TokenGrant {
    /// Its id.
    pub id: AdminTokenId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its permissions.
    pub permissions: Vec<Permission>,
}

fn refused() -> Error {
    Error::Unauthenticated("token_invalid", "the token is not valid")
}

/// Whose bearer credential this is: an access token or an admin token. Virtual keys and gateway tokens are known by
/// their form and never open the admin API.
pub async fn authenticate(system: &Arc<System>, bearer: &str) -> Result<Identity> {
    if !bearer.starts_with("tk") {
        let claims = system.issuer.verify(bearer, system.time())?;
        return signed_in(system, claims).await;
    }
    let token = Token::parse(bearer).ok_or_else(refused)?;
    match token.kind() {
        TokenKind::Admin => admin_token(system, &token).await,
        TokenKind::VirtualKey => Err(Error::Forbidden("a virtual key does not open the admin API".into())),
        TokenKind::Gateway => Err(Error::Forbidden("a gateway token does not open the admin API".into())),
        _ => Err(refused()),
    }
}

#[expect(clippy::disallowed_methods, reason = "no scope exists before the caller is known")]
async fn signed_in(system: &Arc<System>, claims: Claims) -> Result<Identity> {
    let user = account(system, claims.user).await?;
    let session = session::Entity::find_by_id(claims.session).one(&system.db.reader).await?;
    let alive = session.is_some_and(|session| {
        session.user_id == user.id && session.revoked_at.is_none() && session.expires_at > system.time()
    });
    if !alive || user.session_version != claims.session_version {
        return Err(Error::Unauthenticated("session_ended", "the session has ended, sign in again"));
    }
    let actor = Actor::person(user.id, user.operator);
    Ok(Identity { actor, user: user.id, token: None, session: Some(claims.session) })
}

#[expect(clippy::disallowed_methods, reason = "no scope exists before the caller is known")]
async fn account(system: &Arc<System>, id: UserId) -> Result<user_account::Model> {
    let user = user_account::Entity::find_by_id(id).one(&system.db.reader).await?;
    user.filter(|user| user.status == Standing::Active)
        .ok_or(Error::Unauthenticated("account_suspended", "the account is suspended"))
}

#[expect(clippy::disallowed_methods, reason = "no scope exists before the caller is known")]
async fn admin_token(system: &Arc<System>, token: &Token) -> Result<Identity> {
    let id = AdminTokenId::new(token.id());
    let row = admin_token::Entity::find_by_id(id).one(&system.db.reader).await?.ok_or_else(refused)?;
    if !system.secrets.matches(token.signed_part(), row.pepper_version, &row.digest.0) {
        return Err(refused());
    }
    let now = system.clock.now(&system.db.reader).await?;
    if row.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::Unauthenticated("token_expired", "the admin token has expired"));
    }
    let maker = account(system, row.created_by).await?;
    system.activity.note(token.id(), now);
    let permissions = row.permissions.0.iter().filter_map(|word| Permission::from_word(word)).collect();
    let actor =
        Actor { kind: ActorKind::AdminToken, id: row.id.to_string(), user: Some(maker.id), operator: false };
    let grant = TokenGrant { id: row.id, organization: row.organization_id, permissions };
    Ok(Identity { actor, user: maker.id, token: Some(grant), session: None })
}

/// The scope in which a caller may use a permission in an organization, named by id or slug. An organization one has
/// nothing to do with is not there.
pub async fn enter(
    system: &Arc<System>,
    identity: &Identity,
    organization: &str,
    permission: Permission,
) -> Result<Scope> {
    let absent = Error::NotFound("organization");
    let Some(id) = organization_id(system, organization).await? else { return Err(absent) };
    if identity.token.as_ref().is_some_and(|token| token.organization != id) {
        return Err(absent);
    }
    let member = membership(system, id, identity.user).await?;
    let by_operator = identity.actor.operator && permission.row().operator() == crate::authz::Grant::All;
    let Some(member) = member else {
        // An operator is told of organizations, to run the installation; of what is in them, nothing.
        return if by_operator { Ok(Scope::all(id)) } else { Err(absent) };
    };
    if by_operator {
        return Ok(Scope::all(id));
    }
    if member.status != Standing::Active {
        return Err(Error::Forbidden("the membership is suspended".into()));
    }
    let teams = if permission.row().role(member.role) == crate::authz::Grant::All {
        Vec::new()
    } else {
        team_roles(system, id, identity.user).await?
    };
    let reach = reach(identity, permission, member.role, &teams).ok_or_else(|| missing(permission))?;
    Ok(Scope { organization: id, reach })
}

fn reach(
    identity: &Identity,
    permission: Permission,
    role: Role,
    teams: &[(entity::id::TeamId, TeamRole)],
) -> Option<Reach> {
    let carried = identity.token.as_ref().is_none_or(|token| token.permissions.contains(&permission));
    permission.reach(role, identity.user, teams).filter(|_| carried)
}

fn missing(permission: Permission) -> Error {
    Error::Forbidden(format!("the permission {} is missing", permission.word()).into())
}

/// The scope of a permission that concerns no organization: one's own account, or the platform.
pub fn enter_platform(identity: &Identity, permission: Permission) -> Result<Scope> {
    let person = identity.token.is_none();
    let granted = permission == Permission::Account || identity.actor.operator;
    if person && granted { Ok(Scope::platform()) } else { Err(missing(permission)) }
}

/// The organization behind an id or a slug, if there is one.
#[expect(clippy::disallowed_methods, reason = "no scope exists before the organization is known")]
pub async fn organization_id(system: &Arc<System>, text: &str) -> Result<Option<OrganizationId>> {
    let filter = match OrganizationId::from_str(text) {
        Ok(id) => organization::Column::Id.eq(id),
        // Postgres does not even take the question.
        Err(_) if text.contains('\0') => return Ok(None),
        Err(_) => organization::Column::Slug.eq(text),
    };
    let select = organization::Entity::find().select_only().column(organization::Column::Id).filter(filter);
    let id = select.into_tuple::<OrganizationId>().one(&system.db.reader).await?;
    Ok(id.filter(|id| *id != OrganizationId::PLATFORM))
}

#[expect(clippy::disallowed_methods, reason = "no scope exists before the membership is known")]
async fn membership(
    system: &Arc<System>,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<membership::Model>> {
    Ok(membership::Entity::find_by_id((organization, user)).one(&system.db.reader).await?)
}

#[expect(clippy::disallowed_methods, reason = "no scope exists before the team roles are known")]
pub(crate) async fn team_roles(
    system: &Arc<System>,
    organization: OrganizationId,
    user: UserId,
) -> Result<Vec<(entity::id::TeamId, TeamRole)>> {
    let live = team::Entity::find()
        .select_only()
        .column(team::Column::Id)
        .filter(team::Column::OrganizationId.eq(organization))
        .filter(team::Column::Status.ne(Standing::Deleted))
        .into_query();
    let rows = team_member::Entity::find()
        .filter(team_member::Column::OrganizationId.eq(organization))
        .filter(team_member::Column::UserId.eq(user))
        .filter(team_member::Column::TeamId.in_subquery(live))
        .all(&system.db.reader)
        .await?;
    Ok(rows.into_iter().map(|row| (row.team_id, row.role)).collect())
}

/// A person's role and standing in each organization, for `/v1/auth/me`.
#[expect(clippy::disallowed_methods, reason = "one's own memberships span organizations")]
pub(crate) async fn memberships(
    system: &Arc<System>,
    user: UserId,
) -> Result<Vec<(membership::Model, organization::Model)>> {
    let rows =
        membership::Entity::find().filter(membership::Column::UserId.eq(user)).all(&system.db.reader).await?;
    let ids: Vec<OrganizationId> = rows.iter().map(|row| row.organization_id).collect();
    let organizations = organization::Entity::find()
        .filter(organization::Column::Id.is_in(ids))
        .all(&system.db.reader)
        .await?;
    let pair = |row: membership::Model| {
        let organization = organizations.iter().find(|o| o.id == row.organization_id)?.clone();
        Some((row, organization))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

//! [`Ceiling`]: how much somebody may hand on. Nobody grants more than they have, and a token no more than it carries; it
//! is read under the organization's lock, so that it still holds when the unit commits.

use crate::{
    Ctx, Error, Result, Unit,
    authz::{Grant, Permission},
    ctx::Actor,
    scope::Scope,
};
use chrono::{DateTime, Utc};
use entity::{
    admin_token,
    id::{AdminTokenId, TeamId, UserId},
    membership, organization,
    status::{Role, Standing, TeamRole},
    team_member, user_account,
};
use sea_orm::{ColumnTrait, Condition};

/// What a principal has, and so may hand on.
#[derive(Debug)]
pub(crate) struct Ceiling {
    /// Its role; for an admin token, its maker's.
    role: Role,
    /// What an admin token is narrowed to; none for a person.
    token: Option<TokenBounds>,
    /// The person; of an admin token, its maker. None of the server itself.
    person: Option<UserId>,
}

#[derive(Debug)]
struct TokenBounds {
    permissions: Vec<Permission>,
    expires_at: Option<DateTime<Utc>>,
}

impl Ceiling {
    /// Locks the organization, and makes sure that the caller still has the permission it came through the door with:
    /// another administrator may have been faster.
    pub(crate) async fn enter(unit: &Unit<'_>, permission: Permission) -> Result<Self> {
        unit.read::<organization::Entity>().lock(unit.ctx.scope.organization).await?;
        let ceiling = Self::read(unit).await?;
        if ceiling.holds(permission) { Ok(ceiling) } else { Err(lacks(permission)) }
    }

    /// The same of a permission that concerns nothing but these teams: who administers all of them has it, too.
    pub(crate) async fn enter_teams(
        unit: &Unit<'_>,
        permission: Permission,
        teams: &[TeamId],
    ) -> Result<Self> {
        unit.read::<organization::Entity>().lock(unit.ctx.scope.organization).await?;
        let ceiling = Self::read(unit).await?;
        if ceiling.holds_in(unit, permission, teams).await? { Ok(ceiling) } else { Err(lacks(permission)) }
    }

    /// Whether the caller has a permission in the whole organization, or in each of these teams. No team is no part of it.
    pub(crate) async fn holds_in(
        &self,
        unit: &Unit<'_>,
        permission: Permission,
        teams: &[TeamId],
    ) -> Result<bool> {
        if self.holds(permission) {
            return Ok(true);
        }
        let Some(person) = self.person.filter(|_| self.carries(permission) && !teams.is_empty()) else {
            return Ok(false);
        };
        let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
        let own = Condition::all()
            .add(team_member::Column::UserId.eq(person))
            .add(team_member::Column::TeamId.is_in(teams.iter().copied()));
        let places = unit.read_in::<team_member::Entity>(&whole).all(own, u64::MAX >> 1).await?;
        let granted = |team: &TeamId| {
            let place = places.iter().find(|place| place.team_id == *team);
            place.is_some_and(|place| permission.row().team(place.role) == Grant::Team)
        };
        Ok(teams.iter().all(granted))
    }

    /// What the caller has, without the lock: for what a race with a demotion does not widen.
    pub(crate) async fn read(unit: &Unit<'_>) -> Result<Self> {
        Self::of(unit, &unit.ctx.actor.id).await
    }

    /// What a principal has by now, by the id that is noted of it: of who calls, or of who once made an invitation.
    pub(crate) async fn of(unit: &Unit<'_>, principal: &str) -> Result<Self> {
        if principal == Actor::system().id {
            return Ok(Self { role: Role::Owner, token: None, person: None });
        }
        let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
        if let Ok(person) = principal.parse() {
            let role = role(unit, &whole, person).await?;
            return Ok(Self { role, token: None, person: Some(person) });
        }
        let (maker, bounds) = token(unit, &whole, principal).await?;
        Ok(Self { role: role(unit, &whole, maker).await?, token: Some(bounds), person: Some(maker) })
    }

    /// Whether an admin token carries a permission; a person carries all that the door lets through.
    pub(crate) fn carries(&self, permission: Permission) -> bool {
        self.token.as_ref().is_none_or(|token| token.permissions.contains(&permission))
    }

    /// Whether the caller has a permission in the whole organization.
    pub(crate) fn holds(&self, permission: Permission) -> bool {
        self.carries(permission) && permission.row().role(self.role) == Grant::All
    }

    /// Whether the caller may give these permissions to a token.
    pub(crate) fn gives(&self, permissions: &[Permission]) -> Result<()> {
        let lacking = permissions.iter().copied().find(|permission| !self.holds(*permission));
        lacking.map_or(Ok(()), |permission| Err(lacks(permission)))
    }

    /// Whether the caller may make a token that lives so long: a token's tokens end with it.
    pub(crate) fn gives_until(&self, end: Option<DateTime<Utc>>) -> Result<()> {
        let own = self.token.as_ref().and_then(|token| token.expires_at);
        let outlives = own.is_some_and(|own| end.is_none_or(|end| end > own));
        let refused = || Error::Forbidden("a token made with this one must not outlive it".into());
        if outlives { Err(refused()) } else { Ok(()) }
    }

    /// Whether the caller may give this role to somebody.
    pub(crate) fn gives_role(&self, role: Role) -> Result<()> {
        self.governs(role)?;
        let granted = |permission: &Permission| permission.row().role(role) == Grant::All;
        self.gives(&Permission::EVERY.iter().copied().filter(granted).collect::<Vec<_>>())
    }

    /// Whether the caller, who manages a team's members, may give this role in it: a person has what any role in the
    /// team grants, a token what it carries of that.
    pub(crate) fn gives_team_role(&self, role: TeamRole) -> Result<()> {
        let granted = |permission: &Permission| permission.row().team(role) == Grant::Team;
        let needed = Permission::EVERY.iter().copied().filter(granted).chain([Permission::TeamMembersWrite]);
        let lacking = needed.into_iter().find(|permission| !self.carries(*permission));
        lacking.map_or(Ok(()), |permission| Err(lacks(permission)))
    }

    /// Whether the caller may decide about somebody who has this role: about owners, owners alone.
    pub(crate) fn governs(&self, role: Role) -> Result<()> {
        let refused = || Error::Forbidden("only an owner decides about owners".into());
        if role == Role::Owner && self.role != Role::Owner { Err(refused()) } else { Ok(()) }
    }
}

fn lacks(permission: Permission) -> Error {
    Error::Forbidden(
        format!("the permission {} is missing, and cannot be handed on", permission.word()).into(),
    )
}

async fn role(unit: &Unit<'_>, whole: &Ctx, person: UserId) -> Result<Role> {
    let platform = unit.ctx.within(Scope::platform());
    let account =
        unit.read_in::<user_account::Entity>(&platform).first(user_account::Column::Id.eq(person)).await?;
    let place =
        unit.read_in::<membership::Entity>(whole).first(membership::Column::UserId.eq(person)).await?;
    let works = account.is_some_and(|account| account.status == Standing::Active);
    let active = place.filter(|place| works && place.status == Standing::Active);
    active.map(|place| place.role).ok_or(Error::Forbidden("the membership has ended or is suspended".into()))
}

/// The maker of an admin token, and what the token is narrowed to.
async fn token(unit: &Unit<'_>, whole: &Ctx, id: &str) -> Result<(UserId, TokenBounds)> {
    let id: AdminTokenId =
        id.parse().map_err(|_| Error::Forbidden("only a member hands on rights".into()))?;
    let row = unit.read_in::<admin_token::Entity>(whole).first(admin_token::Column::Id.eq(id)).await?;
    let row = row.ok_or(Error::Forbidden("the admin token was deleted".into()))?;
    let permissions = row.permissions.0.iter().filter_map(|word| Permission::from_word(word)).collect();
    Ok((row.created_by, TokenBounds { permissions, expires_at: row.expires_at }))
}

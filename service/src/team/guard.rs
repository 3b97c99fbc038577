//! A team that has members keeps an active admin among them. Whatever could take the last one away runs under the lock of
//! the team's row: of two admins who demote each other, one stays.

use super::in_team;
use crate::{
    Error, Result, Unit,
    authz::Permission,
    ceiling::Ceiling,
    scope::{Scope, is_limited},
};
use entity::{
    id::{TeamId, UserId},
    membership, organization,
    status::{Role, Standing, TeamRole},
    team::Entity,
    team_member, user_account,
};
use sea_orm::{
    ColumnTrait, Condition,
    sea_query::{Query, SimpleExpr},
};

/// Teams that one person administers and leaves at once.
const TEAMS: u64 = 10_000;

/// What happens to a person's place in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is no longer an admin's.
    Demotion,
    /// It ends.
    Departure,
}

/// Refuses a change that leaves the members of a team without an admin. A team that nobody stays in needs none.
pub(super) async fn keep_an_admin(
    unit: &Unit<'_>,
    (team, user): (TeamId, UserId),
    change: Change,
) -> Result<()> {
    let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
    unit.read_in::<Entity>(&whole).lock(team).await?;
    let members = || unit.read_in::<team_member::Entity>(&whole).narrow(in_team(team));
    let place = members().first(team_member::Column::UserId.eq(user)).await?;
    if place.is_none_or(|place| place.role != TeamRole::Admin) {
        return Ok(());
    }
    let others = || Condition::all().add(team_member::Column::UserId.ne(user));
    let admins = others().add(team_member::Column::Role.eq(TeamRole::Admin)).add(is_active(unit));
    if members().count(admins).await? > 0 {
        return Ok(());
    }
    if change == Change::Departure && members().count(others()).await? == 0 {
        return Ok(());
    }
    let message =
        format!("{team} would be left without an active admin: make another member its admin first");
    Err(Error::InvalidState("last_admin", message.into()))
}

/// The person is an active member of the organization, with an active account.
fn is_active(unit: &Unit<'_>) -> Condition {
    let members = Query::select()
        .column(membership::Column::UserId)
        .from(membership::Entity)
        .and_where(membership::Column::OrganizationId.eq(unit.ctx.scope.organization))
        .and_where(membership::Column::Status.eq(Standing::Active))
        .take();
    let accounts = Query::select()
        .column(user_account::Column::Id)
        .from(user_account::Entity)
        .and_where(user_account::Column::Status.eq(Standing::Active))
        .take();
    let person = team_member::Column::UserId;
    Condition::all().add(person.in_subquery(members)).add(person.in_subquery(accounts))
}

/// The same for a person who leaves every team with the organization. Call it before the membership is locked: teams are
/// locked before their members.
pub(crate) async fn keep_admins(unit: &Unit<'_>, user: UserId) -> Result<()> {
    let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
    let administers = Condition::all()
        .add(team_member::Column::UserId.eq(user))
        .add(team_member::Column::Role.eq(TeamRole::Admin));
    let places = unit.read_in::<team_member::Entity>(&whole).all(administers, TEAMS).await?;
    let mut teams: Vec<TeamId> = places.iter().map(|place| place.team_id).collect();
    teams.sort_unstable();
    for team in teams {
        keep_an_admin(unit, (team, user), Change::Departure).await?;
    }
    Ok(())
}

/// Who may suspend and resume a person: administrators of the organization everybody; administrators of teams the ordinary
/// members who are in their teams alone, and administer none. Who is in a team only because its administrators have added
/// them is not under these: nobody gets power over a person by adding them. Locks the organization.
pub(crate) async fn governor(unit: &Unit<'_>, user: UserId, visible: SimpleExpr) -> Result<Ceiling> {
    if !is_limited(unit.ctx) {
        return Ceiling::enter(unit, Permission::MembersWrite).await;
    }
    // Roles and places are read under the lock: nobody changes them until the unit ends.
    unit.read::<organization::Entity>().lock(unit.ctx.scope.organization).await?;
    let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
    let target = unit.read_in::<membership::Entity>(&whole).narrow(visible).find(user).await?;
    let own = team_member::Column::UserId.eq(user);
    let places = unit.read_in::<team_member::Entity>(&whole).all(own, TEAMS).await?;
    let teams: Vec<TeamId> = places.iter().map(|place| place.team_id).collect();
    let ceiling = Ceiling::enter_teams(unit, Permission::MembersWrite, &teams).await?;
    let ordinary = target.role == Role::Member && places.iter().all(|place| place.role == TeamRole::Member);
    let theirs = places.iter().any(|place| !place.added_by_team);
    if ordinary && theirs || ceiling.holds(Permission::MembersWrite) {
        return Ok(ceiling);
    }
    let message = "a team's administrator suspends members who administer nothing and came to the team by an invitation or \
        an administrator of the organization";
    Err(Error::Forbidden(message.into()))
}

//! Members: who belongs to an organization, and as what. An organization always keeps an active owner: whatever could take
//! the last one away runs under the organization's lock.

use crate::{
    Ctx, Error, Result, Turn, Unit,
    authz::Permission,
    ceiling::Ceiling,
    key::{self, Owner},
    page::{Page, PageRequest},
    repository::{Expected, Repository, View},
    scope::{Reach, Scope},
    team,
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    admin_token,
    id::{ServiceAccountId, TeamId, UserId},
    invitation,
    membership::{ActiveModel, Column, Entity, Model},
    organization, service_account,
    status::{ActorKind, KeyStatus, Role, Standing},
    team as teams, team_member, user_account, virtual_key,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DerivePartialModel,
    sea_query::{Expr, Query, SimpleExpr},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A person in an organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct Member {
    /// The person.
    pub user_id: UserId,
    /// The person's address.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// The person's name.
    #[schema(example = "Ada")]
    pub name: String,
    /// The role in the organization.
    pub role: Role,
    /// At work or suspended; a suspended member's keys are refused.
    pub status: Standing,
    /// For `If-Match`.
    pub version: i64,
    /// When the person joined.
    pub created_at: DateTime<Utc>,
    /// When the membership last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(MemberPage, Member);

/// A membership without the person.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
struct Place {
    user_id: UserId,
    role: Role,
    status: Standing,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl View for Place {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.user_id.uuid()
    }
}

/// What an organization sees of a person.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "user_account::Entity")]
pub(crate) struct Person {
    id: UserId,
    /// The address.
    pub(crate) email: String,
    /// The name.
    pub(crate) name: String,
}

impl View for Person {
    type Entity = user_account::Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// What to change of a membership.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberPatch {
    /// The role in the organization.
    pub role: Role,
}

/// Which members to list.
#[derive(Debug, Default)]
pub struct MemberFilter {
    /// Only with this role.
    pub role: Option<Role>,
    /// Only with this status.
    pub status: Option<Standing>,
}

/// What happens to the live keys of a person who goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeysOfMember {
    /// They are revoked.
    Revoke,
    /// They get another owner.
    Transfer,
}

/// How a person is removed.
#[derive(Debug, Default)]
pub struct Removal {
    /// What happens to live keys; without it they are in the way.
    pub keys: Option<KeysOfMember>,
    /// The team that gets them.
    pub team: Option<TeamId>,
    /// The member who gets them.
    pub user: Option<UserId>,
    /// The service account that gets them.
    pub service_account: Option<ServiceAccountId>,
}

/// How a person leaves.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Departure {
    /// `true` revokes the live keys that the person owns; without it they are in the way.
    pub revoke_keys: bool,
}

/// What becomes of keys, decided.
#[derive(Debug, Clone, Copy)]
enum Fate {
    InTheWay,
    Revoked,
    Given(Owner),
}

/// One page of the members.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: MemberFilter) -> Result<Page<Member>> {
    let condition = Condition::all()
        .add_option(filter.role.map(|role| Column::Role.eq(role)))
        .add_option(filter.status.map(|status| Column::Status.eq(status)));
    let whole = ctx.within(Scope::all(ctx.scope.organization));
    let members = whole.repository::<Entity>().narrow(visible(ctx));
    let Page { items, next_cursor } = members.list::<Place>(page, condition).await?;
    let people = people(ctx, &ctx.system.db.reader, items.iter().map(|place| place.user_id)).await?;
    Ok(Page { items: joined(items, people), next_cursor })
}

/// The members whom a caller may know: for who administers teams, the people in them. To change a membership is
/// another matter, and the repository's reach.
fn visible(ctx: &Ctx) -> SimpleExpr {
    let Reach::Limited { teams, .. } = &ctx.scope.reach else { return Expr::cust("1 = 1") };
    let in_teams = Query::select()
        .column(team_member::Column::UserId)
        .from(team_member::Entity)
        .and_where(team_member::Column::OrganizationId.eq(ctx.scope.organization))
        .and_where(team_member::Column::TeamId.is_in(teams.iter().copied()))
        .take();
    Column::UserId.in_subquery(in_teams)
}

/// What an organization sees of these people.
pub(crate) async fn people<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    ids: impl IntoIterator<Item = UserId>,
) -> Result<HashMap<UserId, Person>> {
    let platform = ctx.within(Scope::platform());
    let accounts = Repository::<user_account::Entity, C>::new(db, &platform);
    let people = accounts.views::<Person>(user_account::Column::Id.is_in(ids)).await?;
    Ok(people.into_iter().map(|person| (person.id, person)).collect())
}

/// One member.
pub async fn get(ctx: &Ctx, user: UserId) -> Result<Member> {
    let whole = ctx.within(Scope::all(ctx.scope.organization));
    let place = whole.repository::<Entity>().narrow(visible(ctx)).view::<Place>(user).await?;
    let platform = ctx.within(Scope::platform());
    let person = platform.repository::<user_account::Entity>().view::<Person>(user).await?;
    Ok(joined_one(place, person))
}

async fn view(unit: &Unit<'_>, user: UserId) -> Result<Member> {
    let place = unit.read::<Entity>().view::<Place>(user).await?;
    let platform = unit.ctx.within(Scope::platform());
    let person = unit.read_in::<user_account::Entity>(&platform).view::<Person>(user).await?;
    Ok(joined_one(place, person))
}

fn joined(places: Vec<Place>, mut people: HashMap<UserId, Person>) -> Vec<Member> {
    let join = |place: Place| people.remove(&place.user_id).map(|person| joined_one(place, person));
    places.into_iter().filter_map(join).collect()
}

fn joined_one(place: Place, person: Person) -> Member {
    Member {
        user_id: place.user_id,
        email: person.email,
        name: person.name,
        role: place.role,
        status: place.status,
        version: place.version,
        created_at: place.created_at,
        updated_at: place.updated_at,
    }
}

/// Changes a person's role.
pub async fn update(ctx: &Ctx, user: UserId, version: Option<i64>, patch: MemberPatch) -> Result<Member> {
    let current = ctx.repository::<Entity>().find(user).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    let ceiling = Ceiling::enter(&unit, Permission::MembersWrite).await?;
    let target = unit.read::<Entity>().lock(user).await?;
    ceiling.governs(target.role)?;
    ceiling.gives_role(patch.role)?;
    if patch.role != Role::Owner {
        keep_an_owner(&unit, &target).await?;
    }
    let changes = ActiveModel { role: Set(patch.role), ..Default::default() };
    unit.repository::<Entity>().update(user, expected, changes).await?;
    let view = view(&unit, user).await?;
    unit.commit(view).await
}

/// Suspends a membership: the person is kept out, and the person's keys are refused at once.
pub async fn suspend(ctx: &Ctx, user: UserId) -> Result<Member> {
    let whole = ctx.within(Scope::all(ctx.scope.organization));
    let unit = ctx.begin().await?;
    let ceiling = team::governor(&unit, user, visible(ctx)).await?;
    let unit = unit.within(&whole);
    let target = unit.read::<Entity>().lock(user).await?;
    ceiling.governs(target.role)?;
    keep_an_owner(&unit, &target).await?;
    done(unit, user, Turn::Suspend).await
}

/// Lets a suspended member work again.
pub async fn resume(ctx: &Ctx, user: UserId, version: Option<i64>) -> Result<Member> {
    let whole = ctx.within(Scope::all(ctx.scope.organization));
    let unit = ctx.begin().await?;
    let ceiling = team::governor(&unit, user, visible(ctx)).await?;
    let unit = unit.within(&whole);
    let target = unit.read::<Entity>().lock(user).await?;
    ceiling.gives_role(target.role)?;
    done(unit, user, Turn::Resume(version)).await
}

async fn done(mut unit: Unit<'_>, user: UserId, turn: Turn) -> Result<Member> {
    let changes = ActiveModel { status: Set(turn.standing()), ..Default::default() };
    unit.repository::<Entity>().turn(turn, user, changes).await?;
    let view = view(&unit, user).await?;
    unit.commit(view).await
}

/// Removes a person from the organization. Live keys are in the way, unless it is said what becomes of them.
pub async fn remove(ctx: &Ctx, user: UserId, version: Option<i64>, how: Removal) -> Result<()> {
    let current = ctx.repository::<Entity>().find(user).await?;
    let expected = Expected::new(version, current.version)?;
    let fate = how.fate(user)?;
    let mut unit = ctx.begin().await?;
    let ceiling = Ceiling::enter(&unit, Permission::MembersWrite).await?;
    team::keep_admins(&unit, user).await?;
    let target = unit.read::<Entity>().lock(user).await?;
    ceiling.governs(target.role)?;
    match fate {
        Fate::InTheWay => {}
        Fate::Revoked => ceiling.gives(&[Permission::KeysRevoke])?,
        Fate::Given(_) => ceiling.gives(&[Permission::KeysWrite])?,
    }
    part(&mut unit, &target, expected, fate).await?;
    unit.commit(()).await
}

/// Leaves the organization of the scope; answers with the membership as it was.
pub async fn leave(ctx: &Ctx, how: Departure) -> Result<Member> {
    let person = ctx.actor.user.filter(|_| ctx.actor.kind == ActorKind::User);
    let user = person.ok_or(Error::Forbidden("only a signed-in person can leave".into()))?;
    let mut unit = ctx.begin().await?;
    unit.read::<organization::Entity>().lock(ctx.scope.organization).await?;
    team::keep_admins(&unit, user).await?;
    let own = unit.read::<Entity>().lock(user).await?;
    let fate = if how.revoke_keys { Fate::Revoked } else { Fate::InTheWay };
    let view = view(&unit, user).await?;
    part(&mut unit, &own, Expected::Read(own.version), fate).await?;
    unit.commit(view).await
}

impl Removal {
    fn fate(self, leaver: UserId) -> Result<Fate> {
        let targets = [
            self.team.map(Owner::Team),
            self.user.map(Owner::User),
            self.service_account.map(Owner::ServiceAccount),
        ];
        let targets: Vec<Owner> = targets.into_iter().flatten().collect();
        let mut faults = Faults::default();
        let fate = match (self.keys, targets.as_slice()) {
            (None, []) => Fate::InTheWay,
            (Some(KeysOfMember::Revoke), []) => Fate::Revoked,
            (Some(KeysOfMember::Transfer), [Owner::User(user)]) if *user == leaver => {
                faults.add("?transfer_to_user_id", "invalid_value", "must be another person");
                Fate::InTheWay
            }
            (Some(KeysOfMember::Transfer), [owner]) => Fate::Given(*owner),
            _ => {
                let message =
                    "keys=transfer goes with exactly one new owner, and a new owner with keys=transfer";
                faults.add("?keys", "invalid_value", message);
                Fate::InTheWay
            }
        };
        faults.finish().map(|()| fate)
    }
}

/// Ends a membership with everything that hangs on it: keys, places in teams, admin tokens, open invitations. Nothing of
/// it comes back with the person.
async fn part(unit: &mut Unit<'_>, target: &Model, expected: Expected, fate: Fate) -> Result<()> {
    let user = target.user_id;
    keep_an_owner(unit, target).await?;
    settle_keys(unit, user, fate).await?;
    unit.repository::<team_member::Entity>().remove_all(team_member::Column::UserId.eq(user)).await?;
    key::block_keys_issued_to(unit, user, None).await?;
    let made = admin_token::Column::CreatedBy.eq(user);
    let tokens = unit.repository::<admin_token::Entity>().remove_all(made).await?;
    let makers = tokens.iter().map(|token| token.id.to_string()).chain([user.to_string()]);
    let open = Condition::all()
        .add(invitation::Column::CreatedBy.is_in(makers))
        .add(invitation::Column::AcceptedAt.is_null());
    let invitations = unit.repository::<invitation::Entity>().remove_all(open).await?;
    key::block_keys_of_invitations(unit, invitations.iter().map(|open| open.id)).await?;
    let tokens = tokens.iter().map(|token| token.id.uuid());
    let secrets: Vec<Uuid> = tokens.chain(invitations.iter().map(|open| open.id.uuid())).collect();
    unit.forget_all_replies(&secrets).await?;
    unit.repository::<Entity>().delete(user, expected).await.map(drop)
}

async fn settle_keys(unit: &mut Unit<'_>, user: UserId, fate: Fate) -> Result<()> {
    let of_user = virtual_key::Column::UserId.eq(user);
    let live = Condition::all().add(of_user).add(virtual_key::Column::Status.ne(KeyStatus::Revoked));
    match fate {
        Fate::Revoked => key::revoke_where(unit, live).await.map(drop),
        Fate::Given(owner) => {
            hold(unit, owner).await?;
            key::transfer_where(unit, live, owner).await.map(drop)
        }
        Fate::InTheWay => match unit.read::<virtual_key::Entity>().count(live).await? {
            0 => Ok(()),
            count => Err(Error::InUse { by: "keys", count }),
        },
    }
}

/// The new owner exists, and stays until the unit ends.
async fn hold(unit: &Unit<'_>, owner: Owner) -> Result<()> {
    match owner {
        Owner::Team(id) => unit.read::<teams::Entity>().hold(id).await.map(drop),
        Owner::User(id) => unit.read::<Entity>().hold(id).await.map(drop),
        Owner::ServiceAccount(id) => unit.read::<service_account::Entity>().hold(id).await.map(drop),
    }
}

/// Refuses to touch the last active owner. Call it under the organization's lock: whoever else could take an owner away
/// waits for it. Somebody whose account is suspended by the operator is no active owner.
async fn keep_an_owner(unit: &Unit<'_>, target: &Model) -> Result<()> {
    if target.role != Role::Owner {
        return Ok(());
    }
    let working = Query::select()
        .column(user_account::Column::Id)
        .from(user_account::Entity)
        .and_where(user_account::Column::Status.eq(Standing::Active))
        .take();
    let others = Condition::all()
        .add(Column::UserId.ne(target.user_id))
        .add(Column::Role.eq(Role::Owner))
        .add(Column::Status.eq(Standing::Active))
        .add(Column::UserId.in_subquery(working));
    if unit.read::<Entity>().count(others).await? > 0 {
        return Ok(());
    }
    Err(Error::InvalidState("last_owner", "the organization would be left without an active owner".into()))
}

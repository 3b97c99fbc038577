//! Teams: the groups inside an organization that own keys, and their members.

use crate::{
    Ctx, Error, Result, Turn, Unit,
    access::team_roles,
    ceiling::Ceiling,
    error::ConflictExt,
    head::PolicyKind,
    member::{Person, people},
    page::{Page, PageRequest},
    repository::{Expected, View},
    scope::is_limited,
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{TeamId, UserId},
    json::{Tags, Texts},
    provider_connection,
    status::{KeyStatus, Standing, TeamRole},
    team::{ActiveModel, Column, Entity},
    team_member, virtual_key,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DeriveIntoActiveModel, DerivePartialModel, IntoActiveModel,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

mod guard;

pub(crate) use guard::{governor, keep_admins};

/// A group inside an organization that owns keys.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Unique in its organization.
    #[schema(example = "search")]
    pub name: String,
    /// At work or suspended; a suspended team's keys are refused.
    pub status: Standing,
    /// Globs of models its keys may call; null = no restriction, [] = none.
    #[schema(required)]
    pub allowed_models: Option<Texts>,
    /// Longest life of a new key, in seconds; null = no restriction.
    #[schema(required)]
    pub max_key_lifetime: Option<i64>,
    /// Labels such as a cost centre.
    pub tags: Tags,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(TeamPage, Team);

impl View for Team {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// A team to make.
#[derive(Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel", set(status = "Standing::Active"))]
#[serde(deny_unknown_fields)]
pub struct NewTeam {
    /// Unique in its organization, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "search")]
    pub name: String,
    /// Globs of models its keys may call; absent or null = no restriction, [] = none.
    #[serde(default)]
    #[schema(example = json!(["gpt-4o*"]))]
    pub allowed_models: Option<Texts>,
    /// Longest life of a new key, in seconds; absent or null = no restriction.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 315_576_000_i64)]
    pub max_key_lifetime: Option<i64>,
    /// Labels.
    #[serde(default)]
    pub tags: Tags,
}

/// What to change of a team; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields, default)]
pub struct TeamPatch {
    /// Unique in its organization, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub name: Option<String>,
    /// Globs; null = no restriction, [] = none.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Texts>)]
    pub allowed_models: Option<Option<Texts>>,
    /// Seconds; null = no restriction.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 315_576_000_i64)]
    pub max_key_lifetime: Option<Option<i64>>,
    /// Labels, all of them.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub tags: Option<Tags>,
}

/// Which teams to list.
#[derive(Debug, Default)]
pub struct TeamFilter {
    /// Only with this status.
    pub status: Option<Standing>,
    /// Only whose name begins so.
    pub name_prefix: Option<String>,
}

/// What happens to the live keys of a team that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cascade {
    /// They are revoked.
    Revoke,
}

/// Makes a team.
pub async fn create(ctx: &Ctx, new: NewTeam) -> Result<Team> {
    let mut faults = Faults::default();
    faults.name("/name", &new.name);
    faults.globs("/allowed_models", new.allowed_models.as_ref());
    faults.lifetime("/max_key_lifetime", new.max_key_lifetime);
    faults.tags("/tags", &new.tags);
    faults.finish()?;
    let name = new.name.clone();
    let mut unit = ctx.begin().await?;
    let id: TeamId = unit.id();
    let row = ActiveModel { id: Set(id), ..new.into_active_model() };
    unit.repository::<Entity>().insert(row).await.conflict("team", &name)?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// One page of the teams within reach.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: TeamFilter) -> Result<Page<Team>> {
    let condition = Condition::all()
        .add_option(filter.status.map(|status| Column::Status.eq(status)))
        .add_option(filter.name_prefix.map(|prefix| crate::validate::starts_with(Column::Name, &prefix)));
    ctx.repository::<Entity>().list(page, condition).await
}

/// One team.
pub async fn get(ctx: &Ctx, id: TeamId) -> Result<Team> {
    ctx.repository::<Entity>().view(id).await
}

/// Changes a team.
pub async fn update(ctx: &Ctx, id: TeamId, version: Option<i64>, patch: TeamPatch) -> Result<Team> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut faults = Faults::default();
    if let Some(name) = &patch.name {
        faults.name("/name", name);
    }
    faults.globs("/allowed_models", patch.allowed_models.as_ref().and_then(Option::as_ref));
    faults.lifetime("/max_key_lifetime", patch.max_key_lifetime.flatten());
    if let Some(tags) = &patch.tags {
        faults.tags("/tags", tags);
    }
    faults.finish()?;
    let name = patch.name.clone().unwrap_or_default();
    let mut unit = ctx.begin().await?;
    unit.repository::<Entity>()
        .update(id, expected, patch.into_active_model())
        .await
        .conflict("team", &name)?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// Suspends a team, or lets it work again. Its keys follow at once.
pub async fn turn(ctx: &Ctx, id: TeamId, turn: Turn) -> Result<Team> {
    let mut unit = ctx.begin().await?;
    let changes = ActiveModel { status: Set(turn.standing()), ..Default::default() };
    unit.repository::<Entity>().turn(turn, id, changes).await?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// Deletes a team. Live keys are in the way, unless they are to be revoked with it; its connections always are.
pub async fn delete(ctx: &Ctx, id: TeamId, version: Option<i64>, cascade: Option<Cascade>) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    // The team is locked first: a key that is being made for it waits, and then finds it gone.
    unit.read::<Entity>().lock(id).await?;
    let connections = provider_connection::Column::TeamId.eq(id);
    let count = unit.read::<provider_connection::Entity>().count(connections).await?;
    if count > 0 {
        return Err(Error::InUse { by: "connections", count });
    }
    let of_team = virtual_key::Column::TeamId.eq(id);
    let live = Condition::all().add(of_team).add(virtual_key::Column::Status.ne(KeyStatus::Revoked));
    if cascade.is_none() {
        let count = unit.read::<virtual_key::Entity>().count(live).await?;
        if count > 0 {
            return Err(Error::InUse { by: "keys", count });
        }
    } else {
        crate::key::revoke_where(&mut unit, live).await?;
    }
    unit.repository::<team_member::Entity>().remove_all(team_member::Column::TeamId.eq(id)).await?;
    let changes = ActiveModel { status: Set(Standing::Deleted), ..Default::default() };
    unit.repository::<Entity>().update(id, expected, changes).await?;
    unit.commit(()).await
}

/// A person's place in a team.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "team_member::Entity")]
pub struct TeamMember {
    /// The team.
    pub team_id: TeamId,
    /// The person.
    pub user_id: UserId,
    /// The person's address; null for who may not know it: others who neither administer the team nor read members.
    #[schema(required, example = "ada@example.com")]
    #[sea_orm(skip)]
    pub email: Option<String>,
    /// The person's name; null as the address is.
    #[schema(required, example = "Ada")]
    #[sea_orm(skip)]
    pub name: Option<String>,
    /// The role in the team.
    pub role: TeamRole,
    /// For `If-Match`.
    pub version: i64,
    /// When the person joined.
    pub created_at: DateTime<Utc>,
    /// When the role last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(TeamMemberPage, TeamMember);

impl View for TeamMember {
    type Entity = team_member::Entity;
    fn cursor(&self) -> Uuid {
        self.user_id.uuid()
    }
}

/// A person to add to a team.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTeamMember {
    /// The person, a member of the organization.
    pub user_id: UserId,
    /// The role in the team.
    pub role: TeamRole,
}

/// What to change of a person's place in a team.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamMemberPatch {
    /// The role in the team.
    pub role: TeamRole,
}

/// Adds a member of the organization to a team.
pub async fn add_member(ctx: &Ctx, team: TeamId, new: NewTeamMember) -> Result<TeamMember> {
    // Who is in the organization is not limited by the caller's teams.
    let everyone = ctx.within(crate::scope::Scope::all(ctx.scope.organization));
    let mut unit = ctx.begin().await?;
    unit.read::<Entity>().hold(team).await?;
    Ceiling::read(&unit).await?.gives_team_role(new.role)?;
    // The membership is held: whoever removes the person waits, and then finds the place in the team.
    unit.read_in::<entity::membership::Entity>(&everyone).hold(new.user_id).await?;
    let row = team_member::ActiveModel {
        team_id: Set(team),
        user_id: Set(new.user_id),
        role: Set(new.role),
        added_by_team: Set(is_limited(ctx)),
        ..Default::default()
    };
    let added = unit.repository::<team_member::Entity>().insert(row).await;
    added.conflict("team member", &new.user_id.to_string())?;
    // What is remembered of the person says which teams they are in.
    unit.policy(PolicyKind::Member, new.user_id.into());
    let view = view_member(&unit, team, new.user_id).await?;
    unit.commit(view).await
}

/// One page of a team's members.
pub async fn list_members(ctx: &Ctx, team: TeamId, page: &PageRequest) -> Result<Page<TeamMember>> {
    ctx.repository::<Entity>().find(team).await?;
    let members = ctx.repository::<team_member::Entity>().narrow(in_team(team));
    let mut found = members.list(page, Condition::all()).await?;
    introduce(ctx, team, &mut found.items).await?;
    Ok(found)
}

/// Puts names to the members of a team, for who may know them; oneself everybody knows.
async fn introduce(ctx: &Ctx, team: TeamId, members: &mut [TeamMember]) -> Result<()> {
    let all = !is_limited(ctx) || administers(ctx, team).await?;
    let known =
        members.iter().map(|member| member.user_id).filter(|user| all || ctx.actor.user == Some(*user));
    let people = people(ctx, &ctx.system.db.reader, known.collect::<Vec<_>>()).await?;
    name_all(members, people);
    Ok(())
}

fn name_all(members: &mut [TeamMember], mut people: HashMap<UserId, Person>) {
    for member in members {
        if let Some(Person { email, name, .. }) = people.remove(&member.user_id) {
            (member.email, member.name) = (Some(email), Some(name));
        }
    }
}

/// Whether the person who asks is an admin of a team.
async fn administers(ctx: &Ctx, team: TeamId) -> Result<bool> {
    let Some(user) = ctx.actor.user else { return Ok(false) };
    let roles = team_roles(&ctx.system, ctx.scope.organization, user).await?;
    Ok(roles.contains(&(team, TeamRole::Admin)))
}

/// A place as a unit has left it, for who manages the team's members.
async fn view_member(unit: &Unit<'_>, team: TeamId, user: UserId) -> Result<TeamMember> {
    let mut members =
        [unit.read::<team_member::Entity>().narrow(in_team(team)).view::<TeamMember>(user).await?];
    name_all(&mut members, people(unit.ctx, &unit.tx, [user]).await?);
    let [member] = members;
    Ok(member)
}

/// One member of a team.
pub async fn get_member(ctx: &Ctx, team: TeamId, user: UserId) -> Result<TeamMember> {
    let members = ctx.repository::<team_member::Entity>().narrow(in_team(team));
    let mut found = [members.view::<TeamMember>(user).await?];
    introduce(ctx, team, &mut found).await?;
    let [member] = found;
    Ok(member)
}

/// Changes a person's role in a team.
pub async fn update_member(
    ctx: &Ctx,
    (team, user): (TeamId, UserId),
    version: Option<i64>,
    patch: TeamMemberPatch,
) -> Result<TeamMember> {
    let current = ctx.repository::<team_member::Entity>().narrow(in_team(team)).find(user).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    Ceiling::read(&unit).await?.gives_team_role(patch.role)?;
    if patch.role != TeamRole::Admin {
        guard::keep_an_admin(&unit, (team, user), guard::Change::Demotion).await?;
    }
    let changes = team_member::ActiveModel { role: Set(patch.role), ..Default::default() };
    unit.repository::<team_member::Entity>().narrow(in_team(team)).update(user, expected, changes).await?;
    let view = view_member(&unit, team, user).await?;
    unit.commit(view).await
}

/// Takes a person out of a team.
pub async fn remove_member(ctx: &Ctx, (team, user): (TeamId, UserId), version: Option<i64>) -> Result<()> {
    let current = ctx.repository::<team_member::Entity>().narrow(in_team(team)).find(user).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    guard::keep_an_admin(&unit, (team, user), guard::Change::Departure).await?;
    unit.repository::<team_member::Entity>().narrow(in_team(team)).delete(user, expected).await?;
    crate::key::block_keys_issued_to(&mut unit, user, Some(team)).await?;
    unit.commit(()).await
}

fn in_team(team: TeamId) -> sea_orm::sea_query::SimpleExpr {
    team_member::Column::TeamId.eq(team)
}

//! `/v1/organizations/{organization}/teams`: teams and their members.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, Create, IfMatch, Json, Path, Query,
        json::{Created, NoContent, Nothing, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use entity::{
    id::{TeamId, UserId},
    status::Standing,
};
use serde::Deserialize;
use service::{
    Turn,
    authz::permit,
    page::Page,
    team::{
        self, Cascade, NewTeam, NewTeamMember, Team, TeamFilter, TeamMember, TeamMemberPage, TeamMemberPatch,
        TeamPage, TeamPatch,
    },
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_team, list_teams))
        .routes(routes!(get_team, update_team, delete_team))
        .routes(routes!(suspend_team))
        .routes(routes!(resume_team))
        .routes(routes!(add_team_member, list_team_members))
        .routes(routes!(get_team_member, update_team_member, remove_team_member))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct TeamPath {
    /// The team.
    team: TeamId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MemberPath {
    /// The team.
    team: TeamId,
    /// The person.
    user: UserId,
}

list_query! {
    /// Which teams to list.
    TeamQuery {
        /// Only with this status.
        #[param(inline)]
        status: Standing,
        /// Only whose name begins so.
        name_prefix: String,
    }
}

list_query! {
    /// Which page of a team's members.
    TeamMemberQuery {}
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeleteQuery {
    /// What happens to the team's live keys; without it they are in the way.
    #[param(inline)]
    cascade: Option<Cascade>,
}

/// Make a team
///
/// A team owns keys and can be given models that its keys may call.
#[utoipa::path(post, path = "/v1/organizations/{organization}/teams", tag = "teams", request_body = NewTeam,
    responses((status = 201, description = "The team.", body = Team),
              (status = 409, description = "`duplicate`: a team of this name exists.")))]
async fn create_team(allow: Allow<permit::TeamsWrite>, Once(new): Create<NewTeam>) -> Result<Created<Team>> {
    Ok(Created(team::create(&allow, new).await?))
}

/// List teams
///
/// The teams within the caller's reach.
#[utoipa::path(get, path = "/v1/organizations/{organization}/teams", tag = "teams", params(TeamQuery),
    responses((status = 200, description = "One page.", body = TeamPage)))]
async fn list_teams(
    allow: Allow<permit::TeamsRead>,
    Query(query): Query<TeamQuery>,
) -> Result<Json<Page<Team>>> {
    let page = query.page();
    let filter = TeamFilter { status: query.status, name_prefix: query.name_prefix };
    Ok(Json(team::list(&allow, &page, filter).await?))
}

/// Read a team
///
/// Its keys are found with `?team_id=` in the list of keys.
#[utoipa::path(get, path = "/v1/organizations/{organization}/teams/{team}", tag = "teams", params(TeamPath),
    responses((status = 200, description = "The team.", body = Team)))]
async fn get_team(allow: Allow<permit::TeamsRead>, Path(path): Path<TeamPath>) -> Result<Json<Team>> {
    Ok(Json(team::get(&allow, path.team).await?))
}

/// Change a team
///
/// An absent field is kept; `null` clears a field that can be cleared.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/teams/{team}", tag = "teams", params(TeamPath),
    request_body = TeamPatch,
    responses((status = 200, description = "The team as it is now.", body = Team),
              (status = 409, description = "`duplicate`: a team of this name exists.")))]
async fn update_team(
    allow: Allow<permit::TeamsWrite>,
    Path(path): Path<TeamPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<TeamPatch>,
) -> Result<Json<Team>> {
    Ok(Json(team::update(&allow, path.team, version, patch).await?))
}

/// Delete a team
///
/// A team with live keys is not deleted unless `cascade=revoke` revokes them with it.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/teams/{team}", tag = "teams",
    params(TeamPath, DeleteQuery),
    responses((status = 204, description = "Deleted."),
              (status = 409, description = "`in_use`: the team has live keys.")))]
async fn delete_team(
    allow: Allow<permit::TeamsWrite>,
    Path(path): Path<TeamPath>,
    Query(query): Query<DeleteQuery>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    team::delete(&allow, path.team, version, query.cascade).await?;
    Ok(NoContent)
}

/// Suspend a team
///
/// Its keys are refused by every instance when this returns.
#[utoipa::path(post, path = "/v1/organizations/{organization}/teams/{team}/suspend", tag = "teams", params(TeamPath),
    responses((status = 200, description = "The team as it is now.", body = Team)))]
async fn suspend_team(
    allow: Allow<permit::TeamsWrite>,
    Path(path): Path<TeamPath>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Team>> {
    Ok(Json(team::turn(&allow, path.team, Turn::Suspend).await?))
}

/// Resume a team
///
/// Its keys work again.
#[utoipa::path(post, path = "/v1/organizations/{organization}/teams/{team}/resume", tag = "teams", params(TeamPath),
    responses((status = 200, description = "The team as it is now.", body = Team)))]
async fn resume_team(
    allow: Allow<permit::TeamsWrite>,
    Path(path): Path<TeamPath>,
    IfMatch(version): IfMatch,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Team>> {
    Ok(Json(team::turn(&allow, path.team, Turn::Resume(version)).await?))
}

/// Add a person to a team
///
/// The person must be a member of the organization.
#[utoipa::path(post, path = "/v1/organizations/{organization}/teams/{team}/members", tag = "teams", params(TeamPath),
    request_body = NewTeamMember,
    responses((status = 201, description = "The person's place in the team.", body = TeamMember),
              (status = 409, description = "`duplicate`: the person is in the team.")))]
async fn add_team_member(
    allow: Allow<permit::TeamMembersWrite>,
    Path(path): Path<TeamPath>,
    Once(new): Create<NewTeamMember>,
) -> Result<Created<TeamMember>> {
    Ok(Created(team::add_member(&allow, path.team, new).await?))
}

/// List a team's members
///
/// Each with the role in this team; with names and addresses for its admins, and for who reads the organization's members.
#[utoipa::path(get, path = "/v1/organizations/{organization}/teams/{team}/members", tag = "teams",
    params(TeamPath, TeamMemberQuery),
    responses((status = 200, description = "One page.", body = TeamMemberPage)))]
async fn list_team_members(
    allow: Allow<permit::TeamMembersRead>,
    Path(path): Path<TeamPath>,
    Query(query): Query<TeamMemberQuery>,
) -> Result<Json<Page<TeamMember>>> {
    Ok(Json(team::list_members(&allow, path.team, &query.page()).await?))
}

/// Read a person's place in a team
///
/// A person can be in several teams, with a role in each.
#[utoipa::path(get, path = "/v1/organizations/{organization}/teams/{team}/members/{user}", tag = "teams",
    params(MemberPath),
    responses((status = 200, description = "The person's place in the team.", body = TeamMember)))]
async fn get_team_member(
    allow: Allow<permit::TeamMembersRead>,
    Path(path): Path<MemberPath>,
) -> Result<Json<TeamMember>> {
    Ok(Json(team::get_member(&allow, path.team, path.user).await?))
}

/// Change a person's role in a team
///
/// An admin of a team issues its keys and manages its members. The last active admin stays one.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/teams/{team}/members/{user}", tag = "teams",
    params(MemberPath), request_body = TeamMemberPatch,
    responses((status = 200, description = "The person's place in the team.", body = TeamMember),
              (status = 409, description = "`last_admin`: the team has no other active admin.")))]
async fn update_team_member(
    allow: Allow<permit::TeamMembersWrite>,
    Path(path): Path<MemberPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<TeamMemberPatch>,
) -> Result<Json<TeamMember>> {
    Ok(Json(team::update_member(&allow, (path.team, path.user), version, patch).await?))
}

/// Take a person out of a team
///
/// The person stays in the organization, and the team's keys stay with the team. The last active admin goes last.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/teams/{team}/members/{user}", tag = "teams",
    params(MemberPath),
    responses((status = 204, description = "The person is not in the team."),
              (status = 409, description = "`last_admin`: others would be left in the team without an active admin.")))]
async fn remove_team_member(
    allow: Allow<permit::TeamMembersWrite>,
    Path(path): Path<MemberPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    team::remove_member(&allow, (path.team, path.user), version).await?;
    Ok(NoContent)
}

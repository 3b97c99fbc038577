//! `/v1/organizations/{organization}/members`: who belongs to the organization, and as what.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, IfMatch, Json, Path, Query,
        json::{NoContent, Nothing, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use entity::{
    id::{ServiceAccountId, TeamId, UserId},
    status::{Role, Standing},
};
use serde::Deserialize;
use service::{
    authz::permit,
    member::{self, Departure, KeysOfMember, Member, MemberFilter, MemberPage, MemberPatch, Removal},
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_members))
        .routes(routes!(get_member, update_member, remove_member))
        .routes(routes!(suspend_member))
        .routes(routes!(resume_member))
        .routes(routes!(leave_organization))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MemberPath {
    /// The person.
    user: UserId,
}

list_query! {
    /// Which members to list.
    MemberQuery {
        /// Only with this role.
        #[param(inline)]
        role: Role,
        /// Only with this status.
        #[param(inline)]
        status: Standing,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RemovalQuery {
    /// What happens to the live keys that the person owns; without it they are in the way.
    #[param(inline)]
    keys: Option<KeysOfMember>,
    /// With `keys=transfer`: the team that gets them.
    transfer_to_team_id: Option<TeamId>,
    /// With `keys=transfer`: the member who gets them.
    transfer_to_user_id: Option<UserId>,
    /// With `keys=transfer`: the service account that gets them.
    transfer_to_service_account_id: Option<ServiceAccountId>,
}

impl From<RemovalQuery> for Removal {
    fn from(query: RemovalQuery) -> Self {
        Self {
            keys: query.keys,
            team: query.transfer_to_team_id,
            user: query.transfer_to_user_id,
            service_account: query.transfer_to_service_account_id,
        }
    }
}

/// List members
///
/// People with their roles, suspended ones as well. Who administers teams sees the people in them.
#[utoipa::path(get, path = "/v1/organizations/{organization}/members", tag = "members", params(MemberQuery),
    responses((status = 200, description = "One page.", body = MemberPage)))]
async fn list_members(
    allow: Allow<permit::MembersRead>,
    Query(query): Query<MemberQuery>,
) -> Result<Json<Page<Member>>> {
    let page = query.page();
    let filter = MemberFilter { role: query.role, status: query.status };
    Ok(Json(member::list(&allow, &page, filter).await?))
}

/// Read a member
///
/// The person's role and standing in this organization.
#[utoipa::path(get, path = "/v1/organizations/{organization}/members/{user}", tag = "members", params(MemberPath),
    responses((status = 200, description = "The member.", body = Member)))]
async fn get_member(allow: Allow<permit::MembersRead>, Path(path): Path<MemberPath>) -> Result<Json<Member>> {
    Ok(Json(member::get(&allow, path.user).await?))
}

/// Change a member's role
///
/// Nobody gives more than they have, and only owners decide about owners. The last active owner stays one.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/members/{user}", tag = "members",
    params(MemberPath), request_body = MemberPatch,
    responses((status = 200, description = "The member as it is now.", body = Member),
              (status = 409, description = "`last_owner`: nobody else is an active owner.")))]
async fn update_member(
    allow: Allow<permit::MembersWrite>,
    Path(path): Path<MemberPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<MemberPatch>,
) -> Result<Json<Member>> {
    Ok(Json(member::update(&allow, path.user, version, patch).await?))
}

/// Remove a member
///
/// With the membership go the person's places in teams, admin tokens and open invitations. A person who owns live keys
/// is not removed unless `keys` says what becomes of them.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/members/{user}", tag = "members",
    params(MemberPath, RemovalQuery),
    responses((status = 204, description = "Removed."),
              (status = 409, description = "`in_use`: the person owns live keys. `last_owner`: nobody else is an \
               active owner. `last_admin`: others would be left in a team without an active admin."),
              (status = 422, description = "`invalid`: `keys` and the new owner do not go together.")))]
async fn remove_member(
    allow: Allow<permit::MembersWrite>,
    Path(path): Path<MemberPath>,
    Query(query): Query<RemovalQuery>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    member::remove(&allow, path.user, version, query.into()).await?;
    Ok(NoContent)
}

/// Suspend a member
///
/// The person is kept out of the organization, and the person's keys are refused by every instance when this returns. Who
/// administers teams suspends ordinary members who are in these teams alone.
#[utoipa::path(post, path = "/v1/organizations/{organization}/members/{user}/suspend", tag = "members",
    params(MemberPath),
    responses((status = 200, description = "The member as it is now.", body = Member),
              (status = 409, description = "`last_owner`: nobody else is an active owner.")))]
async fn suspend_member(
    allow: Allow<permit::MembersWrite>,
    Path(path): Path<MemberPath>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Member>> {
    Ok(Json(member::suspend(&allow, path.user).await?))
}

/// Resume a member
///
/// The person is let in, and the person's keys work again.
#[utoipa::path(post, path = "/v1/organizations/{organization}/members/{user}/resume", tag = "members",
    params(MemberPath),
    responses((status = 200, description = "The member as it is now.", body = Member)))]
async fn resume_member(
    allow: Allow<permit::MembersWrite>,
    Path(path): Path<MemberPath>,
    IfMatch(version): IfMatch,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Member>> {
    Ok(Json(member::resume(&allow, path.user, version).await?))
}

/// Leave an organization
///
/// For signed-in people. The last active owner stays, and so does whoever owns live keys and does not revoke them.
#[utoipa::path(post, path = "/v1/organizations/{organization}/members/leave", tag = "members",
    request_body = Departure,
    responses((status = 200, description = "The membership as it was.", body = Member),
              (status = 409, description = "`in_use`: the person owns live keys. `last_owner`: nobody else is an \
               active owner. `last_admin`: others would be left in a team without an active admin.")))]
async fn leave_organization(
    allow: Allow<permit::OrganizationRead>,
    Once(how): Act<Departure>,
) -> Result<Json<Member>> {
    Ok(Json(member::leave(&allow, how).await?))
}

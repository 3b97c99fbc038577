//! `/v1/organizations/{organization}/limits`: who may have how much of what, per when.

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
    id::{LimitId, TeamId},
    status::{Metric, SubjectKind},
};
use serde::Deserialize;
use service::{
    authz::permit,
    limit::{
        self, Limit, LimitFilter, LimitPage, LimitPatch, LimitWindow, LimitWindowPage, NewLimit, SubjectId,
    },
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_limit, list_limits))
        .routes(routes!(get_limit, update_limit, delete_limit))
        .routes(routes!(list_limit_windows))
        .routes(routes!(reset_limit))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct LimitPath {
    /// The limit.
    limit: LimitId,
}

list_query! {
    /// Which limits to list.
    LimitQuery {
        /// Only on things of this kind.
        #[param(inline)]
        subject_kind: SubjectKind,
        /// Only on this thing; of a person, those on the user and those on the member of a team.
        subject_id: SubjectId,
        /// Only on members of this team in it.
        team_id: TeamId,
        /// Only those that count this.
        #[param(inline)]
        metric: Metric,
    }
}

impl From<LimitQuery> for LimitFilter {
    fn from(query: LimitQuery) -> Self {
        let LimitQuery { subject_kind, subject_id, team_id, metric, .. } = query;
        Self { subject_kind, subject_id, team_id, metric }
    }
}

list_query! {
    /// Which page of a limit's windows.
    WindowQuery {}
}

/// Make a limit
///
/// It counts from now on. Several limits may be on one thing: a call must fit all of them. What a limit counts, for whom
/// and per when never changes. Who administers a team makes limits on the keys of the team and on its members in it.
#[utoipa::path(post, path = "/v1/organizations/{organization}/limits", tag = "limits", request_body = NewLimit,
    responses((status = 201, description = "The limit.", body = Limit),
              (status = 409, description = "`too_many_limits`: there are 64 on that thing already."),
              (status = 422, description = "`not_supported` on a field: the server cannot keep such a limit yet.")))]
async fn create_limit(
    allow: Allow<permit::LimitsWrite>,
    Once(new): Create<NewLimit>,
) -> Result<Created<Limit>> {
    Ok(Created(limit::create(&allow, new).await?))
}

/// List limits
///
/// The limits within the caller's reach that meet every filter. Deleted limits are not listed.
#[utoipa::path(get, path = "/v1/organizations/{organization}/limits", tag = "limits", params(LimitQuery),
    responses((status = 200, description = "One page.", body = LimitPage)))]
async fn list_limits(
    allow: Allow<permit::LimitsRead>,
    Query(query): Query<LimitQuery>,
) -> Result<Json<Page<Limit>>> {
    let page = query.page();
    Ok(Json(limit::list(&allow, &page, query.into()).await?))
}

/// Read a limit
///
/// One within the caller's reach. What it has counted is in its windows.
#[utoipa::path(get, path = "/v1/organizations/{organization}/limits/{limit}", tag = "limits", params(LimitPath),
    responses((status = 200, description = "The limit.", body = Limit)))]
async fn get_limit(allow: Allow<permit::LimitsRead>, Path(path): Path<LimitPath>) -> Result<Json<Limit>> {
    Ok(Json(limit::get(&allow, path.limit).await?))
}

/// Change a limit
///
/// Its amount and its mode, at once and on every instance; what has been counted stays. Everything else about a limit is
/// its shape: a limit of another shape is another limit, so make that and delete this. What the organization has set, an
/// administrator of a team leaves alone.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/limits/{limit}", tag = "limits", params(LimitPath),
    request_body = LimitPatch,
    responses((status = 200, description = "The limit as it is now.", body = Limit),
              (status = 428, description = "`precondition_required`: `If-Match` is missing.")))]
async fn update_limit(
    allow: Allow<permit::LimitsWrite>,
    Path(path): Path<LimitPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<LimitPatch>,
) -> Result<Json<Limit>> {
    Ok(Json(limit::update(&allow, path.limit, version, patch).await?))
}

/// Delete a limit
///
/// It binds nobody from then on. What the organization has set, an administrator of a team leaves alone.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/limits/{limit}", tag = "limits", params(LimitPath),
    responses((status = 204, description = "Deleted."),
              (status = 428, description = "`precondition_required`: `If-Match` is missing.")))]
async fn delete_limit(
    allow: Allow<permit::LimitsWrite>,
    Path(path): Path<LimitPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    limit::delete(&allow, path.limit, version).await?;
    Ok(NoContent)
}

/// List a limit's windows
///
/// What it has counted in each window in which it counted anything, the latest first. What counts is
/// `used` − `adjusted` + `held`.
#[utoipa::path(get, path = "/v1/organizations/{organization}/limits/{limit}/windows", tag = "limits",
    params(LimitPath, WindowQuery),
    responses((status = 200, description = "One page.", body = LimitWindowPage)))]
async fn list_limit_windows(
    allow: Allow<permit::LimitsRead>,
    Path(path): Path<LimitPath>,
    Query(query): Query<WindowQuery>,
) -> Result<Json<Page<LimitWindow>>> {
    Ok(Json(limit::list_windows(&allow, path.limit, &query.page()).await?))
}

/// Reset a limit
///
/// Forgives what its current window has used so far. What calls hold whose use is not known yet goes on counting, and
/// what was used stays on record. What the organization has set, an administrator of a team leaves alone.
#[utoipa::path(post, path = "/v1/organizations/{organization}/limits/{limit}/reset", tag = "limits",
    params(LimitPath), request_body = Nothing,
    responses((status = 200, description = "The current window.", body = LimitWindow),
              (status = 409, description = "`nothing_to_reset`: it limits each call by itself, or open calls.")))]
async fn reset_limit(
    allow: Allow<permit::LimitsWrite>,
    Path(path): Path<LimitPath>,
    _: Act<Nothing>,
) -> Result<Json<LimitWindow>> {
    Ok(Json(limit::reset(&allow, path.limit).await?))
}

//! `/v1/organizations/{organization}/usage/events`, and the totals of keys, teams and connections: what calls used and cost.

use crate::{
    document::OpenApiRouter,
    extract::{Allow, Json, Path, Query},
    list_query,
    problem::Result,
    state::AppState,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, KeyId, TeamId, UsageEventId},
    status::UsageStatus,
};
use serde::Deserialize;
use service::{
    authz::permit,
    page::Page,
    usage::{self, ItemizedUsageEvent, UsageEvent, UsageEventPage, UsageFilter, UsageRange, UsageTotals},
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_usage_events))
        .routes(routes!(get_usage_event))
        .routes(routes!(get_key_usage))
        .routes(routes!(get_team_usage))
        .routes(routes!(get_connection_usage))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct EventPath {
    /// The event.
    event: UsageEventId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct KeyPath {
    /// The key.
    key: KeyId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct TeamPath {
    /// The team.
    team: TeamId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ConnectionPath {
    /// The connection.
    connection: ConnectionId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AttemptQuery {
    /// Which attempt of the call; absent = the first.
    #[param(minimum = 0, default = 0)]
    attempt: Option<u32>,
}

list_query! {
    /// Which usage events to list.
    UsageQuery {
        /// Only of this key.
        key_id: KeyId,
        /// Only of keys that this team owned then.
        team_id: TeamId,
        /// Only those that this connection served.
        connection_id: ConnectionId,
        /// Only of this model, as the client called it or with every alias followed.
        #[param(example = "gpt-4o-mini")]
        model: String,
        /// Only those that went so.
        #[param(inline)]
        status: UsageStatus,
        /// Only of calls that were made at this moment or later, by the time in their ids.
        from: DateTime<Utc>,
        /// Only of calls that were made before this moment, by the time in their ids.
        to: DateTime<Utc>,
    }
}

impl From<UsageQuery> for UsageFilter {
    fn from(query: UsageQuery) -> Self {
        let UsageQuery { key_id, team_id, connection_id, model, status, from, to, .. } = query;
        Self { key_id, team_id, connection_id, model, status, from, to }
    }
}

/// List usage events
///
/// What attempts of calls used and cost, the latest call first. `from` and `to` go by when a call was made, which stands
/// in its id; it may have become known later.
#[utoipa::path(get, path = "/v1/organizations/{organization}/usage/events", tag = "usage", params(UsageQuery),
    responses((status = 200, description = "One page.", body = UsageEventPage)))]
async fn list_usage_events(
    allow: Allow<permit::UsageRead>,
    Query(query): Query<UsageQuery>,
) -> Result<Json<Page<UsageEvent>>> {
    let page = query.page();
    Ok(Json(usage::list(&allow, &page, query.into()).await?))
}

/// Read a usage event with its bill
///
/// The cost, worked out again line by line at the price that the call was charged by. A usage object that could not be read
/// exactly is shown for 90 days.
#[utoipa::path(get, path = "/v1/organizations/{organization}/usage/events/{event}", tag = "usage",
    params(EventPath, AttemptQuery),
    responses((status = 200, description = "The event.", body = ItemizedUsageEvent)))]
async fn get_usage_event(
    allow: Allow<permit::UsageRead>,
    Path(path): Path<EventPath>,
    Query(query): Query<AttemptQuery>,
) -> Result<Json<ItemizedUsageEvent>> {
    Ok(Json(usage::get(&allow, path.event, query.attempt).await?))
}

/// Add up the usage of a key
///
/// What its calls used and cost over some hours, or ever. An event counts in the hour in which it became known.
#[utoipa::path(get, path = "/v1/organizations/{organization}/keys/{key}/usage", tag = "usage",
    params(KeyPath, UsageRange),
    responses((status = 200, description = "The totals.", body = UsageTotals),
              (status = 422, description = "`not_aligned`: `from` or `to` is no full hour in UTC.")))]
async fn get_key_usage(
    allow: Allow<permit::UsageRead>,
    Path(path): Path<KeyPath>,
    Query(range): Query<UsageRange>,
) -> Result<Json<UsageTotals>> {
    Ok(Json(usage::of_key(&allow, path.key, range).await?))
}

/// Add up the usage of a team
///
/// What calls with its keys used and cost over some hours, or ever: keys that it owned then, whoever owns them now. An
/// event counts in the hour in which it became known.
#[utoipa::path(get, path = "/v1/organizations/{organization}/teams/{team}/usage", tag = "usage",
    params(TeamPath, UsageRange),
    responses((status = 200, description = "The totals.", body = UsageTotals),
              (status = 422, description = "`not_aligned`: `from` or `to` is no full hour in UTC.")))]
async fn get_team_usage(
    allow: Allow<permit::UsageRead>,
    Path(path): Path<TeamPath>,
    Query(range): Query<UsageRange>,
) -> Result<Json<UsageTotals>> {
    Ok(Json(usage::of_team(&allow, path.team, range).await?))
}

/// Add up the usage of a connection
///
/// What the calls that it served used and cost over some hours, or ever, as far as they are in reach. An event counts in
/// the hour in which it became known.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}/usage", tag = "usage",
    params(ConnectionPath, UsageRange),
    responses((status = 200, description = "The totals.", body = UsageTotals),
              (status = 422, description = "`not_aligned`: `from` or `to` is no full hour in UTC.")))]
async fn get_connection_usage(
    allow: Allow<permit::UsageRead>,
    Path(path): Path<ConnectionPath>,
    Query(range): Query<UsageRange>,
) -> Result<Json<UsageTotals>> {
    Ok(Json(usage::of_connection(&allow, path.connection, range).await?))
}

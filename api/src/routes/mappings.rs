//! `…/connections/{connection}/mappings`: what clients call a model, and what the upstream calls it.

use crate::{
    document::OpenApiRouter,
    extract::{
        Allow, Create, IfMatch, Json, Path, Query,
        json::{Created, NoContent, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use entity::id::{ConnectionId, MappingId};
use serde::Deserialize;
use service::{
    authz::permit,
    mapping::{self, Mapping, MappingFilter, MappingPage, MappingPatch, NewMapping},
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create_mapping, list_mappings)).routes(routes!(
        get_mapping,
        update_mapping,
        delete_mapping
    ))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ConnectionPath {
    /// The connection.
    connection: ConnectionId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MappingPath {
    /// The connection.
    connection: ConnectionId,
    /// The mapping.
    mapping: MappingId,
}

list_query! {
    /// Which mappings of a connection to list.
    MappingQuery {
        /// Only of this name.
        client_name: String,
        /// Only those that are used, or only those that are not.
        enabled: bool,
    }
}

/// Make a mapping
///
/// What clients call a model of the connection is what they are given, whatever the upstream calls it.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/{connection}/mappings", tag = "connections",
    params(ConnectionPath), request_body = NewMapping,
    responses((status = 201, description = "The mapping.", body = Mapping),
              (status = 409, description = "`duplicate`: the connection has a mapping of this name.")))]
async fn create_mapping(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<ConnectionPath>,
    Once(new): Create<NewMapping>,
) -> Result<Created<Mapping>> {
    Ok(Created(mapping::create(&allow, path.connection, new).await?))
}

/// List a connection's mappings
///
/// Those that are used, and those that are not.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}/mappings", tag = "connections",
    params(ConnectionPath, MappingQuery),
    responses((status = 200, description = "One page.", body = MappingPage)))]
async fn list_mappings(
    allow: Allow<permit::ConnectionsRead>,
    Path(path): Path<ConnectionPath>,
    Query(query): Query<MappingQuery>,
) -> Result<Json<Page<Mapping>>> {
    let page = query.page();
    let filter = MappingFilter { client_name: query.client_name, enabled: query.enabled };
    Ok(Json(mapping::list(&allow, path.connection, &page, filter).await?))
}

/// Read a mapping
///
/// What clients call a model, and what the upstream calls it.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}/mappings/{mapping}",
    tag = "connections", params(MappingPath),
    responses((status = 200, description = "The mapping.", body = Mapping)))]
async fn get_mapping(
    allow: Allow<permit::ConnectionsRead>,
    Path(path): Path<MappingPath>,
) -> Result<Json<Mapping>> {
    Ok(Json(mapping::get(&allow, (path.connection, path.mapping)).await?))
}

/// Change a mapping
///
/// An absent field is kept; `protocols` that are `null` are all of the connection's.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/connections/{connection}/mappings/{mapping}",
    tag = "connections", params(MappingPath), request_body = MappingPatch,
    responses((status = 200, description = "The mapping as it is now.", body = Mapping),
              (status = 409, description = "`duplicate`: the connection has a mapping of this name.")))]
async fn update_mapping(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<MappingPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<MappingPatch>,
) -> Result<Json<Mapping>> {
    Ok(Json(mapping::update(&allow, (path.connection, path.mapping), version, patch).await?))
}

/// Delete a mapping
///
/// Clients are not given the model by this name any more.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/connections/{connection}/mappings/{mapping}",
    tag = "connections", params(MappingPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_mapping(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<MappingPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    mapping::delete(&allow, (path.connection, path.mapping), version).await?;
    Ok(NoContent)
}

//! `/v1/organizations/{organization}/connections`: provider connections, what is decided about them and how they are.

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
    id::{ConnectionId, ProxyPoolId, TeamId},
    status::ConnectionStatus,
};
use serde::Deserialize;
use service::{
    authz::permit,
    connection::{
        self, Connection, ConnectionFilter, ConnectionHealth, ConnectionPage, ConnectionPatch, DisableReason,
        NewConnection, TlsVerification,
    },
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_connection, list_connections))
        .routes(routes!(get_connection, update_connection, delete_connection))
        .routes(routes!(enable_connection))
        .routes(routes!(disable_connection))
        .routes(routes!(clear_connection_errors))
        .routes(routes!(set_tls_verification))
        .routes(routes!(get_connection_health))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ConnectionPath {
    /// The connection.
    connection: ConnectionId,
}

list_query! {
    /// Which connections to list.
    ConnectionQuery {
        /// Only of this provider.
        provider: String,
        /// Only of this team.
        team_id: TeamId,
        /// Only with this status.
        #[param(inline)]
        status: ConnectionStatus,
        /// Only those bound to this proxy pool.
        proxy_pool_id: ProxyPoolId,
        /// Only whose name begins so.
        name_prefix: String,
    }
}

/// Make a connection
///
/// A configured upstream, of the organization or of one team. It is made without a credential, and without proxies unless it
/// is bound to a pool.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections", tag = "connections",
    request_body = NewConnection,
    responses((status = 201, description = "The connection.", body = Connection),
              (status = 409, description = "`duplicate`: the provider has a connection of this name.")))]
async fn create_connection(
    allow: Allow<permit::ConnectionsWrite>,
    Once(new): Create<NewConnection>,
) -> Result<Created<Connection>> {
    Ok(Created(connection::create(&allow, new).await?))
}

/// List connections
///
/// The connections within the caller's reach; who administers a team reaches the team's.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections", tag = "connections",
    params(ConnectionQuery),
    responses((status = 200, description = "One page.", body = ConnectionPage)))]
async fn list_connections(
    allow: Allow<permit::ConnectionsRead>,
    Query(query): Query<ConnectionQuery>,
) -> Result<Json<Page<Connection>>> {
    let page = query.page();
    Ok(Json(connection::list(&allow, &page, query.into()).await?))
}

impl From<ConnectionQuery> for ConnectionFilter {
    fn from(query: ConnectionQuery) -> Self {
        Self {
            provider: query.provider,
            team_id: query.team_id,
            status: query.status,
            proxy_pool_id: query.proxy_pool_id,
            name_prefix: query.name_prefix,
        }
    }
}

/// Read a connection
///
/// With where calls go and how it is, everything considered; never a value of its headers.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}", tag = "connections",
    params(ConnectionPath),
    responses((status = 200, description = "The connection.", body = Connection)))]
async fn get_connection(
    allow: Allow<permit::ConnectionsRead>,
    Path(path): Path<ConnectionPath>,
) -> Result<Json<Connection>> {
    Ok(Json(connection::get(&allow, path.connection).await?))
}

/// Change a connection
///
/// An absent field is kept; `null` clears a field that can be cleared. Headers are replaced as a whole, and the value `****`
/// keeps the stored one of that name.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/connections/{connection}", tag = "connections",
    params(ConnectionPath), request_body = ConnectionPatch,
    responses((status = 200, description = "The connection as it is now.", body = Connection),
              (status = 409, description = "`duplicate`: the provider has a connection of this name. `in_use`: a mapping names a protocol that is to go.")))]
async fn update_connection(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<ConnectionPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<ConnectionPatch>,
) -> Result<Json<Connection>> {
    Ok(Json(connection::update(&allow, path.connection, version, patch).await?))
}

/// Delete a connection
///
/// Its credentials are retired and its secrets erased; its mappings, its icon and its limits go with it. Calls that are
/// open settle as they were authorized, and what it was used for stays.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/connections/{connection}", tag = "connections",
    params(ConnectionPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_connection(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<ConnectionPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    connection::delete(&allow, path.connection, version).await?;
    Ok(NoContent)
}

/// Enable a connection
///
/// Calls may name it again.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/{connection}/enable", tag = "connections",
    params(ConnectionPath, ("If-Match" = Option<String>, Header, description = "The version to enable, from `ETag`.")),
    responses((status = 200, description = "The connection as it is now.", body = Connection),
              (status = 412, description = "`version_conflict`: `If-Match` is stale.")))]
async fn enable_connection(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<ConnectionPath>,
    IfMatch(version): IfMatch,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Connection>> {
    Ok(Json(connection::enable(&allow, path.connection, version).await?))
}

/// Disable a connection
///
/// Calls that name it are refused when this returns, until it is enabled again. It asks for no version.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/{connection}/disable", tag = "connections",
    params(ConnectionPath), request_body = DisableReason,
    responses((status = 200, description = "The connection as it is now.", body = Connection)))]
async fn disable_connection(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<ConnectionPath>,
    Once(reason): Act<DisableReason>,
) -> Result<Json<Connection>> {
    Ok(Json(connection::disable(&allow, path.connection, reason).await?))
}

/// Clear a connection's errors
///
/// What went wrong is forgotten, and the next call tells how it is. It is no edit: the version stays.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/{connection}/clear-errors",
    tag = "connections", params(ConnectionPath),
    responses((status = 200, description = "The connection as it is now.", body = Connection)))]
async fn clear_connection_errors(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<ConnectionPath>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Connection>> {
    Ok(Json(connection::clear_errors(&allow, path.connection).await?))
}

/// Say whether an upstream's certificate is looked at
///
/// For operators: without that, whoever is on the way to the upstream can read and change what is said.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/{connection}/tls-verification",
    tag = "connections",
    params(ConnectionPath, ("If-Match" = Option<String>, Header, description = "The version to change, from `ETag`.")),
    request_body = TlsVerification,
    responses((status = 200, description = "The connection as it is now.", body = Connection),
              (status = 412, description = "`version_conflict`: `If-Match` is stale.")))]
async fn set_tls_verification(
    allow: Allow<permit::PlatformTls>,
    Path(path): Path<ConnectionPath>,
    IfMatch(version): IfMatch,
    Once(tls): Act<TlsVerification>,
) -> Result<Json<Connection>> {
    Ok(Json(connection::verify_tls(&allow, path.connection, version, tls).await?))
}

/// Read how a connection is
///
/// What was seen of it lately, and what was found out about it.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}/health", tag = "connections",
    params(ConnectionPath),
    responses((status = 200, description = "How it is.", body = ConnectionHealth)))]
async fn get_connection_health(
    allow: Allow<permit::ConnectionsRead>,
    Path(path): Path<ConnectionPath>,
) -> Result<Json<ConnectionHealth>> {
    Ok(Json(connection::health(&allow, path.connection).await?))
}

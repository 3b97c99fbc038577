//! `/v1/organizations/{organization}/connections/…`: asking upstreams whether they are there, what they speak, and which models
//! they have.

use crate::{
    document::OpenApiRouter,
    extract::{Act, Allow, Json, Path, Query, json::Once},
    list_query,
    problem::Result,
    state::AppState,
};
use entity::id::ConnectionId;
use serde::Deserialize;
use service::{
    authz::permit,
    connection::{
        self, ConnectionModel, ConnectionModelFilter, ConnectionModelPage, ConnectionVerification, Discovery,
        NewDiscovery, NewVerification, NewVerificationBatch, Verification, VerificationBatch,
    },
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_connection_models))
}

/// The routes of this file that wait for servers of others.
pub fn patient() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(verify_connection_candidate))
        .routes(routes!(verify_connections))
        .routes(routes!(verify_connection))
        .routes(routes!(discover_connection_models))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ConnectionPath {
    /// The connection.
    connection: ConnectionId,
}

list_query! {
    /// Which models of a connection to list.
    ConnectionModelQuery {
        /// Only those that the connection's allow list has, or only the others.
        allowed: bool,
        /// Only whose name begins so.
        name_prefix: String,
    }
}

/// Verify an upstream before there is a connection to it
///
/// Asks it for its models, in the protocols that it may speak and at the places where it may be, and says how it is best
/// spoken to, or why it does not work. Nothing of it is kept.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/verify", tag = "connections",
    request_body = NewVerification,
    responses((status = 200, description = "What was found; that it does not work, too.", body = Verification)))]
async fn verify_connection_candidate(
    allow: Allow<permit::ConnectionsWrite>,
    Once(new): Act<NewVerification>,
) -> Result<Json<Verification>> {
    Ok(Json(connection::verify_candidate(&allow, new).await?))
}

/// Verify several connections
///
/// At most 20 at once: those that are named, or the enabled ones of a provider. Each is verified as if it were by itself.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/verify/batch", tag = "connections",
    request_body = NewVerificationBatch,
    responses((status = 200, description = "What was found of each.", body = VerificationBatch)))]
async fn verify_connections(
    allow: Allow<permit::ConnectionsWrite>,
    Once(new): Act<NewVerificationBatch>,
) -> Result<Json<VerificationBatch>> {
    Ok(Json(connection::verify_batch(&allow, new).await?))
}

/// Verify a connection
///
/// Asks its upstream for its models, with its oldest active credential or with another secret, and notes what was found:
/// `GET …/health` shows it. That it does not work disables nothing.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/{connection}/verify", tag = "connections",
    params(ConnectionPath), request_body = ConnectionVerification,
    responses((status = 200, description = "What was found; that it does not work, too.", body = Verification)))]
async fn verify_connection(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<ConnectionPath>,
    Once(with): Act<ConnectionVerification>,
) -> Result<Json<Verification>> {
    Ok(Json(connection::verify(&allow, path.connection, with).await?))
}

/// Discover the models of a connection
///
/// Reads the whole list from the upstream and puts it in the place of the one before. A list of the last hour is given again
/// unless `refresh` asks for a new one. If the upstream fails, the last good list stays.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/{connection}/discover-models",
    tag = "connections", params(ConnectionPath), request_body = NewDiscovery,
    responses((status = 200, description = "The models.", body = Discovery),
              (status = 409, description = "`connection_changed`: it was led elsewhere meanwhile."),
              (status = 502, description = "`upstream_failed`: why the upstream did not tell.")))]
async fn discover_connection_models(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<ConnectionPath>,
    Once(new): Act<NewDiscovery>,
) -> Result<Json<Discovery>> {
    Ok(Json(connection::discover_models(&allow, path.connection, new).await?))
}

/// List the models of a connection
///
/// Those that its upstream said it has when it was last asked, by name: from Z to A, or with `order=asc` from A to Z.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}/models", tag = "connections",
    params(ConnectionPath, ConnectionModelQuery),
    responses((status = 200, description = "One page.", body = ConnectionModelPage)))]
async fn list_connection_models(
    allow: Allow<permit::ConnectionsRead>,
    Path(path): Path<ConnectionPath>,
    Query(query): Query<ConnectionModelQuery>,
) -> Result<Json<Page<ConnectionModel>>> {
    let page = query.page();
    let filter = ConnectionModelFilter { allowed: query.allowed, name_prefix: query.name_prefix };
    Ok(Json(connection::list_models(&allow, path.connection, &page, filter).await?))
}

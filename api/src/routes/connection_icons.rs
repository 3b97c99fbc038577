//! `…/connections/{connection}/icon`: the icon that an organization chose for a connection.

use crate::{
    document::OpenApiRouter,
    extract::{Allow, IfMatch, Json, Path, json::NoContent},
    problem::Result,
    state::AppState,
};
use axum::{
    http::{HeaderName, header},
    response::IntoResponse,
};
use entity::id::ConnectionId;
use serde::Deserialize;
use service::{
    authz::permit,
    connection::{self, ConnectionIcon, NewIcon},
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_connection_icon, set_connection_icon, remove_connection_icon))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct IconPath {
    /// The connection.
    connection: ConnectionId,
}

/// What a browser may do with an icon that somebody chose: show it, whatever else it is made to be.
const ALONE: (HeaderName, &str) =
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox");

/// Read a connection's icon
///
/// The image itself. A connection without an icon of its own has none here: the provider's is built into whatever shows it.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}/icon", tag = "connections",
    params(IconPath),
    responses((status = 200, description = "The image.",
        content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp"), (Vec<u8> = "image/gif")))))]
async fn get_connection_icon(
    allow: Allow<permit::ConnectionsRead>,
    Path(path): Path<IconPath>,
) -> Result<impl IntoResponse> {
    let icon = connection::icon(&allow, path.connection).await?;
    Ok(([ALONE], [(header::CONTENT_TYPE, icon.media_type)], icon.content))
}

/// Set a connection's icon
///
/// A PNG, JPEG, WebP or GIF of at most 64 KiB, in a data URL. `If-Match` takes the version of the connection.
#[utoipa::path(put, path = "/v1/organizations/{organization}/connections/{connection}/icon", tag = "connections",
    params(IconPath), request_body = NewIcon,
    responses((status = 200, description = "What is known of the icon.", body = ConnectionIcon)))]
async fn set_connection_icon(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<IconPath>,
    IfMatch(version): IfMatch,
    Json(new): Json<NewIcon>,
) -> Result<Json<ConnectionIcon>> {
    Ok(Json(connection::set_icon(&allow, path.connection, version, new).await?))
}

/// Remove a connection's icon
///
/// The connection has the provider's icon again. `If-Match` takes the version of the connection.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/connections/{connection}/icon", tag = "connections",
    params(IconPath),
    responses((status = 204, description = "Removed.")))]
async fn remove_connection_icon(
    allow: Allow<permit::ConnectionsWrite>,
    Path(path): Path<IconPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    connection::remove_icon(&allow, path.connection, version).await?;
    Ok(NoContent)
}

//! `…/connections/{connection}/credentials`: the secrets of a connection, which go in and never come out.

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
use entity::{
    id::{ConnectionId, CredentialId},
    status::CredentialState,
};
use serde::Deserialize;
use service::{
    authz::permit,
    credential::{
        self, AddedCredential, Credential, CredentialFilter, CredentialPage, CredentialPatch, NewCredential,
    },
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create_credential, list_credentials)).routes(routes!(
        get_credential,
        update_credential,
        delete_credential
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
struct CredentialPath {
    /// The connection.
    connection: ConnectionId,
    /// The credential.
    credential: CredentialId,
}

list_query! {
    /// Which credentials of a connection to list.
    CredentialQuery {
        /// Only in this state.
        #[param(inline)]
        state: CredentialState,
    }
}

/// Add a credential to a connection
///
/// It is active at once. A secret that the connection has already, in a credential that is not retired, is not added again:
/// then the reply is 200 and shows that credential as it is.
#[utoipa::path(post, path = "/v1/organizations/{organization}/connections/{connection}/credentials",
    tag = "connections", params(ConnectionPath), request_body = NewCredential,
    responses((status = 201, description = "The credential, without its secret.", body = AddedCredential),
              (status = 200, description = "The credential that has this secret; nothing changed.", body = AddedCredential)))]
async fn create_credential(
    allow: Allow<permit::CredentialsWrite>,
    Path(path): Path<ConnectionPath>,
    Once(new): Create<NewCredential>,
) -> Result<Created<AddedCredential>> {
    Ok(Created(credential::create(&allow, path.connection, new).await?))
}

/// List a connection's credentials
///
/// Retired ones, too. What is shown of them opens nothing.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}/credentials",
    tag = "connections", params(ConnectionPath, CredentialQuery),
    responses((status = 200, description = "One page.", body = CredentialPage)))]
async fn list_credentials(
    allow: Allow<permit::CredentialsRead>,
    Path(path): Path<ConnectionPath>,
    Query(query): Query<CredentialQuery>,
) -> Result<Json<Page<Credential>>> {
    let (page, filter) = (query.page(), CredentialFilter { state: query.state });
    Ok(Json(credential::list(&allow, path.connection, &page, filter).await?))
}

/// Read a credential
///
/// Its state, its last use, and the first and last characters of its secret.
#[utoipa::path(get, path = "/v1/organizations/{organization}/connections/{connection}/credentials/{credential}",
    tag = "connections", params(CredentialPath),
    responses((status = 200, description = "What is shown of the credential.", body = Credential)))]
async fn get_credential(
    allow: Allow<permit::CredentialsRead>,
    Path(path): Path<CredentialPath>,
) -> Result<Json<Credential>> {
    Ok(Json(credential::get(&allow, (path.connection, path.credential)).await?))
}

/// Change a credential
///
/// Active, draining and disabled ones turn into each other. A disabled one can be retired, and a draining one when every call
/// that was authorized before it began to drain is over; that is for ever, and erases the secret.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/connections/{connection}/credentials/{credential}",
    tag = "connections", params(CredentialPath), request_body = CredentialPatch,
    responses((status = 200, description = "The credential as it is now.", body = Credential),
              (status = 409, description = "`invalid_state`: it is retired for ever, or is to be retired while it is active. `in_use`: calls that may use it are open.")))]
async fn update_credential(
    allow: Allow<permit::CredentialsWrite>,
    Path(path): Path<CredentialPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<CredentialPatch>,
) -> Result<Json<Credential>> {
    Ok(Json(credential::update(&allow, (path.connection, path.credential), version, patch).await?))
}

/// Delete a credential
///
/// It is retired at once, whatever uses it, and not found any more: the emergency. To replace a provider's key without a failed
/// call, add the new one, drain this one, and retire it.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/connections/{connection}/credentials/{credential}",
    tag = "connections", params(CredentialPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_credential(
    allow: Allow<permit::CredentialsWrite>,
    Path(path): Path<CredentialPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    credential::delete(&allow, (path.connection, path.credential), version).await?;
    Ok(NoContent)
}

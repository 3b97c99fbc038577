//! `/v1/organizations/{organization}/admin-tokens`: long-lived, scoped tokens for the admin API.

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
use entity::id::AdminTokenId;
use serde::Deserialize;
use service::{
    admin_token::{self, AdminToken, AdminTokenPage, IssuedAdminToken, NewAdminToken},
    authz::permit,
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_admin_token, list_admin_tokens))
        .routes(routes!(get_admin_token, delete_admin_token))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct AdminTokenPath {
    /// The admin token.
    admin_token: AdminTokenId,
}

list_query! {
    /// Which page of the admin tokens.
    AdminTokenQuery {}
}

/// Make an admin token
///
/// The secret in the reply is shown this once. The token carries permissions that its maker has in the whole
/// organization, and never does more than its maker may at the time; one made with another token ends with it at the
/// latest.
#[utoipa::path(post, path = "/v1/organizations/{organization}/admin-tokens", tag = "admin tokens",
    request_body = NewAdminToken,
    responses((status = 201, description = "The token and its secret.", body = IssuedAdminToken),
              (status = 409, description = "`duplicate`: an admin token of this name exists.")))]
async fn create_admin_token(
    allow: Allow<permit::AdminTokensWrite>,
    Once(new): Create<NewAdminToken>,
) -> Result<Created<IssuedAdminToken>> {
    Ok(Created(admin_token::create(&allow, new).await?))
}

/// List admin tokens
///
/// Everybody's in the organization; their secrets are not shown again.
#[utoipa::path(get, path = "/v1/organizations/{organization}/admin-tokens", tag = "admin tokens",
    params(AdminTokenQuery),
    responses((status = 200, description = "One page.", body = AdminTokenPage)))]
async fn list_admin_tokens(
    allow: Allow<permit::AdminTokensRead>,
    Query(query): Query<AdminTokenQuery>,
) -> Result<Json<Page<AdminToken>>> {
    Ok(Json(admin_token::list(&allow, &query.page()).await?))
}

/// Read an admin token
///
/// Without its secret, which was shown once.
#[utoipa::path(get, path = "/v1/organizations/{organization}/admin-tokens/{admin_token}", tag = "admin tokens",
    params(AdminTokenPath),
    responses((status = 200, description = "The token, without its secret.", body = AdminToken)))]
async fn get_admin_token(
    allow: Allow<permit::AdminTokensRead>,
    Path(path): Path<AdminTokenPath>,
) -> Result<Json<AdminToken>> {
    Ok(Json(admin_token::get(&allow, path.admin_token).await?))
}

/// Delete an admin token
///
/// It opens nothing when this returns.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/admin-tokens/{admin_token}", tag = "admin tokens",
    params(AdminTokenPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_admin_token(
    allow: Allow<permit::AdminTokensWrite>,
    Path(path): Path<AdminTokenPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    admin_token::delete(&allow, path.admin_token, version).await?;
    Ok(NoContent)
}

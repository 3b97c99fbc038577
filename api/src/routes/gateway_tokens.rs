//! `/v1/organizations/{organization}/gateway-tokens`, and `/v1/gateway-tokens` for the operator: what lets gateways ask
//! for decisions.

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
use entity::id::GatewayTokenId;
use serde::Deserialize;
use service::{
    authz::permit,
    gateway_token::{self, GatewayToken, GatewayTokenPage, IssuedGatewayToken, NewGatewayToken},
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_gateway_token, list_gateway_tokens))
        .routes(routes!(get_gateway_token, delete_gateway_token))
        .routes(routes!(create_platform_gateway_token, list_platform_gateway_tokens))
        .routes(routes!(get_platform_gateway_token, delete_platform_gateway_token))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct TokenPath {
    /// The gateway token.
    token: GatewayTokenId,
}

list_query! {
    /// Which page of gateway tokens.
    GatewayTokenQuery {}
}

/// Make a gateway token
///
/// The secret is shown this once. The token serves the keys of this organization, or of some of its teams; another
/// organization's key is unknown to it.
#[utoipa::path(post, path = "/v1/organizations/{organization}/gateway-tokens", tag = "gateway tokens",
    request_body = NewGatewayToken,
    responses((status = 201, description = "The token with its secret.", body = IssuedGatewayToken),
              (status = 409, description = "`duplicate`: a gateway token of this name exists.")))]
async fn create_gateway_token(
    allow: Allow<permit::GatewayTokensWrite>,
    Once(new): Create<NewGatewayToken>,
) -> Result<Created<IssuedGatewayToken>> {
    Ok(Created(gateway_token::create(&allow, new).await?))
}

/// List gateway tokens
///
/// Those of the organization, without their secrets.
#[utoipa::path(get, path = "/v1/organizations/{organization}/gateway-tokens", tag = "gateway tokens",
    params(GatewayTokenQuery),
    responses((status = 200, description = "One page.", body = GatewayTokenPage)))]
async fn list_gateway_tokens(
    allow: Allow<permit::GatewayTokensRead>,
    Query(query): Query<GatewayTokenQuery>,
) -> Result<Json<Page<GatewayToken>>> {
    Ok(Json(gateway_token::list(&allow, &query.page()).await?))
}

/// Read a gateway token
///
/// What it may do, and when it last did; never its secret.
#[utoipa::path(get, path = "/v1/organizations/{organization}/gateway-tokens/{token}", tag = "gateway tokens",
    params(TokenPath),
    responses((status = 200, description = "The token, without its secret.", body = GatewayToken)))]
async fn get_gateway_token(
    allow: Allow<permit::GatewayTokensRead>,
    Path(path): Path<TokenPath>,
) -> Result<Json<GatewayToken>> {
    Ok(Json(gateway_token::get(&allow, path.token).await?))
}

/// Delete a gateway token
///
/// It is refused by every instance when this returns.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/gateway-tokens/{token}", tag = "gateway tokens",
    params(TokenPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_gateway_token(
    allow: Allow<permit::GatewayTokensWrite>,
    Path(path): Path<TokenPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    gateway_token::delete(&allow, path.token, version).await?;
    Ok(NoContent)
}

/// Make a gateway token for all organizations
///
/// The secret is shown this once. Only the operator makes one.
#[utoipa::path(post, path = "/v1/gateway-tokens", tag = "gateway tokens", request_body = NewGatewayToken,
    responses((status = 201, description = "The token with its secret.", body = IssuedGatewayToken),
              (status = 409, description = "`duplicate`: a gateway token of this name exists.")))]
async fn create_platform_gateway_token(
    allow: Allow<permit::PlatformGatewayTokens>,
    Once(new): Create<NewGatewayToken>,
) -> Result<Created<IssuedGatewayToken>> {
    Ok(Created(gateway_token::create(&allow, new).await?))
}

/// List the gateway tokens for all organizations
///
/// Those that the operator made, without their secrets.
#[utoipa::path(get, path = "/v1/gateway-tokens", tag = "gateway tokens", params(GatewayTokenQuery),
    responses((status = 200, description = "One page.", body = GatewayTokenPage)))]
async fn list_platform_gateway_tokens(
    allow: Allow<permit::PlatformGatewayTokens>,
    Query(query): Query<GatewayTokenQuery>,
) -> Result<Json<Page<GatewayToken>>> {
    Ok(Json(gateway_token::list(&allow, &query.page()).await?))
}

/// Read a gateway token for all organizations
///
/// What it may do, and when it last did; never its secret.
#[utoipa::path(get, path = "/v1/gateway-tokens/{token}", tag = "gateway tokens", params(TokenPath),
    responses((status = 200, description = "The token, without its secret.", body = GatewayToken)))]
async fn get_platform_gateway_token(
    allow: Allow<permit::PlatformGatewayTokens>,
    Path(path): Path<TokenPath>,
) -> Result<Json<GatewayToken>> {
    Ok(Json(gateway_token::get(&allow, path.token).await?))
}

/// Delete a gateway token for all organizations
///
/// It is refused by every instance when this returns.
#[utoipa::path(delete, path = "/v1/gateway-tokens/{token}", tag = "gateway tokens", params(TokenPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_platform_gateway_token(
    allow: Allow<permit::PlatformGatewayTokens>,
    Path(path): Path<TokenPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    gateway_token::delete(&allow, path.token, version).await?;
    Ok(NoContent)
}

//! `/v1/organizations/{organization}/providers`, and `/v1/providers` for the operator: the kinds of upstream.

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
use entity::id::ProviderId;
use serde::Deserialize;
use service::{
    authz::permit,
    page::Page,
    price::Level,
    provider::{self, NewProvider, Provider, ProviderFilter, ProviderPage, ProviderPatch},
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_provider, list_providers))
        .routes(routes!(get_provider, update_provider, delete_provider))
        .routes(routes!(create_platform_provider, list_platform_providers))
        .routes(routes!(get_platform_provider, update_platform_provider, delete_platform_provider))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ProviderPath {
    /// The provider.
    provider: ProviderId,
}

list_query! {
    /// Which providers to list.
    ProviderQuery {
        /// Only the organization's, or only the platform's.
        #[param(inline)]
        scope: Level,
        /// Only whose name begins so.
        name_prefix: String,
    }
}

list_query! {
    /// Which providers of the platform to list.
    PlatformProviderQuery {
        /// Only whose name begins so.
        name_prefix: String,
    }
}

/// Make a provider
///
/// It takes the place of the platform's of the same name.
#[utoipa::path(post, path = "/v1/organizations/{organization}/providers", tag = "providers",
    request_body = NewProvider,
    responses((status = 201, description = "The provider.", body = Provider),
              (status = 409, description = "`duplicate`: the organization has a provider of this name.")))]
async fn create_provider(
    allow: Allow<permit::ModelsWrite>,
    Once(new): Create<NewProvider>,
) -> Result<Created<Provider>> {
    Ok(Created(provider::create(&allow, new).await?))
}

/// List providers
///
/// The organization's, and the platform's but for those of a name that the organization has. `scope=platform` lists all
/// of the platform's.
#[utoipa::path(get, path = "/v1/organizations/{organization}/providers", tag = "providers", params(ProviderQuery),
    responses((status = 200, description = "One page.", body = ProviderPage)))]
async fn list_providers(
    allow: Allow<permit::ModelsRead>,
    Query(query): Query<ProviderQuery>,
) -> Result<Json<Page<Provider>>> {
    let page = query.page();
    let filter = ProviderFilter { scope: query.scope, name_prefix: query.name_prefix };
    Ok(Json(provider::list(&allow, &page, filter).await?))
}

/// Read a provider
///
/// The organization's, or one of the platform's.
#[utoipa::path(get, path = "/v1/organizations/{organization}/providers/{provider}", tag = "providers",
    params(ProviderPath),
    responses((status = 200, description = "The provider.", body = Provider)))]
async fn get_provider(
    allow: Allow<permit::ModelsRead>,
    Path(path): Path<ProviderPath>,
) -> Result<Json<Provider>> {
    Ok(Json(provider::get(&allow, path.provider).await?))
}

/// Change a provider
///
/// Its name stays, for models and prices name it. The platform's are not found here.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/providers/{provider}", tag = "providers",
    params(ProviderPath), request_body = ProviderPatch,
    responses((status = 200, description = "The provider as it is now.", body = Provider)))]
async fn update_provider(
    allow: Allow<permit::ModelsWrite>,
    Path(path): Path<ProviderPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<ProviderPatch>,
) -> Result<Json<Provider>> {
    Ok(Json(provider::update(&allow, path.provider, version, patch).await?))
}

/// Delete a provider
///
/// Not while models of the organization name it. The platform's are not found here.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/providers/{provider}", tag = "providers",
    params(ProviderPath),
    responses((status = 204, description = "Deleted."),
              (status = 409, description = "`in_use`: models name it.")))]
async fn delete_provider(
    allow: Allow<permit::ModelsWrite>,
    Path(path): Path<ProviderPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    provider::delete(&allow, path.provider, version).await?;
    Ok(NoContent)
}

/// Make a provider for all organizations
///
/// Every organization sees it that has none of the same name.
#[utoipa::path(post, path = "/v1/providers", tag = "providers", request_body = NewProvider,
    responses((status = 201, description = "The provider.", body = Provider),
              (status = 409, description = "`duplicate`: the platform has a provider of this name.")))]
async fn create_platform_provider(
    allow: Allow<permit::PlatformCatalogue>,
    Once(new): Create<NewProvider>,
) -> Result<Created<Provider>> {
    Ok(Created(provider::create(&allow, new).await?))
}

/// List the providers for all organizations
///
/// Those of the catalogue, and those that the operator made.
#[utoipa::path(get, path = "/v1/providers", tag = "providers", params(PlatformProviderQuery),
    responses((status = 200, description = "One page.", body = ProviderPage)))]
async fn list_platform_providers(
    allow: Allow<permit::PlatformCatalogue>,
    Query(query): Query<PlatformProviderQuery>,
) -> Result<Json<Page<Provider>>> {
    let page = query.page();
    let filter = ProviderFilter { scope: None, name_prefix: query.name_prefix };
    Ok(Json(provider::list(&allow, &page, filter).await?))
}

/// Read a provider for all organizations
///
/// Its origin tells whether the catalogue has it, or the operator made or changed it.
#[utoipa::path(get, path = "/v1/providers/{provider}", tag = "providers", params(ProviderPath),
    responses((status = 200, description = "The provider.", body = Provider)))]
async fn get_platform_provider(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<ProviderPath>,
) -> Result<Json<Provider>> {
    Ok(Json(provider::get(&allow, path.provider).await?))
}

/// Change a provider for all organizations
///
/// From then on a newer catalogue leaves it as it is.
#[utoipa::path(patch, path = "/v1/providers/{provider}", tag = "providers", params(ProviderPath),
    request_body = ProviderPatch,
    responses((status = 200, description = "The provider as it is now.", body = Provider)))]
async fn update_platform_provider(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<ProviderPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<ProviderPatch>,
) -> Result<Json<Provider>> {
    Ok(Json(provider::update(&allow, path.provider, version, patch).await?))
}

/// Delete a provider for all organizations
///
/// Not while models of the platform name it.
#[utoipa::path(delete, path = "/v1/providers/{provider}", tag = "providers", params(ProviderPath),
    responses((status = 204, description = "Deleted."),
              (status = 409, description = "`in_use`: models name it.")))]
async fn delete_platform_provider(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<ProviderPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    provider::delete(&allow, path.provider, version).await?;
    Ok(NoContent)
}

//! `/v1/organizations/{organization}/models`, and `/v1/models` for the operator: what providers offer.

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
use entity::{id::ModelId, json::Capability};
use serde::Deserialize;
use service::{
    authz::permit,
    model::{self, Model, ModelFilter, ModelPage, ModelPatch, NewModel},
    page::Page,
    price::Level,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_model, list_models))
        .routes(routes!(get_model, update_model, delete_model))
        .routes(routes!(create_platform_model, list_platform_models))
        .routes(routes!(get_platform_model, update_platform_model, delete_platform_model))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ModelPath {
    /// The model.
    model: ModelId,
}

list_query! {
    /// Which models to list.
    ModelQuery {
        /// Only the organization's, or only the platform's.
        #[param(inline)]
        scope: Level,
        /// Only of the provider of this name.
        provider: String,
        /// Only whose name begins so.
        name_prefix: String,
        /// Only those that can do this.
        #[param(inline)]
        capability: Capability,
        /// Only those that are on their way out, or only those that are not.
        deprecated: bool,
    }
}

list_query! {
    /// Which models of the platform to list.
    PlatformModelQuery {
        /// Only of the provider of this name.
        provider: String,
        /// Only whose name begins so.
        name_prefix: String,
        /// Only those that can do this.
        #[param(inline)]
        capability: Capability,
        /// Only those that are on their way out, or only those that are not.
        deprecated: bool,
    }
}

/// Make a model
///
/// It takes the place of the platform's of the same provider and name.
#[utoipa::path(post, path = "/v1/organizations/{organization}/models", tag = "models", request_body = NewModel,
    responses((status = 201, description = "The model.", body = Model),
              (status = 409, description = "`duplicate`: the organization has this model of this provider.")))]
async fn create_model(
    allow: Allow<permit::ModelsWrite>,
    Once(new): Create<NewModel>,
) -> Result<Created<Model>> {
    Ok(Created(model::create(&allow, new).await?))
}

/// List models
///
/// The organization's, and the platform's but for those whose place the organization's own take. `scope=platform` lists
/// all of the platform's.
#[utoipa::path(get, path = "/v1/organizations/{organization}/models", tag = "models", params(ModelQuery),
    responses((status = 200, description = "One page.", body = ModelPage)))]
async fn list_models(
    allow: Allow<permit::ModelsRead>,
    Query(query): Query<ModelQuery>,
) -> Result<Json<Page<Model>>> {
    let page = query.page();
    let ModelQuery { scope, provider, name_prefix, capability, deprecated, .. } = query;
    let filter = ModelFilter { scope, provider, name_prefix, capability, deprecated };
    Ok(Json(model::list(&allow, &page, filter).await?))
}

/// Read a model
///
/// The organization's, or one of the platform's.
#[utoipa::path(get, path = "/v1/organizations/{organization}/models/{model}", tag = "models", params(ModelPath),
    responses((status = 200, description = "The model.", body = Model)))]
async fn get_model(allow: Allow<permit::ModelsRead>, Path(path): Path<ModelPath>) -> Result<Json<Model>> {
    Ok(Json(model::get(&allow, path.model).await?))
}

/// Change a model
///
/// Its provider and its name stay. The platform's models are not found here: make one of the same name instead.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/models/{model}", tag = "models", params(ModelPath),
    request_body = ModelPatch,
    responses((status = 200, description = "The model as it is now.", body = Model)))]
async fn update_model(
    allow: Allow<permit::ModelsWrite>,
    Path(path): Path<ModelPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<ModelPatch>,
) -> Result<Json<Model>> {
    Ok(Json(model::update(&allow, path.model, version, patch).await?))
}

/// Delete a model
///
/// Its prices stay, for what was charged names them. The platform's models are not found here.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/models/{model}", tag = "models", params(ModelPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_model(
    allow: Allow<permit::ModelsWrite>,
    Path(path): Path<ModelPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    model::delete(&allow, path.model, version).await?;
    Ok(NoContent)
}

/// Make a model for all organizations
///
/// Every organization sees it that has none of the same provider and name.
#[utoipa::path(post, path = "/v1/models", tag = "models", request_body = NewModel,
    responses((status = 201, description = "The model.", body = Model),
              (status = 409, description = "`duplicate`: the platform has this model of this provider.")))]
async fn create_platform_model(
    allow: Allow<permit::PlatformCatalogue>,
    Once(new): Create<NewModel>,
) -> Result<Created<Model>> {
    Ok(Created(model::create(&allow, new).await?))
}

/// List the models for all organizations
///
/// Those of the catalogue, and those that the operator made.
#[utoipa::path(get, path = "/v1/models", tag = "models", params(PlatformModelQuery),
    responses((status = 200, description = "One page.", body = ModelPage)))]
async fn list_platform_models(
    allow: Allow<permit::PlatformCatalogue>,
    Query(query): Query<PlatformModelQuery>,
) -> Result<Json<Page<Model>>> {
    let page = query.page();
    let PlatformModelQuery { provider, name_prefix, capability, deprecated, .. } = query;
    let filter = ModelFilter { scope: None, provider, name_prefix, capability, deprecated };
    Ok(Json(model::list(&allow, &page, filter).await?))
}

/// Read a model for all organizations
///
/// Its origin tells whether the catalogue has it, or the operator made or changed it.
#[utoipa::path(get, path = "/v1/models/{model}", tag = "models", params(ModelPath),
    responses((status = 200, description = "The model.", body = Model)))]
async fn get_platform_model(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<ModelPath>,
) -> Result<Json<Model>> {
    Ok(Json(model::get(&allow, path.model).await?))
}

/// Change a model for all organizations
///
/// From then on a newer catalogue leaves it as it is.
#[utoipa::path(patch, path = "/v1/models/{model}", tag = "models", params(ModelPath), request_body = ModelPatch,
    responses((status = 200, description = "The model as it is now.", body = Model)))]
async fn update_platform_model(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<ModelPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<ModelPatch>,
) -> Result<Json<Model>> {
    Ok(Json(model::update(&allow, path.model, version, patch).await?))
}

/// Delete a model for all organizations
///
/// Its prices stay, for what was charged names them.
#[utoipa::path(delete, path = "/v1/models/{model}", tag = "models", params(ModelPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_platform_model(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<ModelPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    model::delete(&allow, path.model, version).await?;
    Ok(NoContent)
}

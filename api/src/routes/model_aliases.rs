//! `/v1/organizations/{organization}/model-aliases`: other names for models.

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
use entity::id::ModelAliasId;
use serde::Deserialize;
use service::{
    authz::permit,
    model_alias::{self, ModelAlias, ModelAliasFilter, ModelAliasPage, ModelAliasPatch, NewModelAlias},
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create_model_alias, list_model_aliases)).routes(routes!(
        get_model_alias,
        update_model_alias,
        delete_model_alias
    ))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct AliasPath {
    /// The alias.
    alias: ModelAliasId,
}

list_query! {
    /// Which aliases to list.
    ModelAliasQuery {
        /// Only whose name begins so.
        name_prefix: String,
        /// Only those that lead to this name.
        target: String,
        /// Only those that are enabled, or only those that are not.
        enabled: bool,
    }
}

/// Make a model alias
///
/// It leads to a model or to another alias, through at most eight aliases, and comes before a model of the same name.
#[utoipa::path(post, path = "/v1/organizations/{organization}/model-aliases", tag = "model aliases",
    request_body = NewModelAlias,
    responses((status = 201, description = "The alias.", body = ModelAlias),
              (status = 409, description = "`duplicate`: an alias of this name exists. `alias_cycle`: it would lead \
               back to itself. `alias_chain_too_long`: a name would lead through more than eight aliases.")))]
async fn create_model_alias(
    allow: Allow<permit::ModelsWrite>,
    Once(new): Create<NewModelAlias>,
) -> Result<Created<ModelAlias>> {
    Ok(Created(model_alias::create(&allow, new).await?))
}

/// List model aliases
///
/// The organization's; those that are not enabled lead nowhere.
#[utoipa::path(get, path = "/v1/organizations/{organization}/model-aliases", tag = "model aliases",
    params(ModelAliasQuery),
    responses((status = 200, description = "One page.", body = ModelAliasPage)))]
async fn list_model_aliases(
    allow: Allow<permit::ModelsRead>,
    Query(query): Query<ModelAliasQuery>,
) -> Result<Json<Page<ModelAlias>>> {
    let page = query.page();
    let ModelAliasQuery { name_prefix, target, enabled, .. } = query;
    let filter = ModelAliasFilter { name_prefix, target, enabled };
    Ok(Json(model_alias::list(&allow, &page, filter).await?))
}

/// Read a model alias
///
/// Where it leads, be it enabled or not.
#[utoipa::path(get, path = "/v1/organizations/{organization}/model-aliases/{alias}", tag = "model aliases",
    params(AliasPath),
    responses((status = 200, description = "The alias.", body = ModelAlias)))]
async fn get_model_alias(
    allow: Allow<permit::ModelsRead>,
    Path(path): Path<AliasPath>,
) -> Result<Json<ModelAlias>> {
    Ok(Json(model_alias::get(&allow, path.alias).await?))
}

/// Change a model alias
///
/// A disabled alias leads nowhere; it still counts when circles are looked for, so that it can always be enabled again.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/model-aliases/{alias}", tag = "model aliases",
    params(AliasPath), request_body = ModelAliasPatch,
    responses((status = 200, description = "The alias as it is now.", body = ModelAlias),
              (status = 409, description = "`duplicate`: an alias of this name exists. `alias_cycle`: it would lead \
               back to itself. `alias_chain_too_long`: a name would lead through more than eight aliases.")))]
async fn update_model_alias(
    allow: Allow<permit::ModelsWrite>,
    Path(path): Path<AliasPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<ModelAliasPatch>,
) -> Result<Json<ModelAlias>> {
    Ok(Json(model_alias::update(&allow, path.alias, version, patch).await?))
}

/// Delete a model alias
///
/// Aliases that lead to its name stay; they lead to a model of that name, if there is one.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/model-aliases/{alias}", tag = "model aliases",
    params(AliasPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_model_alias(
    allow: Allow<permit::ModelsWrite>,
    Path(path): Path<AliasPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    model_alias::delete(&allow, path.alias, version).await?;
    Ok(NoContent)
}

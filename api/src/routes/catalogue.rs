//! `/v1/catalogue`: the catalogue that ships with the server, and what became of it here.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, Json,
        json::{Nothing, Once},
    },
    problem::Result,
    state::AppState,
};
use service::{
    authz::permit,
    catalogue::{self, AppliedCatalogue, CatalogueStatus},
};
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_catalogue)).routes(routes!(apply_catalogue))
}

/// Read the state of the catalogue
///
/// Which version of the built-in catalogue the installation has, and how many providers, models and prices come from it.
#[utoipa::path(get, path = "/v1/catalogue", tag = "catalogue",
    responses((status = 200, description = "What was applied, and what ships with the server.", body = CatalogueStatus)))]
async fn get_catalogue(allow: Allow<permit::PlatformCatalogue>) -> Result<Json<CatalogueStatus>> {
    Ok(Json(catalogue::status(&allow).await?))
}

/// Apply the catalogue again
///
/// Every server applies the catalogue it ships with when it starts. Applied again, it brings back what was deleted since;
/// what was changed, and prices that were ended, are kept as they are.
#[utoipa::path(post, path = "/v1/catalogue/apply", tag = "catalogue",
    responses((status = 200, description = "What it changed.", body = AppliedCatalogue),
              (status = 409, description = "`catalogue_older`: a server of a newer release has applied a newer one.")))]
async fn apply_catalogue(
    allow: Allow<permit::PlatformCatalogue>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<AppliedCatalogue>> {
    Ok(Json(catalogue::restore(&allow).await?))
}

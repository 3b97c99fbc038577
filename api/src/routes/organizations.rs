//! `/v1/organizations`: the tenants.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, Create, IfMatch, Json, Query,
        json::{Created, Nothing, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use service::{
    Turn,
    authz::permit,
    organization::{self, NewOrganization, Organization, OrganizationPage, OrganizationPatch},
    page::Page,
};
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_organization, list_organizations))
        .routes(routes!(get_organization, update_organization))
        .routes(routes!(suspend_organization))
        .routes(routes!(resume_organization))
}

list_query! {
    /// Which organizations to list.
    OrganizationQuery {
        /// `true` lists everybody's, for operators; else one's own are listed.
        #[param(default = false)]
        all: bool,
    }
}

/// Make an organization
///
/// For operators. Who makes it becomes its owner. Without a slug, one is made from the name.
#[utoipa::path(post, path = "/v1/organizations", tag = "organizations", request_body = NewOrganization,
    responses((status = 201, description = "The organization.", body = Organization),
              (status = 409, description = "`duplicate`: an organization with this slug exists.")))]
async fn create_organization(
    allow: Allow<permit::PlatformOrganizations>,
    Once(new): Create<NewOrganization>,
) -> Result<Created<Organization>> {
    Ok(Created(organization::create(&allow, new).await?))
}

/// List organizations
///
/// Those that the caller is a member of.
#[utoipa::path(get, path = "/v1/organizations", tag = "organizations", params(OrganizationQuery),
    responses((status = 200, description = "One page.", body = OrganizationPage)))]
async fn list_organizations(
    allow: Allow<permit::Account>,
    Query(query): Query<OrganizationQuery>,
) -> Result<Json<Page<Organization>>> {
    let everybody = query.all.unwrap_or_default();
    Ok(Json(organization::list(&allow, &query.page(), everybody).await?))
}

/// Read an organization
///
/// Its settings hold for every team and every key in it.
#[utoipa::path(get, path = "/v1/organizations/{organization}", tag = "organizations",
    responses((status = 200, description = "The organization.", body = Organization)))]
async fn get_organization(allow: Allow<permit::OrganizationRead>) -> Result<Json<Organization>> {
    Ok(Json(organization::get(&allow).await?))
}

/// Change an organization
///
/// An absent field is kept; `null` clears a field that can be cleared. A new slug takes effect at once. A shorter
/// `max_key_lifetime` binds new keys only.
#[utoipa::path(patch, path = "/v1/organizations/{organization}", tag = "organizations",
    request_body = OrganizationPatch,
    responses((status = 200, description = "The organization as it is now.", body = Organization),
              (status = 409, description = "`duplicate`: an organization with this slug exists.")))]
async fn update_organization(
    allow: Allow<permit::OrganizationWrite>,
    IfMatch(version): IfMatch,
    Json(patch): Json<OrganizationPatch>,
) -> Result<Json<Organization>> {
    Ok(Json(organization::update(&allow, version, patch).await?))
}

/// Suspend an organization
///
/// For operators. All of its keys are refused by every instance when this returns.
#[utoipa::path(post, path = "/v1/organizations/{organization}/suspend", tag = "organizations",
    responses((status = 200, description = "The organization as it is now.", body = Organization)))]
async fn suspend_organization(
    allow: Allow<permit::OrganizationSuspend>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Organization>> {
    Ok(Json(organization::turn(&allow, Turn::Suspend).await?))
}

/// Resume an organization
///
/// For operators. Its keys work again.
#[utoipa::path(post, path = "/v1/organizations/{organization}/resume", tag = "organizations",
    responses((status = 200, description = "The organization as it is now.", body = Organization)))]
async fn resume_organization(
    allow: Allow<permit::OrganizationSuspend>,
    IfMatch(version): IfMatch,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Organization>> {
    Ok(Json(organization::turn(&allow, Turn::Resume(version)).await?))
}

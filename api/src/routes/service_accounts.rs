//! `/v1/organizations/{organization}/service-accounts`: owners of keys that are no persons.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, Create, IfMatch, Json, Path, Query,
        json::{Created, NoContent, Nothing, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use entity::{id::ServiceAccountId, status::Standing};
use serde::Deserialize;
use service::{
    Turn,
    authz::permit,
    page::Page,
    service_account::{
        self, KeysOfAccount, NewServiceAccount, ServiceAccount, ServiceAccountFilter, ServiceAccountPage,
        ServiceAccountPatch,
    },
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_service_account, list_service_accounts))
        .routes(routes!(get_service_account, update_service_account, delete_service_account))
        .routes(routes!(suspend_service_account))
        .routes(routes!(resume_service_account))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ServiceAccountPath {
    /// The service account.
    service_account: ServiceAccountId,
}

list_query! {
    /// Which service accounts to list.
    ServiceAccountQuery {
        /// Only with this status.
        #[param(inline)]
        status: Standing,
        /// Only whose name begins so.
        name_prefix: String,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeleteQuery {
    /// What happens to the account's live keys; without it they are in the way.
    #[param(inline)]
    cascade: Option<KeysOfAccount>,
}

/// Make a service account
///
/// A service account owns keys that belong to no person, and needs no sign-in.
#[utoipa::path(post, path = "/v1/organizations/{organization}/service-accounts", tag = "service accounts",
    request_body = NewServiceAccount,
    responses((status = 201, description = "The service account.", body = ServiceAccount),
              (status = 409, description = "`duplicate`: a service account of this name exists.")))]
async fn create_service_account(
    allow: Allow<permit::ServiceAccountsWrite>,
    Once(new): Create<NewServiceAccount>,
) -> Result<Created<ServiceAccount>> {
    Ok(Created(service_account::create(&allow, new).await?))
}

/// List service accounts
///
/// Suspended ones as well.
#[utoipa::path(get, path = "/v1/organizations/{organization}/service-accounts", tag = "service accounts",
    params(ServiceAccountQuery),
    responses((status = 200, description = "One page.", body = ServiceAccountPage)))]
async fn list_service_accounts(
    allow: Allow<permit::ServiceAccountsRead>,
    Query(query): Query<ServiceAccountQuery>,
) -> Result<Json<Page<ServiceAccount>>> {
    let page = query.page();
    let filter = ServiceAccountFilter { status: query.status, name_prefix: query.name_prefix };
    Ok(Json(service_account::list(&allow, &page, filter).await?))
}

/// Read a service account
///
/// Its keys are found with `?service_account_id=` in the list of keys.
#[utoipa::path(get, path = "/v1/organizations/{organization}/service-accounts/{service_account}",
    tag = "service accounts", params(ServiceAccountPath),
    responses((status = 200, description = "The service account.", body = ServiceAccount)))]
async fn get_service_account(
    allow: Allow<permit::ServiceAccountsRead>,
    Path(path): Path<ServiceAccountPath>,
) -> Result<Json<ServiceAccount>> {
    Ok(Json(service_account::get(&allow, path.service_account).await?))
}

/// Change a service account
///
/// An absent field is kept.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/service-accounts/{service_account}",
    tag = "service accounts", params(ServiceAccountPath), request_body = ServiceAccountPatch,
    responses((status = 200, description = "The service account as it is now.", body = ServiceAccount),
              (status = 409, description = "`duplicate`: a service account of this name exists.")))]
async fn update_service_account(
    allow: Allow<permit::ServiceAccountsWrite>,
    Path(path): Path<ServiceAccountPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<ServiceAccountPatch>,
) -> Result<Json<ServiceAccount>> {
    Ok(Json(service_account::update(&allow, path.service_account, version, patch).await?))
}

/// Delete a service account
///
/// One with live keys is not deleted unless `cascade=revoke` revokes them with it.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/service-accounts/{service_account}",
    tag = "service accounts", params(ServiceAccountPath, DeleteQuery),
    responses((status = 204, description = "Deleted."),
              (status = 409, description = "`in_use`: the service account has live keys.")))]
async fn delete_service_account(
    allow: Allow<permit::ServiceAccountsWrite>,
    Path(path): Path<ServiceAccountPath>,
    Query(query): Query<DeleteQuery>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    service_account::delete(&allow, path.service_account, version, query.cascade).await?;
    Ok(NoContent)
}

/// Suspend a service account
///
/// Its keys are refused by every instance when this returns.
#[utoipa::path(post, path = "/v1/organizations/{organization}/service-accounts/{service_account}/suspend",
    tag = "service accounts", params(ServiceAccountPath),
    responses((status = 200, description = "The service account as it is now.", body = ServiceAccount)))]
async fn suspend_service_account(
    allow: Allow<permit::ServiceAccountsWrite>,
    Path(path): Path<ServiceAccountPath>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<ServiceAccount>> {
    Ok(Json(service_account::turn(&allow, path.service_account, Turn::Suspend).await?))
}

/// Resume a service account
///
/// Its keys work again.
#[utoipa::path(post, path = "/v1/organizations/{organization}/service-accounts/{service_account}/resume",
    tag = "service accounts", params(ServiceAccountPath),
    responses((status = 200, description = "The service account as it is now.", body = ServiceAccount)))]
async fn resume_service_account(
    allow: Allow<permit::ServiceAccountsWrite>,
    Path(path): Path<ServiceAccountPath>,
    IfMatch(version): IfMatch,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<ServiceAccount>> {
    Ok(Json(service_account::turn(&allow, path.service_account, Turn::Resume(version)).await?))
}

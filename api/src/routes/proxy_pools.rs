//! `/v1/organizations/{organization}/proxy-pools`: the outbound proxies that connections take.

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
use entity::{
    id::ProxyPoolId,
    status::{PoolStatus, TestStatus},
};
use serde::Deserialize;
use service::{
    authz::permit,
    page::Page,
    proxy_pool::{
        self, NewProxyPool, NewTrial, ProxyPool, ProxyPoolFilter, ProxyPoolPage, ProxyPoolPatch, Trials,
    },
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_proxy_pool, list_proxy_pools))
        .routes(routes!(get_proxy_pool, update_proxy_pool, delete_proxy_pool))
        .routes(routes!(disable_proxy_pool))
        .routes(routes!(enable_proxy_pool))
}

/// The routes of this file that wait for servers of others.
pub fn patient() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(test_proxy_pool))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct PoolPath {
    /// The pool.
    pool: ProxyPoolId,
}

list_query! {
    /// Which pools to list.
    ProxyPoolQuery {
        /// Only with this status.
        #[param(inline)]
        status: PoolStatus,
        /// Only with a proxy whose last test found this.
        #[param(inline)]
        test_status: TestStatus,
        /// Only whose name begins so.
        name_prefix: String,
    }
}

/// Make a proxy pool
///
/// A pool has several proxies: a call takes one by the strategy, and the next if that one does not connect. If none does, a
/// call of a strict pool fails, and another goes without a proxy. Users and passwords in the URLs are sealed and never shown
/// again.
#[utoipa::path(post, path = "/v1/organizations/{organization}/proxy-pools", tag = "proxy pools",
    request_body = NewProxyPool,
    responses((status = 201, description = "The pool.", body = ProxyPool),
              (status = 409, description = "`duplicate`: a pool of this name exists.")))]
async fn create_proxy_pool(
    allow: Allow<permit::ProxyPoolsWrite>,
    Once(new): Create<NewProxyPool>,
) -> Result<Created<ProxyPool>> {
    Ok(Created(proxy_pool::create(&allow, new).await?))
}

/// List proxy pools
///
/// Each with its proxies, what the last test of each found, and how many connections take it.
#[utoipa::path(get, path = "/v1/organizations/{organization}/proxy-pools", tag = "proxy pools",
    params(ProxyPoolQuery),
    responses((status = 200, description = "One page.", body = ProxyPoolPage)))]
async fn list_proxy_pools(
    allow: Allow<permit::ProxyPoolsRead>,
    Query(query): Query<ProxyPoolQuery>,
) -> Result<Json<Page<ProxyPool>>> {
    let page = query.page();
    let ProxyPoolQuery { status, test_status, name_prefix, .. } = query;
    let filter = ProxyPoolFilter { status, test_status, name_prefix };
    Ok(Json(proxy_pool::list(&allow, &page, filter).await?))
}

/// Read a proxy pool
///
/// Passwords are shown as `****`.
#[utoipa::path(get, path = "/v1/organizations/{organization}/proxy-pools/{pool}", tag = "proxy pools",
    params(PoolPath),
    responses((status = 200, description = "The pool.", body = ProxyPool)))]
async fn get_proxy_pool(
    allow: Allow<permit::ProxyPoolsRead>,
    Path(path): Path<PoolPath>,
) -> Result<Json<ProxyPool>> {
    Ok(Json(proxy_pool::get(&allow, path.pool).await?))
}

/// Change a proxy pool
///
/// An absent field is kept. `entries` are all proxies that there are to be; one that is there already keeps its id, and what
/// its last test found while its address and login stay. A password that is sent as `****` keeps the stored one.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/proxy-pools/{pool}", tag = "proxy pools",
    params(PoolPath), request_body = ProxyPoolPatch,
    responses((status = 200, description = "The pool as it is now.", body = ProxyPool),
              (status = 409, description = "`duplicate`: a pool of this name exists.")))]
async fn update_proxy_pool(
    allow: Allow<permit::ProxyPoolsWrite>,
    Path(path): Path<PoolPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<ProxyPoolPatch>,
) -> Result<Json<ProxyPool>> {
    Ok(Json(proxy_pool::update(&allow, path.pool, version, patch).await?))
}

/// Delete a proxy pool
///
/// A pool that connections take is not deleted; the problem says how many there are in `bound_connection_count`.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/proxy-pools/{pool}", tag = "proxy pools",
    params(PoolPath),
    responses((status = 204, description = "Deleted."),
              (status = 409, description = "`in_use`: connections take the pool.")))]
async fn delete_proxy_pool(
    allow: Allow<permit::ProxyPoolsWrite>,
    Path(path): Path<PoolPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    proxy_pool::delete(&allow, path.pool, version).await?;
    Ok(NoContent)
}

/// Disable a proxy pool
///
/// Its proxies are not used until it is enabled: calls of a strict pool fail, and others go without a proxy.
#[utoipa::path(post, path = "/v1/organizations/{organization}/proxy-pools/{pool}/disable", tag = "proxy pools",
    params(PoolPath),
    responses((status = 200, description = "The pool as it is now.", body = ProxyPool)))]
async fn disable_proxy_pool(
    allow: Allow<permit::ProxyPoolsWrite>,
    Path(path): Path<PoolPath>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<ProxyPool>> {
    Ok(Json(proxy_pool::disable(&allow, path.pool).await?))
}

/// Enable a proxy pool
///
/// Its proxies are used again.
#[utoipa::path(post, path = "/v1/organizations/{organization}/proxy-pools/{pool}/enable", tag = "proxy pools",
    params(PoolPath, ("If-Match" = Option<String>, Header, description = "The version to enable, from `ETag`.")),
    responses((status = 200, description = "The pool as it is now.", body = ProxyPool),
              (status = 412, description = "`version_conflict`: `If-Match` is stale.")))]
async fn enable_proxy_pool(
    allow: Allow<permit::ProxyPoolsWrite>,
    Path(path): Path<PoolPath>,
    IfMatch(version): IfMatch,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<ProxyPool>> {
    Ok(Json(proxy_pool::enable(&allow, path.pool, version).await?))
}

/// Test a proxy pool
///
/// Calls a target through each enabled proxy, eight at a time, and says what came of it. Any answer of the target shows that
/// the proxy works. The results are kept with the proxies, without a new version of the pool; a proxy that failed is tried
/// last from then on, and neither it nor the pool is disabled.
#[utoipa::path(post, path = "/v1/organizations/{organization}/proxy-pools/{pool}/test", tag = "proxy pools",
    params(PoolPath), request_body = NewTrial,
    responses((status = 200, description = "What came of each enabled proxy.", body = Trials)))]
async fn test_proxy_pool(
    allow: Allow<permit::ProxyPoolsWrite>,
    Path(path): Path<PoolPath>,
    Once(new): Act<NewTrial>,
) -> Result<Json<Trials>> {
    Ok(Json(proxy_pool::test(&allow, path.pool, new).await?))
}

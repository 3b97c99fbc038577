//! `/v1/organizations/{organization}/prices`, and `/v1/prices` for the operator: what calls cost.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, Create, IfMatch, Json, Path, Query,
        json::{Created, NoContent, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, PriceId},
    status::{Origin, PriceKind},
};
use serde::Deserialize;
use service::{
    authz::permit,
    page::Page,
    price::{self, Level, NewPrice, Price, PriceEnd, PriceFilter, PricePage, PricePatch},
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_price, list_prices))
        .routes(routes!(get_price, update_price, delete_price))
        .routes(routes!(end_price))
        .routes(routes!(create_platform_price, list_platform_prices))
        .routes(routes!(get_platform_price, update_platform_price, delete_platform_price))
        .routes(routes!(end_platform_price))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct PricePath {
    /// The price.
    price: PriceId,
}

macro_rules! price_query {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* }) => {
        list_query! {
            $(#[$doc])*
            $name {
                $($own)*
                /// Only with exactly this model or glob.
                model: String,
                /// Only of this provider.
                provider: String,
                /// Only that charge so.
                #[param(inline)]
                kind: PriceKind,
                /// Only that come from there.
                #[param(inline)]
                origin: Origin,
                /// Only those in force at this moment.
                in_force_at: DateTime<Utc>,
            }
        }
        impl $name {
            fn filter(self) -> PriceFilter {
                let Self { model, provider, kind, origin, in_force_at, .. } = self;
                PriceFilter { scope: None, connection_id: None, model, provider, kind, origin, in_force_at }
            }
        }
    };
}

price_query! {
    /// Which prices to list.
    PriceQuery {
        /// Whose: the organization's own (`organization`, which is what is listed without it), its connections', or the
        /// platform's.
        #[param(inline, default = "organization")]
        scope: Level,
        /// Only of this connection.
        connection_id: ConnectionId,
    }
}

price_query! {
    /// Which prices of the platform to list.
    PlatformPriceQuery {}
}

/// Make a price
///
/// It is in force from `effective_from` on. From then on it never changes, and a later price of the same model and
/// provider takes its place. A price with an end holds its whole term: no other of its kind begins in it.
#[utoipa::path(post, path = "/v1/organizations/{organization}/prices", tag = "prices", request_body = NewPrice,
    responses((status = 201, description = "The price.", body = Price),
              (status = 409, description = "`duplicate`: another price of the same model and provider begins then. \
                                            `overlap`: one of the two begins within the term of the other.")))]
async fn create_price(
    allow: Allow<permit::PricesWrite>,
    Once(new): Create<NewPrice>,
) -> Result<Created<Price>> {
    Ok(Created(price::create(&allow, new).await?))
}

/// List prices
///
/// The organization's own, with `scope=connection` those of its connections, or with `scope=platform` those that are there
/// for every organization.
#[utoipa::path(get, path = "/v1/organizations/{organization}/prices", tag = "prices", params(PriceQuery),
    responses((status = 200, description = "One page.", body = PricePage)))]
async fn list_prices(
    allow: Allow<permit::PricesRead>,
    Query(query): Query<PriceQuery>,
) -> Result<Json<Page<Price>>> {
    let (page, scope, connection_id) = (query.page(), query.scope, query.connection_id);
    let filter = PriceFilter { scope, connection_id, ..query.filter() };
    Ok(Json(price::list(&allow, &page, filter).await?))
}

/// Read a price
///
/// One of the organization's, or one of the platform's.
#[utoipa::path(get, path = "/v1/organizations/{organization}/prices/{price}", tag = "prices", params(PricePath),
    responses((status = 200, description = "The price.", body = Price)))]
async fn get_price(allow: Allow<permit::PricesRead>, Path(path): Path<PricePath>) -> Result<Json<Price>> {
    Ok(Json(price::get(&allow, path.price).await?))
}

/// Change a price
///
/// Only before it is in force. An absent field is kept; `null` clears a field that can be cleared. Rates are changed one
/// by one; service tiers, tiers and multipliers as a whole. What comes out must be acceptable as a new price.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/prices/{price}", tag = "prices", params(PricePath),
    request_body = PricePatch,
    responses((status = 200, description = "The price as it is now.", body = Price),
              (status = 409, description = "`price_in_force`: it never changes again. \
                                            `duplicate`: another price of the same model and provider begins then. \
                                            `overlap`: one of the two begins within the term of the other."),
              (status = 428, description = "`precondition_required`: `If-Match` is missing.")))]
async fn update_price(
    allow: Allow<permit::PricesWrite>,
    Path(path): Path<PricePath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<PricePatch>,
) -> Result<Json<Price>> {
    Ok(Json(Box::pin(price::update(&allow, path.price, version, patch)).await?))
}

/// Delete a price
///
/// Only before it is in force: what calls have been charged by stays.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/prices/{price}", tag = "prices", params(PricePath),
    responses((status = 204, description = "Deleted."),
              (status = 409, description = "`price_in_force`: it can be ended, but not deleted."),
              (status = 428, description = "`precondition_required`: `If-Match` is missing.")))]
async fn delete_price(
    allow: Allow<permit::PricesWrite>,
    Path(path): Path<PricePath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    price::delete(&allow, path.price, version).await?;
    Ok(NoContent)
}

/// End a price
///
/// Now, or at a moment to come; until then the end can be moved. What the price has been so far it stays.
#[utoipa::path(post, path = "/v1/organizations/{organization}/prices/{price}/end", tag = "prices", params(PricePath),
    request_body = PriceEnd,
    responses((status = 200, description = "The price as it is now.", body = Price),
              (status = 409, description = "`price_ended`: it is not in force any more. \
                                            `overlap`: another price of the same model and provider begins before then."),
              (status = 428, description = "`precondition_required`: `If-Match` is missing.")))]
async fn end_price(
    allow: Allow<permit::PricesWrite>,
    Path(path): Path<PricePath>,
    IfMatch(version): IfMatch,
    Once(end): Act<PriceEnd>,
) -> Result<Json<Price>> {
    Ok(Json(price::end(&allow, path.price, version, end).await?))
}

/// Make a price for all organizations
///
/// It is in force from `effective_from` on, wherever an organization has no price of its own.
#[utoipa::path(post, path = "/v1/prices", tag = "prices", request_body = NewPrice,
    responses((status = 201, description = "The price.", body = Price),
              (status = 404, description = "`not_found`: `connection_id` names a connection; a price of the platform is of none."),
              (status = 409, description = "`duplicate`: another price of the same model and provider begins then. \
                                            `overlap`: one of the two begins within the term of the other.")))]
async fn create_platform_price(
    allow: Allow<permit::PlatformCatalogue>,
    Once(new): Create<NewPrice>,
) -> Result<Created<Price>> {
    Ok(Created(price::create(&allow, new).await?))
}

/// List the prices for all organizations
///
/// Those of the platform.
#[utoipa::path(get, path = "/v1/prices", tag = "prices", params(PlatformPriceQuery),
    responses((status = 200, description = "One page.", body = PricePage)))]
async fn list_platform_prices(
    allow: Allow<permit::PlatformCatalogue>,
    Query(query): Query<PlatformPriceQuery>,
) -> Result<Json<Page<Price>>> {
    let page = query.page();
    Ok(Json(price::list(&allow, &page, query.filter()).await?))
}

/// Read a price for all organizations
///
/// One of the platform's.
#[utoipa::path(get, path = "/v1/prices/{price}", tag = "prices", params(PricePath),
    responses((status = 200, description = "The price.", body = Price)))]
async fn get_platform_price(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<PricePath>,
) -> Result<Json<Price>> {
    Ok(Json(price::get(&allow, path.price).await?))
}

/// Change a price for all organizations
///
/// Only before it is in force, as a price of an organization is changed.
#[utoipa::path(patch, path = "/v1/prices/{price}", tag = "prices", params(PricePath),
    request_body = PricePatch,
    responses((status = 200, description = "The price as it is now.", body = Price),
              (status = 409, description = "`price_in_force`: it never changes again. \
                                            `duplicate`: another price of the same model and provider begins then. \
                                            `overlap`: one of the two begins within the term of the other."),
              (status = 428, description = "`precondition_required`: `If-Match` is missing.")))]
async fn update_platform_price(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<PricePath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<PricePatch>,
) -> Result<Json<Price>> {
    Ok(Json(Box::pin(price::update(&allow, path.price, version, patch)).await?))
}

/// Delete a price for all organizations
///
/// Only before it is in force: what calls have been charged by stays.
#[utoipa::path(delete, path = "/v1/prices/{price}", tag = "prices", params(PricePath),
    responses((status = 204, description = "Deleted."),
              (status = 409, description = "`price_in_force`: it can be ended, but not deleted."),
              (status = 428, description = "`precondition_required`: `If-Match` is missing.")))]
async fn delete_platform_price(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<PricePath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    price::delete(&allow, path.price, version).await?;
    Ok(NoContent)
}

/// End a price for all organizations
///
/// Now, or at a moment to come; until then the end can be moved. What the price has been so far it stays.
#[utoipa::path(post, path = "/v1/prices/{price}/end", tag = "prices", params(PricePath),
    request_body = PriceEnd,
    responses((status = 200, description = "The price as it is now.", body = Price),
              (status = 409, description = "`price_ended`: it is not in force any more. \
                                            `overlap`: another price of the same model and provider begins before then."),
              (status = 428, description = "`precondition_required`: `If-Match` is missing.")))]
async fn end_platform_price(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<PricePath>,
    IfMatch(version): IfMatch,
    Once(end): Act<PriceEnd>,
) -> Result<Json<Price>> {
    Ok(Json(price::end(&allow, path.price, version, end).await?))
}

//! `/v1/organizations/{organization}/prices`, and `/v1/prices` for the operator: what calls cost.

use crate::{
    extract::{
        Allow, Create, Json, Path, Query,
        json::{Created, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use chrono::{DateTime, Utc};
use entity::{
    id::PriceId,
    status::{Origin, PriceKind},
};
use serde::Deserialize;
use service::{
    authz::permit,
    page::Page,
    price::{self, NewPrice, Price, PriceFilter, PriceOwner, PricePage},
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_price, list_prices))
        .routes(routes!(get_price))
        .routes(routes!(create_platform_price, list_platform_prices))
        .routes(routes!(get_platform_price))
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
        impl From<$name> for PriceFilter {
            fn from(query: $name) -> Self {
                let $name { model, provider, kind, origin, in_force_at, .. } = query;
                Self { model, provider, kind, origin, in_force_at }
            }
        }
    };
}

price_query! {
    /// Which prices to list.
    PriceQuery {
        /// Whose: the organization's own, or those of the installation.
        #[param(inline)]
        scope: PriceOwner,
    }
}

price_query! {
    /// Which prices of the installation to list.
    PlatformPriceQuery {}
}

/// Make a price
///
/// It is in force from `effective_from` on; from then on it never changes, and a later price of the same model and
/// provider takes its place. A price with an end holds its whole term: no other begins in it.
#[utoipa::path(post, path = "/v1/organizations/{organization}/prices", tag = "prices", request_body = NewPrice,
    responses((status = 201, description = "The price.", body = Price),
              (status = 409, description = "`duplicate`: a price of the same model and provider begins at this moment. \
                                            `overlap`: it begins within the term of another one, or another one within its own.")))]
async fn create_price(
    allow: Allow<permit::PricesWrite>,
    Once(new): Create<NewPrice>,
) -> Result<Created<Price>> {
    Ok(Created(price::create(&allow, new).await?))
}

/// List prices
///
/// The organization's own, or with `scope=platform` those of the installation.
#[utoipa::path(get, path = "/v1/organizations/{organization}/prices", tag = "prices", params(PriceQuery),
    responses((status = 200, description = "One page.", body = PricePage)))]
async fn list_prices(
    allow: Allow<permit::PricesRead>,
    Query(query): Query<PriceQuery>,
) -> Result<Json<Page<Price>>> {
    let (page, owner) = (query.page(), query.scope.unwrap_or_default());
    Ok(Json(price::list(&allow, owner, &page, query.into()).await?))
}

/// Read a price
///
/// One of the organization, or one of the installation.
#[utoipa::path(get, path = "/v1/organizations/{organization}/prices/{price}", tag = "prices", params(PricePath),
    responses((status = 200, description = "The price.", body = Price)))]
async fn get_price(allow: Allow<permit::PricesRead>, Path(path): Path<PricePath>) -> Result<Json<Price>> {
    Ok(Json(price::get(&allow, path.price).await?))
}

/// Make a price for all organizations
///
/// It holds where an organization has no price of its own.
#[utoipa::path(post, path = "/v1/prices", tag = "prices", request_body = NewPrice,
    responses((status = 201, description = "The price.", body = Price),
              (status = 409, description = "`duplicate`: a price of the same model and provider begins at this moment. \
                                            `overlap`: it begins within the term of another one, or another one within its own.")))]
async fn create_platform_price(
    allow: Allow<permit::PlatformCatalogue>,
    Once(new): Create<NewPrice>,
) -> Result<Created<Price>> {
    Ok(Created(price::create(&allow, new).await?))
}

/// List the prices for all organizations
///
/// Those of the installation.
#[utoipa::path(get, path = "/v1/prices", tag = "prices", params(PlatformPriceQuery),
    responses((status = 200, description = "One page.", body = PricePage)))]
async fn list_platform_prices(
    allow: Allow<permit::PlatformCatalogue>,
    Query(query): Query<PlatformPriceQuery>,
) -> Result<Json<Page<Price>>> {
    let page = query.page();
    Ok(Json(price::list(&allow, PriceOwner::Platform, &page, query.into()).await?))
}

/// Read a price for all organizations
///
/// One of the installation.
#[utoipa::path(get, path = "/v1/prices/{price}", tag = "prices", params(PricePath),
    responses((status = 200, description = "The price.", body = Price)))]
async fn get_platform_price(
    allow: Allow<permit::PlatformCatalogue>,
    Path(path): Path<PricePath>,
) -> Result<Json<Price>> {
    Ok(Json(price::get(&allow, path.price).await?))
}

//! `/v1/price-feed`: the list that the installation's prices are kept up to date from.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, Json,
        json::{Nothing, Once},
    },
    problem::Result,
    state::AppState,
};
use axum::extract::State;
use service::{authz::permit, price::feed::PriceFeed};
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_price_feed)).routes(routes!(refresh_price_feed))
}

/// Read the state of the price feed
///
/// When it was last asked and what came of it. If it fails, the prices are those of the last good list.
#[utoipa::path(get, path = "/v1/price-feed", tag = "prices",
    responses((status = 200, description = "What is known of the feed.", body = PriceFeed)))]
async fn get_price_feed(
    allow: Allow<permit::PlatformCatalogue>,
    State(state): State<AppState>,
) -> Result<Json<PriceFeed>> {
    Ok(Json(state.feed.status(&allow).await?))
}

/// Ask the price feed now
///
/// A list that is another than the last time is imported into the prices of the installation, as by hand.
#[utoipa::path(post, path = "/v1/price-feed/refresh", tag = "prices",
    responses((status = 200, description = "What is known of the feed now.", body = PriceFeed),
        (status = 409, description = "`no_price_feed`: the operator has named none.")))]
async fn refresh_price_feed(
    allow: Allow<permit::PlatformCatalogue>,
    State(state): State<AppState>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<PriceFeed>> {
    Ok(Json(state.feed.refresh(&allow).await?))
}

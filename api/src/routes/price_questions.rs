//! `/v1/organizations/{organization}/prices/resolve` and `/quote`: which price holds, and what a call costs.

use crate::{
    document::OpenApiRouter,
    extract::{Allow, Json, Query},
    problem::Result,
    state::AppState,
};
use service::{
    authz::permit,
    price::{
        question::{self, PriceQuestion, PriceResolution},
        quote::{self, Quote, UsedCall},
    },
};
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(resolve_price)).routes(routes!(quote_price))
}

/// Find the price of a model
///
/// The price that holds at a moment, why it does, and every other one that was looked at with the reason why it does not.
/// Where there is none, `price` is null.
#[utoipa::path(get, path = "/v1/organizations/{organization}/prices/resolve", tag = "prices", params(PriceQuestion),
    responses((status = 200, description = "The price, and how it was found.", body = PriceResolution)))]
async fn resolve_price(
    allow: Allow<permit::PricesRead>,
    Query(question): Query<PriceQuestion>,
) -> Result<Json<PriceResolution>> {
    Ok(Json(question::resolve(&allow, question).await?))
}

/// Work out what a call costs
///
/// From any provider's usage object or our own, line by line, with nothing rounded but the cost. Nothing is changed or
/// noted. Where the organization refuses calls without a price, so does this.
#[utoipa::path(post, path = "/v1/organizations/{organization}/prices/quote", tag = "prices", request_body = UsedCall,
    responses((status = 200, description = "What it costs, and why.", body = Quote),
              (status = 422, description = "`price_unknown`: there is no price for the model, or no rate for something \
                                            that was used, and the organization refuses such calls.")))]
async fn quote_price(allow: Allow<permit::PricesRead>, Json(call): Json<UsedCall>) -> Result<Json<Quote>> {
    Ok(Json(quote::quote(&allow, call).await?))
}

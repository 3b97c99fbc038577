//! `/v1/settle`, `/v1/void`, `/v1/extend`, `/v1/usage`: what became of a call.

use crate::{
    document::OpenApiRouter,
    extract::{
        Json,
        decision::{Asked, Extend, Settle, Usage, Void},
    },
    problem::Result,
    state::AppState,
    verdict::failure,
};
use axum::extract::State;
use service::decision::{self, Extension, NewExtension, NewSettlement, NewUsage, NewVoid, Settlement};
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(settle))
        .routes(routes!(void))
        .routes(routes!(extend))
        .routes(routes!(report_usage))
}

/// Tell what a call used
///
/// What the call held is let go of, and what it used is counted on the very windows that were fixed when it was authorized,
/// at the prices that were in force then; one event is written for each attempt, and behind them one for each other model that
/// a usage object says was asked on the way. More than was held is counted all the same.
/// Answered, it is never lost. Telling it again changes nothing; telling something else is a conflict. Also a call that is
/// unresolved can be settled.
#[utoipa::path(post, path = "/v1/settle", tag = "decisions", security(("gateway" = [])), request_body = NewSettlement,
    responses((status = 200, description = "What the call cost.", body = Settlement),
              (status = 404, description = "`not_found`: there is no such reservation of a key that this gateway serves."),
              (status = 409, description = "`already_settled`: it was settled otherwise. `reservation_voided`: it was voided."),
              (status = 503, description = "`meter_unavailable`: the database does not answer. `overloaded`: too much waits.")))]
async fn settle(
    State(state): State<AppState>,
    asked: Asked<NewSettlement, Settle>,
) -> Result<Json<Settlement>> {
    let settled = decision::settle(&state.system, &state.meter, asked.gateway, asked.body).await;
    settled.map(Json).map_err(failure)
}

/// Tell that a call did not happen
///
/// What it held is let go of, and nothing is counted. A call that is not known yet is voided ahead: if it is authorized later,
/// because the requests overtook each other, it is refused.
#[utoipa::path(post, path = "/v1/void", tag = "decisions", security(("gateway" = [])), request_body = NewVoid,
    responses((status = 200, description = "It is voided.", body = Settlement),
              (status = 404, description = "`not_found`: it is of a key that this gateway does not serve, or the id is not of \
                                            the last 24 hours."),
              (status = 409, description = "`already_settled`: it was settled."),
              (status = 503, description = "`meter_unavailable`: the database does not answer. `overloaded`: too much waits.")))]
async fn void(State(state): State<AppState>, asked: Asked<NewVoid, Void>) -> Result<Json<Settlement>> {
    let voided = decision::void(&state.system, &state.meter, asked.gateway, asked.body).await;
    voided.map(Json).map_err(failure)
}

/// Tell that a call takes longer
///
/// Moves the moment from which on the call is unresolved: so many seconds from now, never back.
#[utoipa::path(post, path = "/v1/extend", tag = "decisions", security(("gateway" = [])), request_body = NewExtension,
    responses((status = 200, description = "It is extended.", body = Extension),
              (status = 404, description = "`not_found`: there is no such reservation of a key that this gateway serves."),
              (status = 409, description = "`reservation_expired`: it is unresolved already. `already_settled`, \
                                            `reservation_voided`: it is over."),
              (status = 503, description = "`meter_unavailable`: the database does not answer. `overloaded`: too much waits.")))]
async fn extend(
    State(state): State<AppState>,
    asked: Asked<NewExtension, Extend>,
) -> Result<Json<Extension>> {
    let extended = decision::extend(&state.system, &state.meter, asked.gateway, asked.body).await;
    extended.map(Json).map_err(failure)
}

/// Tell of a call that was not authorized
///
/// It is counted on every limit of the key's path, whatever they allow, in the windows of the moment that its
/// `reservation_id` names, and charged at the prices of that moment. A key that is revoked or expired is counted, too.
#[utoipa::path(post, path = "/v1/usage", tag = "decisions", security(("gateway" = [])), request_body = NewUsage,
    responses((status = 200, description = "What the call cost.", body = Settlement),
              (status = 404, description = "`not_found`: the connection is not one of the organization, or the credential not \
                                            one of the connection."),
              (status = 409, description = "`already_settled`: the `reservation_id` is that of another call. \
                                            `reservation_in_use`: it is that of a call that is open. \
                                            `reservation_voided`: it was voided."),
              (status = 503, description = "`meter_unavailable`: the database does not answer. `overloaded`: too much waits.")))]
async fn report_usage(
    State(state): State<AppState>,
    asked: Asked<NewUsage, Usage>,
) -> Result<Json<Settlement>> {
    let reported = decision::report(&state.system, &state.meter, asked.gateway, asked.body).await;
    reported.map(Json).map_err(failure)
}

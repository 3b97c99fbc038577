//! `/v1/organizations/{organization}/reservations`: authorized calls, and what they hold.

use crate::{
    document::OpenApiRouter,
    extract::{Act, Allow, Json, Path, Query, json::Once},
    list_query,
    problem::Result,
    state::AppState,
};
use entity::id::{KeyId, ReservationId, TeamId};
use serde::Deserialize;
use service::{
    authz::permit,
    decision::{self, NewResolution, Settlement},
    page::Page,
    reservation::{self, HeldState, Reservation, ReservationFilter, ReservationPage},
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_reservations))
        .routes(routes!(get_reservation))
        .routes(routes!(resolve_reservation))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ReservationPath {
    /// The reservation.
    reservation: ReservationId,
}

list_query! {
    /// Which reservations to list.
    ReservationQuery {
        /// Only those in this state now; without it all that hold something, `open` and `unresolved`.
        #[param(inline, default = "held")]
        state: HeldState,
        /// Only of this key.
        key_id: KeyId,
        /// Only of keys that this team owned then.
        team_id: TeamId,
    }
}

impl From<ReservationQuery> for ReservationFilter {
    fn from(query: ReservationQuery) -> Self {
        let ReservationQuery { state, key_id, team_id, .. } = query;
        Self { state, key_id, team_id }
    }
}

/// List reservations
///
/// Calls that were authorized and of which it is not known yet what they used, the latest call first. A call whose time
/// is over is unresolved: it still holds its worst case, since its provider may have charged for it.
#[utoipa::path(get, path = "/v1/organizations/{organization}/reservations", tag = "reservations",
    params(ReservationQuery),
    responses((status = 200, description = "One page.", body = ReservationPage)))]
async fn list_reservations(
    allow: Allow<permit::UsageRead>,
    Query(query): Query<ReservationQuery>,
) -> Result<Json<Page<Reservation>>> {
    let page = query.page();
    Ok(Json(reservation::list(&allow, &page, query.into()).await?))
}

/// Read a reservation
///
/// What a call was authorized for and what became of it, with what it holds of which limits.
#[utoipa::path(get, path = "/v1/organizations/{organization}/reservations/{reservation}", tag = "reservations",
    params(ReservationPath),
    responses((status = 200, description = "The reservation.", body = Reservation)))]
async fn get_reservation(
    allow: Allow<permit::UsageRead>,
    Path(path): Path<ReservationPath>,
) -> Result<Json<Reservation>> {
    Ok(Json(reservation::get(&allow, path.reservation).await?))
}

/// Resolve a reservation
///
/// Says what became of a call of which the gateway has told nothing: what it used, or that it did not happen. Its holds are
/// let go of. An open call can be resolved, too.
#[utoipa::path(post, path = "/v1/organizations/{organization}/reservations/{reservation}/resolve", tag = "reservations",
    params(ReservationPath), request_body = NewResolution,
    responses((status = 200, description = "What became of it.", body = Settlement),
              (status = 409, description = "`already_settled`: it was settled otherwise. `reservation_voided`: it was voided.")))]
async fn resolve_reservation(
    allow: Allow<permit::ReservationsWrite>,
    Path(path): Path<ReservationPath>,
    Once(new): Act<NewResolution>,
) -> Result<Json<Settlement>> {
    Ok(Json(decision::resolve(&allow, path.reservation, new).await?))
}

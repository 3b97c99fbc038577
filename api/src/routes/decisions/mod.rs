//! `/v1/authorize`, `/v1/check`, `/v1/key` and `keys/{key}/explain`: whether a virtual key may make a call; `/v1/settle` and its
//! like: what became of it.

mod batch;
mod check;
mod settle;

use crate::{
    document::OpenApiRouter,
    extract::{
        Allow, Json, Path,
        decision::{Asked, Authorize, Explain, VirtualKey},
    },
    problem::Result,
    state::AppState,
    verdict::{self, ClientResponse},
};
use axum::extract::State;
use entity::id::KeyId;
use serde::{Deserialize, Serialize};
use service::{
    authz::permit,
    decision::{self, Authorization, ErrorFormat, Explanation, KeyCall, LimitState, NewDecision, OwnKey},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(authorize))
        .routes(routes!(explain_authorize))
        .routes(routes!(get_own_key))
        .routes(routes!(explain_key))
        .routes(routes!(list_key_limits))
        .merge(settle::router())
        .merge(batch::router())
}

/// The routes that proxies ask by any method.
pub fn for_proxies() -> OpenApiRouter<AppState> {
    check::router()
}

/// The answer to a gateway, with what it can hand to its client.
#[derive(Debug, Serialize, ToSchema)]
struct AuthorizeReply {
    /// The decision.
    #[serde(flatten)]
    decision: Authorization,
    /// What to tell the client of a denial; null if the call may be made.
    #[schema(required)]
    client_response: Option<ClientResponse>,
}

impl AuthorizeReply {
    fn new(decision: Authorization, format: ErrorFormat) -> Self {
        Self {
            client_response: verdict::client_response(&decision.reasons, &decision.limits, format),
            decision,
        }
    }
}

/// How a decision comes about, with what a client would be told.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainReply {
    /// How it comes about.
    #[serde(flatten)]
    explanation: Explanation,
    /// What a client would be told of a denial; null if the call might be made.
    #[schema(required)]
    client_response: Option<ClientResponse>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct KeyPath {
    /// The key.
    key: KeyId,
}

/// Decide whether a key may make a call
///
/// A known gateway gets 200, whatever is decided: `allowed` says it, `reasons` lists everything that stands in the way,
/// and `client_response` is the answer to hand to the client as it is. A call that may be made holds its worst case against
/// every limit on its path until it is settled, voided, or unresolved for too long; a denial holds and counts nothing. With a
/// `reservation_id` of its own the gateway can ask again: same answer, one hold. An administrator's change is in force here,
/// on every instance, from the moment it was answered. A key that is malformed, unknown, wrong, of another organization or
/// of a team that the gateway does not serve is `key_unknown`, one and the same answer.
#[utoipa::path(post, path = "/v1/authorize", tag = "decisions", security(("gateway" = [])),
    request_body = NewDecision,
    responses((status = 200, description = "The decision.", body = AuthorizeReply),
              (status = 409, description = "`reservation_in_use` or `already_settled`: the `reservation_id` is that of another \
                                            call. `reservation_voided`: it was voided."),
              (status = 503, description = "`meter_unavailable`: the database does not answer; the call may not be made. \
                                            `overloaded`: too much waits.")))]
async fn authorize(
    State(state): State<AppState>,
    asked: Asked<NewDecision, Authorize>,
) -> Result<Json<AuthorizeReply>> {
    let format = asked.body.error_format;
    let decision = decision::authorize(&state.system, &state.meter, asked.gateway, asked.body).await;
    Ok(Json(AuthorizeReply::new(decision.map_err(verdict::failure)?, format)))
}

/// Explain a decision
///
/// The same request as for a decision, without any effect, and with everything that was looked at: every limit on the path,
/// what it has counted, and how the call stands with it.
#[utoipa::path(post, path = "/v1/authorize/explain", tag = "decisions", security(("gateway" = [])),
    request_body = NewDecision,
    responses((status = 200, description = "How the decision comes about.", body = ExplainReply)))]
async fn explain_authorize(
    State(state): State<AppState>,
    asked: Asked<NewDecision, Explain>,
) -> Result<Json<ExplainReply>> {
    let format = asked.body.error_format;
    let explanation = decision::explain(&state.meter, asked.gateway, asked.body).await;
    let explanation = explanation.map_err(verdict::failure)?;
    let client_response = verdict::client_response(&explanation.reasons, &explanation.limits, format);
    Ok(Json(ExplainReply { explanation, client_response }))
}

/// Read the key that asks
///
/// Opens with the virtual key itself, in `Authorization: Bearer`, `x-api-key`, `api-key` or `x-goog-api-key`, and with
/// nothing else. A key that may not be used gets 401 or 403 with the code of the gravest reason.
#[utoipa::path(get, path = "/v1/key", tag = "decisions", security(("virtual_key" = [])),
    responses((status = 200, description = "The key.", body = OwnKey),
              (status = 401, description = "`key_unknown`, `key_revoked`, `key_expired`, `key_disabled`, `secret_expired`."),
              (status = 403, description = "`owner_suspended`, `organization_suspended`, `address_not_allowed`."),
              (status = 503, description = "`meter_unavailable`: the database does not answer. `overloaded`: too much waits.")))]
async fn get_own_key(State(state): State<AppState>, asking: VirtualKey) -> Result<Json<OwnKey>> {
    let ip = asking.info.client_ip;
    let own =
        decision::own_key(&state.system, &state.meter, &asking.key, ip).await.map_err(verdict::failure)?;
    own.map(Json).map_err(|reasons| verdict::problem(&reasons))
}

/// Explain what a key may do
///
/// How a decision about a call of this key would come about now. No secret is needed, and nothing is noted.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/{key}/explain", tag = "keys", params(KeyPath),
    request_body = KeyCall,
    responses((status = 200, description = "How the decision would come about.", body = Explanation)))]
async fn explain_key(
    State(state): State<AppState>,
    allow: Allow<permit::KeysRead>,
    Path(path): Path<KeyPath>,
    Json(call): Json<KeyCall>,
) -> Result<Json<Explanation>> {
    Ok(Json(decision::explain_key(&allow, &state.meter, path.key, call).await?))
}

/// Every limit that calls with a key meet.
#[derive(Debug, Serialize, ToSchema)]
struct KeyLimits {
    /// The limits: the key's own, and those of its owner, its team and its organization.
    items: Vec<LimitState>,
}

/// List the limits of a key
///
/// Those of the key, of its owner, of its team and of its organization: with what they have counted in their windows, what is
/// left, and when they begin anew. No secret is needed.
#[utoipa::path(get, path = "/v1/organizations/{organization}/keys/{key}/limits", tag = "keys", params(KeyPath),
    responses((status = 200, description = "The limits.", body = KeyLimits)))]
async fn list_key_limits(
    State(state): State<AppState>,
    allow: Allow<permit::KeysRead>,
    Path(path): Path<KeyPath>,
) -> Result<Json<KeyLimits>> {
    Ok(Json(KeyLimits { items: decision::key_limits(&allow, &state.meter, path.key).await? }))
}

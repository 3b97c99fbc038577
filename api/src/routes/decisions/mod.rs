//! `/v1/authorize`, `/v1/check`, `/v1/key` and `keys/{key}/explain`: whether a virtual key may make a call.

mod check;

use crate::{
    extract::{
        Allow, Json, Path,
        decision::{Asked, Authorize, Explain, VirtualKey},
        json,
    },
    problem::{Fault, Problem, Result},
    state::AppState,
    verdict::{self, ClientResponse},
};
use axum::extract::State;
use entity::id::KeyId;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use service::{
    Error,
    authz::permit,
    decision::{self, Authorization, ErrorFormat, Explanation, KeyCall, NewDecision, OwnKey},
};
use std::borrow::Cow;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(authorize))
        .routes(routes!(explain_authorize))
        .routes(routes!(authorize_batch))
        .routes(routes!(get_own_key))
        .routes(routes!(explain_key))
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
        Self { client_response: verdict::client_response(&decision.reasons, format), decision }
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

/// Many calls to decide about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AuthorizeBatch {
    /// The calls, at most 256. Each has an answer of its own.
    #[serde(deserialize_with = "at_most_a_batch")]
    #[schema(value_type = Vec<NewDecision>, max_items = 256)]
    requests: Vec<Value>,
}

fn at_most_a_batch<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Value>, D::Error> {
    let calls = Vec::deserialize(deserializer)?;
    if calls.len() <= decision::BATCH {
        return Ok(calls);
    }
    Err(D::Error::invalid_length(calls.len(), &"at most 256 calls"))
}

/// The answers to many calls, in the order of the calls.
#[derive(Debug, Serialize, ToSchema)]
struct AuthorizeResults {
    /// The answers.
    results: Vec<AuthorizeResult>,
}

/// The answer to one call of many.
#[derive(Debug, Serialize, ToSchema)]
struct AuthorizeResult {
    /// 200 with a decision, or the status of the problem.
    #[schema(example = 200)]
    status: u16,
    /// The decision.
    #[schema(required)]
    decision: Option<AuthorizeReply>,
    /// Why there is none.
    #[schema(required)]
    problem: Option<CallProblem>,
}

/// Why there is no decision about one call of many.
#[derive(Debug, Serialize, ToSchema)]
struct CallProblem {
    /// Stable code.
    #[schema(value_type = String, example = "invalid")]
    code: &'static str,
    /// What is wrong, for people.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// The faulty fields; pointers are within the call.
    errors: Vec<Fault>,
}

impl From<Result<AuthorizeReply>> for AuthorizeResult {
    fn from(result: Result<AuthorizeReply>) -> Self {
        match result {
            Ok(decision) => Self { status: 200, decision: Some(decision), problem: None },
            Err(Problem { status, code, detail, errors, .. }) => {
                Self { status, decision: None, problem: Some(CallProblem { code, detail, errors }) }
            }
        }
    }
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
/// and `client_response` is the answer to hand to the client as it is. An administrator's change is in force here, on
/// every instance, from the moment it was answered. A key that is malformed, unknown, wrong, of another organization or
/// of a team that the gateway does not serve is `key_unknown`, one and the same answer.
#[utoipa::path(post, path = "/v1/authorize", tag = "decisions", security(("gateway" = [])),
    request_body = NewDecision,
    responses((status = 200, description = "The decision.", body = AuthorizeReply)))]
async fn authorize(
    State(state): State<AppState>,
    asked: Asked<NewDecision, Authorize>,
) -> Result<Json<AuthorizeReply>> {
    let format = asked.body.error_format;
    let decision = decision::authorize(&state.system, &state.meter, asked.gateway, asked.body).await?;
    Ok(Json(AuthorizeReply::new(decision, format)))
}

/// Explain a decision
///
/// The same request as for a decision, without any effect, and with everything that was looked at.
#[utoipa::path(post, path = "/v1/authorize/explain", tag = "decisions", security(("gateway" = [])),
    request_body = NewDecision,
    responses((status = 200, description = "How the decision comes about.", body = ExplainReply)))]
async fn explain_authorize(
    State(state): State<AppState>,
    asked: Asked<NewDecision, Explain>,
) -> Result<Json<ExplainReply>> {
    let format = asked.body.error_format;
    let explanation = decision::explain(&state.meter, asked.gateway, asked.body).await?;
    let client_response = verdict::client_response(&explanation.reasons, format);
    Ok(Json(ExplainReply { explanation, client_response }))
}

/// Decide about many calls
///
/// Each call has its own answer: a call that is not acceptable does not keep the others from being decided. `status` is
/// 200 with a `decision`, or 400 or 422 with a `problem`.
#[utoipa::path(post, path = "/v1/authorize/batch", tag = "decisions", security(("gateway" = [])),
    request_body = AuthorizeBatch,
    responses((status = 200, description = "The answers, in the order of the calls.", body = AuthorizeResults)))]
async fn authorize_batch(
    State(state): State<AppState>,
    asked: Asked<AuthorizeBatch, Authorize>,
) -> Result<Json<AuthorizeResults>> {
    let parsed: Vec<Result<NewDecision>> = asked.body.requests.into_iter().map(json::parse_value).collect();
    let fine: Vec<NewDecision> = parsed.iter().flatten().cloned().collect();
    let decided = decision::authorize_all(&state.system, &state.meter, asked.gateway, fine).await?;
    Ok(Json(AuthorizeResults { results: in_order(parsed, decided) }))
}

/// Puts the decisions back between the calls that could not be read.
fn in_order(
    parsed: Vec<Result<NewDecision>>,
    decided: Vec<service::Result<Authorization>>,
) -> Vec<AuthorizeResult> {
    let mut decided = decided.into_iter();
    let result = |call: Result<NewDecision>| {
        let format = call?.error_format;
        let decision = decided.next().unwrap_or(Err(Error::Overloaded))?;
        Ok(AuthorizeReply::new(decision, format))
    };
    parsed.into_iter().map(result).map(AuthorizeResult::from).collect()
}

/// Read the key that asks
///
/// Opens with the virtual key itself, in `Authorization: Bearer` or `x-api-key`, and with nothing else. A key that may
/// not be used gets 401 or 403 with the code of the gravest reason.
#[utoipa::path(get, path = "/v1/key", tag = "decisions", security(("virtual_key" = [])),
    responses((status = 200, description = "The key.", body = OwnKey),
              (status = 401, description = "`key_unknown`, `key_revoked`, `key_expired`, `key_disabled`, `secret_expired`."),
              (status = 403, description = "`owner_suspended`, `organization_suspended`, `address_not_allowed`.")))]
async fn get_own_key(State(state): State<AppState>, asking: VirtualKey) -> Result<Json<OwnKey>> {
    let ip = asking.info.client_ip;
    let own = decision::own_key(&state.system, &state.meter, &asking.key, ip).await?;
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

//! Many decisions at once. Each has an answer of its own: one that is not acceptable does not keep the others from theirs.

use super::AuthorizeReply;
use crate::{
    document::OpenApiRouter,
    extract::{
        Json,
        decision::{Asked, Authorize, Extend, Settle, Usage, Void},
        json,
    },
    problem::{Fault, Problem, Result},
    state::AppState,
    verdict::failure,
};
use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use service::{
    Error,
    cost::unique,
    decision::{self, Extension, NewDecision, NewExtension, NewSettlement, NewUsage, NewVoid, Settlement},
};
use std::borrow::Cow;
use utoipa::ToSchema;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(authorize_batch))
        .routes(routes!(settle_batch))
        .routes(routes!(void_batch))
        .routes(routes!(extend_batch))
        .routes(routes!(report_usage_batch))
}

fn at_most_a_batch<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Value>, D::Error> {
    let calls = unique::calls(deserializer)?;
    if calls.len() <= decision::BATCH {
        return Ok(calls);
    }
    Err(D::Error::invalid_length(calls.len(), &"at most 256 calls"))
}

/// Why there is no answer about one call of many.
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

/// The types of one kind of batch: its body, its results, and one result with its answer.
macro_rules! batch {
    ($batch:ident of $new:ident, $results:ident of $result:ident { $answer:ident: $reply:ty }) => {
        /// Many calls at once.
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        struct $batch {
            /// The calls, at most 256. Each has an answer of its own.
            #[serde(deserialize_with = "at_most_a_batch")]
            #[schema(value_type = Vec<$new>, max_items = 256)]
            requests: Vec<Value>,
        }

        /// The answers to many calls, in the order of the calls.
        #[derive(Debug, Serialize, ToSchema)]
        struct $results {
            /// The answers.
            results: Vec<$result>,
        }

        /// The answer to one call of many.
        #[derive(Debug, Serialize, ToSchema)]
        struct $result {
            /// 200 with an answer, or the status of the problem.
            #[schema(example = 200)]
            status: u16,
            /// The answer.
            #[schema(required)]
            $answer: Option<$reply>,
            /// Why there is none.
            #[schema(required)]
            problem: Option<CallProblem>,
        }

        impl From<Result<$reply>> for $result {
            fn from(result: Result<$reply>) -> Self {
                match result {
                    Ok(answer) => Self { status: 200, $answer: Some(answer), problem: None },
                    Err(Problem { status, code, detail, errors, .. }) => {
                        Self { status, $answer: None, problem: Some(CallProblem { code, detail, errors }) }
                    }
                }
            }
        }
    };
}

batch!(AuthorizeBatch of NewDecision, AuthorizeResults of AuthorizeResult { decision: AuthorizeReply });
batch!(SettleBatch of NewSettlement, SettleResults of SettleResult { settlement: Settlement });
batch!(VoidBatch of NewVoid, VoidResults of VoidResult { settlement: Settlement });
batch!(ExtendBatch of NewExtension, ExtendResults of ExtendResult { extension: Extension });
batch!(UsageBatch of NewUsage, UsageResults of UsageResult { settlement: Settlement });

/// The calls as they were read, and those of them that could be.
fn read<N: Clone + serde::de::DeserializeOwned>(requests: Vec<Value>) -> (Vec<Result<N>>, Vec<N>) {
    let read: Vec<Result<N>> = requests.into_iter().map(json::parse_value).collect();
    let fine = read.iter().flatten().cloned().collect();
    (read, fine)
}

/// Puts the answers back between the calls that could not be read.
fn in_order<N, A, B, R: From<Result<B>>>(
    read: Vec<Result<N>>,
    answers: Vec<service::Result<A>>,
    show: impl Fn(&N, A) -> B,
) -> Vec<R> {
    let mut answers = answers.into_iter();
    let result = |call: Result<N>| {
        let call = call?;
        let answer = answers.next().unwrap_or(Err(Error::Overloaded)).map_err(failure)?;
        Ok(show(&call, answer))
    };
    let results: Vec<Result<B>> = read.into_iter().map(result).collect();
    // Calls of one batch fail together, if the database does: one line in the log is enough.
    if let Some(problem) = results.iter().filter_map(|result| result.as_ref().err()).find(|p| p.status >= 500)
    {
        problem.log();
    }
    results.into_iter().map(R::from).collect()
}

/// Decide about many calls
///
/// They are decided in their order. `status` is 200 with a `decision`, or that of the `problem`: 400 or 422 for a call that is
/// not acceptable, 409, 503.
#[utoipa::path(post, path = "/v1/authorize/batch", tag = "decisions", security(("gateway" = [])),
    request_body = AuthorizeBatch,
    responses((status = 200, description = "The answers, in the order of the calls.", body = AuthorizeResults)))]
async fn authorize_batch(
    State(state): State<AppState>,
    asked: Asked<AuthorizeBatch, Authorize>,
) -> Result<Json<AuthorizeResults>> {
    let (read, fine) = read::<NewDecision>(asked.body.requests);
    let answers = decision::authorize_all(&state.system, &state.meter, asked.gateway, fine).await;
    let show = |call: &NewDecision, decision| AuthorizeReply::new(decision, call.error_format);
    Ok(Json(AuthorizeResults { results: in_order(read, answers.map_err(failure)?, show) }))
}

/// Tell what many calls used
///
/// `status` is 200 with a `settlement`, or that of the `problem`.
#[utoipa::path(post, path = "/v1/settle/batch", tag = "decisions", security(("gateway" = [])),
    request_body = SettleBatch,
    responses((status = 200, description = "The answers, in the order of the calls.", body = SettleResults)))]
async fn settle_batch(
    State(state): State<AppState>,
    asked: Asked<SettleBatch, Settle>,
) -> Result<Json<SettleResults>> {
    let (read, fine) = read::<NewSettlement>(asked.body.requests);
    let answers = decision::settle_all(&state.system, &state.meter, asked.gateway, fine).await;
    Ok(Json(SettleResults { results: in_order(read, answers.map_err(failure)?, |_, settled| settled) }))
}

/// Tell that many calls did not happen
///
/// `status` is 200 with a `settlement`, or that of the `problem`.
#[utoipa::path(post, path = "/v1/void/batch", tag = "decisions", security(("gateway" = [])),
    request_body = VoidBatch,
    responses((status = 200, description = "The answers, in the order of the calls.", body = VoidResults)))]
async fn void_batch(
    State(state): State<AppState>,
    asked: Asked<VoidBatch, Void>,
) -> Result<Json<VoidResults>> {
    let (read, fine) = read::<NewVoid>(asked.body.requests);
    let answers = decision::void_all(&state.system, &state.meter, asked.gateway, fine).await;
    Ok(Json(VoidResults { results: in_order(read, answers.map_err(failure)?, |_, voided| voided) }))
}

/// Tell that many calls take longer
///
/// `status` is 200 with an `extension`, or that of the `problem`.
#[utoipa::path(post, path = "/v1/extend/batch", tag = "decisions", security(("gateway" = [])),
    request_body = ExtendBatch,
    responses((status = 200, description = "The answers, in the order of the calls.", body = ExtendResults)))]
async fn extend_batch(
    State(state): State<AppState>,
    asked: Asked<ExtendBatch, Extend>,
) -> Result<Json<ExtendResults>> {
    let (read, fine) = read::<NewExtension>(asked.body.requests);
    let answers = decision::extend_all(&state.system, &state.meter, asked.gateway, fine).await;
    Ok(Json(ExtendResults { results: in_order(read, answers.map_err(failure)?, |_, extended| extended) }))
}

/// Tell of many calls that were not authorized
///
/// `status` is 200 with a `settlement`, or that of the `problem`.
#[utoipa::path(post, path = "/v1/usage/batch", tag = "decisions", security(("gateway" = [])),
    request_body = UsageBatch,
    responses((status = 200, description = "The answers, in the order of the calls.", body = UsageResults)))]
async fn report_usage_batch(
    State(state): State<AppState>,
    asked: Asked<UsageBatch, Usage>,
) -> Result<Json<UsageResults>> {
    let (read, fine) = read::<NewUsage>(asked.body.requests);
    let answers = decision::report_all(&state.system, &state.meter, asked.gateway, fine).await;
    Ok(Json(UsageResults { results: in_order(read, answers.map_err(failure)?, |_, reported| reported) }))
}

//! What a client is told of a denial: the status of each code, and the body as its SDK expects it.

use crate::{problem::Problem, ratelimit};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use service::{
    Error,
    decision::{DenialReason, ErrorFormat, LimitState},
    meter::Code,
};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The status of every code: 401 if the credential is no good, 403 if it is good and not enough, 402 if the money is used up,
/// 429 if waiting helps. Of several the first counts.
pub const STATUSES: &[(Code, StatusCode)] = &[
    (Code::KeyUnknown, StatusCode::UNAUTHORIZED),
    (Code::KeyRevoked, StatusCode::UNAUTHORIZED),
    (Code::KeyExpired, StatusCode::UNAUTHORIZED),
    (Code::KeyDisabled, StatusCode::UNAUTHORIZED),
    (Code::SecretExpired, StatusCode::UNAUTHORIZED),
    (Code::OwnerSuspended, StatusCode::FORBIDDEN),
    (Code::HolderLeft, StatusCode::FORBIDDEN),
    (Code::OrganizationSuspended, StatusCode::FORBIDDEN),
    (Code::ConnectionUnknown, StatusCode::FORBIDDEN),
    (Code::ConnectionDisabled, StatusCode::FORBIDDEN),
    (Code::ConnectionNotAllowed, StatusCode::FORBIDDEN),
    (Code::ModelNotAllowed, StatusCode::FORBIDDEN),
    (Code::ScopeNotAllowed, StatusCode::FORBIDDEN),
    (Code::AddressNotAllowed, StatusCode::FORBIDDEN),
    (Code::SizeUnknown, StatusCode::FORBIDDEN),
    (Code::PriceUnknown, StatusCode::FORBIDDEN),
    (Code::CurrencyMismatch, StatusCode::FORBIDDEN),
    (Code::BudgetExceeded, StatusCode::PAYMENT_REQUIRED),
    (Code::LimitExceeded, StatusCode::TOO_MANY_REQUESTS),
];

/// The answer that a gateway can hand to its client as it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClientResponse {
    /// The status.
    #[schema(example = 403)]
    pub http_status: u16,
    /// The headers.
    #[schema(example = json!({"content-type": "application/json", "x-should-retry": "false"}))]
    pub headers: BTreeMap<&'static str, String>,
    /// The body, in the form that was asked for.
    #[schema(value_type = Object, example = json!({"error": {"message": "the key does not allow o3",
        "type": "permission_error", "param": null, "code": "model_not_allowed"}}))]
    pub body: Value,
}

/// The status of one code.
pub fn status(code: Code) -> StatusCode {
    STATUSES.iter().find(|(known, _)| *known == code).map_or(StatusCode::FORBIDDEN, |(_, status)| *status)
}

/// The reason that decides about the status: the gravest.
pub fn gravest(reasons: &[DenialReason]) -> Option<&DenialReason> {
    reasons.iter().min_by_key(|reason| reason.code)
}

/// What a client's SDK calls the kind of an error, as its provider words it.
fn kind(status: StatusCode, format: ErrorFormat) -> &'static str {
    match (status, format) {
        (StatusCode::UNAUTHORIZED, ErrorFormat::Gemini) => "UNAUTHENTICATED",
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYMENT_REQUIRED, ErrorFormat::Gemini) => {
            "RESOURCE_EXHAUSTED"
        }
        (_, ErrorFormat::Gemini) => "PERMISSION_DENIED",
        (StatusCode::UNAUTHORIZED, _) => "authentication_error",
        (StatusCode::TOO_MANY_REQUESTS, ErrorFormat::Openai) => "requests",
        (StatusCode::TOO_MANY_REQUESTS, ErrorFormat::Anthropic) => "rate_limit_error",
        (StatusCode::PAYMENT_REQUIRED, ErrorFormat::Openai) => "insufficient_quota",
        (StatusCode::PAYMENT_REQUIRED, ErrorFormat::Anthropic) => "billing_error",
        _ => "permission_error",
    }
}

/// An error of Google's APIs: the stable code as `ErrorInfo`, and how long to wait as `RetryInfo`.
fn google_error(status: StatusCode, kind: &str, reason: &DenialReason, wait: Option<u64>) -> Value {
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason.code.word().to_uppercase(),
        "domain": "tollkeeper"
    })];
    details.extend(wait.map(|seconds| {
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")})
    }));
    json!({"error": {
        "code": status.as_u16(), "message": &reason.message, "status": kind, "details": details
    }})
}

/// How long a client has to wait until every limit that denies it lets it through; none if waiting alone does not help.
fn retry_after(reasons: &[DenialReason]) -> Option<u64> {
    reasons.iter().map(|reason| reason.retry_after).try_fold(0, |most, after| Some(after?.max(most)))
}

/// What the client is told; nothing if nothing stands in the way.
pub fn client_response(
    reasons: &[DenialReason],
    limits: &[LimitState],
    format: ErrorFormat,
) -> Option<ClientResponse> {
    let gravest = gravest(reasons)?;
    let status = status(gravest.code);
    let counts_tokens =
        limits.iter().any(|limit| Some(limit.limit_id) == gravest.limit_id && limit.counts_tokens());
    let kind =
        if counts_tokens && kind(status, format) == "requests" { "tokens" } else { kind(status, format) };
    let (code, message) = (gravest.code.word(), &gravest.message);
    let wait = retry_after(reasons).filter(|_| status == StatusCode::TOO_MANY_REQUESTS);
    let body = match format {
        ErrorFormat::Openai => json!({
            "error": { "message": message, "type": kind, "param": null, "code": code }
        }),
        ErrorFormat::Anthropic => json!({
            "type": "error", "error": { "type": kind, "message": format!("{code}: {message}") }
        }),
        ErrorFormat::Gemini => google_error(status, kind, gravest, wait),
    };
    let mut headers = BTreeMap::from([("content-type", "application/json".to_owned())]);
    match wait {
        Some(seconds) => drop(headers.insert("retry-after", seconds.to_string())),
        None => drop(headers.insert("x-should-retry", "false".to_owned())),
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert("www-authenticate", "Bearer".to_owned());
    }
    headers.extend(ratelimit::headers(limits));
    Some(ClientResponse { http_status: status.as_u16(), headers, body })
}

/// Why a decision could not be made. A meter that does not answer is told from a key that may not be used.
pub fn failure(error: Error) -> Problem {
    let away = error.is_unavailable() && !matches!(error, Error::Overloaded);
    let problem = Problem::from(error);
    if !away {
        return problem;
    }
    Problem { code: "meter_unavailable", kind: "urn:tollkeeper:problem:meter_unavailable".into(), ..problem }
}

/// The denial as a problem, for a caller that is told of it directly.
pub fn problem(reasons: &[DenialReason]) -> Problem {
    let denied = || Problem::new(StatusCode::FORBIDDEN, "forbidden", "the key may not be used");
    gravest(reasons).map_or_else(denied, |reason| {
        let problem = Problem::new(status(reason.code), reason.code.word(), reason.message.clone());
        match retry_after(reasons) {
            Some(seconds) => problem.retry(seconds),
            None => problem,
        }
    })
}

/// The codes as a Markdown table, for the documentation.
pub fn markdown() -> String {
    let rows = STATUSES
        .iter()
        .map(|(code, status)| format!("| `{}` | {} | {} |\n", code.word(), status.as_u16(), code.about()));
    format!("| code | status | when |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_status() {
        let listed: Vec<Code> = STATUSES.iter().map(|(code, _)| *code).collect();
        assert_eq!(listed, Code::EVERY);
        assert!(markdown().contains("| `model_not_allowed` | 403 |"));
    }
}

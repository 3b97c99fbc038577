//! What a client is told of a denial: the status of each code, and the body as its SDK expects it.

use crate::problem::Problem;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use service::{
    decision::{ErrorFormat, Reason},
    meter::Code,
};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The status of every code: 401 if the credential is no good, 403 if it is good and not enough. Of several the
/// smaller one counts.
pub const STATUSES: &[(Code, StatusCode)] = &[
    (Code::KeyUnknown, StatusCode::UNAUTHORIZED),
    (Code::KeyRevoked, StatusCode::UNAUTHORIZED),
    (Code::KeyExpired, StatusCode::UNAUTHORIZED),
    (Code::KeyDisabled, StatusCode::UNAUTHORIZED),
    (Code::SecretExpired, StatusCode::UNAUTHORIZED),
    (Code::OwnerSuspended, StatusCode::FORBIDDEN),
    (Code::OrganizationSuspended, StatusCode::FORBIDDEN),
    (Code::ModelNotAllowed, StatusCode::FORBIDDEN),
    (Code::ScopeNotAllowed, StatusCode::FORBIDDEN),
    (Code::AddressNotAllowed, StatusCode::FORBIDDEN),
];

/// The answer that a gateway can hand to its client as it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClientResponse {
    /// The status.
    #[schema(example = 403)]
    pub http_status: u16,
    /// The headers.
    #[schema(example = json!({"content-type": "application/json", "x-should-retry": "false"}))]
    pub headers: BTreeMap<&'static str, &'static str>,
    /// The body, in the form that was asked for.
    #[schema(value_type = Object, example = json!({"error": {"message": "the key does not allow o3",
        "type": "permission_error", "param": null, "code": "model_not_allowed"}}))]
    pub body: Value,
}

/// The status of one code.
pub fn status(code: Code) -> StatusCode {
    STATUSES.iter().find(|(known, _)| *known == code).map_or(StatusCode::FORBIDDEN, |(_, status)| *status)
}

/// The reason that decides about the status: the first of the gravest.
pub fn gravest(reasons: &[Reason]) -> Option<&Reason> {
    reasons.iter().min_by_key(|reason| status(reason.code))
}

/// What the client is told; nothing if nothing stands in the way.
pub fn client_response(reasons: &[Reason], format: ErrorFormat) -> Option<ClientResponse> {
    let gravest = gravest(reasons)?;
    let status = status(gravest.code);
    let kind = if status == StatusCode::UNAUTHORIZED { "authentication_error" } else { "permission_error" };
    let (code, message) = (gravest.code.word(), &gravest.message);
    let body = match format {
        ErrorFormat::Openai => json!({
            "error": { "message": message, "type": kind, "param": null, "code": code }
        }),
        ErrorFormat::Anthropic => json!({
            "type": "error", "error": { "type": kind, "message": format!("{code}: {message}") }
        }),
    };
    let mut headers = BTreeMap::from([("content-type", "application/json"), ("x-should-retry", "false")]);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert("www-authenticate", "Bearer");
    }
    Some(ClientResponse { http_status: status.as_u16(), headers, body })
}

/// The denial as a problem, for a caller that is told of it directly.
pub fn problem(reasons: &[Reason]) -> Problem {
    let denied = || Problem::new(StatusCode::FORBIDDEN, "forbidden", "the key may not be used");
    gravest(reasons).map_or_else(denied, |reason| {
        Problem::new(status(reason.code), reason.code.word(), reason.message.clone())
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

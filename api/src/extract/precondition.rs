//! `If-Match`: the version that a change applies to.

use crate::{problem::Problem, state::AppState};
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};
use service::error::FieldError;

/// The version in `If-Match`, if there is one. `W/"7"` is understood; `*` is any version.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(pub Option<i64>);

impl FromRequestParts<AppState> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let tag = text.strip_prefix("W/").unwrap_or(text);
        let version = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(tag).parse();
        version.map(|version| Self(Some(version))).map_err(|_| {
            let message = "must be one version, as \"7\"";
            let fault =
                FieldError { pointer: "If-Match".into(), code: "invalid_value", message: message.into() };
            Problem::new(StatusCode::BAD_REQUEST, "invalid_if_match", message).with([fault])
        })
    }
}

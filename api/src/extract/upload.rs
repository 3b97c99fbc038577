//! [`Upload`]: a file as the body of a request, in the encoding that its `Content-Type` names.

use super::json::{Call, Refusal, bytes};
use crate::{problem::Problem, state::AppState};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use service::price::list::Encoding;

/// A file that was sent with a call that may carry an `Idempotency-Key`; success answers 200.
#[derive(Debug)]
pub struct Upload {
    /// What was sent.
    pub file: Bytes,
    /// How it is written.
    pub encoding: Encoding,
}

impl FromRequest<AppState> for Upload {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let encoding = encoding(request.headers());
        let call = Call::of(&request);
        let file = bytes(request, state).await?;
        call.once(&file, StatusCode::OK).await?;
        if file.is_empty() {
            let detail = "the body is empty; send the file as it is";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "empty_body", detail).into());
        }
        Ok(Self { file, encoding: encoding.ok_or_else(|| unsupported("send JSON, YAML or CSV"))? })
    }
}

/// A file of a kind that the operation does not read.
pub fn unsupported(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match kind.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(Encoding::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Some(Encoding::Yaml),
        "text/csv" | "application/csv" => Some(Encoding::Csv),
        _ => None,
    }
}

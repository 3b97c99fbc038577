//! [`Problem`]: the only error on the wire (RFC 9457). Everything that goes wrong becomes one, and is logged once, when
//! [`finish`] writes it out.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use service::{Error, ctx::RequestInfo, error::FieldError};
use std::borrow::Cow;
use utoipa::ToSchema;

/// The result of every handler.
pub type Result<T> = std::result::Result<T, Problem>;

/// One faulty field.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Fault {
    /// JSON pointer to the field in the body; `?name` for a query parameter; a name for a header.
    #[schema(example = "/name")]
    pub pointer: String,
    /// Stable word.
    #[schema(example = "too_long")]
    pub code: Cow<'static, str>,
    /// What is wrong, for people.
    #[schema(example = "must have at most 255 characters")]
    pub message: String,
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        Self { pointer: error.pointer, code: error.code.into(), message: error.message }
    }
}

/// An error as `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem; it is the same for every problem of one `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:tollkeeper:problem:not_found")]
    pub kind: String,
    /// The status in words.
    #[schema(example = "Not Found")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What happened, for people.
    #[schema(example = "key not found")]
    pub detail: Cow<'static, str>,
    /// The path of the request.
    #[schema(example = "/v1/organizations/default/keys")]
    pub instance: String,
    /// Stable code, for programs.
    #[schema(example = "not_found")]
    pub code: &'static str,
    /// The request, for the operator's logs.
    #[schema(example = "req_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub request_id: String,
    /// Every faulty field.
    pub errors: Vec<Fault>,
    /// How many connections take a proxy pool that is to be deleted; only in that `in_use`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 2)]
    pub bound_connection_count: Option<u64>,
    /// Sent as `Retry-After`, in seconds.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// What is behind a 5xx: logged, never sent.
    #[serde(skip)]
    pub cause: Option<String>,
    /// Whether it is in the log already: each failure is there once.
    #[serde(skip)]
    pub logged: bool,
}

impl Problem {
    /// A problem of this status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: format!("urn:tollkeeper:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            instance: String::new(),
            code,
            request_id: String::new(),
            errors: Vec::new(),
            bound_connection_count: None,
            retry_after: None,
            cause: None,
            logged: false,
        }
    }

    /// What a panic is answered with. The hook of the panic has logged it, with its place.
    pub(crate) fn of_panic() -> Self {
        Self { logged: true, ..Self::of_status(StatusCode::INTERNAL_SERVER_ERROR) }
    }

    /// Logs a failure of the server. An error is what an operator has to look into; too much at once, a database or an upstream
    /// that does not answer, and time that has run out pass, or are told by whoever watches those.
    pub(crate) fn log(&self) {
        if self.status < 500 || self.logged {
            return;
        }
        let (code, cause) = (self.code, self.cause.as_deref().unwrap_or(&self.detail));
        match code {
            // It is going as the operator wished, and the log says so.
            "draining" => tracing::debug!(code, cause, "request refused"),
            _ if self.status == 500 || code.starts_with("encryption_key_") => {
                tracing::error!(code, cause, "request failed");
            }
            _ => tracing::warn!(code, cause, "request failed"),
        }
    }

    /// The same, with the faulty fields.
    #[must_use]
    pub fn with(mut self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        self.errors = errors.into_iter().map(Fault::from).collect();
        self
    }

    /// The same, with the time after which to try again.
    pub(crate) fn retry(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The problem that a bare status stands for: what the framework refuses by itself.
    fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("route_not_found", "there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this path does not know that method"),
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("payload_too_large", "the body is larger than this operation takes")
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
                ("timeout", "the request took too long")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "send application/json"),
            status if status.is_server_error() => {
                ("internal", "something went wrong; the operator's log has it")
            }
            _ => ("bad_request", "the request is not acceptable"),
        };
        Self::new(status, code, detail)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let unavailable = error.is_unavailable();
        let text = error.to_string();
        match error {
            Error::Unauthenticated(code, _) => Self::new(StatusCode::UNAUTHORIZED, code, text),
            Error::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", text),
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not_found", text),
            Error::Malformed(fault) => Self::new(StatusCode::BAD_REQUEST, fault.code, text).with([fault]),
            Error::Invalid(faults) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", told(&faults)).with(faults)
            }
            Error::Conflict { .. } => Self::new(StatusCode::CONFLICT, "duplicate", text),
            Error::VersionConflict { stated: true, .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "version_conflict", text)
            }
            Error::VersionConflict { .. } => Self::new(StatusCode::CONFLICT, "version_conflict", text),
            Error::VersionMissing => {
                let detail = "send the version that you have seen, the ETag of the reply, in If-Match: \"3\"";
                Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail)
            }
            Error::InUse { by, count } => {
                let bound = (by == service::proxy_pool::BOUND).then_some(count);
                Self { bound_connection_count: bound, ..Self::new(StatusCode::CONFLICT, "in_use", text) }
            }
            Error::InvalidState(code @ "idempotency_key_reused", detail) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
            }
            // This instance is to be configured and started anew; others may do it.
            Error::InvalidState(code @ ("encryption_key_retired" | "encryption_key_missing"), detail) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            }
            Error::InvalidState(code, detail) => Self::new(StatusCode::CONFLICT, code, detail),
            Error::PriceUnknown(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "price_unknown", text),
            Error::Upstream(_) => Self::new(StatusCode::BAD_GATEWAY, "upstream_failed", text),
            Error::Throttled(after) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", text).retry(after.as_secs().max(1))
            }
            Error::Overloaded => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too much at once; try again")
                    .retry(1)
            }
            Error::Db(_) if unavailable => {
                let detail = "the database does not answer; try again";
                let problem =
                    Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", detail).retry(2);
                Self { cause: Some(text), ..problem }
            }
            Error::Db(error) if service::error::is_restricted(&error) => Self::new(
                StatusCode::CONFLICT,
                "in_use",
                "something it depends on, or that depends on it, just changed",
            ),
            Error::Db(_) | Error::Internal(_) => {
                Self { cause: Some(text), ..Self::of_status(StatusCode::INTERNAL_SERVER_ERROR) }
            }
        }
    }
}

/// One fault whole, of several how many.
fn told(faults: &[FieldError]) -> String {
    match faults {
        [only] if only.pointer.is_empty() => only.message.clone(),
        [only] => format!("{}: {}", only.pointer, only.message),
        several => format!("{} fields are not acceptable", several.len()),
    }
}

/// The response carries the problem as an extension; [`finish`] writes the body, when it knows the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Box::new(self));
        response
    }
}

/// The outermost layer: turns every failure into `application/problem+json`, also those of the framework.
pub async fn finish(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let id = request.extensions().get::<RequestInfo>().map(|info| info.id.clone()).unwrap_or_default();
    let mut response = next.run(request).await;
    let status = response.status();
    let problem = response.extensions_mut().remove::<Box<Problem>>().map(|boxed| *boxed);
    let bare = (status.is_client_error() || status.is_server_error()) && !is_ours(&response);
    let Some(mut problem) = problem.or_else(|| bare.then(|| Problem::of_status(status))) else {
        return response;
    };
    problem.instance = path;
    problem.request_id = id;
    problem.log();
    write(response, &problem)
}

/// Bodies that a handler wrote on purpose: decisions, and answers that are no errors of ours.
fn is_ours(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/"))
}

fn write(response: Response, problem: &Problem) -> Response {
    let (mut parts, _) = response.into_parts();
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut set = |name: HeaderName, value: HeaderValue| parts.headers.insert(name, value);
    set(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    set(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(seconds) = problem.retry_after {
        set(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.status == 401 {
        set(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tollkeeper\""));
    }
    Response::from_parts(parts, Body::from(body))
}

//! Bodies and replies. [`Json`] reads a body; [`Create`] and [`Act`] do too, and answer a repeated call with an
//! `Idempotency-Key` from its stored reply before the handler runs.

use super::objects::Objects;
use crate::{middleware::body::is_too_slow, problem::Problem, state::AppState};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use service::{
    Ctx, blocking,
    error::FieldError,
    idempotency::{self, Ticket},
    json_text,
    validate::escaped,
};
use sha2::{Digest, Sha256};

/// A body that has been understood; as a reply, 200.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// The body of a POST that makes something (201).
pub type Create<T> = Once<T, 201>;
/// The body of a POST that does something (200).
pub type Act<T> = Once<T, 200>;

/// The body of a call that may carry an `Idempotency-Key`; `STATUS` is what success answers.
#[derive(Debug)]
pub struct Once<T, const STATUS: u16>(pub T);

/// The body of an action that needs none; an empty body or `{}`.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Why a request did not reach its handler: a problem, or a reply from before.
#[derive(Debug)]
pub enum Refusal {
    /// It failed.
    Problem(Problem),
    /// It was made before.
    Replay(Response),
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Replay(response) => response,
        }
    }
}

/// The body, unless it is too large.
pub(super) async fn bytes(request: Request, state: &AppState) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if is_too_slow(&rejection) {
            return too_slow();
        }
        let status = rejection.into_response().status();
        if status == StatusCode::PAYLOAD_TOO_LARGE { too_large() } else { unreadable() }
    })
}

pub(super) fn too_large() -> Problem {
    let detail = "the body is larger than this operation takes";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
}

pub(super) fn too_slow() -> Problem {
    let detail = "the body arrived too slowly; send it without pauses";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
}

pub(super) fn unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the body could not be read")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

/// Reads JSON; says where it is wrong. What is no JSON or has unknown fields is 400, wrong values are 422.
pub fn parse<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    let body = if body.is_empty() { b"{}" } else { body };
    if body != b"{}" && !is_json(headers) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_media_type", "send application/json"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value =
        serde_path_to_error::deserialize(Objects(&mut reader)).map_err(|error| fault(&error, body))?;
    reader.end().map_err(|error| syntax(&error))?;
    Ok(value)
}

/// Reads one value of a body that has been read; says where it is wrong.
pub fn parse_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    // What has been read as a value is JSON, whatever it says.
    serde_path_to_error::deserialize(Objects(value)).map_err(|error| fault(&error, b"null"))
}

fn syntax(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the body is not JSON: {error}"))
}

fn fault(error: &serde_path_to_error::Error<serde_json::Error>, body: &[u8]) -> Problem {
    let inner = error.inner();
    // A word of a closed set that is no text (`null`, `5`) is called a syntax error, too; but it is JSON.
    let document: serde_json::Value = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(error) => return syntax(&error),
    };
    let text = if inner.is_data() { inner.to_string() } else { "invalid type, expected a text".to_owned() };
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
    let named = escaped(message.split('`').nth(1).unwrap_or_default());
    let mut pointer = pointer(error.path());
    let (status, code, field) = if message.starts_with("unknown field") {
        (StatusCode::BAD_REQUEST, "unknown_field", Some(named))
    } else if message.starts_with("missing field") {
        (StatusCode::UNPROCESSABLE_ENTITY, "required", Some(named))
    } else if document.pointer(&pointer).is_some_and(serde_json::Value::is_null) {
        (StatusCode::UNPROCESSABLE_ENTITY, "not_nullable", None)
    } else {
        (StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", None)
    };
    // What was sent is not repeated: it may be a password in the wrong place.
    let message = match message.split_once(", expected ") {
        Some((said, expected)) if said.starts_with("invalid") => format!("expected {}", plainly(expected)),
        _ => message,
    };
    if let Some(field) = field.filter(|field| !pointer.ends_with(&format!("/{field}"))) {
        pointer = format!("{pointer}/{field}");
    }
    let top = if status == StatusCode::BAD_REQUEST { code } else { "invalid" };
    let place = if pointer.is_empty() { "the body" } else { &pointer };
    Problem::new(status, top, format!("{place}: {message}")).with([FieldError { pointer, code, message }])
}

/// What was expected, in the words of JSON.
fn plainly(expected: &str) -> &str {
    match expected {
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "u8" | "u16" | "u32" | "u64" => "a whole number that is not negative",
        object if object.starts_with("struct ") => "an object",
        other => other,
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escaped(key)),
            Segment::Enum { variant } => format!("/{}", escaped(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let body = bytes(request, state).await?;
        parse(&headers, &body).map(Self)
    }
}

impl<T: DeserializeOwned, const STATUS: u16> FromRequest<AppState> for Once<T, STATUS> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let headers = request.headers().clone();
        let call = Call::of(&request);
        let body = bytes(request, state).await?;
        call.values().once(&body, StatusCode::from_u16(STATUS).unwrap_or_default()).await?;
        Ok(Self(parse(&headers, &body)?))
    }
}

/// A call that may carry an `Idempotency-Key`: who makes it, and what it asks besides its body.
#[derive(Debug)]
pub(super) struct Call {
    ctx: Option<Ctx>,
    key: Option<HeaderValue>,
    method: Method,
    uri: String,
    /// Whether bodies are compared as JSON values, and not byte for byte.
    values: bool,
}

impl Call {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            ctx: request.extensions().get::<Ctx>().cloned(),
            key: request.headers().get("idempotency-key").cloned(),
            method: request.method().clone(),
            uri: request.uri().to_string(),
            values: false,
        }
    }

    /// A repetition may write the same JSON in another way: clients do not keep the order of members. Files are left to
    /// their bytes, since a large one would take many times its size.
    fn values(self) -> Self {
        Self { values: true, ..self }
    }

    /// Answers from the stored reply, if the call was made before with this body; else notes that it is being made.
    pub(super) async fn once(self, body: &Bytes, status: StatusCode) -> Result<(), Refusal> {
        let Self { ctx: Some(ctx), key: Some(key), method, uri, values } = self else { return Ok(()) };
        let (asker, body) = (ctx.clone(), body.clone());
        // A large file takes a while to digest.
        let ticket = blocking::run(move || {
            // What has no one value (a member twice, no JSON at all) is what its bytes are.
            let said = if values { said(&body) } else { None };
            ticket(&asker, &key, (&method, &uri), (&body, said.as_deref().unwrap_or(&body)))
        });
        let ticket = ticket.await??;
        if let Some(stored) = idempotency::recall(&ctx, &ticket).await? {
            let mut response = reply(status, stored);
            let name = HeaderName::from_static("idempotent-replayed");
            response.headers_mut().insert(name, HeaderValue::from_static("true"));
            return Err(Refusal::Replay(response));
        }
        let _ = ctx.ticket.set(ticket);
        Ok(())
    }
}

/// One text for all bodies that say the same. No body says what an empty object does.
fn said(body: &[u8]) -> Option<Vec<u8>> {
    json_text::canonical(if body.is_empty() { b"{}" } else { body })
}

/// `body` as it was sent, and the one text of all that say the same.
fn ticket(
    ctx: &Ctx,
    key: &HeaderValue,
    (method, uri): (&Method, &str),
    (body, said): (&[u8], &[u8]),
) -> Result<Ticket, Problem> {
    let printable = |key: &&str| key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let good = key.to_str().ok().filter(|key| (1..=255).contains(&key.len())).filter(printable);
    let key = good.ok_or_else(|| {
        let message = "must be 1–255 printable ASCII characters";
        let fault =
            FieldError { pointer: "Idempotency-Key".into(), code: "invalid_value", message: message.into() };
        Problem::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", message).with([fault])
    })?;
    let hash = |parts: [&[u8]; 3]| {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    };
    Ok(Ticket {
        id: hash([b"principal", ctx.actor.id.as_bytes(), key.as_bytes()]),
        fingerprint: hash([method.as_str().as_bytes(), uri.as_bytes(), said]),
        as_sent: hash([method.as_str().as_bytes(), uri.as_bytes(), body]),
    })
}

/// A reply with its `ETag`, from the same bytes that a replay gets. What says that nothing was added is no 201.
fn reply(status: StatusCode, body: Vec<u8>) -> Response {
    #[derive(Default, Deserialize)]
    struct Tagged {
        version: Option<i64>,
        added: Option<bool>,
    }
    let Tagged { version, added } = serde_json::from_slice(&body).unwrap_or_default();
    let found = status == StatusCode::CREATED && added == Some(false);
    let status = if found { StatusCode::OK } else { status };
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = (status, [kind], body).into_response();
    if let Some(tag) = version.and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn serialized<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => reply(status, body),
        Err(error) => Problem::from(service::Error::internal(error)).into_response(),
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        serialized(StatusCode::OK, &self.0)
    }
}

/// A reply to what made something: 201.
#[derive(Debug)]
pub struct Created<T>(pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        serialized(StatusCode::CREATED, &self.0)
    }
}

/// A reply without a body: 204.
#[derive(Debug, Clone, Copy)]
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

//! `/v1/check`: a decision as an HTTP status, for proxies that ask before they pass a request on (`auth_request` of
//! nginx, `ext_authz` of Envoy, forward-auth of Caddy, Traefik and others).

use crate::{
    document::OpenApiRouter,
    extract::proxied::{DenyStatus, Described},
    problem::Problem,
    state::AppState,
    verdict::{self, ClientResponse},
};
use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use service::decision::{self, Authorization, DenialReason, ErrorFormat};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file. Any other method works as well, and so does any path below, as proxies append it.
pub fn router() -> OpenApiRouter<AppState> {
    let (schemas, paths, methods) = routes!(check_get, check_post);
    OpenApiRouter::new()
        .routes((schemas, paths, methods.fallback(check)))
        .route("/v1/check/", any(check))
        .route("/v1/check/{*path}", any(check))
}

/// What a proxy says of a call.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the parameters as the document shows them; proxies send them in many ways")]
struct CheckHeaders {
    /// The gateway token of the proxy; needed.
    #[param(rename = "Tollkeeper-Gateway-Token")]
    gateway_token: Option<String>,
    /// The virtual key as Anthropic's SDKs send it, instead of `Authorization: Bearer`.
    #[param(rename = "x-api-key")]
    key: Option<String>,
    /// The virtual key as Azure's SDKs send it.
    #[param(rename = "api-key")]
    azure_key: Option<String>,
    /// The virtual key as Google's SDKs send it.
    #[param(rename = "x-goog-api-key")]
    google_key: Option<String>,
    /// The target of the call, path and query as they are passed on, or `forwarded` if the proxy sends it in
    /// `X-Forwarded-Uri`; not where the path stands below `/v1/check`.
    #[param(rename = "Tollkeeper-Uri")]
    uri: Option<String>,
    /// The model, where the path does not say it: UTF-8, or percent-encoded. A key restricted to models is refused
    /// without it.
    #[param(rename = "Tollkeeper-Model")]
    model: Option<String>,
    /// The kind of call, where the path does not say it.
    #[param(rename = "Tollkeeper-Scope")]
    scope: Option<String>,
    /// The client's address, or `forwarded`.
    #[param(rename = "Tollkeeper-Client-Ip")]
    client_ip: Option<String>,
    /// The status of every refusal, for a proxy that knows only one: 401 or 403.
    #[param(rename = "Tollkeeper-Deny-Status", minimum = 401, maximum = 403)]
    deny_status: Option<u16>,
}

/// How a proxy wants to be refused.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "the parameters as the document shows them; a client's own query is not ours to refuse"
)]
struct CheckQuery {
    /// As `Tollkeeper-Deny-Status`; not where a client's path, and with it its query, stands below `/v1/check`.
    #[param(minimum = 401, maximum = 403)]
    deny_status: Option<u16>,
    /// Whose errors the body of a refusal is worded as; absent, the path, `anthropic-version` or `x-goog-api-key` tell.
    #[param(inline)]
    error_format: Option<ErrorFormat>,
}

/// Visible ASCII as it is, everything else percent-encoded.
fn header_safe(text: &str) -> HeaderValue {
    let encode = |byte: u8| match byte {
        b'%' => "%25".to_owned(),
        byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let safe: String = text.bytes().map(encode).collect();
    HeaderValue::from_str(&safe).unwrap_or(HeaderValue::from_static(""))
}

fn identity(decision: &Authorization) -> Vec<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_static;
    let mut headers = vec![(name("tollkeeper-decision-id"), header_safe(&decision.decision_id.to_string()))];
    let Some(key) = &decision.key else { return headers };
    headers.push((name("tollkeeper-key-id"), header_safe(&key.id.to_string())));
    headers.push((name("tollkeeper-key-name"), header_safe(&key.name)));
    headers.push((name("tollkeeper-organization-id"), header_safe(&key.organization_id.to_string())));
    let owners = [
        ("tollkeeper-team-id", key.team_id.map(|id| id.to_string())),
        ("tollkeeper-user-id", key.user_id.map(|id| id.to_string())),
        ("tollkeeper-service-account-id", key.service_account_id.map(|id| id.to_string())),
    ];
    headers.extend(owners.into_iter().filter_map(|(header, id)| Some((name(header), header_safe(&id?)))));
    headers
}

fn respond(decision: &Authorization, format: ErrorFormat, deny: DenyStatus) -> Response {
    let mut response = match verdict::client_response(&decision.reasons, &decision.limits, format) {
        None => StatusCode::OK.into_response(),
        Some(denial) => denied(denial, &decision.reasons, deny),
    };
    response.headers_mut().extend(identity(decision));
    let warned: Vec<&str> = decision.limits.iter().filter_map(|limit| Some(limit.code?.word())).collect();
    if decision.allowed && !warned.is_empty() {
        response.headers_mut().insert("tollkeeper-warned", header_safe(&warned.join(",")));
    }
    response
}

fn denied(denial: ClientResponse, reasons: &[DenialReason], deny: DenyStatus) -> Response {
    let own = StatusCode::from_u16(denial.http_status).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = deny.refuse(own, denial.body.to_string());
    let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    for (name, value) in denial.headers {
        headers.insert(name, HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("")));
    }
    // Forced to the other status, this header goes or comes with it.
    headers.remove(header::WWW_AUTHENTICATE);
    if unauthorized {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.word()).collect();
    headers.insert("tollkeeper-denied", header_safe(&codes.join(",")));
    response
}

async fn check(State(state): State<AppState>, described: Described) -> Response {
    let Described { gateway, call, deny, info } = described;
    let format = call.error_format;
    match decision::check(&state.system, &state.meter, gateway, call).await {
        Ok(decision) => respond(&decision, format, deny),
        Err(error) => deny.problem(verdict::failure(error), &info),
    }
}

/// Decide by status
///
/// For a proxy that asks before it passes a request on. The virtual key is where the client put it: in `Authorization:
/// Bearer`, `x-api-key`, `api-key` or `x-goog-api-key`; one in a URL is refused. The proxy proves itself with its gateway
/// token in `Tollkeeper-Gateway-Token`, and must clear every `Tollkeeper-` header that a client sends. The kind of call,
/// and for some providers the model, come from the path: below `/v1/check`, such as
/// `/v1/check/v1/chat/completions`, or in `Tollkeeper-Uri`. A path that proxies and providers could read in more than one
/// way is refused (400 `path_ambiguous`). What the path does not say, the proxy says in `Tollkeeper-Model` and
/// `Tollkeeper-Scope`; `x-model`, `x-scope` and unknown `Tollkeeper-` headers are refused (400 `header_not_trusted`). The
/// client's address is in `Tollkeeper-Client-Ip`, or the word `forwarded` there if the proxy vouches for the last address of
/// the `X-Forwarded-For` that it sends and no proxy stands between it and Tollkeeper. The answer is 200, or 401, 402, 403
/// or 429 with the body for the client. `Tollkeeper-Deny-Status: 403` makes every refusal 403, with the own status in
/// `Tollkeeper-Denied-Status` and the body, as ASCII, in `Tollkeeper-Denied-Body`. Who it is stands in
/// `Tollkeeper-Key-Id`, `-Key-Name` (percent-encoded), `-Organization-Id`, `-Team-Id`, `-User-Id` or
/// `-Service-Account-Id`; why not in `Tollkeeper-Denied`.
#[utoipa::path(get, path = "/v1/check", tag = "decisions", security(("gateway" = [])),
    params(CheckHeaders, CheckQuery),
    responses((status = 200, description = "The call may be made."),
              (status = 400, body = Problem, content_type = "application/problem+json",
               description = "`header_not_trusted`, `invalid_header`, `invalid_value`, `path_ambiguous`, `key_in_url`: the proxy or the client has said something that is not believed."),
              (status = 401, description = "The key is no good; the body is for the client."),
              (status = 402, description = "`budget_exceeded`; the body is for the client."),
              (status = 403, description = "The key may not make this call; the body is for the client."),
              (status = 429, description = "`limit_exceeded`; the body is for the client.")))]
async fn check_get(state: State<AppState>, described: Described) -> Response {
    check(state, described).await
}

/// Decide by status, for proxies that ask by POST
///
/// The same as by GET; a body is not read.
#[utoipa::path(post, path = "/v1/check", tag = "decisions", security(("gateway" = [])),
    params(CheckHeaders, CheckQuery),
    responses((status = 200, description = "The call may be made."),
              (status = 400, body = Problem, content_type = "application/problem+json",
               description = "`header_not_trusted`, `invalid_header`, `invalid_value`, `path_ambiguous`, `key_in_url`: the proxy or the client has said something that is not believed."),
              (status = 401, description = "The key is no good; the body is for the client."),
              (status = 402, description = "`budget_exceeded`; the body is for the client."),
              (status = 403, description = "The key may not make this call; the body is for the client."),
              (status = 429, description = "`limit_exceeded`; the body is for the client.")))]
async fn check_post(state: State<AppState>, described: Described) -> Response {
    check(state, described).await
}

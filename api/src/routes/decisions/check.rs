//! `/v1/check`: a decision as an HTTP status, for proxies that ask before they pass a request on (`auth_request` of
//! nginx, `ext_authz` of Envoy, forward-auth of Traefik and others).

use crate::{
    extract::{
        auth::request_info,
        decision::{gateway, presented},
    },
    problem::{Problem, Result},
    state::AppState,
    verdict::{self, ClientResponse},
};
use axum::{
    extract::{ConnectInfo, FromRequestParts, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
use service::{
    decision::{self, Authorization, ErrorFormat, NewDecision, Presented, Reason},
    error::FieldError,
    meter::{Gateway, Purpose},
};
use std::net::{IpAddr, SocketAddr};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file. Any other method works as well, and so does any path below, as proxies append it.
pub fn router() -> OpenApiRouter<AppState> {
    let (schemas, paths, methods) = routes!(check_get, check_post);
    OpenApiRouter::new()
        .routes((schemas, paths, methods.fallback(check)))
        .route("/v1/check/", any(check))
        .route("/v1/check/{*path}", any(check))
}

/// What the path of an inference call says of its kind.
const SCOPES: &[(&str, &str)] = &[
    ("chat/completions", "chat"),
    ("completions", "completions"),
    ("responses", "responses"),
    ("messages", "messages"),
    ("embeddings", "embeddings"),
    ("images", "images"),
    ("audio", "audio"),
    ("moderations", "moderations"),
    ("rerank", "rerank"),
    ("files", "files"),
    ("batches", "batches"),
    ("models", "models"),
];

/// What a proxy says of a call.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the parameters as the document shows them; proxies send them in many ways")]
struct CheckHeaders {
    /// The gateway token of the proxy; needed.
    #[param(rename = "Tollkeeper-Gateway-Token")]
    gateway_token: Option<String>,
    /// The virtual key as some SDKs send it, instead of `Authorization: Bearer`.
    #[param(rename = "x-api-key")]
    key: Option<String>,
    /// The model. A key restricted to models is refused without it.
    #[param(rename = "x-model")]
    model: Option<String>,
    /// The kind of call, where the path does not say it.
    #[param(rename = "x-scope")]
    scope: Option<String>,
    /// The client's address, or `forwarded`.
    #[param(rename = "Tollkeeper-Client-Ip")]
    client_ip: Option<String>,
}

/// How a proxy wants to be refused.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "the parameter as the document shows it; a client's own query is not ours to refuse"
)]
struct CheckQuery {
    /// The status of every refusal, for a proxy that knows only one: 401 or 403.
    #[param(minimum = 401, maximum = 403)]
    deny_status: Option<u16>,
}

/// A call as a proxy describes it.
struct Described {
    gateway: Gateway,
    call: NewDecision,
    deny_status: Option<StatusCode>,
}

impl FromRequestParts<AppState> for Described {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let info = request_info(parts);
        let headers = &parts.headers;
        let gateway = gateway(state, text(headers, "tollkeeper-gateway-token"), &info, Purpose::Check)?;
        match described(state, parts) {
            Ok(call) => Ok(Self { gateway, call, deny_status: deny_status(parts.uri.query()) }),
            Err(problem) => {
                decision::authenticate(&state.meter, gateway).await?;
                Err(problem)
            }
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
}

fn described(state: &AppState, parts: &Parts) -> Result<NewDecision> {
    let headers = &parts.headers;
    let of_path = scope_of(parts.uri.path());
    let anthropic = of_path == Some("messages") || headers.contains_key("anthropic-version");
    Ok(NewDecision {
        model: text(headers, "x-model").map(str::to_owned),
        // What the path says cannot be talked away by a header that a client has slipped in.
        scope: of_path.or_else(|| text(headers, "x-scope")).map(str::to_owned),
        client_ip: client_ip(state, parts)?,
        error_format: if anthropic { ErrorFormat::Anthropic } else { ErrorFormat::Openai },
        ..NewDecision::of(Presented::from(presented(headers).unwrap_or_default()))
    })
}

/// The kind of call, from the path as the client sent it, with or without a version in front.
fn scope_of(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/v1/check")?.trim_start_matches('/');
    let path = path.strip_prefix("v1/").unwrap_or(path);
    let under =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    SCOPES.iter().find(|(prefix, _)| under(prefix)).map(|(_, scope)| *scope)
}

/// The client's address as the gateway says it: an address, or the word `forwarded` if it vouches for the
/// `X-Forwarded-For` or `X-Real-IP` that it sends.
fn client_ip(state: &AppState, parts: &Parts) -> Result<Option<IpAddr>> {
    const NAME: &str = "Tollkeeper-Client-Ip";
    match text(&parts.headers, NAME) {
        None => Ok(None),
        Some("forwarded") => Ok(forwarded(state, parts)),
        Some(address) => address.parse().map(Some).map_err(|_| {
            let message = "must be an address, or `forwarded`";
            let fault = FieldError { pointer: NAME.into(), code: "invalid_value", message: message.into() };
            Problem::new(StatusCode::BAD_REQUEST, "invalid_header", message).with([fault])
        }),
    }
}

/// The address that the gateway has put last into `X-Forwarded-For`. Behind a proxy of our own nobody could tell which of
/// the addresses that is, so there a gateway has to name the address itself.
fn forwarded(state: &AppState, parts: &Parts) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let peer = peer.ip().to_canonical();
    if state.settings.trusted_proxies.iter().any(|net| net.contains(&peer)) {
        return None;
    }
    let chain = parts.headers.get_all("x-forwarded-for").iter().next_back();
    let client = match chain {
        Some(chain) => chain.to_str().ok()?.rsplit(',').next()?,
        None => text(&parts.headers, "x-real-ip")?,
    };
    client.trim().parse().ok()
}

/// For proxies that know no other refusals: 401 or 403, whatever the reason.
fn deny_status(query: Option<&str>) -> Option<StatusCode> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query?).ok()?;
    match pairs.iter().find(|(name, _)| name == "deny_status")?.1.as_str() {
        "401" => Some(StatusCode::UNAUTHORIZED),
        "403" => Some(StatusCode::FORBIDDEN),
        _ => None,
    }
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

fn respond(decision: &Authorization, format: ErrorFormat, deny_status: Option<StatusCode>) -> Response {
    let mut response = match verdict::client_response(&decision.reasons, &decision.limits, format) {
        None => StatusCode::OK.into_response(),
        Some(denial) => denied(denial, &decision.reasons, deny_status),
    };
    response.headers_mut().extend(identity(decision));
    let warned: Vec<&str> = decision.limits.iter().filter_map(|limit| Some(limit.code?.word())).collect();
    if decision.allowed && !warned.is_empty() {
        response.headers_mut().insert("tollkeeper-warned", header_safe(&warned.join(",")));
    }
    response
}

fn denied(denial: ClientResponse, reasons: &[Reason], deny_status: Option<StatusCode>) -> Response {
    let own = StatusCode::from_u16(denial.http_status).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = (deny_status.unwrap_or(own), denial.body.to_string()).into_response();
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

async fn check(State(state): State<AppState>, described: Described) -> Result<Response> {
    let Described { gateway, call, deny_status } = described;
    let format = call.error_format;
    let decision =
        decision::check(&state.system, &state.meter, gateway, call).await.map_err(verdict::failure)?;
    Ok(respond(&decision, format, deny_status))
}

/// Decide by status
///
/// For a proxy that asks before it passes a request on. The virtual key is where the client put it, in `Authorization:
/// Bearer` or `x-api-key`. The proxy itself says, and must set or clear whatever the client sends: the gateway token in
/// `Tollkeeper-Gateway-Token`; the model in `x-model`; the client's address in `Tollkeeper-Client-Ip`, or the word
/// `forwarded` there if it vouches for the last address of the `X-Forwarded-For` that it sends and no proxy stands between it
/// and Tollkeeper. The kind of call comes from the path below
/// `/v1/check`, such as `/v1/check/v1/chat/completions`, and from `x-scope` where the path says nothing. The answer is
/// 200, or 401 or 403 with the body for the client; `deny_status=401` or `403` makes every refusal that. Who it is stands in
/// `Tollkeeper-Key-Id`, `-Key-Name` (percent-encoded), `-Organization-Id`, `-Team-Id`, `-User-Id` or
/// `-Service-Account-Id`; why not in `Tollkeeper-Denied`.
#[utoipa::path(get, path = "/v1/check", tag = "decisions", security(("gateway" = [])),
    params(CheckHeaders, CheckQuery),
    responses((status = 200, description = "The call may be made."),
              (status = 401, description = "The key is no good; the body is for the client."),
              (status = 403, description = "The key may not make this call; the body is for the client.")))]
async fn check_get(state: State<AppState>, described: Described) -> Result<Response> {
    check(state, described).await
}

/// Decide by status, for proxies that ask by POST
///
/// The same as by GET; a body is not read.
#[utoipa::path(post, path = "/v1/check", tag = "decisions", security(("gateway" = [])),
    params(CheckHeaders, CheckQuery),
    responses((status = 200, description = "The call may be made."),
              (status = 401, description = "The key is no good; the body is for the client."),
              (status = 403, description = "The key may not make this call; the body is for the client.")))]
async fn check_post(state: State<AppState>, described: Described) -> Result<Response> {
    check(state, described).await
}

//! A call as a proxy describes it to `/v1/check`. Only what the proxy itself states, beside its gateway token, and what
//! the path says are believed; a header that a client can have sent is refused by name.

use super::{
    auth::request_info,
    decision::{gateway, presented},
    target::{self, Refusal, Target},
};
use crate::{
    problem::{Problem, Result},
    state::AppState,
};
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use service::{
    ctx::RequestInfo,
    decision::{self, ErrorFormat, NewDecision, Presented},
    error::FieldError,
    meter::{Gateway, Purpose},
};
use std::net::{IpAddr, SocketAddr};

const TOKEN: &str = "tollkeeper-gateway-token";
const MODEL: &str = "tollkeeper-model";
const SCOPE: &str = "tollkeeper-scope";
const URI: &str = "tollkeeper-uri";
const CLIENT_IP: &str = "tollkeeper-client-ip";
const DENIED: HeaderName = HeaderName::from_static("tollkeeper-denied");
const DENY_STATUS: &str = "tollkeeper-deny-status";
/// What a proxy states. Any other header of the prefix comes from a client that would pass for the proxy.
const STATED: [&str; 6] = [TOKEN, MODEL, SCOPE, URI, CLIENT_IP, DENY_STATUS];
/// The word for what the proxy sends in the usual `X-Forwarded-…` header.
const FORWARDED: &str = "forwarded";
const ROUTE: &str = "/v1/check";

/// A call as a proxy describes it.
#[derive(Debug)]
pub struct Described {
    /// Who asks.
    pub gateway: Gateway,
    /// About which call.
    pub call: NewDecision,
    /// How it wants to be refused.
    pub deny: DenyStatus,
    /// What is known of the request.
    pub info: RequestInfo,
}

impl FromRequestParts<AppState> for Described {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> std::result::Result<Self, Response> {
        let info = request_info(parts);
        let gateway = asking(state, &parts.headers, &info).map_err(IntoResponse::into_response)?;
        // What is wrong with a question is told to a gateway that has proved itself, and to no one else.
        let (deny, call) = match deny_status(parts) {
            Ok(deny) => (deny, described(state, parts)),
            Err(problem) => (DenyStatus::default(), Err(problem)),
        };
        match call {
            Ok(call) => Ok(Self { gateway, call, deny, info }),
            Err(problem) => {
                let known = decision::authenticate(&state.meter, gateway).await;
                known.map_err(|error| Problem::from(error).into_response())?;
                Err(deny.problem(problem, &info))
            }
        }
    }
}

/// The gateway that asks. Of two tokens one would be a client's.
fn asking(state: &AppState, headers: &HeaderMap, info: &RequestInfo) -> Result<Gateway> {
    let mut tokens = headers.get_all(TOKEN).iter();
    let token = match (tokens.next(), tokens.next()) {
        (Some(token), None) => token.to_str().ok().map(str::trim).filter(|token| !token.is_empty()),
        _ => None,
    };
    gateway(state, token, info, Purpose::Check)
}

fn described(state: &AppState, parts: &Parts) -> Result<NewDecision> {
    let headers = &parts.headers;
    trusted(headers)?;
    let target = target_of(parts)?;
    let format = error_format(parts, &target)?;
    Ok(NewDecision {
        // What the path says is what the provider will do, so it stands over what a proxy says.
        model: target.model.or(name(headers, MODEL)?),
        scope: target.scope.map(str::to_owned).or(name(headers, SCOPE)?),
        client_ip: client_ip(state, parts)?,
        error_format: format,
        ..NewDecision::of(Presented::from(presented(headers).unwrap_or_default()))
    })
}

/// No header stands where a client can have put it. An underscore counts as a hyphen, as it does to many servers.
fn trusted(headers: &HeaderMap) -> Result<()> {
    for name in headers.keys() {
        let folded = name.as_str().replace('_', "-");
        let ours = folded.starts_with("tollkeeper-") && !STATED.contains(&name.as_str());
        if ours || matches!(folded.as_str(), "x-model" | "x-scope") {
            let message = "is not trusted, since a client can send it: the proxy must clear it, and state the model in Tollkeeper-Model, the kind of call in Tollkeeper-Scope";
            return Err(faulty(name.as_str(), "header_not_trusted", message));
        }
        if STATED.contains(&name.as_str()) && headers.get_all(name).iter().nth(1).is_some() {
            return Err(faulty(name.as_str(), "invalid_header", "must be sent once"));
        }
    }
    Ok(())
}

fn faulty(pointer: &str, code: &'static str, message: &'static str) -> Problem {
    let fault = FieldError { pointer: pointer.into(), code, message: message.into() };
    Problem::new(StatusCode::BAD_REQUEST, code, format!("{pointer} {message}")).with([fault])
}

/// A header as text; none if it is empty.
fn stated<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text =
        std::str::from_utf8(value.as_bytes()).map_err(|_| faulty(name, "invalid_header", "must be UTF-8"))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

/// A model or a kind of call: UTF-8 as it is, or percent-encoded.
fn name(headers: &HeaderMap, header: &str) -> Result<Option<String>> {
    let Some(text) = stated(headers, header)? else { return Ok(None) };
    let fault = || {
        faulty(header, "invalid_header", "must be UTF-8, with each `%` followed by two hexadecimal digits")
    };
    percent_decoded(text).map(Some).ok_or_else(fault)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// What follows the route, which is a client's path if it is anything.
fn below(uri: &Uri) -> &str {
    uri.path().strip_prefix(ROUTE).unwrap_or_default()
}

/// The target of the call: below `/v1/check`, in `Tollkeeper-Uri`, or in `X-Forwarded-Uri` if the proxy vouches for that.
fn target_of(parts: &Parts) -> Result<Target> {
    let below = below(&parts.uri);
    let (place, text) = match stated(&parts.headers, URI)? {
        None if below.is_empty() => return Ok(Target::default()),
        None => (ROUTE, parts.uri.path_and_query().and_then(|text| text.as_str().strip_prefix(ROUTE))),
        Some(_) if !matches!(below, "" | "/") => {
            return Err(faulty(
                URI,
                "path_ambiguous",
                "must not be sent where the path stands below /v1/check",
            ));
        }
        Some(FORWARDED) => ("x-forwarded-uri", forwarded_target(&parts.headers)),
        Some(text) => (URI, Some(text)),
    };
    let text = text.ok_or_else(|| faulty(place, "invalid_header", "must be sent once, as ASCII"))?;
    target::read(text).map_err(|refusal| match refusal {
        Refusal::Ambiguous(rule) => {
            let detail = format!("the path of the call can be read in more than one way: it {rule}");
            let fault = FieldError { pointer: place.into(), code: "path_ambiguous", message: rule.into() };
            Problem::new(StatusCode::BAD_REQUEST, "path_ambiguous", detail).with([fault])
        }
        Refusal::KeyInUrl => {
            let detail = "a key does not belong into a URL: send it as Authorization: Bearer, x-api-key, api-key or x-goog-api-key";
            Problem::new(StatusCode::BAD_REQUEST, "key_in_url", detail)
        }
    })
}

fn forwarded_target(headers: &HeaderMap) -> Option<&str> {
    let mut targets = headers.get_all("x-forwarded-uri").iter();
    targets.next().filter(|_| targets.next().is_none()).and_then(|target| target.to_str().ok())
}

/// Whether the query is the proxy's own. A client's stands below `/v1/check` with its path, and some proxies also hand it
/// on beside `Tollkeeper-Uri`; what it says is then not ours to refuse, and none of its business is the status.
fn owns_query(parts: &Parts) -> bool {
    below(&parts.uri).is_empty() && !parts.headers.contains_key(URI)
}

/// A parameter of the query.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// As the proxy asks for it, or else as the call looks.
fn error_format(parts: &Parts, target: &Target) -> Result<ErrorFormat> {
    match parameter(&parts.uri, "error_format").as_deref() {
        Some("openai") => return Ok(ErrorFormat::Openai),
        Some("anthropic") => return Ok(ErrorFormat::Anthropic),
        Some("gemini") => return Ok(ErrorFormat::Gemini),
        Some(_) if owns_query(parts) => {
            return Err(faulty("?error_format", "invalid_value", "must be openai, anthropic or gemini"));
        }
        _ => {}
    }
    let sent = |name: &str| parts.headers.contains_key(name);
    Ok(match target.scope {
        _ if target.gemini || sent("x-goog-api-key") => ErrorFormat::Gemini,
        Some("messages") => ErrorFormat::Anthropic,
        _ if sent("anthropic-version") => ErrorFormat::Anthropic,
        _ => ErrorFormat::Openai,
    })
}

/// The client's address as the gateway says it: an address, or the word `forwarded` if it vouches for the
/// `X-Forwarded-For` or `X-Real-IP` that it sends.
fn client_ip(state: &AppState, parts: &Parts) -> Result<Option<IpAddr>> {
    match stated(&parts.headers, CLIENT_IP)? {
        None => Ok(None),
        Some(FORWARDED) => Ok(forwarded_address(state, parts)),
        Some(address) => address
            .parse()
            .map(Some)
            .map_err(|_| faulty(CLIENT_IP, "invalid_header", "must be an address, or `forwarded`")),
    }
}

/// The address that the gateway has put last into `X-Forwarded-For`. Behind a proxy of our own nobody could tell which of
/// the addresses that is, so there a gateway has to name the address itself.
fn forwarded_address(state: &AppState, parts: &Parts) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let peer = peer.ip().to_canonical();
    if state.settings.trusted_proxies.iter().any(|net| net.contains(&peer)) {
        return None;
    }
    let chain = parts.headers.get_all("x-forwarded-for").iter().next_back();
    let client = match chain {
        Some(chain) => chain.to_str().ok()?.rsplit(',').next()?,
        None => parts.headers.get("x-real-ip")?.to_str().ok()?,
    };
    client.trim().parse().ok()
}

/// The one status that a proxy understands as a refusal, such as nginx, which takes all but 401 and 403 for a failure.
/// What the client is to be told then stands in headers, since such a proxy drops the body.
#[derive(Debug, Clone, Copy, Default)]
pub struct DenyStatus(Option<StatusCode>);

/// In a header, or in the query where it cannot be a client's.
fn deny_status(parts: &Parts) -> Result<DenyStatus> {
    let asked = parameter(&parts.uri, "deny_status").filter(|_| owns_query(parts));
    let (place, text) = match (stated(&parts.headers, DENY_STATUS)?, &asked) {
        (Some(text), _) => (DENY_STATUS, text),
        (None, Some(text)) => ("?deny_status", text.as_str()),
        (None, None) => return Ok(DenyStatus(None)),
    };
    match text {
        "401" => Ok(DenyStatus(Some(StatusCode::UNAUTHORIZED))),
        "403" => Ok(DenyStatus(Some(StatusCode::FORBIDDEN))),
        _ => Err(faulty(place, "invalid_value", "must be 401 or 403")),
    }
}

impl DenyStatus {
    /// A refusal of this status and body, which is JSON.
    pub fn refuse(self, own: StatusCode, body: String) -> Response {
        let Some(status) = self.0 else { return (own, body).into_response() };
        let told = HeaderValue::from_str(&ascii(&body)).unwrap_or(HeaderValue::from_static("{}"));
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("tollkeeper-denied-status"), own.as_u16().into());
        headers.insert(HeaderName::from_static("tollkeeper-denied-body"), told);
        response
    }

    /// The refusal that a problem is. A failure of ours is never told as a refusal.
    pub fn problem(self, problem: Problem, info: &RequestInfo) -> Response {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
        if !status.is_client_error() {
            return problem.into_response();
        }
        let code = HeaderValue::from_static(problem.code);
        if self.0.is_none() {
            return ([(DENIED, code)], problem).into_response();
        }
        let problem = Problem { instance: ROUTE.into(), request_id: info.id.clone(), ..problem };
        let mut response = self.refuse(status, serde_json::to_string(&problem).unwrap_or_default());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(DENIED, code);
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The same JSON in visible ASCII, which a header can carry.
fn ascii(json: &str) -> String {
    let mut units = [0; 2];
    json.chars().fold(String::with_capacity(json.len()), |mut text, char| {
        if char == ' ' || char.is_ascii_graphic() {
            text.push(char);
        } else {
            char.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_header_is_the_same_json() {
        let value = serde_json::json!({"message": "日本 \u{1f600} \"x\" \\ \n \u{7f} 100%"});
        let text = ascii(&value.to_string());
        assert!(HeaderValue::from_str(&text).unwrap().to_str().is_ok());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_name_is_decoded_once() {
        assert_eq!(percent_decoded("gpt%2D4o%2525 日本%E6%97%A5").as_deref(), Some("gpt-4o%25 日本日"));
        for text in ["%", "%4", "%zz", "%+1", "%FF"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
    }
}

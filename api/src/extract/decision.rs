//! Who asks for a decision. A gateway is recognised by the form of its token without any I/O; whether the token is good
//! is found out with the decision itself, in one look at the database.

use crate::{
    extract::{
        auth::{bearer, request_info},
        json::Json,
    },
    middleware::request::note_actor,
    problem::Problem,
    state::AppState,
    verdict,
};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, request::Parts},
};
use entity::{
    id::{GatewayTokenId, KeyId},
    status::ActorKind,
};
use serde::de::DeserializeOwned;
use service::{
    Error,
    ctx::RequestInfo,
    decision::{self, Presented},
    meter::{Gateway, Purpose},
    token::{Token, TokenKind},
};
use std::marker::PhantomData;

/// What a gateway asks for, as a type.
pub trait Ask: Send + Sync + 'static {
    /// Which purpose its token must have.
    const PURPOSE: Purpose;
}

macro_rules! purposes {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl Ask for $name {
            const PURPOSE: Purpose = Purpose::$name;
        }
    )*};
}
purposes! {
    /// A decision.
    Authorize,
    /// How a decision would come about.
    Explain,
    /// What a call used.
    Settle,
    /// That a call did not happen.
    Void,
    /// That a call takes longer.
    Extend,
    /// What a call used that was not authorized here.
    Usage
}

/// A gateway and its request. A body that is no good is told so to a gateway that has proved itself, and to no one
/// else.
#[derive(Debug)]
pub struct Asked<T, P> {
    /// Who asks.
    pub gateway: Gateway,
    /// What.
    pub body: T,
    purpose: PhantomData<P>,
}

impl<T: DeserializeOwned + Send, P: Ask> FromRequest<AppState> for Asked<T, P> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let info = request.extensions().get::<RequestInfo>().cloned().unwrap_or_default();
        let gateway = gateway(state, bearer(request.headers()), &info, P::PURPOSE)?;
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self { gateway, body, purpose: PhantomData }),
            Err(problem) => {
                decision::authenticate(&state.meter, gateway).await.map_err(verdict::failure)?;
                Err(problem)
            }
        }
    }
}

fn anonymous(detail: &'static str) -> Problem {
    Error::Unauthenticated("unauthenticated", detail).into()
}

/// A gateway by its token, which is yet to be checked. Credentials of other kinds are known by their form.
pub fn gateway(
    state: &AppState,
    token: Option<&str>,
    info: &RequestInfo,
    purpose: Purpose,
) -> Result<Gateway, Problem> {
    let text = token.ok_or_else(|| anonymous("send a gateway token"))?;
    match Token::parse(text) {
        Some(token) if token.kind() == TokenKind::Gateway => {
            note_actor(ActorKind::GatewayToken, GatewayTokenId::new(token.id()));
            Ok(Gateway { token, purpose, client_ip: info.client_ip })
        }
        _ if of_a_person(state, text) || Token::parse_kind(text, TokenKind::VirtualKey).is_some() => {
            Err(Error::Forbidden("only a gateway token asks for decisions".into()).into())
        }
        _ => Err(Error::Unauthenticated("token_invalid", "the gateway token is not valid").into()),
    }
}

/// Whether a credential opens the admin API, as far as its form and its signature tell.
fn of_a_person(state: &AppState, text: &str) -> bool {
    let now = state.system.time();
    Token::parse_kind(text, TokenKind::Admin).is_some() || state.system.issuer.verify(text, now).is_ok()
}

/// Headers of a virtual key beside `Authorization: Bearer`: as the SDKs of Anthropic, Azure and Google send it.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// The virtual key, wherever the client's SDK puts it.
pub fn presented(headers: &HeaderMap) -> Option<&str> {
    let sent = |name: &&str| headers.get(*name)?.to_str().ok().map(str::trim).filter(|key| !key.is_empty());
    bearer(headers).or_else(|| KEY_HEADERS.iter().find_map(sent))
}

/// A virtual key that asks about itself.
#[derive(Debug)]
pub struct VirtualKey {
    /// What was presented.
    pub key: Presented,
    /// What is known of the request.
    pub info: RequestInfo,
}

impl FromRequestParts<AppState> for VirtualKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let text = presented(&parts.headers).ok_or_else(|| anonymous("send a virtual key"))?;
        if of_a_person(state, text) || Token::parse_kind(text, TokenKind::Gateway).is_some() {
            return Err(Error::Forbidden("only a virtual key asks about itself".into()).into());
        }
        if let Some(token) = Token::parse_kind(text, TokenKind::VirtualKey) {
            note_actor(ActorKind::VirtualKey, KeyId::new(token.id()));
        }
        Ok(Self { key: Presented::from(text), info: request_info(parts) })
    }
}

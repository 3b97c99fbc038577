//! [`Allow`]: a route runs only for who has the permission in its type. It yields the [`Ctx`] with the caller's scope.

use crate::{
    middleware::request::{note_actor, note_organization},
    problem::Problem,
    state::AppState,
};
use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderMap, header, request::Parts},
};
use entity::id::OrganizationId;
use service::{
    Ctx, Error,
    access::{self, Identity},
    authz::{Permission, Permit},
    ctx::RequestInfo,
    scope::Scope,
};
use std::{marker::PhantomData, ops::Deref, sync::Arc};

/// Proof that the caller has the permission `P`, in the organization of the path or on the platform.
#[derive(Debug)]
pub struct Allow<P> {
    /// The context that every service function takes.
    pub ctx: Ctx,
    /// Who the caller is.
    pub identity: Identity,
    permit: PhantomData<P>,
}

impl<P> Deref for Allow<P> {
    type Target = Ctx;
    fn deref(&self) -> &Ctx {
        &self.ctx
    }
}

/// The bearer credential of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What is known of the request.
pub fn request_info(parts: &Parts) -> RequestInfo {
    parts.extensions.get::<RequestInfo>().cloned().unwrap_or_default()
}

fn anonymous() -> Problem {
    Error::Unauthenticated("unauthenticated", "send a bearer token in the Authorization header").into()
}

async fn identify(parts: &Parts, state: &AppState) -> Result<Identity, Problem> {
    let token = bearer(&parts.headers).ok_or_else(anonymous)?;
    let identity = access::authenticate(&state.system, token).await?;
    note_actor(identity.actor.kind, &identity.actor.id);
    state.throttle.admit(&identity.actor.id)?;
    Ok(identity)
}

async fn enter(
    parts: &mut Parts,
    state: &AppState,
    identity: &Identity,
    permission: Permission,
) -> Result<Scope, Problem> {
    let params = parts.extract::<RawPathParams>().await.map_err(|_| Error::NotFound("organization"))?;
    let organization =
        params.iter().find(|(name, _)| *name == "organization").map(|(_, value)| value.to_owned());
    Ok(match organization {
        Some(organization) => access::enter(&state.system, identity, &organization, permission).await?,
        None => access::enter_platform(identity, permission)?,
    })
}

impl<P: Permit> FromRequestParts<AppState> for Allow<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let identity = identify(parts, state).await?;
        let scope = enter(parts, state, &identity, P::PERMISSION).await?;
        if scope.organization != OrganizationId::PLATFORM {
            note_organization(scope.organization);
        }
        let ctx = Ctx {
            system: state.system.clone(),
            scope,
            actor: identity.actor.clone(),
            request: request_info(parts),
            ticket: Arc::default(),
        };
        // The body extractor of an idempotent call finds the caller here.
        parts.extensions.insert(ctx.clone());
        Ok(Self { ctx, identity, permit: PhantomData })
    }
}

/// The marker of a route that needs no credential. It yields a context of nobody, on the platform.
#[derive(Debug)]
pub struct Public(pub Ctx);

impl FromRequestParts<AppState> for Public {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Ok(Self(Ctx {
            system: state.system.clone(),
            scope: Scope::platform(),
            actor: service::ctx::Actor::anonymous(),
            request: request_info(parts),
            ticket: Arc::default(),
        }))
    }
}

/// A caller who may be signed in or not. A credential that is sent must be good.
#[derive(Debug)]
pub struct Visitor {
    /// A context on the platform, of the caller or of nobody.
    pub ctx: Ctx,
    /// Who the caller is, if a credential was sent.
    pub identity: Option<Identity>,
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Public(ctx) = Public::from_request_parts(parts, state).await?;
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self { ctx, identity: None });
        }
        let identity = identify(parts, state).await?;
        Ok(Self { ctx: Ctx { actor: identity.actor.clone(), ..ctx }, identity: Some(identity) })
    }
}

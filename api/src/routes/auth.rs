//! `/v1/setup`, `/v1/auth` and `/.well-known/jwks.json`: getting in, staying in, getting out.

use crate::{
    document::OpenApiRouter,
    extract::{
        Allow, Json, Path, Query,
        auth::{Public, Visitor},
        json::{NoContent, Nothing},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use axum::extract::State;
use entity::id::{DeviceId, SessionId};
use serde::Deserialize;
use service::{
    auth::{
        self, Login, Me, PasswordChange,
        accept::{self, Acceptance, Accepted},
    },
    authz::permit,
    bootstrap::{self, Setup},
    device::{self, Device, DevicePage},
    jwt::JwkSet,
    password_reset::{self, PasswordReset},
    session::{self, Refresh, Session, SessionPage, Tokens},
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(set_up))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(get_me))
        .routes(routes!(change_password))
        .routes(routes!(list_sessions, end_other_sessions))
        .routes(routes!(end_session))
        .routes(routes!(list_devices))
        .routes(routes!(forget_device))
        .routes(routes!(accept_invitation))
        .routes(routes!(reset_password))
        .routes(routes!(get_jwks))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct SessionPath {
    /// The session.
    session: SessionId,
}

list_query! {
    /// Which page of the sessions.
    SessionQuery {}
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct DevicePath {
    /// The device.
    device: DeviceId,
}

list_query! {
    /// Which page of the devices.
    DeviceQuery {}
}

/// Set the installation up
///
/// Makes the first operator, who owns the organization `default`, with the one-time token of the first start, and signs in.
#[utoipa::path(post, path = "/v1/setup", tag = "auth", request_body = Setup, security(()),
    responses((status = 200, description = "Signed in.", body = Tokens),
              (status = 401, description = "`token_invalid`, `token_expired`: not the set-up token."),
              (status = 409, description = "`already_set_up`: there is an operator. `duplicate`: the address has an account.")))]
async fn set_up(Public(ctx): Public, Json(setup): Json<Setup>) -> Result<Json<Tokens>> {
    Ok(Json(bootstrap::set_up(&ctx, setup).await?))
}

/// Sign in
///
/// An unknown address and a wrong password get the same answer in the same time. Each attempt on an account delays the
/// next one from the same network, by seconds at first and by five minutes at most; success ends the delay. A network's
/// attempts on all accounts are paced, too.
///
/// A device that the account was signed in from before sends its `device_token` and waits for its own wrong passwords
/// alone. Browsers and programs keep it in the same way: beside the account, longer than the session. It is known for 30
/// days after its latest sign-in, until the password changes, until its session is ended by another one, or until it has
/// sent 25 wrong passwords in a row. It opens nothing without the password.
#[utoipa::path(post, path = "/v1/auth/login", tag = "auth", request_body = Login, security(()),
    responses((status = 200, description = "Signed in.", body = Tokens),
              (status = 401, description = "`invalid_credentials`: the address or the password is wrong."),
              (status = 403, description = "`forbidden`: the password is right and the account is suspended.")))]
async fn login(Public(ctx): Public, Json(login): Json<Login>) -> Result<Json<Tokens>> {
    Ok(Json(auth::login(&ctx, login).await?))
}

/// Continue a session
///
/// A refresh token is exchanged once. If the reply is lost, the same token gets the same successor for ten seconds; later,
/// or after the successor was used, it ends the session.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "auth", request_body = Refresh, security(()),
    responses((status = 200, description = "The tokens that follow.", body = Tokens),
              (status = 401, description = "`token_invalid`, `session_ended`, `account_suspended`, or `token_reused`: the token was used before, and its session has ended.")))]
async fn refresh(Public(ctx): Public, Json(request): Json<Refresh>) -> Result<Json<Tokens>> {
    Ok(Json(session::refresh(&ctx, &request).await?))
}

/// Sign out
///
/// The session ends at once, its access tokens with it. The device stays known.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "auth",
    responses((status = 204, description = "Signed out.")))]
async fn logout(allow: Allow<permit::Account>, Json(Nothing {}): Json<Nothing>) -> Result<NoContent> {
    session::sign_out(&allow, &allow.identity).await?;
    Ok(NoContent)
}

/// Read who one is
///
/// The account, the session, and what one may do in which organization.
#[utoipa::path(get, path = "/v1/auth/me", tag = "auth",
    responses((status = 200, description = "Who the caller is.", body = Me)))]
async fn get_me(allow: Allow<permit::Account>) -> Result<Json<Me>> {
    Ok(Json(auth::me(&allow, &allow.identity).await?))
}

/// Change one's password
///
/// Every session of the account ends, and every device is forgotten; the reply opens a new session on a new device.
#[utoipa::path(post, path = "/v1/auth/password", tag = "auth", request_body = PasswordChange,
    responses((status = 200, description = "Signed in with the new password.", body = Tokens)))]
async fn change_password(
    allow: Allow<permit::Account>,
    Json(change): Json<PasswordChange>,
) -> Result<Json<Tokens>> {
    Ok(Json(auth::change_password(&allow, &allow.identity, change).await?))
}

/// List one's sessions
///
/// Those that go on.
#[utoipa::path(get, path = "/v1/auth/sessions", tag = "auth", params(SessionQuery),
    responses((status = 200, description = "One page.", body = SessionPage)))]
async fn list_sessions(
    allow: Allow<permit::Account>,
    Query(query): Query<SessionQuery>,
) -> Result<Json<service::page::Page<Session>>> {
    Ok(Json(session::list(&allow, &allow.identity, &query.page()).await?))
}

/// End one's other sessions
///
/// All but the one of this call, at once. Other devices than its own are forgotten.
#[utoipa::path(delete, path = "/v1/auth/sessions", tag = "auth",
    responses((status = 204, description = "This session is the only one.")))]
async fn end_other_sessions(allow: Allow<permit::Account>) -> Result<NoContent> {
    session::end_others(&allow, &allow.identity).await?;
    Ok(NoContent)
}

/// End one of one's sessions
///
/// At once: its access tokens and its refresh token are refused from now on, and its device is forgotten.
#[utoipa::path(delete, path = "/v1/auth/sessions/{session}", tag = "auth", params(SessionPath),
    responses((status = 204, description = "The session has ended.")))]
async fn end_session(allow: Allow<permit::Account>, Path(path): Path<SessionPath>) -> Result<NoContent> {
    session::end_one(&allow, &allow.identity, path.session).await?;
    Ok(NoContent)
}

/// List one's devices
///
/// Those that one has signed in from and that are still known.
#[utoipa::path(get, path = "/v1/auth/devices", tag = "auth", params(DeviceQuery),
    responses((status = 200, description = "One page.", body = DevicePage)))]
async fn list_devices(
    allow: Allow<permit::Account>,
    Query(query): Query<DeviceQuery>,
) -> Result<Json<service::page::Page<Device>>> {
    Ok(Json(device::list(&allow, &allow.identity, &query.page()).await?))
}

/// Forget one of one's devices
///
/// At once: sign-ins from it are throttled like others, and its sessions end.
#[utoipa::path(delete, path = "/v1/auth/devices/{device}", tag = "auth", params(DevicePath),
    responses((status = 204, description = "The device is forgotten.")))]
async fn forget_device(allow: Allow<permit::Account>, Path(path): Path<DevicePath>) -> Result<NoContent> {
    device::forget_one(&allow, &allow.identity, path.device).await?;
    Ok(NoContent)
}

/// Accept an invitation
///
/// For an address without an account it makes one and signs in. For one with an account that account must be signed in
/// (send its access token); its password is not touched.
#[utoipa::path(post, path = "/v1/auth/accept-invitation", tag = "auth", request_body = Acceptance,
    security((), ("admin" = [])),
    responses((status = 200, description = "The person belongs to the organization.", body = Accepted),
              (status = 401, description = "`token_invalid`, `token_expired`: not a good invitation. `sign_in_required`: the address has an account."),
              (status = 403, description = "`forbidden`: the invitation is for another account."),
              (status = 409, description = "`invitation_accepted`: it was accepted before. `duplicate`: the person is a member."),
              (status = 429, description = "`throttled`: come back after `Retry-After`.")))]
async fn accept_invitation(visitor: Visitor, Json(acceptance): Json<Acceptance>) -> Result<Json<Accepted>> {
    Ok(Json(accept::accept(&visitor.ctx, visitor.identity.as_ref(), acceptance).await?))
}

/// Set a forgotten password
///
/// With the one-time token of a link that the operator made. Every session of the account ends, and every device is
/// forgotten.
#[utoipa::path(post, path = "/v1/auth/reset", tag = "auth", request_body = PasswordReset, security(()),
    responses((status = 204, description = "The new password counts."),
              (status = 401, description = "`token_invalid`, `token_expired`: not a good link.")))]
async fn reset_password(Public(ctx): Public, Json(reset): Json<PasswordReset>) -> Result<NoContent> {
    password_reset::redeem(&ctx, reset).await?;
    Ok(NoContent)
}

/// Read the public keys of access tokens
///
/// With them others can check an access token; a key is published here before it signs.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth", security(()),
    responses((status = 200, description = "The key set (RFC 7517).", body = JwkSet)))]
async fn get_jwks(_: Public, State(state): State<AppState>) -> Json<JwkSet> {
    Json(state.system.issuer.jwks())
}

//! `/v1/users`: everybody's accounts, for the operator.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, Create, IfMatch, Json, Path, Query,
        json::{Created, Nothing, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use entity::{id::UserId, status::Standing};
use serde::Deserialize;
use service::{
    Turn,
    authz::permit,
    page::Page,
    password_reset::{self, ResetLink},
    user::{self, User, UserFilter, UserPage},
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_users))
        .routes(routes!(get_user))
        .routes(routes!(suspend_user))
        .routes(routes!(resume_user))
        .routes(routes!(create_reset_link))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct UserPath {
    /// The person.
    user: UserId,
}

list_query! {
    /// Which users to list.
    UserQuery {
        /// Only with this status.
        #[param(inline)]
        status: Standing,
        /// Only with this address.
        email: String,
    }
}

/// List users
///
/// Everybody with an account on this installation.
#[utoipa::path(get, path = "/v1/users", tag = "users", params(UserQuery),
    responses((status = 200, description = "One page.", body = UserPage)))]
async fn list_users(
    allow: Allow<permit::PlatformUsers>,
    Query(query): Query<UserQuery>,
) -> Result<Json<Page<User>>> {
    let page = query.page();
    let filter = UserFilter { status: query.status, email: query.email };
    Ok(Json(user::list(&allow, &page, filter).await?))
}

/// Read a user
///
/// The account, whatever organizations the person belongs to.
#[utoipa::path(get, path = "/v1/users/{user}", tag = "users", params(UserPath),
    responses((status = 200, description = "The user.", body = User)))]
async fn get_user(allow: Allow<permit::PlatformUsers>, Path(path): Path<UserPath>) -> Result<Json<User>> {
    Ok(Json(user::get(&allow, path.user).await?))
}

/// Suspend a user
///
/// The person is signed out everywhere, and the person's keys and admin tokens are refused by every instance when this
/// returns.
#[utoipa::path(post, path = "/v1/users/{user}/suspend", tag = "users", params(UserPath),
    responses((status = 200, description = "The user as it is now.", body = User),
              (status = 409, description = "`last_operator`: nobody would be left to run the installation.")))]
async fn suspend_user(
    allow: Allow<permit::PlatformUsers>,
    Path(path): Path<UserPath>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<User>> {
    Ok(Json(user::turn(&allow, path.user, Turn::Suspend).await?))
}

/// Resume a user
///
/// The person may sign in again, and the person's keys work again.
#[utoipa::path(post, path = "/v1/users/{user}/resume", tag = "users", params(UserPath),
    responses((status = 200, description = "The user as it is now.", body = User)))]
async fn resume_user(
    allow: Allow<permit::PlatformUsers>,
    Path(path): Path<UserPath>,
    IfMatch(version): IfMatch,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<User>> {
    Ok(Json(user::turn(&allow, path.user, Turn::Resume(version)).await?))
}

/// Make a password reset link
///
/// The token is shown once, to be handed to the person, who sends it to `/v1/auth/reset`. One made before is void.
#[utoipa::path(post, path = "/v1/users/{user}/reset-link", tag = "users", params(UserPath),
    responses((status = 201, description = "The link's token.", body = ResetLink)))]
async fn create_reset_link(
    allow: Allow<permit::PlatformUsers>,
    Path(path): Path<UserPath>,
    Once(Nothing {}): Create<Nothing>,
) -> Result<Created<ResetLink>> {
    Ok(Created(password_reset::create(&allow, path.user).await?))
}

//! `/v1/organizations/{organization}/keys`: virtual keys, their secrets and their lives.

use crate::{
    document::OpenApiRouter,
    extract::{
        Act, Allow, Create, IfMatch, Json, Path, Query,
        json::{Created, NoContent, Nothing, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use entity::id::{KeyId, SecretId, ServiceAccountId, TeamId, UserId};
use serde::Deserialize;
use service::{
    authz::permit,
    key::{
        self, ExpiredKeys, IssuedKey, Key, KeyCount, KeyFilter, KeyLookup, KeyPage, KeyPatch, KeySecret,
        KeySecretPage, KeySelection, KeyState, KeysArchived, KeysRevoked, Leak, NewKey, NewOwner, Rotation,
    },
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_key, list_keys))
        .routes(routes!(count_keys))
        .routes(routes!(lookup_key))
        .routes(routes!(revoke_keys))
        .routes(routes!(archive_expired_keys))
        .routes(routes!(get_key, update_key, delete_key))
        .routes(routes!(disable_key))
        .routes(routes!(enable_key))
        .routes(routes!(revoke_key))
        .routes(routes!(transfer_key))
        .routes(routes!(rotate_key))
        .routes(routes!(list_key_secrets))
        .routes(routes!(get_key_secret, end_key_secret))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct KeyPath {
    /// The key.
    key: KeyId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct SecretPath {
    /// The key.
    key: KeyId,
    /// One of its secrets.
    secret: SecretId,
}

list_query! {
    /// Which keys to list.
    KeyQuery {
        /// Only this team's.
        team_id: TeamId,
        /// Only this person's.
        user_id: UserId,
        /// Only this service account's.
        service_account_id: ServiceAccountId,
        /// Only those that were issued to this person.
        issued_to_user_id: UserId,
        /// Only those that this user or admin token made.
        created_by: String,
        /// Only those in this state now. Each key is in exactly one: revoked, else expired, else disabled, else active.
        #[param(inline)]
        status: KeyState,
        /// Only those with this label, `name:value`.
        tag: String,
        /// Only those whose name begins so.
        name_prefix: String,
        /// `true`: deleted keys, too.
        #[param(default = false)]
        include_archived: bool,
    }
}

impl From<KeyQuery> for KeyFilter {
    fn from(query: KeyQuery) -> Self {
        Self {
            team_id: query.team_id,
            user_id: query.user_id,
            service_account_id: query.service_account_id,
            issued_to_user_id: query.issued_to_user_id,
            created_by: query.created_by,
            status: query.status,
            tag: query.tag,
            name_prefix: query.name_prefix,
            include_archived: query.include_archived,
        }
    }
}

list_query! {
    /// Which page of a key's secrets.
    SecretQuery {}
}

/// Issue a key
///
/// The secret is in this reply and in no other. Exactly one of `team_id`, `user_id` and `service_account_id` owns the
/// key. The owner must be active; where it or the organization limits the life of keys, `expires_at` is required. A team's
/// key may be issued to one of its members, or to an invitation into it.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys", tag = "keys", request_body = NewKey,
    responses((status = 201, description = "The key and its secret.", body = IssuedKey),
              (status = 409, description = "`owner_suspended`: the owner is suspended.")))]
async fn create_key(
    allow: Allow<permit::KeysWrite>,
    Once(new): Create<NewKey>,
) -> Result<Created<IssuedKey>> {
    Ok(Created(key::create(&allow, new).await?))
}

/// List keys
///
/// The keys within the caller's reach that meet every filter. Deleted keys are listed with `include_archived=true`.
#[utoipa::path(get, path = "/v1/organizations/{organization}/keys", tag = "keys", params(KeyQuery),
    responses((status = 200, description = "One page.", body = KeyPage)))]
async fn list_keys(allow: Allow<permit::KeysRead>, Query(query): Query<KeyQuery>) -> Result<Json<Page<Key>>> {
    let page = query.page();
    Ok(Json(key::list(&allow, &page, query.into()).await?))
}

/// Count keys
///
/// As many as a list with the same filters has.
#[utoipa::path(get, path = "/v1/organizations/{organization}/keys/count", tag = "keys", params(KeyFilter),
    responses((status = 200, description = "The number.", body = KeyCount)))]
async fn count_keys(
    allow: Allow<permit::KeysRead>,
    Query(filter): Query<KeyFilter>,
) -> Result<Json<KeyCount>> {
    Ok(Json(key::count(&allow, filter).await?))
}

/// Find the key of a leaked secret
///
/// Tells whose a secret is that was found where it should not be, also if the secret has ended or the key is revoked or
/// deleted. A secret of no key within the caller's reach is not found. The question is audited.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/lookup", tag = "keys", request_body = Leak,
    responses((status = 200, description = "The key, and how the secret stands to it.", body = KeyLookup)))]
async fn lookup_key(allow: Allow<permit::KeysRead>, Once(leak): Act<Leak>) -> Result<Json<KeyLookup>> {
    Ok(Json(key::lookup(&allow, leak).await?))
}

/// Revoke many keys
///
/// Every live key within the caller's reach that meets everything that is given. They are refused by every instance when
/// this returns. They are revoked in parts; whatever stops it in between, the same call again revokes the rest.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/revoke", tag = "keys",
    request_body = KeySelection,
    responses((status = 200, description = "How many.", body = KeysRevoked)))]
async fn revoke_keys(
    allow: Allow<permit::KeysRevoke>,
    Once(selection): Act<KeySelection>,
) -> Result<Json<KeysRevoked>> {
    Ok(Json(key::revoke_all(&allow, selection).await?))
}

/// Put long expired keys away
///
/// They are revoked and archived: they stay readable, with their usage, and are listed with `include_archived=true`. A key
/// that never expires, or that was revoked, is left as it is.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/archive-expired", tag = "keys",
    request_body = ExpiredKeys,
    responses((status = 200, description = "How many.", body = KeysArchived)))]
async fn archive_expired_keys(
    allow: Allow<permit::KeysWrite>,
    Once(which): Act<ExpiredKeys>,
) -> Result<Json<KeysArchived>> {
    Ok(Json(key::archive_expired(&allow, which).await?))
}

/// Read a key
///
/// With what is around it that stops it, its live secrets and its last use; never a secret itself. A deleted key has
/// `archived_at`.
#[utoipa::path(get, path = "/v1/organizations/{organization}/keys/{key}", tag = "keys", params(KeyPath),
    responses((status = 200, description = "The key.", body = Key)))]
async fn get_key(allow: Allow<permit::KeysRead>, Path(path): Path<KeyPath>) -> Result<Json<Key>> {
    Ok(Json(key::get(&allow, path.key).await?))
}

/// Change a key
///
/// An absent field is kept; `null` clears a field that can be cleared. A new `expires_at` is held against what the owner
/// and the organization allow now.
#[utoipa::path(patch, path = "/v1/organizations/{organization}/keys/{key}", tag = "keys", params(KeyPath),
    request_body = KeyPatch,
    responses((status = 200, description = "The key as it is now.", body = Key),
              (status = 409, description = "`key_revoked`: the key is revoked for ever.")))]
async fn update_key(
    allow: Allow<permit::KeysWrite>,
    Path(path): Path<KeyPath>,
    IfMatch(version): IfMatch,
    Json(patch): Json<KeyPatch>,
) -> Result<Json<Key>> {
    Ok(Json(key::update(&allow, path.key, version, patch).await?))
}

/// Delete a key
///
/// It is revoked and archived: it stays readable, with its limits, usage and secrets' digests, is listed with
/// `include_archived=true` and found by its secret, and nothing changes it any more.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/keys/{key}", tag = "keys", params(KeyPath),
    responses((status = 204, description = "Deleted.")))]
async fn delete_key(
    allow: Allow<permit::KeysWrite>,
    Path(path): Path<KeyPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    key::delete(&allow, path.key, version).await?;
    Ok(NoContent)
}

/// Disable a key
///
/// It is refused by every instance when this returns, until it is enabled again. It asks for no version.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/{key}/disable", tag = "keys", params(KeyPath),
    responses((status = 200, description = "The key as it is now.", body = Key),
              (status = 409, description = "`key_revoked`: the key is revoked for ever.")))]
async fn disable_key(
    allow: Allow<permit::KeysWrite>,
    Path(path): Path<KeyPath>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Key>> {
    Ok(Json(key::disable(&allow, path.key).await?))
}

/// Enable a key
///
/// A disabled key works again, if nothing around it blocks it.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/{key}/enable", tag = "keys",
    params(KeyPath, ("If-Match" = Option<String>, Header, description = "The version to enable, from `ETag`.")),
    responses((status = 200, description = "The key as it is now.", body = Key),
              (status = 409, description = "`key_revoked`: the key is revoked for ever."),
              (status = 412, description = "`version_conflict`: `If-Match` is stale.")))]
async fn enable_key(
    allow: Allow<permit::KeysWrite>,
    Path(path): Path<KeyPath>,
    IfMatch(version): IfMatch,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Key>> {
    Ok(Json(key::enable(&allow, path.key, version).await?))
}

/// Revoke a key
///
/// It is refused by every instance when this returns, for ever. It asks for no version.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/{key}/revoke", tag = "keys", params(KeyPath),
    responses((status = 200, description = "The key as it is now.", body = Key),
              (status = 409, description = "`key_revoked`: it is revoked already.")))]
async fn revoke_key(
    allow: Allow<permit::KeysRevoke>,
    Path(path): Path<KeyPath>,
    Once(Nothing {}): Act<Nothing>,
) -> Result<Json<Key>> {
    Ok(Json(key::revoke(&allow, path.key).await?))
}

/// Hand a key to another owner
///
/// The key keeps its secret and its history. The new owner must be active and allow a key that ends when this one does. A
/// team's key is issued to the person or invitation that is given, else to nobody; handed to its own team, it works again if
/// it was blocked because its holder left.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/{key}/transfer", tag = "keys",
    params(KeyPath, ("If-Match" = Option<String>, Header, description = "The version to hand over, from `ETag`.")),
    request_body = NewOwner,
    responses((status = 200, description = "The key as it is now.", body = Key),
              (status = 409, description = "`key_revoked`: the key is revoked for ever. `owner_suspended`: the new owner is suspended."),
              (status = 412, description = "`version_conflict`: `If-Match` is stale.")))]
async fn transfer_key(
    allow: Allow<permit::KeysWrite>,
    Path(path): Path<KeyPath>,
    IfMatch(version): IfMatch,
    Once(owner): Act<NewOwner>,
) -> Result<Json<Key>> {
    Ok(Json(key::transfer(&allow, path.key, version, owner).await?))
}

/// Rotate a key
///
/// The key gets a new secret, which is in this reply and in no other, and keeps its id and everything else. The secret
/// before it works for `grace_seconds` more; one that was in its grace already ends at once. It asks for no version.
#[utoipa::path(post, path = "/v1/organizations/{organization}/keys/{key}/rotate", tag = "keys", params(KeyPath),
    request_body = Rotation,
    responses((status = 200, description = "The key and its new secret.", body = IssuedKey),
              (status = 409, description = "`key_revoked`: the key is revoked for ever.")))]
async fn rotate_key(
    allow: Allow<permit::KeysRotate>,
    Path(path): Path<KeyPath>,
    Once(rotation): Act<Rotation>,
) -> Result<Json<IssuedKey>> {
    Ok(Json(key::rotate(&allow, path.key, rotation).await?))
}

/// List a key's secrets
///
/// The current one, and all that were rotated away. What is shown of them opens nothing.
#[utoipa::path(get, path = "/v1/organizations/{organization}/keys/{key}/secrets", tag = "keys",
    params(KeyPath, SecretQuery),
    responses((status = 200, description = "One page.", body = KeySecretPage)))]
async fn list_key_secrets(
    allow: Allow<permit::KeysRead>,
    Path(path): Path<KeyPath>,
    Query(query): Query<SecretQuery>,
) -> Result<Json<Page<KeySecret>>> {
    Ok(Json(key::list_secrets(&allow, path.key, &query.page()).await?))
}

/// Read one secret of a key
///
/// When it was made and last used, and whether it has ended.
#[utoipa::path(get, path = "/v1/organizations/{organization}/keys/{key}/secrets/{secret}", tag = "keys",
    params(SecretPath),
    responses((status = 200, description = "What is shown of the secret.", body = KeySecret)))]
async fn get_key_secret(
    allow: Allow<permit::KeysRead>,
    Path(path): Path<SecretPath>,
) -> Result<Json<KeySecret>> {
    Ok(Json(key::get_secret(&allow, (path.key, path.secret)).await?))
}

/// End a secret's grace
///
/// A secret that was rotated away stops working now. `If-Match` takes the version of the key.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/keys/{key}/secrets/{secret}", tag = "keys",
    params(SecretPath),
    responses((status = 204, description = "The secret has ended."),
              (status = 409, description = "`secret_current`: it is the key's current secret. `secret_ended`: it has ended before.")))]
async fn end_key_secret(
    allow: Allow<permit::KeysRotate>,
    Path(path): Path<SecretPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    key::end_secret(&allow, (path.key, path.secret), version).await?;
    Ok(NoContent)
}

//! Admin tokens: long-lived, scoped, for CI and Terraform. A token is bounded twice: by the permissions it carries, and at
//! every use by what its maker may do then.

use crate::{
    Ctx, Error, Result, activity,
    authz::Permission,
    ceiling::Ceiling,
    error::ConflictExt,
    page::{Page, PageRequest},
    repository::{Expected, View},
    token::{self, Shown, TokenKind},
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    admin_token::{ActiveModel, Entity},
    id::{AdminTokenId, UserId},
    json::Texts,
};
use sea_orm::{ActiveValue::Set, Condition, DerivePartialModel};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A long-lived token for the admin API.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminToken {
    /// Its id.
    pub id: AdminTokenId,
    /// Unique in its organization.
    #[schema(example = "terraform")]
    pub name: String,
    /// What it may do, as far as its maker may at the time.
    #[schema(example = json!(["teams:read", "keys:write"]))]
    pub permissions: Texts,
    /// Its maker, whose rights bound it at every use.
    pub created_by: UserId,
    /// The last four characters of its secret, to tell tokens apart.
    #[schema(example = "x9Qz")]
    pub last4: String,
    /// Refused from this moment on; null = never.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    #[schema(required)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(AdminTokenPage, AdminToken);

/// A new admin token with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedAdminToken {
    /// The token.
    #[serde(flatten)]
    pub token: AdminToken,
    /// What is sent as `Authorization: Bearer`.
    pub secret: Shown,
}

/// An admin token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdminToken {
    /// Unique in its organization, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "terraform")]
    pub name: String,
    /// What it may do: permissions that the maker has in the whole organization.
    #[schema(min_items = 1, example = json!(["teams:read", "keys:write"]))]
    pub permissions: Texts,
    /// Refused from this moment on; absent or null = never.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The stored form, without its secret.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
struct Stored {
    id: AdminTokenId,
    name: String,
    permissions: Texts,
    created_by: UserId,
    last4: String,
    expires_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl View for Stored {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

impl Stored {
    fn used(self, uses: &HashMap<Uuid, DateTime<Utc>>) -> AdminToken {
        AdminToken {
            last_used_at: uses.get(&self.id.uuid()).copied(),
            id: self.id,
            name: self.name,
            permissions: self.permissions,
            created_by: self.created_by,
            last4: self.last4,
            expires_at: self.expires_at,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// Makes an admin token.
pub async fn create(ctx: &Ctx, new: NewAdminToken) -> Result<IssuedAdminToken> {
    let maker = ctx.actor.user.ok_or(Error::Forbidden("an admin token has a person for its maker".into()))?;
    let permissions = understood(&new, ctx.now().await?)?;
    let mut unit = ctx.begin().await?;
    let ceiling = Ceiling::enter(&unit, Permission::AdminTokensWrite).await?;
    ceiling.gives(&permissions)?;
    ceiling.gives_until(new.expires_at)?;
    let id: AdminTokenId = unit.id();
    let minted = token::mint(&ctx.system, TokenKind::Admin, id.uuid());
    let row = ActiveModel {
        id: Set(id),
        name: Set(new.name.clone()),
        permissions: Set(new.permissions),
        created_by: Set(maker),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest),
        last4: Set(minted.last4),
        expires_at: Set(new.expires_at),
        ..Default::default()
    };
    unit.repository::<Entity>().insert(row).await.conflict("admin token", &new.name)?;
    let stored = unit.read::<Entity>().view::<Stored>(id).await?;
    let view = IssuedAdminToken { token: stored.used(&HashMap::new()), secret: Shown::from(&minted.token) };
    unit.commit_secret(view, &minted.token).await
}

/// The permissions behind the words of a request that is in order.
fn understood(new: &NewAdminToken, now: DateTime<Utc>) -> Result<Vec<Permission>> {
    let tenant: Vec<Permission> = Permission::EVERY.iter().copied().filter(|p| p.is_tenant()).collect();
    let words: Vec<&str> = tenant.iter().map(|permission| permission.word()).collect();
    let mut faults = Faults::default();
    faults.name("/name", &new.name);
    faults.words("/permissions", Some(&new.permissions), &words);
    faults.when(new.permissions.0.is_empty(), "/permissions", "required", "must name a permission");
    let past = new.expires_at.is_some_and(|end| end <= now);
    faults.when(past, "/expires_at", "in_the_past", "must be in the future");
    faults.finish()?;
    Ok(tenant.into_iter().filter(|p| new.permissions.0.iter().any(|word| word == p.word())).collect())
}

/// One page of the admin tokens.
pub async fn list(ctx: &Ctx, page: &PageRequest) -> Result<Page<AdminToken>> {
    let Page { items, next_cursor } =
        ctx.repository::<Entity>().list::<Stored>(page, Condition::all()).await?;
    let uses = activity::last_used(&ctx.system.db.reader, items.iter().map(View::cursor).collect()).await?;
    Ok(Page { items: items.into_iter().map(|row| row.used(&uses)).collect(), next_cursor })
}

/// One admin token.
pub async fn get(ctx: &Ctx, id: AdminTokenId) -> Result<AdminToken> {
    let stored = ctx.repository::<Entity>().view::<Stored>(id).await?;
    let uses = activity::last_used(&ctx.system.db.reader, vec![id.uuid()]).await?;
    Ok(stored.used(&uses))
}

/// Deletes an admin token: it opens nothing from then on.
pub async fn delete(ctx: &Ctx, id: AdminTokenId, version: Option<i64>) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    unit.repository::<Entity>().delete(id, expected).await?;
    unit.forget_replies(id.uuid()).await?;
    unit.commit(()).await
}

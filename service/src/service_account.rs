//! Service accounts: named owners of keys that are no persons.

use crate::{
    Ctx, Error, Result, Turn,
    error::ConflictExt,
    page::{Page, PageRequest},
    repository::{Expected, View},
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::ServiceAccountId,
    service_account::{ActiveModel, Column, Entity},
    status::{KeyStatus, Standing},
    virtual_key,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DeriveIntoActiveModel, DerivePartialModel, IntoActiveModel,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Characters of a description.
const DESCRIPTION: usize = 1000;

/// A named owner of keys that is no person.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct ServiceAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// Unique in its organization.
    #[schema(example = "nightly-batch")]
    pub name: String,
    /// What it is for.
    #[schema(example = "Summarises the day's tickets")]
    pub description: String,
    /// At work or suspended; a suspended account's keys are refused.
    pub status: Standing,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(ServiceAccountPage, ServiceAccount);

impl View for ServiceAccount {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// A service account to make.
#[derive(Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel", set(status = "Standing::Active"))]
#[serde(deny_unknown_fields)]
pub struct NewServiceAccount {
    /// Unique in its organization, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "nightly-batch")]
    pub name: String,
    /// What it is for, at most 1000 characters.
    #[serde(default)]
    #[schema(max_length = 1000, default = "")]
    pub description: String,
}

/// What to change of a service account; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields, default)]
pub struct ServiceAccountPatch {
    /// Unique in its organization, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false, example = "nightly")]
    #[serde(deserialize_with = "crate::validate::present")]
    pub name: Option<String>,
    /// What it is for, at most 1000 characters.
    #[schema(max_length = 1000, nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub description: Option<String>,
}

/// Which service accounts to list.
#[derive(Debug, Default)]
pub struct ServiceAccountFilter {
    /// Only with this status.
    pub status: Option<Standing>,
    /// Only whose name begins so.
    pub name_prefix: Option<String>,
}

/// What happens to the live keys of a service account that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeysOfAccount {
    /// They are revoked.
    Revoke,
}

/// Makes a service account.
pub async fn create(ctx: &Ctx, new: NewServiceAccount) -> Result<ServiceAccount> {
    let mut faults = Faults::default();
    faults.name("/name", &new.name);
    faults.text("/description", &new.description, DESCRIPTION);
    faults.finish()?;
    let name = new.name.clone();
    let mut unit = ctx.begin().await?;
    let id: ServiceAccountId = unit.id();
    let row = ActiveModel { id: Set(id), ..new.into_active_model() };
    unit.repository::<Entity>().insert(row).await.conflict("service account", &name)?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// One page of the service accounts.
pub async fn list(
    ctx: &Ctx,
    page: &PageRequest,
    filter: ServiceAccountFilter,
) -> Result<Page<ServiceAccount>> {
    let condition = Condition::all()
        .add_option(filter.status.map(|status| Column::Status.eq(status)))
        .add_option(filter.name_prefix.map(|prefix| crate::validate::starts_with(Column::Name, &prefix)));
    ctx.repository::<Entity>().list(page, condition).await
}

/// One service account.
pub async fn get(ctx: &Ctx, id: ServiceAccountId) -> Result<ServiceAccount> {
    ctx.repository::<Entity>().view(id).await
}

/// Changes a service account.
pub async fn update(
    ctx: &Ctx,
    id: ServiceAccountId,
    version: Option<i64>,
    patch: ServiceAccountPatch,
) -> Result<ServiceAccount> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut faults = Faults::default();
    if let Some(name) = &patch.name {
        faults.name("/name", name);
    }
    faults.text("/description", patch.description.as_deref().unwrap_or_default(), DESCRIPTION);
    faults.finish()?;
    let name = patch.name.clone().unwrap_or_default();
    let mut unit = ctx.begin().await?;
    let updated = unit.repository::<Entity>().update(id, expected, patch.into_active_model()).await;
    updated.conflict("service account", &name)?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// Suspends a service account, or lets it work again. Its keys follow at once.
pub async fn turn(ctx: &Ctx, id: ServiceAccountId, turn: Turn) -> Result<ServiceAccount> {
    let mut unit = ctx.begin().await?;
    let changes = ActiveModel { status: Set(turn.standing()), ..Default::default() };
    unit.repository::<Entity>().turn(turn, id, changes).await?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// Deletes a service account. Live keys are in the way, unless they are to be revoked with it.
pub async fn delete(
    ctx: &Ctx,
    id: ServiceAccountId,
    version: Option<i64>,
    keys: Option<KeysOfAccount>,
) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    // The account is locked first: a key that is being made for it waits, and then finds it gone.
    unit.read::<Entity>().lock(id).await?;
    let owned = virtual_key::Column::ServiceAccountId.eq(id);
    let live = Condition::all().add(owned).add(virtual_key::Column::Status.ne(KeyStatus::Revoked));
    if keys.is_none() {
        let count = unit.read::<virtual_key::Entity>().count(live).await?;
        if count > 0 {
            return Err(Error::InUse { by: "keys", count });
        }
    } else {
        crate::key::revoke_where(&mut unit, live).await?;
    }
    let changes = ActiveModel { status: Set(Standing::Deleted), ..Default::default() };
    unit.repository::<Entity>().update(id, expected, changes).await?;
    unit.commit(()).await
}

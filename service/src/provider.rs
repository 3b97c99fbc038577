//! Providers: the kinds of upstream that models and prices name. An organization reads the platform's beside its own.

use crate::{
    Ctx, Error, Result,
    error::ConflictExt,
    page::{Page, PageRequest},
    price::Level,
    repository::{Expected, View},
    unit::Unit,
    validate::{Faults, starts_with},
};
use chrono::{DateTime, Utc};
use entity::{
    id::ProviderId,
    model,
    provider::{ActiveModel, Column, Entity},
    status::Origin,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, DeriveIntoActiveModel, DerivePartialModel,
    IntoActiveModel,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A kind of upstream, such as `openai`.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// Whose it is: the organization's, or the platform's.
    #[sea_orm(from_col = "OrganizationId")]
    pub scope: Level,
    /// What models and prices call it; unique in its scope.
    #[schema(example = "openai")]
    pub name: String,
    /// What people call it.
    #[schema(example = "OpenAI")]
    pub display_name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(ProviderPage, Provider);

impl View for Provider {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// A provider to make.
#[derive(Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel", set(origin = "Origin::Manual"))]
#[serde(deny_unknown_fields)]
pub struct NewProvider {
    /// What models and prices call it: 1–64 lower-case letters, digits, hyphens, underscores and points. It stays.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9._-]{1,64}$", example = "openai")]
    pub name: String,
    /// What people call it, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "OpenAI")]
    pub display_name: String,
}

/// What to change of a provider; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields, default)]
pub struct ProviderPatch {
    /// What people call it, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false, example = "Acme AI")]
    #[serde(deserialize_with = "crate::validate::present")]
    pub display_name: Option<String>,
}

/// Which providers to list.
#[derive(Debug, Default)]
pub struct ProviderFilter {
    /// Only the organization's, or only the platform's.
    pub scope: Option<Level>,
    /// Only whose name begins so.
    pub name_prefix: Option<String>,
}

/// Makes a provider.
pub async fn create(ctx: &Ctx, new: NewProvider) -> Result<Provider> {
    let mut faults = Faults::default();
    faults.word("/name", &new.name);
    faults.name("/display_name", &new.display_name);
    faults.finish()?;
    let name = new.name.clone();
    let mut unit = ctx.begin().await?;
    let id: ProviderId = unit.id();
    let row = ActiveModel { id: Set(id), ..new.into_active_model() };
    unit.repository::<Entity>().insert(row).await.conflict("provider", &name)?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// One page of the providers there are for the scope.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: ProviderFilter) -> Result<Page<Provider>> {
    let prefix = filter.name_prefix.map(|prefix| starts_with(Column::Name, &prefix));
    let condition = Condition::all().add_option(prefix);
    ctx.repository::<Entity>().at(filter.scope).list(page, condition).await
}

/// One provider, the scope's or the platform's.
pub async fn get(ctx: &Ctx, id: ProviderId) -> Result<Provider> {
    ctx.repository::<Entity>().with_platform().view(id).await
}

/// Changes a provider. From then on it is kept as it is, whatever a newer catalogue says.
pub async fn update(
    ctx: &Ctx,
    id: ProviderId,
    version: Option<i64>,
    patch: ProviderPatch,
) -> Result<Provider> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut faults = Faults::default();
    if let Some(name) = &patch.display_name {
        faults.name("/display_name", name);
    }
    faults.finish()?;
    let mut changes = patch.into_active_model();
    if changes.is_changed() {
        changes.origin = Set(Origin::Manual);
    }
    let mut unit = ctx.begin().await?;
    unit.repository::<Entity>().update(id, expected, changes).await?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// Deletes a provider. Models that name it are in the way.
pub async fn delete(ctx: &Ctx, id: ProviderId, version: Option<i64>) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    // The provider is locked first: a model that is being made for it waits, and then finds it gone.
    unit.read::<Entity>().lock(id).await?;
    let count = unit.read::<model::Entity>().count(model::Column::Provider.eq(&current.name)).await?;
    if count > 0 {
        return Err(Error::InUse { by: "models", count });
    }
    unit.repository::<Entity>().delete(id, expected).await?;
    unit.commit(()).await
}

/// Keeps the scope's provider of this name from going while the unit makes a model for it; the platform's stays for those
/// who have none of their own. One that nobody has made is refused.
pub(crate) async fn hold(unit: &Unit<'_>, name: &str) -> Result<()> {
    if let Some(row) = unit.read::<Entity>().first(Column::Name.eq(name)).await? {
        match unit.read::<Entity>().hold(row.id).await {
            Err(Error::NotFound(_)) => {}
            held => return held.map(drop),
        }
    }
    let offered = unit.read::<Entity>().with_platform().first(Column::Name.eq(name)).await?;
    offered.map(drop).ok_or_else(|| {
        let message =
            format!("there is no provider {name}: make it first, or name one of the list of providers");
        Error::invalid("/provider", "provider_unknown", message)
    })
}

//! Organizations, the tenants. A tenant's scope is its own row, so a use-case here needs no id: it is the scope's.

use crate::{
    Ctx, Error, Result, Turn, Unit,
    error::ConflictExt,
    head,
    page::{Page, PageRequest},
    repository::{Expected, View},
    scope::Scope,
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{OrganizationId, UserId},
    json::Texts,
    membership,
    organization::{ActiveModel, Column, Entity},
    status::{PriceGuess, Role, Standing, UnpricedPolicy},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DeriveIntoActiveModel, DerivePartialModel, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, sea_query::Query,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// Characters of a slug.
const SLUG: usize = 63;
/// Tokens of the longest completion.
const OUTPUT_TOKENS: i64 = 10_000_000;
/// Seconds of the longest wait for what a call has used: ten years.
const RELEASE_AFTER: i64 = 315_576_000;

/// A tenant: nothing of one organization is visible to another.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Unique short name for paths.
    #[schema(example = "acme")]
    pub slug: String,
    /// Shown name.
    #[schema(example = "Acme Ltd")]
    pub name: String,
    /// At work or suspended; a suspended organization's keys are refused.
    pub status: Standing,
    /// Globs of models its keys may call; null = no restriction, [] = none.
    #[schema(required)]
    pub allowed_models: Option<Texts>,
    /// Longest life of a new key, in seconds; null = no restriction.
    #[schema(required)]
    pub max_key_lifetime: Option<i64>,
    /// ISO 4217; of amounts that name no currency.
    #[schema(example = "USD")]
    pub default_currency: String,
    /// What happens to calls for which no price is found.
    pub unpriced_policy: UnpricedPolicy,
    /// What happens to calls whose price can only be guessed, from the model that is most like theirs. Nothing is guessed
    /// where `unpriced_policy` is `refuse`.
    pub price_guess: PriceGuess,
    /// The most tokens of the completion of a call that states none; null = as many as the model makes.
    #[schema(required, example = 4096)]
    pub default_max_output_tokens: Option<i64>,
    /// Seconds after which what an unresolved call holds is released; null = never.
    #[schema(required, example = 86400)]
    pub release_after: Option<i64>,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(OrganizationPage, Organization);

impl View for Organization {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// An organization to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrganization {
    /// Shown name, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "Acme Ltd")]
    pub name: String,
    /// Unique short name for paths: 2–63 lower-case letters, digits and inner hyphens; made from the name if absent.
    #[serde(default)]
    #[schema(min_length = 2, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]*[a-z0-9]$", example = "acme")]
    pub slug: Option<String>,
}

/// What to change of an organization; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields, default)]
pub struct OrganizationPatch {
    /// Shown name, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub name: Option<String>,
    /// Unique short name for paths. The old one leads nowhere from then on.
    #[schema(min_length = 2, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]*[a-z0-9]$", nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub slug: Option<String>,
    /// Globs; null = no restriction, [] = none.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Texts>)]
    pub allowed_models: Option<Option<Texts>>,
    /// Seconds; null = no restriction. Keys that exist keep the end they have.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 315_576_000_i64)]
    pub max_key_lifetime: Option<Option<i64>>,
    /// ISO 4217; of amounts that name no currency from now on. What exists keeps its own.
    #[schema(nullable = false, example = "USD")]
    #[serde(deserialize_with = "crate::validate::present")]
    pub default_currency: Option<String>,
    /// What happens to calls for which no price is found.
    #[schema(nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub unpriced_policy: Option<UnpricedPolicy>,
    /// What happens to calls whose price can only be guessed.
    #[schema(nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub price_guess: Option<PriceGuess>,
    /// The most tokens of the completion of a call that states none: what such a call is assumed to use until its use is
    /// known. null = as many as the model makes.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 10_000_000, example = 4096)]
    pub default_max_output_tokens: Option<Option<i64>>,
    /// Seconds after which what an unresolved call holds is released. Until then it counts, because the provider may have
    /// charged for it. null = never, only when somebody settles or voids it.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 315_576_000_i64, example = 86400)]
    pub release_after: Option<Option<i64>>,
}

impl OrganizationPatch {
    /// What is assumed of calls whose use is not known.
    fn check_calls(&self, faults: &mut Faults) {
        let tokens = self.default_max_output_tokens.flatten();
        let wrong = tokens.is_some_and(|tokens| !(1..=OUTPUT_TOKENS).contains(&tokens));
        let message = "must be between 1 and 10000000";
        faults.when(wrong, "/default_max_output_tokens", "out_of_range", message);
        let wrong = self.release_after.flatten().is_some_and(|after| !(0..=RELEASE_AFTER).contains(&after));
        faults.when(wrong, "/release_after", "out_of_range", "must be between 0 and 315576000 seconds");
    }
}

/// The first row of a tenant, and its first owner.
#[derive(Debug)]
pub(crate) struct Founding {
    /// Shown name.
    pub(crate) name: String,
    /// Unique short name.
    pub(crate) slug: String,
    /// Who owns it; none if an invitation makes the first owner.
    pub(crate) owner: Option<UserId>,
}

/// Makes an organization. Who makes it, an operator, becomes its owner.
pub async fn create(ctx: &Ctx, new: NewOrganization) -> Result<Organization> {
    let mut faults = Faults::default();
    faults.name("/name", &new.name);
    if let Some(slug) = &new.slug {
        faults.slug("/slug", slug);
    }
    faults.finish()?;
    let id: OrganizationId = ctx.id(ctx.now().await?);
    let slug = new.slug.unwrap_or_else(|| slug_of(&new.name, id));
    let inside = ctx.within(Scope::all(id));
    let mut unit = inside.begin().await?;
    unit.audit_in(OrganizationId::PLATFORM, "organization.create", id, json!({ "slug": slug }));
    found(&mut unit, Founding { name: new.name, slug, owner: ctx.actor.user }).await?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// Makes the organization of the unit's scope, with its head and its owner.
pub(crate) async fn found(unit: &mut Unit<'_>, new: Founding) -> Result<()> {
    let id = unit.ctx.scope.organization;
    let row = ActiveModel {
        slug: Set(new.slug.clone()),
        name: Set(new.name),
        status: Set(Standing::Active),
        ..Default::default()
    };
    unit.repository::<Entity>().insert(row).await.conflict("organization", &new.slug)?;
    head::open(&unit.tx, id, i64::from_be_bytes(unit.ctx.system.entropy.bytes())).await?;
    let Some(owner) = new.owner else { return Ok(()) };
    let row = membership::ActiveModel {
        user_id: Set(owner),
        role: Set(Role::Owner),
        status: Set(Standing::Active),
        ..Default::default()
    };
    unit.repository::<membership::Entity>().insert(row).await?;
    Ok(())
}

/// A slug from a name: its ASCII letters and digits, everything else as hyphens. A name without any (`東京`) gives way
/// to a part of the id.
fn slug_of(name: &str, id: OrganizationId) -> String {
    let folded = name.to_lowercase();
    let words = folded.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-");
    slug.truncate(SLUG);
    let slug = slug.trim_end_matches('-');
    if slug.len() < 2 {
        let hex = id.uuid().simple().to_string();
        return format!("organization-{}", hex.get(hex.len().saturating_sub(12)..).unwrap_or(&hex));
    }
    slug.to_owned()
}

/// One page of the caller's organizations; of everybody's, for an operator who asks for them.
#[expect(
    clippy::disallowed_methods,
    reason = "one's own organizations are no one tenant's; the bound is put on here"
)]
pub async fn list(ctx: &Ctx, page: &PageRequest, everybody: bool) -> Result<Page<Organization>> {
    if everybody && !ctx.actor.operator {
        return Err(Error::Forbidden("only an operator lists every organization".into()));
    }
    let mine = Query::select()
        .column(membership::Column::OrganizationId)
        .from(membership::Entity)
        .and_where(membership::Column::UserId.eq(ctx.actor.user))
        .take();
    let after = page
        .start(ctx, "organization")?
        .map(|id| if page.ascending() { Column::Id.gt(id) } else { Column::Id.lt(id) });
    let condition = Condition::all()
        .add(Column::Id.ne(OrganizationId::PLATFORM))
        .add_option((!everybody).then(|| Column::Id.in_subquery(mine)))
        .add_option(after);
    let order = if page.ascending() { sea_orm::Order::Asc } else { sea_orm::Order::Desc };
    let select = Entity::find().filter(condition).order_by(Column::Id, order).limit(page.size() + 1);
    let items = select.into_partial_model::<Organization>().all(&ctx.system.db.reader).await?;
    page.finish(ctx, "organization", items, View::cursor)
}

/// The organization of the scope.
pub async fn get(ctx: &Ctx) -> Result<Organization> {
    ctx.repository::<Entity>().view(ctx.scope.organization).await
}

/// Changes the organization of the scope.
pub async fn update(ctx: &Ctx, version: Option<i64>, patch: OrganizationPatch) -> Result<Organization> {
    let id = ctx.scope.organization;
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut faults = Faults::default();
    if let Some(name) = &patch.name {
        faults.name("/name", name);
    }
    if let Some(slug) = &patch.slug {
        faults.slug("/slug", slug);
    }
    faults.globs("/allowed_models", patch.allowed_models.as_ref().and_then(Option::as_ref));
    faults.lifetime("/max_key_lifetime", patch.max_key_lifetime.flatten());
    if let Some(currency) = &patch.default_currency {
        faults.currency("/default_currency", currency);
    }
    patch.check_calls(&mut faults);
    faults.finish()?;
    let slug = patch.slug.clone().unwrap_or_default();
    let mut unit = ctx.begin().await?;
    let updated = unit.repository::<Entity>().update(id, expected, patch.into_active_model()).await;
    updated.conflict("organization", &slug)?;
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// Suspends the organization of the scope, or lets it work again. Its keys follow at once.
pub async fn turn(ctx: &Ctx, turn: Turn) -> Result<Organization> {
    let id = ctx.scope.organization;
    let mut unit = ctx.begin().await?;
    let changes = ActiveModel { status: Set(turn.standing()), ..Default::default() };
    unit.repository::<Entity>().turn(turn, id, changes).await?;
    unit.audit_in(OrganizationId::PLATFORM, format!("organization.{}", turn.action()), id, json!({}));
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

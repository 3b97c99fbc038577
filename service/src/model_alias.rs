//! Model aliases: other names that an organization's clients may use. Following aliases always ends: no alias leads back
//! to itself, and no chain of them is longer than eight.

use crate::{
    Ctx, Error, Result,
    error::ConflictExt,
    head,
    meter::fold,
    page::{Page, PageRequest},
    repository::{Expected, View},
    unit::Unit,
    validate::{Faults, starts_with},
};
use chrono::{DateTime, Utc};
use entity::{
    id::ModelAliasId,
    model_alias::{ActiveModel, Column, Entity},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DeriveIntoActiveModel, DerivePartialModel, IntoActiveModel,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, iter};
use utoipa::ToSchema;
use uuid::Uuid;

/// Aliases that one name may lead through.
pub(crate) const LONGEST: usize = 8;

/// Another name for a model.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct ModelAlias {
    /// Its id.
    pub id: ModelAliasId,
    /// What clients call it; unique in its organization.
    #[schema(example = "fast")]
    pub name: String,
    /// The model that is meant, or another alias.
    #[schema(example = "gpt-4o-mini")]
    pub target: String,
    /// Whether it leads anywhere; a call by the name of one that is disabled is denied.
    pub enabled: bool,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(ModelAliasPage, ModelAlias);

impl View for ModelAlias {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// An alias to make.
#[derive(Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields)]
pub struct NewModelAlias {
    /// What clients call it, 1–255 characters without a star; unique in its organization, in whatever case it is written.
    #[schema(min_length = 1, max_length = 255, example = "fast")]
    pub name: String,
    /// The model that is meant, or another alias; neither needs to exist.
    #[schema(min_length = 1, max_length = 255, example = "gpt-4o-mini")]
    pub target: String,
    /// Whether it leads anywhere.
    #[serde(default = "enabled")]
    #[schema(default = true)]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}

/// What to change of an alias; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields, default)]
pub struct ModelAliasPatch {
    /// What clients call it, 1–255 characters without a star; unique in its organization, in whatever case it is written.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    pub name: Option<String>,
    /// The model that is meant, or another alias.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(min_length = 1, max_length = 255, nullable = false, example = "gpt-4o-mini")]
    pub target: Option<String>,
    /// Whether it leads anywhere.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub enabled: Option<bool>,
}

/// Which aliases to list.
#[derive(Debug, Default)]
pub struct ModelAliasFilter {
    /// Only whose name begins so.
    pub name_prefix: Option<String>,
    /// Only those that lead to this name.
    pub target: Option<String>,
    /// Only those that are enabled, or only those that are not.
    pub enabled: Option<bool>,
}

/// Makes an alias.
pub async fn create(ctx: &Ctx, new: NewModelAlias) -> Result<ModelAlias> {
    let mut faults = Faults::default();
    faults.model("/name", &new.name);
    faults.model("/target", &new.target);
    faults.finish()?;
    let name = new.name.clone();
    let mut unit = ctx.begin().await?;
    let id: ModelAliasId = unit.id();
    let row = ActiveModel { id: Set(id), ..new.into_active_model() };
    unit.repository::<Entity>().insert(row).await.conflict("model alias", &name)?;
    finish(unit, id, true).await
}

/// One page of aliases.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: ModelAliasFilter) -> Result<Page<ModelAlias>> {
    let condition = Condition::all()
        .add_option(filter.name_prefix.map(|prefix| starts_with(Column::Name, &prefix)))
        .add_option(filter.target.map(|target| Column::Target.eq(target)))
        .add_option(filter.enabled.map(|enabled| Column::Enabled.eq(enabled)));
    ctx.repository::<Entity>().list(page, condition).await
}

/// One alias.
pub async fn get(ctx: &Ctx, id: ModelAliasId) -> Result<ModelAlias> {
    ctx.repository::<Entity>().view(id).await
}

/// Changes an alias.
pub async fn update(
    ctx: &Ctx,
    id: ModelAliasId,
    version: Option<i64>,
    patch: ModelAliasPatch,
) -> Result<ModelAlias> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut faults = Faults::default();
    if let Some(name) = &patch.name {
        faults.model("/name", name);
    }
    if let Some(target) = &patch.target {
        faults.model("/target", target);
    }
    faults.finish()?;
    let name = patch.name.clone().unwrap_or_default();
    let mut unit = ctx.begin().await?;
    let changes = patch.into_active_model();
    unit.repository::<Entity>().update(id, expected, changes).await.conflict("model alias", &name)?;
    finish(unit, id, !name.is_empty() && name != current.name).await
}

/// Deletes an alias: its name is a model's again.
pub async fn delete(ctx: &Ctx, id: ModelAliasId, version: Option<i64>) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    unit.repository::<Entity>().delete(id, expected).await?;
    unit.commit(()).await
}

/// Commits an alias as it was written, if every chain of aliases still ends. One change at a time is looked at, so that
/// two which are good by themselves cannot make a circle together.
/// A new name differs from all others not in case alone; an alias that has such a name already can still be changed.
async fn finish(unit: Unit<'_>, id: ModelAliasId, renamed: bool) -> Result<ModelAlias> {
    unit.take_turn(unit.ctx.scope.organization).await;
    head::lock(&unit.tx, unit.ctx.scope.organization).await?;
    let all: Vec<ModelAlias> = unit.read::<Entity>().views(Condition::all()).await?;
    let view: ModelAlias = unit.read::<Entity>().view(id).await?;
    let same = |other: &&ModelAlias| other.id != id && fold(&other.name) == fold(&view.name);
    if let Some(other) = all.iter().find(same).filter(|_| renamed) {
        return Err(Error::Conflict { kind: "model alias", key: other.name.clone() });
    }
    Links::of(&all).check(&view.name)?;
    unit.commit(view).await
}

/// Where each alias leads, also the disabled ones: enabling one never makes a circle. As a call finds them: by the name as it
/// is written, else by one that differs only in case.
struct Links<'a>(HashMap<String, Vec<(&'a str, &'a str)>>);

impl<'a> Links<'a> {
    fn of(aliases: &'a [ModelAlias]) -> Self {
        let mut links: HashMap<String, Vec<_>> = HashMap::new();
        for alias in aliases {
            let same = links.entry(fold(&alias.name).into_owned()).or_default();
            same.push((alias.name.as_str(), alias.target.as_str()));
            same.sort_unstable();
        }
        Self(links)
    }

    /// The alias of a name: how it is written, and where it leads.
    fn alias(&self, name: &str) -> Option<(&'a str, &'a str)> {
        let same = self.0.get(&*fold(name))?;
        same.iter().find(|(written, _)| *written == name).or(same.first()).copied()
    }

    fn target(&self, name: &str) -> Option<&'a str> {
        self.alias(name).map(|(_, target)| target)
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.values().flatten().map(|(name, _)| *name)
    }

    /// The names that one leads to, one after the other; for ever, if that is a circle.
    fn from(&self, name: &str) -> impl Iterator<Item = &'a str> {
        iter::successors(self.target(name), |next| self.target(next))
    }

    /// Only `changed` is new: a circle would go through it, and everything else was short enough before.
    fn check(&self, changed: &str) -> Result<()> {
        let back = |next: &str| self.alias(next).is_some_and(|(written, _)| written == changed);
        if self.from(changed).take(LONGEST + 1).any(back) {
            let detail = format!("following the alias {changed:?} leads back to it");
            return Err(Error::InvalidState("alias_cycle", detail.into()));
        }
        if self.names().any(|name| self.from(name).nth(LONGEST).is_some()) {
            let detail = "an alias leads to its model through at most 8 aliases, itself included";
            return Err(Error::InvalidState("alias_chain_too_long", detail.into()));
        }
        Ok(())
    }
}

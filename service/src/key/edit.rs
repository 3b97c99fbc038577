//! Changing a key.

use super::{Key, SCOPES, create::expiry, not_revoked, owner::Owner, view};
use crate::{Ctx, Result, repository::Expected, validate::Faults};
use chrono::{DateTime, Utc};
use entity::{
    id::KeyId,
    json::{Metadata, Tags, Texts},
    virtual_key::{ActiveModel, Entity},
};
use sea_orm::{DeriveIntoActiveModel, IntoActiveModel};
use serde::Deserialize;
use utoipa::ToSchema;

/// What to change of a key; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields, default)]
pub struct KeyPatch {
    /// Shown name, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub name: Option<String>,
    /// Globs; null = no restriction, [] = none.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Texts>)]
    pub allowed_models: Option<Option<Texts>>,
    /// Globs; null = nothing is denied.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Texts>)]
    pub denied_models: Option<Option<Texts>>,
    /// Kinds of call; null = every kind, [] = none.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Texts>)]
    pub scopes: Option<Option<Texts>>,
    /// Networks; null = anywhere, [] = nowhere.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Texts>)]
    pub allowed_cidrs: Option<Option<Texts>>,
    /// In the future; null = never, unless the team or the organization limits the life of keys.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// Labels, all of them.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub tags: Option<Tags>,
    /// The whole JSON object.
    #[serde(deserialize_with = "crate::validate::present_metadata")]
    #[schema(nullable = false)]
    pub metadata: Option<Metadata>,
}

impl KeyPatch {
    fn check(&self, now: DateTime<Utc>) -> Result<()> {
        let mut faults = Faults::default();
        if let Some(name) = &self.name {
            faults.name("/name", name);
        }
        let [allowed, denied, scopes, cidrs] =
            [&self.allowed_models, &self.denied_models, &self.scopes, &self.allowed_cidrs]
                .map(|list| list.as_ref().and_then(Option::as_ref));
        faults.globs("/allowed_models", allowed);
        faults.globs("/denied_models", denied);
        faults.words("/scopes", scopes, SCOPES);
        faults.cidrs("/allowed_cidrs", cidrs);
        expiry(&mut faults, self.expires_at.flatten(), now);
        if let Some(tags) = &self.tags {
            faults.tags("/tags", tags);
        }
        if let Some(metadata) = &self.metadata {
            faults.metadata("/metadata", metadata);
        }
        faults.finish()
    }
}

/// Changes a key. A new end of its life is held against what its owner allows now.
pub async fn update(ctx: &Ctx, id: KeyId, version: Option<i64>, patch: KeyPatch) -> Result<Key> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    patch.check(ctx.now().await?)?;
    not_revoked(&current)?;
    let mut unit = ctx.begin().await?;
    if let Some(expires_at) = patch.expires_at {
        Owner::of(&current)?.hold(&unit).await?.allows(expires_at, unit.now)?;
    }
    unit.repository::<Entity>().update(id, expected, patch.into_active_model()).await?;
    let key = view::read(&unit, id).await?;
    unit.commit(key).await
}

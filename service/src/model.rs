//! Models: what providers offer, and what each can do. An organization reads the platform's beside its own; its own row
//! takes the place of the platform's of the same provider and name.

use crate::{
    Ctx, Result,
    error::ConflictExt,
    page::{Page, PageRequest},
    price::Level,
    provider,
    repository::{Expected, View},
    validate::{Faults, starts_with},
};
use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    id::ModelId,
    json::{Capabilities, CapabilitiesPatch, Capability},
    model::{ActiveModel, Column, Entity, Model as Row},
    status::Origin,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{self, Set},
    ColumnTrait, Condition, DbErr, DeriveIntoActiveModel, FromQueryResult, IntoActiveModel, Iterable,
    PartialModelTrait, QueryResult, QuerySelect, Value,
    sea_query::{Expr, SimpleExpr},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The largest number of tokens that a model can be said to take.
const TOKENS: i64 = 1_000_000_000_000;
/// What tells by a name that a model holds no conversations, wherever it stands in it.
const NO_CHAT: [&str; 11] = [
    "dall-e",
    "dalle",
    "embed",
    "imagen",
    "midjourney",
    "moderation",
    "rerank",
    "speech",
    "stable-diffusion",
    "transcri",
    "whisper",
];
/// The same, as a word by itself.
const NO_CHAT_WORDS: [&str; 10] =
    ["bge", "flux", "image", "lyria", "music", "ocr", "sora", "tts", "veo", "video"];

/// What a provider offers under one name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    /// Its id.
    pub id: ModelId,
    /// Whose it is: the organization's, or the platform's.
    pub scope: Level,
    /// The provider's name.
    #[schema(example = "openai")]
    pub provider: String,
    /// What clients call it; unique for its provider in its scope.
    #[schema(example = "gpt-4o")]
    pub name: String,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Whether it holds conversations, by its capabilities; by its name, if it has none: an unknown model does.
    pub suitable_for_chat: bool,
    /// Tokens of prompt and completion together; null = unknown.
    #[schema(required)]
    pub context_window: Option<i64>,
    /// Tokens of a completion; null = unknown.
    #[schema(required)]
    pub max_output_tokens: Option<i64>,
    /// Whether it is on its way out.
    pub deprecated: bool,
    /// When it goes; null = unknown.
    #[schema(required)]
    pub deprecated_on: Option<NaiveDate>,
    /// Where it comes from.
    pub origin: Origin,
    /// Who says so: a price list.
    #[schema(required, example = "litellm price list 86135fc6")]
    pub source: Option<String>,
    /// Of what day that is.
    #[schema(required)]
    pub sourced_on: Option<NaiveDate>,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(ModelPage, Model);

impl View for Model {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

impl From<Row> for Model {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            scope: Level::of(row.organization_id),
            suitable_for_chat: suitable_for_chat(&row.name, &row.capabilities),
            provider: row.provider,
            name: row.name,
            capabilities: row.capabilities,
            context_window: row.context_window,
            max_output_tokens: row.max_output_tokens,
            deprecated: row.deprecated,
            deprecated_on: row.deprecated_on,
            origin: row.origin,
            source: row.source,
            sourced_on: row.sourced_on,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl FromQueryResult for Model {
    fn from_query_result(row: &QueryResult, prefix: &str) -> std::result::Result<Self, DbErr> {
        Row::from_query_result(row, prefix).map(Self::from)
    }
}

/// Every column tells something that is shown.
impl PartialModelTrait for Model {
    fn select_cols_nested<S: QuerySelect>(select: S, _: Option<&str>, _: Option<&'static str>) -> S {
        select.columns(Column::iter())
    }
}

/// A model to make.
#[derive(Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel", set(origin = "Origin::Manual"))]
#[serde(deny_unknown_fields)]
pub struct NewModel {
    /// The provider's name: 1–64 lower-case letters, digits, hyphens, underscores and points. It stays.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9._-]{1,64}$", example = "openai")]
    pub provider: String,
    /// What clients call it, 1–255 characters without a star. It stays.
    #[schema(min_length = 1, max_length = 255, example = "gpt-4o")]
    pub name: String,
    /// What it can do; an absent flag is false.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// Tokens of prompt and completion together; absent or null = unknown.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub context_window: Option<i64>,
    /// Tokens of a completion; absent or null = unknown.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub max_output_tokens: Option<i64>,
    /// Whether it is on its way out.
    #[serde(default)]
    #[schema(default = false)]
    pub deprecated: bool,
    /// When it goes; absent or null = unknown.
    #[serde(default)]
    pub deprecated_on: Option<NaiveDate>,
}

/// What to change of a model; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"capabilities": {"vision": true}, "context_window": 200_000}))]
pub struct ModelPatch {
    /// What it can do; an absent flag is kept.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub capabilities: Option<CapabilitiesPatch>,
    /// Tokens of prompt and completion together; null = unknown.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub context_window: Option<Option<i64>>,
    /// Tokens of a completion; null = unknown.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub max_output_tokens: Option<Option<i64>>,
    /// Whether it is on its way out.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub deprecated: Option<bool>,
    /// When it goes; null = unknown.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<NaiveDate>)]
    pub deprecated_on: Option<Option<NaiveDate>>,
}

impl ModelPatch {
    fn changes(self, current: &Row) -> ActiveModel {
        ActiveModel {
            capabilities: set(self.capabilities.map(|patch| patch.apply(current.capabilities))),
            context_window: set(self.context_window),
            max_output_tokens: set(self.max_output_tokens),
            deprecated: set(self.deprecated),
            deprecated_on: set(self.deprecated_on),
            ..Default::default()
        }
    }
}

fn set<V: Into<Value>>(stated: Option<V>) -> ActiveValue<V> {
    stated.map_or(ActiveValue::NotSet, Set)
}

/// Which models to list.
#[derive(Debug, Default)]
pub struct ModelFilter {
    /// Only the organization's, or only the platform's.
    pub scope: Option<Level>,
    /// Only this provider's.
    pub provider: Option<String>,
    /// Only whose name begins so.
    pub name_prefix: Option<String>,
    /// Only those that can do this.
    pub capability: Option<Capability>,
    /// Only those that are on their way out, or only those that are not.
    pub deprecated: Option<bool>,
}

/// Makes a model.
pub async fn create(ctx: &Ctx, new: NewModel) -> Result<Model> {
    let mut faults = Faults::default();
    faults.word("/provider", &new.provider);
    faults.model("/name", &new.name);
    tokens(&mut faults, "/context_window", new.context_window);
    tokens(&mut faults, "/max_output_tokens", new.max_output_tokens);
    faults.finish()?;
    let (provider, name) = (new.provider.clone(), new.name.clone());
    let mut unit = ctx.begin().await?;
    provider::hold(&unit, &provider).await?;
    let row = ActiveModel { id: Set(unit.id()), ..new.into_active_model() };
    let made = unit.repository::<Entity>().insert(row).await;
    let made = made.conflict("model", &format!("{provider}/{name}"))?;
    unit.commit(made.into()).await
}

/// One page of the models there are for the scope.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: ModelFilter) -> Result<Page<Model>> {
    let condition = Condition::all()
        .add_option(filter.provider.map(|provider| Column::Provider.eq(provider)))
        .add_option(filter.name_prefix.map(|prefix| starts_with(Column::Name, &prefix)))
        .add_option(filter.capability.map(has))
        .add_option(filter.deprecated.map(|deprecated| Column::Deprecated.eq(deprecated)));
    ctx.repository::<Entity>().at(filter.scope).list(page, condition).await
}

/// One model, the scope's or the platform's.
pub async fn get(ctx: &Ctx, id: ModelId) -> Result<Model> {
    ctx.repository::<Entity>().with_platform().view(id).await
}

/// Changes a model. From then on it is kept as it is, whatever a newer catalogue says.
pub async fn update(ctx: &Ctx, id: ModelId, version: Option<i64>, patch: ModelPatch) -> Result<Model> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut faults = Faults::default();
    tokens(&mut faults, "/context_window", patch.context_window.flatten());
    tokens(&mut faults, "/max_output_tokens", patch.max_output_tokens.flatten());
    faults.finish()?;
    let mut changes = patch.changes(&current);
    if changes.is_changed() {
        changes.origin = Set(Origin::Manual);
    }
    let mut unit = ctx.begin().await?;
    let changed = unit.repository::<Entity>().update(id, expected, changes).await?;
    unit.commit(changed.into()).await
}

/// Deletes a model. Its prices stay: what was charged names them.
pub async fn delete(ctx: &Ctx, id: ModelId, version: Option<i64>) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    unit.repository::<Entity>().delete(id, expected).await?;
    unit.commit(()).await
}

fn tokens(faults: &mut Faults, pointer: &str, count: Option<i64>) {
    let wrong = count.is_some_and(|count| !(1..=TOKENS).contains(&count));
    faults.when(wrong, pointer, "out_of_range", "must be between 1 and 1000000000000 tokens");
}

/// The model can do this. The flag is the same JSON on both databases, and so is what takes it out.
fn has(capability: Capability) -> SimpleExpr {
    Expr::cust(format!("CAST(capabilities -> '{}' AS text) = 'true'", capability.word()))
}

/// Whether a model holds conversations: what it is known to do decides; of the others, its name.
pub fn suitable_for_chat(name: &str, capabilities: &Capabilities) -> bool {
    if *capabilities != Capabilities::default() {
        return capabilities.chat;
    }
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    !NO_CHAT.iter().any(|part| name.contains(part)) && !words.any(|word| NO_CHAT_WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_holds_conversations_unless_its_capabilities_or_its_name_say_otherwise() {
        let unknown = Capabilities::default();
        for name in ["gpt-4o", "claude-opus-4-1", "something-new", "gpt-4o-audio-preview", "democracy-1"] {
            assert!(suitable_for_chat(name, &unknown), "{name}");
        }
        for name in [
            "text-embedding-3-small",
            "Whisper-1",
            "gpt-4o-mini-transcribe",
            "tts-1-hd",
            "gpt-4o-mini-TTS",
            "azure/dall-e-3",
            "gpt-image-1",
            "cohere/rerank-v3.5",
            "omni-moderation-latest",
            "imagen-4.0-generate-001",
            "sora-2",
        ] {
            assert!(!suitable_for_chat(name, &unknown), "{name}");
        }
        assert!(suitable_for_chat("tts-1", &Capabilities { chat: true, ..unknown }));
        assert!(!suitable_for_chat("gpt-4o", &Capabilities { embedding: true, ..unknown }));
    }
}

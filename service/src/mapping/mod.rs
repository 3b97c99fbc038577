//! Model mappings: what clients call a model, and what the upstream of a connection calls it. A mapping names only protocols
//! that its connection states, if that states any. The meter remembers the mappings of a connection with it: every change of
//! one is a change of the connection.

use crate::{
    Ctx, Error, Result, Unit,
    error::ConflictExt,
    head::PolicyKind,
    meter::fold,
    page::{Page, PageRequest},
    repository::{Expected, View},
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    endpoint::Protocols,
    id::{ConnectionId, MappingId},
    model_mapping::{ActiveModel, Column, Entity},
    provider_connection::{self, Model as Connection},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DeriveIntoActiveModel, DerivePartialModel, IntoActiveModel,
    sea_query::SimpleExpr,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The share of a mapping that states none.
const WEIGHT: i32 = 100;
/// The largest share.
const MOST: i32 = 10_000;

/// What clients call a model, and what the upstream of a connection calls it.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Mapping {
    /// Its id.
    pub id: MappingId,
    /// The connection.
    pub connection_id: ConnectionId,
    /// What clients call it; unique in the connection, in whatever case it is written.
    #[schema(example = "fast")]
    pub client_name: String,
    /// What the upstream calls it.
    #[schema(example = "gpt-4o-mini-2024-07-18")]
    pub upstream_name: String,
    /// Its share among the connections that serve the same name.
    pub weight: i32,
    /// Whether it is used; a call of a name whose mapping is disabled is denied.
    pub enabled: bool,
    /// The protocols it is served by; null = all of the connection's.
    #[schema(required)]
    pub protocols: Option<Protocols>,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(MappingPage, Mapping);

impl View for Mapping {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// A mapping to make.
#[derive(Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields)]
pub struct NewMapping {
    /// What clients call it, 1–255 characters; unique in the connection, in whatever case it is written.
    #[schema(min_length = 1, max_length = 255, example = "fast")]
    pub client_name: String,
    /// What the upstream calls it, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "gpt-4o-mini-2024-07-18")]
    pub upstream_name: String,
    /// Its share among the connections that serve the same name.
    #[serde(default = "usual")]
    #[schema(minimum = 0, maximum = 10_000, default = 100)]
    pub weight: i32,
    /// Whether it is used.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
    /// The protocols it is served by, among the connection's; absent or null = all of them.
    #[serde(default)]
    pub protocols: Option<Protocols>,
}

fn usual() -> i32 {
    WEIGHT
}

fn yes() -> bool {
    true
}

/// What to change of a mapping; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields, default)]
pub struct MappingPatch {
    /// What clients call it, 1–255 characters; unique in the connection, in whatever case it is written.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub client_name: Option<String>,
    /// What the upstream calls it, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub upstream_name: Option<String>,
    /// Its share among the connections that serve the same name.
    #[schema(minimum = 0, maximum = 10_000, nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub weight: Option<i32>,
    /// Whether it is used.
    #[schema(nullable = false)]
    #[serde(deserialize_with = "crate::validate::present")]
    pub enabled: Option<bool>,
    /// The protocols it is served by, among the connection's; null = all of them.
    #[serde(with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Protocols>)]
    pub protocols: Option<Option<Protocols>>,
}

/// Which mappings of a connection to list.
#[derive(Debug, Default)]
pub struct MappingFilter {
    /// Only of this name.
    pub client_name: Option<String>,
    /// Only those that are used, or only those that are not.
    pub enabled: Option<bool>,
}

/// What the fields of a mapping may say.
#[derive(Default)]
struct Fields<'m> {
    client_name: Option<&'m String>,
    upstream_name: Option<&'m String>,
    weight: Option<i32>,
    protocols: Option<&'m Protocols>,
}

impl Fields<'_> {
    fn check(&self, connection: &Connection) -> Result<()> {
        let mut faults = Faults::default();
        if let Some(name) = self.client_name {
            faults.model("/client_name", name);
        }
        if let Some(name) = self.upstream_name {
            faults.model("/upstream_name", name);
        }
        let wrong = self.weight.is_some_and(|weight| !(0..=MOST).contains(&weight));
        faults.when(wrong, "/weight", "out_of_range", "must be between 0 and 10000");
        if let Some(protocols) = self.protocols {
            spoken(protocols, connection, &mut faults);
        }
        faults.finish()
    }
}

/// Protocols of the connection, each once. Of none a mapping would never be used.
fn spoken(Protocols(list): &Protocols, connection: &Connection, faults: &mut Faults) {
    faults.when(list.is_empty(), "/protocols", "required", "must not be empty; null = all of them");
    let stated: Vec<_> = connection.protocols.0.iter().map(|endpoint| endpoint.protocol).collect();
    for (n, protocol) in list.iter().enumerate() {
        let at = format!("/protocols/{n}");
        let unspoken = !stated.is_empty() && !stated.contains(protocol);
        faults.when(unspoken, &at, "not_supported", "must be one of the connection's protocols");
        faults.when(list[..n].contains(protocol), &at, "duplicate", "is there twice");
    }
}

fn of(connection: ConnectionId) -> SimpleExpr {
    Column::ConnectionId.eq(connection)
}

/// The connection, locked: neither does it go, nor do its protocols, while a mapping of it is written, and of two mappings of
/// one name in two cases the second sees the first.
async fn locked(unit: &Unit<'_>, connection: ConnectionId) -> Result<Connection> {
    unit.read::<provider_connection::Entity>().lock(connection).await
}

async fn found(ctx: &Ctx, connection: ConnectionId) -> Result<()> {
    ctx.repository::<provider_connection::Entity>().find(connection).await.map(drop)
}

/// Makes a mapping.
pub async fn create(ctx: &Ctx, connection: ConnectionId, new: NewMapping) -> Result<Mapping> {
    let mut unit = ctx.begin().await?;
    let owner = locked(&unit, connection).await?;
    let fields = Fields {
        client_name: Some(&new.client_name),
        upstream_name: Some(&new.upstream_name),
        weight: Some(new.weight),
        protocols: new.protocols.as_ref(),
    };
    fields.check(&owner)?;
    let (id, name) = (unit.id::<entity::id::Mapping>(), new.client_name.clone());
    let row = ActiveModel { id: Set(id), connection_id: Set(connection), ..new.into_active_model() };
    unit.repository::<Entity>().insert(row).await.conflict("mapping", &name)?;
    finish(unit, (connection, id), true).await
}

/// Commits a mapping as it was written. A new name differs from all others of the connection not in case alone; a mapping that
/// has such a name already can still be changed.
async fn finish(
    mut unit: Unit<'_>,
    (connection, id): (ConnectionId, MappingId),
    renamed: bool,
) -> Result<Mapping> {
    let mapping: Mapping = unit.read::<Entity>().view(id).await?;
    let all: Vec<Mapping> = unit.read::<Entity>().narrow(of(connection)).views(Condition::all()).await?;
    let same = |other: &&Mapping| other.id != id && fold(&other.client_name) == fold(&mapping.client_name);
    if let Some(other) = all.iter().find(same).filter(|_| renamed) {
        return Err(Error::Conflict { kind: "mapping", key: other.client_name.clone() });
    }
    unit.policy(PolicyKind::Connection, connection.into());
    unit.commit(mapping).await
}

/// One page of the mappings of a connection.
pub async fn list(
    ctx: &Ctx,
    connection: ConnectionId,
    page: &PageRequest,
    filter: MappingFilter,
) -> Result<Page<Mapping>> {
    found(ctx, connection).await?;
    let condition = Condition::all()
        .add_option(filter.client_name.map(|name| Column::ClientName.eq(name)))
        .add_option(filter.enabled.map(|enabled| Column::Enabled.eq(enabled)));
    ctx.repository::<Entity>().narrow(of(connection)).list(page, condition).await
}

/// One mapping of a connection.
pub async fn get(ctx: &Ctx, (connection, id): (ConnectionId, MappingId)) -> Result<Mapping> {
    found(ctx, connection).await?;
    ctx.repository::<Entity>().narrow(of(connection)).view(id).await
}

/// Changes a mapping.
pub async fn update(
    ctx: &Ctx,
    (connection, id): (ConnectionId, MappingId),
    version: Option<i64>,
    patch: MappingPatch,
) -> Result<Mapping> {
    found(ctx, connection).await?;
    let current = ctx.repository::<Entity>().narrow(of(connection)).find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    let owner = locked(&unit, connection).await?;
    let fields = Fields {
        client_name: patch.client_name.as_ref(),
        upstream_name: patch.upstream_name.as_ref(),
        weight: patch.weight,
        protocols: patch.protocols.as_ref().and_then(Option::as_ref),
    };
    fields.check(&owner)?;
    let name = patch.client_name.clone().unwrap_or_default();
    unit.repository::<Entity>()
        .narrow(of(connection))
        .update(id, expected, patch.into_active_model())
        .await
        .conflict("mapping", &name)?;
    finish(unit, (connection, id), !name.is_empty() && name != current.client_name).await
}

/// Deletes a mapping.
pub async fn delete(
    ctx: &Ctx,
    (connection, id): (ConnectionId, MappingId),
    version: Option<i64>,
) -> Result<()> {
    let mut unit = ctx.begin().await?;
    locked(&unit, connection).await?;
    let mappings = || of(connection);
    let current = unit.read::<Entity>().narrow(mappings()).lock(id).await?;
    let expected = Expected::new(version, current.version)?;
    unit.repository::<Entity>().narrow(mappings()).delete(id, expected).await?;
    unit.policy(PolicyKind::Connection, connection.into());
    unit.commit(()).await
}

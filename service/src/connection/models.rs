//! The models that the upstream of a connection said it has, each with whether the connection serves it, and under which names.

use crate::{
    Ctx, Result, Unit,
    meter::glob,
    page::{Page, PageRequest},
    repository::Repository,
    validate::starts_with,
};
use entity::{
    discovered_model::{Column, Entity, Model as Row},
    id::ConnectionId,
    json::Texts,
    model_mapping,
    provider_connection::{self, Model},
};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A model that the upstream of a connection said it has.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionModel {
    /// What the upstream calls it.
    #[schema(example = "gpt-4o-2024-08-06")]
    pub name: String,
    /// What the upstream calls it for people.
    #[schema(required)]
    pub display_name: Option<String>,
    /// Whose it is, as the upstream says.
    #[schema(required)]
    pub owned_by: Option<String>,
    /// The most tokens of prompt and completion together.
    #[schema(required)]
    pub context_window: Option<i64>,
    /// The most tokens of a completion.
    #[schema(required)]
    pub max_output_tokens: Option<i64>,
    /// Whether the connection's allow list has it.
    pub allowed: bool,
    /// What clients may call it, by the connection's mappings that are enabled.
    pub client_names: Vec<String>,
}
crate::page!(ConnectionModelPage, ConnectionModel);

/// Which models to list.
#[derive(Debug, Default)]
pub struct ConnectionModelFilter {
    /// Only those that the allow list has, or only the others.
    pub allowed: Option<bool>,
    /// Only whose name begins so.
    pub name_prefix: Option<String>,
}

/// Whether an allow list has a model: without a list every one is allowed, and by an empty one none.
pub(crate) fn is_allowed(list: Option<&Texts>, name: &str) -> bool {
    list.is_none_or(|Texts(globs)| glob::any_match(globs, std::iter::once(&*glob::fold(name))))
}

/// One page of the models of a connection, in the order of their names.
pub async fn list_models(
    ctx: &Ctx,
    id: ConnectionId,
    page: &PageRequest,
    filter: ConnectionModelFilter,
) -> Result<Page<ConnectionModel>> {
    let connection = ctx.repository::<provider_connection::Entity>().find(id).await?;
    let collection = format!("models of {id}");
    let after = page.start_after(ctx, &collection)?;
    let which = of(id).add_option(filter.name_prefix.map(|prefix| starts_with(Column::Name, &prefix)));
    // Globs are matched here, so that a filter by them reads on until the page is full.
    let most = filter.allowed.is_none().then(|| page.size() + 1);
    let models = ctx.repository::<Entity>();
    let mut rows = models.beyond_text(Column::Name, after, page.ascending(), which, most).await?;
    if let Some(allowed) = filter.allowed {
        rows.retain(|row| is_allowed(connection.allowed_models.as_ref(), &row.name) == allowed);
    }
    let Page { items, next_cursor } = page.finish_after(ctx, &collection, rows, |row| &row.name)?;
    let items = shown(ctx, &ctx.system.db.reader, &connection, items).await?;
    Ok(Page { items, next_cursor })
}

/// Every model of a connection, by name.
pub(super) async fn shown_models(unit: &Unit<'_>, connection: &Model) -> Result<Vec<ConnectionModel>> {
    let rows = unit.read::<Entity>().beyond_text(Column::Name, None, true, of(connection.id), None).await?;
    shown(unit.ctx, &unit.tx, connection, rows).await
}

fn of(id: ConnectionId) -> Condition {
    Condition::all().add(Column::ConnectionId.eq(id))
}

async fn shown<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    connection: &Model,
    rows: Vec<Row>,
) -> Result<Vec<ConnectionModel>> {
    let mut names = client_names(ctx, db, connection.id).await?;
    let show = |row: Row| ConnectionModel {
        allowed: is_allowed(connection.allowed_models.as_ref(), &row.name),
        client_names: names.remove(&row.name).unwrap_or_default(),
        name: row.name,
        display_name: row.display_name,
        owned_by: row.owned_by,
        context_window: row.context_window,
        max_output_tokens: row.max_output_tokens,
    };
    Ok(rows.into_iter().map(show).collect())
}

/// What clients call the models of a connection, by what the upstream calls them.
async fn client_names<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    id: ConnectionId,
) -> Result<HashMap<String, Vec<String>>> {
    use model_mapping::Column;
    let enabled = Condition::all().add(Column::ConnectionId.eq(id)).add(Column::Enabled.eq(true));
    let mappings = Repository::<model_mapping::Entity, C>::new(db, ctx);
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    for mapping in mappings.all(enabled, u64::from(u32::MAX)).await? {
        names.entry(mapping.upstream_name).or_default().push(mapping.client_name);
    }
    Ok(names)
}

//! Reading pools, each with its proxies and the number of connections that take it.

use super::{ProxyEntry, ProxyPool, ProxyPoolFilter};
use crate::{
    Ctx, Result, Unit,
    page::{Page, PageRequest},
    repository::Repository,
    scope::Scope,
};
use entity::{
    id::ProxyPoolId,
    provider_connection, proxy_entry,
    proxy_pool::{Column, Entity, Model},
    status::TestStatus,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::SimpleExpr,
};
use std::collections::BTreeMap;

/// Proxies of a pool.
pub(super) const ENTRIES: u64 = 64;

/// One page of the organization's pools.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: ProxyPoolFilter) -> Result<Page<ProxyPool>> {
    let condition = Condition::all()
        .add_option(filter.status.map(|status| Column::Status.eq(status)))
        .add_option(filter.test_status.map(tested))
        .add_option(filter.name_prefix.map(|prefix| crate::validate::starts_with(Column::Name, &prefix)));
    let Page { items, next_cursor } = ctx.repository::<Entity>().rows(page, condition).await?;
    let everyone = everyone(ctx);
    let items = shown(&ctx.repository(), &everyone.repository(), items).await?;
    Ok(Page { items, next_cursor })
}

/// One pool.
pub async fn get(ctx: &Ctx, id: ProxyPoolId) -> Result<ProxyPool> {
    let row = ctx.repository::<Entity>().find(id).await?;
    let everyone = everyone(ctx);
    one(&ctx.repository(), &everyone.repository(), row).await
}

/// The pool as it is in a unit.
pub(super) async fn view(unit: &Unit<'_>, id: ProxyPoolId) -> Result<ProxyPool> {
    let row = unit.read::<Entity>().find(id).await?;
    let everyone = everyone(unit.ctx);
    one(&unit.read(), &unit.read_in(&everyone), row).await
}

/// Every connection of the organization counts, not those within the caller's reach alone.
pub(super) fn everyone(ctx: &Ctx) -> Ctx {
    ctx.within(Scope::all(ctx.scope.organization))
}

async fn one<C: ConnectionTrait>(
    entries: &Repository<'_, proxy_entry::Entity, C>,
    connections: &Repository<'_, provider_connection::Entity, C>,
    row: Model,
) -> Result<ProxyPool> {
    let mut pools = shown(entries, connections, vec![row]).await?;
    pools.pop().ok_or(crate::Error::NotFound("proxy pool"))
}

async fn shown<C: ConnectionTrait>(
    entries: &Repository<'_, proxy_entry::Entity, C>,
    connections: &Repository<'_, provider_connection::Entity, C>,
    rows: Vec<Model>,
) -> Result<Vec<ProxyPool>> {
    let ids = || rows.iter().map(|row| row.id);
    let within = proxy_entry::Column::ProxyPoolId.is_in(ids());
    let mut of_pool: BTreeMap<ProxyPoolId, Vec<proxy_entry::Model>> = BTreeMap::new();
    for entry in entries.all(within, ENTRIES * rows.len() as u64).await? {
        of_pool.entry(entry.proxy_pool_id).or_default().push(entry);
    }
    let bound = provider_connection::Column::ProxyPoolId;
    let bound: BTreeMap<ProxyPoolId, i64> =
        connections.tally(bound.is_in(ids()), bound).await?.into_iter().collect();
    let pool = |row: Model| {
        let mut entries = of_pool.remove(&row.id).unwrap_or_default();
        entries.sort_by_key(|entry| entry.position);
        ProxyPool {
            id: row.id,
            name: row.name,
            status: row.status,
            strategy: row.strategy,
            strict: row.strict,
            no_proxy: row.no_proxy,
            entries: entries.into_iter().map(Into::into).collect(),
            bound_connection_count: bound.get(&row.id).copied().unwrap_or_default(),
            created_by: row.created_by,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    };
    Ok(rows.into_iter().map(pool).collect())
}

impl From<proxy_entry::Model> for ProxyEntry {
    fn from(row: proxy_entry::Model) -> Self {
        Self {
            id: row.id,
            display_url: row.display_url,
            enabled: row.enabled,
            test_status: row.test_status,
            tested_at: row.tested_at,
            latency_ms: row.latency_ms,
            http_status: row.http_status,
            exit_address: row.exit_address,
            error_code: row.error_code,
            error: row.error,
            created_at: row.created_at,
        }
    }
}

/// Pools with a proxy whose last test found this.
#[expect(clippy::disallowed_methods, reason = "a part of the condition that the repository puts on")]
fn tested(status: TestStatus) -> SimpleExpr {
    let entries = proxy_entry::Entity::find().select_only().column(proxy_entry::Column::ProxyPoolId);
    let entries = entries.filter(proxy_entry::Column::TestStatus.eq(status));
    Column::Id.in_subquery(entries.into_query())
}

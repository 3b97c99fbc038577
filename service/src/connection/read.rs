//! Reading connections.

use super::{Connection, view};
use crate::{
    Ctx, Result,
    page::{Page, PageRequest},
    validate::starts_with,
};
use entity::{
    id::{ConnectionId, ProxyPoolId, TeamId},
    provider_connection::{Column, Entity},
    status::ConnectionStatus,
};
use sea_orm::{ColumnTrait, Condition};

/// Which connections to list: those that meet everything that is given.
#[derive(Debug, Default)]
pub struct ConnectionFilter {
    /// Only of this provider.
    pub provider: Option<String>,
    /// Only of this team.
    pub team_id: Option<TeamId>,
    /// Only with this status.
    pub status: Option<ConnectionStatus>,
    /// Only those bound to this pool.
    pub proxy_pool_id: Option<ProxyPoolId>,
    /// Only whose name begins so.
    pub name_prefix: Option<String>,
}

/// One page of the connections within reach.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: ConnectionFilter) -> Result<Page<Connection>> {
    let condition = Condition::all()
        .add_option(filter.provider.map(|provider| Column::Provider.eq(provider)))
        .add_option(filter.team_id.map(|team| Column::TeamId.eq(team)))
        .add_option(filter.status.map(|status| Column::Status.eq(status)))
        .add_option(filter.proxy_pool_id.map(|pool| Column::ProxyPoolId.eq(pool)))
        .add_option(filter.name_prefix.map(|prefix| starts_with(Column::Name, &prefix)));
    let mut page = ctx.repository::<Entity>().list::<Connection>(page, condition).await?;
    view::complete(ctx, &ctx.system.db.reader, &mut page.items).await?;
    Ok(page)
}

/// One connection.
pub async fn get(ctx: &Ctx, id: ConnectionId) -> Result<Connection> {
    let mut connections = [ctx.repository::<Entity>().view::<Connection>(id).await?];
    view::complete(ctx, &ctx.system.db.reader, &mut connections).await?;
    let [connection] = connections;
    Ok(connection)
}

//! Reading prices: an organization reads its own, and those of the platform.

use super::{Level, Price};
use crate::{
    Ctx, Error, Result,
    page::{Page, PageRequest},
    scope::Scope,
    usage::known,
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, OrganizationId, PriceId},
    price::{Column, Entity},
    provider_connection,
    status::{Origin, PriceKind},
};
use sea_orm::{
    ColumnTrait, Condition, ExprTrait,
    sea_query::{Expr, Query},
};

/// Names the prices that may have begun later.
const LATER: &str = "later";

/// Which prices to list.
#[derive(Debug, Default)]
pub struct PriceFilter {
    /// Whose they are: the scope's own unless said.
    pub scope: Option<Level>,
    /// Only of this connection.
    pub connection_id: Option<ConnectionId>,
    /// Only with exactly this model or glob.
    pub model: Option<String>,
    /// Only of this provider.
    pub provider: Option<String>,
    /// Only that charge so.
    pub kind: Option<PriceKind>,
    /// Only that come from there.
    pub origin: Option<Origin>,
    /// Only those in force at this moment.
    pub in_force_at: Option<DateTime<Utc>>,
}

/// One page of prices: the scope's own, or those of the platform.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: PriceFilter) -> Result<Page<Price>> {
    let of = filter.connection_id.map(|_| Level::Connection);
    let level = filter.scope.or(of).unwrap_or(Level::of(ctx.scope.organization));
    if let Some(connection) = filter.connection_id {
        let of_connection = Column::ConnectionId.eq(connection);
        known::<provider_connection::Entity, Entity>(ctx, connection, of_connection).await?;
    }
    let of_connection = Column::ConnectionId.is_not_null();
    let condition = Condition::all()
        .add(if level == Level::Connection { of_connection } else { of_connection.not() })
        .add_option(filter.connection_id.map(|connection| Column::ConnectionId.eq(connection)))
        .add_option(filter.model.map(|model| Column::Model.eq(model)))
        .add_option(filter.provider.map(|provider| Column::Provider.eq(provider)))
        .add_option(filter.kind.map(|kind| Column::Kind.eq(kind)))
        .add_option(filter.origin.map(|origin| Column::Origin.eq(origin)))
        .add_option(filter.in_force_at.map(in_force_at).transpose()?);
    let ctx = if level == Level::Platform { &platform(ctx) } else { ctx };
    Ok(ctx.repository::<Entity>().rows(page, condition).await?.map(Price::from))
}

/// One price: the scope's organization's own, or one of the platform.
pub async fn get(ctx: &Ctx, id: PriceId) -> Result<Price> {
    let row = match ctx.repository::<Entity>().find(id).await {
        Err(Error::NotFound(_)) => platform(ctx).repository::<Entity>().find(id).await?,
        found => found?,
    };
    Ok(row.into())
}

fn platform(ctx: &Ctx) -> Ctx {
    ctx.within(Scope::all(OrganizationId::PLATFORM))
}

/// The price is in force at a moment: the moment is in its term, and in that of no price of its key that began later.
fn in_force_at(moment: DateTime<Utc>) -> Result<Condition> {
    let mut faults = Faults::default();
    faults.moment("?in_force_at", Some(moment));
    faults.finish()?;
    let its = |column: Column| Expr::col((LATER, column));
    let own = |column: Column| Expr::col((Entity, column));
    let same =
        |column: Column| its(column).eq(own(column)).or(its(column).is_null().and(own(column).is_null()));
    let mut successor = Query::select();
    successor
        .expr(Expr::val(1))
        .from_as(Entity, LATER)
        .and_where(its(Column::OrganizationId).eq(own(Column::OrganizationId)))
        .and_where(its(Column::EffectiveFrom).gt(own(Column::EffectiveFrom)))
        .and_where(its(Column::EffectiveFrom).lte(moment))
        .and_where(its(Column::EffectiveUntil).is_null().or(its(Column::EffectiveUntil).gt(moment)));
    for column in [Column::ConnectionId, Column::Provider, Column::Model] {
        successor.and_where(same(column));
    }
    Ok(Condition::all()
        .add(Column::EffectiveFrom.lte(moment))
        .add(Column::EffectiveUntil.is_null().or(Column::EffectiveUntil.gt(moment)))
        .add(Expr::exists(successor).not()))
}

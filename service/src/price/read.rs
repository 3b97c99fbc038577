//! Reading prices: an organization reads its own, and those of the platform.

use super::Price;
use crate::{
    Ctx, Error, Result,
    page::{Page, PageRequest},
    scope::Scope,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{OrganizationId, PriceId},
    price::{Column, Entity},
    status::{Origin, PriceKind},
};
use sea_orm::{
    ColumnTrait, Condition, ExprTrait,
    sea_query::{Alias, Expr, Query},
};
use serde::Deserialize;
use utoipa::ToSchema;

/// Whose prices to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriceOwner {
    /// The organization's own.
    #[default]
    Organization,
    /// Those of the installation, which are there for every organization.
    Platform,
}

/// Which prices to list.
#[derive(Debug, Default)]
pub struct PriceFilter {
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

/// One page of prices of the scope's organization, or of the platform.
pub async fn list(
    ctx: &Ctx,
    owner: PriceOwner,
    page: &PageRequest,
    filter: PriceFilter,
) -> Result<Page<Price>> {
    let condition = Condition::all()
        .add_option(filter.model.map(|model| Column::Model.eq(model)))
        .add_option(filter.provider.map(|provider| Column::Provider.eq(provider)))
        .add_option(filter.kind.map(|kind| Column::Kind.eq(kind)))
        .add_option(filter.origin.map(|origin| Column::Origin.eq(origin)))
        .add_option(filter.in_force_at.map(in_force_at));
    let ctx = match owner {
        PriceOwner::Organization => ctx,
        PriceOwner::Platform => &platform(ctx),
    };
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

/// The price is in force at a moment: the moment is in its term, and in that of no price of the key that began later.
fn in_force_at(moment: DateTime<Utc>) -> Condition {
    let later = Alias::new("later");
    let its = |column: Column| Expr::col((later.clone(), column));
    let own = |column: Column| Expr::col((Entity, column));
    let same =
        |column: Column| its(column).eq(own(column)).or(its(column).is_null().and(own(column).is_null()));
    let begun =
        its(Column::EffectiveFrom).gt(own(Column::EffectiveFrom)).and(its(Column::EffectiveFrom).lte(moment));
    let lasts = its(Column::EffectiveUntil).is_null().or(its(Column::EffectiveUntil).gt(moment));
    let successor = Query::select()
        .column((later.clone(), Column::Id))
        .from_as(Entity, later.clone())
        .and_where(its(Column::OrganizationId).eq(own(Column::OrganizationId)))
        .and_where(same(Column::ConnectionId))
        .and_where(same(Column::Provider))
        .and_where(same(Column::Model))
        .and_where(begun)
        .and_where(lasts)
        .take();
    Condition::all()
        .add(Column::EffectiveFrom.lte(moment))
        .add(Column::EffectiveUntil.is_null().or(Column::EffectiveUntil.gt(moment)))
        .add(Expr::exists(successor).not())
}

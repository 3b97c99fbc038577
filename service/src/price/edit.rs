//! Changing, deleting and ending prices. What is in force never changes but for its end, and its end only while that is
//! still to come. Whoever edits a price states the version that was seen.

use super::{NewPrice, Price, patch::PricePatch, term};
use crate::{
    Ctx, Error, Result, Unit, clock::to_the_microsecond, error::ConflictExt, repository::Expected,
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::PriceId,
    price::{ActiveModel, Entity, Model},
};
use sea_orm::ActiveValue::Set;
use serde::Deserialize;
use utoipa::ToSchema;

/// When a price ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceEnd {
    /// In force up to but not including this moment; absent or null = now.
    #[serde(default)]
    #[schema(example = "2027-02-01T00:00:00Z")]
    pub at: Option<DateTime<Utc>>,
}

/// Changes a price that is not in force yet.
pub async fn update(ctx: &Ctx, id: PriceId, version: Option<i64>, patch: PricePatch) -> Result<Price> {
    let mut unit = ctx.begin().await?;
    let (current, expected) = seen(&unit, id, version).await?;
    let now = term::lock(&unit).await?;
    let old = NewPrice::from(current.clone());
    let mut new = old.clone();
    patch.apply(&mut new);
    let (same, name) = (new == old, new.name());
    let changes = new.checked(now)?;
    not_in_force(&current, now)?;
    if same {
        return unit.commit(current.into()).await;
    }
    let row = unit.repository::<Entity>().update(id, expected, changes).await.conflict("price", &name)?;
    term::check(&unit, &row, row.effective_from).await?;
    unit.commit(row.into()).await
}

/// Deletes a price that is not in force yet.
pub async fn delete(ctx: &Ctx, id: PriceId, version: Option<i64>) -> Result<()> {
    let mut unit = ctx.begin().await?;
    let (current, expected) = seen(&unit, id, version).await?;
    not_in_force(&current, term::lock(&unit).await?)?;
    unit.repository::<Entity>().delete(id, expected).await?;
    unit.commit(()).await
}

/// Ends a price, or moves an end that is still to come. What was in force until now stays so.
pub async fn end(ctx: &Ctx, id: PriceId, version: Option<i64>, end: PriceEnd) -> Result<Price> {
    let mut unit = ctx.begin().await?;
    let (current, expected) = seen(&unit, id, version).await?;
    let now = term::lock(&unit).await?;
    let at = to_the_microsecond(end.at.unwrap_or(now));
    let mut faults = Faults::default();
    faults.moment("/at", Some(at));
    faults.when(at < now, "/at", "in_the_past", "must not be in the past");
    let begun = at > current.effective_from;
    let message = "must be after effective_from; a price that is not in force yet can be deleted";
    faults.when(!begun, "/at", "inverted_range", message);
    faults.finish()?;
    if current.effective_until.is_some_and(|end| end <= now) {
        return Err(Error::InvalidState("price_ended", "it is not in force any more".into()));
    }
    let changes = ActiveModel { effective_until: Set(Some(at)), ..Default::default() };
    let row = unit.repository::<Entity>().update(id, expected, changes).await?;
    term::check(&unit, &row, now.max(row.effective_from)).await?;
    unit.commit(row.into()).await
}

/// The price, locked, at the version that the caller has seen.
async fn seen(unit: &Unit<'_>, id: PriceId, version: Option<i64>) -> Result<(Model, Expected)> {
    let row = unit.read::<Entity>().lock(id).await?;
    let expected = Expected::stated(version, row.version)?;
    Ok((row, expected))
}

fn not_in_force(price: &Model, now: DateTime<Utc>) -> Result<()> {
    if price.effective_from > now {
        return Ok(());
    }
    let message = "it is in force; make a price that takes its place, or end it";
    Err(Error::InvalidState("price_in_force", message.into()))
}

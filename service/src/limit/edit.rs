//! Changing and deleting limits. Whoever does either states the version that was seen, and a team's administrator leaves
//! alone what the organization has set.

use super::{
    Limit,
    amount::amount,
    subject::{delegated, is_limited},
};
use crate::{Ctx, Error, Result, Unit, repository::Expected, validate::Faults};
use entity::{
    id::LimitId,
    limit::{ActiveModel, Entity, Model},
    status::{Mode, SetBy},
};
use sea_orm::ActiveValue::Set;
use serde::Deserialize;
use utoipa::ToSchema;

/// What to change of a limit; an absent field is kept. What it counts, for whom and per when never changes: another shape
/// is another limit.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitPatch {
    /// The most, a decimal number in a string, as in a new limit. It may be below what has been used.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(nullable = false, pattern = r"^\d+(\.\d{1,9})?$", example = "750")]
    pub amount: Option<String>,
    /// What comes of a call that does not fit.
    #[serde(deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub mode: Option<Mode>,
}

/// Changes a limit. What it has counted stays.
pub async fn update(ctx: &Ctx, id: LimitId, version: Option<i64>, patch: LimitPatch) -> Result<Limit> {
    let mut unit = ctx.begin().await?;
    let (current, expected) = seen(&unit, id, version).await?;
    let mut faults = Faults::default();
    let amount = patch.amount.map(|text| amount(current.metric, &text, "/amount", &mut faults));
    faults.finish()?;
    let (amount, mode) = (amount.unwrap_or(current.amount), patch.mode.unwrap_or(current.mode));
    if (amount, mode) == (current.amount, current.mode) {
        return unit.commit(current.into()).await;
    }
    let changes = ActiveModel { amount: Set(amount), mode: Set(mode), ..Default::default() };
    let row = unit.repository::<Entity>().update(id, expected, changes).await?;
    unit.commit(row.into()).await
}

/// Deletes a limit: it binds nobody from then on. What it has counted is kept, and not shown.
pub async fn delete(ctx: &Ctx, id: LimitId, version: Option<i64>) -> Result<()> {
    let mut unit = ctx.begin().await?;
    seen(&unit, id, version).await?;
    let changes = ActiveModel { deleted_at: Set(Some(unit.now)), ..Default::default() };
    unit.repository::<Entity>().force("delete", id, changes).await?;
    unit.commit(()).await
}

/// The limit, locked, at the version that the caller has seen.
async fn seen(unit: &Unit<'_>, id: LimitId, version: Option<i64>) -> Result<(Model, Expected)> {
    let row = changeable(unit, id).await?;
    let expected = Expected::stated(version, row.version)?;
    Ok((row, expected))
}

/// The limit, locked, if it is the caller's to change.
pub(super) async fn changeable(unit: &Unit<'_>, id: LimitId) -> Result<Model> {
    let row = unit.read::<Entity>().lock(id).await?;
    delegated(unit.ctx, row.subject_kind)?;
    if is_limited(unit.ctx) && row.set_by == SetBy::Organization {
        return Err(Error::Forbidden(
            "it was set by the organization, and only who administers that changes it".into(),
        ));
    }
    Ok(row)
}

//! Making limits: for what is there, and together with a new key.

use super::{
    Limit, LimitWarning, NewKeyLimit, NewLimit,
    subject::{Subject, is_limited},
    warning,
};
use crate::{Ctx, Error, Result, Unit, head, scope::Scope, validate::Faults};
use entity::{
    id::{KeyId, LimitId},
    limit::{ActiveModel, Column, Entity, Model},
    organization,
    status::{Metric, SetBy, SubjectKind},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition};

/// Live limits of one subject: every decision about it looks at each of them.
const MOST: usize = 64;

/// Makes a limit.
pub async fn create(ctx: &Ctx, new: NewLimit) -> Result<Limit> {
    let warnings = warning::of_models(ctx, new.models.as_ref()).await?;
    let mut unit = ctx.begin().await?;
    let mut faults = Faults::default();
    let row = new.check(&mut faults);
    if new.lacks_team() {
        faults.finish()?;
        return Err(Error::internal("a member without a team has no fault"));
    }
    // What is not there is told before what is wrong with it.
    let subject = Subject::hold(&unit, &new).await?;
    faults.finish()?;
    let row = ActiveModel { id: Set(unit.id()), ..row };
    let row = make(&mut unit, subject, row).await?;
    within_bounds(&unit, subject).await?;
    unit.commit(Limit { warnings, ..row.into() }).await
}

impl NewKeyLimit {
    /// The rows that the limits of a new key ask for, but for whose they are.
    pub(crate) fn check_all(limits: &[Self], faults: &mut Faults) -> Vec<ActiveModel> {
        if limits.len() > MOST {
            faults.add("/limits", "too_many", format!("must have at most {MOST} limits"));
        }
        limits.iter().enumerate().map(|(n, new)| new.check(&format!("/limits/{n}"), faults)).collect()
    }
}

/// Makes the limits of a key that the unit has just made, which nobody else knows yet.
pub(crate) async fn make_for_key(unit: &mut Unit<'_>, key: KeyId, rows: Vec<ActiveModel>) -> Result<()> {
    // Ids of one moment are in no order: given in theirs, the limits are listed as they were asked for.
    let mut ids: Vec<LimitId> = rows.iter().map(|_| unit.id()).collect();
    ids.sort_unstable();
    for (id, row) in ids.into_iter().zip(rows) {
        make(unit, Subject::key(key), ActiveModel { id: Set(id), ..row }).await?;
    }
    Ok(())
}

/// What each of the limits of a new key is warned about.
pub(crate) async fn warnings_for_key(ctx: &Ctx, limits: &[NewKeyLimit]) -> Result<Vec<Vec<LimitWarning>>> {
    let mut warnings = Vec::new();
    for limit in limits.iter().take(MOST) {
        warnings.push(warning::of_models(ctx, limit.models.as_ref()).await?);
    }
    Ok(warnings)
}

/// The limits of a key itself, oldest first.
pub(crate) async fn of_key(unit: &Unit<'_>, key: KeyId) -> Result<Vec<Limit>> {
    let of_key = of(Subject::key(key));
    let rows = unit.read::<Entity>().all(of_key, MOST as u64).await?;
    Ok(rows.into_iter().map(Limit::from).collect())
}

async fn make(unit: &mut Unit<'_>, subject: Subject, mut row: ActiveModel) -> Result<Model> {
    let own = unit.ctx.scope.organization;
    if row.metric == Set(Metric::Cost) && row.currency == Set(None) {
        let organization = unit.read::<organization::Entity>().find(own).await?;
        row.currency = Set(Some(organization.default_currency));
    }
    row.subject_kind = Set(subject.kind);
    row.subject_id = Set(subject.id);
    row.team_id = Set(subject.team);
    row.set_by = Set(if is_limited(unit.ctx) { SetBy::Team } else { SetBy::Organization });
    row.created_by = Set(unit.ctx.actor.id.clone());
    unit.repository::<Entity>().insert(row).await
}

/// The live limits of a subject.
fn of(subject: Subject) -> Condition {
    let team = match subject.kind {
        SubjectKind::Member => Column::TeamId.eq(subject.team),
        _ => Column::TeamId.is_null(),
    };
    Condition::all().add(Column::SubjectKind.eq(subject.kind)).add(Column::SubjectId.eq(subject.id)).add(team)
}

/// Counts the limits of the subject, the new one too, under the organization's lock: of two that are made at once, the
/// second counts the first.
async fn within_bounds(unit: &Unit<'_>, subject: Subject) -> Result<()> {
    let own = unit.ctx.scope.organization;
    unit.take_turn(own).await;
    head::lock(&unit.tx, own).await?;
    let whole = unit.ctx.within(Scope::all(own));
    if unit.read_in::<Entity>(&whole).count(of(subject)).await? <= MOST as u64 {
        return Ok(());
    }
    Err(Error::InvalidState("too_many_limits", format!("it has {MOST} limits, and no room for more").into()))
}

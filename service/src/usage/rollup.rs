//! [`Rollups`]: the one way to the sums of usage. They have no identifier that a repository could go by; organization and
//! reach are put on when it is made, so that nobody can leave them away. And the walk through the events that a check of
//! them folds.

use super::{
    first_id,
    hours::Hours,
    sums::{UsageSums, added},
};
use crate::{Ctx, Result, db::Pool, scope::Reach, tables::teams_or_user};
use chrono::{DateTime, Utc};
use entity::{
    id::OrganizationId,
    money::{Nanos, Total},
    status::Grain,
    usage_event,
    usage_rollup::{Column, Entity, Model},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    sea_query::SimpleExpr,
};
use uuid::Uuid;

/// Rows of one statement of a walk, which so holds no snapshot for long.
const PAGE: u64 = 1000;

/// The sums of one organization within the caller's reach.
#[derive(Debug)]
pub(super) struct Rollups {
    condition: Condition,
}

/// What has one currency, or none, added up.
#[derive(Debug, FromQueryResult)]
pub(super) struct Group {
    pub(super) currency: Option<String>,
    pub(super) events: i64,
    #[sea_orm(nested)]
    pub(super) usage: UsageSums,
    pub(super) cost_units: i64,
    pub(super) cost: Nanos,
    pub(super) unpriced_events: i64,
    pub(super) overruns: i64,
    pub(super) estimated_events: i64,
    pub(super) unclear_events: i64,
    pub(super) guessed_events: i64,
}

impl Group {
    /// What they cost.
    pub(super) fn total(&self) -> Total {
        Total::new(self.cost_units, self.cost)
    }
}

impl Rollups {
    pub(super) fn new(ctx: &Ctx) -> Self {
        let reach = match &ctx.scope.reach {
            Reach::All => None,
            Reach::Limited { teams, user } => {
                Some(teams_or_user(Column::TeamId, teams, Column::UserId, *user))
            }
        };
        let own = Column::OrganizationId.eq(ctx.scope.organization);
        Self { condition: Condition::all().add(own).add_option(reach) }
    }

    /// The same, narrowed to rows that meet a condition.
    pub(super) fn narrow(self, condition: SimpleExpr) -> Self {
        Self { condition: self.condition.add(condition) }
    }

    /// What is added up over some hours, by currency.
    #[expect(clippy::disallowed_methods, reason = "the scope was put on when this was made")]
    pub(super) async fn sum(&self, db: &Pool, hours: Hours) -> Result<Vec<Group>> {
        let select = Entity::find().filter(self.condition.clone()).filter(hours.sums());
        let select = UsageSums::select(select.select_only().column(Column::Currency));
        let select = [
            (Column::Events, "events"),
            (Column::CostUnits, "cost_units"),
            (Column::Cost, "cost"),
            (Column::UnpricedEvents, "unpriced_events"),
            (Column::Overruns, "overruns"),
            (Column::EstimatedEvents, "estimated_events"),
            (Column::UnclearEvents, "unclear_events"),
            (Column::GuessedEvents, "guessed_events"),
        ]
        .into_iter()
        .fold(select, |select, (column, name)| added(select, column, name));
        let select = select.group_by(Column::Currency).order_by_asc(Column::Currency);
        Ok(select.into_model::<Group>().all(db).await?)
    }

    /// Every row of one grain in some hours, a page at a time.
    #[expect(clippy::disallowed_methods, reason = "the scope was put on when this was made")]
    pub(super) async fn walk(
        &self,
        db: &Pool,
        (grain, hours): (Grain, Hours),
        mut take: impl FnMut(Model) -> Result<()>,
    ) -> Result<()> {
        let range = Condition::all()
            .add(Column::Grain.eq(grain))
            .add_option(hours.from.map(|from| Column::Start.gte(from)))
            .add_option(hours.to.map(|to| Column::Start.lt(to)));
        let mut last: Option<(DateTime<Utc>, Uuid)> = None;
        loop {
            let beyond = last.map(|(start, id)| {
                let later = Condition::any().add(Column::Start.gt(start)).add(Column::DimensionsId.gt(id));
                Condition::all().add(Column::Start.gte(start)).add(later)
            });
            let select = Entity::find().filter(self.condition.clone()).filter(range.clone());
            let select = select.filter(Condition::all().add_option(beyond));
            let select = select.order_by_asc(Column::Start).order_by_asc(Column::DimensionsId);
            let rows = select.limit(PAGE).all(db).await?;
            last =
                rows.last().filter(|_| rows.len() as u64 == PAGE).map(|row| (row.start, row.dimensions_id));
            rows.into_iter().try_for_each(&mut take)?;
            if last.is_none() {
                return Ok(());
            }
        }
    }
}

/// Every event of an organization that can have become known before a moment, a page at a time, by its key: an event may
/// become known long after its call was made, which is when its id is of, so those before cannot be left out.
#[expect(clippy::disallowed_methods, reason = "the organization is put on here")]
pub(super) async fn walk_events(
    db: &Pool,
    (organization, end): (OrganizationId, DateTime<Utc>),
    mut take: impl FnMut(usage_event::Model) -> Result<()>,
) -> Result<()> {
    use usage_event::{Column, Entity};
    let mut last: Option<(Uuid, i32)> = None;
    loop {
        let beyond = last.map(|(id, attempt)| {
            let later = Condition::any().add(Column::Id.gt(id)).add(Column::Attempt.gt(attempt));
            Condition::all().add(Column::Id.gte(id)).add(later)
        });
        let own =
            Condition::all().add(Column::OrganizationId.eq(organization)).add(Column::Id.lt(first_id(end)));
        let select = Entity::find().filter(own).filter(Condition::all().add_option(beyond));
        let select = select.order_by_asc(Column::Id).order_by_asc(Column::Attempt);
        let rows = select.limit(PAGE).all(db).await?;
        last = rows.last().filter(|_| rows.len() as u64 == PAGE).map(|row| (row.id.uuid(), row.attempt));
        rows.into_iter().try_for_each(&mut take)?;
        if last.is_none() {
            return Ok(());
        }
    }
}

//! Finding usage events: one by its id, and pages by what the events have in common.

use super::{
    event::{ItemizedUsageEvent, UsageEvent},
    first_id, known, known_key, raw,
};
use crate::{
    Ctx, Result,
    page::{Page, PageRequest},
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, KeyId, ReservationId, TeamId, UsageEventId},
    provider_connection,
    status::UsageStatus,
    team,
    usage_event::{Column, Entity},
};
use sea_orm::{ColumnTrait, Condition};

/// Which usage events: those that meet everything that is given.
#[derive(Debug, Default)]
pub struct UsageFilter {
    /// Only of this key.
    pub key_id: Option<KeyId>,
    /// Only of keys that this team owned then.
    pub team_id: Option<TeamId>,
    /// Only those that this connection served.
    pub connection_id: Option<ConnectionId>,
    /// Only of this model, as the client called it or with every alias followed.
    pub model: Option<String>,
    /// Only those that went so.
    pub status: Option<UsageStatus>,
    /// Only of calls that were made at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Only of calls that were made before this moment.
    pub to: Option<DateTime<Utc>>,
}

impl UsageFilter {
    /// The filter as a condition. A key, a team or a connection that is not there, or not
    /// in reach, is not found. Moments are ranges of
    /// ids, by which the index and the partitions are.
    async fn condition(self, ctx: &Ctx) -> Result<Condition> {
        let mut faults = Faults::default();
        faults.moment("?from", self.from);
        faults.moment("?to", self.to);
        faults.finish()?;
        if let Some(key) = self.key_id {
            known_key::<Entity>(ctx, key, Column::KeyId.eq(key)).await?;
        }
        if let Some(team) = self.team_id {
            known::<team::Entity, Entity>(ctx, team, Column::TeamId.eq(team)).await?;
        }
        if let Some(connection) = self.connection_id {
            let of_connection = Column::ConnectionId.eq(connection);
            known::<provider_connection::Entity, Entity>(ctx, connection, of_connection).await?;
        }
        let model = |model: String| {
            Condition::any().add(Column::Model.eq(&model)).add(Column::RequestedModel.eq(model))
        };
        Ok(Condition::all()
            .add_option(self.key_id.map(|key| Column::KeyId.eq(key)))
            .add_option(self.team_id.map(|team| Column::TeamId.eq(team)))
            .add_option(self.connection_id.map(|connection| Column::ConnectionId.eq(connection)))
            .add_option(self.model.map(model))
            .add_option(self.status.map(|status| Column::Status.eq(status)))
            .add_option(self.from.map(|from| Column::Id.gte(first_id(from))))
            .add_option(self.to.map(|to| Column::Id.lt(first_id(to)))))
    }
}

/// One page of the usage events within reach, the latest call first.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: UsageFilter) -> Result<Page<UsageEvent>> {
    let condition = filter.condition(ctx).await?;
    ctx.repository::<Entity>().rows(page, condition).await?.try_map(UsageEvent::try_from)
}

/// One usage event with its bill: an attempt of a call, the first unless said.
pub async fn get(ctx: &Ctx, id: UsageEventId, attempt: Option<u32>) -> Result<ItemizedUsageEvent> {
    let of_attempt = Column::Attempt.eq(attempt.unwrap_or(0));
    let events = ctx.repository::<Entity>().narrow(of_attempt);
    let row = events.find(ReservationId::new(id.uuid())).await?;
    let raw = raw::of(ctx, &row).await?;
    let event = UsageEvent::try_from(row)?;
    let prices = ctx.system.books.now(&ctx.system, ctx.scope.organization).await?;
    event.itemize(&prices, raw)
}

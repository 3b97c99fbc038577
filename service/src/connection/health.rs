//! How a connection is: what is seen of it while it works, and what follows from what it has.

use crate::{
    Ctx, Result,
    repository::{Repository, View},
};
use chrono::{DateTime, Utc};
use entity::{
    connection_state, credential,
    endpoint::CapabilityProfile,
    id::ConnectionId,
    provider_connection,
    status::{CredentialState, Health, Location, Protocol},
};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DerivePartialModel};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;
use uuid::Uuid;

/// How a connection is.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "connection_state::Entity")]
pub struct ConnectionHealth {
    /// The connection.
    pub connection_id: ConnectionId,
    /// As it was last seen.
    pub health: Health,
    /// Everything considered: without an active credential a connection is `unavailable`, unless it runs in a network of
    /// one's own.
    #[sea_orm(skip)]
    pub effective_health: Health,
    /// Failures since the last success.
    pub consecutive_failures: i32,
    /// Stable word for the last failure.
    #[schema(required, example = "timeout")]
    pub error_code: Option<String>,
    /// What went wrong, for people.
    #[schema(required)]
    pub error: Option<String>,
    /// When that was.
    #[schema(required)]
    pub error_at: Option<DateTime<Utc>>,
    /// When it last worked.
    #[schema(required)]
    pub success_at: Option<DateTime<Utc>>,
    /// Milliseconds of the last answer.
    #[schema(required)]
    pub latency_ms: Option<i64>,
    /// The base URL that was found to work; it stands above the stated one until that is changed.
    #[schema(required)]
    pub detected_endpoint: Option<String>,
    /// The protocol that was found to work.
    #[schema(required)]
    pub detected_format: Option<Protocol>,
    /// What it can do, as far as that follows from the protocol.
    #[schema(required)]
    pub capabilities: Option<CapabilityProfile>,
    /// When that was found.
    #[schema(required)]
    pub detected_at: Option<DateTime<Utc>>,
    /// When its models were last read.
    #[schema(required)]
    pub models_at: Option<DateTime<Utc>>,
}

impl View for ConnectionHealth {
    type Entity = connection_state::Entity;
    fn cursor(&self) -> Uuid {
        self.connection_id.uuid()
    }
}

/// How a connection is.
pub async fn health(ctx: &Ctx, id: ConnectionId) -> Result<ConnectionHealth> {
    let connection = ctx.repository::<provider_connection::Entity>().find(id).await?;
    let mut health = ctx.repository::<connection_state::Entity>().view::<ConnectionHealth>(id).await?;
    let usable = usable(ctx, &ctx.system.db.reader, &[id]).await?.contains(&id);
    health.effective_health = effective(health.health, connection.location, usable);
    Ok(health)
}

/// What is seen of each of these connections.
pub(super) async fn observed<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    ids: &[ConnectionId],
) -> Result<HashMap<ConnectionId, ConnectionHealth>> {
    let these = connection_state::Column::ConnectionId.is_in(ids.iter().copied());
    let states = Repository::<connection_state::Entity, C>::new(db, ctx);
    let states: Vec<ConnectionHealth> = states.views(these).await?;
    Ok(states.into_iter().map(|state| (state.connection_id, state)).collect())
}

/// Those of these connections that have an active credential.
pub(super) async fn usable<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    ids: &[ConnectionId],
) -> Result<HashSet<ConnectionId>> {
    use credential::Column;
    let active = Condition::all()
        .add(Column::ConnectionId.is_in(ids.iter().copied()))
        .add(Column::State.eq(CredentialState::Active));
    let credentials = Repository::<credential::Entity, C>::new(db, ctx);
    let rows: Vec<(Uuid, ConnectionId)> = credentials.column(active, Column::ConnectionId).await?;
    Ok(rows.into_iter().map(|(_, connection)| connection).collect())
}

/// An upstream that runs in a network of one's own may ask for no credential; any other does.
pub(super) fn effective(seen: Health, location: Location, usable: bool) -> Health {
    if usable || location == Location::Local { seen } else { Health::Unavailable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_needs_a_credential_and_has_none_is_unavailable_whatever_was_seen() {
        for seen in [Health::Unknown, Health::Healthy, Health::Cooldown, Health::Error] {
            assert_eq!(effective(seen, Location::Cloud, false), Health::Unavailable);
            assert_eq!(effective(seen, Location::Cloud, true), seen);
            assert_eq!(effective(seen, Location::Local, false), seen);
        }
    }
}

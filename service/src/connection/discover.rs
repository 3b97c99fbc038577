//! Discovering: which models an upstream says it has. The list is kept whole: it is replaced in one transaction, and whatever
//! goes wrong, the last good one stays.

use super::{
    CheckCode, candidate,
    models::{ConnectionModel, shown_models},
    noted,
    search::{MODELS, every_model},
    verify::ask,
};
use crate::{Ctx, Error, Result, Unit, upstream::provider::Found};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    connection_state,
    discovered_model::{ActiveModel, Column, Entity},
    id::ConnectionId,
    provider_connection::{self, Model},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// How long a list is as good as new.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// Rows of one statement.
const CHUNK: usize = 80;

/// How to discover the models of a connection.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewDiscovery {
    /// Whether the upstream is asked even if its list was read within the last hour.
    pub refresh: bool,
}

/// The models of an upstream.
#[derive(Debug, Serialize, ToSchema)]
pub struct Discovery {
    /// Whether the list is one that was read before.
    pub cached: bool,
    /// When it was read.
    pub models_at: DateTime<Utc>,
    /// Whether the upstream may have more models than are kept, the first 10,000.
    pub truncated: bool,
    /// The models, by name.
    pub models: Vec<ConnectionModel>,
}

/// Reads the models of a connection from its upstream, unless they were read lately.
pub async fn discover_models(ctx: &Ctx, id: ConnectionId, new: NewDiscovery) -> Result<Discovery> {
    let row = ctx.repository::<provider_connection::Entity>().find(id).await?;
    let state = ctx.repository::<connection_state::Entity>().find(id).await?;
    let now = ctx.now().await?;
    let fresh = state.models_at.filter(|at| !new.refresh && now - *at < FRESH);
    if let Some(models_at) = fresh {
        let unit = ctx.begin().await?;
        let models = shown_models(&unit, &row).await?;
        return unit.commit(discovery(models_at, models, true)).await;
    }
    match read(ctx, &row).await? {
        Ok(models) => keep(ctx, &row, models).await,
        Err((code, reason)) => Err(note_failure(ctx, &row, (code, reason)).await?),
    }
}

fn discovery(models_at: DateTime<Utc>, models: Vec<ConnectionModel>, cached: bool) -> Discovery {
    Discovery { cached, models_at, truncated: models.len() >= MODELS, models }
}

/// What was read, or why nothing was.
type Read = std::result::Result<Vec<Found>, (CheckCode, String)>;

/// Every model that the upstream says it has. That it answers is noted at once.
async fn read(ctx: &Ctx, row: &Model) -> Result<Read> {
    let (candidate, mut finding) = ask(ctx, row, None).await?;
    if finding.won.is_none() {
        return Ok(Err((finding.code, finding.reason)));
    }
    let quiet = ctx.quiet();
    let unit = quiet.begin().await?;
    let now = unit.read::<provider_connection::Entity>().hold(row.id).await?;
    if candidate::lead_alike(row, &now) {
        noted::finding(&unit, row.id, &finding).await?;
    }
    unit.commit(()).await?;
    match finding.won.take() {
        Some(won) => Ok(every_model(&ctx.system, &candidate, (won, finding.until)).await),
        None => Ok(Err((finding.code, finding.reason))),
    }
}

/// Notes that the models could not be read, and says so.
async fn note_failure(ctx: &Ctx, row: &Model, (code, reason): (CheckCode, String)) -> Result<Error> {
    let quiet = ctx.quiet();
    let mut unit = quiet.begin().await?;
    let now = unit.read::<provider_connection::Entity>().hold(row.id).await?;
    if candidate::lead_alike(row, &now) {
        noted::failure(&unit, row.id, (code, &reason)).await?;
    }
    unit.audit("connection.discover_models", row.id, json!({ "code": code }));
    unit.commit(()).await?;
    Ok(Error::Upstream(reason))
}

/// Puts the models in the place of those that were read before. Of two that do so at once, one comes after the other.
async fn keep(ctx: &Ctx, row: &Model, models: Vec<Found>) -> Result<Discovery> {
    let mut unit = ctx.begin().await?;
    let now = unit.read::<provider_connection::Entity>().lock(row.id).await?;
    if !candidate::lead_alike(row, &now) {
        let message = "the connection was changed while its models were read; try again";
        return Err(Error::InvalidState("connection_changed", message.into()));
    }
    let count = models.len();
    replace(&unit, row.id, models).await?;
    noted::models(&unit, row.id).await?;
    unit.audit("connection.discover_models", row.id, json!({ "code": CheckCode::Ok, "models": count }));
    let models = shown_models(&unit, &now).await?;
    let view = discovery(unit.now, models, false);
    unit.commit(view).await
}

#[expect(clippy::disallowed_methods, reason = "an unversioned set, of a connection that is locked in scope")]
async fn replace(unit: &Unit<'_>, id: ConnectionId, models: Vec<Found>) -> Result<()> {
    let organization = unit.ctx.scope.organization;
    let these =
        Condition::all().add(Column::OrganizationId.eq(organization)).add(Column::ConnectionId.eq(id));
    Entity::delete_many().filter(these).exec(&unit.tx).await?;
    let mut rows = models.into_iter().map(|found| ActiveModel {
        connection_id: Set(id),
        name: Set(found.name),
        organization_id: Set(organization),
        display_name: Set(found.display_name),
        owned_by: Set(found.owned_by),
        context_window: Set(found.context_window),
        max_output_tokens: Set(found.max_output_tokens),
    });
    loop {
        let chunk: Vec<_> = rows.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            return Ok(());
        }
        Entity::insert_many(chunk).exec_without_returning(&unit.tx).await?;
    }
}

//! The life of a connection after its making: disabled, enabled, cleared of errors. Stopping one is an emergency: it asks for no
//! version and wins every race. Whether certificates are looked at is the operator's to say.

use super::{Connection, state, view};
use crate::{Ctx, Result, Unit, repository::Expected, validate::Faults};
use entity::{
    id::ConnectionId,
    provider_connection::{ActiveModel, Entity},
    status::ConnectionStatus,
};
use sea_orm::ActiveValue::Set;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// Characters of a reason.
const REASON: usize = 1024;

/// Why something is done.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DisableReason {
    /// For people, at most 1024 characters.
    #[schema(max_length = 1024, example = "the provider has an outage")]
    pub reason: Option<String>,
}

/// Whether the certificate of an upstream is looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsVerification {
    /// It is not.
    #[schema(example = true)]
    pub skip: bool,
}

/// A reason for people.
pub(crate) fn reason(reason: Option<&String>, faults: &mut Faults) {
    if let Some(reason) = reason {
        faults.text("/reason", reason, REASON);
    }
}

async fn done(
    mut unit: Unit<'_>,
    action: &str,
    id: ConnectionId,
    changes: ActiveModel,
) -> Result<Connection> {
    unit.repository::<Entity>().force(action, id, changes).await?;
    let connection = view::read(&unit, id).await?;
    unit.commit(connection).await
}

/// Refuses calls that name a connection until it is enabled again.
pub async fn disable(ctx: &Ctx, id: ConnectionId, why: DisableReason) -> Result<Connection> {
    let unit = ctx.begin().await?;
    unit.read::<Entity>().lock(id).await?;
    let mut faults = Faults::default();
    reason(why.reason.as_ref(), &mut faults);
    faults.finish()?;
    let changes = ActiveModel {
        status: Set(ConnectionStatus::Disabled),
        disabled_reason: Set(why.reason),
        ..Default::default()
    };
    done(unit, "disable", id, changes).await
}

/// Lets calls name a connection again.
pub async fn enable(ctx: &Ctx, id: ConnectionId, version: Option<i64>) -> Result<Connection> {
    let unit = ctx.begin().await?;
    Expected::new(version, unit.read::<Entity>().lock(id).await?.version)?;
    let changes = ActiveModel {
        status: Set(ConnectionStatus::Active),
        disabled_reason: Set(None),
        ..Default::default()
    };
    done(unit, "enable", id, changes).await
}

/// Forgets what went wrong with a connection. It is no edit: the version stays.
pub async fn clear_errors(ctx: &Ctx, id: ConnectionId) -> Result<Connection> {
    let mut unit = ctx.begin().await?;
    unit.read::<Entity>().lock(id).await?;
    state::clear_errors(&unit, id).await?;
    unit.audit("connection.clear_errors", id, json!({}));
    let connection = view::read(&unit, id).await?;
    unit.commit(connection).await
}

/// Says whether the certificate of a connection's upstream is looked at.
pub async fn verify_tls(
    ctx: &Ctx,
    id: ConnectionId,
    version: Option<i64>,
    tls: TlsVerification,
) -> Result<Connection> {
    let unit = ctx.begin().await?;
    Expected::new(version, unit.read::<Entity>().lock(id).await?.version)?;
    let changes = ActiveModel { tls_skip_verify: Set(tls.skip), ..Default::default() };
    done(unit, "tls_verification", id, changes).await
}

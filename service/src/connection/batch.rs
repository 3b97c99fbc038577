//! Verifying several connections at once: those that are named, or those to one provider. Each is verified and noted by itself,
//! so that one that is slow or gone keeps nothing from the others.

use super::{
    CheckCode, Verification,
    verify::{ConnectionVerification, verify},
};
use crate::{Ctx, Error, Result, validate::Faults};
use entity::{
    id::ConnectionId,
    provider_connection::{Column, Entity, Model},
    status::{ConnectionStatus, Protocol},
};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, Condition};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Connections of one call.
const MOST: usize = 20;

/// Which connections to verify: those that are named, or those of a provider that are enabled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVerificationBatch {
    /// These, at most 20.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub connection_ids: Vec<ConnectionId>,
    /// The enabled ones of this provider, if none are named; at most 20.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, example = "openai")]
    pub provider: Option<String>,
}

/// What verifying one of several connections found.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifiedConnection {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Whether it works.
    pub ok: bool,
    /// Stable word for what was found.
    pub code: CheckCode,
    /// What was found and what to do about it, for people.
    pub reason: String,
    /// What is spoken, or would be tried first.
    pub format: Protocol,
}

/// What verifying several connections found.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerificationBatch {
    /// Each, by its id; one that was deleted meanwhile is left out.
    pub items: Vec<VerifiedConnection>,
}

/// Verifies several connections at once, and notes what was found of each.
pub async fn verify_batch(ctx: &Ctx, new: NewVerificationBatch) -> Result<VerificationBatch> {
    let rows = rows(ctx, &new).await?;
    // The reply to this call is the whole of it, and not that of one connection.
    let quiet = ctx.quiet();
    let each = rows.iter().map(|row| verify(&quiet, row.id, ConnectionVerification::default()));
    let mut items = Vec::new();
    for (row, found) in rows.iter().zip(join_all(each).await) {
        match found {
            Ok(found) => items.push(item(row.id, found)),
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    ctx.begin().await?.commit(VerificationBatch { items }).await
}

fn item(connection_id: ConnectionId, found: Verification) -> VerifiedConnection {
    let Verification { ok, code, reason, plan, .. } = found;
    VerifiedConnection { connection_id, ok, code, reason, format: plan.selected_format }
}

async fn rows(ctx: &Ctx, new: &NewVerificationBatch) -> Result<Vec<Model>> {
    let connections = ctx.repository::<Entity>();
    for id in new.connection_ids.iter().take(MOST) {
        connections.find(*id).await?;
    }
    let mut faults = Faults::default();
    let (named, provider) = (!new.connection_ids.is_empty(), new.provider.is_some());
    let message = "name connections or a provider, and not both";
    faults.when(named == provider, "/connection_ids", "one_of", message);
    let many = new.connection_ids.len() > MOST;
    faults.when(many, "/connection_ids", "too_many", "must have at most 20 entries");
    if let Some(provider) = &new.provider {
        faults.word("/provider", provider);
    }
    faults.finish()?;
    let which = match &new.provider {
        Some(provider) => Condition::all()
            .add(Column::Provider.eq(provider))
            .add(Column::Status.eq(ConnectionStatus::Active)),
        None => Condition::all().add(Column::Id.is_in(new.connection_ids.iter().copied())),
    };
    let rows = connections.all(which, MOST as u64 + 1).await?;
    if rows.len() > MOST {
        return Err(Error::invalid(
            "/provider",
            "too_many",
            "it has more than 20: name them by connection_ids",
        ));
    }
    Ok(rows)
}

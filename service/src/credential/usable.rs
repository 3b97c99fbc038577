//! The one way back out of a secret: for calls of our own to the upstream of its connection.

use super::{of, place};
use crate::{
    Ctx, Result,
    vault::{self, Plain},
};
use entity::{
    credential::{Column, Entity},
    id::{ConnectionId, CredentialId},
    status::CredentialState,
};
use sea_orm::{ColumnTrait, Condition};

/// The credential that a call to the upstream of a connection takes: the oldest active one. That it is used is noted.
pub async fn usable(ctx: &Ctx, connection: ConnectionId) -> Result<Option<(CredentialId, Plain)>> {
    let active = Condition::all().add(Column::State.eq(CredentialState::Active));
    let first = ctx.repository::<Entity>().narrow(of(connection)).all(active, 1).await?;
    let Some(row) = first.into_iter().next() else { return Ok(None) };
    let Some((sealed, key)) = row.secret.as_ref().zip(row.data_key_id) else { return Ok(None) };
    let secret = vault::open(ctx, place(row.organization_id, &row.id), key, sealed).await?;
    ctx.system.activity.note(row.id.uuid(), ctx.now().await?);
    Ok(Some((row.id, secret)))
}

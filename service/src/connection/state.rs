//! The runtime row of a connection: made with it, and written without touching its version, because what is seen of a
//! connection is no edit of it. The audit log has the edits alone.

use crate::{Result, Unit};
use entity::{
    connection_state::{ActiveModel, Column, Entity},
    id::ConnectionId,
    status::Health,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

/// Nothing is seen of a new connection.
#[expect(clippy::disallowed_methods, reason = "a runtime row is no edit, and not for the audit log")]
pub(super) async fn open(unit: &Unit<'_>, id: ConnectionId) -> Result<()> {
    let row = ActiveModel {
        connection_id: Set(id),
        organization_id: Set(unit.ctx.scope.organization),
        health: Set(Health::Unknown),
        consecutive_failures: Set(0),
        ..Default::default()
    };
    Entity::insert(row).exec_without_returning(&unit.tx).await?;
    Ok(())
}

/// Forgets what was detected: it was, of an address that is no longer the connection's.
pub(super) async fn forget_detected(unit: &Unit<'_>, id: ConnectionId) -> Result<()> {
    let nothing = ActiveModel {
        detected_endpoint: Set(None),
        detected_format: Set(None),
        capabilities: Set(None),
        detected_at: Set(None),
        models_at: Set(None),
        ..Default::default()
    };
    write(unit, id, nothing).await
}

/// Forgets what went wrong: whether it still does, the next call tells.
pub(super) async fn clear_errors(unit: &Unit<'_>, id: ConnectionId) -> Result<()> {
    let nothing = ActiveModel {
        health: Set(Health::Unknown),
        consecutive_failures: Set(0),
        error_code: Set(None),
        error: Set(None),
        error_at: Set(None),
        ..Default::default()
    };
    write(unit, id, nothing).await
}

#[expect(clippy::disallowed_methods, reason = "by the id of a connection that was found in scope")]
async fn write(unit: &Unit<'_>, id: ConnectionId, changes: ActiveModel) -> Result<()> {
    let update = Entity::update_many().set(changes);
    let update = update.filter(Column::OrganizationId.eq(unit.ctx.scope.organization));
    update.filter(Column::ConnectionId.eq(id)).exec(&unit.tx).await?;
    Ok(())
}

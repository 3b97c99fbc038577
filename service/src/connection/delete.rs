//! Deleting a connection. Its row stays, because usage names it for ever; what is secret of it is erased, and what hangs on it
//! goes with it.

use super::whole;
use crate::{Ctx, Result, Unit, credential::erased, repository::Expected};
use entity::{
    connection_icon, credential, discovered_model,
    id::ConnectionId,
    json::Texts,
    limit, model_mapping,
    provider_connection::{ActiveModel, Entity},
    status::{ConnectionStatus, SubjectKind},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter};

/// Deletes a connection. Calls that are open settle as they were authorized.
pub async fn delete(ctx: &Ctx, id: ConnectionId, version: Option<i64>) -> Result<()> {
    let whole = whole(ctx);
    let unit = ctx.begin().await?;
    // It is locked first: whoever is adding to it waits, and then finds it gone.
    let current = unit.read::<Entity>().lock(id).await?;
    Expected::new(version, current.version)?;
    // Whoever set a limit on it, it goes along: also one that is not the caller's to delete.
    let mut unit = unit.within(&whole);
    let of_connection = credential::Column::ConnectionId.eq(id);
    let gone = credential::ActiveModel { deleted_at: Set(Some(unit.now)), ..erased(unit.now) };
    let credentials = unit.repository::<credential::Entity>();
    credentials.force_all("delete", Condition::all().add(of_connection), gone).await?;
    unit.repository::<model_mapping::Entity>().remove_all(model_mapping::Column::ConnectionId.eq(id)).await?;
    unit.repository::<connection_icon::Entity>()
        .remove_all(connection_icon::Column::ConnectionId.eq(id))
        .await?;
    forget_models(&unit, id).await?;
    let limits = Condition::all()
        .add(limit::Column::SubjectKind.eq(SubjectKind::Connection))
        .add(limit::Column::SubjectId.eq(id));
    let over = limit::ActiveModel { deleted_at: Set(Some(unit.now)), ..Default::default() };
    unit.repository::<limit::Entity>().force_all("delete", limits, over).await?;
    let changes = ActiveModel {
        status: Set(ConnectionStatus::Deleted),
        headers: Set(None),
        header_names: Set(Texts::default()),
        data_key_id: Set(None),
        proxy_pool_id: Set(None),
        ..Default::default()
    };
    unit.repository::<Entity>().force("delete", id, changes).await?;
    unit.commit(()).await
}

/// What an upstream said it has is remembered, not decided: the audit log has nothing of it.
#[expect(clippy::disallowed_methods, reason = "by the id of a connection that was found in scope")]
async fn forget_models(unit: &Unit<'_>, id: ConnectionId) -> Result<()> {
    let delete = discovered_model::Entity::delete_many();
    let delete = delete.filter(discovered_model::Column::OrganizationId.eq(unit.ctx.scope.organization));
    delete.filter(discovered_model::Column::ConnectionId.eq(id)).exec(&unit.tx).await?;
    Ok(())
}

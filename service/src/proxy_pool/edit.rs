//! Changing and deleting pools. Whoever binds a connection to a pool holds it, and whoever deletes it locks it first: a
//! pool that a connection takes stays.

use super::{
    BOUND, ProxyPool, ProxyPoolPatch,
    create::hosts,
    entries::{self, Plan},
    read::{self, ENTRIES, everyone},
};
use crate::{Ctx, Error, Result, Unit, error::ConflictExt, repository::Expected, validate::Faults};
use entity::{
    id::ProxyPoolId,
    provider_connection, proxy_entry,
    proxy_pool::{ActiveModel, Entity},
    status::{ConnectionStatus, PoolStatus},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, SqlErr,
};

/// Changes a pool. What tests found of a proxy stays while its address and login do.
pub async fn update(
    ctx: &Ctx,
    id: ProxyPoolId,
    version: Option<i64>,
    patch: ProxyPoolPatch,
) -> Result<ProxyPool> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut faults = Faults::default();
    if let Some(name) = &patch.name {
        faults.name("/name", name);
    }
    if let Some(no_proxy) = &patch.no_proxy {
        hosts(no_proxy, &mut faults);
    }
    let mut plan = None;
    if let Some(wanted) = patch.entries {
        // Proxies change with the version of their pool: if they are not these any more, the version is another one.
        let of_pool = proxy_entry::Column::ProxyPoolId.eq(id);
        let stored = ctx.repository::<proxy_entry::Entity>().all(of_pool, ENTRIES).await?;
        plan = Some(entries::plan(ctx, wanted, &stored, &mut faults).await?).filter(Plan::changes);
    }
    faults.finish()?;
    let name = patch.name.clone().unwrap_or_default();
    let kept = plan.as_ref().map(|_| current.name);
    let changes = ActiveModel {
        name: patch.name.or(kept).map_or(NotSet, Set),
        status: patch.status.map_or(NotSet, Set),
        strategy: patch.strategy.map_or(NotSet, Set),
        strict: patch.strict.map_or(NotSet, Set),
        no_proxy: patch.no_proxy.map_or(NotSet, Set),
        ..Default::default()
    };
    let mut unit = ctx.begin().await?;
    unit.repository::<Entity>().update(id, expected, changes).await.conflict("proxy pool", &name)?;
    if let Some(plan) = plan {
        entries::write(&mut unit, id, plan).await?;
    }
    let view = read::view(&unit, id).await?;
    unit.commit(view).await
}

fn status(status: PoolStatus) -> ActiveModel {
    ActiveModel { status: Set(status), ..Default::default() }
}

/// Takes a pool's proxies out of use. It is an emergency: it asks for no version and wins every race.
pub async fn disable(ctx: &Ctx, id: ProxyPoolId) -> Result<ProxyPool> {
    let mut unit = ctx.begin().await?;
    unit.repository::<Entity>().force("disable", id, status(PoolStatus::Disabled)).await?;
    let view = read::view(&unit, id).await?;
    unit.commit(view).await
}

/// Puts a pool's proxies to use again.
pub async fn enable(ctx: &Ctx, id: ProxyPoolId, version: Option<i64>) -> Result<ProxyPool> {
    let mut unit = ctx.begin().await?;
    let current = unit.read::<Entity>().lock(id).await?;
    Expected::new(version, current.version)?;
    unit.repository::<Entity>().force("enable", id, status(PoolStatus::Active)).await?;
    let view = read::view(&unit, id).await?;
    unit.commit(view).await
}

/// Deletes a pool that no connection takes.
pub async fn delete(ctx: &Ctx, id: ProxyPoolId, version: Option<i64>) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let everyone = everyone(ctx);
    let bound = provider_connection::Column::ProxyPoolId.eq(id);
    let mut unit = ctx.begin().await?;
    // The pool is locked first: a connection that is being bound to it waits, and then finds it gone.
    unit.read::<Entity>().lock(id).await?;
    match unit.read_in::<provider_connection::Entity>(&everyone).count(bound.clone()).await? {
        0 => {}
        count => return Err(Error::InUse { by: BOUND, count }),
    }
    unbind_deleted(&unit, id).await?;
    let of_pool = proxy_entry::Column::ProxyPoolId.eq(id);
    unit.repository::<proxy_entry::Entity>().remove_all(of_pool).await?;
    match unit.repository::<Entity>().delete(id, expected).await {
        // Whoever was bound without holding the pool was not seen; the foreign key saw it.
        Err(Error::Db(error))
            if matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))) =>
        {
            drop(unit);
            let count = everyone.repository::<provider_connection::Entity>().count(bound).await?;
            Err(Error::InUse { by: BOUND, count: count.max(1) })
        }
        deleted => {
            deleted?;
            unit.commit(()).await
        }
    }
}

/// Connections that are deleted keep no pool; they are out of the repository's sight.
#[expect(clippy::disallowed_methods, reason = "the tenant is put on here")]
async fn unbind_deleted(unit: &Unit<'_>, pool: ProxyPoolId) -> Result<()> {
    use provider_connection::Column;
    let changes = provider_connection::ActiveModel { proxy_pool_id: Set(None), ..Default::default() };
    let update = provider_connection::Entity::update_many().set(changes);
    let update = update.filter(Column::OrganizationId.eq(unit.ctx.scope.organization));
    let update =
        update.filter(Column::ProxyPoolId.eq(pool)).filter(Column::Status.eq(ConnectionStatus::Deleted));
    update.exec(&unit.tx).await?;
    Ok(())
}

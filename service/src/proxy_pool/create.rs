//! Making pools.

use super::{NewProxyPool, ProxyPool, entries, read};
use crate::{Ctx, Result, error::ConflictExt, upstream::check_no_proxy, validate::Faults};
use entity::{
    id::ProxyPoolId,
    json::Texts,
    proxy_pool::{ActiveModel, Entity},
};
use sea_orm::ActiveValue::Set;

/// Hosts of a list.
const HOSTS: usize = 256;

/// Makes a pool.
pub async fn create(ctx: &Ctx, new: NewProxyPool) -> Result<ProxyPool> {
    let mut faults = Faults::default();
    faults.name("/name", &new.name);
    hosts(&new.no_proxy, &mut faults);
    let wanted = new.entries.into_iter().map(Into::into).collect();
    let plan = entries::plan(ctx, wanted, &[], &mut faults).await?;
    faults.finish()?;
    let mut unit = ctx.begin().await?;
    let id: ProxyPoolId = unit.id();
    let row = ActiveModel {
        id: Set(id),
        name: Set(new.name.clone()),
        status: Set(new.status),
        strategy: Set(new.strategy),
        strict: Set(new.strict),
        no_proxy: Set(new.no_proxy),
        created_by: Set(ctx.actor.id.clone()),
        ..Default::default()
    };
    unit.repository::<Entity>().insert(row).await.conflict("proxy pool", &new.name)?;
    entries::write(&mut unit, id, plan).await?;
    let view = read::view(&unit, id).await?;
    unit.commit(view).await
}

/// Hosts that are reached without a proxy.
pub(super) fn hosts(Texts(hosts): &Texts, faults: &mut Faults) {
    faults.when(hosts.len() > HOSTS, "/no_proxy", "too_many", "must have at most 256 entries");
    for (n, host) in hosts.iter().enumerate() {
        if let Err(refused) = check_no_proxy(host) {
            faults.add(format!("/no_proxy/{n}"), refused.code, refused.message);
        }
    }
}

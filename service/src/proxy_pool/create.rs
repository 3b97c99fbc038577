//! Making pools.

use super::{NewProxyPool, ProxyPool, entries, read};
use crate::{Ctx, Result, error::ConflictExt, validate::Faults};
use entity::{
    id::ProxyPoolId,
    json::Texts,
    proxy_pool::{ActiveModel, Entity},
};
use ipnet::IpNet;
use sea_orm::ActiveValue::Set;
use std::net::IpAddr;

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

/// Hosts that are reached without a proxy: names, with or without a point or `*.` before, addresses, networks, `*`.
pub(super) fn hosts(Texts(hosts): &Texts, faults: &mut Faults) {
    faults.when(hosts.len() > HOSTS, "/no_proxy", "too_many", "must have at most 256 entries");
    for (n, host) in hosts.iter().enumerate() {
        let pointer = format!("/no_proxy/{n}");
        let message = "must be a host, such as internal.example.com, an address, a network, or *";
        match host.as_str() {
            "" => faults.add(pointer, "required", "must not be empty"),
            host if host.len() > 255 => faults.add(pointer, "too_long", "must have at most 255 characters"),
            host => faults.when(!is_host(host), &pointer, "invalid_value", message),
        }
    }
}

fn is_host(text: &str) -> bool {
    if text == "*" || text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() {
        return true;
    }
    let name = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.split('.').all(|label| !label.is_empty() && label.chars().all(allowed))
}

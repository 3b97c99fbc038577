//! The way of a call through a pool: its enabled proxies in the order in which they are tried. Those whose last test failed
//! come last; a strict pool without any proxy leads nowhere.

use super::{entries, read::ENTRIES};
use crate::{
    Ctx, Result, System,
    upstream::{Proxy, Way},
};
use entity::{
    id::{ConnectionId, OrganizationId, ProxyPoolId},
    proxy_entry::{Column, Entity, Model},
    proxy_pool,
    status::{PoolStatus, ProxyStrategy, TestStatus},
};
use moka::sync::Cache;
use sea_orm::{ColumnTrait, Condition};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Pools whose turns an instance remembers.
const KEPT: u64 = 10_000;

/// Whose turn it is in each pool. Every instance counts for itself, from its start on: that spreads calls as evenly as one
/// count for all would, and costs no write a call.
pub(crate) struct Rounds(Cache<(OrganizationId, ProxyPoolId), Arc<AtomicUsize>>);

impl Default for Rounds {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl fmt::Debug for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rounds({})", self.0.entry_count())
    }
}

impl Rounds {
    fn next(&self, organization: OrganizationId, pool: ProxyPoolId) -> usize {
        self.0.get_with((organization, pool), Arc::default).fetch_add(1, Ordering::Relaxed)
    }
}

/// How a call of a connection gets to its upstream through a pool.
pub async fn way(ctx: &Ctx, pool: ProxyPoolId, connection: ConnectionId) -> Result<Way> {
    let pool = ctx.repository::<proxy_pool::Entity>().find(pool).await?;
    let mut proxies = Vec::new();
    if pool.status == PoolStatus::Active {
        let enabled = Condition::all().add(Column::ProxyPoolId.eq(pool.id)).add(Column::Enabled.eq(true));
        let entries = ctx.repository::<Entity>().all(enabled, ENTRIES).await?;
        for entry in ordered(&ctx.system, &pool, connection, entries) {
            proxies.push(proxy(ctx, &entry).await?);
        }
    }
    Ok(Way { proxies, strict: pool.strict, no_proxy: pool.no_proxy.0, ..Default::default() })
}

/// A proxy with its login.
pub(super) async fn proxy(ctx: &Ctx, entry: &Model) -> Result<Proxy> {
    let port = u16::try_from(entry.port).map_err(crate::Error::internal)?;
    let login = entries::open(ctx, entry).await?;
    Ok(Proxy { scheme: entry.scheme, host: entry.host.clone(), port, login })
}

/// The order in which proxies are tried.
fn ordered(
    system: &System,
    pool: &proxy_pool::Model,
    connection: ConnectionId,
    mut entries: Vec<Model>,
) -> Vec<Model> {
    entries.sort_by_key(|entry| entry.position);
    let (mut failed, mut good): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.test_status == TestStatus::Error);
    match pool.strategy {
        ProxyStrategy::RoundRobin => {
            let turn = system.rounds.next(pool.organization_id, pool.id);
            for part in [&mut good, &mut failed].into_iter().filter(|part| !part.is_empty()) {
                let first = turn % part.len();
                part.rotate_left(first);
            }
        }
        ProxyStrategy::Random => {
            for part in [&mut good, &mut failed] {
                part.sort_by_cached_key(|_| system.entropy.bytes::<16>());
            }
        }
        ProxyStrategy::Sticky => {
            for part in [&mut good, &mut failed] {
                part.sort_by_cached_key(|entry| weight(connection, entry));
            }
        }
    }
    good.append(&mut failed);
    good
}

/// What a proxy weighs for a connection, by itself: the lightest is taken, and when it goes, no other connection's changes.
fn weight(connection: ConnectionId, entry: &Model) -> [u8; 32] {
    let hash = Sha256::new().chain_update(connection.uuid()).chain_update(entry.id.uuid());
    hash.finalize().into()
}

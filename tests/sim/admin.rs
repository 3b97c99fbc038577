//! What administrators do, as the service does it: rows are changed first, the head is locked last, its version goes up, the log
//! says what has changed, and all of it is committed at once.

use crate::{
    policy::Policy,
    store::SimTx,
    town,
    world::{Effect, Shared, Who, World},
};
use entity::{
    id::{ConnectionId, KeyId, OrganizationId},
    status::{KeyStatus, Metric, Mode, Period, Standing, UnpricedPolicy},
};
use service::{
    head::PolicyKind,
    limit::window,
    meter::{
        facts::Limit,
        ledger::WindowKey,
        store::{Read, Transaction},
    },
};
use std::{collections::BTreeSet, pin::Pin, sync::Arc};
use uuid::Uuid;

/// What has changed, for the log.
type Changes = Vec<(OrganizationId, PolicyKind, Uuid)>;

/// Something that an administrator does: what becomes of the policy, and what the log says of it.
type Edit = Box<dyn FnOnce(&mut Policy) -> Changes + Send>;

/// Calls that may not be made any more, once the administrator has been told so.
#[derive(Debug, Clone, Copy)]
pub struct Bar(pub KeyId);

/// An administrator at work.
pub type Work = Pin<Box<dyn Future<Output = Option<Bar>> + Send>>;

/// Starts something that an administrator does.
pub fn start(world: &Shared) -> Work {
    let shared = world.clone();
    let mut world = shared.get();
    let policy = world.policy.clone();
    let tenants: Vec<_> = policy.tenants.keys().copied().collect();
    let organization = world.dice.pick(&tenants);
    let own: Vec<Arc<Limit>> =
        policy.limits.values().filter(|limit| limit.organization_id == organization).cloned().collect();
    let which = world.dice.below(if own.is_empty() { 9 } else { 17 });
    let (home, bar, edit) = match which {
        0..=2 => of_key(&mut world, &policy, organization),
        3..=5 => of_owner(&mut world, &policy, organization),
        6 if world.dice.one_in(2) => (organization, None, of_connection(&mut world, &policy, organization)),
        6 => (organization, None, of_tenant(&mut world, organization)),
        7 if world.dice.one_in(2) => (organization, None, of_alias(&mut world, organization)),
        7 => (organization, None, new_price(&mut world, organization)),
        8 => {
            let limit = town::limit(&mut world.dice, &policy, organization, town::connection(organization));
            (organization, None, put_limit(Limit::clone(&limit)))
        }
        9 => {
            let limit = world.dice.pick(&own);
            drop(world);
            return Box::pin(reset(shared, limit));
        }
        _ => {
            let limit = world.dice.pick(&own);
            (organization, None, of_limit(&mut world, &limit))
        }
    };
    world.note(|| format!("an administrator of {home} begins edit {which}"));
    drop(world);
    Box::pin(change(shared, home, bar, edit))
}

async fn change(world: Shared, home: OrganizationId, bar: Option<Bar>, edit: Edit) -> Option<Bar> {
    let mut tx = SimTx::new(&world, Who::Admin, false);
    let done: Read<()> = async {
        for _ in 0..3 {
            tx.point("edits").await?;
        }
        tx.lock(&BTreeSet::from([home])).await?;
        tx.point("appends").await?;
        let mut policy = Policy::clone(&world.get().policy);
        let changes = edit(&mut policy);
        tx.finish(Effect::Edit(home, Box::new(policy), changes)).await
    }
    .await;
    done.ok().and(bar)
}

fn of_key(
    world: &mut World,
    policy: &Policy,
    organization: OrganizationId,
) -> (OrganizationId, Option<Bar>, Edit) {
    let own: Vec<KeyId> =
        policy.keys.values().filter(|key| key.organization == organization).map(|key| key.id).collect();
    let id = world.dice.pick(&own);
    let status = match world.dice.below(6) {
        0 => KeyStatus::Revoked,
        1 | 2 => KeyStatus::Disabled,
        3 | 4 => KeyStatus::Active,
        _ => {
            let key = town::key(&mut world.dice, policy, organization, world.now);
            let edit: Edit = Box::new(move |policy| {
                policy.keys.insert(key.id, key);
                Vec::new()
            });
            return (organization, None, edit);
        }
    };
    let edit: Edit = Box::new(move |policy| {
        let Some(key) = policy.keys.get_mut(&id).filter(|key| key.status != KeyStatus::Revoked) else {
            return Vec::new();
        };
        key.status = status;
        vec![(organization, PolicyKind::Key, id.uuid())]
    });
    let bar = (status == KeyStatus::Revoked).then_some(Bar(id));
    (organization, bar, edit)
}

fn of_owner(
    world: &mut World,
    policy: &Policy,
    organization: OrganizationId,
) -> (OrganizationId, Option<Bar>, Edit) {
    let keys: Vec<_> = policy.keys.values().filter(|key| key.organization == organization).collect();
    let key = world.dice.pick(&keys).clone();
    let standing = if world.dice.one_in(3) { Standing::Suspended } else { Standing::Active };
    let account = world.dice.one_in(2);
    let home = match key.person() {
        Some(_) if account => OrganizationId::PLATFORM,
        _ => organization,
    };
    let edit: Edit = Box::new(move |policy| {
        if let Some(team) = key.team() {
            policy.teams.insert(team, (organization, standing));
            return vec![(organization, PolicyKind::Team, team.uuid())];
        }
        if let Some(service) = key.service() {
            policy.services.insert(service, (organization, standing));
            return vec![(organization, PolicyKind::ServiceAccount, service.uuid())];
        }
        let Some(user) = key.person() else { return Vec::new() };
        if account {
            policy.accounts.insert(user, standing);
            return vec![(OrganizationId::PLATFORM, PolicyKind::User, user.uuid())];
        }
        policy.members.insert((organization, user), standing);
        vec![(organization, PolicyKind::Member, user.uuid())]
    });
    (home, None, edit)
}

fn of_tenant(world: &mut World, organization: OrganizationId) -> Edit {
    let dice = &mut world.dice;
    let which = dice.below(4);
    let suspended = dice.one_in(3);
    let cap = dice.one_in(2).then(|| dice.between(20, 120));
    let release = [None, Some(0), Some(90), Some(3600)][dice.below(4)];
    let unpriced = [UnpricedPolicy::Refuse, UnpricedPolicy::Default, UnpricedPolicy::Allow][dice.below(3)];
    Box::new(move |policy| {
        let Some(tenant) = policy.tenants.get_mut(&organization) else { return Vec::new() };
        match which {
            0 if suspended => tenant.status = Standing::Suspended,
            0 => tenant.status = Standing::Active,
            1 => tenant.output_cap = cap,
            2 => tenant.release_after = release,
            _ => tenant.unpriced = unpriced,
        }
        vec![(organization, PolicyKind::Organization, organization.uuid())]
    })
}

fn of_connection(world: &mut World, policy: &Policy, organization: OrganizationId) -> Edit {
    let line = town::line(&mut world.dice, policy, organization);
    let id = ConnectionId::new(town::connection(organization));
    Box::new(move |policy| {
        policy.connections.insert(id, line);
        vec![(organization, PolicyKind::Connection, id.uuid())]
    })
}

/// An alias is made, changed, switched or deleted.
fn of_alias(world: &mut World, organization: OrganizationId) -> Edit {
    let n = world.dice.below(town::aliases());
    let row = town::alias(&mut world.dice, organization, n);
    let change = town::alias_id(organization, n);
    Box::new(move |policy| {
        policy.aliases.retain(|row| row.id != change);
        policy.aliases.extend(row);
        policy.bind(organization);
        vec![(organization, PolicyKind::ModelAlias, change.uuid())]
    })
}

fn new_price(world: &mut World, organization: OrganizationId) -> Edit {
    let model = world.dice.pick(&town::MODELS);
    let row = town::price(&mut world.dice, organization, Some(model), world.now);
    Box::new(move |policy| {
        policy.prices.push(row);
        policy.bind(organization);
        vec![(organization, PolicyKind::PriceBook, Uuid::nil())]
    })
}

fn put_limit(limit: Limit) -> Edit {
    Box::new(move |policy| {
        let change = (limit.organization_id, PolicyKind::Limits, limit.subject_id);
        policy.limits.insert(limit.id, Arc::new(limit));
        vec![change]
    })
}

fn of_limit(world: &mut World, limit: &Arc<Limit>) -> Edit {
    let dice = &mut world.dice;
    let (id, subject) = (limit.id, limit.subject_id);
    let organization = limit.organization_id;
    let amount = town::amount(dice, limit.metric, limit.period);
    let mode = [Mode::Block, Mode::Warn, Mode::Shadow][dice.below(3)];
    let which = dice.below(8);
    Box::new(move |policy| {
        let Some(limit) = policy.limits.get_mut(&id) else { return Vec::new() };
        match which {
            0 => drop(policy.limits.remove(&id)),
            1 => Arc::make_mut(limit).mode = mode,
            2 => Arc::make_mut(limit).amount *= 4,
            _ => Arc::make_mut(limit).amount = amount,
        }
        vec![(organization, PolicyKind::Limits, subject)]
    })
}

/// Forgives what the current window of a limit has used, under the lock.
async fn reset(world: Shared, limit: Arc<Limit>) -> Option<Bar> {
    if limit.period == Period::Request || limit.metric == Metric::Concurrency {
        return None;
    }
    let mut tx = SimTx::new(&world, Who::Admin, false);
    let now = world.get().now;
    let done: Read<()> = async {
        tx.lock(&BTreeSet::from([limit.organization_id])).await?;
        tx.point("reads the window").await?;
        let last = world.get().heads.get(&limit.organization_id).map(|head| head.last_t);
        let start =
            window::start(limit.period, last.map_or(now, |last| service::clock::decision_time(now, last)));
        let key = WindowKey { limit: limit.id, subject: limit.subject_id, start };
        tx.finish(Effect::Forgive(key)).await
    }
    .await;
    done.ok().and(None)
}

//! The meter's own statements without HTTP, without the queue and without deciding anything: lock, heads, reservations,
//! windows, one write, commit; for batches of a given size, half of them calls that are authorized and half of them those of
//! the batch before, that are settled.

use super::rows::{self, Caller};
use crate::stage::{Organization, Stage};
use entity::{
    id::{LimitId, OrganizationId, PriceId, ReservationId},
    ledger::Leg,
    limit, limit_window, reservation,
    status::Metric,
};
use sea_orm::EntityTrait;
use service::meter::{
    Sql, Work,
    ledger::{Tick, WindowKey, Writes},
    store::{Known, Named, Store, Transaction},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

type Limits = Arc<HashMap<Uuid, (LimitId, Metric)>>;

/// The limits, by their subjects.
pub async fn limits(stage: &Stage) -> Limits {
    let rows = limit::Entity::find().all(&stage.system.db.reader).await.expect("limits");
    Arc::new(rows.into_iter().map(|row| (row.subject_id, (row.id, row.metric))).collect())
}

/// Pairs a second in batches of this size, by so many tasks that share the organizations between them.
pub async fn rate(
    stage: &Stage,
    (price, limits): (PriceId, &Limits),
    organizations: &[Organization],
    (size, tasks): (usize, usize),
    time: Duration,
) -> f64 {
    let begun = Instant::now();
    let parts = organizations.chunks(organizations.len().div_ceil(tasks));
    let running: Vec<_> = parts
        .map(|part| {
            let callers: Vec<Caller> = part.iter().flat_map(|made| callers(made, price)).collect();
            let sql = Sql { system: stage.system.clone(), work: Arc::new(Work::default()) };
            let batches = Batches { sql, limits: limits.clone(), callers, next: 0, size: size.div_ceil(2) };
            tokio::spawn(batches.run(begun + time))
        })
        .collect();
    let mut pairs = 0;
    for task in running {
        pairs += task.await.expect("batches");
    }
    f64::from(pairs) / begun.elapsed().as_secs_f64()
}

fn callers(made: &Organization, price: PriceId) -> impl Iterator<Item = Caller> {
    made.keys.iter().map(move |(key, _)| Caller { organization: made.id, team: made.team, key: *key, price })
}

struct Batches {
    sql: Sql,
    limits: Limits,
    callers: Vec<Caller>,
    next: usize,
    size: usize,
}

impl Batches {
    async fn run(mut self, end: Instant) -> u32 {
        let (mut pairs, mut open, mut versions) = (0, Vec::new(), BTreeMap::new());
        while Instant::now() < end {
            let settled = std::mem::take(&mut open);
            open = self.batch(&settled, &mut versions).await;
            pairs += u32::try_from(settled.len()).expect("a count");
        }
        pairs
    }

    async fn batch(
        &mut self,
        open: &[reservation::Model],
        versions: &mut BTreeMap<OrganizationId, i64>,
    ) -> Vec<reservation::Model> {
        let callers: Vec<Caller> = (0..self.size).map(|_| self.turn()).collect();
        let all = callers.iter().map(|caller| caller.organization);
        let homes: BTreeSet<_> = all.chain(open.iter().map(|row| row.organization_id)).collect();
        let mut tx = self.sql.begin().await.expect("a transaction");
        tx.lock(&homes).await.expect("the lock");
        let asked = homes.iter().copied().chain([OrganizationId::PLATFORM]);
        let known: Known = asked.map(|home| (home, versions.get(&home).copied())).collect();
        let moment = tx.heads(&known).await.expect("the heads");
        versions.extend(moment.heads.iter().map(|head| (head.organization, head.version)));
        let named: Named = open.iter().map(|row| (row.organization_id, row.id)).collect();
        if !named.is_empty() {
            tx.reservations(&named).await.expect("reservations");
        }
        let at = moment.now;
        let fresh: Vec<reservation::Model> =
            callers.iter().map(|caller| self.held(*caller, self.sql.id(at), at)).collect();
        let legs = || fresh.iter().chain(open).flat_map(|row| row.legs.0.iter().map(move |leg| (row, leg)));
        let keys: BTreeSet<WindowKey> = legs().map(|(_, leg)| WindowKey::of(leg)).collect();
        tx.windows(&keys).await.expect("windows");
        let windows: BTreeMap<WindowKey, limit_window::Model> =
            legs().map(|(row, leg)| (WindowKey::of(leg), window(row, leg))).collect();
        let settled: Vec<_> = open.iter().map(|row| rows::settled(row.clone(), at)).collect();
        let tick = Tick { last_t: at, next_release_at: None, ahead_until: None };
        let writes = Writes {
            windows: windows.into_values().collect(),
            events: settled.iter().map(|row| rows::event(row, at)).collect(),
            reservations: fresh.iter().cloned().chain(settled).collect(),
            heads: homes.into_iter().map(|home| (home, tick)).collect(),
            steps: Vec::new(),
            raws: Vec::new(),
        };
        tx.write(&writes).await.expect("the write");
        tx.commit().await.expect("the commit");
        fresh
    }

    fn turn(&mut self) -> Caller {
        self.next += 7_919;
        self.callers[self.next % self.callers.len()]
    }

    fn held(
        &self,
        caller: Caller,
        id: ReservationId,
        at: chrono::DateTime<chrono::Utc>,
    ) -> reservation::Model {
        let subjects = [caller.key.uuid(), caller.team.uuid(), caller.organization.uuid()];
        let leg = |subject| {
            let (limit, metric) = self.limits[&subject];
            rows::leg((limit, subject), metric, at)
        };
        rows::held(caller, id, subjects.map(leg).to_vec())
    }
}

fn window(row: &reservation::Model, leg: &Leg) -> limit_window::Model {
    let WindowKey { limit, subject, start } = WindowKey::of(leg);
    limit_window::Model {
        limit_id: limit,
        subject_id: subject,
        window_start: start,
        organization_id: row.organization_id,
        used: rows::used(leg),
        held: leg.held,
        adjusted: 0,
        would_deny: 0,
    }
}

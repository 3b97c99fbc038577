//! The meter: the one place that decides whether a virtual key may make a call, and that counts what calls use.
//!
//! Requests wait in a bounded queue; a task takes what waits and runs one transaction for all of it. Under the lock of the
//! organizations' heads it reads what has changed of their policy, the time, the reservations and windows concerned, decides
//! every request in memory, writes everything back in one statement and commits; only then it answers. Nobody else can write
//! what it decides on meanwhile, so limits hold to the unit, on any number of instances, and a change of an administrator is
//! in force when it is answered. What a task remembers between batches only saves reading again what has not changed.
//!
//! - `question.rs`, `command.rs`, `task.rs`: what is asked, and by whom; `facts.rs`: what decisions read of each table;
//! - `queue.rs`, `shard.rs`, `round.rs`: what waits, in turn, and the task that serves it, again if the database fails;
//! - `batch.rs`: one batch, from arrival to answer, over a `store.rs`; `sql/`: the real one; `contain.rs`: what a panic costs;
//! - `cache.rs`, `head.rs`: what is remembered, and when it may be trusted; `ahead.rs`: a clock that was wrong;
//! - `rule.rs`: the answer to each request, from pure parts: `names.rs` (all names of a call), `decide.rs` (the key and what
//!   is around it; `models.rs`),
//!   `estimate.rs` (the
//!   worst case), `limits.rs` (whether it fits), `opening.rs` (what it holds), `post.rs` (what was used, `stranger.rs`: by
//!   which model else), `ledger.rs` (windows and reservations), `raw.rs` (usage objects that are
//!   kept).

mod ahead;
mod batch;
mod cache;
mod code;
pub mod command;
mod contain;
mod decide;
mod estimate;
pub mod facts;
pub(crate) mod glob;
pub mod head;
pub mod ledger;
mod limits;
mod models;
mod names;
mod opening;
mod post;
mod question;
mod queue;
pub mod raw;
pub mod round;
mod rule;
mod shard;
mod sql;
pub mod store;
mod stranger;
mod task;
mod wanted;

pub use batch::Batch;
pub use cache::Cache;
pub use code::Code;
pub use contain::Failure;
pub use decide::{Check, Decision};
pub use estimate::{Estimate, Price};
pub use facts::{Facts, Key};
pub use glob::{fold, matches};
pub use limits::{Demand, Trouble, Verdict};
pub use models::ModelRule;
pub use opening::made;
pub use post::{terms_at, usage as usage_of};
pub use question::{Asker, Call, Gateway, Proof, Purpose, Question, Size};
pub use queue::Job;
pub use sql::{Sql, Within, bucket, dimensions};
pub use task::{Answer, Request, SPAN, Task};

use crate::{Error, Result, System};
use command::Command;
use entity::{
    gateway_token,
    id::{GatewayTokenId, KeyId, OrganizationId, ReservationId},
    reservation, virtual_key,
};
use moka::sync::Cache as Remembered;
use queue::Queue;
use sea_orm::{ColumnTrait, Condition, DatabaseBackend, EntityTrait, QueryFilter, QuerySelect};
use shard::Shard;
use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tracing::Span;

/// Tasks over one Postgres; on SQLite there is one writer.
const SHARDS: usize = 3;
/// The longest that a request waits for its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tokens and keys whose organizations are remembered.
const HOMES: u64 = 200_000;

/// What the meter has asked of the database so far.
#[derive(Debug, Default)]
pub struct Work {
    statements: AtomicU64,
    entries: AtomicU64,
    put_back: AtomicU64,
}

impl Work {
    /// Statements that were run.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Rows of policy that were read into memory.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Requests that waited apart, while what they depend on was loaded.
    pub fn put_back(&self) -> u64 {
        self.put_back.load(Ordering::Relaxed)
    }

    fn puts_back(&self, requests: usize) {
        self.put_back.fetch_add(requests as u64, Ordering::Relaxed);
        metrics::counter!("tollkeeper_meter_put_back_total").increment(requests as u64);
    }

    fn ran(&self, entries: usize) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        metrics::counter!("tollkeeper_meter_statements_total").increment(1);
        metrics::counter!("tollkeeper_meter_entries_total").increment(entries as u64);
    }
}

/// To which organization a token or a key belongs: that never changes.
#[derive(Debug, Clone)]
struct Homes {
    tokens: Remembered<GatewayTokenId, OrganizationId>,
    keys: Remembered<KeyId, OrganizationId>,
}

/// Closes the queues when the last handle is gone, which ends the tasks.
#[derive(Debug)]
struct Queues(Vec<Arc<Queue>>);

impl Drop for Queues {
    fn drop(&mut self) {
        self.0.iter().for_each(|queue| queue.close());
    }
}

/// Asks for decisions. Clones share the tasks.
#[derive(Debug, Clone)]
pub struct Meter {
    system: Arc<System>,
    queues: Arc<Queues>,
    homes: Homes,
    work: Arc<Work>,
}

impl Meter {
    /// Starts the tasks; they end when the last handle is gone, after everything that waits is answered.
    pub fn start(system: Arc<System>) -> Self {
        let work = Arc::new(Work::default());
        let shards = if system.db.backend() == DatabaseBackend::Postgres { SHARDS } else { 1 };
        let queues: Vec<Arc<Queue>> = (0..shards).map(|_| Arc::default()).collect();
        for queue in &queues {
            let shard = Shard { system: system.clone(), work: work.clone(), queue: queue.clone() };
            tokio::spawn(shard.supervise());
        }
        let homes = Homes { tokens: Remembered::new(HOMES), keys: Remembered::new(HOMES) };
        Self { system, queues: Arc::new(Queues(queues)), homes, work }
    }

    /// What the meter has asked of the database so far.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Asks a question without any effect.
    pub async fn ask(&self, question: Question) -> Result<Decision> {
        if question.needs_nothing() {
            return Ok(Decision::unknown(self.system.clock.local()));
        }
        match self.run(Task::Look(question)).await? {
            Answer::Decided(decision) => Ok(decision),
            _ => Err(Error::internal("a question was answered with an effect")),
        }
    }

    /// Carries out a command.
    pub async fn run(&self, task: Task) -> Result<Answer> {
        let home = self.home(&task).await?;
        if home != OrganizationId::PLATFORM {
            Span::current().record("organization", tracing::field::display(home));
        }
        let queue = self.queue(home)?;
        let (reply, answer) = oneshot::channel();
        queue.put(Job { request: Request::new(task, home), reply, since: Instant::now() })?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::internal("the batch was lost")),
            Err(_) => Err(Error::Overloaded),
        }
    }

    fn queue(&self, home: OrganizationId) -> Result<&Queue> {
        // The last bits of an id are random.
        let shard = home.uuid().as_u128() % self.queues.0.len().max(1) as u128;
        let queue = usize::try_from(shard).ok().and_then(|shard| self.queues.0.get(shard));
        queue.map(AsRef::as_ref).ok_or_else(|| Error::internal("the meter has no such task"))
    }

    /// Whose limits a task concerns: the organization of the gateway's token, or, for a gateway of the installation, that of
    /// the key or the reservation.
    pub(crate) async fn home(&self, task: &Task) -> Result<OrganizationId> {
        let key = task.question().and_then(|question| question.key.key());
        match task.asker() {
            Asker::Administrator(organization) => Ok(*organization),
            Asker::Key => self.home_of_key(key).await,
            Asker::Gateway(gateway) => {
                let own = self.home_of_token(gateway.id()).await?;
                match task {
                    _ if own != OrganizationId::PLATFORM => Ok(own),
                    Task::Do(
                        Command::Settle(naming, ..) | Command::Void(naming) | Command::Extend(naming, _),
                    ) => Ok(naming.organization),
                    Task::Look(_) | Task::Do(_) => self.home_of_key(key).await,
                }
            }
        }
    }

    async fn home_of_token(&self, id: GatewayTokenId) -> Result<OrganizationId> {
        let which = Condition::all().add(gateway_token::Column::Id.eq(id));
        let find = self.find::<gateway_token::Entity>(gateway_token::Column::OrganizationId, which);
        remembered(&self.homes.tokens, id, find).await
    }

    async fn home_of_key(&self, id: Option<KeyId>) -> Result<OrganizationId> {
        let Some(id) = id else { return Ok(OrganizationId::PLATFORM) };
        let which = Condition::all().add(virtual_key::Column::Id.eq(id));
        let find = self.find::<virtual_key::Entity>(virtual_key::Column::OrganizationId, which);
        remembered(&self.homes.keys, id, find).await
    }

    /// The organization of a reservation that a gateway of the installation made.
    pub(crate) async fn home_of_reservation(&self, id: ReservationId) -> Result<Option<OrganizationId>> {
        let made = reservation::Column::ByPlatform.eq(true);
        let which = Condition::all().add(reservation::Column::Id.eq(id)).add(made);
        let several = "reservations of this id are in several organizations: say which";
        match self.homes::<reservation::Entity>(reservation::Column::OrganizationId, which).await?.as_slice()
        {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ => Err(Error::invalid("/organization_id", "required", several)),
        }
    }

    /// The organization of the asking gateway's token.
    pub(crate) async fn home_of_gateway(&self, gateway: &Gateway) -> Result<OrganizationId> {
        self.home_of_token(gateway.id()).await
    }

    async fn find<E: EntityTrait>(
        &self,
        organization: E::Column,
        which: Condition,
    ) -> Result<Option<OrganizationId>> {
        Ok(self.homes::<E>(organization, which).await?.first().copied())
    }

    /// The organizations of what meets a condition, two at most.
    #[expect(clippy::disallowed_methods, reason = "no organization is known yet")]
    async fn homes<E: EntityTrait>(
        &self,
        organization: E::Column,
        which: Condition,
    ) -> Result<Vec<OrganizationId>> {
        let select = E::find().select_only().column(organization).filter(which).limit(2);
        self.work.ran(0);
        Ok(select.into_tuple::<OrganizationId>().all(&self.system.db.reader).await?)
    }
}

/// What is not there has no home and is not remembered: it may be made at any time.
async fn remembered<K>(
    known: &Remembered<K, OrganizationId>,
    id: K,
    find: impl Future<Output = Result<Option<OrganizationId>>>,
) -> Result<OrganizationId>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
{
    if let Some(home) = known.get(&id) {
        return Ok(home);
    }
    let Some(home) = find.await? else { return Ok(OrganizationId::PLATFORM) };
    known.insert(id, home);
    Ok(home)
}

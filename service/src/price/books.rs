//! The price books that are remembered. A book is trusted only if a head that was read after the call began says that
//! nothing of it has changed; else it is read anew, in one snapshot with the version that it is of. So a price, a model
//! or an alias is in force, on every instance, when the call that made it is answered.

use super::{
    book::{Binder, Book},
    resolve::Prices,
};
use crate::{
    Error, Result, System,
    head::PolicyKind,
    meter::head::{self, Head, Moment},
    repository::Scoped,
};
use chrono::{DateTime, Utc};
use entity::{id::OrganizationId, model, model_alias, org_head, organization, price, status::UnpricedPolicy};
use moka::{policy::EvictionPolicy, sync::Cache};
use sea_orm::{
    AccessMode, ColumnTrait, Condition, DatabaseBackend, DatabaseTransaction, EntityTrait, IsolationLevel,
    QueryFilter, QueryOrder, QuerySelect, TransactionOptions,
};
use std::{
    array,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Rows of all books that are remembered; a price with rates of its own takes a kilobyte.
const ROWS: u64 = 200_000;
/// Rows of one statement.
const PAGE: u64 = 1000;
/// Organizations whose books are read at a time.
const TURNS: usize = 64;

/// What is remembered of an organization, and what it is as of.
#[derive(Debug, Clone)]
struct Kept {
    book: Arc<Book>,
    unpriced_policy: UnpricedPolicy,
    version: i64,
    tag: i64,
    started: Option<DateTime<Utc>>,
    /// It was the newest there is at some moment after this.
    seen: Instant,
}

impl Kept {
    /// The same, if it holds at a moment.
    fn at(&self, moment: &Moment, head: &Head) -> Option<Self> {
        if self.started != moment.started {
            return None;
        }
        // Who waited for somebody else's reading, or was overtaken by it, may find what is newer than its own moment.
        if self.seen >= moment.began {
            return Some(self.clone());
        }
        let concerns = |kind: &PolicyKind| matches!(kind, PolicyKind::PriceBook | PolicyKind::Organization);
        let changes = head.changes_since(self.version, self.tag)?;
        let same = changes.iter().all(|(kind, _)| !concerns(kind));
        same.then(|| Self { version: head.version, tag: head.tag, seen: moment.began, ..self.clone() })
    }
}

/// What remembering books has cost so far.
#[derive(Debug, Default)]
pub struct Work {
    heads: AtomicU64,
    books: AtomicU64,
    rows: AtomicU64,
}

impl Work {
    /// Heads that were read.
    pub fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    /// Books that were read.
    pub fn books(&self) -> u64 {
        self.books.load(Ordering::Relaxed)
    }

    /// Rows of those books.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    fn read(&self, book: &Book) {
        self.books.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(book.rows() as u64, Ordering::Relaxed);
        metrics::counter!("tollkeeper_price_books_read_total").increment(1);
        metrics::counter!("tollkeeper_price_rows_read_total").increment(book.rows() as u64);
    }
}

/// The price books that are remembered.
#[derive(Debug)]
pub struct Books {
    kept: Cache<OrganizationId, Kept>,
    /// One reader an organization: who comes while a book is read waits for it.
    turns: [Mutex<()>; TURNS],
    work: Work,
}

impl Default for Books {
    fn default() -> Self {
        let weight =
            |_: &OrganizationId, kept: &Kept| u32::try_from(kept.book.rows() + 1).unwrap_or(u32::MAX);
        let kept = Cache::builder().max_capacity(ROWS).weigher(weight);
        Self {
            kept: kept.eviction_policy(EvictionPolicy::lru()).build(),
            turns: array::from_fn(|_| Mutex::default()),
            work: Work::default(),
        }
    }
}

impl Books {
    /// What remembering books has cost so far.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// The prices that hold for an organization now: at some moment after this was called.
    pub async fn now(&self, system: &System, organization: OrganizationId) -> Result<Prices> {
        let known = [OrganizationId::PLATFORM, organization].map(|id| (id, self.version(id)));
        let moment = head::read(&system.db.reader, &system.clock, &BTreeMap::from(known)).await?;
        self.work.heads.fetch_add(1, Ordering::Relaxed);
        self.at(system, &moment, organization).await
    }

    /// The version up to which an organization's log has been followed; who reads heads for others, too, reads on from it.
    pub(crate) fn version(&self, organization: OrganizationId) -> Option<i64> {
        self.kept.get(&organization).map(|kept| kept.version)
    }

    /// The prices that hold for an organization at a moment that was read, with its head and the platform's.
    pub(crate) async fn at(
        &self,
        system: &System,
        moment: &Moment,
        organization: OrganizationId,
    ) -> Result<Prices> {
        let platform = self.kept(system, moment, OrganizationId::PLATFORM).await?;
        let own = self.kept(system, moment, organization).await?;
        Ok(Prices {
            organization: own.book,
            platform: platform.book,
            unpriced_policy: own.unpriced_policy,
            now: moment.now,
        })
    }

    async fn kept(&self, system: &System, moment: &Moment, organization: OrganizationId) -> Result<Kept> {
        let head = moment.heads.iter().find(|head| head.organization == organization);
        let head = head.ok_or(Error::NotFound("organization"))?;
        if let Some(kept) = self.current(moment, head) {
            return Ok(kept);
        }
        let turn = organization.uuid().as_u128() % TURNS as u128;
        let _turn = self.turns[usize::try_from(turn).unwrap_or_default()].lock().await;
        if let Some(kept) = self.current(moment, head) {
            return Ok(kept);
        }
        let kept = read(system, moment, organization).await?;
        self.work.read(&kept.book);
        self.kept.insert(organization, kept.clone());
        Ok(kept)
    }

    /// What is remembered, if it holds; it is remembered as of the new head then.
    fn current(&self, moment: &Moment, head: &Head) -> Option<Kept> {
        let kept = self.kept.get(&head.organization)?;
        let current = kept.at(moment, head)?;
        if current.version != kept.version {
            self.kept.insert(head.organization, current.clone());
        }
        Some(current)
    }
}

/// Reads a book and its version in one snapshot.
async fn read(system: &System, moment: &Moment, organization: OrganizationId) -> Result<Kept> {
    let seen = Instant::now();
    let reader = Reader { tx: snapshot(system).await?, organization };
    let (version, tag) = reader.head().await?;
    let unpriced_policy = reader.unpriced_policy().await?;
    let mut binder = Binder::default();
    reader.rows::<price::Entity>(|row| binder.price(row)).await?;
    reader.rows::<model::Entity>(|row| binder.model(row)).await?;
    reader.rows::<model_alias::Entity>(|row| binder.alias(row)).await?;
    // It has changed nothing.
    reader.tx.rollback().await?;
    let book = Arc::new(binder.finish(organization));
    Ok(Kept { book, unpriced_policy, version, tag, started: moment.started, seen })
}

/// A transaction that sees one state of the database; a reading transaction on SQLite is one by nature.
async fn snapshot(system: &System) -> Result<DatabaseTransaction> {
    let postgres = system.db.backend() == DatabaseBackend::Postgres;
    let options = TransactionOptions {
        isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
        access_mode: postgres.then_some(AccessMode::ReadOnly),
        sqlite_transaction_mode: None,
    };
    Ok(system.db.reader.begin_with_options(options).await?)
}

/// Reads what belongs to one organization.
struct Reader {
    tx: DatabaseTransaction,
    organization: OrganizationId,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a book is the same for everybody in its scope, whoever asks first"
)]
impl Reader {
    async fn head(&self) -> Result<(i64, i64)> {
        let select = org_head::Entity::find_by_id(self.organization);
        let head = select.one(&self.tx).await?.ok_or(Error::NotFound("organization"))?;
        Ok((head.policy_version, head.tag))
    }

    async fn unpriced_policy(&self) -> Result<UnpricedPolicy> {
        let select = organization::Entity::find_by_id(self.organization);
        let row = select.one(&self.tx).await?.ok_or(Error::NotFound("organization"))?;
        Ok(row.unpriced_policy)
    }

    /// Every row of a table, a page at a time.
    async fn rows<E: Scoped>(&self, mut take: impl FnMut(E::Model)) -> Result<()>
    where
        E::Model: Sync,
    {
        let mut last = Uuid::nil();
        loop {
            let own = E::ORGANIZATION.map(|column| column.eq(self.organization.uuid()));
            let select = E::find().filter(Condition::all().add_option(own).add(E::ID.gt(last)));
            let page = select.order_by_asc(E::ID).limit(PAGE).all(&self.tx).await?;
            let more = page.last().filter(|_| page.len() as u64 == PAGE).map(|row| E::id_of(row).into());
            page.into_iter().for_each(&mut take);
            let Some(id) = more else { return Ok(()) };
            last = id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn kept(seen: Instant) -> Kept {
        Kept {
            book: Arc::default(),
            unpriced_policy: UnpricedPolicy::Refuse,
            version: 10,
            tag: 7,
            started: None,
            seen,
        }
    }

    fn head(version: i64, changes: &[PolicyKind]) -> Head {
        let changes = changes.iter().map(|kind| (*kind, Uuid::nil())).collect();
        Head {
            organization: OrganizationId::PLATFORM,
            version,
            tag: 8,
            floor: 0,
            since: 10,
            changes,
            last_t: DateTime::UNIX_EPOCH,
            next_release_at: None,
            ahead_until: None,
        }
    }

    fn moment(began: Instant) -> Moment {
        Moment { began, now: DateTime::UNIX_EPOCH, started: None, heads: Vec::new() }
    }

    #[test]
    fn a_book_holds_until_the_log_names_it() {
        let before = Instant::now();
        let after = before + Duration::from_secs(1);
        let holds = |head: &Head| kept(before).at(&moment(after), head);
        let other = holds(&head(12, &[PolicyKind::Key, PolicyKind::Team])).unwrap();
        assert_eq!((other.version, other.tag, other.seen), (12, 8, after), "it is followed");
        for kind in [PolicyKind::PriceBook, PolicyKind::Organization, PolicyKind::All] {
            assert!(holds(&head(11, &[kind])).is_none(), "{kind:?}");
        }
        assert!(holds(&head(10, &[])).is_none(), "another tag");
        assert!(holds(&head(9, &[])).is_none(), "another past");
    }

    #[test]
    fn what_was_seen_after_a_moment_holds_at_it() {
        let before = Instant::now();
        let after = before + Duration::from_secs(1);
        let overtaken = head(9, &[PolicyKind::PriceBook]);
        assert_eq!(kept(after).at(&moment(before), &overtaken).unwrap().version, 10);
        let anew = Moment { started: Some(DateTime::UNIX_EPOCH), ..moment(before) };
        assert!(kept(after).at(&anew, &overtaken).is_none(), "the database was started anew");
    }
}

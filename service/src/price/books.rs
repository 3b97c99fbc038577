//! The price books that are remembered. A book is trusted only if a head that was read after the call began says that
//! nothing of it has changed. Else the rows that the policy log names are read, in one snapshot with the log, and the book
//! is edited; a book that is not known, or too far behind, is read as a whole. So a price, a model or an alias is in force,
//! on every instance, when the call that made it is answered, and costs as much as it is.

use super::{book::Book, reader, resolve::Prices};
use crate::{
    Error, Result, System,
    head::PolicyKind,
    meter::head::{self, Head, Moment},
};
use chrono::{DateTime, Utc};
use entity::{
    id::OrganizationId,
    status::{PriceGuess, UnpricedPolicy},
};
use moka::{policy::EvictionPolicy, sync::Cache};
use std::{
    array,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use tokio::sync::{Mutex, Semaphore};

/// Bytes that the books take which are remembered, about.
const MEMORY: u64 = 256 << 20;
/// A book is remembered however large it is: without it, every decision of its organization would read it again.
const LARGEST: u64 = MEMORY / 4;
/// Organizations that wait apart for their books.
const TURNS: usize = 64;
/// Books that are read at a time, so that decisions find connections free.
const READERS: usize = 4;

/// What is remembered of an organization, and what it is as of.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) book: Arc<Book>,
    pub(super) unpriced_policy: UnpricedPolicy,
    pub(super) price_guess: PriceGuess,
    pub(super) version: i64,
    pub(super) tag: i64,
    pub(super) started: Option<DateTime<Utc>>,
    /// It was the newest there is at some moment after this.
    pub(super) seen: Instant,
}

/// Whether a change in the log is one of what is remembered here.
fn concerns(kind: PolicyKind) -> bool {
    kind.is_book() || matches!(kind, PolicyKind::Organization)
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
        let changes = head.changes_since(self.version, self.tag)?;
        let same = changes.iter().all(|(kind, _)| !concerns(*kind));
        same.then(|| Self { version: head.version, tag: head.tag, seen: moment.began, ..self.clone() })
    }
}

/// What remembering books has cost so far.
#[derive(Debug, Default)]
pub struct Work {
    heads: AtomicU64,
    books: AtomicU64,
    edits: AtomicU64,
    rows: AtomicU64,
}

impl Work {
    /// Heads that were read.
    pub fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    /// Books that were read as a whole.
    pub fn books(&self) -> u64 {
        self.books.load(Ordering::Relaxed)
    }

    /// Books of which what had changed was read.
    pub fn edits(&self) -> u64 {
        self.edits.load(Ordering::Relaxed)
    }

    /// Rows that were read for either.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Counts a book that was read, as a whole or in part.
    pub(super) fn read(&self, whole: bool, rows: usize) {
        let books = if whole { &self.books } else { &self.edits };
        books.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        let extent = if whole { "whole" } else { "changes" };
        metrics::counter!("tollkeeper_price_books_read_total", "extent" => extent).increment(1);
        metrics::counter!("tollkeeper_price_rows_read_total").increment(rows as u64);
    }
}

/// The price books that are remembered.
#[derive(Debug)]
pub struct Books {
    kept: Cache<OrganizationId, Kept>,
    /// One reader an organization: who comes while a book is read waits for it.
    turns: [Mutex<()>; TURNS],
    readers: Semaphore,
    work: Work,
}

impl Default for Books {
    fn default() -> Self {
        let weight = |_: &OrganizationId, kept: &Kept| {
            let bytes = (kept.book.weight() as u64).min(LARGEST);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(MEMORY).weigher(weight);
        Self {
            kept: kept.eviction_policy(EvictionPolicy::lru()).build(),
            turns: array::from_fn(|_| Mutex::default()),
            readers: Semaphore::new(READERS),
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
        for id in [OrganizationId::PLATFORM, organization] {
            self.prepare(system, &moment, id).await?;
        }
        self.at(system, &moment, organization).await
    }

    /// Reads a book, if it has to be read: one reader an organization, and some at a time.
    async fn prepare(&self, system: &System, moment: &Moment, organization: OrganizationId) -> Result<()> {
        let head = moment.heads.iter().find(|head| head.organization == organization);
        let head = head.ok_or(Error::NotFound("organization"))?;
        if self.current(moment, head).is_some() {
            return Ok(());
        }
        let turn = organization.uuid().as_u128() % TURNS as u128;
        let _turn = self.turns[usize::try_from(turn).unwrap_or_default()].lock().await;
        if self.current(moment, head).is_some() {
            return Ok(());
        }
        let _reader = self.readers.acquire().await.map_err(Error::internal)?;
        self.kept(system, moment, organization).await.map(drop)
    }

    /// The version up to which an organization's log has been followed; who reads heads for others, too, reads on from it.
    pub(crate) fn version(&self, organization: OrganizationId) -> Option<i64> {
        self.kept.get(&organization).map(|kept| kept.version)
    }

    /// The prices that hold for an organization at a moment that was read, with its head and the platform's. Whoever asks
    /// may hold a lock, and never waits for another reader.
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
            price_guess: own.price_guess,
            now: moment.now,
        })
    }

    /// The same, if nothing has to be read for it.
    pub(crate) fn remembered(&self, moment: &Moment, organization: OrganizationId) -> Option<Prices> {
        let current = |id| {
            let head = moment.heads.iter().find(|head| head.organization == id)?;
            self.current(moment, head)
        };
        let (platform, own) = (current(OrganizationId::PLATFORM)?, current(organization)?);
        Some(Prices {
            organization: own.book,
            platform: platform.book,
            unpriced_policy: own.unpriced_policy,
            price_guess: own.price_guess,
            now: moment.now,
        })
    }

    async fn kept(&self, system: &System, moment: &Moment, organization: OrganizationId) -> Result<Kept> {
        let head = moment.heads.iter().find(|head| head.organization == organization);
        let head = head.ok_or(Error::NotFound("organization"))?;
        if let Some(kept) = self.current(moment, head) {
            return Ok(kept);
        }
        let kept = reader::read(system, organization, self.kept.get(&organization), &self.work).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    fn kept(seen: Instant) -> Kept {
        Kept {
            book: Arc::default(),
            unpriced_policy: UnpricedPolicy::Refuse,
            price_guess: PriceGuess::Flag,
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
        let of_books = [PolicyKind::PriceBook, PolicyKind::Price, PolicyKind::Model, PolicyKind::ModelAlias];
        for kind in of_books.into_iter().chain([PolicyKind::Organization, PolicyKind::All]) {
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

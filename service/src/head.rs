//! The head row of an organization: the one lock that its audit chain and its policy version grow under. It is taken
//! last in a transaction, just before commit, so that a slow edit never stalls decisions.

use crate::{
    Ctx, Error, Result,
    audit::{self, Draft},
};
use chrono::{DateTime, Utc};
use entity::{id::OrganizationId, org_head, policy_log};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::LockType,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};
use uuid::Uuid;

/// Versions that the policy log keeps; an instance that is further behind drops everything it knows.
const LOG_KEPT: i64 = 4096;
/// Changes of one transaction that are listed one by one; more are one `all`.
const LISTED: usize = 256;

/// Places in a queue; organizations that share one wait for each other for no reason, and not for long.
const QUEUES: usize = 64;
/// How long a unit waits for those before it in this process, within a transaction that may be idle for a second. Beyond that it
/// goes on: nothing depends on the queue for being right.
const TURN: Duration = Duration::from_millis(600);

/// The turn of a unit; it ends with this.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// The units of this process that are about to lock a head, one at a time for each organization. A process that is stopped keeps
/// what it holds until the database ends its transaction; were several of its units in the database's queue, each of them would
/// hold the head for as long, one after another.
#[derive(Debug)]
pub struct Heads([Arc<Mutex<()>>; QUEUES]);

impl Default for Heads {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl Heads {
    /// Waits for the turn; it ends with what is returned.
    pub(crate) async fn turn(&self, organization: OrganizationId) -> Option<Turn> {
        let place = organization.uuid().as_u128() % QUEUES as u128;
        let queue = self.0.get(usize::try_from(place).unwrap_or(0))?;
        timeout(TURN, queue.clone().lock_owned()).await.ok()
    }
}

/// What a policy cache calls the things that decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// Too many to list.
    All,
    /// The organization itself.
    Organization,
    /// A team.
    Team,
    /// A membership, by its user.
    Member,
    /// A person's account (in the platform's log).
    User,
    /// A service account.
    ServiceAccount,
    /// A virtual key or its secrets.
    Key,
    /// A gateway token.
    GatewayToken,
    /// The price book: prices, models and aliases, many of them.
    PriceBook,
    /// One price.
    Price,
    /// One model.
    Model,
    /// One alias of a model.
    ModelAlias,
    /// The limits of a subject, remembered as a set.
    Limits,
    /// A provider connection and its credentials.
    Connection,
}

impl PolicyKind {
    const WORDS: [(Self, &'static str); 14] = [
        (Self::All, "all"),
        (Self::Organization, "organization"),
        (Self::Team, "team"),
        (Self::Member, "member"),
        (Self::User, "user"),
        (Self::ServiceAccount, "service_account"),
        (Self::Key, "key"),
        (Self::GatewayToken, "gateway_token"),
        (Self::PriceBook, "price_book"),
        (Self::Price, "price"),
        (Self::Model, "model"),
        (Self::ModelAlias, "model_alias"),
        (Self::Limits, "limits"),
        (Self::Connection, "connection"),
    ];

    /// Whether it is in the price book, or all of it.
    pub(crate) fn is_book(self) -> bool {
        matches!(self, Self::PriceBook | Self::Price | Self::Model | Self::ModelAlias)
    }

    /// Whether it is a set, or in one, that is remembered together: one more row changes it.
    pub(crate) fn is_set(self) -> bool {
        self == Self::Limits || self.is_book()
    }

    /// The word in the log.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(kind, _)| *kind == self).map_or("all", |(_, word)| word)
    }

    /// The kind behind a word; a word of a newer release means everything.
    pub fn from_word(word: &str) -> Self {
        Self::WORDS.iter().find(|(_, w)| *w == word).map_or(Self::All, |(kind, _)| *kind)
    }
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) organization: OrganizationId,
    pub(crate) kind: PolicyKind,
    pub(crate) subject: Uuid,
}

/// Makes the head row of a new organization.
#[expect(clippy::disallowed_methods, reason = "head rows are written here only")]
pub(crate) async fn open<C: ConnectionTrait>(db: &C, organization: OrganizationId, tag: i64) -> Result<()> {
    let head = org_head::ActiveModel {
        organization_id: Set(organization),
        policy_version: Set(0),
        tag: Set(tag),
        log_floor: Set(0),
        audit_seq: Set(0),
        audit_hash: Set(vec![0; 32]),
        ..Default::default()
    };
    org_head::Entity::insert(head).exec_without_returning(db).await?;
    Ok(())
}

/// Locks the heads concerned, in order, and appends the audit events and the policy changes.
pub(crate) async fn append<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    now: DateTime<Utc>,
    drafts: Vec<Draft>,
    changes: Vec<Change>,
) -> Result<()> {
    let organizations: BTreeSet<OrganizationId> =
        drafts.iter().map(|draft| draft.organization).chain(changes.iter().map(|c| c.organization)).collect();
    for organization in organizations {
        let head = lock(db, organization).await?;
        let mine = drafts.iter().filter(|draft| draft.organization == organization);
        let (seq, hash) = audit::append(ctx, db, &head, now, mine).await?;
        let mut next =
            org_head::ActiveModel { audit_seq: Set(seq), audit_hash: Set(hash), ..Default::default() };
        let mine: BTreeSet<&Change> = changes.iter().filter(|c| c.organization == organization).collect();
        if !mine.is_empty() {
            let version = head.policy_version + 1;
            log(db, version, organization, &mine).await?;
            next.policy_version = Set(version);
            next.tag = Set(i64::from_be_bytes(ctx.system.entropy.bytes()));
            if version % 256 == 0 {
                next.log_floor = Set(prune(db, organization, version).await?.max(head.log_floor));
            }
        }
        save(db, organization, next).await?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "head rows are read here only")]
pub(crate) async fn lock<C: ConnectionTrait>(
    db: &C,
    organization: OrganizationId,
) -> Result<org_head::Model> {
    org_head::Entity::find()
        .filter(org_head::Column::OrganizationId.eq(organization))
        .lock(LockType::NoKeyUpdate)
        .one(db)
        .await?
        .ok_or_else(|| Error::internal("an organization without a head"))
}

#[expect(clippy::disallowed_methods, reason = "head rows are written here only")]
async fn save<C: ConnectionTrait>(
    db: &C,
    organization: OrganizationId,
    next: org_head::ActiveModel,
) -> Result<()> {
    let update = org_head::Entity::update_many().set(next);
    update.filter(org_head::Column::OrganizationId.eq(organization)).exec(db).await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the policy log is written here only")]
async fn log<C: ConnectionTrait>(
    db: &C,
    version: i64,
    organization: OrganizationId,
    changes: &BTreeSet<&Change>,
) -> Result<()> {
    let listed = listed(organization, changes);
    for chunk in listed.chunks(64).enumerate().map(|(i, chunk)| {
        chunk.iter().enumerate().map(move |(j, change)| policy_log::ActiveModel {
            organization_id: Set(organization),
            version: Set(version),
            n: Set(i32::try_from(i * 64 + j).unwrap_or(i32::MAX)),
            kind: Set(change.kind.word().to_owned()),
            subject: Set(change.subject),
        })
    }) {
        policy_log::Entity::insert_many(chunk).exec_without_returning(db).await?;
    }
    Ok(())
}

/// What the log lists: each change, or, where those are many, that the whole book has changed, or everything.
fn listed(organization: OrganizationId, changes: &BTreeSet<&Change>) -> Vec<Change> {
    let whole = |kind| Change { organization, kind, subject: Uuid::nil() };
    let (book, others): (Vec<Change>, Vec<Change>) =
        changes.iter().copied().cloned().partition(|change| change.kind.is_book());
    // The book takes a line of its own.
    if others.len() + usize::from(!book.is_empty()) > LISTED {
        return vec![whole(PolicyKind::All)];
    }
    let many = book.len() + others.len() > LISTED;
    let book = if many { vec![whole(PolicyKind::PriceBook)] } else { book };
    book.into_iter().chain(others).collect()
}

#[expect(clippy::disallowed_methods, reason = "the policy log is pruned here only")]
async fn prune<C: ConnectionTrait>(db: &C, organization: OrganizationId, version: i64) -> Result<i64> {
    let floor = version - LOG_KEPT;
    policy_log::Entity::delete_many()
        .filter(policy_log::Column::OrganizationId.eq(organization))
        .filter(policy_log::Column::Version.lte(floor))
        .exec(db)
        .await?;
    Ok(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(changes: &[(PolicyKind, usize)]) -> Vec<(PolicyKind, usize)> {
        let organization = OrganizationId::PLATFORM;
        let change = |kind, n: usize| Change { organization, kind, subject: Uuid::from_u128(n as u128) };
        let all: Vec<Change> =
            changes.iter().flat_map(|(kind, count)| (0..*count).map(|n| change(*kind, n))).collect();
        let mut counts = std::collections::BTreeMap::new();
        for change in listed(organization, &all.iter().collect()) {
            *counts.entry(change.kind).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    #[test]
    fn many_changes_of_a_book_are_told_as_one() {
        use PolicyKind::*;
        assert_eq!(kinds(&[(Price, 200), (Key, 56)]), [(Key, 56), (Price, 200)]);
        assert_eq!(kinds(&[(Price, 200), (Model, 57)]), [(PriceBook, 1)]);
        assert_eq!(kinds(&[(Price, 100_000), (Key, 255)]), [(Key, 255), (PriceBook, 1)]);
        assert_eq!(kinds(&[(Price, 1), (Key, 256)]), [(All, 1)]);
        assert_eq!(kinds(&[(Key, 257)]), [(All, 1)]);
    }

    #[test]
    fn word_of_a_newer_release_means_everything() {
        for (kind, word) in PolicyKind::WORDS {
            assert_eq!((kind.word(), PolicyKind::from_word(word)), (word, kind));
        }
        assert_eq!(PolicyKind::from_word("something new"), PolicyKind::All);
    }

    #[tokio::test]
    async fn the_units_of_an_organization_take_turns() {
        let heads = Heads::default();
        let first = heads.turn(OrganizationId::PLATFORM).await;
        assert!(first.is_some());
        // Nobody waits for ever.
        assert!(heads.turn(OrganizationId::PLATFORM).await.is_none());
        drop(first);
        assert!(heads.turn(OrganizationId::PLATFORM).await.is_some());
    }
}

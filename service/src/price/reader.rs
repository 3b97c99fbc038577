//! Reads a book, or what has changed of it, in one snapshot with the policy log that says so.

use super::{
    book::{Binder, Book, Edits},
    books::{Kept, Work},
};
use crate::{Error, Result, System, head::PolicyKind, meter::head, repository::Scoped};
use entity::{
    id::{ModelAliasId, ModelId, OrganizationId, PriceId},
    model, model_alias, organization, price,
    status::{PriceGuess, UnpricedPolicy},
};
use sea_orm::{
    AccessMode, ColumnTrait, Condition, DatabaseBackend, DatabaseTransaction, EntityTrait, IsolationLevel,
    QueryFilter, QueryOrder, QuerySelect, TransactionOptions,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use uuid::Uuid;

/// Rows of one statement: as many as are understood in some milliseconds, in which a thread does nothing else.
const PAGE: u64 = 250;
/// Rows that are looked up by their ids in one statement.
const NAMED: usize = 256;
/// Changed rows up to which a small book, too, is edited and not read again.
const FEW: usize = 1000;

/// What has changed of a book.
#[derive(Debug, Default)]
struct Changes {
    prices: BTreeSet<Uuid>,
    models: BTreeSet<Uuid>,
    aliases: BTreeSet<Uuid>,
    policy: bool,
}

impl Changes {
    /// What a log says, if that is less than the whole book.
    fn of(log: &[(PolicyKind, Uuid)], rows: usize) -> Option<Self> {
        let mut changes = Self::default();
        for (kind, subject) in log {
            match kind {
                PolicyKind::PriceBook | PolicyKind::All => return None,
                PolicyKind::Price => drop(changes.prices.insert(*subject)),
                PolicyKind::Model => drop(changes.models.insert(*subject)),
                PolicyKind::ModelAlias => drop(changes.aliases.insert(*subject)),
                PolicyKind::Organization => changes.policy = true,
                _ => {}
            }
        }
        let count = changes.prices.len() + changes.models.len() + changes.aliases.len();
        (count <= FEW.max(rows / 4)).then_some(changes)
    }
}

/// Reads a book, from what is known of it on.
pub(super) async fn read(
    system: &System,
    organization: OrganizationId,
    known: Option<Kept>,
    work: &Work,
) -> Result<Kept> {
    let reader = Reader { tx: snapshot(system).await?, organization };
    let version = known.as_ref().map(|kept| kept.version);
    let moment = head::read(&reader.tx, &system.clock, &BTreeMap::from([(organization, version)])).await?;
    let head = moment.heads.first().ok_or(Error::NotFound("organization"))?;
    let known = known.filter(|kept| kept.started == moment.started);
    let changed = known.as_ref().and_then(|kept| {
        let log = head.changes_since(kept.version, kept.tag)?;
        Changes::of(log, kept.book.rows())
    });
    let (book, (unpriced_policy, price_guess)) = if let Some((kept, changes)) = known.zip(changed) {
        let edits = reader.edits(&changes).await?;
        work.read(false, edits.len() + usize::from(changes.policy));
        let book = if edits.is_empty() { kept.book } else { Arc::new(kept.book.edited(edits)) };
        let policy =
            if changes.policy { reader.policies().await? } else { (kept.unpriced_policy, kept.price_guess) };
        (book, policy)
    } else {
        let (book, policy) = (reader.book().await?, reader.policies().await?);
        work.read(true, book.rows());
        (Arc::new(book), policy)
    };
    let (version, tag) = (head.version, head.tag);
    reader.tx.rollback().await?;
    Ok(Kept { book, unpriced_policy, price_guess, version, tag, started: moment.started, seen: moment.began })
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
    /// What the organization decided about calls without a price, and about prices that are guessed.
    async fn policies(&self) -> Result<(UnpricedPolicy, PriceGuess)> {
        let select = organization::Entity::find_by_id(self.organization);
        let row = select.one(&self.tx).await?.ok_or(Error::NotFound("organization"))?;
        Ok((row.unpriced_policy, row.price_guess))
    }

    async fn book(&self) -> Result<Book> {
        let mut binder = Binder::default();
        self.rows::<price::Entity>(|row| binder.price(row)).await?;
        self.rows::<model::Entity>(|row| binder.model(row)).await?;
        self.rows::<model_alias::Entity>(|row| binder.alias(row)).await?;
        Ok(binder.finish(self.organization))
    }

    async fn edits(&self, changes: &Changes) -> Result<Edits> {
        Ok(Edits {
            prices: self.named::<price::Entity, _>(&changes.prices, PriceId::new).await?,
            models: self.named::<model::Entity, _>(&changes.models, ModelId::new).await?,
            aliases: self.named::<model_alias::Entity, _>(&changes.aliases, ModelAliasId::new).await?,
        })
    }

    fn own<E: Scoped>(&self) -> Condition {
        Condition::all().add_option(E::ORGANIZATION.map(|column| column.eq(self.organization.uuid())))
    }

    /// Every row of a table, a page at a time.
    async fn rows<E: Scoped>(&self, mut take: impl FnMut(E::Model)) -> Result<()>
    where
        E::Model: Sync,
    {
        let mut last = Uuid::nil();
        loop {
            let select = E::find().filter(self.own::<E>().add(E::ID.gt(last)));
            let page = select.order_by_asc(E::ID).limit(PAGE).all(&self.tx).await?;
            let more = page.last().filter(|_| page.len() as u64 == PAGE).map(|row| E::id_of(row).into());
            page.into_iter().for_each(&mut take);
            let Some(id) = more else { return Ok(()) };
            last = id;
            // What waits on this thread is not kept waiting by a large book.
            tokio::task::yield_now().await;
        }
    }

    /// The rows with these ids; one that is not there is none.
    async fn named<E: Scoped, I>(
        &self,
        ids: &BTreeSet<Uuid>,
        id: impl Fn(Uuid) -> I,
    ) -> Result<Vec<(I, Option<E::Model>)>>
    where
        E::Model: Sync,
    {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let mut found: HashMap<Uuid, E::Model> = HashMap::new();
        for some in ids.chunks(NAMED) {
            let which = self.own::<E>().add(E::ID.is_in(some.iter().copied()));
            let rows = E::find().filter(which).all(&self.tx).await?;
            found.extend(rows.into_iter().map(|row| -> (Uuid, E::Model) { (E::id_of(&row).into(), row) }));
        }
        Ok(ids.into_iter().map(|one| (id(one), found.remove(&one))).collect())
    }
}

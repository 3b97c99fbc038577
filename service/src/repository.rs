//! One generic repository: every read and write is filtered by organization and by the caller's reach, and every
//! write is optimistic, audited and noted for the policy caches. There is no other way to a tenant's rows.

use crate::{
    Ctx, Error, Result,
    error::Kind,
    head::PolicyKind,
    page::{Page, PageRequest},
    scope::Reach,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, PartialModelTrait, QueryFilter,
    QueryOrder, QuerySelect, Select, TryGetableMany, Value,
    sea_query::{Expr, LockType, SimpleExpr},
};
use std::{fmt::Display, marker::PhantomData};
use uuid::Uuid;

mod alphabet;
mod offered;
mod queue;
mod timeline;
mod writer;

pub use offered::Offered;
use queue::Queue;
pub use writer::Writer;

/// A table that is reached through the repository.
pub trait Scoped: EntityTrait {
    /// Its identifier within the organization.
    type Id: Copy + Into<Value> + Into<Uuid> + Display + Send + Sync;
    /// What a row is called.
    const KIND: Kind;
    /// What the policy caches call it; none if no decision depends on it.
    const POLICY: Option<PolicyKind>;
    /// Whether rows are held by those who depend on them, as the owner of a key is: then whoever locks one queues up.
    const HELD: bool = matches!(
        Self::POLICY,
        Some(
            PolicyKind::Organization
                | PolicyKind::Team
                | PolicyKind::Member
                | PolicyKind::User
                | PolicyKind::ServiceAccount
        )
    );
    /// The tenant's column; none for the platform's own tables.
    const ORGANIZATION: Option<Self::Column>;
    /// The identifier's column; lists are ordered by it.
    const ID: Self::Column;
    /// Which of the rows that have one identifier, where several may; lists are ordered by it, too.
    const PART: Option<Self::Column> = None;

    /// The identifier of a row.
    fn id_of(row: &Self::Model) -> Self::Id;
    /// Which of the rows that have its identifier a row is.
    fn part_of(_row: &Self::Model) -> u32 {
        0
    }
    /// What the policy caches call a row by: itself, or the thing whose set it is in.
    fn concerns(row: &Self::Model) -> Uuid {
        Self::id_of(row).into()
    }
    /// Columns that tell who a person is. The audit log leaves them out, so that erasing a person breaks no chain.
    fn is_personal(_column: &Self::Column) -> bool {
        false
    }
    /// Whether a column stands in every audit event of a change, as the row is found by it as well.
    fn is_always_told(_column: &Self::Column) -> bool {
        false
    }
    /// Rows that are not deleted.
    fn live() -> Condition {
        Condition::all()
    }
    /// Rows within a limited reach; none unless the table says otherwise.
    fn within(_teams: &[entity::id::TeamId], _user: Option<entity::id::UserId>) -> Condition {
        Condition::all().add(Expr::cust("1 = 0"))
    }
}

/// A table whose rows are edited under optimistic locking.
pub trait Versioned: Scoped {
    /// The version's column.
    const VERSION: Self::Column;
    /// The column of the last change.
    const UPDATED_AT: Self::Column;
    /// The column of the creation.
    const CREATED_AT: Self::Column;
    /// The version of a row.
    fn version_of(row: &Self::Model) -> i64;
}

/// A table whose deleted rows can still be read, for their history. Nothing changes them any more.
pub trait Archived: Scoped {}

/// What is shown of a row: it selects its own columns and no others.
pub trait View: FromQueryResult + PartialModelTrait + Send + Sync {
    /// The table it is a view of.
    type Entity: Scoped;
    /// The identifier of the row, where the next page continues.
    fn cursor(&self) -> Uuid;
}

/// Which version a change applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The caller stated it (`If-Match`).
    Stated(i64),
    /// The call read it.
    Read(i64),
}

impl Expected {
    /// The caller's version, checked against the row as read; without one, the row's own.
    pub fn new(stated: Option<i64>, current: i64) -> Result<Self> {
        match stated {
            Some(version) if version != current => Err(Error::VersionConflict { current, stated: true }),
            Some(version) => Ok(Self::Stated(version)),
            None => Ok(Self::Read(current)),
        }
    }

    /// The caller's version, which must be stated, checked against the row as read.
    pub fn stated(stated: Option<i64>, current: i64) -> Result<Self> {
        stated.ok_or(Error::VersionMissing).and_then(|version| Self::new(Some(version), current))
    }

    fn check(self, current: i64) -> Result<()> {
        let (version, stated) = match self {
            Self::Stated(version) => (version, true),
            Self::Read(version) => (version, false),
        };
        if version == current { Ok(()) } else { Err(Error::VersionConflict { current, stated }) }
    }
}

/// Reads rows of `E` in one scope.
#[derive(Debug)]
pub struct Repository<'a, E, C> {
    conn: &'a C,
    ctx: &'a Ctx,
    narrowed: Condition,
    /// The platform's rows beside the scope's: none but for tables that are [`Offered`].
    offered: Option<Condition>,
    /// Whether deleted rows are there, too: of no table but those that are [`Archived`].
    archived: bool,
    entity: PhantomData<fn() -> E>,
}

impl<'a, E: Scoped, C: ConnectionTrait> Repository<'a, E, C> {
    pub(crate) fn new(conn: &'a C, ctx: &'a Ctx) -> Self {
        Self { conn, ctx, narrowed: Condition::all(), offered: None, archived: false, entity: PhantomData }
    }

    /// The same repository, narrowed to rows that meet a condition (the members of one team).
    #[must_use]
    pub fn narrow(mut self, condition: SimpleExpr) -> Self {
        self.narrowed = self.narrowed.add(condition);
        self
    }

    /// Every row in scope. All other functions start here.
    #[expect(clippy::disallowed_methods, reason = "the scope is put on here, once for all")]
    fn select(&self) -> Select<E> {
        let own = reach::<E>(self.ctx).add_option((!self.archived).then(E::live));
        let within = Condition::any().add(own).add_option(self.offered.clone());
        E::find().filter(within).filter(self.narrowed.clone())
    }

    fn by_id(&self, id: E::Id) -> Select<E> {
        self.select().filter(E::ID.eq(id))
    }

    /// The row; another organization's, a deleted one, or one outside the reach is not found.
    pub async fn find(&self, id: E::Id) -> Result<E::Model> {
        self.by_id(id).one(self.conn).await?.ok_or(Error::NotFound(E::KIND))
    }

    /// The row, locked until the transaction ends, for a decision that depends on it. Use it in a unit only.
    pub async fn lock(&self, id: E::Id) -> Result<E::Model> {
        Queue::Alone.wait::<E>(self.conn, self.ctx, id).await?;
        let select = self.by_id(id).lock(LockType::NoKeyUpdate);
        select.one(self.conn).await?.ok_or(Error::NotFound(E::KIND))
    }

    /// The row, kept from changing until the transaction ends, without keeping others from reading it so.
    pub async fn hold(&self, id: E::Id) -> Result<E::Model> {
        Queue::Shared.wait::<E>(self.conn, self.ctx, id).await?;
        let select = self.by_id(id).lock(LockType::Share);
        select.one(self.conn).await?.ok_or(Error::NotFound(E::KIND))
    }

    /// What is shown of the row.
    pub async fn view<V: View<Entity = E>>(&self, id: E::Id) -> Result<V> {
        let row = self.by_id(id).into_partial_model::<V>().one(self.conn).await?;
        row.ok_or(Error::NotFound(E::KIND))
    }

    /// The first row that meets a condition.
    pub async fn first(&self, condition: impl Into<Condition>) -> Result<Option<E::Model>> {
        Ok(self.select().filter(condition.into()).one(self.conn).await?)
    }

    /// Up to `most` rows that meet a condition, in order of their ids.
    pub async fn all(&self, condition: impl Into<Condition>, most: u64) -> Result<Vec<E::Model>> {
        let select = self.select().filter(condition.into()).order_by_asc(E::ID).limit(most);
        Ok(select.all(self.conn).await?)
    }

    /// Every row that meets a condition, in no order: an order by their ids makes SQLite go through all rows of the tenant
    /// where an index of the condition would find a few.
    pub async fn matching(&self, condition: impl Into<Condition>) -> Result<Vec<E::Model>> {
        Ok(self.select().filter(condition.into()).all(self.conn).await?)
    }

    /// What is shown of every row that meets a condition, in order of their ids.
    pub async fn views<V: View<Entity = E>>(&self, condition: impl Into<Condition>) -> Result<Vec<V>> {
        let select = self.select().filter(condition.into()).order_by_asc(E::ID);
        Ok(select.into_partial_model::<V>().all(self.conn).await?)
    }

    /// One column of every row that meets a condition, by the rows' ids.
    pub async fn column<T>(
        &self,
        condition: impl Into<Condition>,
        column: E::Column,
    ) -> Result<Vec<(Uuid, T)>>
    where
        (Uuid, T): TryGetableMany,
    {
        let select = self.select().filter(condition.into()).select_only().column(E::ID).column(column);
        Ok(select.into_tuple().all(self.conn).await?)
    }

    /// How many rows meet a condition.
    pub async fn count(&self, condition: impl Into<Condition>) -> Result<u64> {
        let select = self.select().filter(condition.into()).select_only().column_as(E::ID.count(), "n");
        let count = select.into_tuple::<i64>().one(self.conn).await?.unwrap_or_default();
        Ok(count.unsigned_abs())
    }

    /// How many of the rows that meet a condition have each value of a column.
    pub async fn tally<T>(&self, condition: impl Into<Condition>, column: E::Column) -> Result<Vec<(T, i64)>>
    where
        (T, i64): TryGetableMany,
    {
        let select = self.select().filter(condition.into()).select_only().column(column);
        let select = select.column_as(E::ID.count(), "n").group_by(column);
        Ok(select.into_tuple().all(self.conn).await?)
    }

    /// One page of what is shown, by keyset on the identifier.
    pub async fn list<V: View<Entity = E>>(
        &self,
        page: &PageRequest,
        filter: impl Into<Condition>,
    ) -> Result<Page<V>> {
        let items = self.page(page, filter)?.into_partial_model::<V>().all(self.conn).await?;
        page.finish(self.ctx, E::KIND, items, View::cursor)
    }

    /// One page of whole rows, for a view that is assembled by hand.
    pub async fn rows(&self, page: &PageRequest, filter: impl Into<Condition>) -> Result<Page<E::Model>> {
        let rows = self.page(page, filter)?.all(self.conn).await?;
        page.finish_at(self.ctx, E::KIND, rows, |row| (E::id_of(row).into(), E::part_of(row)))
    }

    fn page(&self, page: &PageRequest, filter: impl Into<Condition>) -> Result<Select<E>> {
        let mut select = self.select().filter(filter.into()).limit(page.size() + 1);
        if let Some(place) = page.start_at(self.ctx, E::KIND)? {
            select = select.filter(beyond::<E>(place, page.ascending()));
        }
        let order = if page.ascending() { sea_orm::Order::Asc } else { sea_orm::Order::Desc };
        select = select.order_by(E::ID, order.clone());
        Ok(E::PART.into_iter().fold(select, |select, part| select.order_by(part, order.clone())))
    }
}

/// Rows beyond a place. Where several have one identifier, the bound on the identifier stands by itself, so that an index
/// and a partition are found by it.
fn beyond<E: Scoped>((id, n): (Uuid, u32), ascending: bool) -> Condition {
    let over = if ascending { E::ID.gt(id) } else { E::ID.lt(id) };
    let Some(part) = E::PART else { return Condition::all().add(over) };
    let (from, next) = if ascending { (E::ID.gte(id), part.gt(n)) } else { (E::ID.lte(id), part.lt(n)) };
    Condition::all().add(from).add(Condition::any().add(over).add(next))
}

impl<E: Archived, C: ConnectionTrait> Repository<'_, E, C> {
    /// The same repository, in which deleted rows are there, too.
    #[must_use]
    pub fn with_archived(self) -> Self {
        Self { archived: true, ..self }
    }
}

/// Rows that a caller can find: in the tenant, in reach and not deleted.
fn scope<E: Scoped>(ctx: &Ctx) -> Condition {
    reach::<E>(ctx).add(E::live())
}

fn reach<E: Scoped>(ctx: &Ctx) -> Condition {
    let tenant = match E::ORGANIZATION {
        Some(column) => column.eq(ctx.scope.organization.uuid()),
        None if ctx.scope.organization == entity::id::OrganizationId::PLATFORM => Expr::cust("1 = 1"),
        None => Expr::cust("1 = 0"),
    };
    let reach = match &ctx.scope.reach {
        Reach::All => Condition::all(),
        Reach::Limited { teams, user } => E::within(teams, *user),
    };
    Condition::all().add(tenant).add(reach)
}

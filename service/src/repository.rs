//! One generic repository: every read and write is filtered by organization and by the caller's reach, and every
//! write is optimistic, audited and noted for the policy caches. There is no other way to a tenant's rows.

use crate::{
    Ctx, Error, Result,
    error::Kind,
    head::PolicyKind,
    page::{Page, PageRequest},
    scope::Reach,
    unit::Unit,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait,
    FromQueryResult, IntoActiveModel, PartialModelTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    TryGetableMany, Value,
    sea_query::{Expr, LockType, SimpleExpr},
};
use std::{fmt::Display, marker::PhantomData};
use uuid::Uuid;

/// A table that is reached through the repository.
pub trait Scoped: EntityTrait {
    /// Its identifier within the organization.
    type Id: Copy + Into<Value> + Into<Uuid> + Display + Send + Sync;
    /// What a row is called.
    const KIND: Kind;
    /// What the policy caches call it; none if no decision depends on it.
    const POLICY: Option<PolicyKind>;
    /// The tenant's column; none for the platform's own tables.
    const ORGANIZATION: Option<Self::Column>;
    /// The identifier's column; lists are ordered by it.
    const ID: Self::Column;

    /// The identifier of a row.
    fn id_of(row: &Self::Model) -> Self::Id;
    /// Columns that tell who a person is. The audit log leaves them out, so that erasing a person breaks no chain.
    fn is_personal(_column: &Self::Column) -> bool {
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
    entity: PhantomData<fn() -> E>,
}

impl<'a, E: Scoped, C: ConnectionTrait> Repository<'a, E, C> {
    pub(crate) fn new(conn: &'a C, ctx: &'a Ctx) -> Self {
        Self { conn, ctx, narrowed: Condition::all(), entity: PhantomData }
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
        E::find().filter(scope::<E>(self.ctx)).filter(self.narrowed.clone())
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
        let select = self.by_id(id).lock(LockType::NoKeyUpdate);
        select.one(self.conn).await?.ok_or(Error::NotFound(E::KIND))
    }

    /// The row, kept from changing until the transaction ends, without keeping others from reading it so.
    pub async fn hold(&self, id: E::Id) -> Result<E::Model> {
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

    /// One page of what is shown, by keyset on the identifier.
    pub async fn list<V: View<Entity = E>>(
        &self,
        page: &PageRequest,
        filter: impl Into<Condition>,
    ) -> Result<Page<V>> {
        let start = page.start(self.ctx, E::KIND)?;
        let mut select = self.select().filter(filter.into()).limit(page.size() + 1);
        if let Some(after) = start {
            select = select.filter(if page.ascending() { E::ID.gt(after) } else { E::ID.lt(after) });
        }
        let order = if page.ascending() { sea_orm::Order::Asc } else { sea_orm::Order::Desc };
        let items = select.order_by(E::ID, order).into_partial_model::<V>().all(self.conn).await?;
        page.finish(self.ctx, E::KIND, items, View::cursor)
    }
}

fn scope<E: Scoped>(ctx: &Ctx) -> Condition {
    let tenant = match E::ORGANIZATION {
        Some(column) => column.eq(ctx.scope.organization.uuid()),
        None if ctx.scope.organization == entity::id::OrganizationId::PLATFORM => Expr::cust("1 = 1"),
        None => Expr::cust("1 = 0"),
    };
    let reach = match &ctx.scope.reach {
        Reach::All => Condition::all(),
        Reach::Limited { teams, user } => E::within(teams, *user),
    };
    Condition::all().add(tenant).add(E::live()).add(reach)
}

/// Rows of one step of a change to many.
const STEP: u64 = 256;

/// Writes rows of `E` in one unit of work.
#[derive(Debug)]
pub struct Writer<'u, 'c, E> {
    unit: &'u mut Unit<'c>,
    narrowed: Condition,
    entity: PhantomData<fn() -> E>,
}

impl<'u, 'c, E> Writer<'u, 'c, E>
where
    E: Scoped,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: Send,
{
    pub(crate) fn new(unit: &'u mut Unit<'c>) -> Self {
        Self { unit, narrowed: Condition::all(), entity: PhantomData }
    }

    /// The same writer, narrowed to rows that meet a condition.
    #[must_use]
    pub fn narrow(mut self, condition: SimpleExpr) -> Self {
        self.narrowed = self.narrowed.add(condition);
        self
    }

    fn reader(&self) -> Repository<'_, E, DatabaseTransaction> {
        Repository { narrowed: self.narrowed.clone(), ..Repository::new(&self.unit.tx, self.unit.ctx) }
    }

    /// Inserts a row without a version. The tenant is the scope's, whatever the row says.
    #[expect(clippy::disallowed_methods, reason = "the tenant is put on here, once for all")]
    pub async fn add(self, mut row: E::ActiveModel) -> Result<E::Model> {
        if let Some(column) = E::ORGANIZATION {
            row.set(column, self.unit.ctx.scope.organization.into());
        }
        let row = E::insert(row).exec_with_returning(&self.unit.tx).await?;
        self.unit.audit_change::<E>("create", E::id_of(&row), None, Some(&row));
        Ok(row)
    }

    /// Changes a row without a version: one that hangs on another, which is locked.
    #[expect(clippy::disallowed_methods, reason = "the scope is put on here, once for all")]
    pub async fn amend(self, action: &str, id: E::Id, changes: E::ActiveModel) -> Result<E::Model> {
        let before = self.reader().lock(id).await?;
        let update = E::update_many().set(changes).filter(scope::<E>(self.unit.ctx));
        let rows = update.filter(E::ID.eq(id)).exec_with_returning(&self.unit.tx).await?;
        let after = rows.into_iter().next().ok_or(Error::NotFound(E::KIND))?;
        self.unit.audit_change::<E>(action, id, Some(&before), Some(&after));
        self.unit.changed::<E>(id.into());
        Ok(after)
    }

    /// Removes a row, whatever its version.
    #[expect(clippy::disallowed_methods, reason = "the scope is put on here, once for all")]
    pub async fn remove(self, id: E::Id) -> Result<E::Model> {
        let row = self.reader().lock(id).await?;
        let delete = E::delete_many().filter(scope::<E>(self.unit.ctx)).filter(self.narrowed.clone());
        delete.filter(E::ID.eq(id)).exec(&self.unit.tx).await?;
        self.unit.audit_change::<E>("delete", id, Some(&row), None);
        self.unit.changed::<E>(id.into());
        Ok(row)
    }

    /// Removes every row that meets a condition, in one statement: one that is gone already is not missed.
    #[expect(clippy::disallowed_methods, reason = "the scope is put on here, once for all")]
    pub async fn remove_all(self, which: impl Into<Condition>) -> Result<Vec<E::Model>> {
        let delete = E::delete_many().filter(scope::<E>(self.unit.ctx)).filter(self.narrowed.clone());
        let rows = delete.filter(which.into()).exec_with_returning(&self.unit.tx).await?;
        for row in &rows {
            self.unit.audit_change::<E>("delete", E::id_of(row), Some(row), None);
            self.unit.changed::<E>(E::id_of(row).into());
        }
        Ok(rows)
    }
}

impl<E> Writer<'_, '_, E>
where
    E: Versioned,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: Send,
{
    /// Inserts a row as version 1, stamped with the unit's time.
    pub async fn insert(self, mut row: E::ActiveModel) -> Result<E::Model> {
        row.set(E::VERSION, 1i64.into());
        row.set(E::CREATED_AT, self.unit.now.into());
        row.set(E::UPDATED_AT, self.unit.now.into());
        self.add(row).await
    }

    /// Changes a row if it still has the expected version.
    pub async fn update(self, id: E::Id, expected: Expected, changes: E::ActiveModel) -> Result<E::Model> {
        let before = self.reader().lock(id).await?;
        expected.check(E::version_of(&before))?;
        self.write("update", id, &before, changes).await
    }

    /// Changes a row whatever its version: revoke, disable, suspend. Still one version up, still audited.
    pub async fn force(self, action: &str, id: E::Id, changes: E::ActiveModel) -> Result<E::Model> {
        let before = self.reader().lock(id).await?;
        self.write(action, id, &before, changes).await
    }

    /// Changes every row that meets a condition, whatever the versions and however many there are: in bounded steps, in
    /// order of their ids, so that two of these never wait for each other.
    pub async fn force_all(
        mut self,
        action: &str,
        which: Condition,
        changes: E::ActiveModel,
    ) -> Result<Vec<E::Model>> {
        let mut changed = Vec::new();
        let mut after = Uuid::nil();
        loop {
            let reader = self.reader();
            let next = reader.select().filter(which.clone()).filter(E::ID.gt(after)).order_by_asc(E::ID);
            let ids = next.select_only().column(E::ID).limit(STEP).into_tuple::<Uuid>();
            let ids = ids.all(reader.conn).await?;
            let Some(last) = ids.last() else { return Ok(changed) };
            after = *last;
            // Who changed one meanwhile may have taken it out of the condition: it is asked again under the lock.
            let rows = reader.select().filter(which.clone()).filter(E::ID.is_in(ids)).order_by_asc(E::ID);
            let rows = rows.lock(LockType::NoKeyUpdate).all(reader.conn).await?;
            let locked = Condition::all().add(E::ID.is_in(rows.iter().map(E::id_of)));
            changed.extend(self.write_all(action, &rows, locked, changes.clone()).await?);
        }
    }

    /// Removes a row if it still has the expected version.
    pub async fn delete(self, id: E::Id, expected: Expected) -> Result<E::Model> {
        let row = self.reader().lock(id).await?;
        expected.check(E::version_of(&row))?;
        self.remove(id).await
    }

    async fn write(
        mut self,
        action: &str,
        id: E::Id,
        before: &E::Model,
        changes: E::ActiveModel,
    ) -> Result<E::Model> {
        let version = E::version_of(before);
        let row = Condition::all().add(E::ID.eq(id)).add(E::VERSION.eq(version));
        let written = self.write_all(action, std::slice::from_ref(before), row, changes).await?;
        written.into_iter().next().ok_or(Error::VersionConflict { current: version, stated: false })
    }

    /// Writes the same changes to `rows`, which are locked; `which` finds them.
    #[expect(clippy::disallowed_methods, reason = "the scope is put on here, once for all")]
    async fn write_all(
        &mut self,
        action: &str,
        rows: &[E::Model],
        which: Condition,
        mut changes: E::ActiveModel,
    ) -> Result<Vec<E::Model>> {
        changes.not_set(E::ID);
        if !changes.is_changed() {
            return Ok(rows.to_vec());
        }
        changes.set(E::UPDATED_AT, self.unit.now.into());
        let written = E::update_many()
            .set(changes)
            .col_expr(E::VERSION, Expr::col(E::VERSION).add(1))
            .filter(scope::<E>(self.unit.ctx))
            .filter(self.narrowed.clone())
            .filter(which)
            .exec_with_returning(&self.unit.tx)
            .await?;
        let uuid = |row: &E::Model| -> Uuid { E::id_of(row).into() };
        for after in &written {
            let before = rows.iter().find(|before| uuid(before) == uuid(after));
            self.unit.audit_change::<E>(action, E::id_of(after), before, Some(after));
            self.unit.changed::<E>(uuid(after));
        }
        Ok(written)
    }
}

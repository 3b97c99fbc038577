//! [`Writer`]: the writing half of the repository. Every write is optimistic or forced on purpose, audited, and noted for the
//! policy caches.

use super::{Expected, Repository, Scoped, Versioned, scope};
use crate::{Error, Result, Turn, clock::to_the_microsecond, unit::Unit};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, ExprTrait,
    IntoActiveModel, Iterable, QueryFilter, QueryOrder, QuerySelect, Value,
    sea_query::{Expr, LockType, SimpleExpr},
};
use std::marker::PhantomData;
use uuid::Uuid;

/// Rows of one step of a change to many.
const STEP: u64 = 256;
/// Rows of one insert.
const AT_ONCE: usize = 40;

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
        let row = E::insert(cut(row)).exec_with_returning(&self.unit.tx).await?;
        self.unit.audit_change::<E>("create", E::id_of(&row), None, Some(&row));
        self.unit.made::<E>(&row);
        Ok(row)
    }

    /// Changes a row without a version: a part of another row, which is locked.
    #[expect(clippy::disallowed_methods, reason = "the scope is put on here, once for all")]
    pub async fn amend(self, action: &str, id: E::Id, changes: E::ActiveModel) -> Result<E::Model> {
        let before = self.reader().lock(id).await?;
        let update = E::update_many().set(cut(changes)).filter(scope::<E>(self.unit.ctx));
        let rows = update
            .filter(self.narrowed.clone())
            .filter(E::ID.eq(id))
            .exec_with_returning(&self.unit.tx)
            .await?;
        let after = rows.into_iter().next().ok_or(Error::NotFound(E::KIND))?;
        self.unit.audit_change::<E>(action, id, Some(&before), Some(&after));
        self.unit.changed::<E>(&after);
        Ok(after)
    }

    /// Removes a row, whatever its version.
    #[expect(clippy::disallowed_methods, reason = "the scope is put on here, once for all")]
    pub async fn remove(self, id: E::Id) -> Result<E::Model> {
        let row = self.reader().lock(id).await?;
        let delete = E::delete_many().filter(scope::<E>(self.unit.ctx)).filter(self.narrowed.clone());
        delete.filter(E::ID.eq(id)).exec(&self.unit.tx).await?;
        self.unit.audit_change::<E>("delete", id, Some(&row), None);
        self.unit.changed::<E>(&row);
        Ok(row)
    }

    /// Removes every row that meets a condition, in one statement. A row that another transaction has deleted is ignored.
    #[expect(clippy::disallowed_methods, reason = "the scope is put on here, once for all")]
    pub async fn remove_all(self, which: impl Into<Condition>) -> Result<Vec<E::Model>> {
        let delete = E::delete_many().filter(scope::<E>(self.unit.ctx)).filter(self.narrowed.clone());
        let rows = delete.filter(which.into()).exec_with_returning(&self.unit.tx).await?;
        for row in &rows {
            self.unit.audit_change::<E>("delete", E::id_of(row), Some(row), None);
            self.unit.changed::<E>(row);
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

    /// Inserts many rows as version 1, in bounded statements. Rows of a price book are noted for the policy caches, others
    /// must not belong to a set that is cached; the use-case notes them in the audit log, as one event that says what they
    /// have in common.
    #[expect(clippy::disallowed_methods, reason = "the tenant is put on here, once for all")]
    pub async fn insert_all(self, rows: Vec<E::ActiveModel>) -> Result<()> {
        let now = self.unit.now;
        let id = |row: &E::ActiveModel| match row.get(E::ID).into_value() {
            Some(Value::Uuid(Some(id))) => Ok(id),
            _ => Err(Error::internal("a row without an id")),
        };
        let noted = rows.iter().map(id).collect::<Result<Vec<Uuid>>>();
        let mut rows = rows.into_iter().map(|mut row| {
            if let Some(column) = E::ORGANIZATION {
                row.set(column, self.unit.ctx.scope.organization.into());
            }
            row.set(E::VERSION, 1i64.into());
            row.set(E::CREATED_AT, now.into());
            row.set(E::UPDATED_AT, now.into());
            cut(row)
        });
        loop {
            let some: Vec<_> = rows.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            E::insert_many(some).exec_without_returning(&self.unit.tx).await?;
        }
        drop(rows);
        if let Some(kind) = E::POLICY.filter(|kind| kind.is_book()) {
            noted?.into_iter().for_each(|id| self.unit.policy(kind, id));
        }
        Ok(())
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

    /// Suspends or resumes a row.
    pub async fn turn(self, turn: Turn, id: E::Id, changes: E::ActiveModel) -> Result<E::Model> {
        let before = self.reader().lock(id).await?;
        Expected::new(turn.stated(), E::version_of(&before))?;
        self.write(turn.action(), id, &before, changes).await
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
            .set(cut(changes))
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
            self.unit.changed::<E>(after);
        }
        Ok(written)
    }
}

/// Cuts the times of a row to the microsecond.
fn cut<A: ActiveModelTrait>(mut row: A) -> A {
    for column in <A::Entity as EntityTrait>::Column::iter() {
        if let ActiveValue::Set(Value::ChronoDateTimeUtc(Some(time))) = row.get(column) {
            row.set(column, to_the_microsecond(time).into());
        }
    }
    row
}

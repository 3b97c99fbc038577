//! Where sealed values are, in one table: nothing is sealed for another place, so that a rotation finds everything.

use super::Place;
use crate::{Error, Result};
use entity::{
    id::{DataKeyId, OrganizationId},
    secret::Sealed,
};
use sea_orm::{
    ConnectionTrait, QueryResult, Value,
    sea_query::{Alias, Expr, ExprTrait, LockBehavior, LockType, Order, Query, SelectStatement},
};
use uuid::Uuid;

/// Rows that are sealed anew in one transaction.
const AT_ONCE: u64 = 50;

/// A column of sealed values; `data_key_id` of its table says with which key each is sealed.
#[derive(Debug)]
pub(super) struct SealedColumn {
    table: &'static str,
    column: &'static str,
    of: Owner,
}

/// Whose the rows of a table are, and with that what identifies them.
#[derive(Debug, PartialEq)]
enum Owner {
    /// A tenant's; a row has a UUID.
    Tenant,
    /// The platform's; a row has a digest.
    Platform,
}

/// A sealed value, its row and its key.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: Vec<u8>,
    pub(super) key: DataKeyId,
    pub(super) sealed: Sealed,
}

static ALL: [SealedColumn; 5] = [
    SealedColumn { table: "credential", column: "secret", of: Owner::Tenant },
    SealedColumn { table: "proxy_entry", column: "login", of: Owner::Tenant },
    SealedColumn { table: "provider_connection", column: "headers", of: Owner::Tenant },
    SealedColumn { table: "usage_raw", column: "raw", of: Owner::Tenant },
    SealedColumn { table: "idempotency_record", column: "reply", of: Owner::Platform },
];

impl SealedColumn {
    /// The column that a place is in.
    pub(super) fn of(place: &Place<'_>) -> Option<&'static Self> {
        ALL.iter().find(|column| column.table == place.table && column.column == place.column)
    }

    /// Those in which an organization has values.
    pub(super) fn of_organization(organization: OrganizationId) -> impl Iterator<Item = &'static Self> {
        let platform = organization == OrganizationId::PLATFORM;
        ALL.iter().filter(move |column| platform || column.of == Owner::Tenant)
    }

    /// The place of a row's value.
    pub(super) fn place<'p>(&self, organization: OrganizationId, row: &'p Row) -> Place<'p> {
        Place { organization, table: self.table, row: &row.id, column: self.column }
    }

    /// The value of a row as it is now.
    pub(super) async fn read<C: ConnectionTrait>(&self, db: &C, id: &[u8]) -> Result<Option<Row>> {
        let select = self.select().and_where(Expr::col("id").eq(self.id(id)?)).to_owned();
        db.query_one(&select).await?.map(|row| self.row(&row)).transpose()
    }

    /// Some of what is sealed with a key, behind a row, for change; what others are changing is left out.
    pub(super) async fn sealed_with<C: ConnectionTrait>(
        &self,
        db: &C,
        key: DataKeyId,
        after: Option<&[u8]>,
    ) -> Result<Vec<Row>> {
        let mut select = self.select();
        select.and_where(Expr::col("data_key_id").eq(key.uuid())).order_by("id", Order::Asc).limit(AT_ONCE);
        if let Some(after) = after {
            select.and_where(Expr::col("id").gt(self.id(after)?));
        }
        select.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
        let rows = db.query_all(&select).await?;
        rows.iter().map(|row| self.row(row)).collect()
    }

    /// How many values are sealed with a key.
    pub(super) async fn count<C: ConnectionTrait>(&self, db: &C, key: DataKeyId) -> Result<u64> {
        let select = Query::select()
            .expr_as(Expr::cust("count(*)"), "n")
            .from(self.table)
            .and_where(Expr::col(Alias::new(self.column)).is_not_null())
            .and_where(Expr::col("data_key_id").eq(key.uuid()))
            .to_owned();
        let row = db.query_one(&select).await?.ok_or_else(|| Error::internal("no count"))?;
        Ok(row.try_get::<i64>("", "n")?.unsigned_abs())
    }

    /// Puts what was sealed anew in the place of a value. The row's version stays: nobody sees a difference.
    pub(super) async fn replace<C: ConnectionTrait>(
        &self,
        db: &C,
        row: &Row,
        (key, sealed): (DataKeyId, Sealed),
    ) -> Result<u64> {
        let update = Query::update()
            .table(self.table)
            .value("data_key_id", key.uuid())
            .value(Alias::new(self.column), sealed.0)
            .and_where(Expr::col("id").eq(self.id(&row.id)?))
            .and_where(Expr::col("data_key_id").eq(row.key.uuid()))
            .to_owned();
        Ok(db.execute(&update).await?.rows_affected())
    }

    fn select(&self) -> SelectStatement {
        let column = || Alias::new(self.column);
        Query::select()
            .column("id")
            .column("data_key_id")
            .column(column())
            .from(self.table)
            .and_where(Expr::col(column()).is_not_null())
            .to_owned()
    }

    fn id(&self, bytes: &[u8]) -> Result<Value> {
        Ok(match self.of {
            Owner::Tenant => Uuid::from_slice(bytes).map_err(Error::internal)?.into(),
            Owner::Platform => bytes.to_vec().into(),
        })
    }

    fn row(&self, row: &QueryResult) -> Result<Row> {
        let id = match self.of {
            Owner::Tenant => row.try_get::<Uuid>("", "id")?.as_bytes().to_vec(),
            Owner::Platform => row.try_get("", "id")?,
        };
        Ok(Row { id, key: row.try_get("", "data_key_id")?, sealed: row.try_get("", self.column)? })
    }
}

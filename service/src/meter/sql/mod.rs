//! The real [`Store`]: Postgres or SQLite.

mod load;
mod read;
mod rollup;
mod rows;
mod step;
mod write;

pub use rollup::{bucket, dimensions};

use super::{
    Work,
    head::{self, Moment},
    ledger::{Step, WindowKey, Writes},
    store::{Credentials, Due, Found, Known, Missing, Named, Parents, Read, Store, Transaction},
};
use crate::{Result, System, db::Pool, price::resolve::Prices};
use chrono::{DateTime, Utc};
use entity::{
    id::{OrganizationId, ReservationId},
    limit_window, reservation, usage_event,
};
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, ExecResult, QueryResult, Statement,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A real database.
#[derive(Debug, Clone)]
pub struct Sql {
    /// The means of the process.
    pub system: Arc<System>,
    /// What is asked of the database is counted here.
    pub work: Arc<Work>,
}

/// A transaction, one that somebody else began and ends, or, without one, the connections that read.
#[derive(Debug)]
enum Via<'t> {
    Own(DatabaseTransaction),
    Lent(&'t DatabaseTransaction),
    Reader(Pool),
}

/// One transaction of a batch.
#[derive(Debug)]
pub struct SqlTransaction<'t> {
    system: Arc<System>,
    work: Arc<Work>,
    via: Via<'t>,
}

/// What a batch does within somebody else's transaction, which is not committed here.
#[derive(Debug)]
pub struct Within<'t> {
    /// The means of the process.
    pub system: Arc<System>,
    /// The transaction.
    pub tx: &'t DatabaseTransaction,
}

impl<'t> Store for Within<'t> {
    type Transaction = SqlTransaction<'t>;

    async fn begin(&self) -> Read<SqlTransaction<'t>> {
        Ok(self.look())
    }

    fn look(&self) -> SqlTransaction<'t> {
        SqlTransaction { system: self.system.clone(), work: Arc::default(), via: Via::Lent(self.tx) }
    }

    fn remembered(&self, moment: &Moment, organization: OrganizationId) -> Option<Prices> {
        self.system.books.remembered(moment, organization)
    }

    async fn prices(&self, moment: &Moment, organization: OrganizationId) -> Result<Prices> {
        self.system.books.at(&self.system, moment, organization).await
    }

    fn id(&self, at: DateTime<Utc>) -> ReservationId {
        self.system.entropy.id(at)
    }

    fn alarm(&self, steps: &[Step]) {
        self.system.watch.step_back(steps);
    }
}

impl Store for Sql {
    type Transaction = SqlTransaction<'static>;

    async fn begin(&self) -> Read<SqlTransaction<'static>> {
        let via = Via::Own(self.system.db.begin_metering().await?);
        Ok(SqlTransaction { system: self.system.clone(), work: self.work.clone(), via })
    }

    fn look(&self) -> SqlTransaction<'static> {
        let via = Via::Reader(self.system.db.reader.clone());
        SqlTransaction { system: self.system.clone(), work: self.work.clone(), via }
    }

    fn remembered(&self, moment: &Moment, organization: OrganizationId) -> Option<Prices> {
        self.system.books.remembered(moment, organization)
    }

    async fn prices(&self, moment: &Moment, organization: OrganizationId) -> Result<Prices> {
        self.system.books.at(&self.system, moment, organization).await
    }

    fn id(&self, at: DateTime<Utc>) -> ReservationId {
        self.system.entropy.id(at)
    }

    fn alarm(&self, steps: &[Step]) {
        self.system.watch.step_back(steps);
    }
}

impl SqlTransaction<'_> {
    fn backend(&self) -> DatabaseBackend {
        self.system.db.backend()
    }

    async fn query(&self, statement: Statement, entries: bool) -> Read<Vec<QueryResult>> {
        let rows = match &self.via {
            Via::Own(tx) => tx.query_all_raw(statement).await?,
            Via::Lent(tx) => tx.query_all_raw(statement).await?,
            Via::Reader(db) => db.query_all_raw(statement).await?,
        };
        self.work.ran(if entries { rows.len() } else { 0 });
        Ok(rows)
    }

    async fn execute(&self, statement: Statement) -> Read<ExecResult> {
        self.work.ran(0);
        match &self.via {
            Via::Own(tx) => tx.execute_raw(statement).await,
            Via::Lent(tx) => tx.execute_raw(statement).await,
            Via::Reader(_) => Err(DbErr::Custom("a batch that only looks writes nothing".into())),
        }
    }
}

impl Transaction for SqlTransaction<'_> {
    async fn lock(&mut self, organizations: &BTreeSet<OrganizationId>) -> Read<()> {
        // On SQLite the transaction itself is the lock.
        if organizations.is_empty() || self.backend() == DatabaseBackend::Sqlite {
            return Ok(());
        }
        self.query(read::lock(organizations), false).await.map(drop)
    }

    async fn heads(&mut self, known: &Known) -> Read<Moment> {
        self.work.ran(0);
        match &self.via {
            Via::Own(tx) => head::read(tx, &self.system.clock, known).await,
            Via::Lent(tx) => head::read(*tx, &self.system.clock, known).await,
            Via::Reader(db) => head::read(db, &self.system.clock, known).await,
        }
    }

    async fn credentials(&mut self, missing: &Missing) -> Read<Credentials> {
        match &self.via {
            Via::Own(tx) => load::Loader { db: tx, work: &self.work }.credentials(missing).await,
            Via::Lent(tx) => load::Loader { db: *tx, work: &self.work }.credentials(missing).await,
            Via::Reader(db) => load::Loader { db, work: &self.work }.credentials(missing).await,
        }
    }

    async fn parents(&mut self, missing: &Parents) -> Read<Found> {
        match &self.via {
            Via::Own(tx) => load::Loader { db: tx, work: &self.work }.parents(missing).await,
            Via::Lent(tx) => load::Loader { db: *tx, work: &self.work }.parents(missing).await,
            Via::Reader(db) => load::Loader { db, work: &self.work }.parents(missing).await,
        }
    }

    async fn due(&mut self, at: &BTreeMap<OrganizationId, DateTime<Utc>>) -> Read<Due> {
        let mut due = Due::default();
        for (organization, at) in at {
            let rows = self.query(read::due(self.backend(), *organization, *at), false).await?;
            let rows: Vec<reservation::Model> = read::models(&rows)?;
            let next = if rows.len() < read::AT_A_TIME {
                let later = self.query(read::next_due(self.backend(), *organization, *at), false).await?;
                later.first().map(|row| row.try_get("", "next")).transpose()?.flatten()
            } else {
                Some(*at)
            };
            due.rows.extend(rows);
            due.next.insert(*organization, next);
        }
        Ok(due)
    }

    async fn later(
        &mut self,
        organization: OrganizationId,
        at: DateTime<Utc>,
    ) -> Read<Vec<reservation::Model>> {
        let rows = self.query(read::later(self.backend(), organization, at), false).await?;
        read::models(&rows)
    }

    async fn reservations(&mut self, named: &Named) -> Read<Vec<reservation::Model>> {
        let mut found = Vec::new();
        for statement in read::reservations(self.backend(), named) {
            found.extend(read::models(&self.query(statement, false).await?)?);
        }
        Ok(found)
    }

    async fn events(&mut self, named: &Named) -> Read<Vec<usage_event::Model>> {
        let mut found = Vec::new();
        for statement in read::events(self.backend(), named) {
            found.extend(read::models(&self.query(statement, false).await?)?);
        }
        Ok(found)
    }

    async fn windows(&mut self, keys: &BTreeSet<WindowKey>) -> Read<Vec<limit_window::Model>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for statement in read::windows(self.backend(), keys) {
            found.extend(read::models(&self.query(statement, false).await?)?);
        }
        Ok(found)
    }

    async fn write(&mut self, writes: &Writes) -> Read<()> {
        let statements = write::statements(self.backend(), writes);
        for statement in statements.map_err(|error| DbErr::Custom(error.to_string()))? {
            self.execute(statement).await?;
        }
        match &self.via {
            Via::Own(tx) => step::note(&self.system, tx, &writes.steps).await,
            Via::Lent(tx) => step::note(&self.system, *tx, &writes.steps).await,
            Via::Reader(_) => Ok(()),
        }
    }

    async fn commit(self) -> Read<()> {
        match self.via {
            Via::Own(tx) => self.system.db.commit(tx).await,
            Via::Lent(_) | Via::Reader(_) => Ok(()),
        }
    }
}

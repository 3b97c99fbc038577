//! [`Pool`]: connections that keep their settings, directly or through a pooler.
//!
//! A pooler in transaction mode lends a connection of the database for one transaction only: what was set or prepared on it
//! belongs to nobody in the next one. There, every statement runs in a transaction, and every transaction begins with a
//! preamble that drops the statements that others have prepared and sets what this pool relies on.

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult,
    QueryResult, Statement, TransactionOptions, TransactionTrait, prelude::async_trait::async_trait,
};
use std::{fmt::Write, sync::Arc};

/// Connections, each statement of which finds the settings of the pool.
#[derive(Debug, Clone)]
pub struct Pool {
    connections: DatabaseConnection,
    /// What each transaction begins with; none where connections keep their settings.
    preamble: Option<Arc<str>>,
}

impl Pool {
    /// Connections that keep their settings.
    pub(super) fn direct(connections: DatabaseConnection) -> Self {
        Self { connections, preamble: None }
    }

    /// Connections behind a pooler, with the settings that each transaction makes for itself.
    pub(super) fn pooled(connections: DatabaseConnection, settings: &[(&str, &str)]) -> Self {
        let mut preamble = "DEALLOCATE ALL".to_owned();
        for (name, value) in settings {
            // Writing to a String cannot fail; names and values are constants of ours.
            let _ = write!(preamble, "; SET LOCAL {name} = '{value}'");
        }
        Self { connections, preamble: Some(preamble.into()) }
    }

    /// The connections themselves, for what brings its own transactions along.
    pub fn connections(&self) -> &DatabaseConnection {
        &self.connections
    }

    /// Whether a pooler stands between.
    pub fn is_pooled(&self) -> bool {
        self.preamble.is_some()
    }

    /// A transaction.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_with_options(TransactionOptions::default()).await
    }

    /// A transaction of its own kind.
    pub async fn begin_with_options(
        &self,
        options: TransactionOptions,
    ) -> Result<DatabaseTransaction, DbErr> {
        let Some(preamble) = &self.preamble else {
            return self.connections.begin_with_options(options).await;
        };
        let tx = self.connections.begin().await?;
        // Everything in one message, and none of it prepared: names of statements are not ours before the preamble.
        tx.execute_unprepared(&format!("{}; {preamble}", characteristics(options))).await?;
        Ok(tx)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.connections.ping().await
    }

    /// Cuts every connection.
    pub async fn close(&self) -> Result<(), DbErr> {
        self.connections.clone().close().await
    }
}

/// A pooler's connection may have any default; READ COMMITTED is what the code is written for.
fn characteristics(options: TransactionOptions) -> String {
    let isolation = options.isolation_level.map_or("READ COMMITTED".to_owned(), |level| level.to_string());
    let access = options.access_mode.map(|mode| format!(", {mode}")).unwrap_or_default();
    format!("SET TRANSACTION ISOLATION LEVEL {isolation}{access}")
}

#[expect(clippy::disallowed_methods, reason = "a statement behind a pooler, which is never SQLite")]
#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.connections.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        if self.preamble.is_none() {
            return self.connections.execute_raw(statement).await;
        }
        let tx = self.begin().await?;
        let done = tx.execute_raw(statement).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        if self.preamble.is_none() {
            return self.connections.execute_unprepared(sql).await;
        }
        let tx = self.begin().await?;
        let done = tx.execute_unprepared(sql).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        if self.preamble.is_none() {
            return self.connections.query_one_raw(statement).await;
        }
        let tx = self.begin().await?;
        let row = tx.query_one_raw(statement).await?;
        tx.commit().await?;
        Ok(row)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        if self.preamble.is_none() {
            return self.connections.query_all_raw(statement).await;
        }
        let tx = self.begin().await?;
        let rows = tx.query_all_raw(statement).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::{AccessMode, IsolationLevel};

    #[test]
    fn a_transaction_states_its_isolation() {
        let of = |options| characteristics(options);
        assert_eq!(of(TransactionOptions::default()), "SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
        let snapshot = TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            sqlite_transaction_mode: None,
        };
        assert_eq!(of(snapshot), "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    }
}

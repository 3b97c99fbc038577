//! [`Suspicion`]: connections to Postgres that outlive a time in which the database took no writes. What a session is told when
//! it begins (`default_transaction_read_only`) it keeps for good, so for a while after such a time each connection is asked
//! before it is used, and closed if it cannot write.

use sqlx::PgConnection;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long connections are asked after the last sign of trouble.
const ASKED: Duration = Duration::from_mins(2);

/// Whether connections are to be asked whether they can write.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspicion(Arc<Mutex<Option<Instant>>>);

impl Suspicion {
    /// The database, or one connection, was found to take no writes.
    pub(super) fn raise(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_raised(&self) -> bool {
        let raised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised.is_some_and(|at| at.elapsed() < ASKED)
    }

    /// Whether a connection may be used.
    pub(super) async fn clears(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        if !self.is_raised() {
            return Ok(true);
        }
        let sql = "SELECT current_setting('default_transaction_read_only')::bool";
        let only_reads: bool = sqlx::query_scalar(sql).fetch_one(connection).await?;
        if only_reads {
            self.raise();
        }
        Ok(!only_reads)
    }
}

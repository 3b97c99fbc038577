//! Pages in order of time, of rows that a condition narrows to one at a moment: the windows of a limit.

use super::{Repository, Scoped};
use crate::{
    Result,
    page::{Page, PageRequest},
};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

impl<E: Scoped, C: ConnectionTrait> Repository<'_, E, C> {
    /// One page of whole rows, by keyset on a time that tells them apart.
    pub(crate) async fn in_time(
        &self,
        page: &PageRequest,
        column: E::Column,
        at: impl Fn(&E::Model) -> DateTime<Utc>,
    ) -> Result<Page<E::Model>> {
        let mut select = self.select().limit(page.size() + 1);
        if let Some(after) = page.start(self.ctx, E::KIND)?.and_then(moment) {
            select = select.filter(if page.ascending() { column.gt(after) } else { column.lt(after) });
        }
        let order = if page.ascending() { sea_orm::Order::Asc } else { sea_orm::Order::Desc };
        let rows = select.order_by(column, order).all(self.conn).await?;
        page.finish(self.ctx, E::KIND, rows, |row| cursor(at(row)))
    }
}

/// Cursors are UUIDs: a moment is one by its microseconds, which are all that the databases keep of it.
fn cursor(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u64_pair(0, at.timestamp_micros().cast_unsigned())
}

fn moment(cursor: Uuid) -> Option<DateTime<Utc>> {
    let (_, micros) = cursor.as_u64_pair();
    DateTime::from_timestamp_micros(micros.cast_signed())
}

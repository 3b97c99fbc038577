//! Pages of rows in order of a text column, as the models of a connection.

use super::{Repository, Scoped};
use crate::Result;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect};

impl<E: Scoped, C: ConnectionTrait> Repository<'_, E, C> {
    /// The rows of a condition beyond a text, in its order or against it: all of them, or as many as a limit says.
    pub(crate) async fn beyond_text(
        &self,
        column: E::Column,
        after: Option<String>,
        ascending: bool,
        which: Condition,
        limit: Option<u64>,
    ) -> Result<Vec<E::Model>> {
        let beyond = after.map(|text| if ascending { column.gt(text) } else { column.lt(text) });
        let select = self.select().filter(which.add_option(beyond));
        let order = if ascending { Order::Asc } else { Order::Desc };
        Ok(select.order_by(column, order).limit(limit).all(self.conn).await?)
    }
}

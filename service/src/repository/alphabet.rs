//! Rows in order of a text, where one that they hang on tells the rest: the models of a connection.

use super::{Repository, Scoped};
use crate::Result;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect};

impl<E: Scoped, C: ConnectionTrait> Repository<'_, E, C> {
    /// Up to `most` rows beyond a text, in its order or against it.
    pub(crate) async fn beyond_text(
        &self,
        column: E::Column,
        after: Option<String>,
        ascending: bool,
        (which, most): (Condition, Option<u64>),
    ) -> Result<Vec<E::Model>> {
        let beyond = after.map(|text| if ascending { column.gt(text) } else { column.lt(text) });
        let select = self.select().filter(which.add_option(beyond));
        let order = if ascending { Order::Asc } else { Order::Desc };
        Ok(select.order_by(column, order).limit(most).all(self.conn).await?)
    }
}

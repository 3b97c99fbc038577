//! What the platform offers to every organization: rows of its own that an organization reads beside its own, and never
//! writes. [`Writer`](super::Writer) knows nothing of them.

use super::{Repository, Scoped};
use crate::price::Level;
use entity::id::OrganizationId;
use sea_orm::{
    ColIdx, ColumnTrait, Condition, ConnectionTrait, ExprTrait, QueryResult, TryGetError, TryGetable,
    sea_query::{Expr, Query, SimpleExpr},
};

/// Names the organization's own rows beside those of the table.
const OWN: &str = "own";

/// A table of which the platform has rows that are there for every organization to read.
pub trait Offered: Scoped {
    /// Whose a row is.
    const OWNER: Self::Column;
    /// What tells an organization's rows apart: its own row takes the place of the platform's of the same key.
    const KEY: &'static [Self::Column];
}

impl<E: Offered, C: ConnectionTrait> Repository<'_, E, C> {
    /// Also reads what the platform offers.
    #[must_use]
    pub fn with_platform(self) -> Self {
        let offered = Condition::all().add(E::OWNER.eq(OrganizationId::PLATFORM)).add(E::live());
        Self { offered: Some(offered), ..self }
    }

    /// Reads the rows of one level; without one, what is there for the organization: its own rows, and the platform's
    /// but for those whose place its own take.
    #[must_use]
    pub fn at(self, level: Option<Level>) -> Self {
        let own = self.ctx.scope.organization;
        let condition = match level {
            None => E::OWNER.eq(own).or(Expr::exists(same_key::<E>(own)).not()),
            Some(Level::Platform) => E::OWNER.eq(OrganizationId::PLATFORM),
            Some(Level::Organization) => E::OWNER.eq(own),
            Some(Level::Connection) => Expr::cust("1 = 0"),
        };
        self.with_platform().narrow(condition)
    }
}

/// The organization's own row of the same key as the row at hand.
fn same_key<E: Offered>(own: OrganizationId) -> sea_orm::sea_query::SelectStatement {
    let alike =
        |column: &E::Column| -> SimpleExpr { Expr::col((OWN, *column)).equals((E::default(), *column)) };
    let mut query = Query::select();
    query.expr(Expr::val(1)).from_as(E::default(), OWN).and_where(Expr::col((OWN, E::OWNER)).eq(own));
    for column in E::KEY {
        query.and_where(alike(column));
    }
    query
}

/// The level of a row, as its owner tells it.
impl TryGetable for Level {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        OrganizationId::try_get_by(row, index).map(Self::of)
    }
}

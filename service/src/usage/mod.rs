//! Usage: what calls really used and cost. Events are append-only and found one by one; totals are read from their sums by
//! hour and day, never from events. A check folds the events anew and compares.

mod event;
mod hours;
mod list;
mod raw;
mod rollup;
mod sums;
mod totals;
mod verify;

pub use event::{ItemizedUsageEvent, UsageEvent, UsageEventPage};
pub use list::{UsageFilter, get, list};
pub use raw::{RAW_KEPT, RawUsageDropped};
pub use sums::UsageSums;
pub use totals::{CurrencyCost, UsageRange, UsageTotals, of_connection, of_key, of_team};
pub use verify::{Dimensions, RollupCheck, RollupDifference, Tally, verify_rollups};

use crate::{
    Ctx, Error, Result,
    db::Pool,
    repository::{Repository, Scoped},
};
use chrono::{DateTime, Utc};
use entity::{id::KeyId, virtual_key};
use sea_orm::Condition;
use uuid::Uuid;

/// Whether a caller can know of something that a list is narrowed to: it is in reach, or one of the rows is that are its.
pub(crate) async fn known<E: Scoped, L: Scoped>(
    ctx: &Ctx,
    id: E::Id,
    rows: impl Into<Condition> + Send,
) -> Result<()> {
    known_in::<E, L>(ctx, ctx.repository(), id, rows).await
}

/// The same of a key, also of a deleted one.
pub(crate) async fn known_key<L: Scoped>(
    ctx: &Ctx,
    id: KeyId,
    rows: impl Into<Condition> + Send,
) -> Result<()> {
    let keys = ctx.repository::<virtual_key::Entity>().with_archived();
    known_in::<virtual_key::Entity, L>(ctx, keys, id, rows).await
}

async fn known_in<E: Scoped, L: Scoped>(
    ctx: &Ctx,
    among: Repository<'_, E, Pool>,
    id: E::Id,
    rows: impl Into<Condition> + Send,
) -> Result<()> {
    match among.find(id).await {
        Err(Error::NotFound(_)) if ctx.repository::<L>().first(rows).await?.is_some() => Ok(()),
        found => found.map(drop),
    }
}

/// The least id of a call that was made at a moment or later. Ids carry milliseconds: one of the same millisecond as the
/// moment, but before it, cannot be told from it, so a moment between two counts as the later.
pub(crate) fn first_id(moment: DateTime<Utc>) -> Uuid {
    let between = !moment.timestamp_subsec_nanos().is_multiple_of(1_000_000);
    let millis = moment.timestamp_millis() + i64::from(between);
    Uuid::from_u128(u128::from(millis.max(0).unsigned_abs()) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_parts_the_ids_before_it_from_those_after() {
        let at = |nanos: i64| DateTime::from_timestamp_nanos(1_800_000_000_000_000_000 + nanos);
        let id = |millis: u64| {
            let builder = uuid::Builder::from_unix_timestamp_millis(1_800_000_000_000 + millis, &[0; 10]);
            builder.into_uuid()
        };
        for (nanos, before, after) in
            [(5_000_000, 4, 5), (5_000_001, 5, 6), (5_999_999, 5, 6), (6_000_000, 5, 6)]
        {
            assert!(id(before) < first_id(at(nanos)), "{nanos}");
            assert!(first_id(at(nanos)) <= id(after), "{nanos}");
        }
        assert_eq!(first_id(DateTime::UNIX_EPOCH), Uuid::nil());
    }
}

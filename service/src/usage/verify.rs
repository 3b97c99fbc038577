//! Whether the sums are what the events add up to: the events are folded anew and compared, figure by figure.

use super::{
    hours::{Hours, start_of},
    rollup::{Rollups, walk_events},
    sums::{UsageSums, plus},
};
use crate::{Ctx, Result, scope::Scope};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{ConnectionId, KeyId, ServiceAccountId, TeamId, UserId},
    money::Total,
    status::{Grain, UsageStatus},
    usage_event, usage_rollup,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The most by which the time in an id can be ahead of the database's: a client may choose an id.
const AHEAD: TimeDelta = TimeDelta::hours(1);

/// What is summed together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Dimensions {
    /// The key.
    pub key_id: Option<KeyId>,
    /// The team that owned the key.
    pub team_id: Option<TeamId>,
    /// The person who owned the key.
    pub user_id: Option<UserId>,
    /// The service account that owned the key.
    pub service_account_id: Option<ServiceAccountId>,
    /// The connection.
    pub connection_id: Option<ConnectionId>,
    /// The provider.
    pub provider: Option<String>,
    /// The model, with every alias followed.
    pub model: Option<String>,
    /// The client's project.
    pub project: Option<String>,
    /// How the calls went.
    pub status: UsageStatus,
    /// ISO 4217.
    pub currency: Option<String>,
}

/// Every figure of a sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events.
    pub events: i64,
    /// What they used.
    pub usage: UsageSums,
    /// What they cost.
    pub cost: Total,
    /// Events whose cost is not known, or not in the currency of the limits that they held something of.
    pub unpriced_events: i64,
    /// Events of calls that used more than they held.
    pub overruns: i64,
    /// Events whose latency is known.
    pub latency_events: i64,
    /// Their latencies, in milliseconds.
    pub latency_ms: i64,
    /// Events of which a limit was charged what the call held.
    pub estimated_events: i64,
    /// Events that do not say what was used.
    pub unclear_events: i64,
    /// Events whose price is a guess.
    pub guessed_events: i64,
}

/// A sum that is not what the events add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RollupDifference {
    /// An hour or a day.
    pub grain: Grain,
    /// Its first moment.
    pub start: DateTime<Utc>,
    /// What is summed together.
    pub dimensions: Dimensions,
    /// What the events add up to; none = there are none.
    pub events: Option<Tally>,
    /// What is stored; none = there is no row.
    pub stored: Option<Tally>,
}

/// What a check of the sums found.
#[derive(Debug, Serialize)]
pub struct RollupCheck {
    /// Hours that were compared, and the whole days in them.
    pub hours: u64,
    /// Events that were folded.
    pub events: u64,
    /// What differs; empty = everything is as it should be.
    pub differences: Vec<RollupDifference>,
}

type Place = (Grain, DateTime<Utc>, Dimensions);
type Tallies = BTreeMap<Place, Tally>;

macro_rules! dimensions {
    ($row:expr) => {
        Dimensions {
            key_id: $row.key_id,
            team_id: $row.team_id,
            user_id: $row.user_id,
            service_account_id: $row.service_account_id,
            connection_id: $row.connection_id,
            provider: $row.provider,
            model: $row.model,
            project: $row.project,
            status: $row.status,
            currency: $row.currency,
        }
    };
}

impl Tally {
    fn of_event(row: &usage_event::Model) -> Self {
        Self {
            events: 1,
            usage: UsageSums::of_event(row),
            cost: row.cost.into(),
            unpriced_events: i64::from(!row.priced),
            overruns: i64::from(row.overrun),
            latency_events: i64::from(row.latency_ms.is_some()),
            latency_ms: row.latency_ms.unwrap_or(0),
            estimated_events: i64::from(row.estimated),
            unclear_events: i64::from(row.usage_unclear),
            guessed_events: i64::from(row.guessed),
        }
    }

    fn of_rollup(row: &usage_rollup::Model) -> Self {
        Self {
            events: row.events,
            usage: UsageSums::of_rollup(row),
            cost: Total::new(row.cost_units, row.cost),
            unpriced_events: row.unpriced_events,
            overruns: row.overruns,
            latency_events: row.latency_events,
            latency_ms: row.latency_ms,
            estimated_events: row.estimated_events,
            unclear_events: row.unclear_events,
            guessed_events: row.guessed_events,
        }
    }

    fn plus(self, other: Self) -> Result<Self> {
        Ok(Self {
            events: plus(self.events, other.events)?,
            usage: self.usage.plus(other.usage)?,
            cost: Total(self.cost.0 + other.cost.0),
            unpriced_events: plus(self.unpriced_events, other.unpriced_events)?,
            overruns: plus(self.overruns, other.overruns)?,
            latency_events: plus(self.latency_events, other.latency_events)?,
            latency_ms: plus(self.latency_ms, other.latency_ms)?,
            estimated_events: plus(self.estimated_events, other.estimated_events)?,
            unclear_events: plus(self.unclear_events, other.unclear_events)?,
            guessed_events: plus(self.guessed_events, other.guessed_events)?,
        })
    }
}

fn add(tallies: &mut Tallies, place: Place, tally: Tally) -> Result<()> {
    let sum = tallies.entry(place).or_default();
    *sum = sum.plus(tally)?;
    Ok(())
}

/// Folds the events of an organization that became known in a range of whole hours, and compares what comes out with the
/// sums of those hours and of the whole days among them, whoever asks. It reads in short statements, so it holds no
/// snapshot; the range has to be over, or what is written meanwhile counts as a difference.
pub async fn verify_rollups(ctx: &Ctx, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<RollupCheck> {
    let whole = ctx.within(Scope::all(ctx.scope.organization));
    let hours = Hours::new(Some(from), Some(to))?;
    let (events, folded) = fold(&whole, hours, to).await?;
    let stored = read(&whole, hours).await?;
    Ok(RollupCheck { hours: hours.count().unwrap_or(0), events, differences: differences(folded, stored) })
}

/// What the events add up to.
async fn fold(ctx: &Ctx, hours: Hours, to: DateTime<Utc>) -> Result<(u64, Tallies)> {
    let (mut count, mut folded) = (0, Tallies::new());
    let days = hours.days();
    walk_events(&ctx.system.db.reader, (ctx.scope.organization, to + AHEAD), |row| {
        if !hours.holds(row.occurred_at) {
            return Ok(());
        }
        count += 1;
        let (at, tally, dimensions) = (row.occurred_at, Tally::of_event(&row), dimensions!(row));
        if days.is_some_and(|days| days.holds(at)) {
            add(&mut folded, (Grain::Day, start_of(Grain::Day, at), dimensions.clone()), tally)?;
        }
        add(&mut folded, (Grain::Hour, start_of(Grain::Hour, at), dimensions), tally)
    })
    .await?;
    Ok((count, folded))
}

/// What is stored. Rows that should be one are taken together: what they add up to is what counts.
async fn read(ctx: &Ctx, hours: Hours) -> Result<Tallies> {
    let (rollups, mut stored) = (Rollups::new(ctx), Tallies::new());
    let ranges = [Some((Grain::Hour, hours)), hours.days().map(|days| (Grain::Day, days))];
    for range in ranges.into_iter().flatten() {
        let take = |row: usage_rollup::Model| {
            let (start, tally) = (row.start, Tally::of_rollup(&row));
            add(&mut stored, (range.0, start, dimensions!(row)), tally)
        };
        rollups.walk(&ctx.system.db.reader, range, take).await?;
    }
    Ok(stored)
}

fn differences(folded: Tallies, mut stored: Tallies) -> Vec<RollupDifference> {
    let mut differences = Vec::new();
    for (place, events) in folded {
        let found = stored.remove(&place);
        if found != Some(events) {
            differences.push(difference(place, Some(events), found));
        }
    }
    let left = stored.into_iter().filter(|(_, tally)| *tally != Tally::default());
    differences.extend(left.map(|(place, tally)| difference(place, None, Some(tally))));
    differences
}

fn difference(place: Place, events: Option<Tally>, stored: Option<Tally>) -> RollupDifference {
    let (grain, start, dimensions) = place;
    RollupDifference { grain, start, dimensions, events, stored }
}

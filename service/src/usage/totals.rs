//! Totals of a key, of a team and of a connection, from the sums by hour and day. Currencies are never added together.

use super::{
    hours::Hours,
    rollup::{Group, Rollups},
    sums::{UsageSums, plus},
};
use crate::{Ctx, Error, Result, scope::Scope};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, KeyId, TeamId},
    money::{Nanos, Total},
    provider_connection, team,
    usage_rollup::Column,
    virtual_key,
};
use sea_orm::ColumnTrait;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which hours to add up. An event counts in the hour in which it became known, its `occurred_at`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct UsageRange {
    /// From this full hour in UTC on; absent = from the beginning.
    pub from: Option<DateTime<Utc>>,
    /// Up to but not including this full hour in UTC; absent = up to now.
    pub to: Option<DateTime<Utc>>,
}

/// What calls cost in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrencyCost {
    /// ISO 4217.
    #[schema(example = "USD")]
    pub currency: String,
    /// What they cost together.
    #[schema(value_type = Nanos)]
    pub cost: Total,
}

/// What calls used and cost, together.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct UsageTotals {
    /// From this hour on; null = from the beginning.
    #[schema(required)]
    pub from: Option<DateTime<Utc>>,
    /// Up to but not including this hour; null = up to now.
    #[schema(required)]
    pub to: Option<DateTime<Utc>>,
    /// What they cost, by currency, in order of its code; currencies are never added together.
    pub costs: Vec<CurrencyCost>,
    /// Events: one for each attempt of a call.
    #[schema(example = 42)]
    pub events: i64,
    /// What they used, each token in exactly one class.
    pub usage: UsageSums,
    /// Events whose cost is not known, or not in the currency of the limits that they held something of.
    pub unpriced_events: i64,
    /// Events of calls that used more than they held.
    pub overruns: i64,
    /// Events of which a limit was charged what the call held, because what was used is not known.
    pub estimated_events: i64,
    /// Events of calls that were served and do not say what they used.
    pub unclear_events: i64,
    /// Events whose price is a guess, where the organization's `price_guess` is `flag`.
    pub guessed_events: i64,
}

impl UsageTotals {
    /// Adds what has one currency, or none.
    fn add(&mut self, group: Group) -> Result<()> {
        self.events = plus(self.events, group.events)?;
        self.usage = self.usage.plus(group.usage)?;
        self.unpriced_events = plus(self.unpriced_events, group.unpriced_events)?;
        self.overruns = plus(self.overruns, group.overruns)?;
        self.estimated_events = plus(self.estimated_events, group.estimated_events)?;
        self.unclear_events = plus(self.unclear_events, group.unclear_events)?;
        self.guessed_events = plus(self.guessed_events, group.guessed_events)?;
        let cost = group.total();
        match group.currency {
            Some(currency) => self.costs.push(CurrencyCost { currency, cost }),
            None if cost == Total::default() => {}
            None => return Err(Error::internal("a cost without a currency")),
        }
        Ok(())
    }
}

/// What the calls with a key used and cost, as far as they are in reach.
pub async fn of_key(ctx: &Ctx, key: KeyId, range: UsageRange) -> Result<UsageTotals> {
    let row = ctx.repository::<virtual_key::Entity>().with_archived().find(key).await?;
    // What was used with a team's key is the team's; whom the key was issued to sees that of this key.
    let held = row.issued_to_user_id.is_some() && row.issued_to_user_id == ctx.actor.user;
    let ctx = &if held { ctx.within(Scope::all(ctx.scope.organization)) } else { ctx.clone() };
    totals(ctx, Rollups::new(ctx).narrow(Column::KeyId.eq(key)), range).await
}

/// What the calls with the keys of a team used and cost: those that it owned then, whoever owns them now.
pub async fn of_team(ctx: &Ctx, team: TeamId, range: UsageRange) -> Result<UsageTotals> {
    ctx.repository::<team::Entity>().find(team).await?;
    totals(ctx, Rollups::new(ctx).narrow(Column::TeamId.eq(team)), range).await
}

/// What the calls that a connection served used and cost, as far as they are in reach.
pub async fn of_connection(ctx: &Ctx, connection: ConnectionId, range: UsageRange) -> Result<UsageTotals> {
    ctx.repository::<provider_connection::Entity>().find(connection).await?;
    totals(ctx, Rollups::new(ctx).narrow(Column::ConnectionId.eq(connection)), range).await
}

async fn totals(ctx: &Ctx, rollups: Rollups, range: UsageRange) -> Result<UsageTotals> {
    let hours = Hours::new(range.from, range.to)?;
    let mut totals = UsageTotals { from: range.from, to: range.to, ..UsageTotals::default() };
    for group in rollups.sum(&ctx.system.db.reader, hours).await? {
        totals.add(group)?;
    }
    Ok(totals)
}

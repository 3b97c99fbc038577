//! What is shown of a usage event, and its bill worked out again, so that anybody can check by hand what a call cost. What
//! comes out is what was stored, or the call fails: a difference is never shown as if it were none.

use super::RawUsageDropped;
use crate::{
    Error, Result,
    cost::{self, AppliedMultiplier, Bill, Exact, Line, Manner, TierChosen, Usage},
    meter::terms_at,
    price::resolve::Prices,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{
        ConnectionId, CredentialId, KeyId, PriceId, ReservationId, SecretId, ServiceAccountId, TeamId,
        UsageEventId, UserId,
    },
    json::Tags,
    money::Nanos,
    status::{PriceSource, UsageOrigin, UsageStatus},
    terms::Component,
    usage_event::Model,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What one attempt of a call used and cost.
#[expect(clippy::struct_excessive_bools, reason = "what is known of an attempt: each is told by itself")]
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageEvent {
    /// The call's id: the attempts of one call have the same.
    pub id: UsageEventId,
    /// Which attempt of the call, from 0.
    pub attempt: i32,
    /// The call as it was authorized, if it was; its id is the event's under another name.
    pub reservation_id: ReservationId,
    /// When it became known. When the call was made stands in its id.
    pub occurred_at: DateTime<Utc>,
    /// How it became known.
    pub origin: UsageOrigin,
    /// The key.
    #[schema(required)]
    pub key_id: Option<KeyId>,
    /// The secret that proved the key.
    #[schema(required)]
    pub secret_id: Option<SecretId>,
    /// The team that owned the key then.
    #[schema(required)]
    pub team_id: Option<TeamId>,
    /// The person who owned the key then.
    #[schema(required)]
    pub user_id: Option<UserId>,
    /// The service account that owned the key then.
    #[schema(required)]
    pub service_account_id: Option<ServiceAccountId>,
    /// The connection that served it.
    #[schema(required)]
    pub connection_id: Option<ConnectionId>,
    /// The secret of the connection.
    #[schema(required)]
    pub credential_id: Option<CredentialId>,
    /// The provider that served it.
    #[schema(required, example = "openai")]
    pub provider: Option<String>,
    /// The model as the client called it.
    #[schema(required, example = "fast")]
    pub requested_model: Option<String>,
    /// The model, with every alias followed.
    #[schema(required, example = "gpt-4o-mini")]
    pub model: Option<String>,
    /// The client's project.
    #[schema(required)]
    pub project: Option<String>,
    /// The client's session.
    #[schema(required)]
    pub session_id: Option<String>,
    /// What kind of call it was.
    #[schema(required, example = "chat")]
    pub endpoint: Option<String>,
    /// The labels of the key and of the call.
    pub tags: Tags,
    /// Where the client called from.
    #[schema(required, example = "203.0.113.7")]
    pub client_ip: Option<String>,
    /// How it went.
    pub status: UsageStatus,
    /// What the provider called its failure.
    #[schema(required)]
    pub error_code: Option<String>,
    /// How it was served.
    #[serde(flatten)]
    pub manner: Manner,
    /// What it used, each token in exactly one class.
    pub usage: Usage,
    /// Milliseconds until the last byte.
    #[schema(required)]
    pub latency_ms: Option<i64>,
    /// Milliseconds until the first token.
    #[schema(required)]
    pub ttft_ms: Option<i64>,
    /// What it cost; of an `estimated` event without a price, what the call held of limits of cost. 0 if neither is known.
    pub cost: Nanos,
    /// ISO 4217; null = what it cost is not known.
    #[schema(required, example = "USD")]
    pub currency: Option<String>,
    /// The price that it was charged by.
    #[schema(required)]
    pub price_id: Option<PriceId>,
    /// Where the price comes from; null of an event from before that was noted.
    #[schema(required)]
    pub price_source: Option<PriceSource>,
    /// What the provider said that it cost, in US dollars; it is the cost where the source of the price is
    /// `provider_stated`.
    #[schema(required)]
    pub provider_stated_cost: Option<Nanos>,
    /// Whether the price is a guess, and the organization's `price_guess` was `flag`.
    pub guessed: bool,
    /// Whether what it cost is known, in the currency of every limit of cost that the call held something of.
    pub priced: bool,
    /// Whether the call used more than it held.
    pub overrun: bool,
    /// Whether a limit was charged what the call held of it, because what was used of it is not known.
    pub estimated: bool,
    /// Whether it was served and does not say what it used.
    pub usage_unclear: bool,
}
crate::page!(UsageEventPage, UsageEvent);

/// A usage event with its bill, line by line.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemizedUsageEvent {
    /// The event.
    #[serde(flatten)]
    pub event: UsageEvent,
    /// The cost before it was rounded; null = it has no price.
    #[schema(required)]
    pub exact: Option<Exact>,
    /// What was charged, one line a component: their amounts times the multipliers make up the cost.
    pub lines: Vec<Line>,
    /// The tier of a tiered price that the whole call fell in.
    #[schema(required)]
    pub tier: Option<TierChosen>,
    /// What the sum of the lines was multiplied by.
    pub multipliers: Vec<AppliedMultiplier>,
    /// What was used and has no rate at the price.
    pub unpriced: Vec<Component>,
    /// The usage object as it was received, if it could not be read exactly; null = it could, or it is not kept.
    #[schema(required, value_type = Option<Object>)]
    pub raw_usage: Option<Value>,
    /// Why an object that could not be read exactly is not shown.
    #[schema(required)]
    pub raw_usage_dropped: Option<RawUsageDropped>,
}

/// How much of everything an event had.
fn usage(row: &Model) -> Result<Usage> {
    let mut usage = Usage::NONE;
    for component in Component::EVERY {
        let quantity = super::sums::of(row, component);
        let quantity = u64::try_from(quantity).map_err(Error::internal)?;
        usage.set(component, quantity).map_err(Error::internal)?;
    }
    Ok(usage)
}

impl TryFrom<Model> for UsageEvent {
    type Error = Error;
    fn try_from(row: Model) -> Result<Self> {
        Ok(Self {
            id: UsageEventId::new(row.id.uuid()),
            attempt: row.attempt,
            reservation_id: row.id,
            occurred_at: row.occurred_at,
            origin: row.origin,
            key_id: row.key_id,
            secret_id: row.secret_id,
            team_id: row.team_id,
            user_id: row.user_id,
            service_account_id: row.service_account_id,
            connection_id: row.connection_id,
            credential_id: row.credential_id,
            usage: usage(&row)?,
            provider: row.provider,
            requested_model: row.requested_model,
            model: row.model,
            project: row.project,
            session_id: row.session_id,
            endpoint: row.endpoint,
            tags: row.tags.unwrap_or_default(),
            client_ip: row.client_ip,
            status: row.status,
            error_code: row.error_code,
            manner: Manner { service_tier: row.service_tier, region: row.region, speed: row.speed },
            latency_ms: row.latency_ms,
            ttft_ms: row.ttft_ms,
            cost: row.cost,
            currency: row.currency,
            price_id: row.price_id,
            price_source: row.price_source,
            guessed: row.guessed,
            provider_stated_cost: row.provider_stated_cost,
            priced: row.priced,
            overrun: row.overrun,
            estimated: row.estimated,
            usage_unclear: row.usage_unclear,
        })
    }
}

impl UsageEvent {
    /// The event with its bill, by the price that it was charged by.
    pub(super) fn itemize(
        self,
        prices: &Prices,
        (raw_usage, raw_usage_dropped): (Option<Value>, Option<RawUsageDropped>),
    ) -> Result<ItemizedUsageEvent> {
        let bill = self.price_id.map(|id| self.bill(id, prices)).transpose()?;
        // What was charged at an estimate, or as the provider states it, names no price, and has no bill.
        let without = match self.price_source {
            _ if self.estimated => self.cost,
            Some(PriceSource::ProviderStated) => self.provider_stated_cost.unwrap_or_default(),
            _ => Nanos::ZERO,
        };
        let cost = bill.as_ref().map_or(without, |bill| bill.cost);
        if cost != self.cost {
            let (id, attempt, stored) = (self.id, self.attempt, self.cost);
            return Err(Error::internal(format!("{id} attempt {attempt} cost {stored}, and now {cost}")));
        }
        let exact = bill.as_ref().map(|bill| bill.exact);
        let parts = bill.map(|bill| (bill.lines, bill.tier, bill.multipliers, bill.unpriced));
        let (lines, tier, multipliers, unpriced) = parts.unwrap_or_default();
        Ok(ItemizedUsageEvent {
            event: self,
            exact,
            lines,
            tier,
            multipliers,
            unpriced,
            raw_usage,
            raw_usage_dropped,
        })
    }

    fn bill(&self, id: PriceId, prices: &Prices) -> Result<Bill> {
        let price = prices
            .price(id)
            .ok_or_else(|| Error::internal(format!("{} names {id}, which is gone", self.id)))?;
        // What can be stored can be computed: it was.
        let terms = terms_at(&price.terms, self.reservation_id);
        cost::bill(&terms, &self.usage, &self.manner).map_err(Error::internal)
    }
}

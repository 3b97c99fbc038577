//! Working out what a call costs, line by line, so that a bill can be checked by hand: nothing changes, and nothing is
//! noted.

use super::{
    book::Entry,
    minute_of_day,
    question::{self, PriceResolution, Served},
    resolve::{Prices, Wanted, Winner},
};
use crate::{
    Ctx, Error, Result,
    cost::{
        self, Advisor, AppliedMultiplier, Bill, Exact, Format, Line, Manner, Reading, ServiceTierWord,
        TierChosen, Usage, stated_tier, unique,
    },
    error::FieldError,
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{ConnectionId, PriceId},
    money::Nanos,
    status::{PriceSource, UnpricedPolicy},
    terms::{Component, ServiceTier},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// A call, and what it used.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsedCall {
    /// The model, or an alias, as the client called it.
    #[schema(min_length = 1, max_length = 255, example = "gpt-4o")]
    pub model: String,
    /// The provider that served it; absent or null = that of the connection, or whichever has a price.
    #[serde(default)]
    #[schema(max_length = 64, example = "openai")]
    pub provider: Option<String>,
    /// The connection that served it, whose own prices hold first; absent or null = none.
    #[serde(default)]
    pub connection_id: Option<ConnectionId>,
    /// When it was made; absent or null = now.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
    /// What it used: our own fields (`input_tokens`, `cache_read_tokens`, …, each token in exactly one class), or a
    /// provider's usage object as it was received.
    #[serde(deserialize_with = "unique::usage")]
    #[schema(value_type = Object, example = json!({"input_tokens": 1200, "cache_read_tokens": 800, "output_tokens": 350}))]
    pub usage: Value,
    /// Whose usage object it is; absent or null = told by its shape.
    #[serde(default)]
    pub format: Option<Format>,
    /// How urgently it was served, in the provider's word; absent, null or `auto` = what the usage object says, or else
    /// `standard`.
    #[serde(default, deserialize_with = "stated_tier")]
    #[schema(value_type = Option<ServiceTierWord>)]
    pub service_tier: Option<ServiceTier>,
    /// Where it was served, such as `eu`; absent or null = what the usage object says.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub region: Option<String>,
    /// How fast it was served, such as `fast`; absent or null = what the usage object says.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub speed: Option<String>,
}

/// What a call costs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quote {
    /// What it costs, its `advisors` included, and by which price the model itself is charged.
    #[serde(flatten)]
    pub bill: ModelBill,
    /// What the provider says that it costs, in US dollars.
    #[schema(required)]
    pub provider_stated_cost: Option<Nanos>,
    /// Whether the cost is known: everything that was used has a rate, and the usage object could be read exactly.
    pub priced: bool,
    /// Whether the usage object could not be read exactly: the cost is that of what could be read.
    pub usage_unclear: bool,
    /// What of the usage object could not be read exactly.
    pub usage_doubts: Vec<UsageDoubt>,
    /// What was used, each token in exactly one class.
    pub usage: Usage,
    /// Whose usage object it was taken for.
    pub format: Format,
    /// How the call was served.
    #[serde(flatten)]
    pub manner: Manner,
    /// Other models that were asked on the way, as the usage object tells: each is an attempt of its own when the call is
    /// settled.
    pub advisors: Vec<AdvisorQuote>,
    /// Which price holds, and why.
    pub resolution: PriceResolution,
}

/// What an advisor used and costs: a model that the called one has asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdvisorQuote {
    /// The model, as the usage object names it.
    #[schema(example = "claude-opus-4-8")]
    pub model: String,
    /// What it used.
    pub usage: Usage,
    /// What it costs, and by which price.
    #[serde(flatten)]
    pub bill: ModelBill,
}

/// What a model costs, and by which price. Of a call, `cost`, `charge` and `exact` are the sums with its `advisors`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelBill {
    /// What it costs; null = something has no price or no rate, or advisors cost another currency.
    #[schema(required)]
    pub cost: Option<Nanos>,
    /// What a team is charged: cost and markup, rounded once for each model.
    #[schema(required)]
    pub charge: Option<Nanos>,
    /// The cost before it is rounded, which it is for each model by itself.
    #[schema(required)]
    pub exact: Option<Exact>,
    /// ISO 4217.
    #[schema(required, example = "USD")]
    pub currency: Option<String>,
    /// The price.
    #[schema(required)]
    pub price_id: Option<PriceId>,
    /// Where the price comes from: the step of the resolution, `provider_stated` where that finds none, or `none`.
    pub price_source: PriceSource,
    /// What was used and has no rate at this price.
    pub unpriced: Vec<Component>,
    /// What is charged, one line a component: their amounts times the multipliers make up the cost of the model itself.
    pub lines: Vec<Line>,
    /// The tier of a tiered price that it falls in.
    #[schema(required)]
    pub tier: Option<TierChosen>,
    /// What the sum of the lines is multiplied by.
    pub multipliers: Vec<AppliedMultiplier>,
}

/// What of a usage object cannot be read exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageDoubt {
    /// JSON pointer to the field.
    #[schema(example = "/usage/total_tokens")]
    pub pointer: String,
    /// Stable word.
    #[schema(value_type = String, example = "inconsistent")]
    pub code: &'static str,
    /// What is wrong, for people.
    #[schema(example = "contradicts the parts that it is the total of")]
    pub message: String,
}

impl From<FieldError> for UsageDoubt {
    fn from(FieldError { pointer, code, message }: FieldError) -> Self {
        Self { pointer, code, message }
    }
}

impl UsedCall {
    /// Understands the call, or says everything that is wrong with it.
    fn read(&self) -> Result<Reading> {
        let mut faults = Faults::default();
        question::check(&mut faults, "/", &self.model, self.provider.as_deref());
        faults.moment("/at", self.at);
        for (at, word) in [("/region", &self.region), ("/speed", &self.speed)] {
            if let Some(word) = word {
                faults.word(at, word);
            }
        }
        let reading = cost::read(&self.usage, self.format, "/usage");
        if let Err(Error::Malformed(_)) = reading {
            return reading;
        }
        faults.also(&reading);
        faults.finish()?;
        reading
    }

    /// What is stated beside the usage object counts more than what stands in it.
    fn manner(&self, reading: &Reading) -> Manner {
        let either =
            |stated: &Option<String>, read: &Option<String>| stated.as_ref().or(read.as_ref()).cloned();
        Manner {
            service_tier: self.service_tier.or(reading.service_tier).unwrap_or_default(),
            region: either(&self.region, &reading.region),
            speed: either(&self.speed, &reading.speed),
        }
    }
}

/// What is charged for a model, and for how much of everything.
struct Used {
    usage: Usage,
    /// Whether its usage is a total that was halved.
    unsided: bool,
    stated: Option<Nanos>,
    manner: Manner,
}

/// Works out what a call costs. What has no price is refused, if the organization refuses it.
pub async fn quote(ctx: &Ctx, call: UsedCall) -> Result<Quote> {
    let mut reading = call.read()?;
    let manner = call.manner(&reading);
    let served = Served::by(ctx, call.connection_id).await?;
    let prices = ctx.system.books.now(&ctx.system, ctx.scope.organization).await?;
    let wanted = Wanted {
        model: &call.model,
        provider: served.provider(call.provider.as_deref()),
        connection_id: call.connection_id,
        at: call.at.unwrap_or(prices.now),
    };
    let (usage, unsided, stated) = (reading.usage, reading.unsided, reading.stated_cost);
    let mut used = Used { usage, unsided, stated, manner };
    let names = served.names(&prices, &call.model);
    let found = prices.resolve(&names, &wanted);
    let own = ModelBill::new(&prices, found.winner.clone(), &wanted, &mut used)?;
    let advisors = std::mem::take(&mut reading.advisors).into_iter();
    let advisors = advisors.map(|advisor| advised(&prices, &served, &wanted, advisor, &used.manner));
    let advisors = advisors.collect::<Result<Vec<_>>>()?;
    let bill = own.with(&advisors);
    let exact_reading = reading.doubts.is_empty();
    let known = exact_reading || bill.price_source == PriceSource::ProviderStated && advisors.is_empty();
    Ok(Quote {
        priced: bill.cost.is_some() && known,
        bill,
        provider_stated_cost: used.stated,
        usage_unclear: !exact_reading,
        usage_doubts: reading.doubts.into_iter().map(UsageDoubt::from).collect(),
        usage: used.usage,
        format: reading.format,
        manner: used.manner,
        advisors,
        resolution: PriceResolution::of(&prices, &wanted, found),
    })
}

/// What an advisor costs: at its own price, served as the call was, but for the speed, which is told of the call alone.
fn advised(
    prices: &Prices,
    served: &Served,
    call: &Wanted<'_>,
    advisor: Advisor,
    manner: &Manner,
) -> Result<AdvisorQuote> {
    let Advisor { model, usage } = advisor;
    let manner = Manner { speed: None, ..manner.clone() };
    let mut used = Used { usage, unsided: false, stated: None, manner };
    let wanted = Wanted { model: &model, ..*call };
    let winner = served.names(prices, &model).winner(prices, &wanted);
    let bill = ModelBill::new(prices, winner, &wanted, &mut used)?;
    Ok(AdvisorQuote { model, usage, bill })
}

impl ModelBill {
    fn new(prices: &Prices, winner: Option<Winner>, wanted: &Wanted<'_>, used: &mut Used) -> Result<Self> {
        let source = winner.as_ref().map_or(PriceSource::None, |winner| winner.step.into());
        let price = winner.map(|winner| winner.entry);
        if used.unsided && price.as_ref().is_some_and(|price| cost::has_no_output(&price.terms)) {
            used.usage = used.usage.without_completion();
        }
        if let (None, Some(cost)) = (&price, cost::charged_as_stated(used.stated)) {
            return Ok(Self::stated(cost));
        }
        let minute = minute_of_day(wanted.at);
        let bill = |price: &Arc<Entry>| cost::bill(&price.terms.at(minute), &used.usage, &used.manner);
        let bill = price.as_ref().map(bill).transpose()?;
        if prices.unpriced_policy == UnpricedPolicy::Refuse {
            refuse_unpriced(wanted.model, bill.as_ref())?;
        }
        let total = bill.as_ref().filter(|bill| bill.is_priced());
        let charge =
            total.zip(price.as_ref()).map(|(total, price)| total.charge(price.markup_bps)).transpose()?;
        let (cost, exact) = (total.map(|total| total.cost), total.map(|total| total.exact));
        let parts = bill.map(|bill| (bill.lines, bill.tier, bill.multipliers, bill.unpriced));
        let (lines, tier, multipliers, unpriced) = parts.unwrap_or_default();
        Ok(Self {
            cost,
            charge,
            exact,
            currency: price.as_ref().map(|price| price.currency.as_ref().to_owned()),
            price_id: price.as_ref().map(|price| price.id),
            price_source: source,
            unpriced,
            lines,
            tier,
            multipliers,
        })
    }

    /// What the provider says, where there is no price and so no markup.
    fn stated(cost: Nanos) -> Self {
        Self {
            cost: Some(cost),
            charge: Some(cost),
            exact: Some(Exact::money(cost)),
            currency: Some(cost::STATED_IN.to_owned()),
            price_id: None,
            price_source: PriceSource::ProviderStated,
            unpriced: Vec::new(),
            lines: Vec::new(),
            tier: None,
            multipliers: Vec::new(),
        }
    }

    /// The same with what advisors cost on top, as far as that is known and of the same currency.
    fn with(self, advisors: &[AdvisorQuote]) -> Self {
        advisors.iter().map(|advisor| &advisor.bill).fold(self, |sum, bill| {
            let same = bill.currency == sum.currency;
            let plus = |(sum, more): (Nanos, Nanos)| sum.checked_add(more).filter(|_| same);
            Self {
                cost: sum.cost.zip(bill.cost).and_then(plus),
                charge: sum.charge.zip(bill.charge).and_then(plus),
                exact: sum.exact.zip(bill.exact).and_then(|(sum, more)| sum.plus(more)).filter(|_| same),
                ..sum
            }
        })
    }
}

fn refuse_unpriced(model: &str, bill: Option<&Bill>) -> Result<()> {
    let Some(bill) = bill else { return Err(Error::PriceUnknown(model.to_owned())) };
    // Nobody can refuse a call for tools that it may use or not: what they cost is told as unpriced.
    if bill.unpriced.iter().all(|component| component.is_server_tool()) {
        return Ok(());
    }
    let classes: Vec<&str> = bill.unpriced.iter().map(|component| component.word()).collect();
    Err(Error::PriceUnknown(format!("{} of {model}", classes.join(", "))))
}

//! [`bill`]: what a call costs, line by line, so that anybody can check it by hand. The amounts of the lines are exact; their
//! sum times the multipliers is rounded once, half to even. What a price says nothing of is named, never free in silence.

use super::{Exact, Usage, too_large};
use crate::{
    Error, Result,
    price::tariff::{Multiplier, PerMillion},
};
use entity::{
    money::{Nanos, Rate},
    terms::{Band, Component, Rates, ServiceTier, Terms, TierBy},
};
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Hundredths of a percent in one.
const BASIS: i128 = 10_000;

/// How a call was served, as far as it is charged for that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Manner {
    /// How urgently.
    pub service_tier: ServiceTier,
    /// Where, such as `eu`.
    #[schema(required)]
    pub region: Option<String>,
    /// How fast, such as `fast`.
    #[schema(required)]
    pub speed: Option<String>,
}

/// What a call costs, and why.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Bill {
    /// The cost: `exact`, rounded half to even.
    pub cost: Nanos,
    /// The sum of the lines times the multipliers, not rounded.
    pub exact: Exact,
    /// What is charged, one line a component.
    pub lines: Vec<Line>,
    /// The tier of a tiered price that the whole call falls in.
    #[schema(required)]
    pub tier: Option<TierChosen>,
    /// What the sum of the lines is multiplied by.
    pub multipliers: Vec<AppliedMultiplier>,
    /// What was used and has no rate at this price: the cost does not hold it.
    pub unpriced: Vec<Component>,
}

/// The tier of a tiered price that a call falls in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TierChosen {
    /// What decides.
    pub by: TierBy,
    /// How much of it the call had.
    pub size: u64,
    /// The largest size of the tier; null = it has no end.
    #[schema(required)]
    pub up_to: Option<i64>,
}

/// What is charged for one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Line {
    /// What is charged for.
    pub component: Component,
    /// How much of it.
    pub quantity: u64,
    /// The price of `per` of it.
    pub rate: Exact,
    /// 1000000 for tokens, 1 for everything else.
    pub per: u32,
    /// `quantity` times `rate` over `per`, not rounded.
    pub amount: Exact,
    /// Whose rate was taken.
    pub rate_from: RateFrom,
}

/// Whose rate was taken: that of another component or service tier where there is none for the own one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RateFrom {
    /// The component.
    pub component: Component,
    /// The service tier.
    pub service_tier: ServiceTier,
    /// How the rate follows from that one; absent = it is that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<RateShare>,
}

/// The rate of cached audio that a price does not state: `audio_input` times `cache_read` over `input`, rounded up to nine
/// digits after the point, and at most `audio_input`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RateShare {
    /// The rate of audio in the prompt.
    pub audio_input: PerMillion,
    /// The rate of tokens read from a cache.
    pub cache_read: PerMillion,
    /// The rate of the other tokens of the prompt, in the same service tier.
    pub input: PerMillion,
}

/// What a multiplier is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppliedFor {
    /// The region that a call was served in.
    Region,
    /// The speed that it was served at.
    Speed,
}

/// A multiplier of the whole cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AppliedMultiplier {
    /// What it is for.
    pub of: AppliedFor,
    /// Which region or speed.
    pub name: String,
    /// What the sum is multiplied by.
    pub factor: Multiplier,
}

impl Bill {
    /// Whether all that was used has a rate.
    pub fn is_priced(&self) -> bool {
        self.unpriced.is_empty()
    }

    /// What a team is charged: the exact cost and the markup, rounded once by itself.
    pub fn charge(&self, markup_bps: i32) -> Result<Nanos> {
        let share = Exact::new(BASIS + i128::from(markup_bps), 4);
        self.exact.times(share).and_then(Exact::half_even).ok_or_else(too_large)
    }
}

/// What a call costs.
pub fn bill(terms: &Terms, usage: &Usage, manner: &Manner) -> Result<Bill> {
    let (band, tier) = band(terms, usage)?;
    let lines = lines(band, usage, manner.service_tier)?;
    let multipliers = multipliers(terms, manner);
    let sum = lines.iter().try_fold(Exact::ZERO, |sum, line| sum.plus(line.amount));
    let factors = multipliers.iter().map(|applied| Exact::new(applied.factor.0.0.into(), 6));
    let exact = factors.fold(sum, |product, factor| product?.times(factor)).ok_or_else(too_large)?;
    let cost = exact.half_even().ok_or_else(too_large)?;
    let unpriced = unpriced(terms, usage, &lines);
    Ok(Bill { cost, exact, lines, tier, multipliers, unpriced })
}

/// Whether a price is that of a model without output, such as one for embeddings: it charges for prompts, and nothing for
/// completions.
pub fn has_no_output(terms: &Terms) -> bool {
    let mut charged = terms.charged();
    let prompts = charged.clone().any(Component::is_prompt);
    prompts && charged.all(|component| component.is_prompt() || !component.is_token())
}

/// The rates that the whole call is charged at, and the tier that they stand in.
fn band<'t>(terms: &'t Terms, usage: &Usage) -> Result<(&'t Band, Option<TierChosen>)> {
    let size = match terms.tier_by.unwrap_or_default() {
        TierBy::PromptTokens => usage.prompt_tokens(),
        TierBy::TotalTokens => usage.size_tokens(),
        TierBy::Images => usage.get(Component::Image),
        TierBy::Seconds => usage.get(Component::Second),
    };
    let holds = |band: &&Band| band.up_to.is_none_or(|up_to| i128::from(size) <= i128::from(up_to));
    let band = terms.bands.iter().find(holds);
    let band = band.ok_or_else(|| Error::internal("a price has no tier for this size"))?;
    let tier = terms.tier_by.map(|by| TierChosen { by, size, up_to: band.up_to });
    Ok((band, tier))
}

fn lines(band: &Band, usage: &Usage, service_tier: ServiceTier) -> Result<Vec<Line>> {
    let used = Component::EVERY.into_iter().filter(|component| usage.get(*component) > 0);
    let priced = used.filter_map(|component| Some((component, rate(band, component, service_tier)?)));
    priced.map(|(component, (rate, from))| line(component, usage.get(component), rate, from)).collect()
}

fn line(component: Component, quantity: u64, rate: Rate, rate_from: RateFrom) -> Result<Line> {
    let amount = Exact::of(quantity, rate).ok_or_else(too_large)?;
    let (per, scale) = if component.is_token() { (1_000_000, 9) } else { (1, 15) };
    Ok(Line { component, quantity, rate: Exact::new(rate.0.into(), scale), per, amount, rate_from })
}

/// The rate of a component: its own in the service tier or else in the standard one, or else that of the first component
/// that stands in for it. A service tier that is there without any rate has none at this size.
fn rate(band: &Band, component: Component, service_tier: ServiceTier) -> Option<(Rate, RateFrom)> {
    if band.rates.get(&service_tier).is_some_and(|Rates(rates)| rates.is_empty()) {
        return None;
    }
    let tiers = [service_tier, ServiceTier::Standard];
    let stated = |component| {
        let from = |service_tier| RateFrom { component, service_tier, share: None };
        tiers.into_iter().find_map(|tier| Some((own(band, component, tier)?, from(tier))))
    };
    let shared = || (component == Component::CacheReadAudio).then(|| cached_audio(band, tiers)).flatten();
    let stand_ins = || component.fallbacks().iter().copied().find_map(stated);
    stated(component).or_else(shared).or_else(stand_ins)
}

fn own(band: &Band, component: Component, service_tier: ServiceTier) -> Option<Rate> {
    let Rates(rates) = band.rates.get(&service_tier)?;
    rates.get(&component).copied()
}

/// The rate of cached audio where none is stated: as much less than that of audio as a cached token costs less than another
/// one. Never more than that of audio, so that what bounds the one bounds the other.
fn cached_audio(band: &Band, tiers: [ServiceTier; 2]) -> Option<(Rate, RateFrom)> {
    let audio = |tier| Some((own(band, Component::AudioInput, tier)?, tier));
    let ratio = |tier| {
        let (read, input) = (own(band, Component::CacheRead, tier)?, own(band, Component::Input, tier)?);
        (input.0 > 0).then_some((read, input))
    };
    let (audio, service_tier) = tiers.into_iter().find_map(audio)?;
    let (read, input) = tiers.into_iter().find_map(ratio)?;
    let (whole, part) = (i128::from(input.0), i128::from(audio.0) * i128::from(read.0));
    let rate = Rate(i64::try_from((part + whole - 1) / whole).map_or(audio.0, |rate| rate.min(audio.0)));
    let share =
        RateShare { audio_input: PerMillion(audio), cache_read: PerMillion(read), input: PerMillion(input) };
    Some((rate, RateFrom { component: Component::AudioInput, service_tier, share: Some(share) }))
}

/// Those of the region and the speed; one that goes by the word of both counts once.
fn multipliers(terms: &Terms, manner: &Manner) -> Vec<AppliedMultiplier> {
    let region = manner.region.as_ref();
    let speed = manner.speed.as_ref().filter(|speed| Some(*speed) != region);
    let named = [(AppliedFor::Region, region), (AppliedFor::Speed, speed)];
    let applied = |(of, name): (AppliedFor, Option<&String>)| {
        let name = name?;
        let factor = Multiplier(*terms.multipliers.get(name)?);
        Some(AppliedMultiplier { of, name: name.clone(), factor })
    };
    named.into_iter().filter_map(applied).collect()
}

/// What was used and ought to have a rate, so that nothing is free in silence. A price per token ought to have one for
/// every class of tokens. And a call of which nothing at all is charged has a price of another kind, such as tokens at a
/// price per image; unless it is flat or by the request, which charges for no more than it says. A tool that the provider
/// ran ought to have a rate at any price that charges for something, unless that is by the request alone.
fn unpriced(terms: &Terms, usage: &Usage, lines: &[Line]) -> Vec<Component> {
    let rates = terms.bands.iter().flat_map(|band| band.rates.values());
    let rated: BTreeSet<Component> = rates.flat_map(|Rates(rates)| rates.keys().copied()).collect();
    let by_token = rated.iter().any(|component| component.is_token());
    let by_request = rated.contains(&Component::Request);
    let nothing = lines.is_empty() && !rated.is_empty() && !by_request;
    let by_use = (by_token || !by_request) && terms.charged().next().is_some();
    let charged = |component| lines.iter().any(|line| line.component == component);
    let ought = |component: Component| {
        component != Component::Request
            && (nothing || by_token && component.is_token() || by_use && component.is_server_tool())
    };
    let used = Component::EVERY.into_iter().filter(|component| usage.get(*component) > 0);
    used.filter(|component| ought(*component) && !charged(*component)).collect()
}

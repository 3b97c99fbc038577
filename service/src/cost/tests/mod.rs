//! What a call costs, against a model in rational numbers without bound; conversions, against the providers' own totals.

mod advisors;
mod arbitrary;
mod bills;
mod bounds;
mod disturbed;
mod examples;
mod formats;
mod malformed;
mod model;
mod providers;
mod stated;
mod tools;

use super::*;
use entity::{
    money::{Factor, Nanos, Rate},
    terms::{Band, Component, Rates, ServiceTier, Terms, TierBy},
};
use num_rational::BigRational;
use proptest::{collection::btree_map, option, prelude::*, sample::select};
use std::collections::BTreeMap;

const SERVICE_TIERS: [ServiceTier; 4] =
    [ServiceTier::Standard, ServiceTier::Batch, ServiceTier::Flex, ServiceTier::Priority];

/// How large the numbers of a test are: what somebody may meet, or anything that can be stated.
#[derive(Clone, Copy, Debug)]
struct Size {
    quantity: u64,
    rate: i64,
    factor: i64,
}
/// Millions of tokens at up to a hundred a million, and multipliers of up to three.
const PLAUSIBLE: Size = Size { quantity: 10_000_000, rate: 100_000_000_000, factor: 3_000_000 };
const ANYTHING: Size = Size { quantity: MOST, rate: i64::MAX, factor: 1_000_000_000 };

fn component() -> impl Strategy<Value = Component> {
    select(Component::EVERY.to_vec())
}

/// Numbers up to one, the small and the largest more often than chance would have it.
fn up_to(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..=9u64.min(most), 0..=most, (most - most / 100)..=most]
}

fn rates(size: Size) -> impl Strategy<Value = Rates> {
    let rate = up_to(size.rate.unsigned_abs()).prop_map(|rate| Rate(i64::try_from(rate).unwrap()));
    btree_map(component(), rate, 0..8).prop_map(Rates)
}

fn band(size: Size) -> impl Strategy<Value = Band> {
    let cards = btree_map(select(SERVICE_TIERS[1..].to_vec()), rates(size), 0..3);
    (rates(size), cards).prop_map(|(standard, mut rates)| {
        rates.insert(ServiceTier::Standard, standard);
        Band { up_to: None, rates }
    })
}

fn terms(size: Size) -> impl Strategy<Value = Terms> {
    let factor = (1..=size.factor).prop_map(Factor);
    let words = select(vec!["eu", "us", "fast", "slow"]).prop_map(str::to_owned);
    let tier_by = select(vec![TierBy::PromptTokens, TierBy::TotalTokens, TierBy::Images, TierBy::Seconds]);
    let ends = proptest::collection::btree_set(0..=i64::try_from(size.quantity).unwrap() * 2, 0..4);
    let bands = proptest::collection::vec(band(size), 4);
    (tier_by, ends, bands, btree_map(words, factor, 0..4)).prop_map(|(tier_by, ends, bands, multipliers)| {
        let tier_by = (!ends.is_empty()).then_some(tier_by);
        let ends = ends.into_iter().map(Some).chain([None]);
        let bands = bands.into_iter().zip(ends).map(|(band, up_to)| Band { up_to, ..band }).collect();
        Terms { tier_by, bands, multipliers, off_peak: None }
    })
}

fn usage(size: Size) -> impl Strategy<Value = Usage> {
    btree_map(component(), up_to(size.quantity), 0..14).prop_map(used)
}

fn manner() -> impl Strategy<Value = Manner> {
    let word = || option::of(select(vec!["eu", "us", "fast", "slow", "mars"]).prop_map(str::to_owned));
    (select(SERVICE_TIERS.to_vec()), word(), word()).prop_map(|(service_tier, region, speed)| Manner {
        service_tier,
        region,
        speed,
    })
}

/// A call that used this and nothing else.
fn used(counts: impl IntoIterator<Item = (Component, u64)>) -> Usage {
    let mut usage = Usage::NONE;
    for (component, quantity) in counts {
        usage.set(component, quantity).unwrap();
    }
    usage
}

/// Terms of one tier, at these rates of the standard service tier.
fn at(rates: impl IntoIterator<Item = (Component, i64)>) -> Terms {
    tiered(TierBy::PromptTokens, [(None, ServiceTier::Standard, rates.into_iter().collect())])
}

type Stated = (Option<i64>, ServiceTier, Vec<(Component, i64)>);

/// Terms of these rates by end of the tier and service tier, in order.
fn tiered(by: TierBy, stated: impl IntoIterator<Item = Stated>) -> Terms {
    let mut bands: Vec<Band> = Vec::new();
    for (up_to, service_tier, rates) in stated {
        if bands.last().is_none_or(|band| band.up_to != up_to) {
            bands.push(Band { up_to, rates: BTreeMap::new() });
        }
        let rates = Rates(rates.into_iter().map(|(component, rate)| (component, Rate(rate))).collect());
        bands.last_mut().unwrap().rates.insert(service_tier, rates);
    }
    let tier_by = (bands.len() > 1).then_some(by);
    Terms { tier_by, bands, multipliers: BTreeMap::new(), off_peak: None }
}

fn standard() -> Manner {
    Manner::default()
}

fn served(service_tier: ServiceTier) -> Manner {
    Manner { service_tier, ..Manner::default() }
}

fn rational(value: impl Into<i128>) -> BigRational {
    BigRational::from_integer(value.into().into())
}

/// The number that a decimal text says.
fn decimal(text: &str) -> BigRational {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits: BigRational = format!("{whole}{part}").parse().unwrap();
    part.chars().fold(digits, |number, _| number / rational(10))
}

//! [`Sheet`]: what was stated of a tariff, checked as a whole. Every fault is found, each with its field.

use super::{Multiplier, OffPeakRates, RateCard, Tier, field};
use crate::validate::{Faults, escaped};
use entity::{
    money::{Factor, Rate},
    status::PriceKind,
    terms::{Band, Component, OffPeak, Rates, ServiceTier, Terms, TierBy},
};
use std::collections::{BTreeMap, BTreeSet};

/// Tiers of a price.
const TIERS: usize = 16;
/// Multipliers of a price.
const MULTIPLIERS: usize = 32;
/// The largest size of a tier.
const LARGEST: i64 = 1_000_000_000_000;
/// The largest multiplier: a thousand.
const FACTOR: i64 = 1_000_000_000;

/// What was stated of a tariff.
pub(crate) struct Sheet<'s> {
    pub(crate) kind: PriceKind,
    /// The rates that stand outside of any tier.
    pub(crate) only: Tier,
    pub(crate) tier_by: Option<TierBy>,
    pub(crate) tiers: Option<&'s [Tier]>,
    pub(crate) multipliers: &'s BTreeMap<String, Multiplier>,
    pub(crate) off_peak: Option<&'s OffPeakRates>,
}

impl Sheet<'_> {
    /// The same as integers; `faults` gets what is wrong, each with its field under `at`.
    pub(crate) fn terms(self, at: &str, faults: &mut Faults) -> Terms {
        self.fits_kind(at, faults);
        let bands = if self.kind == PriceKind::Tiered {
            self.bands(at, faults)
        } else {
            let misplaced = "only a tiered price has tiers";
            faults.when(self.tiers.is_some(), &format!("{at}/tiers"), "not_allowed", misplaced);
            faults.when(self.tier_by.is_some(), &format!("{at}/tier_by"), "not_allowed", misplaced);
            faults.when(self.only.below.is_some(), &format!("{at}/below"), "not_allowed", "only a tier ends");
            vec![self.only.band(at, false, faults)]
        };
        let tier_by = (self.kind == PriceKind::Tiered).then(|| self.tier_by.unwrap_or_default());
        let off_peak = self.off_peak.map(|stated| self.hours(stated, at, faults));
        Terms { tier_by, bands, multipliers: multipliers(at, self.multipliers, faults), off_peak }
    }

    /// Rates of some hours of the day.
    fn hours(&self, stated: &OffPeakRates, at: &str, faults: &mut Faults) -> OffPeak {
        let at = format!("{at}/off_peak");
        let misplaced = self.kind != PriceKind::PerToken;
        faults.when(misplaced, &at, "not_allowed", "only a price per token has rates by the hour");
        let (minutes, rates) = (stated.minutes(), stated.rates());
        let message = "must be two different times of the day in UTC, such as 16:30-00:30";
        faults.when(minutes.is_none(), &format!("{at}/hours_utc"), "invalid_format", message);
        faults.when(rates.0.is_empty(), &at, "required", "rates by the hour have a rate");
        for (component, rate) in &rates.0 {
            let here = format!("{at}/{}", field(*component));
            faults.when(rate.0 < 0, &here, "out_of_range", "must not be negative");
        }
        let (from, until) = minutes.unwrap_or_default();
        OffPeak { from, until, rates }
    }

    /// What must be there, and what must not, by the kind.
    fn fits_kind(&self, at: &str, faults: &mut Faults) {
        let (tokens, units) = (|c: Component| c.is_token(), |c: Component| !c.is_token());
        match self.kind {
            PriceKind::PerToken => {
                let message = "a price per token has a rate for a class of tokens, such as input or output";
                self.needs(tokens, &format!("{at}/input"), message, faults);
            }
            PriceKind::PerRequest => {
                let message = "a price per request says what a request costs";
                self.needs(|c| c == Component::Request, &format!("{at}/per_request"), message, faults);
                self.takes_only(units, at, "only a price per token charges for tokens", faults);
            }
            PriceKind::PerUnit => {
                let message = "a price per unit has per_image, per_second, per_character, per_web_search or per_code_execution";
                let unit = |c: Component| !c.is_token() && c != Component::Request;
                self.needs(unit, &format!("{at}/per_image"), message, faults);
                self.takes_only(units, at, "only a price per token charges for tokens", faults);
            }
            PriceKind::Tiered => {
                self.takes_only(|_| false, at, "the rates of a tiered price stand in its tiers", faults);
            }
            PriceKind::Flat => {
                let message = "a flat price charges nothing for a call";
                self.takes_only(|_| false, at, message, faults);
                let multiplied = !self.multipliers.is_empty();
                faults.when(multiplied, &format!("{at}/multipliers"), "not_allowed", message);
            }
        }
    }

    fn needs(&self, wanted: fn(Component) -> bool, pointer: &str, message: &str, faults: &mut Faults) {
        let none = !self.only.rates().0.into_keys().any(wanted);
        faults.when(none, pointer, "required", message);
    }

    fn takes_only(&self, wanted: fn(Component) -> bool, at: &str, message: &str, faults: &mut Faults) {
        for (name, component, _) in self.only.stated() {
            faults.when(!wanted(component), &format!("{at}/{name}"), "not_allowed", message);
        }
    }

    fn bands(&self, at: &str, faults: &mut Faults) -> Vec<Band> {
        let tiers = self.tiers.unwrap_or_default();
        let at = format!("{at}/tiers");
        faults.when(tiers.is_empty(), &at, "required", "a tiered price has tiers");
        if tiers.len() > TIERS {
            faults.add(&at, "too_many", format!("must have at most {TIERS} tiers"));
        }
        sizes(&at, tiers, faults);
        let band = |(n, tier): (usize, &Tier)| {
            let here = format!("{at}/{n}");
            faults.when(tier.rates().0.is_empty(), &here, "required", "a tier has a rate");
            tier.band(&here, true, faults)
        };
        let mut bands: Vec<Band> = tiers.iter().enumerate().map(band).collect();
        close_gaps(&mut bands);
        bands
    }
}

/// A service tier that has rates for some sizes has none for the others: they are not known to be charged as standard.
pub(crate) fn close_gaps(bands: &mut [Band]) {
    let services: BTreeSet<ServiceTier> = bands.iter().flat_map(|band| band.rates.keys().copied()).collect();
    for band in bands {
        for service in &services {
            band.rates.entry(*service).or_default();
        }
    }
}

/// Sizes increase, and the last tier alone has none.
fn sizes(at: &str, tiers: &[Tier], faults: &mut Faults) {
    let mut below = None;
    for (n, tier) in tiers.iter().enumerate() {
        let here = format!("{at}/{n}/up_to");
        let last = n + 1 == tiers.len();
        let twice = tier.up_to.is_some() && tier.below.is_some();
        faults.when(twice, &format!("{at}/{n}/below"), "not_allowed", "a tier has up_to or below, not both");
        faults.when(last && tier.end().is_some(), &here, "not_allowed", "the last tier has no end");
        faults.when(!last && tier.end().is_none(), &here, "required", "only the last tier has no end");
        let Some(up_to) = tier.end() else { continue };
        if !(0..=LARGEST).contains(&up_to) {
            faults.add(&here, "out_of_range", format!("must be between 0 and {LARGEST}"));
        }
        let crossed = below.is_some_and(|below| up_to <= below);
        faults.when(crossed, &here, "out_of_order", "must be more than that of the tier before");
        below = Some(up_to);
    }
}

impl Tier {
    /// The rates of each service tier that has its own, with their field.
    fn cards(&self) -> impl Iterator<Item = (&'static str, ServiceTier, &RateCard)> {
        let cards = [
            ("batch", ServiceTier::Batch, &self.batch),
            ("flex", ServiceTier::Flex, &self.flex),
            ("priority", ServiceTier::Priority, &self.priority),
        ];
        cards.into_iter().filter_map(|(name, service, card)| Some((name, service, card.as_ref()?)))
    }

    /// Every rate with its field.
    fn stated(&self) -> Vec<(String, Component, Rate)> {
        let own = self.rates().0.into_iter().map(|(c, rate)| (field(c).to_owned(), c, rate));
        let others = self.cards().flat_map(|(name, _, card)| {
            card.rates().0.into_iter().map(move |(c, rate)| (format!("{name}/{}", field(c)), c, rate))
        });
        own.chain(others).collect()
    }

    /// The largest size it is for.
    fn end(&self) -> Option<i64> {
        self.up_to.or_else(|| self.below.map(|below| below.saturating_sub(1)))
    }

    fn band(&self, at: &str, tiered: bool, faults: &mut Faults) -> Band {
        for (name, _, rate) in self.stated() {
            faults.when(rate.0 < 0, &format!("{at}/{name}"), "out_of_range", "must not be negative");
        }
        for (name, _, card) in self.cards() {
            let message = "a service tier with rates of its own has a rate";
            let empty = !tiered && card.rates() == Rates::default();
            faults.when(empty, &format!("{at}/{name}"), "required", message);
        }
        let standard = (ServiceTier::Standard, self.rates());
        let others = self.cards().map(|(_, service, card)| (service, card.rates()));
        Band { up_to: self.end(), rates: others.chain([standard]).collect() }
    }
}

fn multipliers(
    at: &str,
    stated: &BTreeMap<String, Multiplier>,
    faults: &mut Faults,
) -> BTreeMap<String, Factor> {
    let at = format!("{at}/multipliers");
    if stated.len() > MULTIPLIERS {
        faults.add(&at, "too_many", format!("must have at most {MULTIPLIERS} multipliers"));
    }
    for (word, Multiplier(factor)) in stated {
        let here = format!("{at}/{}", escaped(word));
        faults.word(&here, word);
        let wrong = !(1..=FACTOR).contains(&factor.0);
        faults.when(wrong, &here, "out_of_range", "must be more than 0 and at most 1000");
    }
    stated.iter().map(|(word, Multiplier(factor))| (word.clone(), *factor)).collect()
}

//! What a price charges for, as it stands on the wire: one field a rate, decimal strings, tiers and service tiers nested.
//! [`Terms`] is the same as integers; there is one way from each to the other.

mod decimal;
mod fields;
mod sheet;

pub use decimal::{Multiplier, PerMillion, PerUnit};
pub(crate) use fields::{changes_rates, each_rate, rated, with_changes, with_rates};
pub(crate) use sheet::{Sheet, close_gaps};

use entity::{
    status::PriceKind,
    terms::{Band, Component, OffPeak, Rates, ServiceTier, Terms},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The field of a component's rate.
pub const fn field(component: Component) -> &'static str {
    match component {
        Component::Request => "per_request",
        Component::Image => "per_image",
        Component::Second => "per_second",
        Component::Character => "per_character",
        Component::WebSearch => "per_web_search",
        Component::CodeExecution => "per_code_execution",
        token => token.word(),
    }
}

rated! {
    /// Rates of a service tier. What is absent is charged as in the standard tier; of one tier of a tiered price, `{}` says
    /// that the service tier has no price there.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    pub struct RateCard {}
}

rated! {
    /// One tier of a tiered price: the rates of whole calls up to some size.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Tier {
        /// The largest size it is for, inclusive; null in the last tier, and only there.
        #[serde(default)]
        #[schema(required, minimum = 0, maximum = 1_000_000_000_000_i64, example = 200_000)]
        pub up_to: Option<i64>,
        /// The size that it ends below, in place of `up_to`, which is then one less. It is shown as `up_to`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
        pub below: Option<i64>,
        /// Rates in a batch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub batch: Option<RateCard>,
        /// Rates when there is room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub flex: Option<RateCard>,
        /// Rates before others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub priority: Option<RateCard>,
    }
}

rated! {
    /// Rates of some hours of the day. What is absent is charged as in the other hours.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    pub struct OffPeakRates {
        /// From the first minute up to but not including the second, in UTC; midnight may be in between.
        #[schema(pattern = "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$", example = "16:30-00:30")]
        pub hours_utc: String,
    }
}

impl OffPeakRates {
    /// The wire form of terms.
    pub(crate) fn of(terms: &OffPeak) -> Self {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let hours_utc = format!("{}-{}", time(terms.from), time(terms.until));
        let mut off_peak = Self { hours_utc, ..Self::default() };
        off_peak.set_rates(&terms.rates);
        off_peak
    }

    /// The minutes of the day, if they are written as they should be.
    fn minutes(&self) -> Option<(u16, u16)> {
        let number = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let (hour, minute) = (number(hour)?, number(minute)?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, until) = self.hours_utc.split_once('-')?;
        Some((minute(from)?, minute(until)?)).filter(|(from, until)| from != until)
    }
}

/// A tariff: how a price charges, and for what.
macro_rules! tariff {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* }) => {
        $crate::price::tariff::rated! {
            $(#[$meta])*
            pub struct $name {
                $($(#[$field_meta])* pub $field: $kind,)*
                /// How it charges.
                pub kind: entity::status::PriceKind,
                /// Rates in a batch.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub batch: Option<$crate::price::tariff::RateCard>,
                /// Rates when there is room.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub flex: Option<$crate::price::tariff::RateCard>,
                /// Rates before others.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub priority: Option<$crate::price::tariff::RateCard>,
                /// Rates of some hours of the day, of a price per token.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub off_peak: Option<$crate::price::tariff::OffPeakRates>,
                /// What the tiers of a tiered price are of; the tokens of the prompt if absent.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub tier_by: Option<entity::terms::TierBy>,
                /// The tiers of a tiered price, in order of their sizes.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub tiers: Option<Vec<$crate::price::tariff::Tier>>,
                /// What the whole cost is multiplied by in a region (`eu`) or at a speed (`fast`).
                #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
                #[schema(example = json!({"eu": "1.1"}))]
                pub multipliers: std::collections::BTreeMap<String, $crate::price::tariff::Multiplier>,
            }
        }
        impl $name {
            /// The same as integers; `faults` gets what is wrong, each with its field under `at`.
            pub fn terms(&self, at: &str, faults: &mut $crate::validate::Faults) -> entity::terms::Terms {
                let mut only = $crate::price::tariff::Tier {
                    batch: self.batch.clone(),
                    flex: self.flex.clone(),
                    priority: self.priority.clone(),
                    ..Default::default()
                };
                only.set_rates(&self.rates());
                let (kind, tier_by, tiers) = (self.kind, self.tier_by, self.tiers.as_deref());
                let (multipliers, off_peak) = (&self.multipliers, self.off_peak.as_ref());
                $crate::price::tariff::Sheet { kind, only, tier_by, tiers, multipliers, off_peak }.terms(at, faults)
            }
            /// States these terms, in place of what was stated before.
            pub fn set_terms(&mut self, kind: entity::status::PriceKind, terms: &entity::terms::Terms) {
                let (only, tiers) = $crate::price::tariff::Tier::apart(kind, &terms.bands);
                self.kind = kind;
                self.set_rates(&only.rates());
                (self.batch, self.flex, self.priority) = (only.batch, only.flex, only.priority);
                self.tier_by = terms.tier_by;
                self.tiers = tiers;
                let shown = |(word, factor): (&String, &entity::money::Factor)| {
                    (word.clone(), $crate::price::tariff::Multiplier(*factor))
                };
                self.off_peak = terms.off_peak.as_ref().map($crate::price::tariff::OffPeakRates::of);
                self.multipliers = terms.multipliers.iter().map(shown).collect();
            }
        }
    };
}
pub(crate) use tariff;

tariff! {
    /// What a price charges for.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    pub struct Tariff {}
}

impl Tariff {
    /// The wire form of terms.
    pub fn of(kind: PriceKind, terms: &Terms) -> Self {
        let mut tariff = Self::default();
        tariff.set_terms(kind, terms);
        tariff
    }
}

impl Tier {
    /// Bands, apart from each other: the rates that stand outside of any tier, and the tiers of a tiered price.
    pub(crate) fn apart(kind: PriceKind, bands: &[Band]) -> (Self, Option<Vec<Self>>) {
        let mut tiers = bands.iter().map(Self::of);
        if kind == PriceKind::Tiered {
            (Self::default(), Some(tiers.collect()))
        } else {
            (tiers.next().unwrap_or_default(), None)
        }
    }

    fn of(band: &Band) -> Self {
        let card = |service: ServiceTier| {
            let mut card = RateCard::default();
            card.set_rates(band.rates.get(&service)?);
            Some(card)
        };
        let mut tier = Self {
            up_to: band.up_to,
            batch: card(ServiceTier::Batch),
            flex: card(ServiceTier::Flex),
            priority: card(ServiceTier::Priority),
            ..Default::default()
        };
        tier.set_rates(band.rates.get(&ServiceTier::Standard).unwrap_or(&Rates::default()));
        tier
    }
}

#[cfg(test)]
mod tests;

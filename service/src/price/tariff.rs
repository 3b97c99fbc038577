//! What a price charges for, as it stands on the wire: one field a rate, decimal strings, tiers and service tiers nested.
//! [`Terms`] is the same as integers; there is one way from each to the other.

use crate::validate::Faults;
use entity::{
    money::{self, Factor, Rate},
    status::PriceKind,
    terms::{Band, Component, Rates, ServiceTier, Terms, TierBy},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, collections::BTreeMap};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// Tiers of a price.
const TIERS: usize = 16;
/// Multipliers of a price.
const MULTIPLIERS: usize = 32;
/// The largest size of a tier.
const LARGEST: i64 = 1_000_000_000_000;
/// The largest multiplier: a thousand.
const FACTOR: i64 = 1_000_000_000;

macro_rules! decimal_texts {
    ($($(#[$doc:meta])* $name:ident($inner:ident) $scale:literal $example:literal $about:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&money::decimal(self.0.0.into(), $scale, 0))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                money::deserialize(deserializer, $scale).map(|value| Self($inner(value)))
            }
        }
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                money::schema($example, $scale, $about)
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

decimal_texts! {
    /// The price of a million tokens, exact to nine digits after the point.
    PerMillion(Rate) 9 "2.5" "The price of a million tokens in the currency's unit.";
    /// The price of one request, image, second or character, exact to fifteen digits after the point.
    PerUnit(Rate) 15 "0.04" "The price of one in the currency's unit.";
    /// What the whole cost is multiplied by, exact to six digits after the point.
    Multiplier(Factor) 6 "1.1" "What the whole cost is multiplied by.";
}

/// Adds a field for each rate to a struct.
macro_rules! rated {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* }) => {
        $crate::price::tariff::with_rates! {
            [$(#[$meta])*] $name [$($(#[$field_meta])* pub $field: $kind,)*]
            input Input PerMillion "Prompt tokens that came from no cache, a million.";
            cache_read CacheRead PerMillion "Prompt tokens read from a cache, a million; as `input` if absent.";
            cache_write CacheWrite PerMillion "Prompt tokens written to a cache, a million; as `input` if absent.";
            cache_write_1h CacheWrite1h PerMillion "Prompt tokens written to a cache for an hour, a million; as `cache_write` if absent.";
            output Output PerMillion "Completion tokens without reasoning, a million.";
            reasoning Reasoning PerMillion "Reasoning tokens, a million; as `output` if absent.";
            audio_input AudioInput PerMillion "Tokens of audio in the prompt, a million; as `input` if absent.";
            audio_output AudioOutput PerMillion "Tokens of audio in the completion, a million; as `output` if absent.";
            image_input ImageInput PerMillion "Tokens of images in the prompt, a million; as `input` if absent.";
            image_output ImageOutput PerMillion "Tokens of images in the completion, a million; as `output` if absent.";
            per_request Request PerUnit "A request.";
            per_image Image PerUnit "An image.";
            per_second Second PerUnit "A second of audio or video.";
            per_character Character PerUnit "A character.";
        }
    };
}
macro_rules! with_rates {
    ([$($meta:tt)*] $name:ident [$($own:tt)*]
     $($rate:ident $component:ident $unit:ident $about:literal;)*) => {
        $($meta)*
        pub struct $name {
            $($own)*
            $(#[doc = $about]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $rate: Option<$crate::price::tariff::$unit>,)*
        }
        impl $name {
            /// The rates that it states.
            pub fn rates(&self) -> entity::terms::Rates {
                let stated = [$((entity::terms::Component::$component, self.$rate.map(|rate| rate.0))),*];
                entity::terms::Rates(stated.into_iter().filter_map(|(c, rate)| Some((c, rate?))).collect())
            }
            /// States these rates and no others.
            pub fn set_rates(&mut self, rates: &entity::terms::Rates) {
                let get = |component| rates.0.get(&component).copied();
                $(self.$rate = get(entity::terms::Component::$component).map($crate::price::tariff::$unit);)*
            }
        }
    };
}
pub(crate) use {rated, with_rates};

/// The field of a component's rate.
pub const fn field(component: Component) -> &'static str {
    match component {
        Component::Request => "per_request",
        Component::Image => "per_image",
        Component::Second => "per_second",
        Component::Character => "per_character",
        token => token.word(),
    }
}

rated! {
    /// Rates of a service tier. What is absent is charged as in the standard tier.
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
                let only = $crate::price::tariff::Tier {
                    up_to: None,
                    batch: self.batch.clone(),
                    flex: self.flex.clone(),
                    priority: self.priority.clone(),
                    ..Default::default()
                };
                let sheet = $crate::price::tariff::Sheet {
                    kind: self.kind,
                    only: (self.rates(), only),
                    tier_by: self.tier_by,
                    tiers: self.tiers.as_deref(),
                    multipliers: &self.multipliers,
                };
                sheet.terms(at, faults)
            }
            /// States these terms, in place of what was stated before.
            pub fn set_terms(&mut self, kind: entity::status::PriceKind, terms: &entity::terms::Terms) {
                let $crate::price::tariff::Shown { rates, batch, flex, priority, tiers } =
                    $crate::price::tariff::Shown::of(kind, terms);
                self.kind = kind;
                self.set_rates(&rates);
                (self.batch, self.flex, self.priority) = (batch, flex, priority);
                self.tier_by = terms.tier_by;
                self.tiers = tiers;
                let shown = |(word, factor): (&String, &entity::money::Factor)| {
                    (word.clone(), $crate::price::tariff::Multiplier(*factor))
                };
                self.multipliers = terms.multipliers.iter().map(shown).collect();
            }
        }
    };
}
pub(crate) use tariff;

tariff! {
    /// What a price charges for.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    pub struct Tariff {}
}

impl Tariff {
    /// The wire form of terms.
    pub fn of(kind: PriceKind, terms: &Terms) -> Self {
        let mut tariff = Self::empty(kind);
        tariff.set_terms(kind, terms);
        tariff
    }

    fn empty(kind: PriceKind) -> Self {
        Self {
            kind,
            batch: None,
            flex: None,
            priority: None,
            tier_by: None,
            tiers: None,
            multipliers: BTreeMap::new(),
            input: None,
            cache_read: None,
            cache_write: None,
            cache_write_1h: None,
            output: None,
            reasoning: None,
            audio_input: None,
            audio_output: None,
            image_input: None,
            image_output: None,
            per_request: None,
            per_image: None,
            per_second: None,
            per_character: None,
        }
    }
}

/// What was stated, before it is checked.
pub(crate) struct Sheet<'s> {
    pub(crate) kind: PriceKind,
    pub(crate) only: (Rates, Tier),
    pub(crate) tier_by: Option<TierBy>,
    pub(crate) tiers: Option<&'s [Tier]>,
    pub(crate) multipliers: &'s BTreeMap<String, Multiplier>,
}

impl Sheet<'_> {
    pub(crate) fn terms(self, at: &str, faults: &mut Faults) -> Terms {
        let (rates, only) = &self.only;
        let bands = if self.kind == PriceKind::Tiered {
            self.no_rates_beside_tiers(at, faults);
            self.bands(at, faults)
        } else {
            let misplaced = "only a tiered price has tiers";
            faults.when(self.tiers.is_some(), &format!("{at}/tiers"), "not_allowed", misplaced);
            faults.when(self.tier_by.is_some(), &format!("{at}/tier_by"), "not_allowed", misplaced);
            self.fits_kind(at, faults);
            vec![band(at, only, rates.clone(), faults)]
        };
        let tier_by = (self.kind == PriceKind::Tiered).then(|| self.tier_by.unwrap_or_default());
        Terms { tier_by, bands, multipliers: multipliers(at, self.multipliers, faults) }
    }

    fn no_rates_beside_tiers(&self, at: &str, faults: &mut Faults) {
        let (Rates(rates), only) = &self.only;
        let message = "the rates of a tiered price stand in its tiers";
        for component in rates.keys() {
            faults.add(format!("{at}/{}", field(*component)), "not_allowed", message);
        }
        let tiers = [("batch", &only.batch), ("flex", &only.flex), ("priority", &only.priority)];
        for (name, card) in tiers {
            faults.when(card.is_some(), &format!("{at}/{name}"), "not_allowed", message);
        }
    }

    fn bands(&self, at: &str, faults: &mut Faults) -> Vec<Band> {
        let tiers = self.tiers.unwrap_or_default();
        let at = format!("{at}/tiers");
        faults.when(tiers.is_empty(), &at, "required", "a tiered price has tiers");
        faults.when(tiers.len() > TIERS, &at, "too_many", "must have at most 16 tiers");
        let mut below = -1;
        for (n, tier) in tiers.iter().enumerate() {
            let here = format!("{at}/{n}/up_to");
            let last = n + 1 == tiers.len();
            faults.when(last && tier.up_to.is_some(), &here, "not_allowed", "the last tier has no end");
            faults.when(!last && tier.up_to.is_none(), &here, "required", "only the last tier has no end");
            let Some(up_to) = tier.up_to else { continue };
            faults.when(up_to <= below, &here, "out_of_order", "must be more than the tier before");
            faults.when(up_to > LARGEST, &here, "out_of_range", "must be at most 1000000000000");
            below = up_to;
        }
        let band = |(n, tier): (usize, &Tier)| {
            let rates = tier.rates();
            let here = format!("{at}/{n}");
            faults.when(rates.0.is_empty(), &here, "required", "a tier has a rate");
            band(&here, tier, rates, faults)
        };
        tiers.iter().enumerate().map(band).collect()
    }

    /// What must be there, and what must not, by the kind.
    fn fits_kind(&self, at: &str, faults: &mut Faults) {
        let (Rates(rates), only) = &self.only;
        let has = |wanted: fn(&Component) -> bool| rates.keys().any(wanted);
        match self.kind {
            PriceKind::PerToken => {
                let none = !has(|component| component.is_token());
                let message = "a price per token has a rate for a class of tokens, such as input or output";
                faults.when(none, &format!("{at}/input"), "required", message);
            }
            PriceKind::PerRequest => {
                let none = !rates.contains_key(&Component::Request);
                let message = "a price per request says what a request costs";
                faults.when(none, &format!("{at}/per_request"), "required", message);
            }
            PriceKind::PerUnit => {
                let units =
                    |c: &Component| matches!(c, Component::Image | Component::Second | Component::Character);
                let message = "a price per unit has per_image, per_second or per_character";
                faults.when(!has(units), &format!("{at}/per_image"), "required", message);
            }
            PriceKind::Flat => {
                let cards = [("batch", &only.batch), ("flex", &only.flex), ("priority", &only.priority)];
                let cards = cards.into_iter().filter(|(_, card)| card.is_some()).map(|(name, _)| name);
                for name in rates.keys().map(|component| field(*component)).chain(cards) {
                    faults.add(
                        format!("{at}/{name}"),
                        "not_allowed",
                        "a flat price charges nothing for a call",
                    );
                }
            }
            PriceKind::Tiered => {}
        }
        let tokens = |c: &Component| c.is_token();
        if matches!(self.kind, PriceKind::PerRequest | PriceKind::PerUnit) {
            for component in rates.keys().copied().filter(tokens) {
                let message = "only a price per token charges for tokens";
                faults.add(format!("{at}/{}", field(component)), "not_allowed", message);
            }
        }
    }
}

fn band(at: &str, tier: &Tier, standard: Rates, faults: &mut Faults) -> Band {
    let mut rates = BTreeMap::from([(ServiceTier::Standard, standard)]);
    for (name, service, card) in [
        ("batch/", ServiceTier::Batch, &tier.batch),
        ("flex/", ServiceTier::Flex, &tier.flex),
        ("priority/", ServiceTier::Priority, &tier.priority),
    ] {
        if let Some(card) = card {
            not_negative(&format!("{at}/{name}"), &card.rates(), faults);
            rates.insert(service, card.rates());
        }
    }
    if let Some(standard) = rates.get(&ServiceTier::Standard) {
        not_negative(&format!("{at}/"), standard, faults);
    }
    Band { up_to: tier.up_to, rates }
}

fn not_negative(at: &str, Rates(rates): &Rates, faults: &mut Faults) {
    for (component, _) in rates.iter().filter(|(_, rate)| rate.0 < 0) {
        faults.add(format!("{at}{}", field(*component)), "out_of_range", "must not be negative");
    }
}

fn multipliers(
    at: &str,
    stated: &BTreeMap<String, Multiplier>,
    faults: &mut Faults,
) -> BTreeMap<String, Factor> {
    let at = format!("{at}/multipliers");
    faults.when(stated.len() > MULTIPLIERS, &at, "too_many", "must have at most 32 multipliers");
    for (word, Multiplier(factor)) in stated {
        let here = format!("{at}/{}", word.replace('~', "~0").replace('/', "~1"));
        faults.word(&here, word);
        let wrong = !(1..=FACTOR).contains(&factor.0);
        faults.when(wrong, &here, "out_of_range", "must be more than 0 and at most 1000");
    }
    stated.iter().map(|(word, Multiplier(factor))| (word.clone(), *factor)).collect()
}

/// Terms, taken apart for the wire.
pub(crate) struct Shown {
    pub(crate) rates: Rates,
    pub(crate) batch: Option<RateCard>,
    pub(crate) flex: Option<RateCard>,
    pub(crate) priority: Option<RateCard>,
    pub(crate) tiers: Option<Vec<Tier>>,
}

impl Shown {
    pub(crate) fn of(kind: PriceKind, terms: &Terms) -> Self {
        let tiers: Vec<Tier> = terms.bands.iter().map(tier).collect();
        if kind == PriceKind::Tiered {
            let tiers = Some(tiers);
            return Self { rates: Rates::default(), batch: None, flex: None, priority: None, tiers };
        }
        let only = tiers.into_iter().next().unwrap_or_default();
        let rates = only.rates();
        Self { rates, batch: only.batch, flex: only.flex, priority: only.priority, tiers: None }
    }
}

fn tier(band: &Band) -> Tier {
    let card = |service: ServiceTier| {
        let mut card = RateCard::default();
        card.set_rates(band.rates.get(&service)?);
        Some(card)
    };
    let mut tier = Tier {
        up_to: band.up_to,
        batch: card(ServiceTier::Batch),
        flex: card(ServiceTier::Flex),
        priority: card(ServiceTier::Priority),
        ..Default::default()
    };
    tier.set_rates(band.rates.get(&ServiceTier::Standard).unwrap_or(&Rates::default()));
    tier
}

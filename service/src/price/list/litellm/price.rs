//! What an entry costs: its rates, each in its place and exact. What cannot be charged beside them is left out and noted;
//! an entry of which nothing but free rates would be left has no price.

use super::{
    super::ListPrice,
    FIELDS,
    bands::{self, Rates},
    field::{Field, Meaning, Place, Side, find},
    is_zero,
    pairs::Pairs,
    shown,
    tools::{self, Told},
};
use crate::{Error, price::tariff::OffPeakRates, validate::Faults};
use entity::{
    money::{DecimalFault, Factor, Rate, scaled},
    status::PriceKind,
    terms::{self, Component, ServiceTier, Terms, TierBy},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Digits after the point of the rate of a single token, and of anything else that is charged one by one.
const SINGLE: u32 = 15;
/// Digits after the point of a multiplier.
const MILLIONTH: u32 = 6;

/// A rate as the list states it.
struct Stated<'f> {
    name: Cow<'f, str>,
    place: Place,
    number: Cow<'f, str>,
}

/// What an entry states, before it is made a price.
struct Sheet<'f, 'n> {
    provider: Option<&'n str>,
    stated: Vec<Stated<'f>>,
    multipliers: BTreeMap<String, Factor>,
    off_peak: Option<OffPeakRates>,
    /// Fields that charge for something and have no place in the price.
    uncharged: Vec<String>,
    notes: &'n mut Vec<String>,
}

/// The price, or why there is none.
pub(super) fn price(
    fields: &[Field<'_>],
    provider: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<ListPrice, String> {
    let mut sheet = Sheet {
        provider,
        stated: Vec::new(),
        multipliers: BTreeMap::new(),
        off_peak: None,
        uncharged: Vec::new(),
        notes,
    };
    for field in fields.iter().filter(|field| !field.is_null()) {
        sheet.read(field)?;
    }
    sheet.read_tools(fields);
    sheet.leave_computing_time(fields);
    sheet.leave_alternatives();
    sheet.leave_ambiguous_units();
    sheet.prefer_units_to_free_tokens();
    sheet.finish()
}

impl<'f> Sheet<'f, '_> {
    fn read(&mut self, field: &Field<'f>) -> Result<(), String> {
        match field.meaning() {
            Meaning::Rate(place) => self.state(field, place)?,
            Meaning::Uplift(region) => self.multiply(region, field)?,
            Meaning::Multipliers => {
                let Pairs(words) = object(field.raw).ok_or("provider_specific_entry is no object")?;
                for (word, raw) in words {
                    self.multiply(&word, &Field::new(field.name, raw.get()))?;
                }
            }
            Meaning::Tiers => self.read_tiers(field)?,
            Meaning::OffPeak => self.read_off_peak(field)?,
            Meaning::Tool => self.notes.push(format!("{} is for a tool; it is not charged", field.name)),
            Meaning::CachedImage => self.leave(field, "images read from a cache are charged as cache_read"),
            Meaning::Charge => self.leave(field, "no usage reports it"),
            // What these mean depends on other fields.
            Meaning::Search | Meaning::AudioWrite | Meaning::Other => {}
        }
        Ok(())
    }

    /// What a web search costs, and audio that is written to a cache.
    fn read_tools(&mut self, fields: &[Field<'f>]) {
        let told = [
            (tools::SEARCH, Component::WebSearch, Side::Call, tools::search(fields, self.provider)),
            (
                tools::AUDIO_WRITE,
                Component::CacheReadAudio,
                Side::Prompt,
                tools::audio_write(fields, self.provider),
            ),
        ];
        for (name, component, side, told) in told {
            let place = Place { component, side, service: ServiceTier::Standard, above: 0 };
            match told {
                None => {}
                Some(Told::Rate { number, note }) => {
                    self.notes.extend(note);
                    self.stated.push(Stated { name: Cow::Borrowed(name), place, number: Cow::Owned(number) });
                }
                Some(Told::Left(why)) if component.is_token() => {
                    let number = find(fields, name).and_then(Field::number);
                    self.leave_named(name, number.is_some_and(|number| is_zero(&number)), &why);
                }
                Some(Told::Left(why)) => self.notes.push(format!("{name} is left out: {why}")),
            }
        }
    }

    fn state(&mut self, field: &Field<'f>, place: Place) -> Result<(), String> {
        let number = field.number().ok_or_else(|| format!("{} is no number", field.name))?;
        self.stated.push(Stated { name: Cow::Borrowed(field.name), place, number });
        Ok(())
    }

    fn multiply(&mut self, word: &str, field: &Field<'_>) -> Result<(), String> {
        let number = field.number().ok_or_else(|| format!("{} is no number", field.name))?;
        let factor = scaled(&number, MILLIONTH).map_err(|fault| inexact(field.name, &number, fault))?;
        if self.multipliers.insert(word.to_owned(), Factor(factor)).is_some_and(|other| other.0 != factor) {
            return Err(format!("it has two different multipliers for {}", shown(word)));
        }
        Ok(())
    }

    /// Rates of some hours of the day.
    fn read_off_peak(&mut self, field: &Field<'f>) -> Result<(), String> {
        let Pairs(pairs) = object(field.raw).ok_or("off_peak_pricing is no object")?;
        let fields: Vec<Field<'_>> = pairs.iter().map(|(name, raw)| Field::new(name, raw.get())).collect();
        let hours =
            find(&fields, "hours_utc").and_then(Field::text).ok_or("off_peak_pricing has no hours_utc")?;
        let mut off_peak = OffPeakRates { hours_utc: hours.into_owned(), ..OffPeakRates::default() };
        let mut rates = terms::Rates::default();
        for rate in fields.iter().filter(|field| !field.is_null() && field.name != "hours_utc") {
            match rate.meaning() {
                Meaning::Rate(Place { component, service: ServiceTier::Standard, above: 0, .. }) => {
                    let number = rate.number().ok_or_else(|| format!("{} is no number", rate.name))?;
                    let exact =
                        scaled(&number, SINGLE).map_err(|fault| inexact(rate.name, &number, fault))?;
                    rates.0.insert(component, Rate(exact));
                }
                Meaning::Other => {}
                _ => self.leave(rate, "the rates of some hours cannot have it"),
            }
        }
        off_peak.set_rates(&rates);
        self.off_peak = Some(off_peak);
        Ok(())
    }

    /// A list of tiers, each for prompts of a range of tokens.
    fn read_tiers(&mut self, field: &Field<'f>) -> Result<(), String> {
        let tiers: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(field.raw).map_err(|_| "tiered_pricing is no list")?;
        let mut end = None;
        for tier in tiers {
            let Pairs(fields) = object(tier.get()).ok_or("tiered_pricing is no list of objects")?;
            let fields: Vec<Field<'_>> =
                fields.iter().map(|(name, raw)| Field::new(name, raw.get())).collect();
            let Some(range) = find(&fields, "range") else {
                self.leave(field, "its tiers are not by tokens");
                return Ok(());
            };
            let (from, to) = tokens(range).ok_or("the range of a tier is no pair of numbers of tokens")?;
            // Some ranges begin where the one before ends, others one token later.
            if end.is_some_and(|end| from != end && from != end + 1) || (end.is_none() && from > 1) {
                return Err("the tiers of tiered_pricing do not follow each other".to_owned());
            }
            let above = end.replace(to).unwrap_or_default();
            for rate in fields.iter().filter(|field| !field.is_null()) {
                self.read_rate_of_tier(rate, above)?;
            }
        }
        Ok(())
    }

    fn read_rate_of_tier(&mut self, field: &Field<'_>, above: i64) -> Result<(), String> {
        match field.meaning() {
            Meaning::Rate(place) if place.above == 0 => {
                let number = field.number().ok_or_else(|| format!("{} is no number", field.name))?;
                let name = Cow::Owned(format!("{} of tiered_pricing", field.name));
                let number = Cow::Owned(number.into_owned());
                self.stated.push(Stated { name, place: Place { above, ..place }, number });
            }
            Meaning::Other => {}
            _ => self.leave(field, "a tier cannot have it"),
        }
        Ok(())
    }

    /// Leaves out what the price cannot charge.
    fn leave(&mut self, field: &Field<'_>, why: &str) {
        self.leave_named(field.name, field.number().is_some_and(|number| is_zero(&number)), why);
    }

    fn leave_named(&mut self, name: &str, free: bool, why: &str) {
        self.notes.push(format!("{} is left out: {why}", shown(name)));
        if !free {
            self.uncharged.push(shown(name));
        }
    }

    fn leave_where(&mut self, which: impl Fn(&Stated<'_>) -> bool, why: impl Fn(&Stated<'_>) -> String) {
        let (left, kept) = std::mem::take(&mut self.stated).into_iter().partition(which);
        self.stated = kept;
        let left: Vec<Stated<'_>> = left;
        for stated in left {
            self.leave_named(&stated.name, is_zero(&stated.number), &why(&stated));
        }
    }

    /// The seconds of a usage are of audio or video; some texts are charged by the seconds that the model ran.
    fn leave_computing_time(&mut self, fields: &[Field<'_>]) {
        let mode = find(fields, "mode").and_then(Field::text).unwrap_or_default();
        if ["chat", "completion", "responses", "embedding", "rerank", "moderation"].contains(&&*mode) {
            let computing = |stated: &Stated<'_>| {
                ["input_cost_per_second", "output_cost_per_second"].contains(&&*stated.name)
            };
            self.leave_where(computing, |_| "no usage reports the time of computing".to_owned());
        }
    }

    /// A half of a call that is charged by the token is not charged by the image, second or character as well: those
    /// rates say the same in other words.
    fn leave_alternatives(&mut self) {
        let by_token = |side| {
            let mut stated = self.stated.iter().filter(|stated| stated.place.side == side);
            stated.any(|stated| stated.place.component.is_token() && !is_zero(&stated.number))
        };
        let by_token = [(Side::Prompt, by_token(Side::Prompt)), (Side::Answer, by_token(Side::Answer))];
        let alternative = |stated: &Stated<'_>| {
            is_unit(stated.place.component) && by_token.contains(&(stated.place.side, true))
        };
        self.leave_where(alternative, |stated| {
            let half = if stated.place.side == Side::Prompt { "prompt" } else { "answer" };
            format!("the {half} is charged by the token")
        });
    }

    /// A price has one rate by the image, one by the second and one by the character.
    fn leave_ambiguous_units(&mut self) {
        let mut rates: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for Stated { place, number, .. } in &self.stated {
            if !place.component.is_token() && !is_zero(number) {
                let rate = scaled(number, SINGLE).map_err(|_| number.clone().into_owned());
                rates.entry((place.component, place.service, place.above)).or_default().insert(rate);
            }
        }
        let ambiguous = |stated: &Stated<'_>| {
            let Place { component, service, above, .. } = stated.place;
            rates.get(&(component, service, above)).is_some_and(|rates| rates.len() > 1)
        };
        self.leave_where(ambiguous, |stated| {
            format!("there are different rates by the {}", stated.place.component.word())
        });
    }

    /// Tokens that are free beside something that is not were meant as "not charged by the token": a price that has no
    /// rate for them says so when a usage reports nothing else.
    fn prefer_units_to_free_tokens(&mut self) {
        let charged = |token: bool| {
            let ordinary = self.stated.iter().filter(|stated| !stated.place.component.is_server_tool());
            let mut stated = ordinary.filter(|stated| stated.place.component.is_token() == token);
            stated.any(|stated| !is_zero(&stated.number))
        };
        if charged(true) || !charged(false) {
            return;
        }
        let before = self.stated.len();
        self.stated.retain(|stated| !stated.place.component.is_token());
        if self.stated.len() < before {
            self.notes.push("tokens are not charged".to_owned());
        }
    }

    fn finish(self) -> Result<ListPrice, String> {
        let rates = rates(&self.stated)?;
        // What a tool costs makes no price of what is left out beside it.
        let ordinary = || rates.iter().filter(|((.., component), _)| !component.is_server_tool());
        if ordinary().all(|(_, rate)| rate.0 == 0) && !self.uncharged.is_empty() {
            return Err(format!("nothing else is charged than {}", self.uncharged.join(", ")));
        }
        if ordinary().next().is_none() {
            return Err("it has no price".to_owned());
        }
        let bands = bands::bands(&rates, self.provider, self.notes);
        let kind = bands::kind(&rates, bands.len());
        let tier_by = (bands.len() > 1).then_some(TierBy::PromptTokens);
        let terms = Terms { tier_by, bands, multipliers: self.multipliers, off_peak: None };
        let mut price = ListPrice { currency: Some("USD".to_owned()), ..ListPrice::default() };
        price.set_terms(kind, &terms);
        match self.off_peak {
            Some(_) if kind != PriceKind::PerToken => {
                self.notes.push(
                    "off_peak_pricing is left out: only a price per token has rates by the hour".into(),
                );
            }
            off_peak => price.off_peak = off_peak,
        }
        acceptable(&price)?;
        Ok(price)
    }
}

fn is_unit(component: Component) -> bool {
    matches!(component, Component::Image | Component::Second | Component::Character)
}

/// The rates by their places, exact.
fn rates(stated: &[Stated<'_>]) -> Result<Rates, String> {
    let mut rates = Rates::new();
    for Stated { name, place, number } in stated {
        let rate = scaled(number, SINGLE).map_err(|fault| inexact(name, number, fault))?;
        if rate < 0 {
            return Err(format!("{name} is negative"));
        }
        let here = rates.entry((place.above, place.service, place.component)).or_insert(Rate(rate));
        // What is free in the prompt and charged in the answer is charged.
        let unit = !place.component.is_token();
        if unit && (here.0 == 0 || rate == 0) {
            here.0 = here.0.max(rate);
        } else if here.0 != rate {
            return Err(format!("it has two different rates for {}", place.component.word()));
        }
    }
    Ok(rates)
}

fn object(raw: &str) -> Option<Pairs<'_, FIELDS>> {
    serde_json::from_str(raw).ok()
}

/// `[32000, 128000]`; the end of the last range may be missing.
fn tokens(range: &Field<'_>) -> Option<(i64, i64)> {
    let ends: Vec<&serde_json::value::RawValue> = serde_json::from_str(range.raw).ok()?;
    let [from, to] = ends.as_slice() else { return None };
    let number = |raw: &str| {
        let tokens = scaled(&Field::new("range", raw).number()?, 0).ok()?;
        (tokens >= 0).then_some(tokens)
    };
    let to = if to.get() == "null" { i64::MAX - 1 } else { number(to.get())? };
    number(from.get()).map(|from| (from, to)).filter(|(from, to)| from < to)
}

fn inexact(name: &str, number: &str, fault: DecimalFault) -> String {
    let why = match fault {
        DecimalFault::NotDecimal => "is no number".to_owned(),
        DecimalFault::TooPrecise(digits) => {
            format!("has more than {digits} digits after the point, and nothing is rounded")
        }
        DecimalFault::TooLarge => "is too large".to_owned(),
    };
    format!("{}: {} {why}", shown(name), shown(number))
}

/// Whether it would be accepted as a price that somebody makes by hand.
fn acceptable(price: &ListPrice) -> Result<(), String> {
    let mut faults = Faults::default();
    price.terms("", &mut faults);
    match faults.finish() {
        Err(Error::Invalid(faults)) => Err(faults.first().map(ToString::to_string).unwrap_or_default()),
        _ => Ok(()),
    }
}

//! The bands of a price: rates by the size of the prompt, each band complete.

use crate::price::tariff::close_gaps;
use entity::{
    money::Rate,
    status::PriceKind,
    terms::{self, Band, Component, ServiceTier},
};
use std::collections::{BTreeMap, BTreeSet};

/// Rates by the number of tokens above which they hold, the service tier and what is charged.
pub(super) type Rates = BTreeMap<(i64, ServiceTier, Component), Rate>;

/// Whose service tiers keep their relation to the standard tier for large prompts. OpenAI's flex costs a half at any size,
/// and wherever the list states a batch and a flex rate of a model they are the same; of Gemini's batch a discount of 50 %
/// is documented. What others charge there is not known.
const SCALED: [(&str, ServiceTier); 4] = [
    ("openai", ServiceTier::Flex),
    ("openai", ServiceTier::Batch),
    ("gemini", ServiceTier::Batch),
    ("vertex_ai", ServiceTier::Batch),
];

/// The bands. A band has the rates of the one below, except for those that are stated for it.
pub(super) fn bands(rates: &Rates, provider: Option<&str>, notes: &mut Vec<String>) -> Vec<Band> {
    let mut bands = stated(rates, provider, notes);
    close_gaps(&mut bands);
    bands
}

fn stated(rates: &Rates, provider: Option<&str>, notes: &mut Vec<String>) -> Vec<Band> {
    let thresholds: BTreeSet<i64> = rates.keys().map(|(above, ..)| *above).chain([0]).collect();
    let mut next = thresholds.iter().skip(1).copied();
    let mut current = BTreeMap::from([(ServiceTier::Standard, terms::Rates::default())]);
    let band = |above: &i64| {
        for (service, card) in current.iter_mut().filter(|(service, _)| **service != ServiceTier::Standard) {
            let lost = outdated(rates, *above, *service, card);
            if lost.is_empty() {
                continue;
            }
            let scaled = SCALED.iter().any(|(whose, tier)| provider == Some(whose) && tier == service);
            let scaled = scaled.then(|| scale(rates, *above, card, &lost)).flatten();
            let what = if scaled.is_some() { "scaled as the standard tier" } else { "it has no price there" };
            *card = scaled.unwrap_or_default();
            let service = format!("{service:?}").to_lowercase();
            let words: Vec<&str> = lost.iter().map(|component| component.word()).collect();
            notes
                .push(format!("above {above} tokens {service} has no rate for {}: {what}", words.join(", ")));
        }
        for ((_, service, component), rate) in rates.iter().filter(|((from, ..), _)| from == above) {
            current.entry(*service).or_default().0.insert(*component, *rate);
        }
        Band { up_to: next.next(), rates: current.clone() }
    };
    thresholds.iter().map(band).collect()
}

/// What a service tier has a rate of for small prompts and none for large ones, where the list states a standard rate for
/// those: its own is outdated.
fn outdated(rates: &Rates, above: i64, service: ServiceTier, card: &terms::Rates) -> Vec<Component> {
    let stated = |service, component| rates.contains_key(&(above, service, component));
    let outdated = |component| stated(ServiceTier::Standard, component) && !stated(service, component);
    card.0.keys().copied().filter(|component| outdated(*component)).collect()
}

/// The rates of a service tier for larger prompts: as much dearer as the standard tier is. None if that is not exact.
fn scale(rates: &Rates, above: i64, card: &terms::Rates, outdated: &[Component]) -> Option<terms::Rates> {
    let mut card = card.clone();
    for component in outdated {
        let standard = |from: i64| Some(rates.get(&(from, ServiceTier::Standard, *component))?.0);
        let mut smaller = rates.keys().rev().map(|(from, ..)| *from).filter(|from| *from < above);
        let before = smaller.find_map(standard).filter(|rate| *rate > 0)?;
        let rate = card.0.get_mut(component)?;
        let product = i128::from(rate.0) * i128::from(standard(above)?);
        if product % i128::from(before) != 0 {
            return None;
        }
        *rate = Rate(i64::try_from(product / i128::from(before)).ok()?);
    }
    Some(card)
}

/// How a price with these rates charges.
pub(super) fn kind(rates: &Rates, bands: usize) -> PriceKind {
    let has = |wanted: fn(Component) -> bool| rates.keys().any(|(.., component)| wanted(*component));
    if bands > 1 {
        PriceKind::Tiered
    } else if has(Component::is_token) {
        PriceKind::PerToken
    } else if has(|component| component != Component::Request && !component.is_server_tool()) {
        PriceKind::PerUnit
    } else {
        PriceKind::PerRequest
    }
}

//! The bands of a price: rates by the size of the prompt, each band complete.

use entity::{
    money::Rate,
    status::PriceKind,
    terms::{self, Band, Component, ServiceTier},
};
use std::collections::{BTreeMap, BTreeSet};

/// Rates by the number of tokens above which they hold, the service tier and what is charged.
pub(super) type Rates = BTreeMap<(i64, ServiceTier, Component), Rate>;

/// The bands. A band has the rates of the one below, except for those that are stated for it.
pub(super) fn bands(rates: &Rates, notes: &mut Vec<String>) -> Vec<Band> {
    let thresholds: BTreeSet<i64> = rates.keys().map(|(above, ..)| *above).chain([0]).collect();
    let mut next = thresholds.iter().skip(1).copied();
    let mut current = BTreeMap::from([(ServiceTier::Standard, terms::Rates::default())]);
    let band = |above: &i64| {
        for (service, card) in current.iter_mut().filter(|(service, _)| **service != ServiceTier::Standard) {
            let lost = drop_outdated(rates, *above, *service, card);
            notes.extend((!lost.is_empty()).then(|| {
                let service = format!("{service:?}").to_lowercase();
                format!(
                    "above {above} tokens {service} has no rate for {}: charged as standard",
                    lost.join(", ")
                )
            }));
        }
        for ((_, service, component), rate) in rates.iter().filter(|((from, ..), _)| from == above) {
            current.entry(*service).or_default().0.insert(*component, *rate);
        }
        current.retain(|service, card| *service == ServiceTier::Standard || !card.0.is_empty());
        Band { up_to: next.next(), rates: current.clone() }
    };
    thresholds.iter().map(band).collect()
}

/// Where the list states a standard rate for large prompts and none of a service tier, that tier has none there: it is
/// charged as standard, rather than by its rate for small prompts.
fn drop_outdated(
    rates: &Rates,
    above: i64,
    service: ServiceTier,
    card: &mut terms::Rates,
) -> Vec<&'static str> {
    let stated = |service, component| rates.contains_key(&(above, service, component));
    let outdated = |component| stated(ServiceTier::Standard, component) && !stated(service, component);
    let lost =
        card.0.keys().filter(|component| outdated(**component)).map(|component| component.word()).collect();
    card.0.retain(|component, _| !outdated(*component));
    lost
}

/// How a price with these rates charges.
pub(super) fn kind(rates: &Rates, bands: usize) -> PriceKind {
    let has = |wanted: fn(Component) -> bool| rates.keys().any(|(.., component)| wanted(*component));
    if bands > 1 {
        PriceKind::Tiered
    } else if has(Component::is_token) {
        PriceKind::PerToken
    } else if has(|component| component != Component::Request) {
        PriceKind::PerUnit
    } else {
        PriceKind::PerRequest
    }
}

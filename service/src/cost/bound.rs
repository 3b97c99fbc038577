//! [`bound`]: the most that a call can cost. Never below [`bill`](super::bill) of any usage within the bounds.

use super::{Exact, too_large};
use crate::Result;
use entity::{
    money::{Factor, Nanos, Rate},
    terms::{Band, Component, Rates, Terms, TierBy},
};

/// The most that a call can have of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Tokens of the prompt, of every class.
    pub prompt_tokens: u64,
    /// Tokens of the completion, of every class.
    pub completion_tokens: u64,
    /// Requests.
    pub requests: u64,
    /// Images.
    pub images: u64,
    /// Seconds of audio or video.
    pub seconds: u64,
    /// Characters.
    pub characters: u64,
    /// Web searches.
    pub web_searches: u64,
    /// Executions of code.
    pub code_executions: u64,
}

/// One request of which nothing else is known.
impl Default for Bounds {
    fn default() -> Self {
        Self {
            prompt_tokens: 0,
            completion_tokens: 0,
            requests: 1,
            images: 0,
            seconds: 0,
            characters: 0,
            web_searches: 0,
            code_executions: 0,
        }
    }
}

/// The most that a call within the bounds can cost, rounded up.
///
/// In each tier that the call can reach, every token of the prompt is charged at the dearest rate of any prompt class in
/// any service tier, those of the completion likewise, and each unit at its dearest rate; the dearest of the tiers counts.
/// That times the two largest multipliers, as a call has at most one region and one speed.
pub fn bound(terms: &Terms, bounds: &Bounds) -> Result<Nanos> {
    let factors = dearest_factors(terms);
    let mut most = Nanos::ZERO;
    for band in reachable(terms, bounds) {
        let sum = dearest(band, bounds).ok_or_else(too_large)?;
        let product = factors.iter().try_fold(sum, |product, factor| product.times(*factor));
        most = most.max(product.and_then(Exact::up).ok_or_else(too_large)?);
    }
    Ok(most)
}

/// The tiers whose least size is within the bounds.
fn reachable<'t>(terms: &'t Terms, bounds: &Bounds) -> impl Iterator<Item = &'t Band> {
    let size = match terms.tier_by.unwrap_or_default() {
        TierBy::PromptTokens => i128::from(bounds.prompt_tokens),
        TierBy::TotalTokens => i128::from(bounds.prompt_tokens) + i128::from(bounds.completion_tokens),
        TierBy::Images => i128::from(bounds.images),
        TierBy::Seconds => i128::from(bounds.seconds),
    };
    let before = std::iter::once(None).chain(terms.bands.iter().map(|band| band.up_to));
    let reached = move |below: Option<i64>| below.is_none_or(|below| i128::from(below) < size);
    terms.bands.iter().zip(before).filter(move |(_, below)| reached(*below)).map(|(band, _)| band)
}

/// The bounds at the dearest rates of a band.
fn dearest(band: &Band, bounds: &Bounds) -> Option<Exact> {
    let of = |kind: fn(Component) -> bool| {
        let rates = band.rates.values().flat_map(|Rates(rates)| rates);
        rates.filter(|(component, _)| kind(**component)).map(|(_, rate)| *rate).fold(Rate(0), Rate::max)
    };
    [
        (bounds.prompt_tokens, of(Component::is_prompt)),
        (bounds.completion_tokens, of(|component| component.is_token() && !component.is_prompt())),
        (bounds.requests, of(|component| component == Component::Request)),
        (bounds.images, of(|component| component == Component::Image)),
        (bounds.seconds, of(|component| component == Component::Second)),
        (bounds.characters, of(|component| component == Component::Character)),
        (bounds.web_searches, of(|component| component == Component::WebSearch)),
        (bounds.code_executions, of(|component| component == Component::CodeExecution)),
    ]
    .into_iter()
    .try_fold(Exact::ZERO, |sum, (quantity, rate)| sum.plus(Exact::of(quantity, rate)?))
}

/// The two largest multipliers, as far as they make a call dearer.
fn dearest_factors(terms: &Terms) -> Vec<Exact> {
    let mut factors: Vec<Factor> = terms.multipliers.values().copied().filter(|f| *f > Factor::ONE).collect();
    factors.sort_unstable_by_key(|factor| std::cmp::Reverse(*factor));
    factors.into_iter().take(2).map(|Factor(factor)| Exact::new(factor.into(), 6)).collect()
}

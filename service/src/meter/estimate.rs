//! The worst case of a call: the most tokens that it can have and the most that it can cost, at the prices in force now. Pure.

use super::{facts::Facts, question::Call};
use crate::{
    Result,
    cost::{self, Bounds, MOST},
    price::{
        book::{Entry, ModelFacts},
        resolve::{Prices, Wanted},
    },
};
use chrono::{DateTime, Utc};
use entity::{
    ledger::Candidate,
    money::Nanos,
    status::UnpricedPolicy,
    terms::{Component, Terms},
};
use std::borrow::Cow;

/// The cap on a completion of which nothing else is known: neither the call, nor the organization, nor the catalogue says
/// one.
const CAP: u64 = 4096;

/// What a call may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Price {
    /// At most this, in billionths of one currency.
    Bounded(Nanos, String),
    /// No model is named, or this one has no price and is refused where cost is limited.
    Unknown(String),
    /// It has no price, and the organization lets it pass.
    Waived,
    /// Its models are priced in several currencies.
    Mixed(Vec<String>),
}

/// The worst case of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The most tokens of the prompt.
    pub input_tokens: u64,
    /// The most tokens of the completion: the cap to send upstream.
    pub output_tokens: u64,
    /// The most that it costs.
    pub price: Price,
    /// Whether the prompt is bounded.
    pub bounds_input: bool,
    /// Whether everything that the prices charge for is bounded.
    pub bounds_cost: bool,
    /// Whether its prices are known, and charge for nothing.
    pub free: bool,
    /// The models that may serve it, and their prices.
    pub candidates: Vec<Candidate>,
}

impl Estimate {
    /// Whether the figures bound the call.
    pub fn is_exact(&self) -> bool {
        self.bounds_input && self.bounds_cost
    }
}

/// What a call is worth at most.
pub fn estimate(prices: &Prices, call: &Call, facts: &Facts, at: DateTime<Utc>) -> Estimate {
    let mut whole = Estimate {
        input_tokens: 0,
        output_tokens: 0,
        price: Price::Unknown("no model is named".into()),
        bounds_input: true,
        bounds_cost: true,
        free: !call.models.is_empty(),
        candidates: Vec::with_capacity(call.models.len()),
    };
    let default_cap = facts.organization.default_max_output_tokens.and_then(|cap| u64::try_from(cap).ok());
    let provider = facts.connection.as_ref().map(|connection| connection.provider.as_str());
    if call.models.is_empty() {
        let bounds = Figures::new(call, default_cap, None);
        (whole.input_tokens, whole.output_tokens) = (bounds.input, bounds.output);
        whole.bounds_input = bounds.bounded;
        return whole;
    }
    let mut worth = Vec::with_capacity(call.models.len());
    for names in &facts.names {
        let model = names.requested();
        let figures = Figures::new(call, default_cap, names.facts(prices));
        let wanted = Wanted { model, provider, connection_id: call.connection_id, at };
        let winner = names.winner(prices, &wanted);
        let source = winner.as_ref().map(|winner| winner.step.into());
        let entry = winner.map(|winner| winner.entry);
        whole.input_tokens = whole.input_tokens.max(figures.input);
        whole.output_tokens = whole.output_tokens.max(figures.output);
        whole.bounds_input &= figures.bounded;
        whole.bounds_cost &= entry.as_ref().is_none_or(|entry| is_bounded(entry, call, figures.bounded));
        worth.push(price(prices, model, entry.as_deref(), &figures.bounds(call)));
        whole.free &= entry.as_ref().is_some_and(|entry| entry.terms.charged().next().is_none());
        let (price, names) = (entry.map(|entry| entry.id), names.beyond_plain());
        whole.candidates.push(Candidate { model: model.to_owned(), price, source, names });
    }
    whole.price = dearest(worth);
    whole
}

/// What a call may cost with one model. What cannot be computed is not known.
fn price(prices: &Prices, model: &str, entry: Option<&Entry>, bounds: &Bounds) -> Price {
    let Some(entry) = entry else {
        let waived = prices.unpriced_policy == UnpricedPolicy::Allow;
        return if waived { Price::Waived } else { Price::Unknown(format!("there is no price for {model}")) };
    };
    // The hour that decides is that of the call's id, which may be of the hour before or after this.
    let add =
        |most: Nanos, terms: Cow<'_, Terms>| -> Result<Nanos> { Ok(most.max(cost::bound(&terms, bounds)?)) };
    match entry.terms.of_all_hours().try_fold(Nanos::ZERO, add) {
        Ok(cost) => Price::Bounded(cost, entry.currency.as_ref().to_owned()),
        Err(_) => Price::Unknown(format!("a call of {model} may cost more than can be computed")),
    }
}

/// The dearest of what a call may cost with each of its models.
fn dearest(worth: Vec<Price>) -> Price {
    worth.into_iter().reduce(dearer).unwrap_or(Price::Waived)
}

fn dearer(a: Price, b: Price) -> Price {
    match (a, b) {
        (unknown @ Price::Unknown(_), _) | (_, unknown @ Price::Unknown(_)) => unknown,
        (Price::Waived, other) | (other, Price::Waived) => other,
        (Price::Bounded(a, of), Price::Bounded(b, and)) if of == and => Price::Bounded(a.max(b), of),
        (a, b) => {
            let mut all = [a.currencies(), b.currencies()].concat();
            all.sort_unstable();
            all.dedup();
            Price::Mixed(all)
        }
    }
}

impl Price {
    /// The currencies that the call may be charged in.
    pub fn currencies(&self) -> Vec<String> {
        match self {
            Self::Bounded(_, currency) => vec![currency.clone()],
            Self::Mixed(currencies) => currencies.clone(),
            Self::Unknown(_) | Self::Waived => Vec::new(),
        }
    }
}

/// The bounds of a call with one model.
struct Figures {
    input: u64,
    output: u64,
    /// Whether the prompt is bounded.
    bounded: bool,
}

impl Figures {
    /// What the call states counts first; then what the organization decided, and what is known of the model. A token has at
    /// least one byte, so the bytes of a request bound its tokens.
    fn new(call: &Call, default_cap: Option<u64>, facts: Option<ModelFacts>) -> Self {
        let known = |figure: Option<i64>| figure.and_then(|figure| u64::try_from(figure).ok());
        let window = facts.and_then(|facts| known(facts.context_window));
        let stated = call.size.input_tokens.or(call.size.input_bytes);
        let input = stated.or(window);
        let cap =
            call.size.max_output_tokens.or(default_cap).or(facts.and_then(|f| known(f.max_output_tokens)));
        let writes = facts.is_none_or(|facts| facts.writes());
        let output = cap.unwrap_or(if writes { CAP } else { 0 });
        Self { input: input.unwrap_or(0).min(MOST), output: output.min(MOST), bounded: input.is_some() }
    }

    fn bounds(&self, call: &Call) -> Bounds {
        let size = &call.size;
        Bounds {
            prompt_tokens: self.input,
            completion_tokens: self.output,
            requests: 1,
            images: size.images.unwrap_or(0),
            seconds: size.seconds.unwrap_or(0),
            characters: size.characters.or(size.input_bytes).unwrap_or(0),
            // The model decides about them in the call: what they cost comes on top of what is held.
            web_searches: 0,
            code_executions: 0,
        }
    }
}

/// Whether it is bounded how much the call has of everything that its price charges for, tools of the provider aside: a rate
/// for what a call may do is no reason to refuse one that does not.
fn is_bounded(entry: &Entry, call: &Call, input: bool) -> bool {
    // What a tier depends on decides about everything.
    let sized = entry.terms.bands.len() < 2 || input;
    sized
        && entry.terms.charged().all(|component| match component {
            component if component.is_prompt() => input,
            Component::Image => call.size.images.is_some(),
            Component::Second => call.size.seconds.is_some(),
            Component::Character => call.size.characters.or(call.size.input_bytes).is_some(),
            _ => true,
        })
}

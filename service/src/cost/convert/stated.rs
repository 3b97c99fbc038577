//! What a provider or a gateway says that a call costs, in US dollars, read digit by digit and rounded once:
//!
//! - xAI: `cost_in_usd_ticks`, of which 10,000,000,000 are a dollar (<https://docs.x.ai/developers/cost-tracking>);
//! - OpenRouter: `cost`, what it takes from the account. Where the call went by a key of the account's owner (`is_byok`) that
//!   is a fee alone, and the provider charges `cost_details.upstream_inference_cost` beside it
//!   (<https://openrouter.ai/docs/use-cases/usage-accounting>);
//! - Perplexity: `cost.total_cost`;
//! - Pydantic's gateway: `pydantic_ai_gateway.cost_estimate`.

use super::object::Object;
use crate::{
    Result,
    cost::{Exact, MOST},
};
use entity::money::Nanos;
use serde_json::Value;

/// The currency of every stated cost.
pub const STATED_IN: &str = "USD";
/// Digits after the point of a dollar that is told in ticks.
const TICKS: u32 = 10;

/// What is stated, if anything is. What is no amount is a doubt.
pub(super) fn cost(object: &Object<'_>) -> Result<Option<Nanos>> {
    if let Some(cost) = amount(object, "cost_in_usd_ticks", TICKS)? {
        return Ok(Some(cost));
    }
    if object.has_object("cost") {
        return itemized(&object.object("cost")?);
    }
    let cost = amount(object, "cost", 0)?;
    if object.value("is_byok") == Some(&Value::Bool(true)) {
        let upstream = amount(&object.object("cost_details")?, "upstream_inference_cost", 0)?;
        return Ok(cost.zip(upstream).and_then(|(fee, charged)| fee.checked_add(charged)));
    }
    match cost {
        Some(cost) => Ok(Some(cost)),
        None => amount(&object.object("pydantic_ai_gateway")?, "cost_estimate", 0),
    }
}

/// The total of a cost that is told item by item.
fn itemized(cost: &Object<'_>) -> Result<Option<Nanos>> {
    let currency = cost.text("currency")?.unwrap_or(STATED_IN);
    if !currency.eq_ignore_ascii_case(STATED_IN) {
        cost.doubt(cost.wrong("currency", "unknown", "must be USD"))?;
        return Ok(None);
    }
    amount(cost, "total_cost", 0)
}

/// An amount of money of so many digits after the point that the number leaves out.
fn amount(object: &Object<'_>, field: &str, scale: u32) -> Result<Option<Nanos>> {
    let written = match object.value(field) {
        None => return Ok(None),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(_) => String::new(),
    };
    // What is below zero is no amount, also where it would be rounded to nothing.
    let exact = Exact::parse(&written).filter(|number| !written.starts_with('-') || *number == Exact::ZERO);
    let exact = exact.and_then(|number| number.times(Exact::new(1, scale)));
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    let nanos = exact.and_then(Exact::half_even).filter(|Nanos(nanos)| (0..=most).contains(nanos));
    if nanos.is_none() {
        let message = "must be an amount of money between 0 and 1000 US dollars";
        object.doubt(object.wrong(field, "out_of_range", message))?;
    }
    Ok(nanos)
}

/// What a stated cost charges where no price is known. A zero is none: it is also stated of what nobody has a price for.
pub fn charged_as_stated(stated: Option<Nanos>) -> Option<Nanos> {
    stated.filter(|cost| *cost > Nanos::ZERO)
}

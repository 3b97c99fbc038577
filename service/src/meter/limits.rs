//! Whether a call fits the limits on its path. Pure: every limit is judged by itself, and all of them are reported.

use super::{
    code::Code,
    estimate::{Estimate, Price},
    facts::{Facts, Limit},
    glob::any_match,
    ledger::{Counters, Ledger, WindowKey},
};
use crate::{
    limit::{amount_text, window},
    price::names::Names,
};
use chrono::{DateTime, Utc};
use entity::{
    json::Texts,
    ledger::Leg,
    money::Nanos,
    status::{Metric, Mode, Period},
};
use std::sync::Arc;

/// What a call wants of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// At most this, which is held until it is known.
    Most(i64),
    /// Nothing that is known: something must be left, and nothing is held.
    Something,
}

impl Demand {
    /// How much has to be left.
    pub fn least(self) -> i64 {
        match self {
            Self::Most(amount) => amount,
            Self::Something => 1,
        }
    }
}

/// Why a call does not go with a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It does not fit.
    Full,
    /// Nothing bounds what it needs.
    Unbounded,
    /// What it costs is not known.
    Unpriced(String),
    /// It costs another currency.
    Currency(Vec<String>),
}

/// How a call stands with one limit.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The limit.
    pub limit: Arc<Limit>,
    /// The window it is counted in; none of a cap on one call.
    pub window: Option<WindowKey>,
    /// When the window ends; none = never.
    pub resets_at: Option<DateTime<Utc>>,
    /// What the window had counted before.
    pub counters: Counters,
    /// What the call wants of it.
    pub demand: Demand,
    /// Why it does not go.
    pub trouble: Option<Trouble>,
}

/// How much of a call is known when it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking<'e> {
    /// Its worst case.
    Worst(&'e Estimate),
    /// That it is one request, and nothing else.
    Request(&'e Estimate),
}

impl Asking<'_> {
    fn estimate(&self) -> &Estimate {
        match self {
            Self::Worst(estimate) | Self::Request(estimate) => estimate,
        }
    }
}

/// Every limit on the path of a call, in the order of their ids, with how the call stands with it.
pub fn judge(facts: &Facts, asking: Asking<'_>, ledger: &Ledger, at: DateTime<Utc>) -> Vec<Verdict> {
    facts.path().map(|limit| verdict(limit, asking, ledger, at)).collect()
}

impl Facts {
    /// The limits that count the call, by any of its names.
    pub fn path(&self) -> impl Iterator<Item = &Arc<Limit>> {
        self.limits.iter().filter(|limit| limit.counts(self.names.iter().flat_map(Names::all)))
    }
}

impl Limit {
    /// Whether calls of one of these names, which are folded, are counted. A call that names no model may be of any.
    pub fn counts<'m>(&self, names: impl Iterator<Item = &'m str> + Clone) -> bool {
        let Some(Texts(globs)) = &self.models else { return true };
        names.clone().next().is_none() || any_match(globs, names)
    }

    /// The window that a moment is in; a cap on one call has none.
    pub fn window(&self, at: DateTime<Utc>) -> Option<WindowKey> {
        let key = |start| WindowKey { limit: self.id, subject: self.subject_id, start };
        (self.period != Period::Request).then(|| key(window::start(self.period, at)))
    }
}

fn verdict(limit: &Arc<Limit>, asking: Asking<'_>, ledger: &Ledger, at: DateTime<Utc>) -> Verdict {
    let window = limit.window(at);
    let counters = window.map(|key| ledger.counters(&key)).unwrap_or_default();
    let (demand, trouble) = match demand(limit, asking) {
        Ok(demand) => (demand, None),
        Err(trouble) => (Demand::Most(0), Some(trouble)),
    };
    // What costs nothing takes nothing away, however much calls before it have used beyond the limit. A price for tools alone
    // is not free, though what they cost is not held.
    let free = limit.metric == Metric::Cost && asking.estimate().free;
    let full = !free && counters.counted() + i128::from(demand.least()) > i128::from(limit.amount);
    let trouble = trouble.or(full.then_some(Trouble::Full));
    let resets_at = window.and_then(|key| window::end(limit.period, key.start));
    Verdict { limit: limit.clone(), window, resets_at, counters, demand, trouble }
}

/// What the call wants of a limit.
fn demand(limit: &Limit, asking: Asking<'_>) -> Result<Demand, Trouble> {
    let (estimate, worst) = match asking {
        Asking::Worst(estimate) => (estimate, true),
        Asking::Request(estimate) => (estimate, false),
    };
    let bounded = match limit.metric {
        Metric::InputTokens | Metric::Tokens => estimate.bounds_input,
        Metric::Cost => estimate.bounds_cost || !matches!(estimate.price, Price::Bounded(..)),
        Metric::Requests | Metric::OutputTokens | Metric::Concurrency => true,
    };
    if limit.metric == Metric::Cost && estimate.free {
        return Ok(Demand::Most(0));
    }
    if worst && !bounded {
        return Err(Trouble::Unbounded);
    }
    let whole = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    let most = match limit.metric {
        Metric::Requests => return Ok(Demand::Most(1)),
        Metric::Concurrency => 1,
        Metric::InputTokens => whole(estimate.input_tokens),
        Metric::OutputTokens => whole(estimate.output_tokens),
        Metric::Tokens => whole(estimate.input_tokens.saturating_add(estimate.output_tokens)),
        Metric::Cost => cost(limit, &estimate.price)?,
    };
    Ok(if worst { Demand::Most(most) } else { Demand::Something })
}

fn cost(limit: &Limit, price: &Price) -> Result<i64, Trouble> {
    match price {
        Price::Bounded(Nanos(cost), currency) if Some(currency) == limit.currency.as_ref() => Ok(*cost),
        Price::Waived => Ok(0),
        Price::Unknown(why) => Err(Trouble::Unpriced(why.clone())),
        Price::Bounded(..) | Price::Mixed(_) => Err(Trouble::Currency(price.currencies())),
    }
}

impl Verdict {
    /// How the limit stands by itself, if the call is none: only that it leaves nothing is worth telling.
    pub fn without_call(&mut self) {
        if matches!(self.trouble, None | Some(Trouble::Full)) {
            return;
        }
        self.demand = Demand::Something;
        let left = self.counters.counted() < i128::from(self.limit.amount);
        self.trouble = (!left && self.window.is_some()).then_some(Trouble::Full);
    }

    /// Whether the call does not go with the limit, whatever comes of that.
    pub fn denies(&self) -> bool {
        self.trouble.is_some()
    }

    /// Whether the call is denied for it.
    pub fn blocks(&self) -> bool {
        self.denies() && self.limit.mode == Mode::Block
    }

    /// What the denial is called.
    pub fn code(&self) -> Option<Code> {
        Some(match self.trouble.as_ref()? {
            Trouble::Full if self.limit.metric == Metric::Cost => Code::BudgetExceeded,
            Trouble::Full => Code::LimitExceeded,
            Trouble::Unbounded => Code::SizeUnknown,
            Trouble::Unpriced(_) => Code::PriceUnknown,
            Trouble::Currency(_) => Code::CurrencyMismatch,
        })
    }

    /// What the call wants, as far as that is known.
    pub fn needed(&self) -> Option<i64> {
        match (&self.trouble, self.demand) {
            (Some(Trouble::Unbounded | Trouble::Unpriced(_) | Trouble::Currency(_)), _)
            | (_, Demand::Something) => None,
            (_, Demand::Most(amount)) => Some(amount),
        }
    }

    /// What is left for further calls before this one; never below zero.
    pub fn remaining(&self) -> i64 {
        let left = (i128::from(self.limit.amount) - self.counters.counted()).max(0);
        i64::try_from(left).unwrap_or(i64::MAX)
    }

    /// In how many seconds the call may fit; none if not by waiting alone, or not at all.
    pub fn retry_after(&self, at: DateTime<Utc>) -> Option<u64> {
        if self.trouble != Some(Trouble::Full) || self.demand.least() > self.limit.amount {
            return None;
        }
        if self.limit.metric == Metric::Concurrency {
            return Some(1);
        }
        let left = (self.resets_at? - at).num_milliseconds().max(0).cast_unsigned();
        Some(left.div_ceil(1000).max(1))
    }

    /// How the call stands with the limit, for people.
    pub fn message(&self) -> String {
        let Limit { metric, amount, .. } = *self.limit;
        let text = |amount| amount_text(metric, amount);
        let name = self.limit.name();
        match &self.trouble {
            None => format!("{name} leaves {}", text(self.remaining())),
            Some(Trouble::Unbounded) => {
                format!(
                    "nothing bounds what the call may need, and {name} counts it: state input_tokens or input_bytes, and what else the price charges for"
                )
            }
            Some(Trouble::Unpriced(why)) => format!("{why}, and {name} limits the cost"),
            Some(Trouble::Currency(currencies)) => {
                format!("the call costs {}, and {name} is in another currency", currencies.join(" and "))
            }
            Some(Trouble::Full) if self.limit.period == Period::Request => {
                format!("{name} is below the {} that the call may need", text(self.demand.least()))
            }
            Some(Trouble::Full) => {
                let (used, held) = (self.counters.used - self.counters.adjusted, self.counters.held);
                let left = text(self.remaining());
                let (used, held, needed) = (text(used), text(held), text(self.demand.least()));
                let amount = text(amount);
                format!(
                    "the call needs {needed}, and {name} has {left} of {amount} left: {used} used, {held} held"
                )
            }
        }
    }

    /// What the call holds of the window; a cap on one call has none.
    pub fn leg(&self) -> Option<Leg> {
        Some(self.part(self.window?))
    }

    /// How the call stands with a cap on one call, to be told again.
    pub fn cap(&self) -> Option<Leg> {
        let start = DateTime::UNIX_EPOCH;
        let none = WindowKey { limit: self.limit.id, subject: self.limit.subject_id, start };
        self.window.is_none().then(|| self.part(none))
    }

    fn part(&self, window: WindowKey) -> Leg {
        let held = self.needed().unwrap_or(0);
        let left = i128::from(self.limit.amount) - self.counters.counted() - i128::from(held);
        let limit = &self.limit;
        Leg {
            limit: limit.id,
            subject: window.subject,
            window: window.start.timestamp_micros(),
            period: limit.period,
            metric: limit.metric,
            mode: limit.mode,
            currency: limit.currency.clone(),
            models: limit.models.as_ref().map(|Texts(globs)| globs.clone()),
            held,
            used: 0,
            amount: limit.amount,
            remaining: Some(i64::try_from(left).unwrap_or(if left < 0 { i64::MIN } else { i64::MAX })),
        }
    }
}

impl Limit {
    /// What it is, for people: "the team's limit of requests a minute".
    pub fn name(&self) -> String {
        let (subject, metric, period) = (words(self.subject_kind), words(self.metric), words(self.period));
        match self.period {
            Period::Request => format!("the {subject}'s limit of {metric} of one call"),
            Period::Total => format!("the {subject}'s limit of {metric}"),
            _ => format!("the {subject}'s limit of {metric} a {period}"),
        }
    }
}

/// The word of a closed set, as people write it.
fn words(of: impl sea_orm::ActiveEnum<Value = String>) -> String {
    of.to_value().replace('_', " ")
}

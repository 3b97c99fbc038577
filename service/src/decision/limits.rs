//! How a call stands with a limit, as it is shown.

use crate::{
    limit::{amount_text, window},
    meter::{Code, Verdict, ledger::WindowKey},
};
use chrono::{DateTime, Utc};
use entity::{
    id::LimitId,
    ledger::Leg,
    status::{Metric, Mode, Period},
};
use serde::Serialize;
use utoipa::ToSchema;

/// How a call stands with one limit. Amounts are calls, tokens, open calls, or money in the limit's currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitState {
    /// The limit.
    pub limit_id: LimitId,
    /// What it counts.
    pub metric: Metric,
    /// How long.
    pub window: Period,
    /// What comes of not fitting.
    pub mode: Mode,
    /// ISO 4217; of a limit of cost.
    #[schema(required, example = "USD")]
    pub currency: Option<String>,
    /// The most.
    #[schema(example = "100")]
    pub amount: String,
    /// What is left of it: beside this call if the call may be made, else before it.
    #[schema(example = "12")]
    pub remaining: String,
    /// What calls have used, as far as that is forgiven by no reset; null where it was not looked up again.
    #[schema(required, example = "80")]
    pub used: Option<String>,
    /// What open calls hold; null where it was not looked up again.
    #[schema(required, example = "8")]
    pub held: Option<String>,
    /// What the call may need; null if that is not known.
    #[schema(required, example = "1")]
    pub needed: Option<String>,
    /// When the window ends; null = never.
    #[schema(required)]
    pub resets_at: Option<DateTime<Utc>>,
    /// Seconds until then, by the clock that decides; null = never.
    #[schema(required, example = 17)]
    pub resets_in: Option<u64>,
    /// Why the call does not go with the limit; null if it does.
    #[schema(required)]
    pub code: Option<Code>,
}

impl LimitState {
    /// Whether it counts tokens.
    pub fn counts_tokens(&self) -> bool {
        matches!(self.metric, Metric::Tokens | Metric::InputTokens | Metric::OutputTokens)
    }

    /// As a call found it when it was authorized, if it asked for it.
    pub(super) fn of_leg(leg: &Leg, at: DateTime<Utc>) -> Option<Self> {
        let left = leg.remaining?;
        let text = |amount| amount_text(leg.metric, amount);
        let resets_at = window::end(leg.period, WindowKey::of(leg).start);
        Some(Self {
            limit_id: leg.limit,
            metric: leg.metric,
            window: leg.period,
            mode: leg.mode,
            currency: leg.currency.clone(),
            amount: text(leg.amount),
            remaining: text(left.max(0)),
            used: None,
            held: None,
            needed: Some(text(leg.held)),
            resets_at,
            resets_in: resets_at.map(|end| seconds(at, end)),
            // Let through all the same, by a limit that only warns.
            code: (left < 0).then_some(match leg.metric {
                Metric::Cost => Code::BudgetExceeded,
                _ => Code::LimitExceeded,
            }),
        })
    }

    /// As it is judged.
    pub(super) fn of_verdict(verdict: &Verdict, at: DateTime<Utc>) -> Self {
        let limit = &verdict.limit;
        let text = |amount| amount_text(limit.metric, amount);
        let counters = verdict.counters;
        Self {
            limit_id: limit.id,
            metric: limit.metric,
            window: limit.period,
            mode: limit.mode,
            currency: limit.currency.clone(),
            amount: text(limit.amount),
            remaining: text(verdict.remaining()),
            used: Some(text(counters.used - counters.adjusted)),
            held: Some(text(counters.held)),
            needed: verdict.needed().map(text),
            resets_at: verdict.resets_at,
            resets_in: verdict.resets_at.map(|end| seconds(at, end)),
            code: verdict.code(),
        }
    }
}

/// Whole seconds until a moment, not less than there are.
fn seconds(from: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
    (until - from).num_milliseconds().max(0).cast_unsigned().div_ceil(1000)
}

//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): the tightest limits of a call, for its client.
//! Each is named by its id. Amounts of money are no quotas in that sense, and are left out.

use entity::status::{Metric, Period};
use service::decision::LimitState;

/// Limits that are told.
const TOLD: usize = 4;
/// The largest integer of a structured field (RFC 9651).
const LARGEST: u64 = 999_999_999_999_999;

/// The headers about these limits; none if there is nothing to tell.
pub fn headers(limits: &[LimitState]) -> Vec<(&'static str, String)> {
    let whole = |text: &str| text.parse::<u64>().ok().map(|amount| amount.min(LARGEST));
    let mut told: Vec<(&LimitState, u64, u64)> = limits
        .iter()
        .filter(|limit| limit.metric != Metric::Cost && limit.window != Period::Request)
        .filter_map(|limit| Some((limit, whole(&limit.amount)?, whole(&limit.remaining)?)))
        .collect();
    // Those that refuse come first, then those of which the least is left.
    told.sort_by_key(|(limit, quota, left)| {
        (limit.code.is_none(), u128::from(*left) * 1_000_000 / u128::from(*quota).max(1))
    });
    told.truncate(TOLD);
    if told.is_empty() {
        return Vec::new();
    }
    let policy = |(limit, quota, _): &(&LimitState, u64, u64)| {
        let window = seconds(limit.window).map(|seconds| format!(";w={seconds}")).unwrap_or_default();
        format!("\"{}\";q={quota}{}{window}", limit.limit_id, unit(limit.metric))
    };
    let state = |(limit, _, left): &(&LimitState, u64, u64)| {
        let resets = limit.resets_in.map(|seconds| format!(";t={seconds}")).unwrap_or_default();
        format!("\"{}\";r={left}{resets}", limit.limit_id)
    };
    let list = |items: Vec<String>| items.join(", ");
    vec![
        ("ratelimit-policy", list(told.iter().map(policy).collect())),
        ("ratelimit", list(told.iter().map(state).collect())),
    ]
}

/// What is counted, if it is not requests.
fn unit(metric: Metric) -> &'static str {
    match metric {
        Metric::Requests | Metric::Cost => "",
        Metric::Concurrency => ";qu=\"concurrent-requests\"",
        Metric::Tokens | Metric::InputTokens | Metric::OutputTokens => ";qu=\"tokens\"",
    }
}

/// How long a window is, if all of its kind are equally long.
fn seconds(window: Period) -> Option<u64> {
    match window {
        Period::Minute => Some(60),
        Period::Hour => Some(3_600),
        Period::Day => Some(86_400),
        Period::Week => Some(604_800),
        Period::Month | Period::Quarter | Period::Year | Period::Total | Period::Request => None,
    }
}

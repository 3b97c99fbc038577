//! Limits.
pub mod window;
use entity::{money::Nanos, status::Metric};
pub(crate) fn amount_text(metric: Metric, amount: i64) -> String {
    if metric == Metric::Cost { Nanos(amount).to_string() } else { amount.to_string() }
}

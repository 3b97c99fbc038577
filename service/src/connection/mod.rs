//! Provider connections: the configured upstreams of an organization.

mod code;
mod format;
mod search;

pub use code::CheckCode;
pub use format::{BaseUrlMode, FormatFacts, FormatPlan, FormatSource, plan, spoken};
pub use search::{Attempt, Patience};

//! Provider connections: the configured upstreams of an organization.

mod batch;
mod candidate;
mod check;
mod code;
mod format;
mod search;

pub use batch::{NewVerificationBatch, VerificationBatch, VerifiedConnection, verify_batch};
pub use code::CheckCode;
pub use format::{BaseUrlMode, FormatFacts, FormatPlan, FormatSource, plan, spoken};
pub use search::{Attempt, Patience};

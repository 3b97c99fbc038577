//! What a call costs: usage in, money out. Pure: no clock, no database, no float. Everything is summed exactly in `i128`
//! and rounded once.

mod bill;
mod bound;
pub mod convert;
mod exact;
#[cfg(test)]
mod tests;
pub mod unique;
mod usage;

pub use bill::{
    AppliedFor, AppliedMultiplier, Bill, Line, Manner, RateFrom, RateShare, TierChosen, bill, has_no_output,
};
pub use bound::{Bounds, bound};
pub use convert::{
    Advisor, Format, Reading, STATED_IN, ServiceTierWord, charged_as_stated, read, stated_tier,
};
pub use exact::Exact;
pub use usage::{MOST, Usage};

use crate::Error;

/// The usage, the rates or the multipliers are so large that their product is none that we can hold.
fn too_large() -> Error {
    Error::invalid("/usage", "out_of_range", "costs more than can be computed at this price")
}

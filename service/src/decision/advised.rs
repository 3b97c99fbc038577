//! What is read of an attempt, and the further attempts that its usage object tells of: one for each model that was asked on
//! its way.

use super::raw;
use crate::{cost::Advisor, meter::command::Attempt};
use serde_json::Value;

/// An attempt, and the models that it has asked.
pub(super) struct Read<'t> {
    pub(super) attempt: Attempt,
    pub(super) advisors: Vec<Advisor>,
    /// The object that tells of them.
    pub(super) usage: Option<&'t Value>,
}

/// The attempts that are told, in their order, and behind them those of advisors, so that the former keep their numbers. What
/// an advisor used beyond the most attempts that a call has is added to the attempt that asked, which is flagged: it is
/// charged at the price of another model.
pub(super) fn with_advisors(told: Vec<Read<'_>>, most: usize) -> Vec<Attempt> {
    let mut room = most.saturating_sub(told.len());
    let (mut attempts, mut behind) = (Vec::with_capacity(told.len()), Vec::new());
    for Read { mut attempt, advisors, usage } in told {
        for advisor in advisors {
            if room > 0 {
                room -= 1;
                behind.push(attempt.advised(advisor));
            } else {
                attempt.absorb(&advisor);
                attempt.raw = attempt.raw.or_else(|| usage.map(raw::kept));
            }
        }
        attempts.push(attempt);
    }
    attempts.append(&mut behind);
    attempts
}

//! [`Ahead`]: what is left of a clock that was ahead when an organization decided, and is right again.

use super::{
    head::Moment,
    ledger::{Ledger, Step},
    store::{LATER, Read, Transaction},
};
use chrono::{DateTime, Utc};
use entity::id::OrganizationId;
use std::collections::BTreeMap;

/// What is left of a time that was wrong, in the organizations of a batch.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Organizations whose last decision was of that time.
    pub(super) steps: Vec<Step>,
    /// Until when each organization may have open calls of a later time than now; none = it had, and has none any more.
    pub(super) until: BTreeMap<OrganizationId, Option<DateTime<Utc>>>,
}

impl Ahead {
    /// Finds out whose last decision was of a wrong time, and counts the time of their open calls from now. Of many calls a
    /// batch takes some, so that it stays short, and the next ones go on with it.
    pub(super) async fn meet<T: Transaction>(tx: &mut T, moment: &Moment, ledger: &mut Ledger) -> Read<Self> {
        let (mut ahead, mut at) = (Self::default(), BTreeMap::new());
        for head in moment.heads.iter().filter(|head| head.organization != OrganizationId::PLATFORM) {
            let (organization, now) = (head.organization, head.time(moment.now));
            let step = head.step(moment.now);
            ahead.steps.extend(step);
            let Some(until) = head.ahead_until.max(step.map(|step| step.from)) else { continue };
            at.insert(organization, now);
            let mut left = None;
            if until > now {
                let rows = tx.later(organization, now).await?;
                left = (rows.len() >= LATER).then_some(until);
                rows.into_iter().for_each(|row| ledger.learn(row));
            }
            ahead.until.insert(organization, left);
        }
        ledger.rebase(&at);
        Ok(ahead)
    }
}

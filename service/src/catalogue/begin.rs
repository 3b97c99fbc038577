//! When a price of the catalogue begins, if it does: never in the place of what an operator or an import says, and never
//! by changing a price that is there.

use chrono::{DateTime, Utc};
use entity::{price::Model, status::Origin, terms::Terms};

/// A price that the catalogue has.
#[derive(Debug)]
pub(super) struct Wanted {
    /// What it charges for.
    pub(super) terms: Terms,
    /// In which currency.
    pub(super) currency: String,
    /// Since when.
    pub(super) from: DateTime<Utc>,
}

/// What becomes of a price of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is none yet, or what is there has changed: it begins then.
    Begins(DateTime<Utc>),
    /// It is there already.
    Unchanged,
    /// Somebody else's price is in its place, or somebody ended it.
    Kept,
}

/// What becomes of a price of the catalogue, given the prices of its key.
pub(super) fn verdict(wanted: &Wanted, there: &[&Model], now: DateTime<Utc>) -> Verdict {
    let current = there.iter().filter(|price| in_term(price, now)).max_by_key(|price| price.effective_from);
    if current.is_some_and(|price| price.origin != Origin::Catalogue) {
        return Verdict::Kept;
    }
    let ours = there.iter().filter(|price| price.origin == Origin::Catalogue);
    let begin = match ours.max_by_key(|price| price.effective_from) {
        Some(last) if last.effective_until.is_some() => return Verdict::Kept,
        Some(last) if last.terms == wanted.terms && last.currency == wanted.currency => {
            return Verdict::Unchanged;
        }
        Some(last) if wanted.from <= last.effective_from => now,
        _ => wanted.from,
    };
    // A price with an end holds its whole term, and a moment at which one begins is taken.
    let held = |price: &&Model| price.effective_until.is_some() && in_term(price, begin);
    let taken = there.iter().any(|price| price.effective_from == begin || held(price));
    if taken { Verdict::Kept } else { Verdict::Begins(begin) }
}

fn in_term(price: &Model, moment: DateTime<Utc>) -> bool {
    price.effective_from <= moment && price.effective_until.is_none_or(|end| moment < end)
}

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
    let holds = |price: &Model, moment| price.effective_until.is_some() && in_term(price, moment);
    let taken = |moment| there.iter().any(|price| price.effective_from == moment || holds(price, moment));
    let begin = [begin, begin.max(now)].into_iter().find(|moment| !taken(*moment));
    begin.map_or(Verdict::Kept, Verdict::Begins)
}

fn in_term(price: &Model, moment: DateTime<Utc>) -> bool {
    price.effective_from <= moment && price.effective_until.is_none_or(|end| moment < end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{
        id::{Id, OrganizationId},
        money::Rate,
        status::PriceKind,
        terms::{Band, Component, Rates, ServiceTier},
    };
    use std::collections::BTreeMap;
    use uuid::Uuid;

    fn day(month: u32) -> DateTime<Utc> {
        format!("2027-{month:02}-01T00:00:00Z").parse().unwrap()
    }

    fn terms(rate: i64) -> Terms {
        let rates = Rates(BTreeMap::from([(Component::Input, Rate(rate))]));
        let band = Band { up_to: None, rates: BTreeMap::from([(ServiceTier::Standard, rates)]) };
        Terms { bands: vec![band], ..Terms::default() }
    }

    /// A price in force between these months.
    fn price(origin: Origin, rate: i64, from: u32, until: Option<u32>) -> Model {
        Model {
            id: Id::new(Uuid::nil()),
            organization_id: OrganizationId::PLATFORM,
            connection_id: None,
            provider: None,
            model: Some("m".into()),
            kind: PriceKind::PerToken,
            currency: "USD".into(),
            terms: terms(rate),
            markup_bps: 0,
            effective_from: day(from),
            effective_until: until.map(day),
            origin,
            source: None,
            sourced_on: None,
            note: None,
            created_by: "system".into(),
            version: 1,
            created_at: day(1),
            updated_at: day(1),
        }
    }

    /// What becomes, in June, of a price of 5 since `from`.
    fn june(from: u32, there: &[Model]) -> Verdict {
        let wanted = Wanted { terms: terms(5), currency: "USD".into(), from: day(from) };
        verdict(&wanted, &there.iter().collect::<Vec<_>>(), day(6))
    }

    #[test]
    fn what_is_not_there_begins_on_its_day() {
        assert_eq!(june(3, &[]), Verdict::Begins(day(3)));
        assert_eq!(june(9, &[]), Verdict::Begins(day(9)), "be it in the future");
    }

    #[test]
    fn what_has_changed_begins_after_what_it_was() {
        assert_eq!(june(3, &[price(Origin::Catalogue, 5, 2, None)]), Verdict::Unchanged);
        assert_eq!(june(3, &[price(Origin::Catalogue, 4, 2, None)]), Verdict::Begins(day(3)));
        assert_eq!(june(3, &[price(Origin::Catalogue, 4, 3, None)]), Verdict::Begins(day(6)), "else now");
        assert_eq!(june(3, &[price(Origin::Catalogue, 4, 6, None)]), Verdict::Kept, "but not twice at once");
        let both = [price(Origin::Catalogue, 5, 2, None), price(Origin::Catalogue, 4, 4, None)];
        assert_eq!(june(3, &both), Verdict::Begins(day(6)), "the last one counts");
        let mut euro = price(Origin::Catalogue, 5, 2, None);
        euro.currency = "EUR".into();
        assert_eq!(june(3, &[euro]), Verdict::Begins(day(3)));
    }

    #[test]
    fn what_others_say_stays() {
        for origin in [Origin::Manual, Origin::Import] {
            assert_eq!(june(3, &[price(origin, 4, 2, None)]), Verdict::Kept, "it is in force");
            assert_eq!(june(9, &[price(origin, 4, 2, Some(8))]), Verdict::Kept);
            assert_eq!(
                june(3, &[price(origin, 4, 8, None)]),
                Verdict::Begins(day(3)),
                "until it is in force"
            );
            assert_eq!(
                june(3, &[price(origin, 4, 2, Some(4))]),
                Verdict::Begins(day(6)),
                "its term is its own"
            );
            assert_eq!(june(9, &[price(origin, 4, 8, Some(10))]), Verdict::Kept);
            assert_eq!(june(3, &[price(origin, 4, 1, Some(2))]), Verdict::Begins(day(3)), "it has ended");
        }
        let beside = [price(Origin::Catalogue, 4, 1, None), price(Origin::Manual, 9, 2, None)];
        assert_eq!(june(3, &beside), Verdict::Kept);
    }

    #[test]
    fn what_somebody_ended_stays_ended() {
        assert_eq!(june(3, &[price(Origin::Catalogue, 5, 2, Some(4))]), Verdict::Kept);
        assert_eq!(june(3, &[price(Origin::Catalogue, 4, 2, Some(4))]), Verdict::Kept);
        assert_eq!(june(3, &[price(Origin::Catalogue, 4, 2, Some(9))]), Verdict::Kept);
    }
}

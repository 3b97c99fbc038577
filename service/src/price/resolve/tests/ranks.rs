//! Resolution against a plain reading of the rules: every row is ranked by itself, and the best one in force must win.

use super::*;
use proptest::prelude::*;
use std::{cmp::Reverse, collections::HashSet};

/// Where a row stands among those that match, by the rules alone; none if it does not match.
fn rank(row: &price::Model, wanted: &Wanted<'_>) -> Option<impl Ord + use<>> {
    let scope = match (row.connection_id, row.organization_id) {
        (Some(_), _) if row.connection_id != wanted.connection_id => return None,
        (Some(_), _) => 0,
        (None, organization) if organization == HERE => 1,
        (None, _) => 2,
    };
    let (asked, model) = (wanted.model, row.model.as_deref()?);
    let provider = row.provider.as_deref();
    let in_name =
        asked.split_once('/').filter(|(name, _)| wanted.provider.is_none_or(|named| named == *name));
    let named = wanted.provider.or(in_name.map(|(provider, _)| provider));
    let with_provider = wanted.provider.map(|provider| format!("{provider}/{asked}"));
    let last = (Reverse(usize::MAX), String::new(), false, false, None);
    if named.is_some() && provider == named {
        if model == asked {
            return Some((scope, 0, 0, last));
        }
        if in_name.is_some_and(|(_, rest)| rest == model) {
            return Some((scope, 0, 1, last));
        }
        if with_provider.as_deref() == Some(model) {
            return Some((scope, 0, 2, last));
        }
    }
    if provider.is_some() && wanted.provider.is_some() && provider != wanted.provider {
        return None;
    }
    if model == asked {
        return Some((scope, 1, 0, (Reverse(0), String::new(), false, false, row.provider.clone())));
    }
    if provider.is_none() && in_name.is_some_and(|(_, rest)| rest == model) {
        return Some((scope, 1, 1, last));
    }
    let literal = Reverse(model.chars().filter(|c| *c != '*').count());
    let glob = |name: &str| model.contains('*') && crate::meter::matches(model, name);
    let text = |rest: bool, general: bool| (literal, model.to_owned(), rest, general, row.provider.clone());
    if glob(asked) {
        return Some((scope, 2, 0, text(false, wanted.provider.is_some() && provider.is_none())));
    }
    let (name, rest) = in_name?;
    let suits = provider.is_none_or(|provider| provider == name);
    (suits && glob(rest)).then(|| (scope, 2, 0, text(true, provider.is_none())))
}

fn in_force(row: &price::Model, rows: &[price::Model], at: DateTime<Utc>) -> bool {
    let key = |row: &price::Model| {
        (row.organization_id, row.connection_id, row.provider.clone(), row.model.clone())
    };
    let holds =
        |row: &price::Model| row.effective_from <= at && row.effective_until.is_none_or(|until| at < until);
    let later = |other: &price::Model| {
        key(other) == key(row) && holds(other) && other.effective_from > row.effective_from
    };
    holds(row) && !rows.iter().any(later)
}

prop_compose! {
    pub(super) fn any_row()(
        platform in any::<bool>(),
        line in prop::bool::weighted(0.2),
        provider in prop::option::of(prop::sample::select(vec!["a", "b"])),
        model in prop::sample::select(vec!["x", "y", "a/x", "b/x", "a/a/x", "*", "x*", "*x", "a/*", "*/x", "*/*", "y*"]),
        from in -3i64..3,
        term in prop::option::of(1i64..3),
    ) -> price::Model {
        price::Model {
            connection_id: (line && !platform).then_some(LINE),
            effective_from: hours(from),
            effective_until: term.map(|term| hours(from + term)),
            ..price(0, if platform { OrganizationId::PLATFORM } else { HERE }, provider, Some(model))
        }
    }
}

/// Rows of which no two of one key begin at once, as the table has it.
pub(super) fn distinct(rows: Vec<price::Model>) -> Vec<price::Model> {
    let mut begun = HashSet::new();
    let key = |row: &price::Model| {
        (row.organization_id, row.connection_id, row.provider.clone(), row.model.clone(), row.effective_from)
    };
    let rows = rows.into_iter().filter(|row| begun.insert(key(row)));
    (1..).zip(rows).map(|(n, row)| price::Model { id: PriceId::new(Uuid::from_u128(n)), ..row }).collect()
}

proptest! {
    #[test]
    fn the_best_rank_in_force_wins_in_whatever_order_rows_were_read(
        (rows, shuffled) in prop::collection::vec(any_row(), 0..40)
            .prop_map(distinct)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        model in prop::sample::select(vec!["x", "y", "a/x", "b/x", "a/a/x", "z", "c/x"]),
        provider in prop::option::of(prop::sample::select(vec!["a", "b", "c"])),
        line in any::<bool>(),
        hour in -3i64..4,
    ) {
        let wanted = Wanted { connection_id: line.then_some(LINE), at: hours(hour), ..wanted(model, provider) };
        let candidates = rows.iter().filter(|row| in_force(row, &rows, wanted.at));
        let best = candidates.filter_map(|row| Some((rank(row, &wanted)?, row.id))).min().map(|(_, id)| id);
        let prices = books(&rows, &[]);
        let winner = winner(&prices, &wanted).filter(|winner| winner.likeness.is_none());
        prop_assert_eq!(winner.map(|winner| winner.entry.id), best);
        let (first, second) = (resolve(&prices, &wanted), resolve(&books(&shuffled, &[]), &wanted));
        prop_assert_eq!(first.winner.map(|winner| winner.entry.id), second.winner.map(|winner| winner.entry.id));
        prop_assert_eq!((first.losers, first.reason), (second.losers, second.reason));
    }
}

//! A book that was edited, however often, is the book that is read afresh.

use super::{
    ranks::{any_row, distinct},
    *,
};
use crate::price::book::Edits;
use proptest::prelude::*;

/// The books of before and after some edits, by way of many others or in one step.
fn edited(before: &[price::Model], after: &[price::Model], steps: usize) -> Prices {
    let mut prices = books(before, &[]);
    let ids: Vec<PriceId> = before.iter().chain(after).map(|row| row.id).collect();
    for some in ids.chunks(ids.len().div_ceil(steps).max(1)) {
        for (organization, book) in
            [(HERE, &mut prices.organization), (OrganizationId::PLATFORM, &mut prices.platform)]
        {
            let now = |id: &PriceId| {
                let row = after.iter().find(|row| row.id == *id && row.organization_id == organization);
                (*id, row.cloned())
            };
            let rows = some.iter().map(now).collect();
            *book = Arc::new(book.edited(Edits { prices: rows, ..Edits::default() }));
        }
    }
    prices
}

fn numbered(rows: Vec<price::Model>) -> Vec<price::Model> {
    distinct(rows)
}

proptest! {
    #[test]
    fn edited_book_resolves_as_a_fresh_one(
        rows in prop::collection::vec(any_row(), 0..40).prop_map(numbered),
        fate in prop::collection::vec(0u8..4, 40),
        other in prop::collection::vec(any_row(), 40),
        steps in 1usize..5,
        hour in -3i64..4,
    ) {
        // Of each row: it stays, it is deleted, it is made, or it becomes another one.
        let is = |wanted: &'static [u8]| {
            rows.iter().zip(&fate).zip(&other).filter(move |((_, fate), _)| wanted.contains(fate))
        };
        let before: Vec<_> = is(&[0, 1, 3]).map(|((row, _), _)| row.clone()).collect();
        let made = is(&[0, 2]).map(|((row, _), _)| row.clone());
        let changed = is(&[3]).map(|((row, _), other)| price::Model {
            id: row.id,
            organization_id: row.organization_id,
            ..other.clone()
        });
        let after: Vec<_> = made.chain(changed).collect();
        let (fresh, edited) = (books(&after, &[]), edited(&before, &after, steps));
        prop_assert_eq!(fresh.organization.rows() + fresh.platform.rows(), after.len());
        prop_assert_eq!(edited.organization.rows() + edited.platform.rows(), after.len());
        prop_assert_eq!(fresh.platform.weight(), edited.platform.weight());
        for model in ["x", "y", "a/x", "b/x", "a/a/x", "z", "c/x", "gpt-4o", "日本語モデル"] {
            for provider in [None, Some("a"), Some("b"), Some("c")] {
                for connection_id in [None, Some(LINE)] {
                    let wanted = Wanted { connection_id, at: hours(hour), ..wanted(model, provider) };
                    let (fresh, edited) = (resolve(&fresh, &wanted), resolve(&edited, &wanted));
                    let id = |found: &Resolution| found.winner.as_ref().map(|winner| winner.entry.id);
                    prop_assert_eq!(id(&fresh), id(&edited));
                    prop_assert_eq!((fresh.losers, fresh.reason), (edited.losers, edited.reason));
                }
            }
        }
    }
}

fn named(n: u128, name: &str, target: &str) -> model_alias::Model {
    model_alias::Model { id: ModelAliasId::new(Uuid::from_u128(n)), ..alias(name, target, true) }
}

#[test]
fn names_that_aliases_have_swapped_lead_where_they_now_do() {
    let before = books(&[], &[named(1, "a", "x"), named(2, "b", "y")]).organization;
    let swap = [named(1, "b", "x"), named(2, "a", "y")].map(|row| (row.id, Some(row)));
    let after = before.edited(Edits { aliases: swap.into(), ..Edits::default() });
    assert_eq!((after.alias("a"), after.alias("b")), (Some("y"), Some("x")));
    assert_eq!((before.alias("a"), before.alias("b")), (Some("x"), Some("y")), "the book of before stays");
    let gone = Edits { aliases: vec![(ModelAliasId::new(Uuid::from_u128(1)), None)], ..Edits::default() };
    let after = after.edited(gone);
    assert_eq!((after.alias("a"), after.alias("b"), after.rows()), (Some("y"), None, 1));
}

#[test]
fn guess_follows_the_prices_it_is_made_from() {
    let guess = |prices: &Prices| winner(prices, &wanted("claude-opus-99", None)).map(|won| won.entry.id);
    let row = platforms(1, None, "claude-opus-5");
    let empty = books(&[], &[]);
    let (there, gone) = ((row.id, Some(row.clone())), (row.id, None));
    let with = |book: &Arc<Book>, edit: (PriceId, Option<price::Model>)| {
        let platform = Arc::new(book.edited(Edits { prices: vec![edit], ..Edits::default() }));
        Prices { platform, ..empty.clone() }
    };
    assert_eq!(guess(&empty), None);
    let filled = with(&empty.platform, there);
    assert_eq!(guess(&filled), guess(&books(std::slice::from_ref(&row), &[])));
    assert_eq!(guess(&with(&filled.platform, gone)), None);
}

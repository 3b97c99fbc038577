//! Bounds.

use super::*;
use Component::{CacheWrite1h, Image, Input, Output, Reasoning};

fn bounds(usage: &Usage, slack: [u64; 8]) -> Bounds {
    Bounds {
        prompt_tokens: usage.prompt_tokens() + slack[0],
        completion_tokens: usage.completion_tokens() + slack[1],
        requests: usage.get(Component::Request) + slack[2],
        images: usage.get(Component::Image) + slack[3],
        seconds: usage.get(Component::Second) + slack[4],
        characters: usage.get(Component::Character) + slack[5],
        web_searches: usage.get(Component::WebSearch) + slack[6],
        code_executions: usage.get(Component::CodeExecution) + slack[7],
    }
}

proptest! {
    #[test]
    fn no_bill_is_above_the_bound(
        terms in terms(PLAUSIBLE), usage in usage(PLAUSIBLE), manner in manner(),
        slack in proptest::array::uniform8(up_to(1000))
    ) {
        let bill = bill(&terms, &usage, &manner).unwrap();
        prop_assert!(bill.cost <= bound(&terms, &bounds(&usage, slack)).unwrap());
        prop_assert!(bill.cost <= bound(&terms, &bounds(&usage, [0; 8])).unwrap());
    }

    #[test]
    fn nor_of_anything_that_can_be_stated(
        terms in terms(ANYTHING), usage in usage(ANYTHING), manner in manner()
    ) {
        if let Ok(bound) = bound(&terms, &bounds(&usage, [0; 8])) {
            // What costs no more than can be told may still be too long to compute.
            if let Ok(bill) = bill(&terms, &usage, &manner) {
                prop_assert!(bill.cost <= bound);
            }
        }
    }
}

#[test]
fn the_bound_takes_the_dearest_class_tier_and_multipliers() {
    let mut terms = tiered(
        TierBy::PromptTokens,
        [
            (Some(100), ServiceTier::Standard, vec![(Input, 1_000_000), (Output, 7_000_000)]),
            (Some(100), ServiceTier::Priority, vec![(CacheWrite1h, 4_000_000), (Image, 1_000_000)]),
            (None, ServiceTier::Standard, vec![(Input, 2_000_000), (Reasoning, 3_000_000)]),
        ],
    );
    let call = Bounds { prompt_tokens: 100, completion_tokens: 10, images: 2, ..Bounds::default() };
    assert_eq!(bound(&terms, &call).unwrap(), Nanos(100 * 4 + 10 * 7 + 2));
    // Whether the second tier is reached or not, a call may stay in the first.
    let larger = Bounds { prompt_tokens: 101, ..call };
    assert_eq!(bound(&terms, &larger).unwrap(), Nanos(101 * 4 + 10 * 7 + 2));
    let huge = Bounds { completion_tokens: 0, images: 0, ..larger };
    terms.bands[1].rates.insert(ServiceTier::Flex, Rates([(Input, Rate(5_000_000))].into()));
    assert_eq!(bound(&terms, &huge).unwrap(), Nanos(101 * 5));
    assert_eq!(bound(&terms, &Bounds { prompt_tokens: 100, ..huge }).unwrap(), Nanos(400), "not reached");
    terms.multipliers = [("a", 500_000), ("b", 2_000_000), ("c", 1_500_000), ("d", 3_000_000)]
        .map(|(word, factor)| (word.to_owned(), Factor(factor)))
        .into();
    assert_eq!(bound(&terms, &huge).unwrap(), Nanos(101 * 5 * 6));
}

#[test]
fn the_bound_is_rounded_up() {
    let bounds = Bounds { prompt_tokens: 1, ..Bounds::default() };
    assert_eq!(bound(&at([(Input, 1)]), &bounds).unwrap(), Nanos(1));
    assert_eq!(bound(&at([(Input, 1_000_000)]), &bounds).unwrap(), Nanos(1));
    assert_eq!(bound(&at([(Input, 1_000_001)]), &bounds).unwrap(), Nanos(2));
    assert_eq!(bound(&at([(Output, 1_000_001)]), &bounds).unwrap(), Nanos::ZERO);
}

#[test]
fn a_bound_that_does_not_fit_is_refused() {
    let bounds = Bounds { prompt_tokens: u64::MAX, ..Bounds::default() };
    assert!(bound(&at([(Input, i64::MAX)]), &bounds).is_err());
}

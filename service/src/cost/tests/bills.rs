//! Bills.

use super::{
    model::{cost, half_even, power},
    *,
};
use Component::{
    CacheRead, CacheWrite, CacheWrite1h, Character, Image, Input, Output, Reasoning, Request, Second,
};
use serde_json::{Value, json};

/// A dollar a million tokens.
const DOLLAR: i64 = 1_000_000_000;

proptest! {
    #[test]
    fn costs_are_those_of_the_rational_model(
        terms in terms(PLAUSIBLE), usage in usage(PLAUSIBLE), manner in manner(), markup in 0..=1_000_000
    ) {
        let (exact, unpriced) = cost(&terms, &usage, &manner);
        let bill = bill(&terms, &usage, &manner).unwrap();
        prop_assert_eq!(decimal(&bill.exact.to_string()), exact.clone());
        prop_assert_eq!(rational(bill.cost.0), half_even(&(&exact * power(9))));
        let charge = &exact * rational(10_000 + markup) / rational(10_000);
        prop_assert_eq!(rational(bill.charge(markup).unwrap().0), half_even(&(charge * power(9))));
        prop_assert_eq!(bill.unpriced, unpriced);
    }

    #[test]
    fn whatever_can_be_stated_costs_what_it_costs_or_is_refused(
        terms in terms(ANYTHING), usage in usage(ANYTHING), manner in manner(), markup in any::<i32>()
    ) {
        let (exact, _) = cost(&terms, &usage, &manner);
        match bill(&terms, &usage, &manner) {
            Ok(bill) => {
                prop_assert_eq!(rational(bill.cost.0), half_even(&(&exact * power(9))));
                if let Ok(charge) = bill.charge(markup) {
                    let share = rational(10_000 + i128::from(markup)) / rational(10_000);
                    prop_assert_eq!(rational(charge.0), half_even(&(exact * share * power(9))));
                }
            }
            // A millionth of a call that costs more than a thousand million is not computed either.
            Err(error) => {
                prop_assert!(matches!(error, crate::Error::Invalid(_)));
                let mut plain = terms.clone();
                plain.multipliers.clear();
                let sum = cost(&plain, &usage, &manner).0;
                prop_assert!(sum.max(exact) > power(9));
            }
        }
    }

    #[test]
    fn a_bill_can_be_checked_by_hand(
        terms in terms(PLAUSIBLE), usage in usage(PLAUSIBLE), manner in manner()
    ) {
        let bill = serde_json::to_value(bill(&terms, &usage, &manner).unwrap()).unwrap();
        let number = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => decimal(text),
            whole => decimal(&whole.to_string()),
        };
        let mut sum = rational(0);
        for line in bill["lines"].as_array().unwrap() {
            let amount = number(&line["quantity"]) * number(&line["rate"]) / number(&line["per"]);
            prop_assert_eq!(&amount, &number(&line["amount"]));
            sum += amount;
        }
        for applied in bill["multipliers"].as_array().unwrap() {
            sum *= number(&applied["factor"]);
        }
        prop_assert_eq!(sum, number(&bill["exact"]));
    }

    #[test]
    fn more_of_anything_never_costs_less_in_the_same_tier(
        band in band(PLAUSIBLE), usage in usage(PLAUSIBLE), manner in manner(),
        component in component(), more in up_to(PLAUSIBLE.quantity)
    ) {
        let terms = Terms { bands: vec![band], ..Terms::default() };
        let mut larger = usage;
        larger.set(component, usage.get(component) + more).unwrap();
        let cost = |usage| bill(&terms, usage, &manner).unwrap().cost;
        prop_assert!(cost(&usage) <= cost(&larger));
    }

    #[test]
    fn the_whole_call_is_charged_at_the_tier_of_its_size(
        by in select(vec![TierBy::PromptTokens, TierBy::TotalTokens, TierBy::Images, TierBy::Seconds]),
        end in 0u64..1_000_000, beyond in 1u64..1_000_000
    ) {
        let sized = match by {
            TierBy::PromptTokens => CacheRead,
            TierBy::TotalTokens => Output,
            TierBy::Images => Image,
            TierBy::Seconds => Second,
        };
        let last = i64::try_from(end).unwrap();
        let rates = |rate| Component::EVERY.map(|component| (component, rate)).to_vec();
        let terms = tiered(by, [
            (Some(last), ServiceTier::Standard, rates(DOLLAR)),
            (Some(last + 1_000_000), ServiceTier::Standard, rates(2 * DOLLAR)),
            (None, ServiceTier::Standard, rates(3 * DOLLAR)),
        ]);
        for (size, up_to, rate) in [
            (0, Some(last), 1),
            (end, Some(last), 1),
            (end + 1, Some(last + 1_000_000), 2),
            (end + beyond, Some(last + 1_000_000), 2),
            (end + 1_000_000, Some(last + 1_000_000), 2),
            (end + 1_000_001, None, 3),
            (MOST, None, 3),
        ] {
            let usage = used([(sized, size), (Character, 10)]);
            let bill = bill(&terms, &usage, &standard()).unwrap();
            prop_assert_eq!(bill.tier, Some(TierChosen { by, size, up_to }));
            prop_assert_eq!(bill.exact, Exact::new(i128::from((size + 10) * rate), 6));
        }
    }
}

#[test]
fn a_million_tokens_at_a_dollar_cost_a_dollar() {
    let terms = at([(Input, DOLLAR), (Output, 5 * DOLLAR)]);
    let bill = bill(&terms, &used([(Input, 1_000_000), (Output, 200_000)]), &standard()).unwrap();
    assert_eq!(bill.cost, Nanos(2_000_000_000));
    let line = serde_json::to_value(&bill.lines[1]).unwrap();
    let expected = serde_json::json!({
        "component": "output", "quantity": 200_000, "rate": "5", "per": 1_000_000, "amount": "1",
        "rate_from": {"component": "output", "service_tier": "standard"},
    });
    assert_eq!(line, expected);
    assert_eq!(bill.tier, None, "a price of one tier chooses none");
}

#[test]
fn units_are_priced_by_one() {
    let terms =
        at([(Request, 5_000_000_000_000_000), (Image, 40_000_000_000_000), (Second, 1), (Character, 0)]);
    let usage = used([(Request, 2), (Image, 3), (Second, 7), (Character, 900)]);
    let bill = bill(&terms, &usage, &standard()).unwrap();
    assert_eq!(bill.exact.to_string(), "10.120000000000007");
    assert_eq!(bill.cost.to_string(), "10.120000000");
    let rates: Vec<_> = bill.lines.iter().map(|line| (line.rate.to_string(), line.per)).collect();
    let rate = |text: &str| (text.to_owned(), 1);
    assert_eq!(rates, [rate("5"), rate("0.04"), rate("0.000000000000001"), rate("0")]);
}

#[test]
fn one_rounding_half_to_even() {
    // Half a billionth a token: what is between two billionths goes to the even one, the rest to the nearest.
    for (tokens, nanos) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (7, 4), (1001, 500), (1003, 502)] {
        let bill = bill(&at([(Input, 500_000)]), &used([(Input, tokens)]), &standard()).unwrap();
        assert_eq!(bill.cost, Nanos(nanos), "{tokens} tokens");
    }
    // Each line alone would round to nothing; together they are one and a half.
    let terms = at([(Input, 500_000), (Output, 500_000), (CacheRead, 500_000)]);
    let usage = used([(Input, 1), (Output, 1), (CacheRead, 1)]);
    assert_eq!(bill(&terms, &usage, &standard()).unwrap().cost, Nanos(2));
}

#[test]
fn the_charge_is_rounded_by_itself() {
    // 1.5 costs 2; with a third more it is 1.9995, not 2.666.
    let bill = bill(&at([(Input, 500_000)]), &used([(Input, 3)]), &standard()).unwrap();
    assert_eq!((bill.cost, bill.charge(3_330).unwrap()), (Nanos(2), Nanos(2)));
    assert_eq!(bill.charge(0).unwrap(), bill.cost);
    assert_eq!(bill.charge(10_000).unwrap(), Nanos(3));
    assert_eq!(bill.charge(6_666).unwrap(), Nanos(2));
    assert_eq!(bill.charge(6_667).unwrap(), Nanos(3));
}

#[test]
fn a_missing_rate_falls_back_and_says_so() {
    let flex = ServiceTier::Flex;
    let stated = |standard: &[Component], flexible: &[Component]| {
        let rates =
            |components: &[Component]| components.iter().map(|component| (*component, DOLLAR)).collect();
        tiered(
            TierBy::PromptTokens,
            [(None, ServiceTier::Standard, rates(standard)), (None, flex, rates(flexible))]
                .into_iter()
                .filter(|(_, _, rates): &Stated| !rates.is_empty()),
        )
    };
    for (standard, flexible, component, from) in [
        (&[Input, CacheWrite1h][..], &[Input, CacheWrite1h][..], CacheWrite1h, (CacheWrite1h, flex)),
        (&[Input, CacheWrite1h], &[Input, CacheWrite], CacheWrite1h, (CacheWrite1h, ServiceTier::Standard)),
        (&[Input, CacheWrite], &[Input, CacheWrite], CacheWrite1h, (CacheWrite, flex)),
        (&[Input, CacheWrite], &[Input], CacheWrite1h, (CacheWrite, ServiceTier::Standard)),
        (&[Input], &[Input], CacheWrite1h, (Input, flex)),
        (&[Input], &[], CacheWrite1h, (Input, ServiceTier::Standard)),
        (&[Output], &[Output], Reasoning, (Output, flex)),
        (&[Input, Request], &[], Request, (Request, ServiceTier::Standard)),
    ] {
        let bill = bill(&stated(standard, flexible), &used([(component, 1)]), &served(flex)).unwrap();
        let from = RateFrom { component: from.0, service_tier: from.1, share: None };
        assert_eq!(bill.lines[0].rate_from, from, "{standard:?} {flexible:?}");
    }
    // What is stated for another service tier is none of this one's.
    let bill = bill(&stated(&[Output], &[Input]), &used([(Input, 1)]), &served(ServiceTier::Batch)).unwrap();
    assert_eq!((bill.lines, bill.unpriced), (vec![], vec![Input]));
}

#[test]
fn no_rate_is_not_a_free_one() {
    let usage = used([(Input, 10), (Output, 10), (Image, 1)]);
    let free = bill(&at([(Input, 0), (Output, 0)]), &usage, &standard()).unwrap();
    assert_eq!((free.lines.len(), free.cost, free.is_priced()), (2, Nanos::ZERO, true));
    let without = bill(&at([(Input, 0)]), &usage, &standard()).unwrap();
    assert_eq!((without.lines.len(), without.unpriced), (1, vec![Output]));
    // Nothing of what has no rate was used.
    assert!(bill(&at([(Input, 0)]), &used([(Input, 10)]), &standard()).unwrap().is_priced());
    // A tier without a rate that another has: still no rate.
    let terms = tiered(
        TierBy::PromptTokens,
        [
            (Some(5), ServiceTier::Standard, vec![(Input, 1), (Output, 1)]),
            (None, ServiceTier::Standard, vec![(Image, 1)]),
        ],
    );
    assert_eq!(bill(&terms, &usage, &standard()).unwrap().unpriced, [Input, Output]);
}

#[test]
fn a_price_without_rates_for_tokens_charges_for_what_it_names() {
    let unpriced = |rates: &[(Component, i64)], counts: &[(Component, u64)]| {
        let terms = at(rates.iter().copied());
        bill(&terms, &used(counts.iter().copied()), &standard()).unwrap().unpriced
    };
    let tokens = [(Input, 10), (Output, 10), (Request, 1)];
    assert_eq!(unpriced(&[], &tokens), [], "flat");
    assert_eq!(unpriced(&[(Request, 5)], &tokens), []);
    assert_eq!(unpriced(&[(Request, 5)], &tokens[..2]), [], "no request, no charge");
    assert_eq!(unpriced(&[(Image, 5), (Request, 5)], &tokens), []);
    assert_eq!(unpriced(&[(Image, 5)], &[(Input, 10), (Image, 2)]), []);
    assert_eq!(unpriced(&[(Image, 0)], &[(Input, 10), (Image, 2)]), [], "free");
    assert_eq!(unpriced(&[(Image, 5)], &[(Request, 1)]), []);
    // Charged by what nobody counted.
    assert_eq!(unpriced(&[(Image, 5), (Second, 5)], &tokens), [Input, Output]);
    assert_eq!(unpriced(&[(Image, 5)], &[(Second, 9)]), [Second]);
    assert_eq!(unpriced(&[(Input, 5)], &[(Second, 9), (Request, 1)]), [Second]);
    assert_eq!(unpriced(&[(Input, 5)], &[(Second, 9), (Input, 1)]), []);
}

#[test]
fn a_call_of_which_nothing_is_charged_is_unpriced() {
    let unpriced = |rates: &[(Component, i64)], object: Value| {
        let usage = read(&object, None, "").unwrap().usage;
        let bill = bill(&at(rates.iter().copied()), &usage, &standard()).unwrap();
        assert_eq!((bill.is_priced(), bill.cost), (false, Nanos::ZERO), "{object}");
        bill.unpriced
    };
    let listened = json!({"prompt_audio_seconds": 600, "prompt_tokens": 0, "completion_tokens": 0});
    assert_eq!(
        unpriced(&[(Input, 5 * DOLLAR), (CacheRead, DOLLAR), (Output, 10 * DOLLAR)], listened),
        [Second]
    );
    assert_eq!(unpriced(&[(Image, DOLLAR)], json!({"seconds": 60})), [Second]);
}

#[test]
fn a_region_and_a_speed_multiply_the_whole() {
    let mut terms = at([(Input, DOLLAR)]);
    terms.multipliers =
        BTreeMap::from([("eu".into(), Factor(1_100_000)), ("fast".into(), Factor(6_000_000))]);
    let usage = used([(Input, 1_000_000)]);
    for (region, speed, cost, applied) in [
        (None, None, "1", 0),
        (Some("eu"), None, "1.1", 1),
        (None, Some("fast"), "6", 1),
        (Some("eu"), Some("fast"), "6.6", 2),
        (Some("mars"), Some("walking"), "1", 0),
        (Some("EU"), None, "1", 0),
        (Some("fast"), Some("fast"), "6", 1),
    ] {
        let manner = Manner {
            region: region.map(str::to_owned),
            speed: speed.map(str::to_owned),
            ..Manner::default()
        };
        let bill = bill(&terms, &usage, &manner).unwrap();
        assert_eq!((bill.exact.to_string().as_str(), bill.multipliers.len()), (cost, applied), "{manner:?}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let refused = |terms: &Terms, usage: &Usage| {
        let Err(crate::Error::Invalid(faults)) = bill(terms, usage, &standard()) else {
            panic!("not refused")
        };
        assert_eq!((faults[0].pointer.as_str(), faults[0].code), ("/usage", "out_of_range"));
    };
    refused(&at([(Input, i64::MAX)]), &used([(Input, MOST)]));
    // One nano-unit more than fits, and exactly what fits.
    let all = at([(Input, i64::MAX), (Output, 1_000_000)]);
    refused(&all, &used([(Input, 1_000_000), (Output, 1)]));
    let bill = bill(&all, &used([(Input, 1_000_000)]), &standard()).unwrap();
    assert_eq!(bill.cost, Nanos(i64::MAX));
    assert!(bill.charge(1).is_err());
}

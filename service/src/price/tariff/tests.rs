//! What is stated is kept exactly, and whatever cannot be charged by is refused with its field.

use super::{RateCard, Tariff, Tier};
use crate::{Error, price::NewPrice, validate::Faults};
use entity::{
    money::{Factor, Rate},
    status::PriceKind,
    terms::{Component, Rates, Terms, TierBy},
};
use proptest::{
    collection::{btree_map, vec},
    option::of,
    prelude::*,
    sample::select,
};
use serde_json::{Value, json};

const TOKENS: [Component; 11] = *Component::EVERY.first_chunk().unwrap();
const UNITS: [Component; 5] = [
    Component::Image,
    Component::Second,
    Component::Character,
    Component::WebSearch,
    Component::CodeExecution,
];

fn rates(among: &'static [Component]) -> impl Strategy<Value = Rates> {
    btree_map(select(among), (0..=i64::MAX).prop_map(Rate), 1..=among.len()).prop_map(Rates)
}

fn card(among: &'static [Component]) -> impl Strategy<Value = Option<RateCard>> {
    of(rates(among).prop_map(|rates| {
        let mut card = RateCard::default();
        card.set_rates(&rates);
        card
    }))
}

fn tier(among: &'static [Component]) -> impl Strategy<Value = Tier> {
    (rates(among), card(among), card(among), card(among)).prop_map(|(rates, batch, flex, priority)| {
        let mut tier = Tier { batch, flex, priority, ..Default::default() };
        tier.set_rates(&rates);
        tier
    })
}

fn one_band(kind: PriceKind, among: &'static [Component]) -> impl Strategy<Value = Tariff> {
    tier(among).prop_map(move |only| {
        let Tier { batch, flex, priority, .. } = only.clone();
        let mut tariff = Tariff { kind, batch, flex, priority, ..Default::default() };
        tariff.set_rates(&only.rates());
        tariff
    })
}

fn tiered() -> impl Strategy<Value = Tariff> {
    let by = select(&[TierBy::PromptTokens, TierBy::TotalTokens, TierBy::Images, TierBy::Seconds]);
    (by, vec((1..1000i64, tier(&Component::EVERY)), 1..=16)).prop_map(|(by, steps)| {
        let (mut tiers, mut size) = (Vec::new(), -1);
        for (step, tier) in steps {
            size += step;
            tiers.push(Tier { up_to: Some(size), ..tier });
        }
        tiers.last_mut().unwrap().up_to = None;
        Tariff { kind: PriceKind::Tiered, tier_by: Some(by), tiers: Some(tiers), ..Default::default() }
    })
}

fn multiplied(tariff: impl Strategy<Value = Tariff>) -> impl Strategy<Value = Tariff> {
    let factor = (1..=1_000_000_000i64).prop_map(|factor| super::Multiplier(Factor(factor)));
    (tariff, btree_map("[a-z0-9._-]{1,64}", factor, 0..=32))
        .prop_map(|(tariff, multipliers)| Tariff { multipliers, ..tariff })
}

fn tariffs() -> impl Strategy<Value = Tariff> {
    prop_oneof![
        multiplied(one_band(PriceKind::PerToken, &TOKENS)),
        multiplied(one_band(PriceKind::PerRequest, &[Component::Request])),
        multiplied(one_band(PriceKind::PerUnit, &UNITS)),
        multiplied(tiered()),
        Just(Tariff { kind: PriceKind::Flat, ..Default::default() }),
    ]
}

proptest! {
    #[test]
    fn what_is_stated_is_what_is_shown(stated in tariffs()) {
        let wire = serde_json::to_string(&stated).unwrap();
        let read: NewPrice = serde_json::from_str(&wire).unwrap();
        let mut faults = Faults::default();
        let terms = read.terms("", &mut faults);
        prop_assert!(faults.finish().is_ok());
        let stored: Terms = serde_json::from_str(&serde_json::to_string(&terms).unwrap()).unwrap();
        prop_assert_eq!(&stored, &terms);
        // A tier without a card that another tier has is shown with an empty one, and says the same.
        let shown = Tariff::of(stated.kind, &stored);
        if stated.tiers.is_none() {
            prop_assert_eq!(&shown, &stated);
        }
        let again: NewPrice = serde_json::from_str(&serde_json::to_string(&shown).unwrap()).unwrap();
        prop_assert_eq!(again.terms("", &mut Faults::default()), stored);
    }
}

/// Where a price is faulty, and how.
fn faults(price: Value) -> Vec<(String, &'static str)> {
    let price: NewPrice = serde_json::from_value(price).unwrap();
    let mut faults = Faults::default();
    price.terms("", &mut faults);
    match faults.finish() {
        Err(Error::Invalid(found)) => found.into_iter().map(|fault| (fault.pointer, fault.code)).collect(),
        _ => Vec::new(),
    }
}

#[track_caller]
fn refused(price: Value, expected: &[(&str, &'static str)]) {
    let expected: Vec<_> = expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), *code)).collect();
    let said = price.to_string();
    assert_eq!(faults(price), expected, "{said}");
}

#[test]
fn each_kind_needs_its_rates() {
    refused(json!({"kind": "per_token"}), &[("/input", "required")]);
    refused(json!({"kind": "per_token", "per_request": "1"}), &[("/input", "required")]);
    refused(json!({"kind": "per_token", "batch": {"input": "1"}}), &[("/input", "required")]);
    refused(json!({"kind": "per_request", "per_image": "1"}), &[("/per_request", "required")]);
    refused(json!({"kind": "per_unit", "per_request": "1"}), &[("/per_image", "required")]);
    refused(json!({"kind": "tiered"}), &[("/tiers", "required")]);
    refused(json!({"kind": "tiered", "tiers": []}), &[("/tiers", "required")]);
    refused(json!({"kind": "tiered", "tiers": [{}]}), &[("/tiers/0", "required")]);
    for (kind, rate) in [
        ("per_token", "reasoning"),
        ("per_token", "cache_read_audio"),
        ("per_unit", "per_second"),
        ("per_unit", "per_character"),
        ("per_unit", "per_web_search"),
        ("per_unit", "per_code_execution"),
    ] {
        refused(json!({"kind": kind, rate: "0"}), &[]);
    }
    refused(json!({"kind": "per_token", "output": "1", "per_request": "1", "per_image": "1"}), &[]);
    refused(json!({"kind": "flat"}), &[]);
}

#[test]
fn each_kind_refuses_what_it_does_not_charge() {
    let tokens = json!({"kind": "per_request", "per_request": "1", "input": "1", "batch": {"output": "1"}});
    refused(tokens, &[("/input", "not_allowed"), ("/batch/output", "not_allowed")]);
    let tokens = json!({"kind": "per_unit", "per_image": "1", "flex": {"per_image": "1", "reasoning": "1"}});
    refused(tokens, &[("/flex/reasoning", "not_allowed")]);
    let free =
        json!({"kind": "flat", "per_request": "0", "priority": {"input": "1"}, "multipliers": {"eu": "2"}});
    let faults = ["/per_request", "/priority/input", "/multipliers"].map(|pointer| (pointer, "not_allowed"));
    refused(free, &faults);
    let beside = json!({"kind": "tiered", "tiers": [{"input": "1"}], "input": "1", "batch": {"input": "1"}});
    refused(beside, &[("/input", "not_allowed"), ("/batch/input", "not_allowed")]);
    let tiers = json!({"kind": "per_token", "input": "1", "tiers": [{"input": "1"}], "tier_by": "images"});
    refused(tiers, &[("/tiers", "not_allowed"), ("/tier_by", "not_allowed")]);
}

#[test]
fn tiers_increase_and_the_last_one_has_no_end() {
    let sizes = |sizes: &[Value]| {
        let tiers: Vec<Value> = sizes.iter().map(|size| json!({"up_to": size, "input": "1"})).collect();
        json!({"kind": "tiered", "tiers": tiers})
    };
    refused(sizes(&[json!(0), json!(1), json!(1_000_000_000_000_i64), json!(null)]), &[]);
    refused(sizes(&[json!(7)]), &[("/tiers/0/up_to", "not_allowed")]);
    refused(sizes(&[json!(null), json!(null)]), &[("/tiers/0/up_to", "required")]);
    refused(sizes(&[json!(-1), json!(null)]), &[("/tiers/0/up_to", "out_of_range")]);
    refused(sizes(&[json!(1_000_000_000_001_i64), json!(null)]), &[("/tiers/0/up_to", "out_of_range")]);
    refused(sizes(&[json!(7), json!(7), json!(null)]), &[("/tiers/1/up_to", "out_of_order")]);
    refused(sizes(&[json!(8), json!(7), json!(null)]), &[("/tiers/1/up_to", "out_of_order")]);
    let many: Vec<Value> = (0..16).map(|size| json!(size)).chain([json!(null)]).collect();
    refused(sizes(&many[1..]), &[]);
    refused(sizes(&many), &[("/tiers", "too_many")]);
}

#[test]
fn nothing_is_negative_and_no_service_tier_is_empty() {
    let price = json!({"kind": "per_token", "input": "-1", "output": "-0", "batch": {"per_image": "-0.1"}, "flex": {}});
    let faults = [("/input", "out_of_range"), ("/batch/per_image", "out_of_range"), ("/flex", "required")];
    refused(price, &faults);
    let tier = json!({"input": "1", "priority": {"cache_write_1h": "-1"}});
    let price = json!({"kind": "tiered", "tiers": [tier]});
    refused(price, &[("/tiers/0/priority/cache_write_1h", "out_of_range")]);
}

#[test]
fn multipliers_are_words_with_sensible_factors() {
    let price = |multipliers: Value| json!({"kind": "per_token", "input": "1", "multipliers": multipliers});
    refused(price(json!({"eu": "0.000001", "us-east-1": "1000"})), &[]);
    for factor in ["0", "-1", "1000.000001"] {
        refused(price(json!({"eu": factor})), &[("/multipliers/eu", "out_of_range")]);
    }
    refused(price(json!({"EU/~": "1"})), &[("/multipliers/EU~1~0", "invalid_value")]);
    refused(price(json!({"": "1"})), &[("/multipliers/", "invalid_value")]);
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("r{n}"), json!("1"))).collect();
    refused(price(Value::Object(many)), &[("/multipliers", "too_many")]);
}

#[test]
fn rates_are_exact_decimal_texts() {
    let read =
        |rate: Value| serde_json::from_value::<RateCard>(json!({"input": rate})).map(|card| card.input);
    for (text, rate) in
        [("0", 0), ("0.000000001", 1), ("2.50", 2_500_000_000), ("9223372036.854775807", i64::MAX)]
    {
        assert_eq!(read(json!(text)).unwrap(), Some(super::PerMillion(Rate(rate))), "{text}");
    }
    for wrong in [
        json!("0.0000000001"),
        json!("9223372036.854775808"),
        json!("1e3"),
        json!(""),
        json!(" 1"),
        json!(1),
        json!(0.1),
    ] {
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
    let one: RateCard = serde_json::from_value(json!({"per_request": "0.000000000000001"})).unwrap();
    assert_eq!(one.per_request, Some(super::PerUnit(Rate(1))));
    assert!(serde_json::from_value::<RateCard>(json!({"per_request": "9223.372036854775808"})).is_err());
}

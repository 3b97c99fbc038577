//! Costs as providers state them.

use super::*;
use serde_json::{Value, json};

fn stated(more: &Value) -> (Option<i64>, usize) {
    let mut object = json!({"prompt_tokens": 5, "completion_tokens": 1});
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reading = read(&object, None, "").unwrap();
    (reading.stated_cost.map(|Nanos(nanos)| nanos), reading.doubts.len())
}

#[test]
fn numbers_are_parsed_digit_by_digit() {
    for (text, exact) in [
        ("0.00000250", "0.0000025"),
        ("2.5e-06", "0.0000025"),
        ("-1.5E2", "-150"),
        ("12e+3", "12000"),
        ("000.0", "0"),
        ("0e999", "0"),
        ("5e-324", "0"),
        ("9.625000000000001e-05", "0.00009625000000000001"),
    ] {
        assert_eq!(Exact::parse(text).map(|exact| exact.to_string()), Some(exact.to_owned()), "{text}");
    }
    for text in
        ["", ".", "1.", ".5", "+1", "--1", "1e", "e5", "NaN", "1_0", "1e300", "1234567890123456789", "١"]
    {
        assert_eq!(Exact::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_parsed_as_the_number_that_it_is(digits in 0u64..10u64.pow(17), exponent in -20i32..5) {
        let number = |by: i32| (0..by).fold(rational(1), |power, _| power * rational(10));
        let exact = Exact::parse(&format!("{digits}e{exponent}")).unwrap();
        let expected = rational(digits) * number(exponent) / number(-exponent);
        prop_assert_eq!(decimal(&exact.to_string()), expected);
    }

    #[test]
    fn any_text_is_a_number_or_none(text in "\\PC{0,40}|[0-9.eE+-]{0,30}") {
        if let Some(exact) = Exact::parse(&text) {
            prop_assert!(text.bytes().any(|byte| byte.is_ascii_digit()));
            let _ = exact.half_even();
        }
    }
}

#[test]
fn amounts_are_rounded_half_to_even() {
    for (ticks, nanos) in [(4, 0), (5, 0), (6, 1), (15, 2), (25, 2), (37_756_000, 3_775_600)] {
        assert_eq!(stated(&json!({"cost_in_usd_ticks": ticks})), (Some(nanos), 0), "{ticks}");
    }
    assert_eq!(stated(&json!({"cost": 0.000_000_000_5})), (Some(0), 0));
    assert_eq!(stated(&json!({"cost": 1.5e-9})), (Some(2), 0));
    assert_eq!(stated(&json!({"cost": 1000})), (Some(1_000_000_000_000), 0));
    assert_eq!(
        stated(&json!({"cost": null, "pydantic_ai_gateway": {"cost_estimate": 0.5}})),
        (Some(500_000_000), 0)
    );
    assert_eq!(stated(&json!({})), (None, 0));
    for wrong in [json!(-1), json!(1000.1), json!(true), json!("a lot"), json!(1e30)] {
        assert_eq!(stated(&json!({"cost": wrong})), (None, 1), "{wrong}");
    }
}

//! What is no price: every field that can be wrong is named, on making and on changing.

use crate::prices::{PLATFORM, PRICES, cent, path};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::on_both;

on_both!(every_faulty_field_of_a_new_price_is_reported, |app| {
    let body = json!({
        "model": "nul\u{0}", "provider": "Open AI", "kind": "per_token", "currency": "usd", "markup_bps": -1,
        "effective_from": "1999-12-31T23:59:59Z", "effective_until": "1999-12-31T23:59:59Z", "note": "x".repeat(1025),
        "input": "-1", "batch": {"output": "-1"}, "multipliers": {"EU": "0"}, "tiers": [],
    });
    for prices in [PRICES, PLATFORM] {
        app.owner().post(prices, &body).await.invalid(&[
            ("/model", "invalid_character"),
            ("/provider", "invalid_value"),
            ("/currency", "unknown"),
            ("/markup_bps", "out_of_range"),
            ("/effective_from", "out_of_range"),
            ("/effective_until", "out_of_range"),
            ("/effective_until", "inverted_range"),
            ("/note", "too_long"),
            ("/input", "out_of_range"),
            ("/batch/output", "out_of_range"),
            ("/multipliers/EU", "invalid_value"),
            ("/multipliers/EU", "out_of_range"),
            ("/tiers", "not_allowed"),
        ]);
        assert_eq!(app.owner().get(prices).await.ok()["items"], json!([]));
    }
});

on_both!(each_field_of_a_new_price_has_its_bounds, |app| {
    let owner = app.owner();
    let stars = "*a".repeat(9);
    for (field, value, code) in [
        ("model", json!(""), "required"),
        ("model", json!(" "), "required"),
        ("model", json!("ü".repeat(256)), "too_long"),
        ("model", json!("a\nb"), "invalid_character"),
        ("model", json!(stars), "too_many"),
        ("model", json!(7), "invalid_value"),
        ("provider", json!(""), "invalid_value"),
        ("provider", json!("p".repeat(65)), "invalid_value"),
        ("provider", json!("名"), "invalid_value"),
        ("provider", json!("a/b"), "invalid_value"),
        ("currency", json!(""), "unknown"),
        ("currency", json!("EURO"), "unknown"),
        ("currency", json!("credits"), "unknown"),
        ("currency", json!(7), "invalid_value"),
        ("markup_bps", json!(1_000_001), "out_of_range"),
        ("markup_bps", json!(1.5), "invalid_value"),
        ("markup_bps", json!("1"), "invalid_value"),
        ("markup_bps", json!(null), "not_nullable"),
        ("markup_bps", json!(2_147_483_648_i64), "invalid_value"),
        ("effective_from", json!("+10000-01-01T00:00:00Z"), "out_of_range"),
        ("effective_from", json!("2027-01-15"), "invalid_value"),
        ("effective_from", json!(0), "invalid_value"),
        ("effective_until", json!("+10000-01-01T00:00:00Z"), "out_of_range"),
        ("effective_until", json!("2027-01-15T10:00:00Z"), "inverted_range"),
        ("effective_until", json!("2027-01-15T09:59:59Z"), "inverted_range"),
        ("effective_until", json!("2027-01-15T10:00:00.0000009Z"), "inverted_range"),
        ("note", json!("a\u{0}b"), "invalid_character"),
        ("kind", json!("free"), "invalid_value"),
        ("kind", json!(null), "not_nullable"),
        ("per_request", json!("-0.01"), "out_of_range"),
        ("per_request", json!("0.0000000000000001"), "invalid_value"),
        ("per_request", json!("9223.372036854775808"), "invalid_value"),
        ("per_request", json!("99999999999999999999999999"), "invalid_value"),
        ("per_request", json!(0.01), "invalid_value"),
        ("per_request", json!(1), "invalid_value"),
        ("per_request", json!("1e-3"), "invalid_value"),
        ("per_request", json!("١"), "invalid_value"),
        ("per_request", json!(""), "invalid_value"),
        ("per_request", json!("1".repeat(100_000)), "invalid_value"),
        ("tier_by", json!("lines"), "invalid_value"),
        ("batch", json!({}), "required"),
        ("batch", json!("cheap"), "invalid_value"),
        ("multipliers", json!(null), "not_nullable"),
    ] {
        let mut body = cent("gpt-4o", None, None);
        body[field] = value;
        let pointer = format!("/{field}");
        owner.post(PRICES, body).await.invalid(&[(pointer.as_str(), code)]);
    }
    assert_eq!(owner.get(PRICES).await.ok()["items"], json!([]));
});

on_both!(a_fault_deep_inside_is_named_with_its_place, |app| {
    let owner = app.owner();
    let tiered =
        |tier: Value| json!({"model": "a", "kind": "tiered", "tiers": [{"up_to": 1, "input": "1"}, tier]});
    let token =
        |field: &str, value: Value| json!({"model": "a", "kind": "per_token", "input": "1", field: value});
    for (body, pointer, code) in [
        (tiered(json!({"input": 0.1})), "/tiers/1/input", "invalid_value"),
        (tiered(json!({"input": "0.0000000001"})), "/tiers/1/input", "invalid_value"),
        (tiered(json!({"input": "1", "flex": {"output": "x"}})), "/tiers/1/flex/output", "invalid_value"),
        (tiered(json!({"input": "1", "flex": {"output": "-1"}})), "/tiers/1/flex/output", "out_of_range"),
        (tiered(json!({"input": "1", "up_to": "9"})), "/tiers/1/up_to", "invalid_value"),
        (tiered(json!({"input": "1", "up_to": 2})), "/tiers/1/up_to", "not_allowed"),
        (tiered(json!({"input": null})), "/tiers/1", "required"),
        (token("batch", json!({"output": 1})), "/batch/output", "invalid_value"),
        (token("multipliers", json!({"eu": 1.1})), "/multipliers/eu", "invalid_value"),
        (token("multipliers", json!({"eu": "1.0000001"})), "/multipliers/eu", "invalid_value"),
        (token("multipliers", json!({"eu": null})), "/multipliers/eu", "not_nullable"),
    ] {
        owner.post(PRICES, body).await.invalid(&[(pointer, code)]);
    }
    for (body, pointer) in [
        (tiered(json!({"inputs": "1"})), "/tiers/1/inputs"),
        (token("flex", json!({"up_to": 1})), "/flex/up_to"),
        (token("per_token", json!("1")), "/per_token"),
    ] {
        let problem = owner.post(PRICES, body).await.problem(400, "unknown_field");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    owner.post(PRICES, json!({"model": "a"})).await.invalid(&[("/kind", "required")]);
    for field in ["id", "scope", "origin", "source", "created_by", "version"] {
        owner.post(PRICES, token(field, json!("x"))).await.problem(400, "unknown_field");
    }
});

on_both!(a_default_price_has_no_provider_and_is_not_free, |app| {
    let owner = app.owner();
    let of_provider = json!({"provider": "openai", "kind": "per_token", "input": "1"});
    owner.post(PRICES, of_provider).await.invalid(&[("/model", "required")]);
    owner.post(PRICES, json!({"kind": "flat"})).await.invalid(&[("/kind", "not_allowed")]);
    owner.post(PRICES, json!({"provider": "openai", "model": "*", "kind": "flat"})).await.created();
    let tiers = json!([{"up_to": 9, "input": "1"}, {"input": "2"}]);
    owner.post(PRICES, json!({"kind": "tiered", "tiers": tiers})).await.created();
});

on_both!(the_largest_acceptable_price_is_accepted, |app| {
    let card = json!({"input": "9223372036.854775807", "per_character": "0.000000000000001"});
    let tier = |n: i64| {
        json!({"up_to": if n == 15 { json!(null) } else { json!(1_000_000_000_000 - 15 + n) },
        "input": "1", "batch": card, "flex": card, "priority": card})
    };
    let body = json!({
        "model": "🦀*".repeat(8) + &"ü".repeat(239), "provider": "p".repeat(64), "kind": "tiered", "note": "№".repeat(1024),
        "tiers": (0..16).map(tier).collect::<Vec<_>>(), "markup_bps": 1_000_000, "currency": "KWD",
        "multipliers": (0..32).map(|n| (format!("{n:0>64}"), json!("1000"))).collect::<serde_json::Map<_, _>>(),
        "effective_from": "2000-01-01T00:00:00Z", "effective_until": "9999-12-31T23:59:59.999999Z",
    });
    let made = app.owner().post(PRICES, &body).await.created();
    let read = app.owner().get(&path(&made)).await.ok();
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&read[field], value, "{field}");
    }
    let huge = json!({"model": "a", "kind": "flat", "note": "x".repeat(2 << 20)});
    app.owner().post(PRICES, huge).await.problem(413, "payload_too_large");
});

on_both!(every_faulty_field_of_a_change_is_reported, |app| {
    let owner = app.owner();
    let later = app.clock.now() + TimeDelta::hours(1);
    let price = path(&owner.post(PRICES, cent("a", Some(later), None)).await.created());
    let patch = |body: Value| owner.patch(&price, body).if_match(1);
    let everything = json!({
        "model": "", "provider": "?", "currency": "?", "markup_bps": -1, "effective_until": later, "note": "\n",
        "per_request": "-1", "flex": {}, "tiers": [{}], "multipliers": {"": "1"},
    });
    patch(everything).await.invalid(&[
        ("/model", "required"),
        ("/provider", "invalid_value"),
        ("/currency", "unknown"),
        ("/markup_bps", "out_of_range"),
        ("/effective_until", "inverted_range"),
        ("/note", "invalid_character"),
        ("/per_request", "out_of_range"),
        ("/flex", "required"),
        ("/tiers", "not_allowed"),
        ("/multipliers/", "invalid_value"),
    ]);
    for field in ["currency", "markup_bps", "effective_from", "kind", "multipliers"] {
        let pointer = format!("/{field}");
        patch(json!({field: null})).await.invalid(&[(pointer.as_str(), "not_nullable")]);
    }
    // What is kept and what is changed must go together.
    patch(json!({"per_request": null})).await.invalid(&[("/per_request", "required")]);
    let faults = [("/input", "required")];
    patch(json!({"kind": "per_token"})).await.invalid(&faults);
    patch(json!({"kind": "flat"})).await.invalid(&[("/per_request", "not_allowed")]);
    patch(json!({"model": null, "provider": "openai"})).await.invalid(&[("/model", "required")]);
    patch(json!({"batch": {"input": "1"}})).await.invalid(&[("/batch/input", "not_allowed")]);
    patch(json!({"batch": {"per_request": 1}})).await.invalid(&[("/batch/per_request", "invalid_value")]);
    patch(json!({"tiers": [{"input": 1}]})).await.invalid(&[("/tiers/0/input", "invalid_value")]);
    for field in ["id", "scope", "connection_id", "origin", "source", "created_by", "version", "surprise"] {
        let problem = patch(json!({field: "x"})).await.problem(400, "unknown_field");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
    assert_eq!(owner.get(&price).await.ok()["version"], 1);
});

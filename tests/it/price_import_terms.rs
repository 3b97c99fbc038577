//! Importing prices beside others of the scope: what was made by hand, what was in force, and what begins together.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{Client, Request, on_both};

const PRICES: &str = "/v1/organizations/default/prices";

/// An import of a file of our own format.
fn import(client: &Client, prices: &str, list: &Value) -> Request {
    client.post(&format!("{prices}/import"), ()).body(list.to_string(), "application/json")
}

/// The outcome of each entry.
fn outcomes(report: &Value) -> Vec<&str> {
    report["entries"].as_array().unwrap().iter().map(|entry| entry["outcome"].as_str().unwrap()).collect()
}

/// A price of the model `m`.
fn price(input: &str, from: impl Into<Value>, until: impl Into<Value>) -> Value {
    json!({"model": "m", "kind": "per_token", "input": input, "effective_from": from.into(), "effective_until": until.into()})
}

/// The price for a provider.
fn of(provider: &str, mut price: Value) -> Value {
    price["provider"] = json!(provider);
    price
}

on_both!(terms_do_not_overlap, |app| {
    let owner = app.owner();
    let (march, june) = ("2027-03-01T00:00:00Z", "2027-06-01T00:00:00Z");
    let list = json!([
        price("1", march, june),
        price("2", "2027-04-01T00:00:00Z", Value::Null),
        price("3", "2027-02-01T00:00:00Z", "2027-03-02T00:00:00Z"),
        price("5", june, Value::Null),
        price("6", "2027-01-01T00:00:00Z", Value::Null)
    ]);
    let expected = ["added", "skipped", "skipped", "added", "added"];
    let report = import(&owner, PRICES, &list).await.ok();
    assert_eq!(outcomes(&report), expected);
    assert!(report["entries"][1]["reason"].as_str().unwrap().contains("overlap"), "{report}");
    let again = import(&owner, PRICES, &list).await.ok();
    assert_eq!(
        outcomes(&again),
        expected.map(|outcome| if outcome == "added" { "unchanged" } else { outcome })
    );
});

on_both!(terms_that_overlapped_in_the_past_return, |app| {
    let owner = app.owner();
    let base = owner.post(PRICES, price("2", "2026-01-01T00:00:00Z", Value::Null)).await.created();
    let promotion = price("1", "2027-01-20T00:00:00Z", "2027-01-25T00:00:00Z");
    owner.post(PRICES, promotion).await.created();
    app.clock.advance(TimeDelta::days(15));
    let end = json!({ "at": "2027-06-01T00:00:00Z" });
    owner.post(&format!("{PRICES}/{}/end", base["id"].as_str().unwrap()), end).if_match(1).await.ok();
    let exported = owner.get(&format!("{PRICES}/export?format=json&history=true")).await.body;
    let other = app.other_organization("empty").await;
    let there = "/v1/organizations/empty/prices";
    assert_eq!(outcomes(&import(&other, there, &exported).await.ok()), ["added", "added"]);
    assert_eq!(outcomes(&import(&other, there, &exported).await.ok()), ["unchanged", "unchanged"]);
    let input = async |at: &str| {
        let found = other.get(&format!("{there}/resolve?model=m&at={at}")).await.ok();
        found["price"]["input"].clone()
    };
    assert_eq!(input("2027-01-22T00:00:00Z").await, "1");
    assert_eq!(input("2027-01-26T00:00:00Z").await, "2");
});

on_both!(what_was_in_force_stays_so, |app| {
    let owner = app.owner();
    owner.post(PRICES, price("1", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z")).await.created();
    let imported = import(&owner, PRICES, &json!([of("p", price("1", Value::Null, Value::Null))])).await.ok();
    assert_eq!(outcomes(&imported), ["added"]);
    app.clock.advance(TimeDelta::hours(1));
    let list = json!([
        price("1", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"),
        price("9", "2026-05-01T00:00:00Z", Value::Null),
        price("9", "2026-06-15T00:00:00Z", Value::Null),
        price("2", "2026-08-01T00:00:00Z", Value::Null),
        price("3", "2026-09-01T00:00:00Z", Value::Null),
        of("p", price("9", "2026-12-01T00:00:00Z", Value::Null)),
        of("p", price("9", Value::Null, Value::Null))
    ]);
    let report = import(&owner, PRICES, &list).await.ok();
    let expected = ["unchanged", "skipped", "skipped", "added", "added", "skipped", "changed"];
    assert_eq!(outcomes(&report), expected, "{report}");
    for (n, reason) in [(1, "in the past"), (2, "by hand"), (5, "in the past")] {
        assert!(report["entries"][n]["reason"].as_str().unwrap().contains(reason), "{report}");
    }
});

on_both!(a_price_made_by_hand_for_every_provider_wins, |app| {
    let owner = app.owner();
    let now = || price("5", Value::Null, Value::Null);
    let list = json!([of("openai", now())]);
    let over = price("1", "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z");
    owner.post(PRICES, over).await.created();
    owner.post(PRICES, of("azure", price("1", Value::Null, Value::Null))).await.created();
    let mut glob = price("1", Value::Null, Value::Null);
    glob["model"] = json!("*");
    owner.post(PRICES, glob).await.created();
    let dry = format!("{PRICES}/import?dry_run=true");
    let would = owner.post(&dry, ()).body(list.to_string(), "application/json").await.ok();
    assert_eq!(outcomes(&would), ["added"], "over, another provider's, and a glob");
    let coming = owner.post(PRICES, price("2", "2027-01-20T00:00:00Z", Value::Null)).await.created();
    let bounded = json!([of("openai", price("5", Value::Null, "2027-01-20T00:00:00Z"))]);
    assert_eq!(outcomes(&import(&owner, PRICES, &bounded).await.ok()), ["added"], "it ends in time");
    app.clock.advance(TimeDelta::hours(1));
    let report = import(&owner, PRICES, &json!([of("other", now())])).await.ok();
    assert_eq!(outcomes(&report), ["skipped"]);
    assert_eq!(report["entries"][0]["reason"], "a price made by hand holds; it wins");
    app.clock.advance(TimeDelta::days(10));
    assert_eq!(outcomes(&import(&owner, PRICES, &list).await.ok()), ["skipped"]);
    let found = owner.get(&format!("{PRICES}/resolve?model=m&provider=openai")).await.ok();
    assert_eq!(found["price"]["id"], coming["id"]);
});

on_both!(two_prices_of_one_beginning_refuse_the_file, |app| {
    let owner = app.owner();
    let list =
        json!({ "prices": [price("1", Value::Null, Value::Null), price("2", Value::Null, Value::Null)] });
    import(&owner, PRICES, &list).await.invalid(&[("/prices/1", "duplicate")]);
    assert_eq!(owner.get(PRICES).await.ok()["items"], json!([]));
});

on_both!(a_mark_before_the_file_is_passed_over, |app| {
    let owner = app.owner();
    let model = json!({ "a": { "litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 1 } });
    for (format, list) in [("tollkeeper", json!([price("1", Value::Null, Value::Null)])), ("litellm", model)]
    {
        let call = owner.post(&format!("{PRICES}/import?format={format}"), ());
        let report = call.body(format!("\u{feff}{list}"), "application/json").await.ok();
        assert_eq!(outcomes(&report), ["added"], "{format}");
    }
});

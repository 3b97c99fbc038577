//! Prices: making, reading and listing those of an organization and those of the platform.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tests::{Client, on_both};

pub const PRICES: &str = "/v1/organizations/default/prices";
pub const PLATFORM: &str = "/v1/prices";

/// A moment as the wire has it.
pub fn wire(moment: DateTime<Utc>) -> Value {
    json!(moment)
}

/// Makes a price of a cent a request, from a moment until another.
pub async fn make(
    client: &Client,
    model: &str,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
) -> Value {
    let price = cent(model, from, until);
    client.post(PRICES, price).await.created()
}

/// A price of a cent a request.
pub fn cent(model: &str, from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Value {
    json!({
        "model": model, "kind": "per_request", "per_request": "0.01", "effective_from": from, "effective_until": until,
    })
}

/// The path of a price.
pub fn path(price: &Value) -> String {
    let prices = if price["scope"] == "platform" { PLATFORM } else { PRICES };
    format!("{prices}/{}", price["id"].as_str().unwrap())
}

/// The ids in a page.
async fn ids(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(query).await.ok();
    page["items"].as_array().unwrap().iter().map(|price| price["id"].clone()).collect()
}

on_both!(a_price_is_made_and_read, |app| {
    let owner = app.owner();
    for (prices, scope) in [(PRICES, "organization"), (PLATFORM, "platform")] {
        let body = json!({
            "model": "gpt-4o", "provider": "openai", "kind": "per_token", "input": "2.5", "output": "10",
            "cache_read": "0", "batch": {"input": "1.25"}, "multipliers": {"eu": "1.1"}, "markup_bps": 250,
            "currency": "EUR", "effective_from": "2027-02-01T00:00:00Z", "effective_until": "2027-03-01T00:00:00.000001Z",
            "note": "Angebot № 7 🦀",
        });
        let made = owner.post(prices, &body).await.created();
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&made[field], value, "{field}");
        }
        assert_eq!((&made["scope"], &made["origin"]), (&json!(scope), &json!("manual")));
        assert_eq!((&made["version"], &made["created_by"]), (&json!(1), &json!(owner.user_id)));
        for field in ["connection_id", "source", "sourced_on"] {
            assert_eq!(made.get(field), Some(&json!(null)), "{field}");
        }
        assert_eq!(
            (&made["created_at"], &made["updated_at"]),
            (&wire(app.clock.now()), &wire(app.clock.now()))
        );
        // What is free is said; what has no rate is absent.
        assert_eq!((made.get("cache_read"), made.get("cache_write")), (Some(&json!("0")), None));
        assert_eq!(owner.get(&path(&made)).await.ok(), made);
        assert_eq!(owner.get(prices).await.ok()["items"], json!([made]));
    }
});

on_both!(every_kind_of_price_is_shown_as_it_was_stated, |app| {
    let owner = app.owner();
    let every = json!({
        "kind": "per_token", "input": "9223372036.854775807", "cache_read": "0.000000001", "cache_write": "3.75",
        "cache_write_1h": "6", "output": "15", "reasoning": "15", "audio_input": "40", "audio_output": "80",
        "image_input": "5", "image_output": "40", "per_request": "0.000000000000001", "per_image": "0.04",
        "per_second": "0.0001", "cache_read_audio": "2.5", "per_web_search": "0.01", "per_code_execution": "0.005",
        "per_character": "9223.372036854775807", "flex": {"input": "1.25"},
        "priority": {"input": "4.25", "per_request": "1", "cache_read_audio": "3", "per_web_search": "0.02"},
        "off_peak": {"hours_utc": "16:30-00:30", "cache_read_audio": "1", "per_code_execution": "0"},
    });
    let tiered = json!({
        "kind": "tiered", "tier_by": "total_tokens",
        "tiers": [
            {"up_to": 0, "input": "1", "batch": {"input": "0.5"}, "priority": {}},
            {"up_to": 200_000, "input": "2", "cache_read_audio": "0.2", "per_web_search": "0.014", "batch": {},
                "priority": {"output": "3", "per_code_execution": "0.01"}},
            {"up_to": null, "input": "4", "output": "8", "batch": {}, "priority": {}},
        ],
    });
    for (n, mut body) in [
        every,
        tiered,
        json!({"kind": "per_request", "per_request": "0.01", "per_image": "0.04"}),
        json!({"kind": "per_unit", "per_second": "0.006"}),
        json!({"kind": "flat"}),
    ]
    .into_iter()
    .enumerate()
    {
        body["model"] = json!(format!("model {n}"));
        let made = owner.post(PRICES, &body).await.created();
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&made[field], value, "{field}");
        }
        assert_eq!(owner.get(&path(&made)).await.ok(), made);
    }
    let by_default = json!({"model": "t", "kind": "tiered", "tiers": [{"input": "1"}]});
    let made = owner.post(PRICES, by_default).await.created();
    assert_eq!((&made["tier_by"], &made["tiers"][0]["up_to"]), (&json!("prompt_tokens"), &json!(null)));
});

on_both!(what_is_left_out_is_now_open_ended_and_in_the_organizations_currency, |app| {
    let owner = app.owner();
    app.clock.advance(TimeDelta::nanoseconds(1_234_567));
    owner.patch("/v1/organizations/default", json!({"default_currency": "CHF"})).await.ok();
    for (prices, currency) in [(PRICES, "CHF"), (PLATFORM, "USD")] {
        let body = json!({"kind": "per_token", "input": "1", "model": null, "provider": null, "currency": null,
                          "effective_from": null, "effective_until": null, "note": null});
        let made = owner.post(prices, body).await.created();
        assert_eq!((&made["currency"], &made["markup_bps"]), (&json!(currency), &json!(0)));
        assert_eq!(made["effective_from"], "2027-01-15T10:00:00.001234Z");
        for field in ["model", "provider", "effective_until", "note"] {
            assert_eq!(made.get(field), Some(&json!(null)), "{field}");
        }
    }
});

on_both!(times_are_cut_to_the_microsecond, |app| {
    let (from, until) = ("2027-01-16T00:00:00.0000009Z", "9999-12-31T23:59:59.999999999Z");
    let body = json!({"model": "a", "kind": "flat", "effective_from": from, "effective_until": until});
    let made = app.owner().post(PRICES, body).await.created();
    assert_eq!(made["effective_from"], "2027-01-16T00:00:00Z");
    assert_eq!(made["effective_until"], "9999-12-31T23:59:59.999999Z");
    assert_eq!(app.owner().get(&path(&made)).await.ok(), made);
    let eastern = json!({"model": "b", "kind": "flat", "effective_from": "2027-02-01T05:30:00+05:30"});
    assert_eq!(app.owner().post(PRICES, eastern).await.created()["effective_from"], "2027-02-01T00:00:00Z");
});

on_both!(prices_are_listed_by_what_they_are, |app| {
    let owner = app.owner();
    let mut made = Vec::new();
    for body in [
        json!({"model": "gpt-4o", "provider": "openai", "kind": "per_token", "input": "1"}),
        json!({"model": "gpt-4o", "provider": "azure", "kind": "per_request", "per_request": "1"}),
        json!({"model": "gpt-*", "kind": "flat"}),
        json!({"kind": "per_token", "input": "5"}),
    ] {
        made.push(owner.post(PRICES, body).await.created()["id"].clone());
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    for (query, expected) in [
        ("", &made[..]),
        ("&model=gpt-4o", &made[..2]),
        ("&model=gpt-*", &made[2..3]),
        ("&model=gpt", &[]),
        ("&model=GPT-4o", &[]),
        ("&model=%F0%9F%A6%80", &[]),
        ("&model=", &[]),
        ("&provider=azure", &made[1..2]),
        ("&kind=flat", &made[2..3]),
        ("&origin=manual", &made[..]),
        ("&origin=import", &[]),
        ("&scope=organization", &made[..]),
        ("&scope=connection", &[]),
        ("&scope=platform", &[]),
        ("&model=gpt-4o&kind=per_token&provider=openai", &made[..1]),
    ] {
        assert_eq!(ids(&owner, &format!("{PRICES}?order=asc{query}")).await, expected, "{query}");
    }
    let first = owner.get(&format!("{PRICES}?page_size=3")).await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&owner, &format!("{PRICES}?page_size=3&cursor={cursor}")).await, made[..1]);
    let elsewhere = format!("{PRICES}?scope=platform&cursor={cursor}");
    owner.get(&elsewhere).await.problem(400, "invalid_cursor");
    for (query, code) in [
        ("kind=free", "invalid_parameter"),
        ("origin=x", "invalid_parameter"),
        ("scope=x", "invalid_parameter"),
        ("in_force_at=yesterday", "invalid_parameter"),
        ("model=a%00", "invalid_parameter"),
        ("surprise=1", "unknown_parameter"),
        ("page_size=0", "out_of_range"),
    ] {
        owner.get(&format!("{PRICES}?{query}")).await.problem(400, code);
    }
    owner.get(&format!("{PLATFORM}?scope=platform")).await.problem(400, "unknown_parameter");
    let ancient = format!("{PRICES}?in_force_at=1999-12-31T23:59:59Z");
    owner.get(&ancient).await.invalid(&[("?in_force_at", "out_of_range")]);
});

on_both!(a_list_shows_what_is_in_force_at_a_moment, |app| {
    let owner = app.owner();
    let at = |hours: i64| app.clock.now() + TimeDelta::hours(hours);
    let open = make(&owner, "a", Some(at(-2)), None).await;
    let offer = make(&owner, "a", Some(at(0)), Some(at(2))).await;
    let later = make(&owner, "a", Some(at(4)), None).await;
    let other = make(&owner, "b", None, None).await;
    let cheap = json!({"model": "a", "provider": "azure", "kind": "flat", "effective_from": at(-1)});
    let cheap = owner.post(PRICES, cheap).await.created();
    let tick = TimeDelta::microseconds(1);
    for (moment, expected) in [
        (at(-2) - tick, vec![]),
        (at(-2), vec![&open]),
        (at(0) - tick, vec![&open, &cheap]),
        (at(0), vec![&offer, &other, &cheap]),
        (at(2) - tick, vec![&offer, &other, &cheap]),
        (at(2), vec![&open, &other, &cheap]),
        (at(4) - tick, vec![&open, &other, &cheap]),
        (at(4), vec![&later, &other, &cheap]),
    ] {
        let moment = wire(moment);
        let query = format!("{PRICES}?in_force_at={}", moment.as_str().unwrap());
        let found: std::collections::BTreeSet<_> =
            ids(&owner, &query).await.iter().map(Value::to_string).collect();
        assert_eq!(found, expected.iter().map(|price| price["id"].to_string()).collect(), "{moment}");
    }
});

on_both!(an_organization_reads_the_platforms_prices_and_changes_its_own, |app| {
    let operator = app.owner();
    let shared = operator.post(PLATFORM, cent("gpt-4o", None, None)).await.created();
    let acme = app.other_organization("acme").await;
    let (prices, id) = ("/v1/organizations/acme/prices", shared["id"].as_str().unwrap());
    assert_eq!(acme.get(&format!("{prices}/{id}")).await.ok(), shared);
    assert_eq!(ids(&acme, &format!("{prices}?scope=platform")).await, [shared["id"].clone()]);
    assert_eq!(ids(&acme, prices).await, [json!(null); 0]);
    let own = acme.post(prices, cent("gpt-4o", None, None)).await.created();
    assert_eq!(own["scope"], "organization");

    // Of another organization's price, and of the platform's when it comes to changing, nothing is there.
    let mine = make(&operator, "gpt-4o", None, None).await;
    for id in [id, mine["id"].as_str().unwrap(), "price_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "price", "x%00"] {
        let path = format!("{prices}/{id}");
        acme.patch(&path, json!({"note": "x"})).if_match(1).await.problem(404, "not_found");
        acme.delete(&path).if_match(1).await.problem(404, "not_found");
        acme.post(&format!("{path}/end"), json!({})).if_match(1).await.problem(404, "not_found");
    }
    for path in [path(&shared), PLATFORM.to_owned()] {
        acme.get(&path).await.problem(403, "forbidden");
    }
    acme.post(PLATFORM, cent("mine", None, None)).await.problem(403, "forbidden");
    operator.get(&format!("{PLATFORM}/{}", own["id"].as_str().unwrap())).await.problem(404, "not_found");
    assert_eq!(operator.get(&path(&mine)).await.ok(), mine);
    assert_eq!(operator.get(&path(&shared)).await.ok(), shared);
});

on_both!(a_repeated_call_makes_one_price, |app| {
    let owner = app.owner();
    let first = owner.post(PRICES, cent("a", None, None)).idempotency_key("one").await;
    let again = owner.post(PRICES, cent("a", None, None)).idempotency_key("one").await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.text), (201, "true", &first.text));
    owner
        .post(PRICES, cent("b", None, None))
        .idempotency_key("one")
        .await
        .problem(422, "idempotency_key_reused");
    let price = path(&first.created());
    let end = || owner.post(&format!("{price}/end"), json!({})).if_match(1).idempotency_key("two");
    app.clock.advance(TimeDelta::seconds(1));
    let (first, again) = (end().await, end().await);
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.text), (200, "true", &first.text));
    assert_eq!(owner.get(&price).await.ok(), first.ok());
    assert_eq!(ids(&owner, PRICES).await.len(), 1);
});

on_both!(what_happens_to_a_price_is_told, |app| {
    let owner = app.owner();
    for (log, prices) in [("/v1/organizations/default/audit-events", PRICES), ("/v1/audit-events", PLATFORM)]
    {
        let later = Some(app.clock.now() + TimeDelta::hours(1));
        let price = path(&owner.post(prices, cent("a", later, None)).await.created());
        owner.patch(&price, json!({"per_request": "0.02"})).if_match(1).await.ok();
        let end = json!({"at": later.map(|later| later + TimeDelta::hours(1))});
        owner.post(&format!("{price}/end"), end).if_match(2).await.ok();
        owner.delete(&price).if_match(3).await.no_content();
        let id = price.rsplit('/').next().unwrap();
        let events = owner.get(&format!("{log}?subject={id}&order=asc")).await.ok();
        let actions: Vec<_> =
            events["items"].as_array().unwrap().iter().map(|event| &event["action"]).collect();
        assert_eq!(actions, ["price.create", "price.update", "price.update", "price.delete"]);
        let change = &events["items"][1]["detail"];
        let rate = "/bands/0/rates/standard/request";
        assert_eq!(change["before"]["terms"].pointer(rate), Some(&json!(10_000_000_000_000_i64)));
        assert_eq!(change["after"]["terms"].pointer(rate), Some(&json!(20_000_000_000_000_i64)));
        assert_eq!(events["items"][2]["detail"]["before"]["effective_until"], json!(null));
        assert_eq!(owner.get(&format!("{log}/verify")).await.ok()["valid"], true);
    }
});

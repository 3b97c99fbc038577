//! Usage events: what is shown of them, pages, filters and reach, and bills that can be checked by hand.

use crate::{
    keys::{KEYS, key, path},
    prices::{PLATFORM, PRICES},
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::ReservationId,
    json::Tags,
    money::Nanos,
    status::{Role, UsageOrigin, UsageStatus},
    terms::ServiceTier,
    usage_event::Model,
};
use serde_json::{Value, json};
use tests::{Client, TestApp, ledger, on_both};

pub const EVENTS: &str = "/v1/organizations/default/usage/events";
const QUOTE: &str = "/v1/organizations/default/prices/quote";

/// The id of a call that was made at a moment.
pub fn call(app: &TestApp, at: DateTime<Utc>) -> ReservationId {
    app.system.entropy.id(at)
}

/// An attempt of a call of `default`.
fn event(app: &TestApp, id: ReservationId) -> Model {
    ledger::event(app.organization, id)
}

async fn record(app: &TestApp, events: impl IntoIterator<Item = Model>) {
    ledger::record(&app.system, events).await;
}

/// The id of an event as it is shown.
fn shown(id: ReservationId) -> String {
    format!("evt_{}", id.uuid().simple())
}

/// What a list with this query has over all its pages: call and attempt.
async fn listed(client: &Client, query: &str) -> Vec<(String, i64)> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{EVENTS}?{query}{cursor}")).await.ok();
        let place =
            |event: &Value| (event["id"].as_str().unwrap().to_owned(), event["attempt"].as_i64().unwrap());
        found.extend(page["items"].as_array().unwrap().iter().map(place));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The calls that a list with this query has.
async fn calls(client: &Client, query: &str) -> Vec<String> {
    listed(client, query).await.into_iter().map(|(id, _)| id).collect()
}

on_both!(an_event_shows_everything_that_is_known_of_it, |app| {
    let made = key(&app, "k").await;
    let id = call(&app, app.clock.now());
    let tags = [("env".to_owned(), "prod".to_owned())].into();
    let row = Model {
        attempt: 2,
        occurred_at: "2027-01-15T10:00:02.000001Z".parse().unwrap(),
        origin: UsageOrigin::Usage,
        key_id: Some(made["id"].as_str().unwrap().parse().unwrap()),
        secret_id: Some(made["secrets"][0]["id"].as_str().unwrap().parse().unwrap()),
        team_id: Some(made["team_id"].as_str().unwrap().parse().unwrap()),
        connection_id: Some("conn_019aa3c1f6b07c3e9a5d2f4b8c6e1d70".parse().unwrap()),
        credential_id: Some("cred_019aa3c1f6b07c3e9a5d2f4b8c6e1d70".parse().unwrap()),
        provider: Some("openai".into()),
        requested_model: Some("fast".into()),
        model: Some("gpt-4o-mini".into()),
        project: Some("p".into()),
        session_id: Some("s".into()),
        endpoint: Some("chat".into()),
        tags: Some(Tags(tags)),
        client_ip: Some("203.0.113.7".into()),
        status: UsageStatus::Aborted,
        error_code: Some("timeout".into()),
        service_tier: ServiceTier::Flex,
        region: Some("eu".into()),
        speed: Some("fast".into()),
        input_tokens: 1,
        cache_read_tokens: 2,
        cache_write_tokens: 3,
        cache_write_1h_tokens: 4,
        output_tokens: 5,
        reasoning_tokens: 6,
        audio_input_tokens: 7,
        audio_output_tokens: 8,
        image_input_tokens: 9,
        image_output_tokens: 10,
        cache_read_audio_tokens: 16,
        requests: 11,
        images: 12,
        seconds: 13,
        characters: 1_000_000_000_000,
        web_searches: 17,
        code_executions: 18,
        latency_ms: Some(14),
        ttft_ms: Some(15),
        overrun: true,
        usage_unclear: true,
        ..event(&app, id)
    };
    record(&app, [row]).await;
    let usage = json!({
        "input_tokens": 1, "cache_read_tokens": 2, "cache_write_tokens": 3, "cache_write_1h_tokens": 4,
        "output_tokens": 5, "reasoning_tokens": 6, "audio_input_tokens": 7, "audio_output_tokens": 8,
        "image_input_tokens": 9, "image_output_tokens": 10, "cache_read_audio_tokens": 16, "requests": 11,
        "images": 12, "seconds": 13, "characters": 1_000_000_000_000_u64, "web_searches": 17,
        "code_executions": 18,
    });
    let expected = json!({
        "id": shown(id), "attempt": 2, "reservation_id": id.to_string(), "occurred_at": "2027-01-15T10:00:02.000001Z",
        "origin": "usage", "key_id": made["id"], "secret_id": made["secrets"][0]["id"], "team_id": made["team_id"],
        "user_id": null, "service_account_id": null, "connection_id": "conn_019aa3c1f6b07c3e9a5d2f4b8c6e1d70",
        "credential_id": "cred_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "provider": "openai", "requested_model": "fast",
        "model": "gpt-4o-mini", "project": "p", "session_id": "s", "endpoint": "chat", "tags": {"env": "prod"},
        "client_ip": "203.0.113.7", "status": "aborted", "error_code": "timeout", "service_tier": "flex",
        "region": "eu", "speed": "fast",
        "usage": usage,
        "latency_ms": 14, "ttft_ms": 15, "cost": "0.000000000", "currency": null, "price_id": null,
        "price_source": null, "guessed": false, "provider_stated_cost": null, "priced": false,
        "overrun": true, "estimated": false, "usage_unclear": true,
    });
    let page = app.owner().get(EVENTS).await.ok();
    assert_eq!(page, json!({"items": [expected], "next_cursor": null}));
    let mut itemized = expected;
    for (field, value) in [
        ("exact", Value::Null),
        ("lines", json!([])),
        ("tier", Value::Null),
        ("multipliers", json!([])),
        ("unpriced", json!([])),
        ("raw_usage", Value::Null),
        ("raw_usage_dropped", Value::Null),
    ] {
        itemized[field] = value;
    }
    let path = format!("{EVENTS}/{}", shown(id));
    assert_eq!(app.owner().get(&format!("{path}?attempt=2")).await.ok(), itemized);
    for none in ["", "?attempt=0", "?attempt=1", "?attempt=3", "?attempt=4294967295"] {
        app.owner().get(&format!("{path}{none}")).await.problem(404, "not_found");
    }
    for malformed in ["?attempt=-1", "?attempt=x", "?attempt=4294967296"] {
        app.owner().get(&format!("{path}{malformed}")).await.problem(400, "invalid_parameter");
    }
    app.owner().get(&format!("{path}?attempts=2")).await.problem(400, "unknown_parameter");
    app.owner().get(&format!("{EVENTS}/{id}")).await.problem(404, "not_found");
});

on_both!(no_attempt_is_lost_at_the_edge_of_a_page, |app| {
    let mut all = Vec::new();
    for n in 0..5 {
        // Two calls of one millisecond are told apart, and so are the attempts of one.
        let id = call(&app, app.clock.now() + TimeDelta::milliseconds(n / 2));
        let attempts = if n == 4 { 1 } else { 4 };
        all.extend((0..attempts).map(|attempt| Model { attempt, ..event(&app, id) }));
    }
    record(&app, all.clone()).await;
    let mut places: Vec<_> = all.iter().map(|row| (shown(row.id), i64::from(row.attempt))).collect();
    places.sort();
    for size in [1, 2, 3, 5, 16, 17, 100] {
        let oldest = listed(&app.owner(), &format!("order=asc&page_size={size}")).await;
        assert_eq!(oldest, places, "{size}");
        let newest = listed(&app.owner(), &format!("page_size={size}")).await;
        assert!(newest.iter().eq(places.iter().rev()), "{size}: {newest:?}");
    }
    let page = app.owner().get(&format!("{EVENTS}?page_size=2")).await.ok();
    let cursor = page["next_cursor"].as_str().unwrap();
    for at in 0..cursor.len() {
        let other = if cursor.as_bytes()[at] == b'A' { "B" } else { "A" };
        let bad = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
        app.owner().get(&format!("{EVENTS}?cursor={bad}")).await.problem(400, "invalid_cursor");
    }
    app.owner().get(&format!("{EVENTS}?order=asc&cursor={cursor}")).await.problem(400, "invalid_cursor");
});

on_both!(events_are_found_by_what_they_have_in_common, |app| {
    let keys = [key(&app, "a").await, key(&app, "b").await];
    let at = |millis: i64| app.clock.now() + TimeDelta::milliseconds(millis);
    let owned = |of: usize, id| Model {
        key_id: Some(keys[of]["id"].as_str().unwrap().parse().unwrap()),
        team_id: Some(keys[of]["team_id"].as_str().unwrap().parse().unwrap()),
        ..event(&app, id)
    };
    let model = |name: &str| Some(name.to_owned());
    let rows = [
        Model { requested_model: model("fast"), model: model("gpt-4o"), ..owned(0, call(&app, at(0))) },
        Model { model: model("fast"), status: UsageStatus::Error, ..owned(0, call(&app, at(1))) },
        Model { model: model("gpt-4o"), ..owned(1, call(&app, at(2))) },
        // Known much later than it was made: what counts is when it was made.
        Model { occurred_at: at(999_999), status: UsageStatus::Error, ..owned(1, call(&app, at(3))) },
    ];
    let ids: Vec<String> = rows.iter().map(|row| shown(row.id)).collect();
    record(&app, rows).await;
    let id = |of: usize, field: &str| keys[of][field].as_str().unwrap().to_owned();
    for (query, expected) in [
        (String::new(), vec![3, 2, 1, 0]),
        (format!("key_id={}", id(0, "id")), vec![1, 0]),
        (format!("team_id={}", id(1, "team_id")), vec![3, 2]),
        (format!("team_id={}&key_id={}", id(1, "team_id"), id(0, "id")), vec![]),
        ("model=fast".into(), vec![1, 0]),
        ("model=gpt-4o".into(), vec![2, 0]),
        ("model=gpt*".into(), vec![]),
        ("status=error".into(), vec![3, 1]),
        (format!("status=error&model=fast&key_id={}", id(0, "id")), vec![1]),
        ("from=2027-01-15T10:00:00.001Z".into(), vec![3, 2, 1]),
        ("from=2027-01-15T10:00:00.001001Z".into(), vec![3, 2]),
        ("to=2027-01-15T10:00:00.001Z".into(), vec![0]),
        ("to=2027-01-15T10:00:00.001001Z".into(), vec![1, 0]),
        ("from=2027-01-15T11:00:00.001%2B01:00&to=2027-01-15T10:00:00.003Z".into(), vec![2, 1]),
        ("from=2027-01-15T10:00:00.002Z&to=2027-01-15T10:00:00.002Z".into(), vec![]),
        ("from=2027-01-16T00:00:00Z".into(), vec![]),
    ] {
        let expected: Vec<&String> = expected.into_iter().map(|n: usize| &ids[n]).collect();
        for size in [1, 20] {
            let found = calls(&app.owner(), &format!("page_size={size}&{query}")).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
        }
    }
});

on_both!(a_list_says_what_it_does_not_understand, |app| {
    let owner = app.owner();
    let get = |query: &str| owner.get(&format!("{EVENTS}?{query}"));
    get("keyid=x").await.problem(400, "unknown_parameter");
    for malformed in
        ["status=failed", "key_id=x", "team_id=key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "from=today"]
    {
        get(malformed).await.problem(400, "invalid_parameter");
    }
    get("from=1999-01-01T00:00:00Z").await.invalid(&[("?from", "out_of_range")]);
    let acme = app.other_organization("acme").await;
    let theirs = acme.post("/v1/organizations/acme/teams", json!({"name": "x"})).await.created();
    get(&format!("team_id={}", theirs["id"].as_str().unwrap())).await.problem(404, "not_found");
    get("team_id=team_019aa3c1f6b07c3e9a5d2f4b8c6e1d70").await.problem(404, "not_found");
    get("key_id=key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70").await.problem(404, "not_found");
    // What is gone is still found by its events.
    let gone = key(&app, "gone").await;
    let id = call(&app, app.clock.now());
    let key_id = Some(gone["id"].as_str().unwrap().parse().unwrap());
    record(&app, [Model { key_id, ..event(&app, id) }]).await;
    owner.delete(&path(&gone)).await.no_content();
    assert_eq!(calls(&owner, &format!("key_id={}", gone["id"].as_str().unwrap())).await, [shown(id)]);
});

on_both!(everybody_sees_the_events_within_reach, |app| {
    let (ours, theirs) = (key(&app, "ours").await, key(&app, "theirs").await);
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let boss = app.team_admin(&text(&ours, "team_id")).await;
    let (member, viewer, billing) = (app.member().await, app.viewer().await, app.billing().await);
    let mine = json!({"name": "mine", "user_id": member.user_id});
    let mine = app.owner().post(KEYS, mine).await.created();
    let at = |n: i64| call(&app, app.clock.now() + TimeDelta::milliseconds(n));
    let rows = [&ours, &theirs, &mine].into_iter().zip(0..).map(|(key, n)| Model {
        key_id: text(key, "id").parse().ok(),
        team_id: key["team_id"].as_str().and_then(|id| id.parse().ok()),
        user_id: key["user_id"].as_str().and_then(|id| id.parse().ok()),
        ..event(&app, at(n))
    });
    let rows: Vec<Model> = rows.collect();
    let ids: Vec<String> = rows.iter().map(|row| shown(row.id)).collect();
    record(&app, rows).await;
    let all = vec![2, 1, 0];
    for (client, seen) in [
        (&boss, vec![0]),
        (&member, vec![2]),
        (&viewer, all.clone()),
        (&billing, all.clone()),
        (&app.owner(), all),
    ] {
        let expected: Vec<&String> = seen.iter().map(|n| &ids[*n]).collect();
        assert_eq!(calls(client, "").await.iter().collect::<Vec<_>>(), expected);
        for (n, id) in ids.iter().enumerate() {
            let status = client.get(&format!("{EVENTS}/{id}")).await.status;
            assert_eq!(status, if seen.contains(&n) { 200 } else { 404 });
        }
        for (n, key) in [&ours, &theirs, &mine].into_iter().enumerate() {
            let status = client.get(&format!("{EVENTS}?key_id={}", text(key, "id"))).await.status;
            assert_eq!(status, if seen.contains(&n) { 200 } else { 404 });
        }
    }
    app.stranger().await.get(EVENTS).await.problem(404, "not_found");
    let acme = app.other_organization("acme").await;
    let there = "/v1/organizations/acme/usage/events";
    assert_eq!(acme.get(there).await.ok()["items"], json!([]));
    acme.get(&format!("{there}/{}", ids[0])).await.problem(404, "not_found");
    app.person(Role::Admin).await.get(EVENTS).await.ok();
});

/// Stores the event of a call as it was quoted.
async fn charged(app: &TestApp, call_of: &Value, bill: &Value) -> String {
    let id = call(app, app.clock.now());
    let quantity = |field: &str| bill["usage"][field].as_i64().unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let row = Model {
        model: text(&call_of["model"]),
        service_tier: serde_json::from_value(bill["service_tier"].clone()).unwrap(),
        region: text(&bill["region"]),
        speed: text(&bill["speed"]),
        input_tokens: quantity("input_tokens"),
        cache_read_tokens: quantity("cache_read_tokens"),
        output_tokens: quantity("output_tokens"),
        reasoning_tokens: quantity("reasoning_tokens"),
        requests: quantity("requests"),
        images: quantity("images"),
        cost: bill["cost"].as_str().unwrap().parse().unwrap(),
        currency: text(&bill["currency"]),
        price_id: Some(bill["price_id"].as_str().unwrap().parse().unwrap()),
        priced: true,
        ..event(app, id)
    };
    record(app, [row]).await;
    shown(id)
}

on_both!(the_lines_of_a_bill_make_up_the_cost_that_was_stored, |app| {
    let tiered =
        json!({"model": "t", "kind": "tiered", "tiers": [{"up_to": 10, "input": "1"}, {"input": "2"}]});
    for (place, price) in [
        (
            PRICES,
            json!({"model": "m", "kind": "per_token", "input": "2.5", "cache_read": "1.25", "output": "10",
            "priority": {"input": "4.25"}, "multipliers": {"eu": "1.1"}}),
        ),
        (PLATFORM, tiered),
        (PRICES, json!({"model": "r", "kind": "per_request", "per_request": "0.003"})),
        (PRICES, json!({"model": "f", "kind": "flat"})),
    ] {
        app.owner().post(place, price).await.created();
    }
    let mut stored = Vec::new();
    for call in [
        json!({"model": "m", "usage": {"input_tokens": 1201, "cache_read_tokens": 800, "output_tokens": 350,
            "reasoning_tokens": 7}, "service_tier": "priority", "region": "eu", "speed": "fast"}),
        json!({"model": "m", "usage": {"input_tokens": 1}}),
        json!({"model": "t", "usage": {"input_tokens": 10}}),
        json!({"model": "t", "usage": {"input_tokens": 11}}),
        json!({"model": "r", "usage": {"requests": 3}}),
        json!({"model": "f", "usage": {"input_tokens": 5}}),
    ] {
        let bill = app.owner().post(QUOTE, &call).await.ok();
        let id = charged(&app, &call, &bill).await;
        stored.push((id, bill));
    }
    // Other prices take their places: what was charged stays as it was.
    app.clock.advance(TimeDelta::hours(1));
    for model in ["m", "r"] {
        let price = json!({"model": model, "kind": "per_token", "input": "99", "output": "99"});
        app.owner().post(PRICES, price).await.created();
    }
    for (id, bill) in stored {
        let event = app.viewer().await.get(&format!("{EVENTS}/{id}")).await.ok();
        for field in [
            "cost",
            "exact",
            "currency",
            "price_id",
            "lines",
            "tier",
            "multipliers",
            "unpriced",
            "usage",
            "priced",
        ] {
            assert_eq!(event[field], bill[field], "{field} of {event}");
        }
    }
});

on_both!(a_bill_that_is_not_what_was_stored_is_never_shown, |app| {
    let price = json!({"model": "m", "kind": "per_token", "input": "1", "output": "1"});
    app.owner().post(PRICES, price).await.created();
    let call_of = json!({"model": "m", "usage": {"input_tokens": 1000}});
    let mut bill = app.owner().post(QUOTE, &call_of).await.ok();
    assert_eq!(bill["cost"], "0.001000000");
    let right = charged(&app, &call_of, &bill).await;
    bill["cost"] = json!("0.001000001");
    let wrong = charged(&app, &call_of, &bill).await;
    let missing = json!("price_019aa3c1f6b07c3e9a5d2f4b8c6e1d70");
    bill["cost"] = json!("0.001000000");
    bill["price_id"] = missing;
    let gone = charged(&app, &call_of, &bill).await;
    app.owner().get(&format!("{EVENTS}/{right}")).await.ok();
    for id in [wrong, gone] {
        app.owner().get(&format!("{EVENTS}/{id}")).await.problem(500, "internal");
    }
    // A cost without a price has no bill at all.
    let id = call(&app, app.clock.now());
    record(&app, [Model { cost: Nanos(1), currency: Some("USD".into()), ..event(&app, id) }]).await;
    app.owner().get(&format!("{EVENTS}/{}", shown(id))).await.problem(500, "internal");
});

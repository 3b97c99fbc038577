//! Importing price lists: LiteLLM's as it is published, and our own; what they change, and what they never do.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{Backend, Client, Request, TestApp, on_both};

const IMPORT: &str = "/v1/organizations/default/prices/import";
const PRICES: &str = "/v1/organizations/default/prices";
/// The public list, 218 models of it.
const PUBLIC: &str = include_str!("../../catalogue/model-prices-2026-07-24.json");
/// The largest file.
const LIMIT: usize = 50 * 1024 * 1024;

/// A call with LiteLLM's list as its body.
fn litellm(client: &Client, list: &Value) -> Request {
    file(client, "format=litellm", &list.to_string())
}

/// A call with a JSON file as its body.
fn file(client: &Client, query: &str, text: &str) -> Request {
    client.post(&format!("{IMPORT}?{query}"), ()).body(text, "application/json")
}

fn counts(added: u32, changed: u32, unchanged: u32, skipped: u32) -> Value {
    json!({ "added": added, "changed": changed, "unchanged": unchanged, "skipped": skipped })
}

/// A model of LiteLLM's list.
fn entry(input: &str) -> Value {
    let rate: serde_json::Number = input.parse().unwrap();
    json!({ "litellm_provider": "azure", "mode": "chat", "input_cost_per_token": rate, "output_cost_per_token": 1e-5 })
}

/// What an import must leave as it is if it changes nothing.
async fn state(app: &TestApp) -> [Value; 3] {
    let owner = app.owner();
    let organization = "/v1/organizations/default";
    [
        owner.get(&format!("{organization}/audit-events/checkpoint")).await.ok(),
        owner.get(&format!("{PRICES}?page_size=100")).await.ok(),
        owner.get(&format!("{organization}/models?page_size=100&scope=organization")).await.ok(),
    ]
}

on_both!(the_public_list_is_imported_once, |app| {
    let owner = app.owner();
    let before = state(&app).await;
    let would = file(&owner, "format=litellm&dry_run=true", PUBLIC).await.ok();
    assert_eq!(state(&app).await, before, "a dry run changes nothing");
    let first = file(&owner, "format=litellm", PUBLIC).await.ok();
    assert_eq!((&would["dry_run"], &first["dry_run"]), (&json!(true), &json!(false)));
    for field in ["counts", "models", "sha256", "format"] {
        assert_eq!(would[field], first[field], "{field}");
    }
    assert_eq!(first["counts"], counts(217, 0, 0, 1));
    assert_eq!(first["models"], counts(218, 0, 0, 0));
    let skipped: Vec<&Value> = entries(&first).iter().filter(|entry| entry["outcome"] == "skipped").collect();
    assert_eq!(skipped[0]["key"], "gpt-realtime-whisper");
    assert!(skipped[0]["reason"].as_str().unwrap().contains("0.0002833333333333333"));
    let after = state(&app).await;
    app.clock.advance(TimeDelta::hours(1));
    let again = file(&owner, "format=litellm", PUBLIC).await.ok();
    assert_eq!((&again["counts"], &again["models"]), (&counts(0, 0, 217, 1), &counts(0, 0, 218, 0)));
    assert_eq!(state(&app).await, after, "the same list again changes nothing");
    let price = owner.get(&format!("{PRICES}?model=claude-sonnet-4-5")).await.ok()["items"][0].clone();
    assert_eq!(
        (&price["origin"], &price["kind"], &price["provider"]),
        (&json!("import"), &json!("tiered"), &json!("anthropic"))
    );
    assert_eq!(price["source"], format!("litellm price list {}", &first["sha256"].as_str().unwrap()[..8]));
    assert_eq!(
        (&price["sourced_on"], &price["effective_from"]),
        (&json!("2027-01-15"), &json!("2027-01-15T10:00:00Z"))
    );
    assert_eq!(price["tiers"][0]["input"], "3");
});

fn entries(report: &Value) -> &[Value] {
    report["entries"].as_array().unwrap()
}

on_both!(what_is_imported_resolves_by_its_name_in_the_list, |app| {
    let owner = app.owner();
    let mut list: Value = serde_json::from_str(PUBLIC).unwrap();
    for name in
        ["azure/gpt-4o", "openrouter/anthropic/claude-sonnet-4.5", "us.amazon.nova-lite-v1:0", "ünïcødé/模型"]
    {
        list[name] = entry("2.5e-6");
    }
    let report = litellm(&owner, &list).await.ok();
    let made = entries(&report).iter().filter(|entry| entry["outcome"] == "added");
    let mut resolved = 0;
    for entry in made {
        let query = escaped(entry["key"].as_str().unwrap());
        let found = owner.get(&format!("{PRICES}/resolve?model={query}")).await.ok();
        assert_eq!(found["price"]["id"], entry["price_id"], "{}", entry["key"]);
        resolved += 1;
    }
    assert_eq!(resolved, 221);
});

/// A text as it stands in a query.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

on_both!(one_event_tells_of_an_import, |app| {
    let owner = app.owner();
    litellm(&owner, &json!({ "a": entry("1e-6"), "b": entry("1e-6") })).await.ok();
    let events = owner.get("/v1/organizations/default/audit-events").await.ok();
    let events = events["items"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["action"], "price.import");
    assert_eq!(events[0]["detail"]["prices"], counts(2, 0, 0, 0));
    assert_eq!(events[0]["detail"]["format"], "litellm");
});

on_both!(large_list_is_taken_in_by_parts_and_told_as_one, |app| {
    let owner = app.owner();
    let list: Value =
        (0..450).map(|n| (format!("model-{n:03}"), entry("1e-6"))).collect::<serde_json::Map<_, _>>().into();
    let report = litellm(&owner, &list).await.ok();
    assert_eq!(report["counts"], counts(450, 0, 0, 0));
    let keys: Vec<&str> = entries(&report).iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    assert_eq!(keys, (0..450).map(|n| format!("model-{n:03}")).collect::<Vec<_>>(), "in the list's order");
    let imports = "/v1/organizations/default/audit-events?action=price.import";
    let events = owner.get(imports).await.ok();
    let added: u64 = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["detail"]["prices"]["added"].as_u64().unwrap())
        .sum();
    // Of 200 entries on Postgres, and of 25 on SQLite, where everybody waits for the one who writes.
    let parts = if app.backend == Backend::Postgres { 3 } else { 18 };
    assert_eq!((events["items"].as_array().unwrap().len(), added), (parts, 450), "an event of each part");
    assert_eq!(litellm(&owner, &list).await.ok()["counts"], counts(0, 0, 450, 0));
    assert_eq!(owner.get(imports).await.ok(), events);
});

on_both!(another_price_takes_the_place_of_an_imported_one, |app| {
    let owner = app.owner();
    let first = litellm(&owner, &json!({ "azure/gpt-4o": entry("2.5e-6"), "b": entry("1e-6") })).await.ok();
    app.clock.advance(TimeDelta::days(1));
    let second =
        litellm(&owner, &json!({ "azure/gpt-4o": entry("2e-6"), "b": entry("0.000001"), "c": entry("0") }))
            .await
            .ok();
    assert_eq!(second["counts"], counts(1, 1, 1, 0));
    assert_eq!(entries(&second)[1]["price_id"], entries(&first)[1]["price_id"]);
    let rows = owner.get(&format!("{PRICES}?model=azure/gpt-4o")).await.ok();
    let rows: Vec<_> = rows["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["input"].clone(), row["effective_from"].clone()))
        .collect();
    assert_eq!(
        rows,
        [(json!("2"), json!("2027-01-16T10:00:00Z")), (json!("2.5"), json!("2027-01-15T10:00:00Z"))]
    );
});

on_both!(a_price_made_by_hand_wins, |app| {
    let owner = app.owner();
    let mut price = json!({"model": "azure/gpt-4o", "provider": "azure", "kind": "per_token", "input": "1", "output": "10"});
    let made = owner.post(PRICES, &price).await.created();
    let list = json!({ "azure/gpt-4o": entry("2.5e-6") });
    let report = litellm(&owner, &list).await.ok();
    assert_eq!(report["counts"], counts(0, 0, 0, 1));
    assert_eq!(entries(&report)[0]["reason"], "a price made by hand holds; it wins");
    // The same price is no dispute.
    app.clock.advance(TimeDelta::days(1));
    price["input"] = json!("2.5");
    let made_later = owner.post(PRICES, &price).await.created();
    let report = litellm(&owner, &list).await.ok();
    assert_eq!(
        (&report["counts"], &entries(&report)[0]["price_id"]),
        (&counts(0, 0, 1, 0), &made_later["id"])
    );
    assert_ne!(made["id"], made_later["id"]);
});

on_both!(facts_that_somebody_changed_stay, |app| {
    let owner = app.owner();
    let model = |tokens: i64| json!({ "m": { "litellm_provider": "azure", "mode": "chat", "max_input_tokens": tokens } });
    assert_eq!(litellm(&owner, &model(1000)).await.ok()["models"], counts(1, 0, 0, 0));
    assert_eq!(litellm(&owner, &model(2000)).await.ok()["models"], counts(0, 1, 0, 0));
    let models = "/v1/organizations/default/models";
    let row = owner.get(&format!("{models}?scope=organization")).await.ok()["items"][0].clone();
    assert_eq!(
        (&row["context_window"], &row["origin"], &row["capabilities"]["chat"]),
        (&json!(2000), &json!("import"), &json!(true))
    );
    owner
        .patch(&format!("{models}/{}", row["id"].as_str().unwrap()), json!({ "context_window": 3 }))
        .await
        .ok();
    assert_eq!(litellm(&owner, &model(4000)).await.ok()["models"], counts(0, 0, 0, 1));
    assert_eq!(
        owner.get(&format!("{models}?scope=organization")).await.ok()["items"][0]["context_window"],
        3
    );
});

on_both!(odd_entries_are_skipped_with_the_reason, |app| {
    let long = "m".repeat(256);
    let list = format!(
        r#"{{"sample_spec": {{"input_cost_per_token": 0.0}}, "n\u0000l": {{"input_cost_per_token": 1}}, "{long}": {{}},
        "deep": {}{}, "exact": {{"input_cost_per_token": 1e-16}}, "none": {{"litellm_provider": "x", "mode": "chat"}},
        "pixels": {{"input_cost_per_pixel": 1.9e-08, "output_cost_per_pixel": 0.0}}, "ünïcødé/模型": {{"input_cost_per_token": 1e-6}},
        "twice": {{"input_cost_per_token": 1e-6}}, "twice": {{"input_cost_per_token": 2e-6}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let report = file(&app.owner(), "format=litellm", &list).await.ok();
    assert_eq!(report["counts"], counts(2, 0, 0, 8));
    for entry in entries(&report) {
        let skipped = entry["outcome"] == "skipped";
        assert_eq!((skipped, skipped), (entry["reason"].is_string(), entry["price_id"].is_null()), "{entry}");
    }
});

on_both!(what_cannot_be_read_is_refused_whole, |app| {
    let owner = app.owner();
    let before = state(&app).await;
    let send =
        |query: &str, text: &str, kind: &str| owner.post(&format!("{IMPORT}?{query}"), ()).body(text, kind);
    for (query, text, kind, status, code, place) in [
        (
            "format=litellm",
            "{\"a\":\n {\"b\": 1,}}",
            "application/json",
            400,
            "invalid_json",
            "line 2 column 10",
        ),
        (
            "format=tollkeeper",
            "[{\"kind\": \"flat\"},\n]",
            "application/json; charset=utf-8",
            400,
            "invalid_json",
            "line 2",
        ),
        ("format=tollkeeper", "prices:\n- kind: [", "application/yaml", 400, "invalid_yaml", "line 2"),
        ("format=tollkeeper", "kind,model\nflat\n", "text/csv", 400, "invalid_csv", "line: 2"),
        (
            "format=tollkeeper",
            "[{\"kind\": \"flat\", \"price\": 1}]",
            "application/json",
            400,
            "unknown_field",
            "price",
        ),
        ("format=tollkeeper", "", "application/json", 400, "empty_body", ""),
        ("format=litellm", "a: 1", "text/yaml", 415, "unsupported_media_type", ""),
        ("format=tollkeeper", "a,b", "text/plain", 415, "unsupported_media_type", ""),
        ("format=openrouter", "{}", "application/json", 400, "invalid_parameter", ""),
        ("format=litellm&dry=true", "{}", "application/json", 400, "unknown_parameter", ""),
        ("format=litellm", "[]", "application/json", 422, "invalid", ""),
    ] {
        let problem = send(query, text, kind).await.problem(status, code);
        assert!(problem["detail"].as_str().unwrap().contains(place), "{problem}");
    }
    let faulty = json!([{"kind": "per_token", "model": "a", "input": "1"}, {"kind": "per_token", "model": "b", "input": 2.5},
        {"kind": "per_token", "model": "c", "input": "-1", "currency": "EURO"}]);
    file(&owner, "format=tollkeeper", &faulty.to_string()).await.invalid(&[
        ("/1/input", "invalid_value"),
        ("/2/currency", "unknown"),
        ("/2/input", "out_of_range"),
    ]);
    let nothing = owner.post(&format!("{IMPORT}?format=litellm"), ()).header("content-type", "image/png");
    nothing.body("{}", "image/png").await.problem(415, "unsupported_media_type");
    assert_eq!(state(&app).await, before);
});

on_both!(a_call_is_made_once, |app| {
    let owner = app.owner();
    let list = json!({ "a": entry("1e-6") });
    let first = litellm(&owner, &list).idempotency_key("once").await.ok();
    let again = litellm(&owner, &list).idempotency_key("once").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.ok(), first);
    let other = litellm(&owner, &json!({ "a": entry("2e-6") })).idempotency_key("once").await;
    other.problem(422, "idempotency_key_reused");
});

on_both!(two_imports_of_one_list_make_it_once, |app| {
    let list: serde_json::Map<String, Value> = (0..200).map(|n| (format!("m{n}"), entry("1e-6"))).collect();
    let list = Value::Object(list);
    let (one, two) = (app.owner(), app.owner());
    let (one, two) = tokio::join!(litellm(&one, &list), litellm(&two, &list));
    let mut found = [one.ok()["counts"].clone(), two.ok()["counts"].clone()];
    found.sort_by_key(|counts| counts["added"].as_u64());
    assert_eq!(found, [counts(0, 0, 200, 0), counts(200, 0, 0, 0)]);
});

on_both!(an_organization_imports_for_itself, |app| {
    let other = app.other_organization("other").await;
    litellm(&app.owner(), &json!({ "a": entry("1e-6") })).await.ok();
    let own = "/v1/organizations/other/prices";
    assert_eq!(other.get(own).await.ok()["items"], json!([]));
    let list = json!({ "a": entry("1e-6") }).to_string();
    let report = other
        .post(&format!("{own}/import?format=litellm"), ())
        .body(list.clone(), "application/json")
        .await
        .ok();
    assert_eq!(report["counts"], counts(1, 0, 0, 0));
    file(&other, "format=litellm", &list).await.problem(404, "not_found");
    file(&app.viewer().await, "format=litellm", &list).await.problem(403, "forbidden");
    let platform = "/v1/prices/import?format=litellm";
    other.post(platform, ()).body(list.clone(), "application/json").await.problem(403, "forbidden");
    let report = app.operator().await.post(platform, ()).body(list, "application/json").await.ok();
    assert_eq!(report["counts"], counts(1, 0, 0, 0));
});

on_both!(a_token_without_models_imports_prices_alone, |app| {
    let new = json!({ "name": "prices", "permissions": ["prices:read", "prices:write"] });
    let token = app.owner().post("/v1/organizations/default/admin-tokens", new).await.created();
    let token = app.client(token["secret"].as_str().unwrap());
    let report = litellm(&token, &json!({ "a": entry("1e-6") })).await.ok();
    assert_eq!((&report["counts"], &report["models"]), (&counts(1, 0, 0, 0), &counts(0, 0, 0, 0)));
});

on_both!(a_list_of_full_size_is_imported_within_its_time, |app| {
    // Three thousand models, and facts that fill the largest file to the last byte.
    let model = r#"{"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
        "input_cost_per_token_above_200k_tokens": 5e-06, "cache_read_input_token_cost": 2.5e-07, "max_input_tokens": 128000, "x": ""#;
    let padding = "x".repeat(LIMIT / 3000 - 400);
    let models: Vec<String> = (0..3000).map(|n| format!("\"azure/m{n}\": {model}{padding}\"}}")).collect();
    let mut list = format!("{{{}}}", models.join(","));
    list.push_str(&" ".repeat(LIMIT - list.len()));
    let owner = app.owner();
    let report = file(&owner, "format=litellm", &list).await.ok();
    assert_eq!((&report["counts"], &report["models"]), (&counts(3000, 0, 0, 0), &counts(3000, 0, 0, 0)));
    list.push(' ');
    file(&owner, "format=litellm", &list).await.problem(413, "payload_too_large");
});

//! Exporting prices, and importing what was exported.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

const PRICES: &str = "/v1/organizations/default/prices";
/// Encodings, and how each is sent.
const ENCODINGS: [(&str, &str); 3] =
    [("json", "application/json"), ("yaml", "application/yaml"), ("csv", "text/csv")];

/// Prices of every kind, past, present and future, on the way that users make them.
async fn furnish(app: &TestApp) {
    let owner = app.owner();
    let note = "half price, \"for a while\"; =1+1";
    for price in [
        json!({"model": "azure/gpt-4o", "provider": "azure", "kind": "per_token", "input": "2.5", "output": "10", "currency": "EUR",
            "cache_read": "0", "cache_write_1h": "0.000000001", "batch": {"input": "1.25"}, "flex": {"output": "5"},
            "priority": {"audio_input": "40"}, "multipliers": {"eu": "1.1", "fast": "6"}, "markup_bps": 1250, "note": note}),
        json!({"model": "gemini-*", "kind": "tiered", "tier_by": "total_tokens", "tiers": [
            {"up_to": 128_000, "input": "1", "batch": {"input": "0.5"}}, {"up_to": 200_000, "input": "2"},
            {"input": "4", "priority": {"output": "8"}}]}),
        json!({"model": "sora-2", "kind": "per_unit", "per_second": "0.1", "per_image": "0.000000000000001"}),
        json!({"model": "rerank", "kind": "per_request", "per_request": "0.002", "effective_from": "2027-03-01T00:00:00.000001Z",
            "effective_until": "2027-06-01T00:00:00Z"}),
        json!({"model": "ours", "provider": "local", "kind": "flat", "note": "paid for"}),
        json!({"kind": "per_token", "input": "5", "output": "15"}),
        json!({"model": "past", "kind": "flat", "effective_from": "2026-01-01T00:00:00Z", "effective_until": "2026-02-01T00:00:00Z"}),
        json!({"model": "past", "kind": "per_request", "per_request": "1", "effective_from": "2026-03-01T00:00:00Z"}),
        json!({"model": "past", "kind": "per_request", "per_request": "2", "effective_from": "2026-12-01T00:00:00Z"}),
    ] {
        owner.post(PRICES, price).await.created();
    }
}

/// What the prices of an organization say, in no particular order.
async fn told(client: &Client, prices: &str) -> Vec<String> {
    let page = client.get(&format!("{prices}?page_size=100")).await.ok();
    let own = [
        "id",
        "scope",
        "origin",
        "source",
        "sourced_on",
        "created_by",
        "version",
        "created_at",
        "updated_at",
    ];
    let told = page["items"].as_array().unwrap().iter().map(|price| {
        let mut price = price.as_object().unwrap().clone();
        price.retain(|field, _| !own.contains(&field.as_str()));
        serde_json::to_string(&price).unwrap()
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

on_both!(what_is_exported_imports_as_the_same, |app| {
    furnish(&app).await;
    let owner = app.owner();
    let here = told(&owner, PRICES).await;
    assert_eq!(here.len(), 9);
    app.clock.advance(TimeDelta::hours(1));
    for (encoding, kind) in ENCODINGS {
        let exported = owner.get(&format!("{PRICES}/export?format={encoding}&history=true")).await;
        assert_eq!(exported.status, 200, "{}", exported.text);
        assert!(exported.header("content-type").starts_with(kind));
        assert_eq!(
            exported.header("content-disposition"),
            format!("attachment; filename=\"prices.{encoding}\"")
        );
        let import = |client: &Client, prices: &str| {
            let call = client.post(&format!("{prices}/import?format=tollkeeper"), ());
            call.body(exported.text.clone(), kind)
        };
        let same = import(&owner, PRICES).await.ok();
        assert_eq!(same["counts"], json!({"added": 0, "changed": 0, "unchanged": 9, "skipped": 0}), "{same}");
        let other = app.other_organization(&format!("empty-{encoding}")).await;
        let there = format!("/v1/organizations/empty-{encoding}/prices");
        let made = import(&other, &there).await.ok();
        assert_eq!(made["counts"], json!({"added": 9, "changed": 0, "unchanged": 0, "skipped": 0}), "{made}");
        assert_eq!(told(&other, &there).await, here, "{encoding}");
        let again = import(&other, &there).await.ok();
        assert_eq!(again["counts"], json!({"added": 0, "changed": 0, "unchanged": 9, "skipped": 0}));
    }
});

on_both!(a_csv_export_holds_no_formula, |app| {
    let owner = app.owner();
    let texts =
        ["=HYPERLINK(\"https://example.com\")", "+1", "-1+1", "@SUM(A1)", "-", "'=1", "'", "＝1", "plain"];
    for (n, text) in texts.iter().enumerate() {
        let price = json!({"model": format!("m{n}"), "kind": "per_request", "per_request": "0.5", "markup_bps": 250, "note": text});
        owner.post(PRICES, price).await.created();
    }
    let formula = json!({"model": "=cmd|' /C calc'!A0", "kind": "per_token", "input": "1", "output": "2"});
    owner.post(PRICES, formula).await.created();
    let exported = owner.get(&format!("{PRICES}/export?format=csv")).await;
    let mut cells: Vec<String> = Vec::new();
    for cell in exported.text.split(['\n', ',']) {
        cells.push(cell.trim_start_matches('"').to_owned());
    }
    let formulas: Vec<&String> =
        cells.iter().filter(|cell| cell.starts_with(['=', '+', '-', '@', '\t', '＝'])).collect();
    assert!(formulas.is_empty(), "{formulas:?}");
    assert!(
        cells.iter().any(|cell| cell == "250") && cells.iter().any(|cell| cell == "0.5"),
        "{}",
        exported.text
    );
    let import = async |client: &Client, prices: &str| {
        let call = client.post(&format!("{prices}/import?format=tollkeeper"), ());
        call.body(exported.text.clone(), "text/csv").await.ok()["counts"].clone()
    };
    let unchanged = json!({"added": 0, "changed": 0, "unchanged": 10, "skipped": 0});
    assert_eq!(import(&owner, PRICES).await, unchanged);
    let other = app.other_organization("cells").await;
    let there = "/v1/organizations/cells/prices";
    assert_eq!(import(&other, there).await["added"], 10);
    assert_eq!(told(&other, there).await, told(&owner, PRICES).await);
});

on_both!(what_is_over_is_exported_on_demand, |app| {
    furnish(&app).await;
    let owner = app.owner();
    let models = async |query: &str| {
        let file = owner.get(&format!("{PRICES}/export?format=json{query}")).await;
        let prices = file.body["prices"].as_array().unwrap().clone();
        prices
            .into_iter()
            .filter(|price| price["model"] == "past")
            .map(|price| price["effective_from"].clone())
            .collect::<Vec<Value>>()
    };
    assert_eq!(models("").await, ["2026-12-01T00:00:00Z"]);
    let all = ["2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-12-01T00:00:00Z"];
    assert_eq!(models("&history=true").await, all);
    // A price that comes back when another one ends is not over.
    let promotion = json!({"model": "past", "kind": "flat", "effective_from": "2027-02-01T00:00:00Z",
        "effective_until": "2027-03-01T00:00:00Z"});
    owner.post(PRICES, promotion).await.created();
    app.clock.advance(TimeDelta::days(20));
    assert_eq!(models("").await, ["2026-12-01T00:00:00Z", "2027-02-01T00:00:00Z"]);
});

on_both!(an_export_is_for_who_may_read_prices, |app| {
    furnish(&app).await;
    let other = app.other_organization("other").await;
    other.get(&format!("{PRICES}/export?format=json")).await.problem(404, "not_found");
    let nothing = other.get("/v1/organizations/other/prices/export?format=json").await;
    assert_eq!(nothing.body["prices"], json!([]));
    assert_eq!(app.operator().await.get("/v1/prices/export?format=yaml").await.status, 200);
    other.get("/v1/prices/export?format=yaml").await.problem(403, "forbidden");
    for query in ["?format=xml", "?format=json&from=now"] {
        let refused = app.owner().get(&format!("{PRICES}/export{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
    }
});

on_both!(exports_of_an_organization_follow_each_other, |app| {
    furnish(&app).await;
    let owner = app.owner();
    let path = format!("{PRICES}/export?format=json");
    let turn = app.state.uploads.enter(app.organization).await.unwrap();
    let waiting = async { owner.get(&path).await };
    tokio::pin!(waiting);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "it waits for its turn");
    drop(turn);
    waiting.await.ok();
});

//! One request cannot fail another's, and one organization's data costs the others nothing.

use crate::{
    decisions::{ask, issue},
    price_resolve::flat_price,
    prices::PRICES,
};
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

/// Names of models that are nobody's, in scripts of one to four bytes a character, of the lengths that dates have.
const NAMES: [&str; 12] = [
    "日本語モデル",
    "日本語",
    "モデル-20250219",
    "a日本語モデル",
    "ab日本語-2025-02-19",
    "модель-20250219",
    "🦀🦀🦀",
    "x🦀🦀🦀-latest",
    "é-2025-02-1é",
    "\u{300}20250219",
    "ﷺﷺﷺ@20250219",
    "anthropic.日本語-v1:0",
];

/// A key and a gateway of another organization.
async fn other(app: &TestApp) -> (Client, Value) {
    let acme = app.other_organization("acme").await;
    let base = "/v1/organizations/acme";
    let team = acme.post(&format!("{base}/teams"), json!({"name": "quiet"})).await.created();
    let key = json!({"name": "quiet", "team_id": team["id"]});
    let key = acme.post(&format!("{base}/keys"), key).await.created();
    let token = json!({"name": "quiet"});
    let token = acme.post(&format!("{base}/gateway-tokens"), token).await.created();
    (app.client(token["secret"].as_str().unwrap()), key)
}

on_both!(model_of_any_script_fails_nobody_elses_call, |app| {
    app.with_catalogue().await;
    let (quiet, own) = other(&app).await;
    let (gateway, key) = (app.gateway().await, issue(&app, json!({})).await);
    let mut calls = Vec::new();
    for name in NAMES.iter().cycle().take(60) {
        let odd = json!({"model": name, "input_tokens": 10, "key": key["secret"]});
        let plain = json!({"model": "gpt-4o", "input_tokens": 10, "key": own["secret"]});
        for (client, call) in [(gateway.clone(), odd), (quiet.clone(), plain)] {
            calls.push(tokio::spawn(async move { client.post("/v1/authorize", call).await.ok() }));
        }
    }
    for call in calls {
        let reply = call.await.unwrap();
        assert_eq!(reply["allowed"], true, "{reply}");
    }
});

on_both!(change_of_a_book_is_read_outside_the_batch, |app| {
    let (gateway, key) = (app.gateway().await, issue(&app, json!({})).await);
    let (meter, books) = (app.state.meter.work(), app.system.books.work());
    let cost = async || {
        let before = (meter.put_back(), books.books(), books.rows());
        let reply = ask(&gateway, &key, json!({"model": "gpt-4o"})).await;
        assert_eq!(reply["allowed"], true, "{reply}");
        (meter.put_back() - before.0, books.books() - before.1, books.rows() - before.2)
    };
    assert_eq!(cost().await, (1, 2, 0), "both books, once");
    assert_eq!(cost().await, (0, 0, 0));
    flat_price(&app.owner(), PRICES, "gpt-4o", "1").await;
    assert_eq!(cost().await, (1, 0, 1), "one row of one book");
    assert_eq!(cost().await, (0, 0, 0));
});

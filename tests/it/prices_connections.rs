//! Prices of connections: they hold before every other, for calls that go by the connection, and for nobody else.

use crate::{
    connections::CONNECTIONS,
    metering::{Calls, connections::connection},
    prices::PRICES,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{TestApp, on_both};

fn of(connection: &str, model: &str, each: &str) -> Value {
    json!({"model": model, "kind": "per_request", "per_request": each, "connection_id": connection})
}

async fn listed(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.owner().get(&format!("{PRICES}{query}")).await.ok();
    page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
}

on_both!(a_price_of_a_connection_holds_first, |app| {
    let owner = app.owner();
    let (a, b) = (connection(&app, json!({})).await, connection(&app, json!({"provider": "groq"})).await);
    let plain = json!({"model": "m", "kind": "per_request", "per_request": "1"});
    let general = owner.post(PRICES, plain).await.created();
    let made = owner.post(PRICES, of(&a, "m", "2")).await.created();
    assert_eq!((&made["scope"], &made["connection_id"]), (&json!("connection"), &json!(a)));
    let glob = owner.post(PRICES, of(&b, "*", "3")).await.created();
    for (query, expected) in [
        (String::new(), vec![&general]),
        ("?scope=connection".to_owned(), vec![&glob, &made]),
        (format!("?connection_id={a}"), vec![&made]),
        (format!("?scope=connection&connection_id={b}&model=*"), vec![&glob]),
        (format!("?scope=organization&connection_id={b}"), vec![]),
    ] {
        let expected: Vec<Value> = expected.into_iter().map(|price| price["id"].clone()).collect();
        assert_eq!(listed(&app, &query).await, expected, "{query}");
    }
    for (query, price, step, provider) in [
        ("", &general, "organization_model", json!(null)),
        (&format!("&connection_id={a}")[..], &made, "connection", json!("openai")),
        (&format!("&connection_id={b}")[..], &glob, "connection", json!("groq")),
        (&format!("&connection_id={b}&provider=x")[..], &glob, "connection", json!("x")),
    ] {
        let found = owner.get(&format!("{PRICES}/resolve?model=m{query}")).await.ok();
        assert_eq!((&found["price"]["id"], &found["step"]), (&price["id"], &json!(step)), "{query}");
        assert_eq!(found["provider"], provider);
    }
    let quote = |connection: Value| json!({"model": "m", "usage": {}, "connection_id": connection});
    for (connection, cost) in [(json!(null), "1"), (json!(a), "2"), (json!(b), "3")] {
        let quoted = owner.post(&format!("{PRICES}/quote"), quote(connection)).await.ok();
        assert_eq!(quoted["cost"], format!("{cost}.000000000"));
    }
    // Its key is its own: the same model and begin is another price elsewhere, and the same one here.
    owner.post(PRICES, of(&b, "m", "4")).await.created();
    let mut again = of(&a, "m", "4");
    again["effective_from"] = made["effective_from"].clone();
    owner.post(PRICES, again).await.problem(409, "duplicate");
    // What is to come can be changed and stays the connection's.
    let mut later = of(&a, "m", "5");
    later["effective_from"] = json!(app.clock.now() + TimeDelta::days(1));
    let later = owner.post(PRICES, later).await.created();
    let path = format!("{PRICES}/{}", later["id"].as_str().unwrap());
    let changed = owner.patch(&path, json!({"per_request": "6"})).if_match(1).await.ok();
    assert_eq!((&changed["connection_id"], &changed["per_request"]), (&json!(a), &json!("6")));
    owner.delete(&path).if_match(2).await.no_content();
});

on_both!(a_flat_price_makes_the_calls_of_a_connection_free, |app| {
    crate::metering::price(&app, "m", "1").await;
    let a = connection(&app, json!({"billing_type": "flat_fee"})).await;
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "1", "window": "month"}])).await;
    let call = json!({"model": "m", "connection_id": a});
    let before = calls.ask(call.clone()).await;
    assert_eq!(before["estimate"]["cost"], "1.000000000", "what it is billed by is no price");
    calls.void(before["reservation_id"].as_str().unwrap()).await;
    app.clock.advance(TimeDelta::seconds(1));
    let flat = json!({"model": "*", "kind": "flat", "connection_id": a});
    app.owner().post(PRICES, flat).await.created();
    for _ in 0..3 {
        let open = calls.open(call.clone()).await;
        let settled = calls.settle(&open, json!({"input_tokens": 7})).await;
        let attempt = &settled["attempts"][0];
        assert_eq!((&attempt["cost"], &attempt["priced"]), (&json!("0.000000000"), &json!(true)));
    }
});

on_both!(a_price_is_for_a_connection_that_is_there, |app| {
    let (owner, acme) = (app.owner(), app.other_organization("acme").await);
    let (a, gone) = (connection(&app, json!({})).await, connection(&app, json!({})).await);
    let kept = owner.post(PRICES, of(&gone, "m", "1")).await.created();
    owner.delete(&format!("{CONNECTIONS}/{gone}")).await.no_content();
    let random = "conn_019aa3c1f6b07c3e9a5d2f4b8c6e1d70";
    let there = "/v1/organizations/acme/prices";
    for (client, prices, id) in [(&owner, PRICES, random), (&owner, PRICES, &gone), (&acme, there, &a)] {
        // What is not there is told before what is wrong.
        let told = client.post(prices, of(id, "", "1")).await.problem(404, "not_found");
        assert_eq!(told["detail"], "connection not found");
        client.get(&format!("{prices}/resolve?model=m&connection_id={id}")).await.problem(404, "not_found");
        let quote = json!({"model": "m", "usage": {}, "connection_id": id});
        client.post(&format!("{prices}/quote"), quote).await.problem(404, "not_found");
        if id != gone {
            client.get(&format!("{prices}?connection_id={id}")).await.problem(404, "not_found");
        }
    }
    assert_eq!(listed(&app, &format!("?connection_id={gone}")).await, [kept["id"].clone()]);
    // Nothing is the platform's.
    app.operator().await.post("/v1/prices", of(&a, "m", "1")).await.problem(404, "not_found");
    let patch = json!({"connection_id": a});
    let mut later = json!({"model": "m", "kind": "per_request", "per_request": "1"});
    later["effective_from"] = json!(app.clock.now() + TimeDelta::days(1));
    let later = owner.post(PRICES, later).await.created();
    let path = format!("{PRICES}/{}", later["id"].as_str().unwrap());
    owner.patch(&path, patch).if_match(1).await.problem(400, "unknown_field");
});

on_both!(a_price_and_the_end_of_its_connection_meet_in_peace, |app| {
    let owner = app.owner();
    for _ in 0..5 {
        let a = connection(&app, json!({})).await;
        let path = format!("{CONNECTIONS}/{a}");
        let (priced, deleted) = tokio::join!(owner.post(PRICES, of(&a, "m", "1")), owner.delete(&path));
        deleted.no_content();
        assert!([201, 404].contains(&priced.status), "{}", priced.status);
    }
});

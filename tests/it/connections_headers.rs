//! Headers of connections: what they may be, that they are sealed, masked, kept and cleared.

use crate::connections::{CONNECTIONS, make, smallest};
use axum::http::HeaderValue;
use entity::provider_connection;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use service::{Ctx, connection, scope::Scope};
use tests::{TestApp, on_both};

/// The row of a connection.
async fn row(app: &TestApp, path: &str) -> provider_connection::Model {
    let id: entity::id::ConnectionId = path.rsplit('/').next().unwrap().parse().unwrap();
    let found = provider_connection::Entity::find_by_id(id).one(&app.system.db.writer).await.unwrap();
    found.unwrap()
}

/// The headers that calls carry, as the server opens them.
async fn opened(app: &TestApp, path: &str) -> Vec<(String, String)> {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let headers = connection::headers(&ctx, &row(app, path).await).await.unwrap();
    assert!(headers.values().all(HeaderValue::is_sensitive));
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    headers.sort();
    headers
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

on_both!(headers_are_sealed_masked_and_replaced_as_a_whole, |app| {
    let owner = app.owner();
    let mut body = smallest("a");
    body["headers"] = json!({"X-Tenant": "one two", "authorization": "Bearer secret"});
    let made = owner.post(CONNECTIONS, body).await.created();
    assert_eq!(made["headers"], json!({"authorization": "****", "x-tenant": "****"}));
    let path = format!("{CONNECTIONS}/{}", made["id"].as_str().unwrap());
    assert_eq!(owner.get(&path).await.ok()["headers"], made["headers"]);
    assert_eq!(
        opened(&app, &path).await,
        pairs(&[("authorization", "Bearer secret"), ("x-tenant", "one two")])
    );
    let stored = row(&app, &path).await.headers.unwrap().0;
    assert!(!stored.windows(6).any(|window| window == b"secret"));
    // What is not said is kept; a mask keeps one value; what is left out goes.
    owner.patch(&path, json!({"name": "b"})).await.ok();
    let patch = json!({"headers": {"X-TENANT": "****", "x-more": "3"}});
    let changed = owner.patch(&path, patch).await.ok();
    assert_eq!(changed["headers"], json!({"x-more": "****", "x-tenant": "****"}));
    assert_eq!(opened(&app, &path).await, pairs(&[("x-more", "3"), ("x-tenant", "one two")]));
    let none = json!({"headers": {"authorization": "****"}});
    owner.patch(&path, none).await.invalid(&[("/headers/authorization", "not_stored")]);
    for clearing in [json!(null), json!({})] {
        owner.patch(&path, json!({"headers": {"x": "1"}})).await.ok();
        assert_eq!(owner.patch(&path, json!({"headers": clearing})).await.ok()["headers"], json!({}));
        let row = row(&app, &path).await;
        assert!(row.headers.is_none() && row.data_key_id.is_none());
    }
});

on_both!(every_faulty_header_is_reported_and_none_of_its_value, |app| {
    let owner = app.owner();
    let mut body = smallest("a");
    let long = "x".repeat(8193);
    body["headers"] = json!({
        "": "canary", "a b": "canary", "ä": "canary", "Host": "canary", "content-length": "1", "Transfer-Encoding": "canary",
        "x-empty": "", "x-line": "canary\r\nx: y", "x-blank": " canary", "x-ü": "canary", "x-umlaut": "canaryü",
        "x-long": long, "x-twice": "1", "X-Twice": "2", "x-masked": "****", "x-good": "canary",
    });
    let reply = owner.post(CONNECTIONS, &body).await;
    assert!(!reply.text.contains("canary"), "{}", reply.text);
    reply.invalid(&[
        ("/headers/", "invalid_value"),
        ("/headers/a b", "invalid_value"),
        ("/headers/ä", "invalid_value"),
        ("/headers/x-ü", "invalid_value"),
        ("/headers/Host", "not_allowed"),
        ("/headers/content-length", "not_allowed"),
        ("/headers/Transfer-Encoding", "not_allowed"),
        ("/headers/x-empty", "required"),
        ("/headers/x-line", "invalid_character"),
        ("/headers/x-blank", "invalid_character"),
        ("/headers/x-umlaut", "invalid_character"),
        ("/headers/x-long", "too_long"),
        ("/headers/x-twice", "duplicate"),
        ("/headers/x-masked", "not_stored"),
    ]);
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("x-{n}"), json!("v"))).collect();
    body["headers"] = Value::Object(many);
    owner.post(CONNECTIONS, &body).await.invalid(&[("/headers", "too_many")]);
    body["headers"] = json!({"x-number": 7});
    owner.post(CONNECTIONS, &body).await.invalid(&[("/headers/x-number", "invalid_value")]);
});

on_both!(headers_do_not_open_in_another_connection, |app| {
    let owner = app.owner();
    let path = make(&owner, "a").await;
    owner.patch(&path, json!({"headers": {"x-tenant": "one"}})).await.ok();
    let other = row(&app, &make(&owner, "b").await).await;
    let sealed = row(&app, &path).await;
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let moved = provider_connection::Model { id: other.id, ..sealed };
    connection::headers(&ctx, &moved).await.unwrap_err();
});

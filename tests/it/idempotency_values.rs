//! `Idempotency-Key`: a call is the same if its body says the same, however it is written.

use crate::teams::TEAMS;
use sea_orm::ConnectionTrait;
use serde_json::json;
use sha2::{Digest, Sha256};
use tests::{Backend, TestApp, on_both};

const KEYS: &str = "/v1/organizations/default/keys";
const JSON: &str = "application/json";

async fn team(app: &TestApp) -> String {
    let team = app.owner().post(TEAMS, json!({"name": "search"})).await.created();
    team["id"].as_str().unwrap().to_owned()
}

on_both!(order_of_members_does_not_matter, |app| {
    let (owner, team) = (app.owner(), team(&app).await);
    let send = |body: String| owner.post(KEYS, ()).body(body, JSON).idempotency_key("K");
    let first = send(format!(
        r#"{{"name":"i1","team_id":"{team}","tags":{{"a":"1","b":"2"}},"metadata":{{"x":{{"p":1,"q":[1,2]}},"y":0.5}}}}"#
    ))
    .await;
    let again = send(format!(
        r#" {{"metadata": {{"y": 5e-1, "x": {{"q": [1.0, 2], "p": 1}}}},
             "tags": {{"b": "2", "a": "\u0031"}}, "team_id": "{team}", "name": "i1"}} "#
    ))
    .await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.text, first.text);
    first.created();
    assert_eq!(owner.get(KEYS).await.ok()["items"].as_array().unwrap().len(), 1);

    // The order of a list is a part of what it says, and so is every value.
    for (from, to) in [("[1,2]", "[2,1]"), ("\"y\":0.5", "\"y\":0.6"), ("\"a\":\"1\"", "\"a\":1")] {
        let body = format!(
            r#"{{"name":"i1","team_id":"{team}","tags":{{"a":"1","b":"2"}},"metadata":{{"x":{{"p":1,"q":[1,2]}},"y":0.5}}}}"#
        );
        send(body.replace(from, to)).await.problem(422, "idempotency_key_reused");
    }
});

on_both!(an_empty_body_says_what_an_empty_object_says, |app| {
    let (owner, team) = (app.owner(), team(&app).await);
    let path = format!("{TEAMS}/{team}/suspend");
    let first = owner.post(&path, json!({})).idempotency_key("k").await;
    for body in ["", " { } "] {
        let again = owner.post(&path, ()).body(body, JSON).idempotency_key("k").await;
        assert_eq!((again.header("idempotent-replayed"), &again.text), ("true", &first.text));
    }
    first.ok();
});

on_both!(a_member_that_is_given_twice_is_refused, |app| {
    let (owner, team) = (app.owner(), team(&app).await);
    let send = |key: &str, body: String| owner.post(KEYS, ()).body(body, JSON).idempotency_key(key);
    let twice = format!(r#"{{"name":"a","name":"a","team_id":"{team}"}}"#);
    send("a", twice.clone()).await.invalid(&[("", "invalid_value")]);
    send("b", format!(r#"{{"name":"a","team_id":"{team}"}}"#)).await.created();
    send("b", twice).await.problem(422, "idempotency_key_reused");
    let inside = format!(r#"{{"name":"a","team_id":"{team}","metadata":{{"x":[{{"y":1,"y":1}}]}}}}"#);
    send("c", inside).await.invalid(&[("/metadata", "invalid_value")]);
});

on_both!(a_record_of_the_bytes_is_still_understood, |app| {
    let owner = app.owner();
    let body = r#"{ "name": "search" }"#;
    let send = || owner.post(TEAMS, ()).body(body, JSON).idempotency_key("k");
    let first = send().await.created();
    // As it was stored before bodies were compared by value.
    let mut hash = Sha256::new();
    for part in ["POST", TEAMS, body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let print: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let value = match app.backend {
        Backend::Sqlite => format!("x'{print}'"),
        Backend::Postgres => format!("decode('{print}', 'hex')"),
    };
    let update = format!("UPDATE idempotency_record SET fingerprint = {value}");
    app.system.db.writer.execute_unprepared(&update).await.unwrap();
    assert_eq!(send().await.created(), first);
    owner
        .post(TEAMS, json!({"name": "search"}))
        .idempotency_key("k")
        .await
        .problem(422, "idempotency_key_reused");
});

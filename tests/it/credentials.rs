//! Credentials: adding, reading, listing, changing, deleting; what a secret may be, and that it never comes back.

use crate::connections;
use serde_json::json;
use tests::{Client, on_both};

pub const SECRET: &str = "sk-proj-canary0123456789abcdefx7Qd";

/// Makes a connection with one credential; the path of its credentials and the credential's.
pub async fn make(client: &Client, name: &str) -> (String, String) {
    let path = format!("{}/credentials", connections::make(client, name).await);
    let added = client.post(&path, json!({ "secret": SECRET })).await.created();
    let credential = format!("{path}/{}", added["id"].as_str().unwrap());
    (path, credential)
}

on_both!(a_credential_can_be_added_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "production").await;
    let read = owner.get(&credential).await.ok();
    assert_eq!((&read["label"], &read["state"]), (&json!("API key 1"), &json!("active")));
    assert_eq!((&read["display"], &read["version"]), (&json!("sk-proj-...x7Qd"), &json!(1)));
    assert_eq!(read["digest"].as_str().unwrap().len(), 64);
    assert_eq!((&read["last_used_at"], &read["state_reason"]), (&json!(null), &json!(null)));
    assert_eq!(read["created_by"], owner.user_id);
    assert_eq!(owner.get(&path).await.ok()["items"], json!([read]));
    let changed = owner.patch(&credential, json!({"label": "old"})).if_match(1).await.ok();
    assert_eq!((&changed["label"], &changed["version"]), (&json!("old"), &json!(2)));
    owner.delete(&credential).if_match(2).await.no_content();
    owner.get(&credential).await.problem(404, "not_found");
    owner.delete(&credential).await.problem(404, "not_found");
    assert_eq!(owner.get(&path).await.ok()["items"], json!([]));
});

on_both!(a_secret_that_is_there_is_not_added_again, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "a").await;
    let again = owner.post(&path, json!({"secret": SECRET, "label": "another"})).await.ok();
    assert_eq!(again["added"], false);
    assert_eq!((&again["label"], &again["version"]), (&json!("API key 1"), &json!(1)));
    assert!(credential.ends_with(again["id"].as_str().unwrap()));
    // Whatever its state is, but for a retired one.
    owner.patch(&credential, json!({"state": "disabled"})).await.ok();
    let disabled = owner.post(&path, json!({ "secret": SECRET })).await.ok();
    assert_eq!((&disabled["state"], &disabled["version"]), (&json!("disabled"), &json!(2)));
    owner.patch(&credential, json!({"state": "retired"})).await.ok();
    let anew = owner.post(&path, json!({ "secret": SECRET })).await.created();
    assert_eq!((&anew["added"], &anew["label"]), (&json!(true), &json!("API key 2")));
    assert_eq!(anew["digest"], again["digest"]);
    // Another connection may have the same, and is known by it.
    let (_, other) = make(&owner, "b").await;
    assert_eq!(owner.get(&other).await.ok()["digest"], again["digest"]);
});

on_both!(a_repeated_addition_answers_as_the_first_did, |app| {
    let owner = app.owner();
    let path = format!("{}/credentials", connections::make(&owner, "a").await);
    let body = json!({ "secret": SECRET });
    for (key, status, replayed) in
        [("one", 201, ""), ("one", 201, "true"), ("two", 200, ""), ("two", 200, "true"), ("one", 201, "true")]
    {
        let reply = owner.post(&path, &body).idempotency_key(key).await;
        assert_eq!((reply.status, reply.header("idempotent-replayed")), (status, replayed), "{key}");
        assert_eq!(reply.body["added"], status == 201);
        assert_eq!(reply.header("etag"), "\"1\"");
    }
    let other = json!({ "secret": "sk-another-secret" });
    owner.post(&path, other).idempotency_key("one").await.problem(422, "idempotency_key_reused");
});

on_both!(every_faulty_field_of_a_credential_is_reported_without_the_secret, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "a").await;
    for (secret, code) in [
        (String::new(), "required"),
        (" ".into(), "invalid_character"),
        ("canary key".into(), "invalid_character"),
        ("canary\n".into(), "invalid_character"),
        ("canary\u{200b}".into(), "invalid_character"),
        ("x".repeat(8193), "too_long"),
        ("********".into(), "masked"),
        ("sk-proj-...x7Qd".into(), "masked"),
    ] {
        let reply = owner.post(&path, json!({"secret": secret, "label": ""})).await;
        assert!(!reply.text.contains("canary"), "{}", reply.text);
        reply.invalid(&[("/secret", code), ("/label", "required")]);
    }
    owner.post(&path, json!({})).await.invalid(&[("/secret", "required")]);
    let reply = owner.post(&path, json!({"secret": ["canary"]})).await;
    assert!(!reply.text.contains("canary"), "{}", reply.text);
    reply.invalid(&[("/secret", "invalid_value")]);
    owner.post(&path, json!({"secret": "sk-1", "state": "active"})).await.problem(400, "unknown_field");
    let patch = json!({"label": "x".repeat(256), "reason": "x".repeat(1025)});
    owner.patch(&credential, patch).await.invalid(&[("/label", "too_long"), ("/reason", "too_long")]);
    owner.patch(&credential, json!({"state": null})).await.invalid(&[("/state", "not_nullable")]);
    owner.patch(&credential, json!({"state": "lost"})).await.invalid(&[("/state", "invalid_value")]);
    owner.patch(&credential, json!({"secret": "sk-1"})).await.problem(400, "unknown_field");
    assert_eq!(owner.get(&credential).await.ok()["version"], 1);
    let longest = owner.post(&path, json!({"secret": "x".repeat(8192)})).await.created();
    assert_eq!(longest["display"], "xxxxxxxx...xxxx");
    let short = owner.post(&path, json!({"secret": "sk-0123456789abcdef"})).await.created();
    assert_eq!(short["display"], "********");
});

on_both!(a_credential_is_its_connections, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "a").await;
    let (other, _) = make(&owner, "b").await;
    let elsewhere = credential.replace(&path, &other);
    for request in
        [owner.get(&elsewhere), owner.patch(&elsewhere, json!({"label": "x"})), owner.delete(&elsewhere)]
    {
        assert_eq!(request.await.problem(404, "not_found")["detail"], "credential not found");
    }
    let acme = app.other_organization("acme").await;
    let theirs = crate::connections::smallest("theirs");
    let theirs = acme.post("/v1/organizations/acme/connections", theirs).await.created();
    let theirs = format!("/v1/organizations/acme/connections/{}/credentials", theirs["id"].as_str().unwrap());
    acme.get(&credential.replace(&path, &theirs)).await.problem(404, "not_found");
    assert_eq!(owner.get(&credential).await.ok()["version"], 1);
});

on_both!(a_stale_version_is_refused, |app| {
    let owner = app.owner();
    let (_, credential) = make(&owner, "a").await;
    owner.patch(&credential, json!({"label": "b"})).if_match(1).await.ok();
    for version in [1, 3] {
        let patch = owner.patch(&credential, json!({"label": "x"})).if_match(version);
        patch.await.problem(412, "version_conflict");
        owner.delete(&credential).if_match(version).await.problem(412, "version_conflict");
    }
});

on_both!(credentials_are_listed_page_by_page_and_by_state, |app| {
    let owner = app.owner();
    let path = format!("{}/credentials", connections::make(&owner, "a").await);
    for n in 0..3 {
        owner.post(&path, json!({"secret": format!("sk-{n}")})).await.created();
        app.clock.advance(chrono::TimeDelta::milliseconds(1));
    }
    let labels = |page: &serde_json::Value| {
        let labels = page["items"].as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap());
        labels.map(str::to_owned).collect::<Vec<_>>()
    };
    let page = owner.get(&format!("{path}?page_size=2")).await.ok();
    assert_eq!(labels(&page), ["API key 3", "API key 2"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = owner.get(&format!("{path}?page_size=2&cursor={cursor}")).await.ok();
    assert_eq!(labels(&rest), ["API key 1"]);
    let first = format!("{path}/{}", rest["items"][0]["id"].as_str().unwrap());
    owner.patch(&first, json!({"state": "draining"})).await.ok();
    assert_eq!(labels(&owner.get(&format!("{path}?state=draining")).await.ok()), ["API key 1"]);
});

on_both!(what_happens_to_a_credential_is_in_the_audit_log_without_its_secret, |app| {
    let owner = app.owner();
    let (_, credential) = make(&owner, "a").await;
    owner.patch(&credential, json!({"state": "disabled", "reason": "leaked"})).await.ok();
    owner.delete(&credential).await.no_content();
    let id = credential.rsplit('/').next().unwrap();
    let page = format!("/v1/organizations/default/audit-events?order=asc&subject={id}");
    let reply = owner.get(&page).await;
    assert!(!reply.text.contains("canary"), "{}", reply.text);
    let events = reply.ok();
    let events = events["items"].as_array().unwrap();
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["credential.create", "credential.update", "credential.delete"]);
    assert_eq!(events[1]["detail"]["after"]["state_reason"], "leaked");
});

//! Verifying connections: what is noted of them and what is not, one at a time and several at once; testing secrets before they
//! are added.

use crate::{
    connection_verify::{VERIFY, WRONG_KEY, tried, verify},
    connections::CONNECTIONS,
};
use serde_json::{Value, json};
use tests::{
    TestApp, on_both,
    provider::{Conduct, GOOD_KEY, Provider, Speech, dead_url},
};

/// Makes a connection to a place, with a credential; its path.
pub async fn connect(app: &TestApp, name: &str, base_url: &str, key: &str) -> String {
    let body = json!({"provider": "openai", "name": name, "base_url": base_url});
    let connection = app.owner().post(CONNECTIONS, body).await.created();
    let path = format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap());
    app.owner().post(&format!("{path}/credentials"), json!({ "secret": key })).await.created();
    path
}

async fn health(app: &TestApp, path: &str) -> Value {
    app.owner().get(&format!("{path}/health")).await.ok()
}

on_both!(what_verifying_a_connection_finds_is_noted_without_an_edit, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "production", &upstream.url(""), GOOD_KEY).await;
    let before = app.owner().get(&path).await.ok();
    let found = verify(&app.owner(), &format!("{path}/verify"), json!({})).await;
    assert_eq!(found["code"], "ok");
    assert_eq!(upstream.seen()[0].carries(GOOD_KEY), ["authorization"]);
    let seen = health(&app, &path).await;
    for (field, value) in [
        ("health", json!("healthy")),
        ("effective_health", json!("healthy")),
        ("consecutive_failures", json!(0)),
        ("error", json!(null)),
        ("success_at", json!("2027-01-15T10:00:00Z")),
        ("detected_format", json!("openai_chat")),
        ("detected_endpoint", json!(upstream.url("/v1"))),
        ("detected_at", json!("2027-01-15T10:00:00Z")),
    ] {
        assert_eq!(seen[field], value, "{field}: {seen}");
    }
    assert_eq!(seen["capabilities"]["json_schema"], true);
    let after = app.owner().get(&path).await.ok();
    assert_eq!((&after["version"], &after["updated_at"]), (&before["version"], &before["updated_at"]));
    assert_eq!(after["effective_base_url"], upstream.url("/v1"));
    let audit = app.owner().get("/v1/organizations/default/audit-events").await;
    assert!(!audit.text.contains(GOOD_KEY));
    let audit = audit.ok();
    assert_eq!(audit["items"][0]["action"], "connection.verify", "{audit}");
    assert_eq!(audit["items"][0]["detail"]["code"], "ok");
    // Another base URL is another upstream.
    app.owner().patch(&path, json!({"base_url": upstream.url("/x")})).await.ok();
    let seen = health(&app, &path).await;
    assert_eq!((&seen["detected_endpoint"], &seen["detected_format"]), (&json!(null), &json!(null)));
});

on_both!(what_was_found_is_asked_first_and_an_alternate_that_is_taken_away_is_not_asked_again, |app| {
    let (first, second) = (Provider::start(Speech::OpenAi).await, Provider::start(Speech::Anthropic).await);
    first.behave(Conduct::Fails(403));
    let path = connect(&app, "production", &first.url("/v1"), GOOD_KEY).await;
    app.owner().patch(&path, json!({"alternate_base_urls": [second.url("")]})).await.ok();
    verify(&app.owner(), &format!("{path}/verify"), json!({})).await;
    let seen = health(&app, &path).await;
    assert_eq!(seen["detected_endpoint"], second.url(""));
    assert_eq!(seen["detected_format"], "anthropic_messages");
    first.seen();
    second.seen();
    let found = verify(&app.owner(), &format!("{path}/verify"), json!({})).await;
    assert_eq!((tried(&found), first.count()), (vec!["ok"], 0), "{found}");
    app.owner().patch(&path, json!({"alternate_base_urls": []})).await.ok();
    second.seen();
    let found = verify(&app.owner(), &format!("{path}/verify"), json!({})).await;
    assert_eq!((&found["code"], second.count()), (&json!("key_refused"), 0), "{found}");
});

on_both!(failures_are_counted_each_and_disable_nothing_and_a_success_clears_them, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "production", &upstream.url("/v1"), GOOD_KEY).await;
    let action = format!("{path}/verify");
    upstream.behave(Conduct::Fails(500));
    let owner = app.owner();
    let four = (0..4).map(|_| verify(&owner, &action, json!({})));
    for found in futures_util::future::join_all(four).await {
        assert_eq!(found["code"], "provider_failed");
    }
    let seen = health(&app, &path).await;
    assert_eq!((&seen["health"], &seen["consecutive_failures"]), (&json!("degraded"), &json!(4)));
    assert_eq!(
        (&seen["error_code"], &seen["error_at"]),
        (&json!("provider_failed"), &json!("2027-01-15T10:00:00Z"))
    );
    assert!(seen["error"].as_str().unwrap().contains("(500)"), "{seen}");
    upstream.behave(Conduct::Fails(401));
    verify(&app.owner(), &action, json!({})).await;
    let seen = health(&app, &path).await;
    assert_eq!((&seen["health"], &seen["consecutive_failures"]), (&json!("error"), &json!(5)));
    assert_eq!(app.owner().get(&path).await.ok()["status"], "active");
    upstream.behave(Conduct::Good);
    verify(&app.owner(), &action, json!({})).await;
    let seen = health(&app, &path).await;
    assert_eq!((&seen["health"], &seen["consecutive_failures"]), (&json!("healthy"), &json!(0)));
    assert_eq!(
        (&seen["error_code"], &seen["error"], &seen["error_at"]),
        (&json!(null), &json!(null), &json!(null))
    );
});

on_both!(without_a_credential_a_connection_is_unavailable_unless_nothing_is_asked_for, |app| {
    for (speech, code, noted) in
        [(Speech::OpenAi, "no_credential", "unavailable"), (Speech::Ollama, "ok", "healthy")]
    {
        let upstream = Provider::start(speech).await;
        let provider = if speech == Speech::Ollama { "ollama" } else { "openai" };
        let body = json!({"provider": provider, "name": provider, "base_url": upstream.url(""), "location": "local"});
        let connection = app.owner().post(CONNECTIONS, body).await.created();
        let path = format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap());
        let found = verify(&app.owner(), &format!("{path}/verify"), json!({})).await;
        assert_eq!(found["code"], code, "{found}");
        assert_eq!(health(&app, &path).await["effective_health"], noted);
    }
});

on_both!(another_secret_is_tried_without_being_kept_or_noted, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "production", &upstream.url("/v1"), WRONG_KEY).await;
    let found = verify(&app.owner(), &format!("{path}/verify"), json!({"secret": GOOD_KEY})).await;
    assert_eq!(found["code"], "ok");
    assert_eq!(health(&app, &path).await["health"], "unknown");
    let credentials = app.owner().get(&format!("{path}/credentials")).await.ok();
    assert_eq!(credentials["items"].as_array().unwrap().len(), 1);
    let found = verify(&app.owner(), &format!("{path}/verify"), json!({})).await;
    assert_eq!(found["code"], "key_refused");
    let faulty = app.owner().post(&format!("{path}/verify"), json!({"secret": ""})).await;
    faulty.invalid(&[("/secret", "required")]);
});

on_both!(what_was_found_of_a_connection_that_was_led_elsewhere_meanwhile_is_not_noted, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "production", &upstream.url("/v1"), GOOD_KEY).await;
    upstream.behave(Conduct::Waits);
    let (owner, action) = (app.owner(), format!("{path}/verify"));
    let call = async { owner.post(&action, json!({})).await.ok() };
    let edit = async {
        while upstream.count() == 0 {
            tokio::task::yield_now().await;
        }
        app.owner().patch(&path, json!({"base_url": "http://127.0.0.1:9/v1"})).await.ok();
        upstream.go();
    };
    let (found, ()) = tokio::join!(call, edit);
    assert_eq!(found["code"], "ok");
    let seen = health(&app, &path).await;
    assert_eq!((&seen["health"], &seen["detected_format"]), (&json!("unknown"), &json!(null)), "{seen}");
});

on_both!(a_connection_that_was_deleted_meanwhile_is_not_there, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "production", &upstream.url("/v1"), GOOD_KEY).await;
    upstream.behave(Conduct::Waits);
    let (owner, action) = (app.owner(), format!("{path}/verify"));
    let call = async { owner.post(&action, json!({})).await };
    let delete = async {
        while upstream.count() == 0 {
            tokio::task::yield_now().await;
        }
        app.owner().delete(&path).await.no_content();
        upstream.go();
    };
    let (reply, ()) = tokio::join!(call, delete);
    reply.problem(404, "not_found");
});

on_both!(a_secret_that_is_to_be_tested_is_added_only_if_the_upstream_knows_it, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "production", &upstream.url("/v1"), GOOD_KEY).await;
    let credentials = format!("{path}/credentials");
    let count = async || app.owner().get(&credentials).await.ok()["items"].as_array().unwrap().len();
    let new = |secret: &str| json!({"secret": secret, "test": true});
    let reply = app.owner().post(&credentials, new(WRONG_KEY)).await;
    assert!(!reply.text.contains(WRONG_KEY));
    let told = reply.clone().body["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(told.starts_with("The key was refused (401)"), "{told}");
    reply.invalid(&[("/secret", "key_refused")]);
    assert_eq!(count().await, 1);
    assert_eq!(health(&app, &path).await["health"], "unknown");
    upstream.behave(Conduct::Fails(500));
    app.owner().post(&credentials, new(WRONG_KEY)).await.invalid(&[("/secret", "provider_failed")]);
    assert_eq!(count().await, 1);
    // A key of which the upstream says that too much was asked of it is one that it knows.
    upstream.behave(Conduct::Fails(429));
    app.owner().post(&credentials, new("sk-another-0123456789")).await.created();
    assert_eq!(count().await, 2);
});

on_both!(a_repeated_call_is_answered_without_asking_again, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "production", &upstream.url("/v1"), GOOD_KEY).await;
    let candidate = json!({"base_url": upstream.url("/v1"), "secret": GOOD_KEY});
    for (path, body) in [(VERIFY.to_owned(), candidate), (format!("{path}/verify"), json!({}))] {
        let first = app.owner().post(&path, &body).idempotency_key(&path).await;
        let again = app.owner().post(&path, &body).idempotency_key(&path).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(first.ok(), again.ok());
        assert_eq!(upstream.seen().len(), 1);
    }
});

on_both!(a_strict_pool_without_a_proxy_leads_nowhere, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let pool = json!({"name": "frankfurt", "strict": true, "entries": [{"url": dead_url().await}]});
    let pool = app.owner().post("/v1/organizations/default/proxy-pools", pool).await.created();
    let body = json!({"base_url": upstream.url("/v1"), "secret": GOOD_KEY, "proxy_pool_id": pool["id"]});
    let found = verify(&app.owner(), VERIFY, body).await;
    assert_eq!(found["code"], "proxy_failed", "{found}");
    let path = connect(&app, "production", &upstream.url("/v1"), GOOD_KEY).await;
    app.owner().patch(&path, json!({"proxy_pool_id": pool["id"]})).await.ok();
    let found = verify(&app.owner(), &format!("{path}/verify"), json!({})).await;
    assert_eq!(found["code"], "proxy_failed", "{found}");
    assert_eq!(health(&app, &path).await["health"], "degraded");
    app.owner().post(&format!("{path}/discover-models"), json!({})).await.problem(502, "upstream_failed");
    assert_eq!(upstream.count(), 0, "a strict pool was gone around");
});

on_both!(several_connections_are_verified_at_once_each_by_itself, |app| {
    let (good, bad) = (Provider::start(Speech::OpenAi).await, Provider::start(Speech::OpenAi).await);
    bad.behave(Conduct::Fails(401));
    let paths = [
        connect(&app, "good", &good.url("/v1"), GOOD_KEY).await,
        connect(&app, "bad", &bad.url("/v1"), GOOD_KEY).await,
    ];
    let ids = paths.each_ref().map(|path| path.rsplit('/').next().unwrap());
    let batch = format!("{VERIFY}/batch");
    let found = app.owner().post(&batch, json!({ "connection_ids": ids })).await.ok();
    let codes: Vec<(&Value, &Value)> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["connection_id"], &item["code"]))
        .collect();
    assert_eq!(codes, [(&json!(ids[0]), &json!("ok")), (&json!(ids[1]), &json!("key_refused"))]);
    assert_eq!(health(&app, &paths[0]).await["health"], "healthy");
    assert_eq!(health(&app, &paths[1]).await["health"], "error");
    app.owner().post(&format!("{}/disable", paths[1]), json!({})).await.ok();
    let found = app.owner().post(&batch, json!({"provider": "openai"})).idempotency_key("once").await.ok();
    assert_eq!((found["items"].as_array().unwrap().len(), &found["items"][0]["ok"]), (1, &json!(true)));
    let asked = good.count();
    let again = app.owner().post(&batch, json!({"provider": "openai"})).idempotency_key("once").await.ok();
    assert_eq!((again, good.count()), (found, asked));
    for (body, fault) in [
        (json!({}), ("/connection_ids", "one_of")),
        (json!({"provider": "openai", "connection_ids": ids}), ("/connection_ids", "one_of")),
        (json!({"connection_ids": vec![ids[0]; 21]}), ("/connection_ids", "too_many")),
        (json!({"provider": "Open AI"}), ("/provider", "invalid_value")),
    ] {
        app.owner().post(&batch, body).await.invalid(&[fault]);
    }
    let nobodys = "conn_019aa3c1f6b07c3e9a5d2f4b8c6e1d70";
    app.owner().post(&batch, json!({"connection_ids": [ids[0], nobodys]})).await.problem(404, "not_found");
    let acme = app.other_organization("acme").await;
    let theirs = batch.replace("/default/", "/acme/");
    acme.post(&theirs, json!({ "connection_ids": ids })).await.problem(404, "not_found");
});

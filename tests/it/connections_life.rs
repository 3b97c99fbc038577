//! The life of connections: disabled and enabled, seen well and unwell, moved, deleted with what hangs on them.

use crate::{
    connection_icons,
    connections::{CONNECTIONS, make, smallest},
    credentials, limits,
    teams::{self, TEAMS},
};
use entity::{
    connection_state, credential, discovered_model,
    id::ConnectionId,
    model_mapping, provider_connection,
    status::{ConnectionStatus, CredentialState, Health, Protocol},
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::json;
use tests::{TestApp, on_both};

fn id(path: &str) -> ConnectionId {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

/// What a call of the server's own would have seen.
async fn see(app: &TestApp, path: &str, health: Health) {
    let seen = connection_state::ActiveModel {
        connection_id: Set(id(path)),
        health: Set(health),
        consecutive_failures: Set(3),
        error_code: Set(Some("timeout".into())),
        error: Set(Some("it took too long".into())),
        error_at: Set(Some(app.clock.now())),
        detected_endpoint: Set(Some("https://eu.example.com/v1".into())),
        detected_format: Set(Some(Protocol::OpenaiResponses)),
        detected_at: Set(Some(app.clock.now())),
        ..Default::default()
    };
    seen.update(&app.system.db.writer).await.unwrap();
}

on_both!(a_disabled_connection_says_why_until_it_is_enabled, |app| {
    let owner = app.owner();
    let path = make(&owner, "a").await;
    let disable = format!("{path}/disable");
    let long = json!({"reason": "x".repeat(1025)});
    owner.post(&disable, long).await.invalid(&[("/reason", "too_long")]);
    owner.post(&disable, json!({"why": "x"})).await.problem(400, "unknown_field");
    let disabled = owner.post(&disable, json!({"reason": "outage"})).await.ok();
    assert_eq!((&disabled["status"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("outage")));
    assert_eq!(disabled["version"], 2);
    // It is an emergency: it asks for no version.
    owner.post(&disable, json!({})).if_match(1).await.ok();
    assert_eq!(owner.get(&path).await.ok()["disabled_reason"], json!(null));
    let enabled = owner.post(&format!("{path}/enable"), json!({})).if_match(3).await.ok();
    assert_eq!((&enabled["status"], &enabled["version"]), (&json!("active"), &json!(4)));
});

on_both!(without_a_credential_a_connection_is_unavailable_unless_it_is_local, |app| {
    let owner = app.owner();
    let path = make(&owner, "a").await;
    see(&app, &path, Health::Healthy).await;
    let health = async || owner.get(&format!("{path}/health")).await.ok();
    let both = async || {
        (health().await["effective_health"].clone(), owner.get(&path).await.ok()["effective_health"].clone())
    };
    let unavailable = (json!("unavailable"), json!("unavailable"));
    let healthy = (json!("healthy"), json!("healthy"));
    assert_eq!(both().await, unavailable);
    assert_eq!(health().await["health"], "healthy");
    let secret = json!({"secret": credentials::SECRET});
    let added = owner.post(&format!("{path}/credentials"), secret).await.created();
    assert_eq!(both().await, healthy);
    let credential = format!("{path}/credentials/{}", added["id"].as_str().unwrap());
    for state in ["draining", "disabled"] {
        owner.patch(&credential, json!({"state": state})).await.ok();
        assert_eq!(both().await, unavailable, "{state}");
    }
    owner.patch(&path, json!({"location": "local"})).await.ok();
    assert_eq!(both().await, healthy);
});

on_both!(clearing_errors_forgets_them_and_is_no_edit, |app| {
    let owner = app.owner();
    let path = make(&owner, "a").await;
    see(&app, &path, Health::Error).await;
    let seen = owner.get(&format!("{path}/health")).await.ok();
    assert_eq!((&seen["error_code"], &seen["consecutive_failures"]), (&json!("timeout"), &json!(3)));
    let cleared = owner.post(&format!("{path}/clear-errors"), json!({})).await.ok();
    assert_eq!(cleared["version"], 1);
    let seen = owner.get(&format!("{path}/health")).await.ok();
    for (field, value) in [
        ("health", json!("unknown")),
        ("consecutive_failures", json!(0)),
        ("error_code", json!(null)),
        ("error", json!(null)),
        ("error_at", json!(null)),
        ("detected_endpoint", json!("https://eu.example.com/v1")),
    ] {
        assert_eq!(seen[field], value, "{field}");
    }
});

on_both!(what_was_detected_counts_until_the_connection_moves, |app| {
    let owner = app.owner();
    let path = make(&owner, "a").await;
    see(&app, &path, Health::Healthy).await;
    let read = owner.get(&path).await.ok();
    assert_eq!(read["effective_base_url"], "https://eu.example.com/v1");
    assert_eq!(read["effective_format"], "openai_responses");
    let pinned = json!({"format": "openai_chat", "format_mode": "pinned"});
    assert_eq!(owner.patch(&path, pinned).await.ok()["effective_format"], "openai_chat");
    // The same address again is no move.
    let same = json!({"base_url": "https://api.openai.com/v1", "format_mode": "auto"});
    let same = owner.patch(&path, same).await.ok();
    assert_eq!(same["effective_base_url"], "https://eu.example.com/v1");
    assert_eq!(same["effective_format"], "openai_responses");
    let moved = owner.patch(&path, json!({"base_url": "https://new.example.com"})).await.ok();
    assert_eq!(moved["effective_base_url"], "https://new.example.com");
    assert_eq!(moved["effective_format"], "openai_chat");
    let seen = owner.get(&format!("{path}/health")).await.ok();
    assert_eq!((&seen["detected_endpoint"], &seen["detected_at"]), (&json!(null), &json!(null)));
    assert_eq!(seen["health"], "healthy");
});

on_both!(only_an_operator_lets_certificates_be, |app| {
    let path = make(&app.owner(), "a").await;
    let tls = format!("{path}/tls-verification");
    let skip = json!({"skip": true});
    app.admin().await.post(&tls, &skip).await.problem(403, "forbidden");
    let skipped = app.operator().await.post(&tls, &skip).await.ok();
    assert_eq!((&skipped["tls_skip_verify"], &skipped["version"]), (&json!(true), &json!(2)));
    app.owner().post(&tls, json!({})).await.invalid(&[("/skip", "required")]);
    let looked = app.owner().post(&tls, json!({"skip": false})).if_match(2).await.ok();
    assert_eq!(looked["tls_skip_verify"], false);
    // It was meant for that upstream: where the connection is led elsewhere, certificates are looked at again.
    app.owner().patch(&path, json!({"priority": 5})).await.ok();
    app.operator().await.post(&tls, &skip).await.ok();
    let kept = app.owner().patch(&path, json!({"priority": 6})).await.ok();
    assert_eq!(kept["tls_skip_verify"], true);
    let moved =
        app.owner().patch(&path, json!({"alternate_base_urls": ["https://other.example.com"]})).await.ok();
    assert_eq!(moved["tls_skip_verify"], false);
});

on_both!(what_hangs_on_a_connection_goes_with_it_and_its_secrets_are_erased, |app| {
    let owner = app.owner();
    let (path, _) = credentials::make(&owner, "a").await;
    let path = path.trim_end_matches("/credentials").to_owned();
    owner.patch(&path, json!({"headers": {"x-tenant": "one"}})).await.ok();
    let mapping = json!({"client_name": "fast", "upstream_name": "gpt-4o-mini"});
    owner.post(&format!("{path}/mappings"), mapping).await.created();
    connection_icons::put(&owner, &path, connection_icons::GIF).await.ok();
    let db = &app.system.db.writer;
    let found = discovered_model::Model {
        connection_id: id(&path),
        name: "gpt-4o".into(),
        organization_id: app.organization,
        display_name: None,
        owned_by: None,
        context_window: None,
        max_output_tokens: None,
    };
    discovered_model::Entity::insert(found.into_active_model()).exec_without_returning(db).await.unwrap();
    let body = json!({"subject_kind": "connection", "subject_id": id(&path), "metric": "requests", "window": "day", "amount": "5"});
    let limit = owner.post(limits::LIMITS, body).await.created();
    owner.delete(&path).await.no_content();

    let row = provider_connection::Entity::find_by_id(id(&path)).one(db).await.unwrap().unwrap();
    assert_eq!(row.status, ConnectionStatus::Deleted);
    assert!(row.headers.is_none() && row.header_names.0.is_empty() && row.data_key_id.is_none());
    let of_it = credential::Column::ConnectionId.eq(id(&path));
    let credentials = credential::Entity::find().filter(of_it).all(db).await.unwrap();
    assert_eq!(credentials.len(), 1);
    assert_eq!(credentials[0].state, CredentialState::Retired);
    assert!(credentials[0].secret.is_none() && credentials[0].deleted_at.is_some());
    assert!(model_mapping::Entity::find().one(db).await.unwrap().is_none());
    assert!(discovered_model::Entity::find().one(db).await.unwrap().is_none());
    assert!(entity::connection_icon::Entity::find().one(db).await.unwrap().is_none());
    owner.get(&limits::path(&limit)).await.problem(404, "not_found");
});

on_both!(the_connections_of_a_team_are_in_its_way_whatever_becomes_of_its_keys, |app| {
    let owner = app.owner();
    let team = teams::make(&owner, "search").await;
    let mut body = smallest("a");
    body["team_id"] = json!(teams::id(&team));
    let made = owner.post(CONNECTIONS, body).await.created();
    for query in ["", "?cascade=revoke"] {
        let refused = owner.delete(&format!("{team}{query}")).await.problem(409, "in_use");
        assert!(refused["detail"].as_str().unwrap().starts_with("1 connections"), "{refused}");
    }
    owner.delete(&format!("{CONNECTIONS}/{}", made["id"].as_str().unwrap())).await.no_content();
    owner.delete(&team).await.no_content();
    let mut body = smallest("b");
    body["team_id"] = json!(teams::id(&team));
    owner.post(CONNECTIONS, body).await.problem(404, "not_found");
    assert_eq!(owner.get(TEAMS).await.ok()["items"], json!([]));
});

//! Decisions: who may ask, every reason against a call, and what is told of them.

use crate::keys::{self, KEYS, service_account, team};
use axum::http::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use service::token::{TokenKind, mint};
use tests::{Client, TestApp, on_both};

/// A key with these fields, owned by a new team unless they name an owner.
pub async fn issue(app: &TestApp, mut fields: Value) -> Value {
    let owned = ["team_id", "user_id", "service_account_id"].iter().any(|owner| fields.get(owner).is_some());
    let name = format!("team of {fields}");
    if !owned {
        fields["team_id"] = team(app, &name).await.into();
    }
    if fields.get("name").is_none() {
        fields["name"] = "ci".into();
    }
    app.owner().post(KEYS, fields).await.created()
}

/// What a gateway is told of a call with this key.
pub async fn ask(gateway: &Client, key: &Value, mut call: Value) -> Value {
    call["key"] = key["secret"].clone();
    gateway.post("/v1/authorize", call).await.ok()
}

/// The codes against a call, the gravest first.
pub fn codes(decision: &Value) -> Vec<&str> {
    decision["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

/// Asserts that a call is allowed, or refused for exactly these reasons.
#[track_caller]
pub fn refused(decision: &Value, expected: &[&str]) {
    assert_eq!(codes(decision), expected, "{decision}");
    assert_eq!(decision["allowed"], expected.is_empty(), "{decision}");
    assert_eq!(decision["client_response"].is_null(), expected.is_empty(), "{decision}");
}

async fn act(app: &TestApp, path: &str) {
    app.owner().post(path, json!({})).await.ok();
}

on_both!(a_good_key_is_let_through_and_named, |app| {
    let gateway = app.gateway().await;
    let key = issue(&app, json!({"name": "ci", "tags": {"cost_centre": "4711"}})).await;
    let tags = json!({"cost_centre": "0", "run": "7"});
    let decision = ask(&gateway, &key, json!({"model": "gpt-4o", "tags": tags})).await;
    refused(&decision, &[]);
    assert!(decision["decision_id"].as_str().unwrap().starts_with("dec_"));
    let named = &decision["key"];
    assert_eq!(
        (&named["id"], &named["name"], &named["team_id"]),
        (&key["id"], &json!("ci"), &key["team_id"])
    );
    assert_eq!(named["tags"], json!({"cost_centre": "4711", "run": "7"}), "the key's own tags win");
    assert_eq!((&named["user_id"], &named["service_account_id"]), (&json!(null), &json!(null)));
});

on_both!(every_reason_is_found, |app| {
    let (owner, gateway) = (app.owner(), app.gateway().await);
    let path = keys::path;

    let key = issue(&app, json!({})).await;
    act(&app, &format!("{}/disable", path(&key))).await;
    refused(&ask(&gateway, &key, json!({})).await, &["key_disabled"]);
    act(&app, &format!("{}/enable", path(&key))).await;
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    act(&app, &format!("{}/revoke", path(&key))).await;
    let denial = ask(&gateway, &key, json!({})).await;
    refused(&denial, &["key_revoked"]);
    assert_eq!(denial["client_response"]["http_status"], 401);
    owner.delete(&path(&key)).await.no_content();
    refused(&ask(&gateway, &key, json!({})).await, &["key_revoked"]);

    let key = issue(&app, json!({"expires_at": "2027-01-15T11:00:00Z"})).await;
    app.clock.advance(chrono::TimeDelta::minutes(60) - chrono::TimeDelta::microseconds(1));
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    app.clock.advance(chrono::TimeDelta::microseconds(1));
    refused(&ask(&gateway, &key, json!({})).await, &["key_expired"]);

    let key = issue(&app, json!({"scopes": ["chat"]})).await;
    refused(&ask(&gateway, &key, json!({"scope": "chat"})).await, &[]);
    refused(&ask(&gateway, &key, json!({"scope": "embeddings"})).await, &["scope_not_allowed"]);
    refused(&ask(&gateway, &key, json!({})).await, &["scope_not_allowed"]);

    let key = issue(&app, json!({"allowed_cidrs": ["10.0.0.0/8", "2001:db8::/32"]})).await;
    for (ip, expected) in [
        (json!("10.1.2.3"), &[][..]),
        (json!("::ffff:10.1.2.3"), &[]),
        (json!("2001:db8::1"), &[]),
        (json!("11.0.0.1"), &["address_not_allowed"]),
        (json!(null), &["address_not_allowed"]),
    ] {
        refused(&ask(&gateway, &key, json!({"client_ip": ip})).await, expected);
    }
    let nowhere = issue(&app, json!({"name": "nowhere", "allowed_cidrs": []})).await;
    refused(&ask(&gateway, &nowhere, json!({"client_ip": "10.1.2.3"})).await, &["address_not_allowed"]);
});

on_both!(a_suspended_owner_stops_its_keys, |app| {
    let gateway = app.gateway().await;
    let organization = "/v1/organizations/default";
    let member = app.member().await;
    let account = service_account(&app, "batch").await;
    let of_team = issue(&app, json!({})).await;
    let of_person = issue(&app, json!({"user_id": member.user_id})).await;
    let of_account = issue(&app, json!({"service_account_id": account})).await;
    let team_id = of_team["team_id"].as_str().unwrap();
    for (key, thing) in [
        (&of_team, format!("{organization}/teams/{team_id}")),
        (&of_person, format!("{organization}/members/{}", member.user_id)),
        (&of_person, format!("/v1/users/{}", member.user_id)),
        (&of_account, format!("{organization}/service-accounts/{account}")),
    ] {
        refused(&ask(&gateway, key, json!({})).await, &[]);
        act(&app, &format!("{thing}/suspend")).await;
        let denial = ask(&gateway, key, json!({})).await;
        refused(&denial, &["owner_suspended"]);
        assert_eq!(denial["client_response"]["http_status"], 403);
        act(&app, &format!("{thing}/resume")).await;
        refused(&ask(&gateway, key, json!({})).await, &[]);
    }
    act(&app, &format!("{organization}/suspend")).await;
    for key in [&of_team, &of_person, &of_account] {
        refused(&ask(&gateway, key, json!({})).await, &["organization_suspended"]);
    }
    act(&app, &format!("{organization}/resume")).await;
    refused(&ask(&gateway, &of_team, json!({})).await, &[]);
});

on_both!(every_failing_reason_is_reported_at_once, |app| {
    let gateway = app.gateway().await;
    let fields = json!({"scopes": ["chat"], "allowed_cidrs": ["10.0.0.0/8"], "allowed_models": ["gpt-*"],
        "expires_at": "2027-01-15T11:00:00Z"});
    let key = issue(&app, fields).await;
    act(&app, &format!("{}/disable", keys::path(&key))).await;
    let team_path = format!("/v1/organizations/default/teams/{}", key["team_id"].as_str().unwrap());
    act(&app, &format!("{team_path}/suspend")).await;
    act(&app, "/v1/organizations/default/suspend").await;
    app.clock.advance(chrono::TimeDelta::hours(2));
    let call = json!({"model": "o3", "scope": "images", "client_ip": "8.8.8.8"});
    let denial = ask(&gateway, &key, call).await;
    let expected = [
        "key_expired",
        "key_disabled",
        "owner_suspended",
        "organization_suspended",
        "model_not_allowed",
        "scope_not_allowed",
        "address_not_allowed",
    ];
    refused(&denial, &expected);
    assert_eq!(denial["client_response"]["http_status"], 401, "401 goes before 403");
    assert!(denial["reasons"].as_array().unwrap().iter().all(|reason| reason["message"] != ""));
});

on_both!(what_is_no_key_of_this_gateway_is_unknown_in_one_and_the_same_way, |app| {
    let gateway = app.gateway().await;
    let key = issue(&app, json!({})).await;
    let good = key["secret"].as_str().unwrap().to_owned();
    let id = key["id"].as_str().unwrap().parse::<entity::id::KeyId>().unwrap();
    let forged = mint(&app.system, TokenKind::VirtualKey, id.uuid());
    let absent =
        mint(&app.system, TokenKind::VirtualKey, app.system.entropy.id::<()>(app.clock.now()).uuid());
    let acme = app.other_organization("acme").await;
    let foreign_team = acme.post("/v1/organizations/acme/teams", json!({"name": "x"})).await.created();
    let foreign = json!({"name": "x", "team_id": foreign_team["id"]});
    let foreign = acme.post("/v1/organizations/acme/keys", foreign).await.created();
    let body = json!({"name": "narrow", "team_ids": [team(&app, "another").await]});
    let narrow = app.owner().post("/v1/organizations/default/gateway-tokens", body).await.created();
    let narrow = app.client(narrow["secret"].as_str().unwrap());
    let mut answers = Vec::new();
    for (gateway, text) in [
        (&gateway, String::new()),
        (&gateway, "sk-1234".into()),
        (&gateway, "\u{0}ü".repeat(5000)),
        (&gateway, format!("{}x", &good[..good.len() - 1])),
        (&gateway, forged.token.expose().to_owned()),
        (&gateway, absent.token.expose().to_owned()),
        (&gateway, foreign["secret"].as_str().unwrap().to_owned()),
        (&gateway, gateway.bearer().unwrap()),
        (&narrow, good.clone()),
    ] {
        let mut denial = gateway.post("/v1/authorize", json!({"key": text, "model": "x"})).await.ok();
        denial["decision_id"] = Value::Null;
        refused(&denial, &["key_unknown"]);
        answers.push(denial);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    assert_eq!(answers[0]["key"], Value::Null);
    refused(&ask(&gateway, &key, json!({})).await, &[]);
});

on_both!(models_are_what_every_rule_allows, |app| {
    let (owner, gateway) = (app.owner(), app.gateway().await);
    let fields = json!({"allowed_models": ["gpt-*", "o3"], "denied_models": ["*-preview"]});
    let key = issue(&app, fields).await;
    let no = &["model_not_allowed"][..];
    for (call, expected) in [
        (json!({"model": "gpt-4o"}), &[][..]),
        (json!({"model": "o3"}), &[]),
        (json!({"model": "o3-mini"}), no),
        (json!({"model": "GPT-4o"}), &[]),
        (json!({"model": "gpt-4o-preview"}), no),
        (json!({"models": ["gpt-4o", "o3"]}), &[]),
        (json!({"models": ["gpt-4o", "claude"]}), no),
        (json!({}), no),
    ] {
        refused(&ask(&gateway, &key, call).await, expected);
    }
    let team_path = format!("/v1/organizations/default/teams/{}", key["team_id"].as_str().unwrap());
    owner.patch(&team_path, json!({"allowed_models": ["gpt-4o*"]})).await.ok();
    let denial = ask(&gateway, &key, json!({"model": "o3"})).await;
    refused(&denial, no);
    assert_eq!(denial["reasons"][0]["message"], "the team does not allow o3");
    owner.patch("/v1/organizations/default", json!({"allowed_models": []})).await.ok();
    refused(&ask(&gateway, &key, json!({"model": "gpt-4o"})).await, no);
    owner.patch("/v1/organizations/default", json!({"allowed_models": null})).await.ok();
    refused(&ask(&gateway, &key, json!({"model": "gpt-4o"})).await, &[]);

    let free = issue(&app, json!({"name": "free"})).await;
    refused(&ask(&gateway, &free, json!({})).await, &[]);
    let denies = issue(&app, json!({"name": "denies", "denied_models": ["o3"]})).await;
    refused(&ask(&gateway, &denies, json!({})).await, no);
});

on_both!(an_old_secret_works_until_its_grace_is_over, |app| {
    let gateway = app.gateway().await;
    let key = issue(&app, json!({})).await;
    let path = format!("{}/rotate", keys::path(&key));
    let rotated = app.owner().post(&path, json!({"grace_seconds": 60})).await.ok();
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    refused(&ask(&gateway, &rotated, json!({})).await, &[]);
    app.clock.advance(chrono::TimeDelta::seconds(60));
    refused(&ask(&gateway, &key, json!({})).await, &["secret_expired"]);
    refused(&ask(&gateway, &rotated, json!({})).await, &[]);
});

on_both!(a_denial_speaks_the_clients_language, |app| {
    let gateway = app.gateway().await;
    let key = issue(&app, json!({"allowed_models": []})).await;
    let openai = ask(&gateway, &key, json!({"model": "o3"})).await["client_response"].clone();
    assert_eq!(openai["http_status"], 403);
    assert_eq!(openai["headers"]["content-type"], "application/json");
    let error = json!({"message": "the key does not allow o3", "type": "permission_error", "param": null,
        "code": "model_not_allowed"});
    assert_eq!(openai["body"], json!({ "error": error }));
    let call = json!({"key": "nonsense", "error_format": "anthropic"});
    let anthropic = gateway.post("/v1/authorize", call).await.ok()["client_response"].clone();
    assert_eq!(anthropic["http_status"], 401);
    assert_eq!(anthropic["body"]["type"], "error");
    assert_eq!(anthropic["body"]["error"]["type"], "authentication_error");
});

on_both!(only_a_gateway_that_has_proved_itself_is_answered, |app| {
    let key = issue(&app, json!({})).await;
    let call = json!({"key": key["secret"]});
    let made = mint(&app.system, TokenKind::Gateway, app.system.entropy.id::<()>(app.clock.now()).uuid());
    let unknown = app.client(made.token.expose());
    let virtual_key = app.client(key["secret"].as_str().unwrap());
    for path in ["/v1/authorize", "/v1/authorize/explain"] {
        app.anonymous().post(path, &call).await.problem(401, "unauthenticated");
        app.client("nonsense").post(path, &call).await.problem(401, "token_invalid");
        unknown.post(path, &call).await.problem(401, "token_invalid");
        unknown.post(path, json!({"nonsense": 1})).await.problem(401, "token_invalid");
        unknown.post(path, json!({"key": "x", "models": []})).await.problem(401, "token_invalid");
        app.owner().post(path, &call).await.problem(403, "forbidden");
        virtual_key.post(path, &call).await.problem(403, "forbidden");
        let gateway = app.gateway().await;
        gateway.post(path, json!({"nonsense": 1})).await.problem(400, "unknown_field");
        gateway.request(Method::POST, path).body("{", "application/json").await.problem(400, "invalid_json");
        gateway
            .request(Method::POST, path)
            .body("a=b", "text/plain")
            .await
            .problem(415, "unsupported_media_type");
        gateway.post(path, json!({})).await.invalid(&[("/key", "required")]);
        gateway.post(path, json!({"key": 7})).await.invalid(&[("/key", "invalid_value")]);
        let both = json!({"key": "x", "model": "a", "models": ["b", ""], "scope": ""});
        let faults = [("/models", "exclusive"), ("/models/1", "required"), ("/scope", "required")];
        gateway.post(path, both).await.invalid(&faults);
        gateway
            .post(path, json!({"key": "x", "models": vec!["m"; 33]}))
            .await
            .invalid(&[("/models", "too_many")]);
        gateway
            .post(path, json!({"key": "x", "client_ip": "1.2.3"}))
            .await
            .invalid(&[("/client_ip", "invalid_value")]);
    }
    app.gateway().await.get("/v1/organizations/default/keys").await.problem(403, "forbidden");
});

on_both!(one_broken_row_fails_alone, |app| {
    let gateway = app.gateway().await;
    let team_id = team(&app, "team").await;
    let mut all = Vec::new();
    for n in 0..20 {
        all.push(issue(&app, json!({"name": format!("key {n}"), "team_id": team_id})).await);
    }
    let broken = "UPDATE virtual_key SET allowed_models = '\"nonsense\"' WHERE name = 'key 7'";
    app.system.db.writer.execute_unprepared(broken).await.unwrap();
    let asked = all
        .iter()
        .map(|key| async { gateway.post("/v1/authorize", json!({"key": key["secret"]})).await.status });
    let statuses = futures_util::future::join_all(asked).await;
    let expected: Vec<u16> = (0..20).map(|n| if n == 7 { 500 } else { 200 }).collect();
    assert_eq!(statuses, expected);
});

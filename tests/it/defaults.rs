//! What the contract tells as a default is what the server does when the field is absent. A default that nothing here
//! shows, and that no other test is named for, is a fault.

use crate::{decisions::issue, keys::path, openapi::document};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{Client, TestApp, on_both};

const ORGANIZATION: &str = "/v1/organizations/default";

/// Defaults that no reply tells of, and the module whose tests go by them. This list may only shrink.
const SHOWN_ELSEWHERE: [(&str, &str); 10] = [
    ("Departure.revoke_keys", "owners"),
    ("ExpiredKeys.expired_for_seconds", "keys_life"),
    ("NewAttempt.status", "metering"),
    ("NewCredential.test", "credentials"),
    ("NewDecision.error_format", "decisions"),
    ("NewDiscovery.refresh", "connection_discovery"),
    ("NewResolution.status", "metering"),
    ("NewTrial.timeout_seconds", "proxy_pools_test"),
    ("NewVerification.format_mode", "connection_verify"),
    ("ProxyEntryPatch.enabled", "proxy_pools_edit"),
];

/// A schema, its own fields and those it takes in.
fn fields(document: &Value, schema: &str) -> Vec<(String, Value)> {
    let schema = &document["components"]["schemas"][schema];
    let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
    let fields = parts.filter_map(|part| part["properties"].as_object()).flatten();
    fields.map(|(name, field)| (name.clone(), field.clone())).collect()
}

/// The defaults of a schema, and in `seen` that they were looked at.
fn defaults(document: &Value, schema: &str, seen: &mut BTreeSet<String>) -> Vec<(String, Value)> {
    let told = fields(document, schema).into_iter().filter_map(|(name, field)| {
        let default = field.get("default")?.clone();
        seen.insert(format!("{schema}.{name}"));
        Some((name, default))
    });
    told.collect()
}

/// What is left of a row once only what is required was stated.
async fn made(owner: &Client) -> Vec<(&'static str, Value)> {
    let make = async |collection: &str, body: Value| {
        owner.post(&format!("{ORGANIZATION}/{collection}"), body).await.created()
    };
    let team = make("teams", json!({"name": "search"})).await["id"].clone();
    let limit = json!({"metric": "requests", "window": "day", "amount": "9"});
    let key = make("keys", json!({"name": "ci", "team_id": team, "limits": [limit]})).await;
    let of_key = key["limits"][0].clone();
    let mut own = limit.clone();
    (own["subject_kind"], own["subject_id"]) = ("team".into(), team);
    make("providers", json!({"name": "acme", "display_name": "Acme"})).await;
    let model = make("models", json!({"provider": "acme", "name": "m", "capabilities": {}})).await;
    let price = json!({"model": "m", "kind": "per_request", "per_request": "0.01"});
    let pool = make("proxy-pools", json!({"name": "p", "entries": [{"url": "http://127.0.0.1:9"}]})).await;
    let connection = json!({"provider": "openai", "name": "c", "base_url": "http://127.0.0.1:9"});
    let connection = make("connections", connection).await;
    let mappings = format!("connections/{}/mappings", connection["id"].as_str().unwrap());
    vec![
        ("NewKeyLimit", of_key),
        ("NewLimit", make("limits", own).await),
        ("NewModel", model.clone()),
        ("Capabilities", model["capabilities"].clone()),
        ("NewModelAlias", make("model-aliases", json!({"name": "a", "target": "m"})).await),
        ("NewPrice", make("prices", price).await),
        ("NewProxyPool", pool.clone()),
        ("NewProxyEntry", pool["entries"][0].clone()),
        ("NewConnection", connection),
        ("NewMapping", make(&mappings, json!({"client_name": "x", "upstream_name": "y"})).await),
        ("NewServiceAccount", make("service-accounts", json!({"name": "nightly"})).await),
    ]
}

fn seconds_until(app: &TestApp, time: &Value) -> i64 {
    (time.as_str().unwrap().parse::<DateTime<Utc>>().unwrap() - app.clock.now()).num_seconds()
}

on_both!(an_absent_field_has_the_default_that_is_told, |app| {
    let (document, mut seen) = (document(), BTreeSet::new());
    for (schema, row) in made(&app.owner()).await {
        for (field, default) in defaults(document, schema, &mut seen) {
            assert_eq!(row[&field], default, "{schema}.{field}");
        }
    }
    let mut is = |name: &str, found: Value| {
        let (schema, field) = name.split_once('.').unwrap();
        let told = fields(document, schema).into_iter().find(|(name, _)| name == field);
        assert_eq!(told.unwrap().1["default"], found, "{name}");
        seen.insert(name.to_owned());
    };
    let invitation = json!({"email": "new@example.com", "role": "member"});
    let invitation = app.owner().post(&format!("{ORGANIZATION}/invitations"), invitation).await.created();
    is("NewInvitation.expires_in_seconds", seconds_until(&app, &invitation["expires_at"]).into());
    let (gateway, key) = (app.gateway().await, issue(&app, json!({})).await);
    let call = gateway.post("/v1/authorize", json!({"key": key["secret"], "model": "m"})).await.ok();
    is("NewDecision.expires_in", seconds_until(&app, &call["expires_at"]).into());
    app.clock.advance(TimeDelta::seconds(100));
    let id = &call["reservation_id"];
    let extended = gateway.post("/v1/extend", json!({"reservation_id": id})).await.ok();
    is("NewExtension.seconds", seconds_until(&app, &extended["expires_at"]).into());
    gateway.post("/v1/settle", json!({"reservation_id": id, "usage": {"prompt_tokens": 1}})).await.ok();
    let usage = json!({"key": key["secret"], "model": "m", "usage": {"prompt_tokens": 1}});
    gateway.post("/v1/usage", usage).await.ok();
    let events = app.owner().get(&format!("{ORGANIZATION}/usage/events")).await.ok();
    for (schema, event) in ["NewUsage", "NewSettlement"].into_iter().zip(events["items"].as_array().unwrap())
    {
        is(&format!("{schema}.status"), event["status"].clone());
    }
    app.owner().post(&format!("{}/rotate", path(&key)), json!({})).await.ok();
    let old = gateway.post("/v1/authorize", json!({"key": key["secret"], "model": "m"})).await.ok();
    is("Rotation.grace_seconds", if old["allowed"] == false { 0.into() } else { Value::Null });

    let shown: BTreeSet<String> = SHOWN_ELSEWHERE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(seen.intersection(&shown).count(), 0);
    seen.extend(shown);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut told = BTreeSet::new();
    schemas.keys().for_each(|schema| drop(defaults(document, schema, &mut told)));
    assert_eq!(told, seen, "a default that nothing shows");
});

on_both!(a_list_without_parameters_is_as_the_contract_tells, |app| {
    let owner = app.owner();
    for n in 0..21 {
        owner.post(&format!("{ORGANIZATION}/teams"), json!({"name": format!("team {n}")})).await.created();
    }
    let teams = format!("{ORGANIZATION}/teams");
    let list = &document()["paths"]["/v1/organizations/{organization}/teams"]["get"];
    let default = |name: &str| {
        let all = list["parameters"].as_array().unwrap();
        all.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"]["default"].clone()
    };
    let query = format!("page_size={}&order={}", default("page_size"), default("order").as_str().unwrap());
    let stated = owner.get(&format!("{teams}?{query}")).await.ok();
    assert_eq!(owner.get(&teams).await.ok()["items"], stated["items"]);
    assert_eq!(stated["items"].as_array().unwrap().len(), 20);
});

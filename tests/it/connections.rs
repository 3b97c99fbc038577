//! Connections: making, reading, listing, changing, disabling, deleting; what each field may say.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{Client, on_both};

pub const CONNECTIONS: &str = "/v1/organizations/default/connections";

/// The smallest connection.
pub fn smallest(name: &str) -> Value {
    json!({"provider": "openai", "name": name, "base_url": "https://api.openai.com/v1"})
}

/// Makes a connection; its path.
pub async fn make(client: &Client, name: &str) -> String {
    let connection = client.post(CONNECTIONS, smallest(name)).await.created();
    format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap())
}

/// The names in a page.
fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

on_both!(a_connection_can_be_made_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let body = json!({
        "provider": "acme-ai", "name": "production", "base_url": "https://api.example.com/v1",
        "alternate_base_urls": ["https://eu.example.com/v1", "http://10.1.2.3:8000"],
        "format": "openai_chat", "format_mode": "pinned",
        "protocols": [
            {"protocol": "openai_chat"},
            {"protocol": "anthropic_messages", "base_url": "https://api.example.com/anthropic", "rewrite_path": "/v2/m"},
        ],
        "force_protocol": "anthropic_messages", "default_model": "gpt-4o",
        "model_params": {"temperature": 0.7, "top_p": 1, "frequency_penalty": -2, "presence_penalty": 0.125, "max_tokens": 4096},
        "allowed_models": ["gpt-4o*"], "billing_type": "flat_fee", "priority": 7, "location": "local",
        "tags": {"cost_centre": "4711"}, "metadata": {"ticket": {"id": 7}},
    });
    let connection = owner.post(CONNECTIONS, &body).await.created();
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&connection[field], value, "{field}");
    }
    assert_eq!((&connection["status"], &connection["version"]), (&json!("active"), &json!(1)));
    assert_eq!(connection["created_by"], owner.user_id);
    assert_eq!(connection["created_at"], "2027-01-15T10:00:00Z");
    for (field, value) in [
        ("team_id", json!(null)),
        ("proxy_pool_id", json!(null)),
        ("disabled_reason", json!(null)),
        ("tls_skip_verify", json!(false)),
        ("headers", json!({})),
        ("effective_base_url", json!("https://api.example.com/v1")),
        ("effective_format", json!("openai_chat")),
        ("effective_health", json!("unknown")),
    ] {
        assert_eq!(connection[field], value, "{field}");
    }
    let path = format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap());
    assert_eq!(owner.get(&path).await.ok(), connection);
    app.clock.advance(TimeDelta::seconds(1));
    let clearing = json!({"format": null, "format_mode": "auto", "force_protocol": null, "default_model": null,
        "allowed_models": null, "model_params": {}, "protocols": [], "alternate_base_urls": []});
    let changed = owner.patch(&path, &clearing).if_match(1).await.ok();
    for (field, value) in clearing.as_object().unwrap() {
        assert_eq!(&changed[field], value, "{field}");
    }
    assert_eq!((&changed["version"], &changed["name"]), (&json!(2), &json!("production")));
    assert_ne!(changed["updated_at"], changed["created_at"]);
    assert_eq!(owner.patch(&path, json!({})).await.ok(), changed);
    owner.delete(&path).if_match(2).await.no_content();
    owner.get(&path).await.problem(404, "not_found");
    owner.delete(&path).await.problem(404, "not_found");
    assert_eq!(names(&owner.get(CONNECTIONS).await.ok()), [""; 0]);
});

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
        "alternate_base_urls": ["https://eu.example.com/v1", "http://127.0.0.1:8000"],
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

on_both!(what_is_not_said_has_its_default, |app| {
    let connection = app.owner().post(CONNECTIONS, smallest("production")).await.created();
    for (field, value) in [
        ("alternate_base_urls", json!([])),
        ("format", json!(null)),
        ("format_mode", json!("auto")),
        ("effective_format", json!(null)),
        ("protocols", json!([])),
        ("force_protocol", json!(null)),
        ("default_model", json!(null)),
        ("model_params", json!({})),
        ("allowed_models", json!(null)),
        ("billing_type", json!("metered")),
        ("priority", json!(0)),
        ("location", json!("cloud")),
        ("tags", json!({})),
        ("metadata", json!({})),
        // It has no credential.
        ("effective_health", json!("unavailable")),
    ] {
        assert_eq!(connection[field], value, "{field}");
    }
});

on_both!(every_faulty_field_of_a_new_connection_is_reported, |app| {
    let body = json!({
        "provider": "Open AI", "name": " ", "base_url": "ftp://api.example.com",
        "alternate_base_urls": ["https://user:secret@api.example.com", "https://a.example.com?key=1", "https://b.example.com#x",
            "https://c.example.com", "https://c.example.com", "https://10.0.0.1", "nowhere", "https://e.example.com/a b"],
        "format_mode": "pinned",
        "protocols": [
            {"protocol": "google", "base_url": "file:///etc/passwd"}, {"protocol": "google"},
            {"protocol": "ollama", "rewrite_path": "v1"}, {"protocol": "openai_chat", "rewrite_path": "//evil.example.com"},
        ],
        "force_protocol": "anthropic_messages", "default_model": "gpt-*",
        "model_params": {"temperature": 2.001, "top_p": -0.001, "frequency_penalty": -2.5, "presence_penalty": 3, "max_tokens": 0},
        "allowed_models": [""], "headers": {"host": "x"}, "priority": -1,
        "tags": {"": "v"}, "metadata": {"x": "y".repeat(16 * 1024)},
    });
    app.owner().post(CONNECTIONS, body).await.invalid(&[
        ("/provider", "invalid_value"),
        ("/name", "required"),
        ("/base_url", "scheme_not_allowed"),
        ("/alternate_base_urls/0", "userinfo_not_allowed"),
        ("/alternate_base_urls/1", "query_not_allowed"),
        ("/alternate_base_urls/2", "query_not_allowed"),
        ("/alternate_base_urls/4", "duplicate"),
        ("/alternate_base_urls/5", "address_forbidden"),
        ("/alternate_base_urls/6", "invalid_url"),
        ("/alternate_base_urls/7", "invalid_character"),
        ("/format", "required"),
        ("/protocols/0/base_url", "scheme_not_allowed"),
        ("/protocols/1/protocol", "duplicate"),
        ("/protocols/2/rewrite_path", "invalid_path"),
        ("/protocols/3/rewrite_path", "invalid_path"),
        ("/force_protocol", "not_supported"),
        ("/default_model", "invalid_character"),
        ("/model_params/temperature", "out_of_range"),
        ("/model_params/top_p", "out_of_range"),
        ("/model_params/frequency_penalty", "out_of_range"),
        ("/model_params/presence_penalty", "out_of_range"),
        ("/model_params/max_tokens", "out_of_range"),
        ("/allowed_models/0", "required"),
        ("/headers/host", "not_allowed"),
        ("/priority", "out_of_range"),
        ("/tags/", "required"),
        ("/metadata", "too_long"),
    ]);
    let protocols = vec![json!({"protocol": "google"}); 7];
    let many = json!({"provider": "x".repeat(65), "name": "x".repeat(256), "base_url": format!("https://{}", "x".repeat(2048)),
        "alternate_base_urls": (0..17).map(|n| format!("https://h{n}.example.com")).collect::<Vec<_>>(),
        "protocols": protocols, "priority": 1_000_001});
    let reply = app.owner().post(CONNECTIONS, many).await.problem(422, "invalid");
    let faults: Vec<_> =
        reply["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    for pointer in ["/provider", "/name", "/base_url", "/alternate_base_urls", "/protocols", "/priority"] {
        assert!(faults.contains(&pointer), "{pointer} is not in {faults:?}");
    }
    assert_eq!(app.owner().get(CONNECTIONS).await.ok()["items"], json!([]));
});

on_both!(every_faulty_field_of_a_patch_is_reported, |app| {
    let owner = app.owner();
    let path = make(&owner, "production").await;
    let body = json!({
        "name": "", "base_url": "https://user@api.example.com", "alternate_base_urls": ["x"], "format_mode": "pinned",
        "protocols": [{"protocol": "google"}], "force_protocol": "openai_chat", "default_model": "", "model_params": {"top_p": 2},
        "allowed_models": ["*".repeat(9)], "headers": {"te": "x"}, "priority": 1_000_001, "tags": {"k": "\u{0}"},
    });
    owner.patch(&path, body).await.invalid(&[
        ("/name", "required"),
        ("/base_url", "userinfo_not_allowed"),
        ("/alternate_base_urls/0", "invalid_url"),
        ("/format", "required"),
        ("/force_protocol", "not_supported"),
        ("/default_model", "required"),
        ("/model_params/top_p", "out_of_range"),
        ("/allowed_models/0", "too_many"),
        ("/headers/te", "not_allowed"),
        ("/priority", "out_of_range"),
        ("/tags/k", "invalid_character"),
    ]);
    for field in
        ["name", "base_url", "format_mode", "protocols", "model_params", "priority", "location", "tags"]
    {
        let pointer = format!("/{field}");
        owner.patch(&path, json!({field: null})).await.invalid(&[(pointer.as_str(), "not_nullable")]);
    }
    assert_eq!(owner.get(&path).await.ok()["version"], 1);
});

on_both!(what_is_forced_must_be_spoken_also_when_only_one_of_the_two_changes, |app| {
    let owner = app.owner();
    let path = make(&owner, "production").await;
    let forced = json!({"force_protocol": "openai_chat"});
    owner.patch(&path, &forced).await.invalid(&[("/force_protocol", "not_supported")]);
    let both = json!({"protocols": [{"protocol": "google"}, {"protocol": "openai_chat"}], "force_protocol": "openai_chat"});
    owner.patch(&path, both).await.ok();
    let without = json!({"protocols": [{"protocol": "google"}]});
    let refused = owner.patch(&path, &without).await.problem(422, "invalid");
    assert!(refused["detail"].as_str().unwrap().contains("google"), "{refused}");
    let freed = json!({"protocols": [{"protocol": "google"}], "force_protocol": null});
    assert_eq!(owner.patch(&path, freed).await.ok()["force_protocol"], json!(null));
    // And so it is with a format that is pinned.
    owner.patch(&path, json!({"format": "google", "format_mode": "pinned"})).await.ok();
    owner.patch(&path, json!({"format": null})).await.invalid(&[("/format", "required")]);
    owner.patch(&path, json!({"format": null, "format_mode": "auto"})).await.ok();
});

on_both!(values_of_a_wrong_type_and_unknown_or_read_only_fields_are_refused, |app| {
    let owner = app.owner();
    let path = make(&owner, "production").await;
    owner.post(CONNECTIONS, json!({"name": "a"})).await.invalid(&[("/provider", "required")]);
    for (field, value) in
        [("format", json!("morse")), ("priority", json!(1.5)), ("billing_type", json!(null))]
    {
        let mut body = smallest("other");
        body[field] = value;
        let reply = owner.post(CONNECTIONS, &body).await.problem(422, "invalid");
        assert_eq!(reply["errors"][0]["pointer"], format!("/{field}"));
    }
    let body = json!({"model_params": {"temperature": 0.12345}});
    owner.patch(&path, body).await.invalid(&[("/model_params/temperature", "invalid_value")]);
    let body = json!({"protocols": [{"protocol": "google", "surprise": 1}]});
    owner.patch(&path, body).await.problem(400, "unknown_field");
    for field in
        ["id", "status", "version", "tls_skip_verify", "effective_health", "created_by", "disabled_reason"]
    {
        let mut body = smallest("other");
        body[field] = json!("x");
        owner.post(CONNECTIONS, &body).await.problem(400, "unknown_field");
        owner.patch(&path, json!({field: "x"})).await.problem(400, "unknown_field");
    }
    // Whose a connection is and what it is a connection to is decided once.
    for field in ["provider", "team_id"] {
        owner.patch(&path, json!({field: "x"})).await.problem(400, "unknown_field");
    }
});

on_both!(a_name_is_unique_among_the_connections_to_a_provider, |app| {
    let owner = app.owner();
    let (first, second) = (make(&owner, "first").await, make(&owner, "second").await);
    owner.post(CONNECTIONS, smallest("first")).await.problem(409, "duplicate");
    owner.patch(&second, json!({"name": "first"})).await.problem(409, "duplicate");
    owner.patch(&first, json!({"name": "first"})).await.ok();
    let mut other = smallest("first");
    other["provider"] = json!("anthropic");
    owner.post(CONNECTIONS, other).await.created();
    owner.delete(&first).await.no_content();
    owner.patch(&second, json!({"name": "first"})).await.ok();
    let acme = app.other_organization("acme").await;
    acme.post("/v1/organizations/acme/connections", smallest("first")).await.created();
});

on_both!(a_new_connection_comes_behind_the_providers_others, |app| {
    let owner = app.owner();
    let priority = async |body: Value| owner.post(CONNECTIONS, body).await.created()["priority"].clone();
    assert_eq!(priority(smallest("a")).await, 0);
    assert_eq!(priority(smallest("b")).await, 1);
    let mut far = smallest("c");
    far["priority"] = json!(1_000_000);
    assert_eq!(priority(far).await, 1_000_000);
    assert_eq!(priority(smallest("d")).await, 1_000_000);
    let mut other = smallest("a");
    other["provider"] = json!("anthropic");
    assert_eq!(priority(other).await, 0);
});

on_both!(connections_are_found_by_what_is_given, |app| {
    let owner = app.owner();
    let team = crate::teams::make(&owner, "search").await;
    let team = crate::teams::id(&team);
    for (name, provider, team) in
        [("a1", "openai", None), ("a2", "openai", Some(team)), ("b1", "google", None)]
    {
        let body =
            json!({"provider": provider, "name": name, "base_url": "https://x.example.com", "team_id": team});
        let made = owner.post(CONNECTIONS, body).await.created();
        if name == "b1" {
            let path = format!("{CONNECTIONS}/{}/disable", made["id"].as_str().unwrap());
            owner.post(&path, json!({})).await.ok();
        }
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    for (query, found) in [
        ("", vec!["b1", "a2", "a1"]),
        ("?order=asc", vec!["a1", "a2", "b1"]),
        ("?provider=openai", vec!["a2", "a1"]),
        (&format!("?team_id={team}"), vec!["a2"]),
        ("?status=disabled", vec!["b1"]),
        ("?status=deleted", vec![]),
        ("?name_prefix=a&order=asc", vec!["a1", "a2"]),
        ("?proxy_pool_id=pool_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", vec![]),
    ] {
        assert_eq!(names(&owner.get(&format!("{CONNECTIONS}{query}")).await.ok()), found, "{query}");
    }
    owner.get(&format!("{CONNECTIONS}?surprise=1")).await.problem(400, "unknown_parameter");
    let page = owner.get(&format!("{CONNECTIONS}?page_size=2")).await.ok();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = owner.get(&format!("{CONNECTIONS}?page_size=2&cursor={cursor}")).await.ok();
    assert_eq!((names(&rest), &rest["next_cursor"]), (vec!["a1"], &json!(null)));
});

on_both!(a_stale_version_is_refused, |app| {
    let owner = app.owner();
    let path = make(&owner, "production").await;
    owner.patch(&path, json!({"name": "b"})).if_match(1).await.ok();
    for version in [1, 0, 3] {
        owner.patch(&path, json!({"name": "x"})).if_match(version).await.problem(412, "version_conflict");
        owner.delete(&path).if_match(version).await.problem(412, "version_conflict");
        for (action, body) in [("enable", json!({})), ("tls-verification", json!({"skip": true}))] {
            let action = owner.post(&format!("{path}/{action}"), body).if_match(version);
            action.await.problem(412, "version_conflict");
        }
    }
    owner.patch(&path, json!({"name": ""})).if_match(1).await.problem(412, "version_conflict");
    assert_eq!(owner.get(&path).await.ok()["name"], "b");
});

on_both!(another_organizations_connection_is_not_there, |app| {
    let acme = app.other_organization("acme").await;
    let path = make(&app.owner(), "production").await;
    let mine = path.replace("/default/", "/acme/");
    let action = |word: &str| acme.post(&format!("{mine}/{word}"), json!({}));
    for request in [
        acme.get(&mine),
        acme.patch(&mine, json!({})),
        acme.delete(&mine),
        action("enable"),
        action("disable"),
        action("clear-errors"),
        acme.get(&format!("{mine}/health")),
        acme.get(&format!("{mine}/credentials")),
        acme.get(&format!("{mine}/mappings")),
    ] {
        assert_eq!(request.await.problem(404, "not_found")["detail"], "connection not found");
    }
    acme.get(&path).await.problem(404, "not_found");
    assert_eq!(app.owner().get(&path).await.ok()["version"], 1);
});

on_both!(a_repeated_call_gets_the_same_reply_and_happens_once, |app| {
    let owner = app.owner();
    let first = owner.post(CONNECTIONS, smallest("a")).idempotency_key("one").await;
    let again = owner.post(CONNECTIONS, smallest("a")).idempotency_key("one").await;
    assert_eq!((again.status, &again.text, again.header("etag")), (201, &first.text, "\"1\""));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let path = format!("{CONNECTIONS}/{}", first.created()["id"].as_str().unwrap());
    for word in ["disable", "enable", "clear-errors"] {
        let action = format!("{path}/{word}");
        let first = owner.post(&action, json!({})).idempotency_key(word).await;
        let again = owner.post(&action, json!({})).idempotency_key(word).await;
        assert_eq!((again.status, &again.text), (200, &first.text));
    }
    assert_eq!(owner.get(&path).await.ok()["version"], 3);
});

on_both!(what_happens_to_a_connection_is_in_the_audit_log_without_its_headers, |app| {
    let owner = app.owner();
    let mut body = smallest("a");
    body["headers"] = json!({"x-tenant": "canary-of-a-header"});
    let made = owner.post(CONNECTIONS, body).await.created();
    let id = made["id"].as_str().unwrap();
    let path = format!("{CONNECTIONS}/{id}");
    owner.patch(&path, json!({"name": "b", "headers": {"x-tenant": "another-canary"}})).await.ok();
    owner.post(&format!("{path}/disable"), json!({"reason": "outage"})).await.ok();
    owner.post(&format!("{path}/enable"), json!({})).await.ok();
    owner.post(&format!("{path}/clear-errors"), json!({})).await.ok();
    owner.post(&format!("{path}/tls-verification"), json!({"skip": true})).await.ok();
    owner.delete(&path).await.no_content();
    let events = owner
        .get(&format!("/v1/organizations/default/audit-events?order=asc&subject={id}&page_size=100"))
        .await;
    assert!(!events.text.contains("canary"), "{}", events.text);
    let events = events.ok();
    let events = events["items"].as_array().unwrap();
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    let expected = ["create", "update", "disable", "enable", "clear_errors", "tls_verification", "delete"];
    assert_eq!(actions, expected.map(|word| format!("connection.{word}")));
    assert_eq!(events[1]["detail"]["after"]["name"], "b");
    assert_eq!(events[2]["detail"]["after"]["disabled_reason"], "outage");
    assert_eq!(events[5]["detail"]["after"]["tls_skip_verify"], true);
});

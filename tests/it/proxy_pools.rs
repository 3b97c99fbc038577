//! Proxy pools: making, reading, changing, disabling, deleting; what is shown and kept of passwords; who reaches them.

use crate::{
    proxy_pools_race::bind,
    teams::{id, make as make_team},
};
use chrono::TimeDelta;
use entity::{id::ProxyPoolId, proxy_entry, status::TestStatus};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

pub const POOLS: &str = "/v1/organizations/default/proxy-pools";

/// The bodies of entries with these URLs.
pub fn entries(urls: &[&str]) -> Value {
    urls.iter().map(|url| json!({ "url": url })).collect()
}

/// Makes a pool of these proxies.
pub async fn make(client: &Client, name: &str, urls: &[&str]) -> Value {
    client.post(POOLS, json!({"name": name, "entries": entries(urls)})).await.created()
}

/// Where a pool is.
pub fn path(pool: &Value) -> String {
    format!("{POOLS}/{}", pool["id"].as_str().unwrap())
}

/// The id of a pool.
pub fn pool_id(pool: &Value) -> ProxyPoolId {
    pool["id"].as_str().unwrap().parse().unwrap()
}

/// The URLs of a pool as they are shown.
pub fn shown(pool: &Value) -> Vec<&str> {
    pool["entries"].as_array().unwrap().iter().map(|entry| entry["display_url"].as_str().unwrap()).collect()
}

/// The ids of a pool's proxies.
pub fn ids(pool: &Value) -> Vec<&str> {
    pool["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// The rows of a pool's proxies.
pub async fn rows(app: &TestApp, pool: &Value) -> Vec<proxy_entry::Model> {
    let rows = proxy_entry::Entity::find().filter(proxy_entry::Column::ProxyPoolId.eq(pool_id(pool)));
    rows.order_by_asc(proxy_entry::Column::Position).all(&app.system.db.reader).await.unwrap()
}

/// Notes a result on every proxy of a pool.
pub async fn found(app: &TestApp, pool: &Value, status: TestStatus) {
    let changes = proxy_entry::ActiveModel {
        test_status: Set(status),
        tested_at: Set(Some(app.clock.now())),
        latency_ms: Set(Some(12)),
        http_status: Set(Some(401)),
        ..Default::default()
    };
    let update = proxy_entry::Entity::update_many().set(changes);
    let update = update.filter(proxy_entry::Column::ProxyPoolId.eq(pool_id(pool)));
    update.exec(&app.system.db.writer).await.unwrap();
}

on_both!(a_pool_can_be_made_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let body = json!({
        "name": "frankfurt", "strategy": "sticky", "strict": true, "no_proxy": ["localhost", ".internal.example.com"],
        "entries": [
            {"url": "http://user:hunter2-of-the-proxy@proxy.example.com:3128"},
            {"url": "socks5://Socks.Example.com", "enabled": false},
            {"url": "https://secure.example.com/"},
        ],
    });
    let pool = owner.post(POOLS, &body).await.created();
    for field in ["name", "strategy", "strict", "no_proxy"] {
        assert_eq!(pool[field], body[field], "{field}");
    }
    assert_eq!(
        shown(&pool),
        [
            "http://user:****@proxy.example.com:3128",
            "socks5://socks.example.com:1080",
            "https://secure.example.com:443"
        ]
    );
    let first = &pool["entries"][0];
    assert_eq!((&first["enabled"], &pool["entries"][1]["enabled"]), (&json!(true), &json!(false)));
    assert_eq!(first["test_status"], "unknown");
    for field in ["tested_at", "latency_ms", "http_status", "exit_address", "error_code", "error"] {
        assert_eq!(first[field], json!(null), "{field}");
    }
    assert_eq!((&pool["status"], &pool["version"]), (&json!("active"), &json!(1)));
    assert_eq!((&pool["bound_connection_count"], &pool["created_by"]), (&json!(0), &json!(owner.user_id)));
    assert_eq!(pool["created_at"], "2027-01-15T10:00:00Z");

    let path = path(&pool);
    assert_eq!(owner.get(&path).await.ok(), pool);
    let body =
        json!({"name": "fra", "strategy": "random", "strict": false, "no_proxy": [], "status": "disabled"});
    let changed = owner.patch(&path, &body).if_match(1).await.ok();
    for field in ["name", "strategy", "strict", "no_proxy", "status"] {
        assert_eq!(changed[field], body[field], "{field}");
    }
    assert_eq!((&changed["version"], &changed["entries"]), (&json!(2), &pool["entries"]));
    assert_eq!(owner.get(&path).await.ok(), changed);
    owner.delete(&path).if_match(2).await.no_content();
    owner.get(&path).await.problem(404, "not_found");
    owner.delete(&path).await.problem(404, "not_found");
    assert!(rows(&app, &pool).await.is_empty());
});

on_both!(what_is_not_said_of_a_pool_is_what_one_expects, |app| {
    let pool = make(&app.owner(), "plain", &["http://proxy"]).await;
    assert_eq!((&pool["strategy"], &pool["strict"]), (&json!("round_robin"), &json!(false)));
    assert_eq!((&pool["no_proxy"], &pool["status"]), (&json!([]), &json!("active")));
    assert_eq!(shown(&pool), ["http://proxy:80"]);
    let body = json!({"name": "off", "status": "disabled", "entries": entries(&["http://proxy"])});
    assert_eq!(app.owner().post(POOLS, body).await.created()["status"], "disabled");
});

on_both!(every_faulty_field_of_a_new_pool_is_reported, |app| {
    let owner = app.owner();
    let urls = [
        "http://good:3128",
        "ftp://proxy",
        "http://proxy/path",
        "http://user:****@proxy",
        "http://169.254.169.254:3128",
        "http://0x0a.1:3128",
        "socks5://[::ffff:10.0.0.1]",
        "http://good:3128/",
        "",
        "http://pro xy",
        "socks5://user@proxy",
        "http://proxy:0",
    ];
    let body = json!({"name": " ", "entries": entries(&urls), "no_proxy": ["fine", "not fine", "", "a/b"]});
    owner.post(POOLS, body).await.invalid(&[
        ("/name", "required"),
        ("/entries/1/url", "unsupported_scheme"),
        ("/entries/2/url", "invalid_url"),
        ("/entries/3/url", "password_required"),
        ("/entries/4/url", "address_forbidden"),
        ("/entries/5/url", "address_forbidden"),
        ("/entries/6/url", "address_forbidden"),
        ("/entries/7/url", "duplicate"),
        ("/entries/8/url", "required"),
        ("/entries/9/url", "invalid_character"),
        ("/entries/10/url", "invalid_login"),
        ("/entries/11/url", "invalid_url"),
        ("/no_proxy/1", "invalid_character"),
        ("/no_proxy/2", "invalid_no_proxy"),
        ("/no_proxy/3", "invalid_no_proxy"),
    ]);
    owner.post(POOLS, json!({"name": "a", "entries": []})).await.invalid(&[("/entries", "required")]);
    owner.post(POOLS, json!({"name": "a"})).await.invalid(&[("/entries", "required")]);
    let many: Vec<Value> = (0..65).map(|n| json!({"url": format!("http://proxy{n}")})).collect();
    let hosts: Vec<String> = (0..257).map(|n| format!("host{n}")).collect();
    let body = json!({"name": "x".repeat(256), "entries": many, "no_proxy": hosts});
    let faults = [("/name", "too_long"), ("/entries", "too_many"), ("/no_proxy", "too_many")];
    owner.post(POOLS, body).await.invalid(&faults);
    let body = |entry: Value| json!({"name": "a", "entries": [entry]});
    let faulty = [
        (json!({"url": 7}), "/entries/0/url"),
        (json!({"url": "http://proxy", "enabled": "yes"}), "/entries/0/enabled"),
    ];
    for (entry, pointer) in faulty {
        owner.post(POOLS, body(entry)).await.invalid(&[(pointer, "invalid_value")]);
    }
    for field in ["id", "display_url", "test_status", "login"] {
        owner
            .post(POOLS, body(json!({"url": "http://proxy", field: "x"})))
            .await
            .problem(400, "unknown_field");
    }
    for field in ["id", "version", "type", "is_active"] {
        let body = json!({"name": "a", "entries": entries(&["http://proxy"]), field: "x"});
        owner.post(POOLS, body).await.problem(400, "unknown_field");
    }
    let body = json!({"name": "a", "entries": entries(&["http://proxy"]), "strategy": "fastest"});
    owner.post(POOLS, body).await.invalid(&[("/strategy", "invalid_value")]);
    assert_eq!(owner.get(POOLS).await.ok()["items"], json!([]));
});

on_both!(the_largest_acceptable_pool_is_accepted, |app| {
    let all: Vec<Value> =
        (0..64).map(|n| json!({"url": format!("http://user{n}:pass{n}@proxy:3128")})).collect();
    let hosts: Vec<String> = (0..256).map(|n| format!("host{n}")).collect();
    let body = json!({"name": "ü".repeat(255), "entries": all, "no_proxy": hosts});
    let pool = app.owner().post(POOLS, body).await.created();
    assert_eq!((shown(&pool).len(), shown(&pool)[63]), (64, "http://user63:****@proxy:3128"));
    assert_eq!(app.owner().get(&path(&pool)).await.ok(), pool);
});

on_both!(a_name_is_one_pools_alone, |app| {
    let owner = app.owner();
    let one = make(&owner, "one", &["http://proxy"]).await;
    let two = make(&owner, "two", &["http://proxy"]).await;
    let body = json!({"name": "one", "entries": entries(&["http://proxy"])});
    owner.post(POOLS, body).await.problem(409, "duplicate");
    owner.patch(&path(&two), json!({"name": "one"})).await.problem(409, "duplicate");
    owner.patch(&path(&one), json!({"name": "one"})).await.ok();
    owner.delete(&path(&one)).await.no_content();
    owner.patch(&path(&two), json!({"name": "one"})).await.ok();
    // Another organization has names of its own.
    let acme = app.other_organization("acme").await;
    let there = POOLS.replace("default", "acme");
    acme.post(&there, json!({"name": "one", "entries": entries(&["http://proxy"])})).await.created();
});

on_both!(a_disabled_pool_is_shown_as_such_until_it_is_enabled, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://proxy"]).await;
    make(&owner, "b", &["http://proxy"]).await;
    let disabled = owner.post(&format!("{}/disable", path(&pool)), json!({})).await.ok();
    assert_eq!((&disabled["status"], &disabled["version"]), (&json!("disabled"), &json!(2)));
    assert_eq!(names(&owner.get(&format!("{POOLS}?status=disabled")).await.ok()), ["a"]);
    assert_eq!(names(&owner.get(&format!("{POOLS}?status=active")).await.ok()), ["b"]);
    let enabled = owner.post(&format!("{}/enable", path(&pool)), json!({})).if_match(2).await.ok();
    assert_eq!((&enabled["status"], &enabled["version"]), (&json!("active"), &json!(3)));
    assert_eq!(enabled["entries"], pool["entries"]);
});

on_both!(pools_are_found_by_what_tests_found_and_by_name, |app| {
    let owner = app.owner();
    for (name, status) in
        [("fra-1", TestStatus::Active), ("fra-2", TestStatus::Error), ("iad", TestStatus::Unknown)]
    {
        let pool = make(&owner, name, &["http://one", "http://two"]).await;
        found(&app, &pool, status).await;
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    for (query, expected) in [
        ("", vec!["iad", "fra-2", "fra-1"]),
        ("?order=asc", vec!["fra-1", "fra-2", "iad"]),
        ("?test_status=active", vec!["fra-1"]),
        ("?test_status=error", vec!["fra-2"]),
        ("?test_status=unknown", vec!["iad"]),
        ("?name_prefix=fra-", vec!["fra-2", "fra-1"]),
        ("?name_prefix=fra-&test_status=error&status=active", vec!["fra-2"]),
        ("?status=disabled", vec![]),
    ] {
        assert_eq!(names(&owner.get(&format!("{POOLS}{query}")).await.ok()), expected, "{query}");
    }
    let first = owner.get(&format!("{POOLS}?page_size=2")).await.ok();
    let next = format!("{POOLS}?page_size=2&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(names(&owner.get(&next).await.ok()), ["fra-1"]);
    owner.get(&format!("{POOLS}?test_status=fine")).await.problem(400, "invalid_parameter");
    owner.get(&format!("{POOLS}?name=fra")).await.problem(400, "unknown_parameter");
});

on_both!(a_pool_of_another_organization_is_not_there, |app| {
    let pool = make(&app.owner(), "a", &["http://user:pass@proxy"]).await;
    let acme = app.other_organization("acme").await;
    let there = path(&pool).replace("default", "acme");
    acme.get(&there).await.problem(404, "not_found");
    acme.patch(&there, json!({"name": "mine"})).await.problem(404, "not_found");
    acme.delete(&there).await.problem(404, "not_found");
    for action in ["enable", "disable", "test"] {
        acme.post(&format!("{there}/{action}"), json!({})).await.problem(404, "not_found");
    }
    acme.get(&path(&pool)).await.problem(404, "not_found");
    assert_eq!(app.owner().get(&path(&pool)).await.ok(), pool);
});

on_both!(who_administers_a_team_reads_pools_and_changes_none, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://user:pass@proxy"]).await;
    bind(&app, "of the organization", pool_id(&pool)).await.unwrap();
    let team = make_team(&owner, "search").await;
    let boss = app.team_admin(id(&team)).await;
    let read = boss.get(&path(&pool)).await.ok();
    assert_eq!(
        (shown(&read), &read["bound_connection_count"]),
        (vec!["http://user:****@proxy:80"], &json!(1))
    );
    assert_eq!(names(&boss.get(POOLS).await.ok()), ["a"]);
    boss.patch(&path(&pool), json!({"name": "mine"})).await.problem(403, "forbidden");
    boss.delete(&path(&pool)).await.problem(403, "forbidden");
    for action in ["enable", "disable", "test"] {
        boss.post(&format!("{}/{action}", path(&pool)), json!({})).await.problem(403, "forbidden");
    }
    app.team_member(id(&team)).await.get(&path(&pool)).await.problem(403, "forbidden");
});

on_both!(a_repeated_call_gets_the_same_reply_and_happens_once, |app| {
    let owner = app.owner();
    let body = json!({"name": "a", "entries": entries(&["http://user:pass@proxy"])});
    let first = owner.post(POOLS, &body).idempotency_key("one").await;
    let again = owner.post(POOLS, &body).idempotency_key("one").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!((again.status, &again.text), (201, &first.text));
    let pool = first.created();
    for action in ["disable", "enable"] {
        let action = format!("{}/{action}", path(&pool));
        let first = owner.post(&action, json!({})).idempotency_key(&action).await;
        let again = owner.post(&action, json!({})).idempotency_key(&action).await;
        assert_eq!((again.status, &again.text), (200, &first.text));
    }
    assert_eq!(owner.get(&path(&pool)).await.ok()["version"], 3);
});

on_both!(what_happens_to_a_pool_is_in_the_audit_log_without_passwords, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://user:hunter2@one", "http://two"]).await;
    let body = json!({"name": "b", "entries": entries(&["http://user:hunter3@one", "http://three"])});
    owner.patch(&path(&pool), body).await.ok();
    owner.post(&format!("{}/disable", path(&pool)), json!({})).await.ok();
    owner.post(&format!("{}/enable", path(&pool)), json!({})).await.ok();
    owner.delete(&path(&pool)).await.no_content();
    let log = owner.get("/v1/organizations/default/audit-events?order=asc&page_size=100").await;
    assert!(!log.text.contains("hunter"), "{}", log.text);
    let log = log.ok();
    let actions: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
    let proxies = |action: &str| actions.iter().filter(|a| **a == action).count();
    assert_eq!((proxies("proxy.create"), proxies("proxy.update"), proxies("proxy.delete")), (3, 1, 3));
    let pools: Vec<&str> = actions.into_iter().filter(|action| action.starts_with("proxy_pool")).collect();
    let words = ["create", "update", "disable", "enable", "delete"];
    assert_eq!(pools, words.map(|word| format!("proxy_pool.{word}")));
    let created =
        log["items"].as_array().unwrap().iter().find(|event| event["action"] == "proxy.create").unwrap();
    assert_eq!(created["detail"]["after"]["display_url"], "http://user:****@one:80");
    assert_eq!(created["detail"]["after"].get("login"), None);
});

//! Proxy pools: making, reading, changing, disabling, deleting; what is shown and kept of passwords; who reaches them.

use crate::teams::{id, make as make_team};
use chrono::TimeDelta;
use entity::{
    id::{ConnectionId, ProxyPoolId},
    json::{Metadata, Tags, Texts},
    provider_connection, proxy_entry, proxy_pool,
    status::{BillingType, ConnectionStatus, FormatMode, Location, TestStatus},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder,
};
use serde_json::{Value, json};
use service::{Ctx, scope::Scope};
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

fn ids(pool: &Value) -> Vec<&str> {
    pool["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// Binds a new connection to a pool, as whoever makes one does: it holds the pool.
pub async fn bind(app: &TestApp, name: &str, pool: ProxyPoolId) -> service::Result<ConnectionId> {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let mut unit = ctx.begin().await?;
    unit.read_in::<proxy_pool::Entity>(&ctx).hold(pool).await?;
    let row = connection(unit.id(), name, pool);
    let row = unit.repository::<provider_connection::Entity>().insert(row).await?;
    unit.commit(()).await?;
    Ok(row.id)
}

/// A connection that takes a pool.
pub fn connection(id: ConnectionId, name: &str, pool: ProxyPoolId) -> provider_connection::ActiveModel {
    provider_connection::ActiveModel {
        id: Set(id),
        organization_id: NotSet,
        team_id: Set(None),
        provider: Set("openai".into()),
        name: Set(name.into()),
        status: Set(ConnectionStatus::Active),
        disabled_reason: Set(None),
        base_url: Set("https://api.example.com/v1".into()),
        alternate_base_urls: Set(Texts::default()),
        format: Set(None),
        format_mode: Set(FormatMode::Auto),
        protocols: Set(Default::default()),
        force_protocol: Set(None),
        default_model: Set(None),
        model_params: Set(Default::default()),
        allowed_models: Set(None),
        headers: Set(None),
        header_names: Set(Texts::default()),
        data_key_id: Set(None),
        proxy_pool_id: Set(Some(pool)),
        billing_type: Set(BillingType::Metered),
        priority: Set(0),
        location: Set(Location::Cloud),
        tls_skip_verify: Set(false),
        tags: Set(Tags::default()),
        metadata: Set(Metadata::default()),
        created_by: Set("system".into()),
        version: NotSet,
        created_at: NotSet,
        updated_at: NotSet,
    }
}

/// Lets a connection be deleted: it stays for its history.
async fn soft_delete(app: &TestApp, connection: ConnectionId) {
    let changes = provider_connection::ActiveModel {
        status: Set(ConnectionStatus::Deleted),
        ..std::default::Default::default()
    };
    let update = provider_connection::Entity::update_many().set(changes);
    let update = update.filter(provider_connection::Column::Id.eq(connection));
    update.exec(&app.system.db.writer).await.unwrap();
}

/// The rows of a pool's proxies.
async fn rows(app: &TestApp, pool: &Value) -> Vec<proxy_entry::Model> {
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
        ..std::default::Default::default()
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

on_both!(every_faulty_field_of_a_patch_is_reported, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://proxy:3128"]).await;
    let other = make(&owner, "b", &["http://other:3128"]).await;
    let body = json!({
        "name": "", "no_proxy": ["no host"],
        "entries": [
            {"id": ids(&pool)[0], "url": "ftp://x"},
            {"id": ids(&pool)[0], "url": "http://new"},
            {"id": ids(&other)[0], "url": "http://other:3128"},
            {"url": "http://user:****@other:3128"},
        ],
    });
    owner.patch(&path(&pool), body).await.invalid(&[
        ("/name", "required"),
        ("/no_proxy/0", "invalid_character"),
        ("/entries/0/url", "unsupported_scheme"),
        ("/entries/1/id", "duplicate"),
        ("/entries/2/id", "unknown"),
        ("/entries/3/url", "password_required"),
    ]);
    for field in ["name", "entries", "strategy", "no_proxy", "strict", "status"] {
        let pointer = format!("/{field}");
        owner.patch(&path(&pool), json!({field: null})).await.invalid(&[(pointer.as_str(), "not_nullable")]);
    }
    owner.patch(&path(&pool), json!({"entries": []})).await.invalid(&[("/entries", "required")]);
    owner.patch(&path(&pool), json!({"version": 7})).await.problem(400, "unknown_field");
    assert_eq!(owner.get(&path(&pool)).await.ok(), pool);
});

on_both!(a_masked_password_keeps_the_stored_one, |app| {
    let owner = app.owner();
    let urls = ["http://user:first@proxy:3128", "socks5://user:second@proxy:1080", "http://open:80"];
    let pool = make(&owner, "a", &urls).await;
    let before = rows(&app, &pool).await;
    found(&app, &pool, TestStatus::Active).await;
    // What is read is sent back, in another order, with one proxy more, with ids or without.
    for with_ids in [true, false] {
        let shown: Vec<Value> = owner.get(&path(&pool)).await.ok()["entries"].as_array().unwrap().clone();
        let sent = shown.iter().rev().map(|entry| {
            let mut sent = json!({"url": entry["display_url"]});
            if with_ids {
                sent["id"] = entry["id"].clone();
            }
            sent
        });
        let patched = owner.patch(&path(&pool), json!({"entries": sent.collect::<Vec<_>>()})).await.ok();
        let mut back = ids(&patched);
        back.reverse();
        assert_eq!(back, shown.iter().map(|entry| entry["id"].as_str().unwrap()).collect::<Vec<_>>());
        for entry in patched["entries"].as_array().unwrap() {
            assert_eq!((&entry["test_status"], &entry["latency_ms"]), (&json!("active"), &json!(12)));
        }
    }
    let after = rows(&app, &pool).await;
    for (before, after) in before.iter().zip(&after) {
        assert!(
            (&before.id, &before.login, &before.data_key_id) == (&after.id, &after.login, &after.data_key_id)
        );
    }
    // To send the very same is to change nothing, also with the password said.
    let version = owner.get(&path(&pool)).await.ok()["version"].clone();
    let same = owner.patch(&path(&pool), json!({"entries": entries(&urls)})).await.ok();
    assert_eq!((&same["version"], ids(&same)), (&version, ids(&pool)));
    assert_eq!(same["entries"][0]["test_status"], "active");
});

on_both!(a_changed_address_or_login_forgets_what_tests_found, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://user:first@proxy:3128"]).await;
    let mut login = rows(&app, &pool).await[0].login.clone();
    for (url, shown_as) in [
        ("http://user:second@proxy:3128", "http://user:****@proxy:3128"),
        ("http://user:second@proxy:3129", "http://user:****@proxy:3129"),
        ("http://other:second@proxy:3129", "http://other:****@proxy:3129"),
        ("https://other:second@proxy:3129", "https://other:****@proxy:3129"),
        ("https://other@proxy:3129", "https://other@proxy:3129"),
    ] {
        found(&app, &pool, TestStatus::Error).await;
        let body = json!({"entries": [{"id": ids(&pool)[0], "url": url}]});
        let changed = owner.patch(&path(&pool), body).await.ok();
        assert_eq!((shown(&changed), ids(&changed)), (vec![shown_as], ids(&pool)));
        let entry = &changed["entries"][0];
        assert_eq!((&entry["test_status"], &entry["tested_at"]), (&json!("unknown"), &json!(null)), "{url}");
        let now = rows(&app, &pool).await[0].login.clone();
        assert!(now.is_some() && now != login, "{url}");
        login = now;
    }
    let body = json!({"entries": [{"id": ids(&pool)[0], "url": "https://proxy:3129"}]});
    owner.patch(&path(&pool), body).await.ok();
    let row = &rows(&app, &pool).await[0];
    assert!(row.login.is_none() && row.data_key_id.is_none());
});

on_both!(a_stored_password_is_kept_for_its_own_address_alone, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["https://user:secret@proxy:3128", "http://open:80"]).await;
    for url in [
        "https://user:****@elsewhere:3128",
        "https://user:****@proxy:3129",
        "https://other:****@proxy:3128",
        "http://user:****@proxy:3128",
        "http://user:****@open:80",
    ] {
        for entry in [json!({"url": url}), json!({"id": ids(&pool)[0], "url": url})] {
            let reply = owner.patch(&path(&pool), json!({"entries": [entry]})).await;
            reply.invalid(&[("/entries/0/url", "password_required")]);
        }
    }
    assert_eq!(owner.get(&path(&pool)).await.ok(), pool);
});

on_both!(proxies_that_are_not_sent_are_gone_and_new_ones_are_new, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://one", "http://two", "http://three"]).await;
    let body = json!({"entries": [{"url": "http://new"}, {"url": "http://two", "enabled": false}]});
    let changed = owner.patch(&path(&pool), body).if_match(1).await.ok();
    assert_eq!(shown(&changed), ["http://new:80", "http://two:80"]);
    assert_eq!(ids(&changed)[1], ids(&pool)[1]);
    assert!(!ids(&pool).contains(&ids(&changed)[0]));
    assert_eq!((&changed["entries"][1]["enabled"], &changed["version"]), (&json!(false), &json!(2)));
    assert_eq!(rows(&app, &pool).await.len(), 2);
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

on_both!(a_stale_version_changes_nothing, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://proxy"]).await;
    let path = path(&pool);
    owner.patch(&path, json!({"strict": true})).if_match(1).await.ok();
    owner
        .patch(&path, json!({"entries": entries(&["http://x"])}))
        .if_match(1)
        .await
        .problem(412, "version_conflict");
    owner.delete(&path).if_match(1).await.problem(412, "version_conflict");
    owner.post(&format!("{path}/enable"), json!({})).if_match(1).await.problem(412, "version_conflict");
    owner.post(&format!("{path}/disable"), json!({})).if_match(1).await.ok();
    let end = owner.get(&path).await.ok();
    assert_eq!(
        (&end["version"], &end["strict"], &end["status"]),
        (&json!(3), &json!(true), &json!("disabled"))
    );
    assert_eq!(shown(&end), ["http://proxy:80"]);
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

on_both!(connections_that_take_a_pool_are_counted_and_keep_it, |app| {
    let owner = app.owner();
    let (pool, other) = (make(&owner, "a", &["http://a"]).await, make(&owner, "b", &["http://b"]).await);
    let mut bound = Vec::new();
    for name in ["one", "two", "three"] {
        bound.push(bind(&app, name, pool_id(&pool)).await.unwrap());
    }
    soft_delete(&app, bound[2]).await;
    let count = async |pool: &Value| owner.get(&path(pool)).await.ok()["bound_connection_count"].clone();
    assert_eq!((count(&pool).await, count(&other).await), (json!(2), json!(0)));
    let page = owner.get(&format!("{POOLS}?order=asc")).await.ok();
    let counts: Vec<_> =
        page["items"].as_array().unwrap().iter().map(|p| &p["bound_connection_count"]).collect();
    assert_eq!(counts.len(), 2);
    assert!(counts.contains(&&json!(2)) && counts.contains(&&json!(0)));
    let problem = owner.delete(&path(&pool)).await.problem(409, "in_use");
    assert_eq!(problem["bound_connection_count"], 2);
    // Other problems do not speak of it.
    assert_eq!(
        owner
            .delete(&path(&pool))
            .if_match(9)
            .await
            .problem(412, "version_conflict")
            .get("bound_connection_count"),
        None
    );
    for connection in &bound[..2] {
        soft_delete(&app, *connection).await;
    }
    assert_eq!(count(&pool).await, json!(0));
    owner.delete(&path(&pool)).await.no_content();
    let kept = provider_connection::Entity::find_by_id(bound[0]).one(&app.system.db.reader).await.unwrap();
    assert_eq!(kept.unwrap().proxy_pool_id, None);
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

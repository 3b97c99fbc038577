//! The way of a call through a pool: which proxy comes first, what follows, and when a call goes without one. Proxies are
//! real ones.

use crate::proxy_pools::{POOLS, entries, found, make, path, pool_id};
use axum::{
    Router,
    http::{HeaderMap, Method},
    routing::get,
};
use entity::{id::ConnectionId, status::TestStatus};
use serde_json::{Value, json};
use service::{
    Ctx,
    proxy_pool::way,
    scope::Scope,
    upstream::{Answer, Call, Fault, FaultKind, Way},
};
use std::{collections::BTreeSet, time::Duration};
use tests::{TestApp, on_both, outbound};

const FOUR: [&str; 4] = ["http://one", "http://two", "http://three", "http://four"];

async fn way_of(app: &TestApp, pool: &Value, connection: ConnectionId) -> Way {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    way(&ctx, pool_id(pool), connection).await.unwrap()
}

async fn hosts(app: &TestApp, pool: &Value, connection: ConnectionId) -> Vec<String> {
    way_of(app, pool, connection).await.proxies.into_iter().map(|proxy| proxy.host).collect()
}

fn some_connection(app: &TestApp) -> ConnectionId {
    app.system.entropy.id(app.clock.now())
}

fn sorted(mut hosts: Vec<String>) -> Vec<String> {
    hosts.sort();
    hosts
}

async fn pool(app: &TestApp, body: Value) -> Value {
    app.owner().post(POOLS, body).await.created()
}

on_both!(proxies_take_turns, |app| {
    let pool = make(&app.owner(), "a", &FOUR).await;
    let connection = some_connection(&app);
    for _ in 0..2 {
        for expected in [
            ["one", "two", "three", "four"],
            ["two", "three", "four", "one"],
            ["three", "four", "one", "two"],
            ["four", "one", "two", "three"],
        ] {
            assert_eq!(hosts(&app, &pool, connection).await, expected);
        }
    }
    // Another pool has turns of its own.
    let other = make(&app.owner(), "b", &FOUR).await;
    assert_eq!(hosts(&app, &other, connection).await[0], "one");
});

on_both!(any_proxy_comes_first_at_random_and_all_follow, |app| {
    let pool = pool(&app, json!({"name": "a", "strategy": "random", "entries": entries(&FOUR)})).await;
    let (mut first, mut orders) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..100 {
        let order = hosts(&app, &pool, some_connection(&app)).await;
        first.insert(order[0].clone());
        assert_eq!(sorted(order.clone()), ["four", "one", "three", "two"]);
        orders.insert(order);
    }
    assert_eq!(first.len(), 4);
    assert!(orders.len() > 10, "{orders:?}");
});

on_both!(a_connection_sticks_to_its_proxy_and_others_to_theirs_when_one_goes, |app| {
    let owner = app.owner();
    let pool = pool(&app, json!({"name": "a", "strategy": "sticky", "entries": entries(&FOUR)})).await;
    let mut before = Vec::new();
    for _ in 0..60 {
        let connection = some_connection(&app);
        let order = hosts(&app, &pool, connection).await;
        assert_eq!(hosts(&app, &pool, connection).await, order);
        before.push((connection, order));
    }
    let first: BTreeSet<&str> = before.iter().map(|(_, order)| order[0].as_str()).collect();
    assert_eq!(first.len(), 4);
    // Another order of the list, and one proxy less, change nothing for those that had another.
    let left = entries(&["http://four", "http://three", "http://one"]);
    owner.patch(&path(&pool), json!({"entries": left})).await.ok();
    for (connection, order) in before {
        let without: Vec<String> = order.into_iter().filter(|host| host != "two").collect();
        assert_eq!(hosts(&app, &pool, connection).await, without);
    }
});

on_both!(a_proxy_whose_last_test_failed_comes_last, |app| {
    let owner = app.owner();
    for strategy in ["round_robin", "random", "sticky"] {
        let two = entries(&["http://one", "http://two"]);
        let pool = pool(&app, json!({"name": strategy, "strategy": strategy, "entries": two})).await;
        found(&app, &pool, TestStatus::Error).await;
        let four = entries(&FOUR);
        let pool = owner.patch(&path(&pool), json!({"entries": four})).await.ok();
        let mut first = BTreeSet::new();
        for _ in 0..40 {
            let order = hosts(&app, &pool, some_connection(&app)).await;
            assert_eq!(sorted(order[..2].to_vec()), ["four", "three"], "{strategy}");
            assert_eq!(sorted(order[2..].to_vec()), ["one", "two"], "{strategy}");
            first.insert(order[0].clone());
        }
        assert_eq!(first.len(), 2, "{strategy}");
    }
});

on_both!(what_is_disabled_is_no_way, |app| {
    let owner = app.owner();
    let two = json!([{"url": "http://one", "enabled": false}, {"url": "http://two"}]);
    for strict in [true, false] {
        let body =
            json!({"name": format!("{strict}"), "strict": strict, "no_proxy": ["host"], "entries": two});
        let pool = pool(&app, body).await;
        assert_eq!(hosts(&app, &pool, some_connection(&app)).await, ["two"]);
        owner.post(&format!("{}/disable", path(&pool)), json!({})).await.ok();
        let way = way_of(&app, &pool, some_connection(&app)).await;
        assert_eq!((way.proxies.len(), way.strict, way.no_proxy), (0, strict, vec!["host".to_owned()]));
    }
});

on_both!(logins_are_opened_as_they_were_given, |app| {
    let urls =
        ["http://user:p%40ss@one:3128", "socks5://us%20er:p%3Aq@[::1]", "https://only@two", "http://three"];
    let pool = make(&app.owner(), "a", &urls).await;
    let proxies = way_of(&app, &pool, some_connection(&app)).await.proxies;
    let logins: Vec<Option<&str>> =
        proxies.iter().map(|proxy| proxy.login.as_ref().map(|login| login.text().unwrap())).collect();
    assert_eq!(logins, [Some("user:p@ss"), Some("us er:p:q"), Some("only:"), None]);
    let places: Vec<(&str, u16)> = proxies.iter().map(|proxy| (proxy.host.as_str(), proxy.port)).collect();
    assert_eq!(places, [("one", 3128), ("::1", 1080), ("two", 443), ("three", 80)]);
});

/// Calls a target by the way of a pool.
async fn call(app: &TestApp, pool: &Value, url: &str) -> Result<Answer, Fault> {
    let way = way_of(app, pool, some_connection(app)).await;
    let call = Call {
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Vec::new(),
        patience: Duration::from_secs(20),
        most: 1024,
    };
    app.system.upstream.send(call, &way).await
}

async fn target() -> outbound::Served {
    outbound::http(Router::new().route("/", get(async || "here"))).await
}

on_both!(a_strict_pool_never_goes_direct_and_another_does, |app| {
    let owner = app.owner();
    let dead = format!("http://user:pass@{}", outbound::dead().address);
    let target = target().await;
    for (n, (strict, disabled)) in
        [(true, false), (true, true), (false, false), (false, true)].iter().enumerate()
    {
        let body = json!({"name": format!("{n}"), "strict": strict, "entries": entries(&[&dead])});
        let pool = pool(&app, body).await;
        if *disabled {
            owner.post(&format!("{}/disable", path(&pool)), json!({})).await.ok();
        }
        let (before, came) = (target.connections(), call(&app, &pool, &target.http("/")).await);
        if *strict {
            let fault = came.unwrap_err();
            assert_eq!((fault.kind, target.connections()), (FaultKind::Proxy, before), "{fault}");
            assert!(!fault.message.contains("pass"), "{fault}");
        } else {
            assert_eq!(came.unwrap().body, b"here");
            assert_eq!(target.connections(), before + 1);
        }
    }
});

on_both!(a_call_takes_the_next_proxy_if_one_does_not_connect, |app| {
    let (target, good) = (target().await, outbound::tinyproxy(Some(("user", "pass"))).await);
    let socks = outbound::microsocks(Some(("user", "pass"))).await;
    let dead = format!("http://{}", outbound::dead().address);
    for (n, url) in
        [format!("http://user:pass@{}", good.address), format!("socks5://user:pass@{}", socks.address)]
            .iter()
            .enumerate()
    {
        let wrong = url.replace("pass", "wrong");
        let body = json!({"name": format!("{n}"), "strict": true, "entries": entries(&[&dead, &wrong, url])});
        // A proxy is one proxy whatever the password: two of them are refused.
        app.owner().post(POOLS, body).await.invalid(&[("/entries/2/url", "duplicate")]);
        let wrong = wrong.replace("user", "nobody");
        let body = json!({"name": format!("{n}"), "strict": true, "entries": entries(&[&dead, &wrong, url])});
        let pool = pool(&app, body).await;
        let answer = call(&app, &pool, &target.http("/")).await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.via), (b"here".as_slice(), Some(2)));
    }
});

on_both!(a_host_without_a_proxy_is_reached_directly_also_by_a_strict_pool, |app| {
    let target = target().await;
    let dead = format!("http://{}", outbound::dead().address);
    for (host, direct) in
        [("127.0.0.1", true), ("127.0.0.0/8", true), ("*", true), ("10.0.0.0/8", false), ("elsewhere", false)]
    {
        let body = json!({"name": host, "strict": true, "no_proxy": [host], "entries": entries(&[&dead])});
        let pool = pool(&app, body).await;
        assert_eq!(call(&app, &pool, &target.http("/")).await.is_ok(), direct, "{host}");
    }
    assert_eq!(target.connections(), 3);
});

//! Tests of pools: a real call through real proxies, with and without a login, dead and slow ones; what is kept of it.

use crate::proxy_pools::{POOLS, entries, make, path};
use axum::{Router, http::StatusCode, routing::get};
use serde_json::{Value, json};
use std::sync::Arc;
use tests::{Client, Reply, on_both, outbound};
use tokio::sync::Notify;

async fn tried(client: &Client, pool: &Value, body: Value) -> Reply {
    client.post(&format!("{}/test", path(pool)), body).await
}

/// A target that answers in several ways.
async fn target() -> outbound::Served {
    let router = Router::new()
        .route("/", get(async || (StatusCode::UNAUTHORIZED, "no")))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/away", get(async || (StatusCode::FOUND, [("location", "http://127.0.0.1:9/")])))
        .route("/proxy", get(async || StatusCode::PROXY_AUTHENTICATION_REQUIRED))
        .route("/large", get(async || "x".repeat(1024 * 1024)))
        .route("/json", get(async || r#"{"ip": "203.0.113.7", "country": "DE"}"#))
        .route("/origin", get(async || r#"{"origin": "10.1.2.3, 203.0.113.8"}"#))
        .route("/text", get(async || "2001:DB8::7\n"))
        .route("/lie", get(async || r#"{"ip": "<script>"}"#));
    outbound::http(router).await
}

on_both!(each_proxy_is_really_tried_and_what_came_is_kept, |app| {
    let owner = app.owner();
    let target = target().await;
    let (open, closed) =
        (outbound::tinyproxy(None).await, outbound::tinyproxy(Some(("user", "s3cret"))).await);
    let socks = outbound::microsocks(None).await;
    let closed_socks = outbound::microsocks(Some(("user", "s3cret"))).await;
    let (dead, silent) = (outbound::dead(), outbound::silent().await);
    let urls = [
        (format!("http://{}", open.address), None),
        (format!("http://user:s3cret@{}", closed.address), None),
        (
            format!("http://user:wr0ng@{}", closed.address.to_string().replace("127.0.0.1", "localhost")),
            Some("proxy_failed"),
        ),
        (format!("http://{}", closed.address), Some("proxy_failed")),
        (format!("socks5://{}", socks.address), None),
        (format!("socks5://user:s3cret@{}", closed_socks.address), None),
        (format!("socks5://other:wr0ng@{}", closed_socks.address), Some("proxy_failed")),
        (format!("socks5://{}", closed_socks.address), Some("proxy_failed")),
        (format!("http://{}", dead.address), Some("proxy_failed")),
        (format!("http://{}", silent.address), Some("timeout")),
    ];
    let pool = make(&owner, "a", &urls.each_ref().map(|(url, _)| url.as_str())).await;
    let body = json!({"target_url": target.http("/json"), "timeout_seconds": 3});
    let reply = tried(&owner, &pool, body).await;
    assert!(!reply.text.contains("s3cret") && !reply.text.contains("wr0ng"), "{}", reply.text);
    let report = reply.ok();
    assert_eq!(report["target_url"], target.http("/json"));
    let kept = owner.get(&path(&pool)).await.ok();
    for (n, (url, error)) in urls.iter().enumerate() {
        let (result, entry) = (&report["results"][n], &kept["entries"][n]);
        assert_eq!((&result["id"], &result["display_url"]), (&entry["id"], &entry["display_url"]));
        assert_eq!(result["tested_at"], "2027-01-15T10:00:00Z");
        assert_eq!(result["ok"], error.is_none(), "{url}: {result}");
        if error.is_none() {
            assert_eq!(
                (&result["status"], &result["exit_address"]),
                (&json!(200), &json!("203.0.113.7")),
                "{url}"
            );
            assert!(result["latency_ms"].as_i64().is_some_and(|ms| ms >= 0));
            assert_eq!((&result["error_code"], &result["error"]), (&json!(null), &json!(null)));
            assert_eq!(entry["test_status"], "active");
        } else {
            let code = result["error_code"].as_str().unwrap();
            assert!(
                Some(code) == *error || (*error == Some("timeout") && code == "proxy_failed"),
                "{url}: {result}"
            );
            assert!(!result["error"].as_str().unwrap().is_empty());
            assert_eq!((&result["status"], &result["exit_address"]), (&json!(null), &json!(null)));
            assert_eq!(entry["test_status"], "error");
        }
        for (told, kept) in [
            ("tested_at", "tested_at"),
            ("latency_ms", "latency_ms"),
            ("status", "http_status"),
            ("exit_address", "exit_address"),
            ("error_code", "error_code"),
            ("error", "error"),
        ] {
            assert_eq!(result[told], entry[kept], "{url}: {told}");
        }
        // A failed test switches nothing off.
        assert_eq!(entry["enabled"], true);
    }
    assert_eq!((&kept["status"], &kept["version"]), (&json!("active"), &json!(1)));
    assert_eq!(target.connections(), 4);
});

on_both!(any_answer_of_the_target_shows_that_the_proxy_works, |app| {
    let owner = app.owner();
    let (target, proxy) = (target().await, outbound::tinyproxy(None).await);
    let pool = make(&owner, "a", &[&format!("http://{}", proxy.address)]).await;
    for (path, status, exit) in [
        ("/", 401, None),
        ("/nothing", 404, None),
        ("/broken", 500, None),
        ("/away", 302, None),
        ("/proxy", 407, None),
        ("/large", 200, None),
        ("/json?format=json", 200, Some("203.0.113.7")),
        ("/origin", 200, Some("203.0.113.8")),
        ("/text", 200, Some("2001:db8::7")),
        ("/lie", 200, None),
    ] {
        let report = tried(&owner, &pool, json!({"target_url": target.http(path)})).await.ok();
        let result = &report["results"][0];
        assert_eq!((&result["ok"], &result["status"]), (&json!(true), &json!(status)), "{path}: {result}");
        assert_eq!(result["exit_address"], json!(exit), "{path}");
    }
});

on_both!(a_proxy_that_does_not_connect_fails, |app| {
    let owner = app.owner();
    let target = target().await;
    let asks = outbound::refusing_proxy(
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let refuses = outbound::refusing_proxy("HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\ns3cret").await;
    let nonsense = outbound::refusing_proxy("s3cret nonsense\r\n\r\n").await;
    let urls = [&asks, &refuses, &nonsense].map(|proxy| format!("http://{}", proxy.served.address));
    let pool = make(&owner, "a", &urls.each_ref().map(String::as_str)).await;
    let reply = tried(&owner, &pool, json!({"target_url": target.http("/")})).await;
    assert!(!reply.text.contains("s3cret"), "{}", reply.text);
    for result in reply.ok()["results"].as_array().unwrap() {
        assert_eq!(
            (&result["ok"], &result["error_code"]),
            (&json!(false), &json!("proxy_failed")),
            "{result}"
        );
    }
    assert_eq!(target.connections(), 0);
});

on_both!(only_enabled_proxies_are_tested_in_a_disabled_pool_too, |app| {
    let owner = app.owner();
    let (target, proxy) = (target().await, outbound::tinyproxy(None).await);
    let url = format!("http://{}", proxy.address);
    let body = json!({"name": "a", "status": "disabled", "entries": [{"url": url}, {"url": "http://other", "enabled": false}]});
    let pool = owner.post(POOLS, body).await.created();
    let report = tried(&owner, &pool, json!({"target_url": target.http("/")})).await.ok();
    assert_eq!(report["results"].as_array().unwrap().len(), 1);
    assert_eq!(report["results"][0]["ok"], true);
    let kept = owner.get(&path(&pool)).await.ok();
    assert_eq!(
        (&kept["status"], &kept["entries"][1]["test_status"]),
        (&json!("disabled"), &json!("unknown"))
    );
    let off = json!({"entries": [{"url": url, "enabled": false}]});
    owner.patch(&path(&pool), off).await.ok();
    assert_eq!(
        tried(&owner, &pool, json!({"target_url": target.http("/")})).await.ok()["results"],
        json!([])
    );
});

on_both!(a_target_that_cannot_be_called_says_nothing_of_the_proxies, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://127.0.0.1:9"]).await;
    // No name ends in this by its registry.
    let body = json!({"target_url": "https://nowhere.invalid/"});
    tried(&owner, &pool, body).await.invalid(&[("/target_url", "name_unresolved")]);
    let kept = owner.get(&path(&pool)).await.ok();
    assert_eq!(kept["entries"][0]["test_status"], "unknown", "{kept}");
});

on_both!(every_faulty_field_of_a_test_is_reported, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://127.0.0.1:9"]).await;
    let body = json!({"target_url": "ftp://example.com", "timeout_seconds": 0});
    let faults = [("/target_url", "scheme_not_allowed"), ("/timeout_seconds", "out_of_range")];
    tried(&owner, &pool, body).await.invalid(&faults);
    for (url, code) in [
        ("https://169.254.169.254/latest", "address_forbidden"),
        ("https://10.0.0.1/?x=y", "address_forbidden"),
        ("https://user:pass@example.com/", "userinfo_not_allowed"),
        ("nonsense", "invalid_url"),
        ("", "invalid_url"),
    ] {
        tried(&owner, &pool, json!({"target_url": url})).await.invalid(&[("/target_url", code)]);
    }
    let faults = [("/timeout_seconds", "out_of_range")];
    tried(&owner, &pool, json!({"timeout_seconds": 31})).await.invalid(&faults);
    tried(&owner, &pool, json!({"target_url": null})).await.invalid(&[("/target_url", "not_nullable")]);
    tried(&owner, &pool, json!({"url": "https://x"})).await.problem(400, "unknown_field");
    assert_eq!(owner.get(&path(&pool)).await.ok(), pool);
});

on_both!(a_repeated_test_is_made_once_and_is_in_the_audit_log, |app| {
    let owner = app.owner();
    let (target, proxy) = (target().await, outbound::tinyproxy(Some(("user", "s3cret"))).await);
    let pool = make(&owner, "a", &[&format!("http://user:s3cret@{}", proxy.address)]).await;
    let once = || {
        let body = json!({"target_url": target.http("/?token=s3cret")});
        owner.post(&format!("{}/test", path(&pool)), body).idempotency_key("one")
    };
    let (first, again) = (once().await, once().await);
    assert_eq!((first.status, again.header("idempotent-replayed")), (200, "true"));
    assert_eq!(again.text, first.text);
    assert_eq!(target.connections(), 1);
    let log = owner.get("/v1/organizations/default/audit-events?action=proxy_pool.test").await;
    assert!(!log.text.contains("s3cret"), "{}", log.text);
    let log = log.ok();
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
    assert_eq!(log["items"][0]["detail"], json!({"target": "127.0.0.1", "tested": 1, "failed": 0}));
});

on_both!(an_edit_that_comes_while_a_test_runs_wins, |app| {
    let owner = app.owner();
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, wait) = (asked.clone(), answer.clone());
    let slow = get(async move || {
        told.notify_one();
        wait.notified().await;
    });
    let target = outbound::http(Router::new().route("/", slow)).await;
    let proxy = outbound::connect_proxy(None, None).await;
    let url = format!("http://user:s3cret@{}", proxy.served.address);
    for (n, (patch, status)) in [
        // Another password: the result is of the one before.
        (json!({"entries": entries(&[&url.replace("s3cret", "0ther")])}), "unknown"),
        (json!({"entries": entries(&[&url.replace("user", "other")])}), "unknown"),
        // What does not concern the proxy does not concern the result.
        (json!({"name": "renamed", "strict": true}), "active"),
    ]
    .into_iter()
    .enumerate()
    {
        let pool = make(&owner, &format!("{n}"), &[&url]).await;
        let body = json!({"target_url": target.http("/"), "timeout_seconds": 30});
        let test = tokio::spawn(owner.post(&format!("{}/test", path(&pool)), body).into_future());
        asked.notified().await;
        let edited = owner.patch(&path(&pool), &patch).await.ok();
        answer.notify_one();
        assert_eq!(test.await.unwrap().ok()["results"][0]["ok"], true);
        let end = owner.get(&path(&pool)).await.ok();
        assert_eq!(
            (&end["entries"][0]["test_status"], &end["version"]),
            (&json!(status), &edited["version"]),
            "{patch}"
        );
    }
    // A pool that is gone by then has no results.
    let pool = make(&owner, "gone", &[&url]).await;
    let body = json!({"target_url": target.http("/"), "timeout_seconds": 30});
    let test = tokio::spawn(owner.post(&format!("{}/test", path(&pool)), body).into_future());
    asked.notified().await;
    owner.delete(&path(&pool)).await.no_content();
    answer.notify_one();
    test.await.unwrap().problem(404, "not_found");
});

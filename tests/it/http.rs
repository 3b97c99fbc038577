//! What holds on every endpoint: problems for everything that goes wrong, headers, request ids, addresses, limits.

use crate::teams::{TEAMS, make};
use axum::http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{TestApp, on_both};

on_both!(what_is_not_there_is_a_problem, |app| {
    for client in [app.anonymous(), app.owner()] {
        for path in
            ["/", "/v1", "/v1/nothing", "/v1/organizations/default/nothing", "/v2/organizations", "/%00"]
        {
            client.get(path).await.problem(404, "route_not_found");
        }
        for (method, path) in [(Method::PUT, TEAMS), (Method::DELETE, TEAMS), (Method::TRACE, TEAMS)] {
            let reply = client.request(method, path).await;
            assert!(reply.header("allow").contains("POST"), "{:?}", reply.headers);
            reply.problem(405, "method_not_allowed");
        }
    }
});

on_both!(a_body_that_is_no_json_is_a_problem, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    let bodies: [&[u8]; 8] = [
        b"{",
        b"nonsense",
        b"{\"name\":\"a\"}}",
        b"{\"name\":\"a\"} x",
        b"{'name':'a'}",
        b"\xef\xbb\xbf{}",
        b"{\"name\":\"\xff\"}",
        b"{\"name\":\"\\ud800\"}",
    ];
    for body in bodies {
        for request in [owner.request(Method::POST, TEAMS), owner.request(Method::PATCH, &path)] {
            request.body(body, "application/json").await.problem(400, "invalid_json");
        }
    }
    for other in ["[]", "\"name\"", "7", "null", "true"] {
        let reply = owner.request(Method::POST, TEAMS).body(other, "application/json").await;
        reply.problem(422, "invalid");
    }
    // An array is no object whose names were left out.
    let array = owner.request(Method::POST, TEAMS).body(r#" ["a"]"#, "application/json").await;
    assert_eq!(array.problem(422, "invalid")["detail"], "the body: expected an object");
    let params = serde_json::json!({
        "provider": "p", "name": "n", "base_url": "https://example.com", "model_params": [2, 0.5],
    });
    let reply = owner.post("/v1/organizations/default/connections", params).await;
    reply.invalid(&[("/model_params", "invalid_value")]);
    let entries = serde_json::json!({"name": "n", "entries": [["http://example.com"]]});
    let fault = owner.post("/v1/organizations/default/proxy-pools", entries).await.problem(422, "invalid");
    assert_eq!(fault["errors"][0]["pointer"], "/entries/0");
    assert_eq!(fault["detail"], "/entries/0: expected an object");
    let odd =
        owner.post(TEAMS, serde_json::json!({"name": "a", "a/b~": 1})).await.problem(400, "unknown_field");
    assert_eq!(odd["errors"][0]["pointer"], "/a~1b~0");
    let deep = format!("{{\"tags\":{}", "[".repeat(100_000));
    assert!(owner.request(Method::POST, TEAMS).body(deep, "application/json").await.status < 500);
    let twice = br#"{"name": "a", "name": "b"}"#;
    let reply = owner.request(Method::POST, TEAMS).body(&twice[..], "application/json").await;
    reply.problem(422, "invalid");
    owner.request(Method::POST, TEAMS).await.invalid(&[("/name", "required")]);
});

on_both!(a_body_says_that_it_is_json, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    let body = r#"{"name": "x"}"#;
    for kind in
        ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml"]
    {
        for request in [owner.request(Method::POST, TEAMS), owner.request(Method::PATCH, &path)] {
            request.body(body, kind).await.problem(415, "unsupported_media_type");
        }
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"] {
        owner.request(Method::PATCH, &path).body(body, kind).await.ok();
    }
});

on_both!(a_body_has_a_largest_size, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    let huge = || json!({"name": "x".repeat(api::BODY_LIMIT)});
    owner.post(TEAMS, huge()).await.problem(413, "payload_too_large");
    owner.patch(&path, huge()).await.problem(413, "payload_too_large");
    app.anonymous().post(TEAMS, huge()).await.problem(401, "unauthenticated");
    let fitting = "x".repeat(api::BODY_LIMIT - 20);
    owner.post(TEAMS, json!({"name": fitting})).await.invalid(&[("/name", "too_long")]);
});

on_both!(a_version_is_stated_in_one_of_its_forms, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    let patch = |form: &str| owner.patch(&path, json!({"name": "search"})).header("if-match", form);
    for (n, form) in [r#""1""#, r#"W/"2""#, "3", "*", r#" "5" "#].into_iter().enumerate() {
        assert_eq!(patch(form).await.ok()["version"], n + 2, "{form}");
    }
    for form in [
        "",
        r#""""#,
        "x",
        r#""x""#,
        r#""6", "7""#,
        r#""6"#,
        r#"6""#,
        "W/",
        "6.0",
        r#""99999999999999999999""#,
        "é",
    ] {
        let problem = patch(form).await.problem(400, "invalid_if_match");
        assert_eq!(problem["errors"][0]["pointer"], "If-Match", "{form}");
        owner.delete(&path).header("if-match", form).await.problem(400, "invalid_if_match");
    }
    assert_eq!(owner.get(&path).await.ok()["version"], 6);
});

on_both!(nothing_odd_in_a_path_or_a_query_breaks_anything, |app| {
    let owner = app.owner();
    for organization in
        ["%00", "%FF", "a%2Fb", "-", "org_00000000000000000000000000000000", "'", "%F0%9F%A6%80"]
    {
        let path = format!("/v1/organizations/{organization}/teams");
        owner.get(&path).await.problem(404, "not_found");
    }
    for team in [
        "%00",
        "%FF",
        "x",
        "team_",
        "key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70",
        "TEAM_019aa3c1f6b07c3e9a5d2f4b8c6e1d70",
    ] {
        owner.get(&format!("{TEAMS}/{team}")).await.problem(404, "not_found");
    }
    owner.get(&format!("{TEAMS}?name_prefix=a%00")).await.problem(400, "invalid_parameter");
    for query in ["name_prefix=%FF", "name_prefix=%", "&&&", "name_prefix="] {
        owner.get(&format!("{TEAMS}?{query}")).await.ok();
    }
});

on_both!(every_reply_carries_the_security_headers, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    let replies = [
        owner.get(TEAMS).await,
        owner.patch(&path, json!({})).await,
        app.anonymous().get(TEAMS).await,
        app.anonymous().get("/v1/nothing").await,
        owner.request(Method::PUT, TEAMS).await,
        owner.delete(&path).await,
        app.anonymous().get("/openapi.json").await,
    ];
    for reply in replies {
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert!(reply.header("strict-transport-security").starts_with("max-age="));
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(reply.header("x-request-id").starts_with("req_"));
        assert_eq!(reply.header("access-control-allow-origin"), "");
    }
});

on_both!(a_request_id_is_kept_if_it_is_harmless, |app| {
    let owner = app.owner();
    let longest = "x".repeat(128);
    for good in ["a", "my-request_1.2:3", &longest] {
        assert_eq!(owner.get(TEAMS).header("x-request-id", good).await.header("x-request-id"), good);
    }
    let too_long = "x".repeat(129);
    for bad in ["", "two words", "a\tb", "<script>", "ü", "a/b", &too_long] {
        let reply = owner.get(TEAMS).header("x-request-id", bad).await;
        assert!(reply.header("x-request-id").starts_with("req_"), "{bad}");
    }
    let ids =
        [owner.get(TEAMS).await, owner.get(TEAMS).await].map(|reply| reply.header("x-request-id").to_owned());
    assert_ne!(ids[0], ids[1]);
});

/// The address that the audit log has of a request that comes from `peer` and claims to be for `forwarded`.
async fn address(app: &TestApp, (peer, forwarded): (&str, &[&str])) -> Value {
    let name = format!("team {}", i64::from_be_bytes(app.system.entropy.bytes()));
    let mut request = app.owner().post(TEAMS, json!({"name": name})).from(peer);
    for value in forwarded {
        request = request.also("x-forwarded-for", value);
    }
    let subject = request.await.created()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/organizations/default/audit-events?subject={subject}");
    app.owner().get(&path).await.ok()["items"][0]["client_ip"].clone()
}

on_both!(a_forwarded_address_is_believed_from_trusted_proxies_alone, |app| {
    let spoof = ["203.0.113.9"];
    assert_eq!(address(&app, ("198.51.100.1", &spoof)).await, "198.51.100.1");
    assert_eq!(address(&app, ("10.0.0.1", &spoof)).await, "10.0.0.1");
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
    let behind = app.with_settings(|settings| settings.trusted_proxies = networks.to_vec());
    for (request, seen) in [
        (("198.51.100.1", &spoof[..]), "198.51.100.1"),
        (("10.0.0.1", &spoof[..]), "203.0.113.9"),
        (("::ffff:10.0.0.1", &spoof[..]), "203.0.113.9"),
        (("fd00::1", &["2001:db8::7"][..]), "2001:db8::7"),
        (("10.0.0.1", &[][..]), "10.0.0.1"),
        // The client may write what it likes in front; the last address that is no proxy is the truth.
        (("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"][..]), "203.0.113.9"),
        (("10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.2"][..]), "203.0.113.9"),
        (("10.0.0.1", &["1.1.1.1, nonsense"][..]), "10.0.0.1"),
        (("10.0.0.1", &["1.1.1.1, nonsense, 10.0.0.2"][..]), "10.0.0.2"),
    ] {
        assert_eq!(address(&behind, request).await, seen, "{request:?}");
    }
});

on_both!(browsers_of_configured_origins_may_call, |app| {
    let origin = "https://console.example.com";
    let preflight = |app: &TestApp, origin: &str| {
        let request = app.anonymous().request(Method::OPTIONS, TEAMS).header("origin", origin);
        request.header("access-control-request-method", "PATCH").into_future()
    };
    assert_eq!(preflight(&app, origin).await.header("access-control-allow-origin"), "");
    let open = app.with_settings(|settings| settings.cors_origins = vec![origin.into()]);
    assert_eq!(preflight(&open, origin).await.header("access-control-allow-origin"), origin);
    assert_eq!(preflight(&open, "https://evil.example.com").await.header("access-control-allow-origin"), "");
    let reply = open.owner().get(TEAMS).header("origin", origin).await;
    assert_eq!(reply.header("access-control-allow-origin"), origin);
});

on_both!(each_principal_has_a_rate_of_its_own, |app| {
    let strict = app.with_settings(|settings| settings.admin_rate = 1);
    let owner = strict.owner();
    let mut refused = None;
    for _ in 0..20 {
        let reply = owner.get(TEAMS).await;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
    }
    refused.expect("a burst of twenty is refused at one a second").problem(429, "throttled");
    strict.admin().await.get(TEAMS).await.ok();
});

on_both!(what_takes_too_long_is_a_problem, |app| {
    let hasty = app.with_settings(|settings| settings.request_timeout = Duration::from_millis(500));
    let slow = hasty.owner().request(Method::POST, TEAMS).stalled();
    slow.header("content-type", "application/json").await.problem(504, "timeout");
});

on_both!(a_database_that_is_gone_is_never_the_callers_fault, |app| {
    let owner = app.owner();
    let team = make(&owner, "search").await;
    app.system.db.reader.clone().close().await.unwrap();
    app.system.db.writer.clone().close().await.unwrap();
    owner.get(&team).await.problem(503, "database_unavailable");
    owner.post(TEAMS, json!({"name": "x"})).await.problem(503, "database_unavailable");
    app.client("tka_not_a_token").get(TEAMS).await.problem(401, "token_invalid");
});

on_both!(the_documentation_is_served_without_the_internet, |app| {
    let anonymous = app.anonymous();
    let served = anonymous.get("/openapi.json").await.ok();
    assert_eq!(served, serde_json::to_value(api::openapi()).unwrap());
    let page = anonymous.get("/docs/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    let sources =
        page.text.split(['"', '\'']).filter(|text| text.starts_with("http") || text.starts_with("//"));
    assert_eq!(sources.collect::<Vec<_>>(), [""; 0]);
    // The policy forbids scripts within the page.
    assert!(page.text.split("<script").skip(1).all(|script| script.contains("src=")), "{}", page.text);
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let script = anonymous.get("/docs/swagger-ui-bundle.js").await;
    assert_eq!(script.status, 200);
});

on_both!(replies_are_compressed_for_who_asks, |app| {
    let reply = app.anonymous().get("/openapi.json").header("accept-encoding", "gzip").await;
    assert_eq!((reply.status, reply.header("content-encoding")), (200, "gzip"));
});

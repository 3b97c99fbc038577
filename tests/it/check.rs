//! Decisions by status: `/v1/check` as proxies ask it. Behind real proxies: `check_gateways`.

use crate::decisions::issue;
use axum::http::Method;
use serde_json::{Value, json};
use tests::{Client, Reply, TestApp, on_both};

/// A proxy that asks about calls with a key.
struct Proxy {
    client: Client,
    token: String,
}

impl Proxy {
    async fn new(app: &TestApp, key: &Value) -> Self {
        let client = app.client(key["secret"].as_str().unwrap());
        Self { client, token: app.gateway().await.bearer().unwrap() }
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask_by(Method::GET, path, headers).await
    }

    async fn ask_by(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.client.request(method, path).header("tollkeeper-gateway-token", &self.token);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).await
    }
}

#[track_caller]
fn denied(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.header("tollkeeper-denied")), (status, code), "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(status == 401, reply.headers.contains_key("www-authenticate"));
}

on_both!(a_good_key_gets_200_and_its_identity, |app| {
    let key = issue(&app, json!({"name": "Übung 100% \u{1f600}"})).await;
    let proxy = Proxy::new(&app, &key).await;
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    let odd = Method::from_bytes(b"PROPFIND").unwrap();
    for method in methods.into_iter().chain([odd]) {
        for path in ["/v1/check", "/v1/check/", "/v1/check/v1/chat/completions?x=1", "/v1/check/a/b"] {
            let reply = proxy.ask_by(method.clone(), path, &[]).await;
            assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text);
            assert_eq!(reply.header("tollkeeper-key-id"), key["id"].as_str().unwrap());
            assert_eq!(reply.header("tollkeeper-key-name"), "%C3%9Cbung%20100%25%20%F0%9F%98%80");
            assert_eq!(reply.header("tollkeeper-team-id"), key["team_id"].as_str().unwrap());
            assert_eq!(reply.header("tollkeeper-organization-id"), app.organization.to_string());
            assert!(reply.header("tollkeeper-decision-id").starts_with("dec_"));
        }
    }
});

on_both!(without_a_gateway_token_no_method_gets_through, |app| {
    let key = issue(&app, json!({})).await;
    let client = app.client(key["secret"].as_str().unwrap());
    for method in [Method::GET, Method::POST, Method::PUT, Method::OPTIONS, Method::DELETE] {
        for path in ["/v1/check", "/v1/check/v1/messages"] {
            client.request(method.clone(), path).await.problem(401, "unauthenticated");
            let wrong = client.request(method.clone(), path).header("tollkeeper-gateway-token", "x");
            wrong.await.problem(401, "token_invalid");
            let own = client
                .request(method.clone(), path)
                .header("tollkeeper-gateway-token", client.bearer().unwrap());
            own.await.problem(403, "forbidden");
        }
    }
    let with_cors = app.with_settings(|settings| settings.cors_origins = vec!["https://example.com".into()]);
    let preflight =
        with_cors.anonymous().request(Method::OPTIONS, "/v1/check").header("origin", "https://example.com");
    preflight.header("access-control-request-method", "GET").await.problem(401, "unauthenticated");
});

on_both!(a_bad_key_gets_401_and_a_call_it_may_not_make_403, |app| {
    let key = issue(&app, json!({"allowed_models": ["gpt-*"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    assert_eq!(proxy.ask("/v1/check", &[("tollkeeper-model", "gpt-4o")]).await.status, 200);
    let denial = proxy.ask("/v1/check", &[("tollkeeper-model", "o3")]).await;
    denied(&denial, 403, "model_not_allowed");
    assert_eq!(denial.body["error"]["code"], "model_not_allowed");
    denied(&proxy.ask("/v1/check", &[]).await, 403, "model_not_allowed");
    denied(&proxy.ask("/v1/check?deny_status=401", &[]).await, 401, "model_not_allowed");
    let anthropic = proxy.ask("/v1/check/v1/messages", &[("tollkeeper-model", "o3")]).await;
    assert_eq!(anthropic.body["error"]["type"], "permission_error");
    assert_eq!(anthropic.body["type"], "error");
    let anthropic = proxy.ask("/v1/check", &[("anthropic-version", "2023-06-01")]).await;
    assert_eq!(anthropic.body["type"], "error");

    for (header, value) in
        [("authorization", "Bearer nonsense"), ("authorization", "Basic eDp5"), ("authorization", "")]
    {
        denied(&proxy.ask("/v1/check", &[(header, value)]).await, 401, "key_unknown");
    }
    denied(&proxy.ask("/v1/check?deny_status=403", &[("authorization", "")]).await, 403, "key_unknown");
    let secret = key["secret"].as_str().unwrap();
    let headers = [("authorization", ""), ("x-api-key", secret), ("tollkeeper-model", "gpt-4o")];
    assert_eq!(proxy.ask("/v1/check", &headers).await.status, 200, "as some SDKs send it");
    for name in ["api-key", "x-goog-api-key"] {
        let headers =
            [("authorization", ""), ("x-api-key", ""), (name, secret), ("tollkeeper-model", "gpt-4o")];
        assert_eq!(proxy.ask("/v1/check", &headers).await.status, 200, "{name}");
        let own = app.anonymous().get("/v1/key").header(name, secret).await.ok();
        assert_eq!(own["id"], key["id"], "{name}");
    }
});

on_both!(the_kind_of_call_is_told_by_the_path, |app| {
    let key = issue(&app, json!({"scopes": ["chat", "messages"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    for (path, scope, allowed) in [
        ("/v1/check/v1/chat/completions", "", true),
        ("/v1/check/chat/completions?stream=1", "", true),
        ("/v1/check/v1/messages", "", true),
        ("/v1/check/v1/messages/count_tokens", "", true),
        ("/v1/check/v1/embeddings", "", false),
        ("/v1/check/v1/embeddings", "chat", false),
        ("/v1/check/v1/completions", "", false),
        ("/v1/check/v1/chat/completionsx", "", false),
        ("/v1/check/v1/unheard-of", "chat", true),
        ("/v1/check", "chat", true),
        ("/v1/check", "", false),
    ] {
        let reply = proxy.ask(path, &[("tollkeeper-scope", scope)]).await;
        assert_eq!(reply.status, if allowed { 200 } else { 403 }, "{path} {scope}: {}", reply.text);
    }
});

const IP: &str = "tollkeeper-client-ip";
const FORWARDED: (&str, &str) = (IP, "forwarded");

on_both!(the_clients_address_is_what_the_gateway_says, |app| {
    let key = issue(&app, json!({"allowed_cidrs": ["203.0.113.0/24"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    let behind =
        app.with_settings(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let behind = Proxy::new(&behind, &key).await;
    for (headers, direct, through_a_proxy) in [
        (&[(IP, "203.0.113.7")][..], 200, 200),
        (&[(IP, "198.51.100.1")], 403, 403),
        (&[], 403, 403),
        (&[("x-forwarded-for", "203.0.113.7")], 403, 403),
        (&[FORWARDED], 403, 403),
        (&[FORWARDED, ("x-forwarded-for", "203.0.113.7")], 200, 403),
        (&[FORWARDED, ("x-forwarded-for", "198.51.100.1, 203.0.113.7")], 200, 403),
        (&[FORWARDED, ("x-forwarded-for", "203.0.113.7, 198.51.100.1")], 403, 403),
        (&[FORWARDED, ("x-forwarded-for", "203.0.113.7, nonsense")], 403, 403),
        (&[FORWARDED, ("x-real-ip", "203.0.113.7")], 200, 403),
    ] {
        assert_eq!(proxy.ask("/v1/check", headers).await.status, direct, "{headers:?}");
        assert_eq!(behind.ask("/v1/check", headers).await.status, through_a_proxy, "{headers:?}");
    }
    proxy.ask("/v1/check", &[(IP, "1.2.3")]).await.problem(400, "invalid_header");
});

on_both!(what_a_client_can_send_is_not_trusted, |app| {
    let key = issue(&app, json!({"allowed_models": ["gpt-4o"], "scopes": ["chat"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    let told = [("tollkeeper-model", "gpt-4o"), ("tollkeeper-scope", "chat")];
    assert_eq!(proxy.ask("/v1/check", &told).await.status, 200);
    for name in [
        "x-model",
        "x-scope",
        "x_model",
        "X_Scope",
        "tollkeeper_model",
        "tollkeeper_gateway_token",
        "tollkeeper-key-id",
        "tollkeeper-team-id",
        "tollkeeper-unheard-of",
    ] {
        for value in ["gpt-4o", ""] {
            let with = proxy.ask("/v1/check", &[told[0], told[1], (name, value)]).await;
            with.problem(400, "header_not_trusted");
        }
        // To nobody else is anything told.
        let client = app.client(key["secret"].as_str().unwrap());
        client.get("/v1/check").header(name, "o3").await.problem(401, "unauthenticated");
    }
    for name in ["tollkeeper-model", "tollkeeper-scope", "tollkeeper-uri", "tollkeeper-client-ip"] {
        let twice = proxy.client.get("/v1/check").header("tollkeeper-gateway-token", &proxy.token);
        twice.also(name, "x").also(name, "x").await.problem(400, "invalid_header");
    }
    let two = proxy.client.get("/v1/check").header("tollkeeper-gateway-token", &proxy.token);
    two.also("tollkeeper-gateway-token", &proxy.token).await.problem(401, "unauthenticated");
});

on_both!(a_model_of_any_script_is_understood, |app| {
    let key = issue(&app, json!({"allowed_models": ["日本"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    for (model, status) in [
        ("日本", 200),
        ("%E6%97%A5%E6%9C%AC", 200),
        ("日", 403),
        ("%2525", 403),
        ("%", 400),
        ("%zz", 400),
        ("%FF", 400),
    ] {
        assert_eq!(proxy.ask("/v1/check", &[("tollkeeper-model", model)]).await.status, status, "{model}");
    }
    let latin = proxy.client.get("/v1/check").header("tollkeeper-gateway-token", &proxy.token);
    latin.header("tollkeeper-model", [0xE6, 0x97]).await.problem(400, "invalid_header");
    let path = "/v1/check/openai/deployments/%E6%97%A5%E6%9C%AC/embeddings";
    assert_eq!(proxy.ask(path, &[]).await.status, 200);
    let long = "m".repeat(257);
    proxy.ask("/v1/check", &[("tollkeeper-model", &long)]).await.problem(422, "invalid");
});

on_both!(the_path_is_stated_once_and_has_one_reading, |app| {
    let key = issue(&app, json!({"scopes": ["embeddings"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    const URI: &str = "tollkeeper-uri";
    const THEIRS: &str = "x-forwarded-uri";
    for (path, headers, status) in [
        ("/v1/check", &[(URI, "/v1/embeddings?a=b%2Fc;d")][..], 200),
        ("/v1/check?a=1", &[(URI, "/v1/embeddings")], 200),
        ("/v1/check/", &[(URI, "/v1/embeddings/")], 200),
        ("/v1/check", &[(URI, "/v1/chat/completions")], 403),
        ("/v1/check", &[(URI, "forwarded"), (THEIRS, "/v1/embeddings")], 200),
        ("/v1/check", &[(URI, "forwarded"), (THEIRS, "/v1/chat/completions")], 403),
        ("/v1/check", &[(THEIRS, "/v1/embeddings")], 403),
        ("/v1/check/v1/chat/completions", &[(THEIRS, "/v1/embeddings")], 403),
        ("/v1/check", &[(URI, "forwarded")], 400),
        ("/v1/check/v1/embeddings", &[(URI, "/v1/embeddings")], 400),
        ("/v1/check", &[(URI, "/v1/embeddings/../chat/completions")], 400),
        ("/v1/check", &[(URI, "//v1/embeddings")], 400),
        ("/v1/check", &[(URI, "*")], 400),
        ("/v1/check", &[(URI, "?x")], 400),
        ("/v1/check//v1/embeddings", &[], 400),
        ("/v1/check/v1/embeddings/../chat/completions", &[], 400),
        ("/v1/check/v1/%65mbeddings", &[], 400),
        ("/v1/check/v1/Embeddings", &[], 400),
        ("/v1/check/v1/embeddings;x", &[], 400),
    ] {
        let reply = proxy.ask(path, headers).await;
        assert_eq!(reply.status, status, "{path} {headers:?}: {}", reply.text);
    }
    proxy.ask("/v1/check/v1//embeddings", &[]).await.problem(400, "path_ambiguous");
    let twice = proxy.client.get("/v1/check").header("tollkeeper-gateway-token", &proxy.token);
    let twice = twice.header(URI, "forwarded").also(THEIRS, "/v1/embeddings").also(THEIRS, "/v1/embeddings");
    twice.await.problem(400, "invalid_header");
    for target in ["/v1/embeddings?key=x", &format!("/v1/embeddings?a={}", key["secret"].as_str().unwrap())] {
        proxy.ask("/v1/check", &[(URI, target)]).await.problem(400, "key_in_url");
        proxy.ask(&format!("/v1/check{target}"), &[]).await.problem(400, "key_in_url");
    }
});

on_both!(a_path_that_names_the_model_stands_over_headers, |app| {
    let key =
        issue(&app, json!({"allowed_models": ["gpt-4o-mini", "gemini-2.5-flash"], "scopes": ["chat"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    for (path, status) in [
        ("/v1/check/openai/deployments/gpt-4o-mini/chat/completions?api-version=1", 200),
        ("/v1/check/openai/deployments/o3/chat/completions", 403),
        ("/v1/check/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", 200),
        ("/v1/check/v1beta/models/gemini-2.5-pro:generateContent", 403),
        ("/v1/check/v1beta/models/gemini-2.5-flash:embedContent", 403),
        ("/v1/check/v1/models/gemini-2.5-flash:unheardOf", 403),
    ] {
        let reply = proxy.ask(path, &[]).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        if status == 403 && !path.contains("unheardOf") {
            let talked = [("tollkeeper-model", "gpt-4o-mini"), ("tollkeeper-scope", "chat")];
            assert_eq!(proxy.ask(path, &talked).await.status, 403, "{path}");
        }
    }
    let models = issue(&app, json!({"scopes": ["models"]})).await;
    let proxy = Proxy::new(&app, &models).await;
    assert_eq!(proxy.ask("/v1/check/v1/models", &[]).await.status, 200);
    assert_eq!(proxy.ask("/v1/check/v1/models/gemini-2.5-pro:generateContent", &[]).await.status, 403);
});

on_both!(a_refusal_is_worded_for_the_sdk, |app| {
    let key = issue(&app, json!({"allowed_models": ["gpt-4o"]})).await;
    let proxy = Proxy::new(&app, &key).await;
    for (path, headers, shape) in [
        ("/v1/check?error_format=gemini", &[][..], "gemini"),
        ("/v1/check?error_format=anthropic", &[], "anthropic"),
        ("/v1/check/v1/messages?error_format=openai", &[], "openai"),
        ("/v1/check/v1/messages?error_format=xml", &[], "anthropic"),
        ("/v1/check/v1beta/models/o3:generateContent", &[], "gemini"),
        ("/v1/check", &[("x-goog-api-key", "AIza")], "gemini"),
        ("/v1/check", &[], "openai"),
    ] {
        let reply = proxy.ask(path, headers).await;
        denied(&reply, 403, "model_not_allowed");
        let error = &reply.body["error"];
        let seen = match (&reply.body["type"], &error["status"]) {
            (Value::String(_), _) => "anthropic",
            (_, Value::String(_)) => "gemini",
            _ => "openai",
        };
        assert_eq!(seen, shape, "{path}: {}", reply.text);
        if shape == "gemini" {
            assert_eq!((&error["code"], &error["status"]), (&json!(403), &json!("PERMISSION_DENIED")));
            assert_eq!(error["details"][0]["reason"], "MODEL_NOT_ALLOWED");
        }
    }
    let unknown = proxy.ask("/v1/check?error_format=gemini", &[("authorization", "Bearer x")]).await;
    assert_eq!(unknown.body["error"]["status"], "UNAUTHENTICATED");
    proxy.ask("/v1/check?error_format=xml", &[]).await.problem(400, "invalid_value");
    proxy.ask("/v1/check?deny_status=500", &[]).await.problem(400, "invalid_value");
    let call = json!({"key": key["secret"], "model": "o3", "error_format": "gemini"});
    let answer = app.gateway().await.post("/v1/authorize", call).await.ok();
    assert_eq!(answer["client_response"]["body"]["error"]["status"], "PERMISSION_DENIED");
});

on_both!(a_forced_status_carries_the_own_one, |app| {
    let limits = json!([{"metric": "requests", "amount": "1", "window": "day"}]);
    let key = issue(&app, json!({"allowed_models": ["日本"], "limits": limits})).await;
    let proxy = Proxy::new(&app, &key).await;
    const DENY: (&str, &str) = ("tollkeeper-deny-status", "403");
    let ask = async |model: &str, more: &[(&str, &str)]| {
        proxy.ask("/v1/check", &[&[DENY, ("tollkeeper-model", model)], more].concat()).await
    };
    let told = |reply: &Reply| serde_json::from_str::<Value>(reply.header("tollkeeper-denied-body")).unwrap();
    assert_eq!(ask("日本", &[]).await.status, 200);
    let reply = ask("日本", &[]).await;
    denied(&reply, 403, "limit_exceeded");
    assert_eq!((reply.header("tollkeeper-denied-status"), told(&reply)), ("429", reply.body.clone()));
    assert!(!reply.header("retry-after").is_empty());
    let reply = ask("日本語 \u{1f600}", &[("authorization", "Bearer x")]).await;
    assert_eq!((reply.status, reply.header("tollkeeper-denied-status")), (403, "401"));
    for (header, value, status, code) in [
        ("x-model", "a", "400", "header_not_trusted"),
        ("tollkeeper-uri", "//", "400", "path_ambiguous"),
        ("tollkeeper-model", "%", "400", "invalid_header"),
        ("tollkeeper-scope", &"x".repeat(300), "422", "invalid"),
    ] {
        let reply = proxy.ask("/v1/check", &[DENY, (header, value)]).await;
        assert_eq!((reply.status, reply.header("tollkeeper-denied-status")), (403, status), "{}", reply.text);
        assert_eq!((reply.header("tollkeeper-denied"), &told(&reply)["code"]), (code, &json!(code)));
    }
    // Below the route the query is a client's.
    let proxy = Proxy::new(&app, &issue(&app, json!({"allowed_models": ["gpt-4o"]})).await).await;
    let theirs = proxy.ask("/v1/check/v1/embeddings?deny_status=401", &[("tollkeeper-model", "o3")]).await;
    denied(&theirs, 403, "model_not_allowed");
    let beside = [("tollkeeper-model", "o3"), ("tollkeeper-uri", "/v1/embeddings")];
    denied(&proxy.ask("/v1/check?deny_status=401&error_format=xml", &beside).await, 403, "model_not_allowed");
});

on_both!(a_checked_call_is_not_counted_again_by_its_report, |app| {
    let limits = json!([{"metric": "requests", "amount": "10", "window": "day"}]);
    let key = issue(&app, json!({"limits": limits})).await;
    let proxy = Proxy::new(&app, &key).await;
    assert_eq!(proxy.ask("/v1/check", &[]).await.status, 200);
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "requests": 0});
    let report = json!({"key_id": key["id"], "model": "gpt-4o-mini", "usage": usage});
    app.gateway().await.post("/v1/usage", report).await.ok();
    let path = format!("/v1/organizations/default/keys/{}", key["id"].as_str().unwrap());
    let state = app.owner().get(&format!("{path}/limits")).await.ok();
    assert_eq!(state["items"][0]["used"], "1", "{state}");
    let totals = app.owner().get(&format!("{path}/usage")).await.ok();
    let usage = &totals["usage"];
    assert_eq!((&usage["input_tokens"], &usage["requests"]), (&json!(10), &json!(1)), "{totals}");
});

//! `/v1/check` behind proxies with the configurations of `docs/gateways/`: what the key of a client does not allow never
//! reaches the provider, however the client words it, and what it allows does, with nothing of Tollkeeper's or the client's.

use crate::decisions::issue;
use serde_json::{Value, json};
use tests::{
    TestApp,
    gateways::{Answer, Ends, Gateway, Kind, PROVIDER_KEY, Provider},
    on_both,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A provider, and every proxy in front of it.
struct Stage {
    provider: Provider,
    gateways: Vec<Gateway>,
    token: String,
}

impl Stage {
    async fn new(app: &TestApp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tollkeeper = listener.local_addr().unwrap();
        let service =
            api::app(app.state.clone()).into_make_service_with_connect_info::<std::net::SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let (provider, token) = (Provider::start().await, app.gateway().await.bearer().unwrap());
        let ends = Ends { tollkeeper, provider: provider.address, token: token.clone() };
        let mut gateways = Vec::new();
        for kind in Kind::EVERY {
            gateways.push(Gateway::start(kind, &ends).await);
        }
        Self { provider, gateways, token }
    }
}

fn secret(key: &Value) -> &str {
    key["secret"].as_str().unwrap()
}

/// A POST of `{}` to this target, with a key and more headers.
fn head(target: &str, key: &Value, more: &[&str]) -> String {
    let more: String = more.iter().map(|line| format!("\r\n{line}")).collect();
    let connection = if more.to_lowercase().contains("\nconnection:") { "" } else { "\r\nConnection: close" };
    let secret = secret(key);
    format!(
        "POST {target} HTTP/1.1\r\nHost: llm.example.com\r\nAuthorization: Bearer {secret}\r\nContent-Length: 2{connection}{more}"
    )
}

/// Other ways to say `/v1/chat/completions` to somebody, with space between them.
const SMUGGLED: &str = r"/v1/chat/completions /v1/embeddings/../chat/completions /v1/embeddings/%2e%2e/chat/completions
    /v1/embeddings/.%2E/chat/completions /v1/embeddings/%252e%252e/chat/completions /v1/embeddings/..;/chat/completions
    /v1/embeddings/..%2fchat/completions /v1/embeddings/..%5cchat/completions /v1/embeddings\..\chat\completions
    /v1/%63hat/completions /v1/%2563hat/completions /v1//chat//completions //v1/chat/completions ///v1/chat/completions
    /v1/./chat/completions /v1/chat/completions/ /v1/chat/completions/. /v1/chat;x/completions /v1/chat/completions;x
    /v1/chat/completions;/v1/embeddings /v1/chat%2fcompletions /v1/chat%2Fcompletions?/v1/embeddings /V1/CHAT/COMPLETIONS
    /v1/Chat/Completions /v1/chat/completions%00 /v1/chat/completions%20 /v1/chat/completions%3f /v1/chat/completions%23
    /v1/chat/completions#/v1/embeddings /v1/embeddings#/../chat/completions /v1/chat/completions?/v1/embeddings
    /v1/embeddings%c0%af..%c0%afchat/completions /v1/embeddings/%c0%ae%c0%ae/chat/completions /v1/%ff /v1/chat/completions%0d%0a
    http://llm.example.com/v1/chat/completions http://llm.example.com/v1/embeddings/../chat/completions
    http://llm.example.com?/v1/embeddings http://llm.example.com * v1/embeddings /v1/embeddings/../../v1/chat/completions
    /chat/completions /openai/v1/chat/completions /openai/deployments/o3/chat/completions /api/v1/chat/completions
    /v1beta/models/gemini-2.5-pro:generateContent /v1beta/models/gemini-2.5-pro%3AgenerateContent /v1/messages /v1/unheard-of
    /v1/embeddings?deny_status=401&key=x /?error_format=xml /";

on_both!(an_embeddings_key_never_reaches_chat, |app| {
    let key = issue(&app, json!({"scopes": ["embeddings"]})).await;
    let stage = Stage::new(&app).await;
    for gateway in &stage.gateways {
        for target in SMUGGLED.split_whitespace() {
            let answer = gateway.send(&head(target, &key, &[]), b"{}").await;
            let seen = stage.provider.take();
            // A fragment that is cut off on arrival leaves a path that is no other.
            let elsewhere = seen.iter().find(|seen| seen.target != "/v1/embeddings");
            assert!(elsewhere.is_none(), "{:?} let {target} through: {seen:?}", gateway.kind);
            // A proxy that does not understand a request line may also close the connection.
            let refused = matches!(answer.status, 0 | 400..=499) || !seen.is_empty();
            assert!(refused, "{:?} {target}: {answer:?}", gateway.kind);
        }
        let allowed = gateway.send(&head("/v1/embeddings?x=%2F..", &key, &[]), b"{}").await;
        assert_eq!(allowed.status, 200, "{:?}: {allowed:?} {}", gateway.kind, gateway.log());
        assert_eq!(stage.provider.only().target, "/v1/embeddings?x=%2F..", "{:?}", gateway.kind);
    }
});

/// Headers by which a client claims to be the proxy, a line or more each.
const FORGED: &[&[&str]] = &[
    &["Tollkeeper-Model: gpt-4o-mini", "Tollkeeper-Scope: embeddings"],
    &["tollkeeper-model: gpt-4o-mini", "TOLLKEEPER-SCOPE: embeddings", "Tollkeeper-Model: gpt-4o-mini"],
    &["X-Model: gpt-4o-mini", "X-Scope: embeddings"],
    &["tollkeeper_model: gpt-4o-mini", "tollkeeper_scope: embeddings"],
    &["Tollkeeper_Model: gpt-4o-mini", "x_model: gpt-4o-mini"],
    &["Tollkeeper-Uri: /openai/deployments/gpt-4o-mini/embeddings"],
    &["Tollkeeper-Uri: forwarded", "X-Forwarded-Uri: /openai/deployments/gpt-4o-mini/embeddings"],
    &["X-Forwarded-Uri: /openai/deployments/gpt-4o-mini/embeddings", "X-Forwarded-Method: GET"],
    &["X-Original-Url: /openai/deployments/gpt-4o-mini/embeddings", "X-Rewrite-Url: /v1/embeddings"],
    &["X-Envoy-Original-Path: /openai/deployments/gpt-4o-mini/embeddings"],
    &["Connection: close, Tollkeeper-Uri, Tollkeeper-Gateway-Token", "Tollkeeper-Model: gpt-4o-mini"],
    &["Connection: close, X-Forwarded-Uri, Tollkeeper-Client-Ip, Authorization"],
    &["Tollkeeper-Deny-Status: 200", "X-Http-Method-Override: GET"],
    &["Tollkeeper-Gateway-Token: tkg_forged", "Tollkeeper-Model: gpt-4o-mini"],
];

on_both!(a_forged_header_opens_nothing, |app| {
    let key = json!({"allowed_models": ["gpt-4o-mini"], "scopes": ["embeddings"]});
    let key = issue(&app, key).await;
    let stage = Stage::new(&app).await;
    for gateway in &stage.gateways {
        for forged in FORGED {
            for target in [
                "/openai/deployments/o3/embeddings",
                "/v1/embeddings",
                "/v1/unheard-of",
                "/v1/chat/completions",
            ] {
                let answer = gateway.send(&head(target, &key, forged), b"{}").await;
                assert!(
                    (400..500).contains(&answer.status),
                    "{:?} {target} {forged:?}: {answer:?}",
                    gateway.kind
                );
            }
        }
        assert!(stage.provider.take().is_empty(), "{:?}", gateway.kind);
        let allowed = "/openai/deployments/gpt-4o-mini/embeddings?api-version=1";
        assert_eq!(gateway.send(&head(allowed, &key, &[]), b"{}").await.status, 200, "{:?}", gateway.kind);
        assert_eq!(stage.provider.only().target, allowed);
    }
});

on_both!(what_reaches_the_provider_is_the_providers, |app| {
    let key = issue(&app, json!({"name": "Übung {env.PROVIDER_KEY}"})).await;
    let stage = Stage::new(&app).await;
    let secret = secret(&key);
    for gateway in &stage.gateways {
        for name in ["Authorization: Bearer ", "X-Api-Key: ", "Api-Key: ", "X-Goog-Api-Key: "] {
            let forged = "Tollkeeper-User-Id: forged\r\nTollkeeper-Team-Id: forged\r\nTollkeeper-Odd: forged\r\nTollkeeper-Model: m";
            let head = format!(
                "PUT /v1/responses/r_1?a=b&c=%20 HTTP/1.1\r\nHost: llm.example.com\r\nContent-Type: application/json\r\n\
                 Anthropic-Version: 2023-06-01\r\nCookie: a={secret}\r\nContent-Length: 2\r\nConnection: close, Tollkeeper-Key-Id\r\n{forged}\r\n{name}{secret}"
            );
            let answer = gateway.send(&head, b"{}").await;
            assert_eq!(answer.status, 200, "{:?} {name}: {answer:?} {}", gateway.kind, gateway.log());
            let seen = stage.provider.only();
            assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PUT", "/v1/responses/r_1?a=b&c=%20"));
            assert_eq!(seen.header("authorization"), format!("Bearer {PROVIDER_KEY}"));
            assert_eq!(
                (seen.header("content-type").as_str(), &seen.body[..]),
                ("application/json", &b"{}"[..])
            );
            assert_eq!(seen.header("anthropic-version"), "2023-06-01");
            let text = format!("{seen:?}");
            for hidden in [secret, stage.token.as_str(), "forged"] {
                assert!(!text.contains(hidden), "{:?} {name}: {text}", gateway.kind);
            }
            let mut ours =
                seen.headers.iter().filter(|(name, _)| name.starts_with("tollkeeper")).collect::<Vec<_>>();
            ours.sort();
            let names: Vec<&str> = ours.iter().map(|(name, _)| name.as_str()).collect();
            let every = ["decision-id", "key-id", "key-name", "organization-id", "team-id"];
            assert_eq!(names, every.map(|name| format!("tollkeeper-{name}")), "{:?}: {ours:?}", gateway.kind);
            assert_eq!(seen.header("tollkeeper-key-id"), key["id"].as_str().unwrap());
            assert_eq!(seen.header("tollkeeper-key-name"), "%C3%9Cbung%20{env.PROVIDER_KEY}");
            assert_eq!(seen.header("tollkeeper-team-id"), key["team_id"].as_str().unwrap());
        }
    }
});

/// The error of an answer, as OpenAI's SDKs read it.
fn code(answer: &Answer) -> Value {
    serde_json::from_str::<Value>(&answer.body).unwrap_or_default()["error"]["code"].clone()
}

on_both!(a_denial_reaches_the_client_whole, |app| {
    let limits = |metric: &str, amount: &str| json!([{"metric": metric, "amount": amount, "window": "day"}]);
    let price = json!({"model": "日本", "kind": "per_request", "per_request": "2"});
    app.owner().post("/v1/organizations/default/prices", price).await.created();
    let spent = issue(&app, json!({"name": "spent", "limits": limits("cost", "1")})).await;
    let busy = issue(&app, json!({"name": "busy", "limits": limits("requests", "1")})).await;
    let narrow = issue(&app, json!({"name": "narrow", "allowed_models": ["gpt-*"]})).await;
    let unknown = json!({"secret": "tk_nonsense"});
    let stage = Stage::new(&app).await;
    let path = "/openai/deployments/%E6%97%A5%E6%9C%AC/chat/completions?deny_status=401&error_format=xml";
    for last in [&busy, &spent] {
        assert_eq!(stage.gateways[0].send(&head(path, last, &[]), b"{}").await.status, 200);
        assert_eq!(stage.provider.only().target, path);
    }
    for gateway in &stage.gateways {
        for (key, status, expected) in [
            (&spent, 402, "budget_exceeded"),
            (&busy, 429, "limit_exceeded"),
            (&narrow, 403, "model_not_allowed"),
            (&unknown, 401, "key_unknown"),
        ] {
            let answer = gateway.send(&head(path, key, &[]), b"{}").await;
            assert_eq!(
                (answer.status, code(&answer)),
                (status, json!(expected)),
                "{:?}: {answer:?}",
                gateway.kind
            );
            assert_eq!(answer.header("tollkeeper-denied"), expected, "{:?}", gateway.kind);
            assert_eq!(answer.header("content-type"), "application/json", "{:?}", gateway.kind);
            assert_eq!(
                !answer.header("retry-after").is_empty(),
                status == 429,
                "{:?}: {answer:?}",
                gateway.kind
            );
            assert_eq!(!answer.header("www-authenticate").is_empty(), status == 401, "{:?}", gateway.kind);
        }
        let in_url = gateway.send(&head("/v1/embeddings?key=x", &narrow, &[]), b"{}").await;
        assert_eq!(in_url.status, 400, "{:?}: {in_url:?}", gateway.kind);
        assert!(in_url.body.contains("key_in_url"), "{:?}: {in_url:?}", gateway.kind);
        assert!(stage.provider.take().is_empty(), "{:?}", gateway.kind);
    }
});

on_both!(large_chunked_and_old_calls_pass_and_streams_flow, |app| {
    let key = issue(&app, json!({"scopes": ["chat", "images"]})).await;
    let stage = Stage::new(&app).await;
    let secret = secret(&key);
    let large = vec![b'x'; 8 << 20];
    for gateway in &stage.gateways {
        let start = format!(
            "POST /v1/images/edits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\nConnection: close"
        );
        let answer = gateway.send(&format!("{start}\r\nContent-Length: {}", large.len()), &large).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "through"),
            "{:?} {}",
            gateway.kind,
            gateway.log()
        );
        assert_eq!(stage.provider.only().body, large);
        let chunked =
            [format!("{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n2\r\nyy\r\n0\r\n\r\n"].concat();
        let answer = gateway.send(&format!("{start}\r\nTransfer-Encoding: chunked"), &chunked).await;
        assert_eq!(answer.status, 200, "{:?} {}", gateway.kind, gateway.log());
        assert_eq!(stage.provider.only().body.len(), large.len() + 2);
        let old =
            format!("POST /v1/images/edits HTTP/1.0\r\nAuthorization: Bearer {secret}\r\nContent-Length: 2");
        let answer = gateway.send(&old, b"{}").await;
        // Envoy takes no HTTP/1.0 unless it is told to.
        let expected = if gateway.kind == Kind::Envoy { (426, 0) } else { (200, 1) };
        assert_eq!((answer.status, stage.provider.take().len()), expected, "{:?}: {answer:?}", gateway.kind);
        if gateway.kind != Kind::TraefikImitated {
            streams(&stage, gateway, &head("/v1/chat/completions/stream", &key, &[])).await;
        }
    }
});

/// The first half of a stream arrives before the second is sent.
async fn streams(stage: &Stage, gateway: &Gateway, head: &str) {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(format!("{head}\r\n\r\n{{}}").as_bytes()).await.unwrap();
    let (mut text, mut part) = (String::new(), [0; 4096]);
    while !text.contains("data: 0") {
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "{:?}: {text}", gateway.kind);
        text.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    stage.provider.send_more();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("data: 1"), "{:?}: {text}", gateway.kind);
    stage.provider.take();
}

on_both!(nothing_passes_that_was_not_asked_about, |app| {
    let key = issue(&app, json!({})).await;
    let provider = Provider::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tollkeeper = listener.local_addr().unwrap();
    let router = api::app(app.state.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let token = app.gateway().await.bearer().unwrap();
    let (good, bad) = (token.as_str(), "tkg_nonsense");
    for (tollkeeper, token) in [(closed, good), (tollkeeper, bad)] {
        let ends = Ends { tollkeeper, provider: provider.address, token: token.into() };
        for kind in Kind::EVERY {
            let gateway = Gateway::start(kind, &ends).await;
            let answer = gateway.send(&head("/v1/chat/completions", &key, &[]), b"{}").await;
            // No answer is a failure; a token that is not good may also look like a refusal.
            if tollkeeper == closed {
                // Traefik has no other word for it.
                let expected = if kind == Kind::TraefikImitated { 500 } else { 503 };
                assert_eq!(answer.status, expected, "{kind:?}: {answer:?}");
            } else {
                assert!(answer.status >= 400, "{kind:?}: {answer:?}");
            }
        }
    }
    let stage = Stage::new(&app).await;
    for gateway in &stage.gateways {
        for line in ["CONNECT provider.example.com:443", "TRACE /v1/embeddings", "CONNECT /v1/embeddings"] {
            let head = format!(
                "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close",
                secret(&key)
            );
            let answer = gateway.send(&head, b"").await;
            let seen = stage.provider.take();
            assert!(seen.is_empty(), "{:?} {line}: {seen:?} {answer:?}", gateway.kind);
        }
        let upgrade = [
            "Connection: Upgrade, close",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: eA==",
            "Sec-WebSocket-Version: 13",
        ];
        let answer = gateway.send(&head("/v1/realtime", &key, &upgrade), b"{}").await;
        assert_ne!(answer.status, 101, "{:?}", gateway.kind);
        for seen in stage.provider.take() {
            assert_eq!(seen.header("upgrade"), "", "{:?}: {seen:?}", gateway.kind);
        }
    }
    assert!(provider.take().is_empty());
});

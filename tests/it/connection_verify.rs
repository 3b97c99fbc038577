//! Verifying upstreams: every protocol, well and badly spoken; where the key goes, what is told, what is noted, and what is not.

use crate::{connection_verify_saved::connect, connections::CONNECTIONS};
use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use tests::{
    Client, on_both, outbound,
    provider::{Conduct, GOOD_KEY, Provider, Speech, dead_url},
};

pub const VERIFY: &str = "/v1/organizations/default/connections/verify";
pub const WRONG_KEY: &str = "sk-wrong-canary-0123456789";

/// A protocol: who speaks it, which provider's name stands for it, its word, the header of its key, what is found at the root.
const PROTOCOLS: [(Speech, &str, &str, &str, &str); 5] = [
    (Speech::OpenAi, "openai", "openai_chat", "authorization", "/v1"),
    (Speech::Anthropic, "anthropic", "anthropic_messages", "x-api-key", ""),
    (Speech::Google, "gemini", "google", "x-goog-api-key", ""),
    (Speech::Ollama, "ollama", "ollama", "authorization", ""),
    (Speech::Azure, "azure", "azure_openai", "api-key", ""),
];

/// What verifying something found; it tells neither keys nor what the upstream said.
pub async fn verify(client: &Client, path: &str, body: Value) -> Value {
    let reply = client.post(path, body).await;
    for canary in [GOOD_KEY, WRONG_KEY, "said-by-the-upstream"] {
        assert!(!reply.text.contains(canary), "{}", reply.text);
    }
    let found = reply.ok();
    assert_eq!(found["ok"], json!(found["code"] == "ok"), "{found}");
    assert_eq!(found["ok"], json!(!found["recommended"].is_null()), "{found}");
    assert_eq!(found["ok"], json!(!found["capabilities"].is_null()), "{found}");
    assert!(found["tried"].as_array().unwrap().len() <= 12, "{found}");
    assert!(found["reason"].as_str().unwrap().ends_with('.'), "{found}");
    found
}

/// The codes of what was tried.
pub fn tried(found: &Value) -> Vec<&str> {
    found["tried"].as_array().unwrap().iter().map(|attempt| attempt["code"].as_str().unwrap()).collect()
}

on_both!(every_protocol_is_verified_and_the_key_is_in_its_header_and_nowhere_else, |app| {
    for (speech, provider, format, header, root) in PROTOCOLS {
        let upstream = Provider::start(speech).await;
        let body = json!({"provider": provider, "base_url": upstream.url("/"), "secret": GOOD_KEY});
        let found = verify(&app.owner(), VERIFY, body).await;
        assert_eq!((&found["code"], tried(&found)), (&json!("ok"), vec!["ok"]), "{found}");
        assert_eq!(found["recommended"], json!({"format": format, "base_url": upstream.url(root)}));
        assert_eq!(found["models_count"], 3, "{found}");
        assert_eq!(found["plan"]["selected_format"], format);
        assert_eq!(found["plan"]["source"], "detected");
        assert_eq!(found["capabilities"]["tool_call_mode"], "native");
        let seen = upstream.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].carries(GOOD_KEY), [header], "{speech:?}");
        assert!(!seen[0].target.contains(GOOD_KEY), "{}", seen[0].target);
    }
});

on_both!(a_version_in_the_base_url_changes_nothing_and_what_is_recommended_works_again, |app| {
    for (speech, provider, format, _, root) in PROTOCOLS {
        let upstream = Provider::start(speech).await;
        for given in ["/v1", "/v1/"] {
            let body = json!({"provider": provider, "base_url": upstream.url(given), "secret": GOOD_KEY});
            let found = verify(&app.owner(), VERIFY, body).await;
            let recommended = json!({"format": format, "base_url": upstream.url(root)});
            assert_eq!(found["recommended"], recommended, "{found}");
            let mode = if root == "/v1" { "fixed_endpoint" } else { "detected_endpoint" };
            assert_eq!(found["plan"]["base_url_mode"], mode, "{found}");
            let body = json!({
                "base_url": recommended["base_url"], "secret": GOOD_KEY, "format": format, "format_mode": "pinned",
            });
            let again = verify(&app.owner(), VERIFY, body).await;
            assert_eq!((&again["recommended"], tried(&again)), (&recommended, vec!["ok"]));
            assert_eq!(again["plan"]["source"], "pinned");
        }
    }
});

on_both!(what_is_spoken_is_found_out_if_nothing_tells_it, |app| {
    for (speech, _, format, _, root) in PROTOCOLS {
        let upstream = Provider::start(speech).await;
        let body = json!({"provider": "mine", "base_url": upstream.url(""), "secret": GOOD_KEY});
        let found = verify(&app.owner(), VERIFY, body).await;
        let recommended = json!({"format": format, "base_url": upstream.url(root)});
        assert_eq!(found["recommended"], recommended, "{found}");
        assert_eq!(found["plan"]["candidate_formats"].as_array().unwrap().len(), 5);
        assert_eq!(tried(&found).last(), Some(&"ok"));
        assert!(upstream.seen().iter().all(|seen| !seen.target.contains(GOOD_KEY)));
    }
});

on_both!(a_wrong_key_is_told_as_such_in_every_protocol, |app| {
    for (speech, provider, ..) in PROTOCOLS {
        let upstream = Provider::start(speech).await;
        if speech == Speech::Ollama {
            continue;
        }
        let body = json!({"provider": provider, "base_url": upstream.url(""), "secret": WRONG_KEY});
        let found = verify(&app.owner(), VERIFY, body).await;
        assert_eq!((&found["code"], tried(&found)), (&json!("key_refused"), vec!["key_refused"]), "{found}");
        let reason = found["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("The key was refused (4") && reason.contains(&upstream.url("")),
            "{reason}"
        );
        let body = json!({"provider": provider, "base_url": upstream.url("")});
        let found = verify(&app.owner(), VERIFY, body).await;
        assert_eq!(found["code"], "no_credential", "{found}");
    }
});

on_both!(another_protocol_than_the_pinned_one_is_told_by_name, |app| {
    for (spoken, format, code, says) in [
        (Speech::Anthropic, "openai_chat", "wrong_protocol", "speaks Anthropic's protocol, not OpenAI's."),
        (
            Speech::OpenAi,
            "anthropic_messages",
            "wrong_protocol",
            "speaks OpenAI's protocol, not Anthropic's.",
        ),
        (Speech::OpenAi, "google", "wrong_protocol", "speaks OpenAI's protocol, not Google's."),
        (Speech::Google, "openai_responses", "wrong_protocol", "speaks Google's protocol, not OpenAI's."),
        (Speech::OpenAi, "ollama", "wrong_protocol", "speaks OpenAI's protocol, not Ollama's."),
        (Speech::Ollama, "anthropic_messages", "not_found", "(404)"),
        (
            Speech::Anthropic,
            "azure_openai",
            "wrong_protocol",
            "speaks Anthropic's protocol, not Azure OpenAI's.",
        ),
    ] {
        let upstream = Provider::start(spoken).await;
        let body = json!({
            "base_url": upstream.url(""), "secret": GOOD_KEY, "format": format, "format_mode": "pinned",
        });
        let found = verify(&app.owner(), VERIFY, body).await;
        assert_eq!(found["code"], code, "{spoken:?} asked in {format}: {found}");
        assert!(found["reason"].as_str().unwrap().contains(says), "{found}");
        assert_eq!(found["plan"]["candidate_formats"], json!([format]));
    }
});

on_both!(whatever_an_upstream_does_is_told_by_a_word_and_a_sentence, |app| {
    let (upstream, elsewhere) =
        (Provider::start(Speech::OpenAi).await, Provider::start(Speech::OpenAi).await);
    let place = elsewhere.url("/v1/models");
    for (conduct, code, status) in [
        (Conduct::Fails(403), "key_refused", json!(403)),
        (Conduct::Fails(404), "not_found", json!(404)),
        (Conduct::Fails(422), "request_refused", json!(422)),
        (Conduct::Fails(429), "rate_limited", json!(429)),
        (Conduct::Fails(500), "provider_failed", json!(500)),
        (Conduct::Redirects(place.clone()), "redirected", json!(302)),
        (Conduct::Website, "answer_broken", json!(200)),
        (Conduct::Nonsense, "wrong_protocol", json!(200)),
        (Conduct::BreaksOff, "answer_broken", json!(null)),
        (Conduct::Huge, "answer_too_large", json!(null)),
    ] {
        upstream.behave(conduct.clone());
        let body = json!({
            "base_url": upstream.url("/v1"), "secret": GOOD_KEY, "format": "openai_chat", "format_mode": "pinned",
        });
        let found = verify(&app.owner(), VERIFY, body).await;
        assert_eq!((&found["code"], tried(&found)), (&json!(code), vec![code]), "{conduct:?} {found}");
        assert_eq!(found["tried"][0]["status"], status, "{found}");
        assert!(found["reason"].as_str().unwrap().contains(&upstream.url("")), "{found}");
        assert!(!found.to_string().contains(&place), "{found}");
    }
    assert_eq!(elsewhere.count(), 0, "a redirect was followed");
});

on_both!(an_upstream_that_is_not_there_or_never_answers_ends_the_search_at_its_host, |app| {
    let silent = Provider::start(Speech::OpenAi).await;
    silent.behave(Conduct::Silent);
    let plain = Provider::start(Speech::OpenAi).await;
    for (url, code) in [
        (dead_url().await, "unreachable"),
        (silent.url(""), "timeout"),
        ("http://no-such-host.invalid".to_owned(), "name_unresolved"),
        (format!("https://127.0.0.1:{}", plain.port()), "tls_failed"),
    ] {
        let body = json!({"provider": "mine", "base_url": url, "secret": GOOD_KEY});
        let found = verify(&app.owner(), VERIFY, body).await;
        assert_eq!((&found["code"], tried(&found)), (&json!(code), vec![code]), "{found}");
        assert_eq!(found["tried"][0]["status"], json!(null));
    }
    assert_eq!((silent.count(), plain.count()), (1, 0));
});

on_both!(alternates_are_asked_in_order_if_the_base_url_refuses_or_is_not_there, |app| {
    let [first, second, third] = [
        Provider::start(Speech::OpenAi).await,
        Provider::start(Speech::OpenAi).await,
        Provider::start(Speech::OpenAi).await,
    ];
    let ask = async |base_url: String| {
        let body = json!({
            "provider": "openai", "base_url": base_url, "secret": GOOD_KEY,
            "alternate_base_urls": [second.url("/v1"), third.url("/v1")],
        });
        verify(&app.owner(), VERIFY, body).await
    };
    for status in [401, 403, 404] {
        first.behave(Conduct::Fails(status));
        let found = ask(first.url("/v1")).await;
        assert_eq!(found["recommended"]["base_url"], second.url("/v1"), "{found}");
        assert_eq!(found["plan"]["base_url_mode"], "detected_endpoint");
    }
    assert_eq!(third.count(), 0);
    second.behave(Conduct::Fails(401));
    let found = ask(dead_url().await).await;
    assert_eq!(tried(&found), ["unreachable", "key_refused", "ok"], "{found}");
    assert_eq!(found["recommended"]["base_url"], third.url("/v1"));
    // What fails for another reason is not better elsewhere.
    let before = second.count() + third.count();
    for status in [429, 500] {
        first.behave(Conduct::Fails(status));
        assert_eq!(ask(first.url("/v1")).await["ok"], false);
    }
    assert_eq!(second.count() + third.count(), before);
});

on_both!(the_number_of_questions_is_bounded, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    upstream.behave(Conduct::Website);
    let alternates: Vec<String> = (0..16).map(|n| upstream.url(&format!("/x{n}"))).collect();
    let body = json!({
        "provider": "mine", "base_url": upstream.url(""), "alternate_base_urls": alternates, "secret": GOOD_KEY,
    });
    let found = verify(&app.owner(), VERIFY, body).await;
    assert_eq!((&found["code"], tried(&found).len()), (&json!("answer_broken"), 12), "{found}");
    assert_eq!(upstream.count(), 12);
});

on_both!(headers_of_the_connection_are_sent_beside_the_key, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let body = json!({
        "provider": "openai", "base_url": upstream.url("/v1"), "secret": GOOD_KEY,
        "headers": {"X-Tenant": "header-canary", "Authorization": "Bearer another"},
    });
    let reply = app.owner().post(VERIFY, body).await;
    assert!(!reply.text.contains("header-canary"), "{}", reply.text);
    assert_eq!(reply.ok()["ok"], true);
    let seen = upstream.seen();
    assert_eq!(seen[0].header("x-tenant"), "header-canary");
    assert_eq!(seen[0].headers.get_all("authorization").iter().count(), 1);
    assert_eq!(seen[0].carries(GOOD_KEY), ["authorization"]);
});

on_both!(of_an_upstream_that_is_only_verified_nothing_is_kept, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let body = json!({"provider": "openai", "base_url": upstream.url(""), "secret": GOOD_KEY});
    verify(&app.owner(), VERIFY, body).await;
    assert_eq!(app.owner().get(CONNECTIONS).await.ok()["items"], json!([]));
    let audit = app.owner().get("/v1/organizations/default/audit-events").await;
    assert!(!audit.text.contains(GOOD_KEY));
    let audit = audit.ok();
    assert_eq!(audit["items"].as_array().unwrap().len(), 1, "{audit}");
    assert_eq!(audit["items"][0]["action"], "connection.verify_candidate");
    assert_eq!(audit["items"][0]["detail"]["code"], "ok");
});

on_both!(every_faulty_field_of_an_upstream_to_verify_is_reported_and_nothing_is_asked, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let body = json!({
        "provider": "Open AI", "base_url": "ftp://a.example", "alternate_base_urls": ["nonsense"],
        "format_mode": "pinned", "secret": "two lines", "headers": {"host": "a.example"},
        "protocols": [{"protocol": "openai_chat", "base_url": upstream.url("?key=1")}],
    });
    let reply = app.owner().post(VERIFY, body).await.problem(422, "invalid");
    let pointers: Vec<&str> =
        reply["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    for pointer in [
        "/provider",
        "/base_url",
        "/alternate_base_urls/0",
        "/format",
        "/secret",
        "/headers/host",
        "/protocols/0/base_url",
    ] {
        assert!(pointers.contains(&pointer), "{pointer}: {reply}");
    }
    let body = json!({"base_url": upstream.url(""), "nobody_knows": 1});
    app.owner().post(VERIFY, body).await.problem(400, "unknown_field");
    app.owner().post(VERIFY, json!({})).await.invalid(&[("/base_url", "required")]);
    assert_eq!(upstream.count(), 0);
});

on_both!(who_administers_a_team_verifies_upstreams_and_connections_of_the_team, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let teams =
        [crate::teams::make(&app.owner(), "search").await, crate::teams::make(&app.owner(), "ads").await];
    let [search, ads] = teams.each_ref().map(|path| crate::teams::id(path));
    let boss = app.team_admin(search).await;
    let body = |team: Value| json!({"base_url": upstream.url("/v1"), "secret": GOOD_KEY, "team_id": team});
    assert_eq!(boss.post(VERIFY, body(json!(search))).await.ok()["ok"], true);
    boss.post(VERIFY, body(json!(ads))).await.problem(404, "not_found");
    boss.post(VERIFY, body(json!(null))).await.invalid(&[("/team_id", "required")]);
    let new = |team: Value, name: &str| json!({"provider": "openai", "name": name, "base_url": upstream.url("/v1"), "team_id": team});
    for (team, name, status) in
        [(json!(search), "ours", 200), (json!(ads), "theirs", 404), (json!(null), "all", 404)]
    {
        let connection = app.owner().post(CONNECTIONS, new(team, name)).await.created();
        let path = format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap());
        for action in ["verify", "discover-models"] {
            let reply = boss.post(&format!("{path}/{action}"), json!({})).await;
            let status = if action == "verify" || status == 404 { status } else { 502 };
            assert_eq!(reply.status, status, "{name} {action}: {}", reply.text);
        }
        assert_eq!(boss.get(&format!("{path}/models")).await.status, status);
    }
    app.viewer().await.post(VERIFY, body(json!(null))).await.problem(403, "forbidden");
    let acme = app.other_organization("acme").await;
    let connection = connect(&app, "apart", &upstream.url("/v1"), GOOD_KEY).await;
    let theirs = connection.replace("/default/", "/acme/");
    let before = upstream.count();
    for path in [&connection, &theirs] {
        acme.post(&format!("{path}/verify"), json!({})).await.problem(404, "not_found");
        acme.post(&format!("{path}/discover-models"), json!({})).await.problem(404, "not_found");
        acme.get(&format!("{path}/models")).await.problem(404, "not_found");
    }
    assert_eq!(upstream.count(), before);
});

on_both!(a_certificate_of_another_host_is_no_upstream, |app| {
    let list = || {
        let list = async || Json(json!({"object": "list", "data": [{"id": "alpha", "object": "model"}]}));
        Router::new().route("/v1/models", get(list))
    };
    for (names, code) in [(["127.0.0.1"], "ok"), (["other.example"], "tls_failed")] {
        let upstream = outbound::https(list(), outbound::authority().issue(&names)).await;
        let body = json!({"base_url": upstream.https("127.0.0.1", "/v1"), "secret": GOOD_KEY});
        let found = verify(&app.owner(), VERIFY, body).await;
        assert_eq!((&found["code"], tried(&found)), (&json!(code), vec![code]), "{found}");
    }
});

on_both!(upstreams_are_asked_through_the_proxies_of_the_pool, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let http = outbound::connect_proxy(None, None).await;
    let socks = outbound::microsocks(Some(("user", "s3cret"))).await;
    let dead = outbound::dead();
    for entries in [
        vec![format!("http://{}", dead.address), format!("http://{}", http.served.address)],
        vec![format!("socks5://user:s3cret@{}", socks.address)],
    ] {
        let entries: Vec<Value> = entries.iter().map(|url| json!({ "url": url })).collect();
        let pool = json!({"name": entries[0]["url"], "strict": true, "entries": entries});
        let pool = app.owner().post("/v1/organizations/default/proxy-pools", pool).await.created();
        let body = json!({
            "provider": "openai", "base_url": upstream.url("/v1"), "secret": GOOD_KEY, "proxy_pool_id": pool["id"],
        });
        let found = verify(&app.owner(), VERIFY, body).await;
        assert_eq!((&found["code"], upstream.seen().len()), (&json!("ok"), 1), "{found}");
    }
    assert_eq!(http.asked().len(), 1);
});

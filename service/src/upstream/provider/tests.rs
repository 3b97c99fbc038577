use super::*;
use crate::connection::CheckCode;
use http::StatusCode;
use serde_json::json;

const EVERY: [Protocol; 6] = [
    Protocol::OpenaiChat,
    Protocol::OpenaiResponses,
    Protocol::AnthropicMessages,
    Protocol::Google,
    Protocol::Ollama,
    Protocol::AzureOpenai,
];

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn lists(protocol: Protocol, given: &str) -> Vec<String> {
    let dialect = dialect(protocol);
    let bases = dialect.bases(&url(given));
    bases.iter().map(|base| dialect.list(base, None).to_string()).collect()
}

#[test]
fn a_base_url_leads_to_the_list_however_it_is_stated() {
    use Protocol::*;
    let cases: [(Protocol, &str, &[&str]); 18] = [
        (OpenaiChat, "https://a.example", &["https://a.example/v1/models", "https://a.example/models"]),
        (OpenaiChat, "https://a.example/", &["https://a.example/v1/models", "https://a.example/models"]),
        (OpenaiChat, "https://a.example/v1", &["https://a.example/v1/models"]),
        (OpenaiChat, "https://a.example/v1/", &["https://a.example/v1/models"]),
        (OpenaiChat, "https://a.example/api/v1", &["https://a.example/api/v1/models"]),
        (OpenaiChat, "https://a.example/v1/chat/completions", &["https://a.example/v1/models"]),
        (OpenaiResponses, "https://a.example/v1/responses", &["https://a.example/v1/models"]),
        (
            OpenaiChat,
            "https://a.example/openai",
            &["https://a.example/openai/models", "https://a.example/openai/v1/models"],
        ),
        (AnthropicMessages, "https://a.example", &["https://a.example/v1/models?limit=1000"]),
        (AnthropicMessages, "https://a.example/v1/", &["https://a.example/v1/models?limit=1000"]),
        (AnthropicMessages, "https://a.example/x/v1/messages", &["https://a.example/x/v1/models?limit=1000"]),
        (Google, "https://a.example", &["https://a.example/v1beta/models?pageSize=1000"]),
        (Google, "https://a.example/v1beta", &["https://a.example/v1beta/models?pageSize=1000"]),
        (
            Google,
            "https://a.example/v1beta/models/gemini:generateContent",
            &["https://a.example/v1beta/models?pageSize=1000"],
        ),
        (Ollama, "http://a.example:11434/", &["http://a.example:11434/api/tags"]),
        (Ollama, "http://a.example:11434/v1", &["http://a.example:11434/api/tags"]),
        (AzureOpenai, "https://a.example", &["https://a.example/openai/models?api-version=2024-10-21"]),
        (
            AzureOpenai,
            "https://a.example/openai/deployments/x/chat/completions?api-version=1",
            &["https://a.example/openai/models?api-version=2024-10-21"],
        ),
    ];
    for (protocol, given, expected) in cases {
        assert_eq!(lists(protocol, given), expected, "{protocol:?} {given}");
    }
}

#[test]
fn a_base_that_was_found_is_a_base_again() {
    for protocol in EVERY {
        for given in ["https://a.example", "https://a.example/v1", "https://a.example/x/"] {
            for base in dialect(protocol).bases(&url(given)) {
                assert!(dialect(protocol).bases(&base).contains(&base), "{protocol:?} {given}: {base}");
            }
        }
    }
}

#[test]
fn the_key_is_in_the_header_of_its_protocol_and_is_sensitive() {
    let secret = Plain::from("sk-canary".to_owned());
    for (protocol, name, value) in [
        (Protocol::OpenaiChat, "authorization", "Bearer sk-canary"),
        (Protocol::OpenaiResponses, "authorization", "Bearer sk-canary"),
        (Protocol::AnthropicMessages, "x-api-key", "sk-canary"),
        (Protocol::Google, "x-goog-api-key", "sk-canary"),
        (Protocol::Ollama, "authorization", "Bearer sk-canary"),
        (Protocol::AzureOpenai, "api-key", "sk-canary"),
    ] {
        let dialect = dialect(protocol);
        let headers = headers(dialect, &HeaderMap::new(), Some(&secret)).unwrap();
        assert_eq!(headers[name], value, "{protocol:?}");
        assert!(headers[name].is_sensitive());
        assert!(!format!("{headers:?}").contains("canary"));
        let list = dialect.list(&url("https://a.example"), Some("sk"));
        assert!(!list.as_str().contains("canary"), "{list}");
    }
    let broken = Plain::from("two\nlines".to_owned());
    assert!(headers(dialect(Protocol::OpenaiChat), &HeaderMap::new(), Some(&broken)).is_none());
}

#[test]
fn a_header_of_the_connection_stands_in_the_place_of_the_protocols_own_but_never_of_the_key() {
    let mut own = HeaderMap::new();
    own.insert("anthropic-version", HeaderValue::from_static("2099-01-01"));
    own.insert("x-api-key", HeaderValue::from_static("another"));
    let secret = Plain::from("sk-canary".to_owned());
    let headers = headers(dialect(Protocol::AnthropicMessages), &own, Some(&secret)).unwrap();
    assert_eq!(headers["anthropic-version"], "2099-01-01");
    assert_eq!(headers.get_all("x-api-key").iter().count(), 1);
    assert_eq!(headers["x-api-key"], "sk-canary");
}

/// A list as each protocol has it.
fn example(protocol: Protocol) -> Value {
    match protocol {
        Protocol::AnthropicMessages => json!({
            "data": [{"type": "model", "id": "claude", "display_name": "Claude", "max_input_tokens": 200_000}],
            "has_more": true, "first_id": "claude", "last_id": "claude",
        }),
        Protocol::Google => json!({
            "models": [{"name": "models/gemini", "displayName": "Gemini", "inputTokenLimit": 1000, "outputTokenLimit": 10}],
            "nextPageToken": "next",
        }),
        Protocol::Ollama => json!({"models": [{"name": "llama3:8b", "model": "llama3:8b", "size": 7}]}),
        _ => json!({"object": "list", "data": [
            {"id": "gpt-4o", "object": "model", "owned_by": "openai", "context_window": 128_000},
        ]}),
    }
}

#[test]
fn every_list_is_read_by_its_own_protocol_and_by_no_other() {
    for asked in EVERY {
        for spoken in EVERY {
            let read = dialect(asked).read(&example(spoken));
            assert_eq!(read.is_some(), example(asked) == example(spoken), "{asked:?} reads {spoken:?}");
        }
        for wrong in
            [json!({}), json!(null), json!("x"), json!({"data": 7}), json!({"models": {}}), json!([7])]
        {
            assert_eq!(dialect(asked).read(&wrong), None, "{asked:?} {wrong}");
        }
    }
}

#[test]
fn what_is_told_of_a_model_is_kept_as_far_as_it_is_acceptable() {
    let read = |protocol, body: Value| dialect(protocol).read(&body).unwrap();
    let claude = read(Protocol::AnthropicMessages, example(Protocol::AnthropicMessages));
    assert_eq!(claude.next.as_deref(), Some("claude"));
    assert_eq!(claude.models[0].display_name.as_deref(), Some("Claude"));
    let gemini = read(Protocol::Google, example(Protocol::Google));
    assert_eq!((gemini.models[0].name.as_str(), gemini.next.as_deref()), ("gemini", Some("next")));
    assert_eq!((gemini.models[0].context_window, gemini.models[0].max_output_tokens), (Some(1000), Some(10)));
    let odd = json!({"data": [
        {"id": ""}, {"id": "x".repeat(256)}, {"id": "a\u{0}b"}, {"id": "ok", "owned_by": "a\nb", "context_length": -1},
    ]});
    let odd = read(Protocol::OpenaiChat, odd).models;
    assert_eq!(odd.len(), 1);
    assert_eq!((odd[0].name.as_str(), &odd[0].owned_by, odd[0].context_window), ("ok", &None, None));
    assert_eq!(read(Protocol::OpenaiChat, json!([{"id": "bare"}])).models[0].name, "bare");
    assert_eq!(read(Protocol::OpenaiChat, json!({"object": "list", "data": null})).models, []);
}

fn verdict(own: Protocol, status: u16, body: Value, keyed: bool) -> (CheckCode, String, bool) {
    let answer = (StatusCode::from_u16(status).unwrap(), body.to_string().into_bytes());
    match judge(own, &url("https://a.example/v1"), (answer.0, &answer.1), keyed) {
        Verdict::Failed { code, reason, sure } => (code, reason, sure),
        Verdict::Listed(_) => (CheckCode::Ok, String::new(), true),
    }
}

#[test]
fn a_status_and_the_form_of_an_error_tell_what_is_wrong() {
    use CheckCode::*;
    let openai =
        json!({"error": {"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}});
    let anthropic = json!({"type": "error", "error": {"type": "authentication_error", "message": "no"}});
    let google = json!({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT",
        "details": [{"reason": "API_KEY_INVALID"}]}});
    let azure = json!({"error": {"code": "401", "message": "no"}});
    let bare = json!({"error": "Unauthorized"});
    let chat = Protocol::OpenaiChat;
    for (own, status, body, keyed, code, sure) in [
        (chat, 401, &openai, true, KeyRefused, true),
        (chat, 401, &bare, true, KeyRefused, false),
        (chat, 403, &openai, true, KeyRefused, true),
        (chat, 401, &openai, false, NoCredential, true),
        (chat, 401, &anthropic, true, WrongProtocol, false),
        (chat, 404, &anthropic, true, WrongProtocol, false),
        (chat, 404, &openai, true, NotFound, false),
        (chat, 404, &bare, true, NotFound, false),
        (chat, 429, &openai, true, RateLimited, true),
        (chat, 429, &anthropic, true, RateLimited, true),
        (chat, 500, &anthropic, true, ProviderFailed, false),
        (chat, 500, &openai, true, ProviderFailed, true),
        (chat, 302, &bare, true, Redirected, false),
        (chat, 408, &bare, true, Timeout, false),
        (chat, 422, &bare, true, RequestRefused, false),
        (Protocol::AzureOpenai, 401, &azure, true, KeyRefused, true),
        (Protocol::Google, 400, &google, true, KeyRefused, true),
        (Protocol::AnthropicMessages, 401, &anthropic, true, KeyRefused, true),
        (Protocol::AnthropicMessages, 401, &openai, true, WrongProtocol, false),
        (Protocol::Ollama, 404, &openai, true, WrongProtocol, false),
    ] {
        let found = verdict(own, status, body.clone(), keyed);
        assert_eq!((found.0, found.2), (code, sure), "{own:?} {status} {body}: {}", found.1);
        assert!(found.1.contains("https://a.example/v1"), "{}", found.1);
    }
    let (code, reason, _) = verdict(chat, 401, anthropic, true);
    assert_eq!(code, WrongProtocol);
    assert_eq!(reason, "https://a.example/v1 speaks Anthropic's protocol, not OpenAI's.");
    let (code, reason, _) = verdict(Protocol::AnthropicMessages, 200, example(chat), true);
    assert_eq!((code, reason.contains("speaks OpenAI's protocol")), (WrongProtocol, true));
    assert_eq!(verdict(chat, 200, json!({"hello": 1}), true).0, WrongProtocol);
    let website = judge(chat, &url("https://a.example"), (StatusCode::OK, b"<html>"), true);
    assert!(matches!(website, Verdict::Failed { code: AnswerBroken, .. }));
}

#[test]
fn what_is_likely_is_tried_first_and_everything_once() {
    for (provider, given, first) in [
        ("openai", "https://api.openai.com", Protocol::OpenaiChat),
        ("anthropic", "https://api.anthropic.com", Protocol::AnthropicMessages),
        ("gemini", "https://generativelanguage.googleapis.com", Protocol::Google),
        ("ollama", "http://localhost:11434", Protocol::Ollama),
        ("azure_openai", "https://x.openai.azure.com", Protocol::AzureOpenai),
        ("openrouter", "https://openrouter.ai/api/v1", Protocol::OpenaiChat),
        ("mine", "https://api.anthropic.com", Protocol::AnthropicMessages),
        ("mine", "https://api.deepseek.com/anthropic", Protocol::AnthropicMessages),
        ("mine", "https://generativelanguage.googleapis.com/v1beta/openai", Protocol::OpenaiChat),
        ("mine", "http://10.0.0.1:11434", Protocol::Ollama),
        ("mine", "https://x.openai.azure.com", Protocol::AzureOpenai),
        ("mine", "https://a.example", Protocol::OpenaiChat),
    ] {
        let order = likely(provider, &url(given));
        assert_eq!(order[0], first, "{provider} {given}");
        assert_eq!(order.len(), 5, "{order:?}");
    }
}

#[test]
fn a_public_list_is_no_proof_of_a_key() {
    let proof = |base: &str| dialect(Protocol::OpenaiChat).proof(&url(base)).map(String::from);
    assert_eq!(proof("https://openrouter.ai/api/v1").as_deref(), Some("https://openrouter.ai/api/v1/key"));
    assert_eq!(proof("https://openrouter.ai.example/api/v1"), None);
    assert_eq!(proof("https://api.openai.com/v1"), None);
}

#[test]
fn an_odd_entry_spoils_no_list_and_an_odd_page_ends_none_silently() {
    let names = |protocol, body| {
        let listing = dialect(protocol).read(&body)?;
        Some(listing.models.into_iter().map(|found| found.name).collect::<Vec<_>>())
    };
    let a = Some(vec!["a".to_owned()]);
    let openai = json!({"object": "list", "data": [{"id": null}, {"id": "a"}, {"id": 5}]});
    assert_eq!(names(Protocol::OpenaiChat, openai), a);
    let google = json!({"models": [{"name": 7}, {"name": "models/a"}]});
    assert_eq!(names(Protocol::Google, google), a);
    let ollama = json!({"models": [{"name": null}, {"name": "a", "model": "a"}]});
    assert_eq!(names(Protocol::Ollama, ollama), a);
    let nothing = json!({"object": "list", "data": [{"id": null}]});
    assert_eq!(names(Protocol::OpenaiChat, nothing), None, "a list of odd entries alone is none of models");
    // More was said to come, and where is not to be understood: what is there is not all.
    let long = "x".repeat(100_000);
    let page = json!({"models": [{"name": "models/a"}], "nextPageToken": long});
    assert_eq!(names(Protocol::Google, page), None);
    let page = json!({"data": [{"type": "model", "id": "a"}], "has_more": true, "last_id": long});
    assert_eq!(names(Protocol::AnthropicMessages, page), None);
}

//! Discovering the models of connections: whole lists in every protocol, kept for an hour, replaced at once, kept if the upstream
//! fails.

use crate::connections::CONNECTIONS;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{
    TestApp, on_both,
    provider::{Conduct, GOOD_KEY, Provider, Speech},
};

/// A connection to an upstream, with a credential; its path.
async fn connect(app: &TestApp, provider: &str, base_url: &str) -> String {
    let body = json!({"provider": provider, "name": "production", "base_url": base_url});
    let connection = app.owner().post(CONNECTIONS, body).await.created();
    let path = format!("{CONNECTIONS}/{}", connection["id"].as_str().unwrap());
    app.owner().post(&format!("{path}/credentials"), json!({ "secret": GOOD_KEY })).await.created();
    path
}

async fn discover(app: &TestApp, path: &str, refresh: bool) -> Value {
    app.owner().post(&format!("{path}/discover-models"), json!({ "refresh": refresh })).await.ok()
}

/// The names of the models in a discovery or a page.
fn names(models: &Value) -> Vec<&str> {
    models.as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect()
}

/// Every name that is stored, by pages.
async fn stored(app: &TestApp, path: &str, query: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page =
            app.owner().get(&format!("{path}/models?page_size=100&order=asc{query}{cursor}")).await.ok();
        all.extend(names(&page["items"]).into_iter().map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

on_both!(every_protocol_tells_its_models_on_all_of_its_pages, |app| {
    for (speech, provider, pages) in [
        (Speech::OpenAi, "openai", 1),
        (Speech::Anthropic, "anthropic", 3),
        (Speech::Google, "gemini", 3),
        (Speech::Ollama, "ollama", 1),
        (Speech::Azure, "azure", 1),
    ] {
        let upstream = Provider::start(speech).await;
        let models = ["m1", "m2", "m3", "m4", "m5"];
        upstream.has(models, if pages == 1 { 5 } else { 2 });
        let path = connect(&app, provider, &upstream.url("")).await;
        let found = discover(&app, &path, false).await;
        assert_eq!(names(&found["models"]), models, "{speech:?}");
        assert_eq!((&found["cached"], &found["truncated"]), (&json!(false), &json!(false)));
        assert_eq!(found["models_at"], "2027-01-15T10:00:00Z");
        let seen = upstream.seen();
        assert_eq!(seen.len(), pages, "{speech:?}");
        for seen in seen.iter().filter(|_| speech != Speech::Ollama) {
            assert_eq!(seen.carries(GOOD_KEY).len(), 1);
            assert!(!seen.target.contains(GOOD_KEY));
        }
        assert_eq!(stored(&app, &path, "").await, models);
        let health = app.owner().get(&format!("{path}/health")).await.ok();
        assert_eq!((&health["health"], &health["models_at"]), (&json!("healthy"), &found["models_at"]));
        if speech == Speech::Google {
            let model = &found["models"][0];
            let said = json!([model["display_name"], model["context_window"], model["max_output_tokens"]]);
            assert_eq!(said, json!(["m1", 1000, 100]));
        }
    }
});

on_both!(a_list_is_good_for_an_hour_unless_a_new_one_is_asked_for, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "openai", &upstream.url("/v1")).await;
    let first = discover(&app, &path, false).await;
    upstream.has(["delta"], 10);
    app.clock.advance(TimeDelta::minutes(59));
    let again = discover(&app, &path, false).await;
    assert_eq!((&again["models"], &again["models_at"]), (&first["models"], &first["models_at"]));
    assert_eq!((&again["cached"], upstream.seen().len()), (&json!(true), 1));
    let asked = discover(&app, &path, true).await;
    assert_eq!((names(&asked["models"]), &asked["cached"]), (vec!["delta"], &json!(false)));
    assert_eq!(stored(&app, &path, "").await, ["delta"]);
    upstream.has(["epsilon"], 10);
    app.clock.advance(TimeDelta::hours(1));
    assert_eq!(names(&discover(&app, &path, false).await["models"]), ["epsilon"]);
    // Another base URL is another upstream.
    let other = Provider::start(Speech::OpenAi).await;
    app.owner().patch(&path, json!({"base_url": other.url("/v1")})).await.ok();
    assert_eq!(names(&discover(&app, &path, false).await["models"]), ["alpha", "beta", "gamma"]);
});

on_both!(whatever_goes_wrong_the_last_good_list_stays, |app| {
    let upstream = Provider::start(Speech::Anthropic).await;
    let path = connect(&app, "anthropic", &upstream.url("")).await;
    discover(&app, &path, false).await;
    let action = format!("{path}/discover-models");
    for (n, (conduct, says)) in [
        (Conduct::Fails(500), "failed (500)"),
        (Conduct::Fails(401), "The key was refused (401)"),
        (Conduct::Website, "not JSON"),
        (Conduct::BreaksOff, "is no answer"),
        // The second page is the first one, for ever.
        (Conduct::Circles("alpha".into()), "has no end"),
    ]
    .into_iter()
    .enumerate()
    {
        upstream.behave(conduct.clone());
        let reply = app.owner().post(&action, json!({"refresh": true})).await;
        assert!(
            !reply.text.contains("said-by-the-upstream") && !reply.text.contains(GOOD_KEY),
            "{}",
            reply.text
        );
        let problem = reply.problem(502, "upstream_failed");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{conduct:?}: {problem}");
        assert_eq!(problem["errors"], json!([]));
        assert_eq!(stored(&app, &path, "").await, ["alpha", "beta", "gamma"]);
        let health = app.owner().get(&format!("{path}/health")).await.ok();
        assert_eq!(health["models_at"], "2027-01-15T10:00:00Z");
        assert!(health["error"].as_str().unwrap().contains(says), "{health}");
        // A list that goes wrong on its second page began well.
        let failures = if matches!(conduct, Conduct::Circles(_)) { 1 } else { n + 1 };
        assert_eq!(health["consecutive_failures"], failures);
    }
    let cached = discover(&app, &path, false).await;
    assert_eq!((&cached["cached"], names(&cached["models"]).len()), (&json!(true), 3));
});

on_both!(a_model_has_one_row_an_odd_name_none, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let (longest, too_long) = ("x".repeat(255), "x".repeat(256));
    upstream.has(["b", "a", "b", "", " ", "nul\u{0}", "new\nline", &longest, &too_long, "ü/🦀:1"], 100);
    let path = connect(&app, "openai", &upstream.url("/v1")).await;
    let found = discover(&app, &path, false).await;
    let found: BTreeSet<&str> = names(&found["models"]).into_iter().collect();
    assert_eq!(found, BTreeSet::from(["a", "b", &longest, "ü/🦀:1"]));
    assert_eq!(stored(&app, &path, "").await.len(), 4);
});

on_both!(of_very_many_models_the_first_are_kept_and_it_is_told, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    upstream.has((0..10_500).map(|n| format!("m{n:05}")), 20_000);
    let path = connect(&app, "openai", &upstream.url("/v1")).await;
    let found = discover(&app, &path, false).await;
    assert_eq!((found["models"].as_array().unwrap().len(), &found["truncated"]), (10_000, &json!(true)));
    let last = app.owner().get(&format!("{path}/models?page_size=1")).await.ok();
    assert_eq!(names(&last["items"]), ["m09999"]);
});

on_both!(models_are_listed_by_name_and_by_whether_they_are_allowed, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    upstream.has(["gpt-4o", "gpt-4o-mini", "gpt-5", "whisper", "gpt-image"], 100);
    let path = connect(&app, "openai", &upstream.url("/v1")).await;
    assert_eq!(stored(&app, &path, "").await, [""; 0]);
    discover(&app, &path, false).await;
    let all = ["gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-image", "whisper"];
    assert_eq!(stored(&app, &path, "").await, all);
    assert_eq!(stored(&app, &path, "&name_prefix=gpt-4o").await, ["gpt-4o", "gpt-4o-mini"]);
    assert_eq!(stored(&app, &path, "&allowed=true").await, all);
    assert_eq!(stored(&app, &path, "&allowed=false").await, [""; 0]);
    app.owner().patch(&path, json!({"allowed_models": ["gpt-4o*", "whisper"]})).await.ok();
    assert_eq!(stored(&app, &path, "&allowed=true").await, ["gpt-4o", "gpt-4o-mini", "whisper"]);
    assert_eq!(stored(&app, &path, "&allowed=false").await, ["gpt-5", "gpt-image"]);
    app.owner().patch(&path, json!({"allowed_models": []})).await.ok();
    assert_eq!(stored(&app, &path, "&allowed=true").await, [""; 0]);
    assert_eq!(stored(&app, &path, "&allowed=false").await, all);
    let mapping = json!({"client_name": "fast", "upstream_name": "gpt-4o-mini"});
    app.owner().post(&format!("{path}/mappings"), mapping).await.created();
    let page = app.owner().get(&format!("{path}/models?name_prefix=gpt-4o-mini")).await.ok();
    assert_eq!(page["items"][0]["client_names"], json!(["fast"]));
    assert_eq!(page["items"][0]["allowed"], false);
    let mut walked = Vec::new();
    let mut cursor = String::new();
    for _ in 0..all.len() {
        let page = app.owner().get(&format!("{path}/models?page_size=1&allowed=false{cursor}")).await.ok();
        walked.push(names(&page["items"])[0].to_owned());
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    walked.reverse();
    assert_eq!((walked.as_slice(), cursor.as_str()), (&all.map(String::from)[..], "&cursor="));
    let made_up = app.owner().get(&format!("{path}/models?cursor=AAAA")).await;
    made_up.problem(400, "invalid_cursor");
    app.owner().get(&format!("{path}/models?page_size=101")).await.problem(400, "out_of_range");
});

on_both!(racing_discoveries_end_with_one_whole_list, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let lists: [Vec<String>; 2] = [("a", 170), ("b", 90)]
        .map(|(letter, count)| (0..count).map(|n| format!("{letter}{n:03}")).collect());
    upstream.has(lists[0].clone(), 1000);
    let path = connect(&app, "openai", &upstream.url("/v1")).await;
    let race = futures_util::future::join_all((0..6).map(|n| {
        let (app, upstream, path, lists) = (&app, &upstream, &path, &lists);
        async move {
            upstream.has(lists[n % 2].clone(), 1000);
            discover(app, path, true).await
        }
    }));
    for found in race.await {
        let found: Vec<String> = names(&found["models"]).into_iter().map(str::to_owned).collect();
        assert!(lists.contains(&found), "a mixture: {found:?}");
    }
    let end = stored(&app, &path, "").await;
    assert!(lists.contains(&end), "a mixture: {end:?}");
});

on_both!(the_models_of_an_upstream_that_is_no_longer_the_connections_are_not_kept, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "openai", &upstream.url("/v1")).await;
    upstream.behave(Conduct::Waits);
    let (owner, action) = (app.owner(), format!("{path}/discover-models"));
    let call = async { owner.post(&action, json!({})).await };
    let edit = async {
        while upstream.count() == 0 {
            tokio::task::yield_now().await;
        }
        app.owner().patch(&path, json!({"base_url": "http://127.0.0.1:9/v1"})).await.ok();
        upstream.go();
    };
    let (reply, ()) = tokio::join!(call, edit);
    reply.problem(409, "connection_changed");
    assert_eq!(stored(&app, &path, "").await, [""; 0]);
});

on_both!(a_repeated_discovery_is_answered_without_asking_again, |app| {
    let upstream = Provider::start(Speech::OpenAi).await;
    let path = connect(&app, "openai", &upstream.url("/v1")).await;
    let action = format!("{path}/discover-models");
    let ask = async || app.owner().post(&action, json!({"refresh": true})).idempotency_key("once").await;
    // What failed is not kept.
    upstream.behave(Conduct::Fails(500));
    ask().await.problem(502, "upstream_failed");
    upstream.behave(Conduct::Good);
    upstream.seen();
    let (first, again) = (ask().await, ask().await);
    assert_eq!((again.header("idempotent-replayed"), upstream.count()), ("true", 1));
    assert_eq!(first.ok(), again.ok());
});

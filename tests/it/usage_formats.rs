//! Usage objects of all providers, in quotes and in settlements: what is read of them, and that no call is lost because of
//! the object that tells of it.

use crate::metering::{BASE, Calls};
use serde_json::{Value, json};
use tests::{TestApp, on_both};

async fn price(app: &TestApp, body: Value) {
    app.owner().post(&format!("{BASE}/prices"), body).await.created();
}

async fn quote(app: &TestApp, model: &str, usage: Value) -> Value {
    app.owner().post(&format!("{BASE}/prices/quote"), json!({"model": model, "usage": usage})).await.ok()
}

/// Settles a call with a usage object; its attempt, and the usage of its event.
async fn settled(app: &TestApp, calls: &Calls, model: &str, usage: Value) -> (Value, Value) {
    let id = calls.open(json!({"model": model})).await;
    let attempt = calls.settle(&id, usage).await["attempts"][0].clone();
    let event = attempt["event_id"].as_str().unwrap();
    let event = app.owner().get(&format!("{BASE}/usage/events/{event}")).await.ok();
    assert_eq!(event["usage_unclear"], attempt["usage_unclear"]);
    (attempt, event["usage"].clone())
}

/// The counts of a usage that are not zero, without the request.
fn counts(usage: &Value) -> Value {
    let fields = usage.as_object().unwrap().iter();
    let told = fields.filter(|(name, count)| *name != "requests" && **count != json!(0));
    told.map(|(name, count)| (name.clone(), count.clone())).collect()
}

/// Prices of these cases: their rates of input, cache_read, cache_write, output and reasoning.
async fn prices(app: &TestApp) {
    let sonnet = json!({"model": "claude", "kind": "per_token", "input": "3", "cache_read": "0.3",
        "cache_write": "3.75", "output": "15"});
    let flash = json!({"model": "gemini", "kind": "per_token", "input": "0.3", "output": "2.5"});
    let mistral =
        json!({"model": "mistral", "kind": "per_token", "input": "2", "cache_read": "0.2", "output": "6"});
    let gpt =
        json!({"model": "gpt", "kind": "per_token", "input": "1.25", "cache_read": "0.125", "output": "10"});
    let whisper = json!({"model": "whisper", "kind": "per_unit", "per_second": "0.0001"});
    let voyage = json!({"model": "voyage", "kind": "per_token", "input": "0.06", "output": "0"});
    let embedding = json!({"model": "embedding", "kind": "per_token", "input": "0.2", "audio_input": "6.5"});
    for body in [sonnet, flash, mistral, gpt, whisper, voyage, embedding] {
        price(app, body).await;
    }
}

/// The model, its usage object, the format that it is taken for, what is read, and what it costs.
type Case = (&'static str, Value, &'static str, Value, &'static str);

fn chats() -> Vec<Case> {
    vec![
        // cache-beside-prompt-portkey
        (
            "claude",
            json!({"prompt_tokens": 2000, "completion_tokens": 300, "total_tokens": 3800,
                "cache_read_input_tokens": 1500, "cache_creation_input_tokens": 0}),
            "openai_chat",
            json!({"input_tokens": 2000, "cache_read_tokens": 1500, "output_tokens": 300}),
            "0.010950000",
        ),
        // bedrock-converse
        (
            "claude",
            json!({"inputTokens": 3, "outputTokens": 288, "totalTokens": 2365, "cacheReadInputTokens": 0,
                "cacheWriteInputTokens": 2074, "serverToolUsage": {}}),
            "bedrock_converse",
            json!({"input_tokens": 3, "cache_write_tokens": 2074, "output_tokens": 288}),
            "0.012106500",
        ),
        // gemini-interactions
        (
            "gemini",
            json!({"total_input_tokens": 1_000_000, "total_output_tokens": 1000, "total_thought_tokens": 500,
                "total_cached_tokens": 0, "total_tool_use_tokens": 0, "total_tokens": 1_001_500}),
            "gemini_interactions",
            json!({"input_tokens": 1_000_000, "output_tokens": 1000, "reasoning_tokens": 500}),
            "0.303750000",
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        // total-only-embedding
        (
            "voyage",
            json!({"total_tokens": 1_000_000}),
            "openai_chat",
            json!({"input_tokens": 1_000_000}),
            "0.060000000",
        ),
        // whisper-fraction
        (
            "whisper",
            json!({"type": "duration", "seconds": 2.11}),
            "whisper",
            json!({"seconds": 3}),
            "0.000300000",
        ),
        // glm-floats
        (
            "claude",
            json!({"input_tokens": 1204.0, "output_tokens": 31, "cache_read_input_tokens": 5120.0,
                "cache_creation_input_tokens": 0}),
            "anthropic",
            json!({"input_tokens": 1204, "cache_read_tokens": 5120, "output_tokens": 31}),
            "0.005613000",
        ),
        // mistral-num-cached
        (
            "mistral",
            json!({"completion_tokens": 155, "num_cached_tokens": 976, "prompt_tokens": 997, "total_tokens": 1152}),
            "mistral",
            json!({"input_tokens": 21, "cache_read_tokens": 976, "output_tokens": 155}),
            "0.001167200",
        ),
        // gemini-embedding-modality
        (
            "embedding",
            json!({"usageMetadata": {"promptTokenCount": 1_000_000,
                "promptTokenDetails": [{"modality": "AUDIO", "tokenCount": 1_000_000}]}}),
            "gemini_embeddings",
            json!({"audio_input_tokens": 1_000_000}),
            "6.500000000",
        ),
    ]
}

fn tools() -> Vec<Case> {
    vec![
        // codex-usage
        (
            "gpt",
            json!({"input_tokens": 226_616, "cache_creation_input_tokens": 0, "cached_input_tokens": 176_640,
                "output_tokens": 1670, "reasoning_output_tokens": 529, "total_tokens": 228_286}),
            "codex",
            json!({"input_tokens": 49_976, "cache_read_tokens": 176_640, "output_tokens": 1141,
                "reasoning_tokens": 529}),
            "0.101250000",
        ),
        // ollama-native
        (
            "gpt",
            json!({"prompt_eval_count": 26, "prompt_eval_cached_count": 10, "eval_count": 298}),
            "ollama",
            json!({"input_tokens": 16, "cache_read_tokens": 10, "output_tokens": 298}),
            "0.003001250",
        ),
    ]
}

on_both!(the_objects_of_all_providers_are_quoted_and_settled_alike, |app| {
    prices(&app).await;
    let calls = Calls::new(&app, json!([])).await;
    for (model, object, format, usage, cost) in chats().into_iter().chain(others()).chain(tools()) {
        let bill = quote(&app, model, object.clone()).await;
        assert_eq!((&bill["format"], counts(&bill["usage"])), (&json!(format), usage.clone()), "{object}");
        let told = (&bill["cost"], &bill["priced"], &bill["usage_unclear"], &bill["usage_doubts"]);
        assert_eq!(told, (&json!(cost), &json!(true), &json!(false), &json!([])), "{object}");
        let (attempt, event) = settled(&app, &calls, model, object.clone()).await;
        assert_eq!(counts(&event), usage, "{object}");
        let told = (&attempt["cost"], &attempt["priced"], &attempt["usage_unclear"]);
        assert_eq!(told, (&json!(cost), &json!(true), &json!(false)), "{object}");
    }
});

on_both!(an_object_that_cannot_be_read_exactly_settles_with_a_flag, |app| {
    prices(&app).await;
    let calls = Calls::new(&app, json!([])).await;
    for (object, usage, cost, at) in [
        // moonshot-negative
        (
            json!({"input_tokens": -13312, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 29696,
                "output_tokens": 120}),
            json!({"input_tokens": 16384, "cache_read_tokens": 29696, "output_tokens": 120}),
            "0.059860800",
            "/usage/input_tokens",
        ),
        (
            json!({"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 900}),
            json!({"input_tokens": 1000, "output_tokens": 10}),
            "0.003150000",
            "/usage/total_tokens",
        ),
        (
            json!({"prompt_tokens": "many", "completion_tokens": 10}),
            json!({"output_tokens": 10}),
            "0.000150000",
            "/usage/prompt_tokens",
        ),
        (json!({"billable_units": 7}), json!({}), "0.000000000", "/usage/billable_units"),
    ] {
        let bill = quote(&app, "claude", object.clone()).await;
        assert_eq!(counts(&bill["usage"]), usage, "{object}");
        let told = (&bill["cost"], &bill["priced"], &bill["usage_unclear"]);
        assert_eq!(told, (&json!(cost), &json!(false), &json!(true)), "{object}");
        assert_eq!(bill["usage_doubts"][0]["pointer"], at, "{object}");
        let (attempt, event) = settled(&app, &calls, "claude", object.clone()).await;
        assert_eq!(counts(&event), usage, "{object}");
        let told = (&attempt["cost"], &attempt["priced"], &attempt["usage_unclear"]);
        assert_eq!(told, (&json!(cost), &json!(false), &json!(true)), "{object}");
    }
    // An object of our own is still refused by its field.
    let id = calls.open(json!({"model": "claude"})).await;
    let own = json!({"reservation_id": id, "usage": {"input_tokens": 1, "output": 1}});
    calls.gateway.post("/v1/settle", own).await.problem(400, "unknown_field");
});

on_both!(what_a_deep_research_used_beside_its_total_is_not_free, |app| {
    let sonar = json!({"model": "sonar", "kind": "per_token", "input": "2", "output": "8", "reasoning": "3"});
    price(&app, sonar).await;
    let object = json!({"prompt_tokens": 108, "completion_tokens": 3256, "total_tokens": 3364,
        "citation_tokens": 7299, "num_search_queries": 74, "reasoning_tokens": 73248});
    let bill = quote(&app, "sonar", object).await;
    let usage =
        json!({"input_tokens": 7407, "output_tokens": 3256, "reasoning_tokens": 73248, "web_searches": 74});
    assert_eq!((&bill["format"], counts(&bill["usage"])), (&json!("perplexity"), usage));
    assert_eq!((&bill["priced"], &bill["unpriced"]), (&json!(false), &json!(["web_search"])), "{bill}");
});

on_both!(a_total_alone_is_split_only_where_there_is_output, |app| {
    prices(&app).await;
    let calls = Calls::new(&app, json!([])).await;
    let (attempt, usage) = settled(&app, &calls, "voyage", json!({"total_tokens": 1_000_000})).await;
    assert_eq!(
        (&attempt["cost"], counts(&usage)),
        (&json!("0.060000000"), json!({"input_tokens": 1_000_000}))
    );
    let (_, usage) = settled(&app, &calls, "gpt", json!({"total_tokens": 11})).await;
    assert_eq!(counts(&usage), json!({"input_tokens": 5, "output_tokens": 6}));
    let declared = json!({"model": "gpt", "format": "voyage", "usage": {"total_tokens": 11}});
    let bill = app.owner().post(&format!("{BASE}/prices/quote"), declared).await.ok();
    assert_eq!(counts(&bill["usage"]), json!({"input_tokens": 11}));
});

on_both!(a_key_that_stands_twice_in_a_usage_is_refused, |app| {
    prices(&app).await;
    let calls = Calls::new(&app, json!([])).await;
    let twice = r#"{"prompt_tokens":1000000,"completion_tokens":0,"prompt_tokens":1}"#;
    let body = format!(r#"{{"model":"gpt","usage":{twice}}}"#);
    let quoted =
        app.owner().post(&format!("{BASE}/prices/quote"), json!({})).body(body, "application/json").await;
    quoted.invalid(&[("/usage/prompt_tokens", "invalid_value")]);
    let id = calls.open(json!({"model": "gpt"})).await;
    let deep = r#"{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":1,"cached_tokens":0}}"#;
    let at = "/usage/prompt_tokens_details/cached_tokens";
    let body = format!(r#"{{"reservation_id":"{id}","usage":{deep}}}"#);
    let settled = calls.gateway.post("/v1/settle", json!({})).body(body, "application/json").await;
    settled.invalid(&[(at, "invalid_value")]);
    let body = format!(r#"{{"reservation_id":"{id}","attempts":[{{"usage":{twice}}}]}}"#);
    let settled = calls.gateway.post("/v1/settle", json!({})).body(body, "application/json").await;
    settled.invalid(&[("/attempts/0/usage/prompt_tokens", "invalid_value")]);
    // In a batch, only the call that it is of.
    let other = calls.open(json!({"model": "gpt"})).await;
    let fine = format!(r#"{{"reservation_id":"{other}","usage":{{"prompt_tokens":1}}}}"#);
    let bad = format!(r#"{{"reservation_id":"{id}","usage":{deep}}}"#);
    let body = format!(r#"{{"requests":[{bad},{fine}]}}"#);
    let batch = calls.gateway.post("/v1/settle/batch", json!({})).body(body, "application/json").await.ok();
    assert_eq!((&batch["results"][0]["status"], &batch["results"][1]["status"]), (&json!(422), &json!(200)));
    assert_eq!(batch["results"][0]["problem"]["errors"][0]["pointer"], at);
});

on_both!(service_tiers_are_understood_in_the_words_of_providers, |app| {
    prices(&app).await;
    let calls = Calls::new(&app, json!([])).await;
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20});
    for (word, tier) in [
        ("default", "standard"),
        ("on_demand", "standard"),
        ("ON_DEMAND", "standard"),
        ("auto", "standard"),
        ("scale", "standard"),
        ("provisioned_throughput", "standard"),
        ("flex", "flex"),
        ("on_demand_priority", "priority"),
        ("batch", "batch"),
    ] {
        let id = calls.open(json!({"model": "gpt"})).await;
        let body = json!({"reservation_id": id, "service_tier": word, "usage": usage});
        let attempt = calls.gateway.post("/v1/settle", body).await.ok()["attempts"][0].clone();
        let event = format!("{BASE}/usage/events/{}", attempt["event_id"].as_str().unwrap());
        assert_eq!(app.owner().get(&event).await.ok()["service_tier"], tier, "{word}");
        let call = json!({"model": "gpt", "service_tier": word, "usage": usage});
        let bill = app.owner().post(&format!("{BASE}/prices/quote"), call).await.ok();
        assert_eq!(bill["service_tier"], tier, "{word}");
    }
    // `auto` leaves it to the answer.
    let call = json!({"model": "gpt", "service_tier": "auto",
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "service_tier": "flex"}});
    let bill = app.owner().post(&format!("{BASE}/prices/quote"), call).await.ok();
    assert_eq!(bill["service_tier"], "flex");
    let wrong = json!({"model": "gpt", "service_tier": "urgent", "usage": usage});
    let reply = app.owner().post(&format!("{BASE}/prices/quote"), wrong).await;
    reply.invalid(&[("/service_tier", "invalid_value")]);
});

on_both!(an_answer_of_two_sides_and_how_it_was_served_is_read, |app| {
    prices(&app).await;
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "service_tier": "standard"});
    let reply = json!({"id": "msg_1", "type": "message", "usage": usage});
    let begun = json!({"type": "message_start", "message": {"id": "msg_1", "usage": usage}});
    let done = json!({"type": "response.completed", "response": {"id": "resp_1",
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}}});
    let local = json!({"model": "x", "message": {"role": "assistant", "content": "…"}, "prompt_eval_count": 10,
        "eval_count": 5});
    for object in [usage.clone(), reply, begun, done, local] {
        let bill = quote(&app, "claude", object.clone()).await;
        let counts = (&bill["usage"]["input_tokens"], &bill["usage"]["output_tokens"]);
        assert_eq!(counts, (&json!(10), &json!(5)), "{object}: {bill}");
        assert_eq!(bill["usage_unclear"], false, "{object}: {bill}");
    }
});

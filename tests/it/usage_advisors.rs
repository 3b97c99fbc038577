//! Models that a call asks on its way: an attempt of its own each, at its own price, counted by the limits of its own name.

use crate::metering::{BASE, Calls, counted, same};
use chrono::TimeDelta;
use serde_json::{Value, json};
use service::{Ctx, scope::Scope, usage::verify_rollups};
use tests::{TestApp, on_both};

/// As Anthropic has answered: two messages of the model, and an advisor in between.
fn recorded() -> Value {
    json!({"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "inference_geo": "global",
        "input_tokens": 2417, "output_tokens": 133, "output_tokens_details": {"thinking_tokens": 55},
        "server_tool_use": {"web_fetch_requests": 0, "web_search_requests": 0}, "service_tier": "standard",
        "iterations": [
            {"type": "message", "input_tokens": 1128, "output_tokens": 121},
            {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2529, "output_tokens": 38,
             "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
            {"type": "message", "input_tokens": 1289, "output_tokens": 12}]})
}

/// An object with advisors of these names, each asked for ten tokens and one.
fn asking(models: impl IntoIterator<Item = Value>) -> Value {
    let advisor =
        |model| json!({"type": "advisor_message", "model": model, "input_tokens": 10, "output_tokens": 1});
    let iterations: Vec<Value> = models.into_iter().map(advisor).collect();
    json!({"input_tokens": 100, "output_tokens": 5, "iterations": iterations})
}

async fn prices(app: &TestApp) {
    for (model, input, output) in [("claude-sonnet-5", "3", "15"), ("claude-opus-4-8", "5", "25")] {
        let body = json!({"model": model, "kind": "per_token", "input": input, "output": output});
        app.owner().post(&format!("{BASE}/prices"), body).await.created();
    }
}

fn call() -> Value {
    json!({"model": "claude-sonnet-5", "input_tokens": 5000, "max_output_tokens": 1000})
}

async fn quote(app: &TestApp, usage: Value) -> Value {
    let body = json!({"model": "claude-sonnet-5", "usage": usage});
    app.owner().post(&format!("{BASE}/prices/quote"), body).await.ok()
}

async fn event(app: &TestApp, attempt: &Value) -> Value {
    let id = attempt["event_id"].as_str().unwrap();
    app.owner().get(&format!("{BASE}/usage/events/{id}?attempt={}", attempt["attempt"])).await.ok()
}

on_both!(an_advisor_is_an_attempt_at_its_own_price, |app| {
    prices(&app).await;
    let limits = json!([
        {"metric": "cost", "amount": "1", "window": "month"},
        {"metric": "tokens", "amount": "100000", "window": "day", "models": ["claude-opus*"]},
        {"metric": "tokens", "amount": "100000", "window": "day", "models": ["claude-sonnet*"]},
        {"metric": "requests", "amount": "10", "window": "day"},
    ]);
    let calls = Calls::new(&app, limits).await;
    let id = calls.open(call()).await;
    let body = json!({"reservation_id": id, "usage": recorded(), "latency_ms": 900, "provider": "anthropic"});
    let settled = calls.gateway.post("/v1/settle", &body).await.ok();
    assert_eq!(calls.gateway.post("/v1/settle", &body).await.ok(), settled, "again");
    let attempts = settled["attempts"].as_array().unwrap();
    let told = |n: usize| ["attempt", "model", "cost", "priced"].map(|field| attempts[n][field].clone());
    assert_eq!(told(0), [json!(0), json!("claude-sonnet-5"), json!("0.009246000"), json!(true)]);
    assert_eq!(told(1), [json!(1), json!("claude-opus-4-8"), json!("0.013595000"), json!(true)]);
    assert_eq!(attempts.len(), 2);
    // Each limit counts what goes by a name that it names, and the call is one request.
    same(counted(&app, calls.limit(0)).await, "0.022841000", "0.000000000");
    same(counted(&app, calls.limit(1)).await, "2567", "0");
    same(counted(&app, calls.limit(2)).await, "2550", "0");
    same(counted(&app, calls.limit(3)).await, "1", "0");
    let [own, asked] = [event(&app, &attempts[0]).await, event(&app, &attempts[1]).await];
    assert_eq!((&own["usage"]["reasoning_tokens"], &own["usage"]["output_tokens"]), (&json!(55), &json!(78)));
    assert_eq!(
        (&asked["usage"]["input_tokens"], &asked["usage"]["output_tokens"]),
        (&json!(2529), &json!(38))
    );
    assert_eq!((&own["latency_ms"], &asked["latency_ms"]), (&json!(900), &Value::Null));
    for field in ["provider", "status", "service_tier", "region", "connection_id"] {
        assert_eq!(own[field], asked[field], "{field}");
    }
    assert_eq!(asked["lines"].as_array().unwrap().len(), 2, "{asked}");
    // What is told of an advisor tells one settlement from another.
    let mut other = body.clone();
    other["usage"]["iterations"][1]["output_tokens"] = json!(39);
    calls.gateway.post("/v1/settle", other).await.problem(409, "already_settled");
    let totals = app.owner().get(&format!("{}/usage", crate::keys::path(&calls.key))).await.ok();
    assert_eq!(totals["costs"], json!([{"currency": "USD", "cost": "0.022841000"}]));
    assert_eq!(totals["events"], 2);
    let begin = "2027-01-15T00:00:00Z".parse().unwrap();
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let check = verify_rollups(&ctx, begin, begin + TimeDelta::days(1)).await.unwrap();
    assert!(check.differences.is_empty(), "{check:?}");
});

on_both!(a_report_counts_advisors_too, |app| {
    prices(&app).await;
    let opus = json!([{"metric": "cost", "amount": "1", "window": "month", "models": ["*OPUS*"]}]);
    let calls = Calls::new(&app, opus).await;
    let body = json!({"key_id": calls.id(), "attempts": [
        {"model": "claude-sonnet-5", "usage": recorded()},
        {"model": "claude-sonnet-5", "usage": {"input_tokens": 1000, "output_tokens": 0}},
    ]});
    let reported = calls.gateway.post("/v1/usage", body).await.ok();
    let costs: Vec<&str> =
        reported["attempts"].as_array().unwrap().iter().map(|one| one["cost"].as_str().unwrap()).collect();
    assert_eq!(costs, ["0.009246000", "0.003000000", "0.013595000"], "behind all that the caller tells");
    same(counted(&app, calls.limit(0)).await, "0.013595000", "0.000000000");
});

on_both!(a_quote_bills_each_advisor, |app| {
    prices(&app).await;
    let bill = quote(&app, recorded()).await;
    assert_eq!((&bill["cost"], &bill["charge"]), (&json!("0.022841000"), &json!("0.022841000")));
    assert_eq!((&bill["exact"], &bill["priced"]), (&json!("0.022841"), &json!(true)));
    let advisor = &bill["advisors"][0];
    assert_eq!((&advisor["model"], &advisor["cost"]), (&json!("claude-opus-4-8"), &json!("0.013595000")));
    assert_eq!(advisor["price_source"], "organization_model");
    assert_eq!(
        (bill["advisors"].as_array().unwrap().len(), &advisor["lines"][0]["quantity"]),
        (1, &json!(2529))
    );
    let euros = json!({"model": "euro", "kind": "per_request", "per_request": "1", "currency": "EUR"});
    app.owner().post(&format!("{BASE}/prices"), euros).await.created();
    let bill = quote(&app, asking([json!("euro")])).await;
    assert_eq!((&bill["cost"], &bill["priced"]), (&Value::Null, &json!(false)), "no sum of two currencies");
    assert_eq!((&bill["currency"], &bill["advisors"][0]["cost"]), (&json!("USD"), &json!("1.000000000")));
    // Who refuses what has no price is told which model has none.
    let body = json!({"model": "claude-sonnet-5", "usage": asking([json!("unheard-of")])});
    let refused = app.owner().post(&format!("{BASE}/prices/quote"), body).await.problem(422, "price_unknown");
    assert!(refused["detail"].as_str().unwrap().contains("unheard-of"), "{refused}");
    app.owner().patch(BASE, json!({"unpriced_policy": "allow"})).await.ok();
    let bill = quote(&app, asking([json!("unheard-of")])).await;
    assert_eq!((&bill["cost"], &bill["priced"]), (&Value::Null, &json!(false)));
    assert_eq!(bill["advisors"][0]["price_source"], "none");
});

on_both!(an_advisor_without_a_price_is_charged_what_was_held, |app| {
    let dear = json!({"model": "m", "kind": "per_token", "input": "1000", "output": "1000"});
    app.owner().post(&format!("{BASE}/prices"), dear).await.created();
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "2", "window": "month"}])).await;
    let id = calls.open(json!({"model": "m", "input_tokens": 300, "max_output_tokens": 200})).await;
    let settled = calls.settle(&id, asking([json!("unheard-of")])).await;
    let attempt = &settled["attempts"][1];
    let flags = ["priced", "estimated", "usage_unclear"].map(|flag| attempt[flag].clone());
    assert_eq!((&attempt["cost"], flags), (&json!("0.500000000"), [json!(false), json!(true), json!(false)]));
    same(counted(&app, calls.limit(0)).await, "0.605000000", "0.000000000");
});

on_both!(however_often_a_model_is_asked_it_is_one_attempt, |app| {
    prices(&app).await;
    let calls = Calls::new(&app, json!([])).await;
    let models = ["claude-opus-4-8", " Claude-Opus-4-8 ", "other", "claude-opus-4-8"].map(Value::from);
    let id = calls.open(call()).await;
    let settled = calls.settle(&id, asking(models)).await;
    let attempts = settled["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    let asked = event(&app, &attempts[1]).await;
    let counts = ["input_tokens", "output_tokens", "requests"].map(|class| asked["usage"][class].clone());
    assert_eq!(counts, [json!(30), json!(3), json!(1)]);
});

on_both!(no_advisor_is_lost_for_want_of_a_name_or_of_room, |app| {
    prices(&app).await;
    app.owner().patch(BASE, json!({"unpriced_policy": "allow"})).await.ok();
    let calls = Calls::new(&app, json!([])).await;
    for nameless in [Value::Null, json!(""), json!(7), json!("x".repeat(257)), json!("a\nb")] {
        let bill = quote(&app, asking([nameless.clone()])).await;
        assert_eq!(
            (&bill["usage"]["input_tokens"], &bill["advisors"]),
            (&json!(110), &json!([])),
            "{nameless}"
        );
        assert_eq!(bill["usage_doubts"][0]["pointer"], "/usage/iterations/0/model", "{nameless}");
    }
    let many: Vec<Value> = (0..40).map(|n| json!(format!("advisor-{n}"))).collect();
    let bill = quote(&app, asking(many.clone())).await;
    assert_eq!((bill["advisors"].as_array().unwrap().len(), &bill["usage_unclear"]), (31, &json!(true)));
    assert_eq!(bill["usage"]["input_tokens"], 190);
    let id = calls.open(call()).await;
    let settled = calls.settle(&id, asking(many)).await;
    assert_eq!(settled["attempts"].as_array().unwrap().len(), 32);
    assert_eq!(settled["attempts"][0]["usage_unclear"], true);
    // Attempts of the caller's own come first: what has no room beside them counts with the one that asked.
    let id = calls.open(call()).await;
    let mut attempts = vec![json!({"usage": {"input_tokens": 1}}); 31];
    attempts.push(json!({"usage": asking([json!("claude-opus-4-8")])}));
    let body = json!({"reservation_id": id, "attempts": attempts});
    let settled = calls.gateway.post("/v1/settle", &body).await.ok();
    assert_eq!(calls.gateway.post("/v1/settle", &body).await.ok(), settled);
    assert_eq!(settled["attempts"].as_array().unwrap().len(), 32);
    let last = event(&app, &settled["attempts"][31]).await;
    assert_eq!((&last["usage"]["input_tokens"], &last["usage"]["requests"]), (&json!(110), &json!(1)));
    assert_eq!((&last["usage_unclear"], &last["model"]), (&json!(true), &json!("claude-sonnet-5")));
});

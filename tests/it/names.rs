//! A call has all its names: what denies, allows, limits or prices a model goes by every one of them.

use crate::{
    connections::CONNECTIONS,
    decisions::{issue, refused},
    metering::{BASE, Calls, connections::connection, counted, limit, same},
    model_aliases::ALIASES,
    prices::PRICES,
};
use serde_json::{Value, json};
use tests::{Client, Reply, TestApp, on_both};

/// Where names lead to gpt-4o: its price, and a connection with a mapping.
struct Town {
    price: Value,
    connection: String,
}

async fn alias(app: &TestApp, name: &str, target: &str) -> Value {
    app.owner().post(ALIASES, json!({"name": name, "target": target})).await.created()
}

async fn map(app: &TestApp, connection: &str, client: &str, upstream: &str) -> String {
    let mappings = format!("{CONNECTIONS}/{connection}/mappings");
    let body = json!({"client_name": client, "upstream_name": upstream});
    let made = app.owner().post(&mappings, body).await.created();
    format!("{mappings}/{}", made["id"].as_str().unwrap())
}

impl Town {
    async fn new(app: &TestApp) -> Self {
        let body = json!({"model": "gpt-4o", "kind": "per_token", "input": "2.5", "output": "10"});
        let price = app.owner().post(PRICES, body).await.created();
        alias(app, "fast-x", "gpt-4o").await;
        alias(app, "quick", "Fast-X").await;
        alias(app, "prefixed", "openai/gpt-4o").await;
        alias(app, "fast-m", "house").await;
        let connection = connection(app, json!({})).await;
        map(app, &connection, "house", "gpt-4o").await;
        Self { price, connection }
    }

    /// Every way to call the model: by its name, aliases and a mapping, with and without a prefix, however it is written.
    fn calls(&self) -> Vec<Value> {
        let named = ["gpt-4o", "fast-x", "quick", "prefixed", "house", "fast-m"];
        let mapped = |name: &str| matches!(name, "house" | "fast-m");
        let mut calls = Vec::new();
        for name in named {
            for prefix in ["", "azure/"] {
                let name_with = format!("{prefix}{name}");
                for written in [name_with.clone(), name_with.to_uppercase(), format!("  {name_with} ")] {
                    let by = if mapped(name) { json!(self.connection) } else { json!(null) };
                    calls.push(json!({"model": written, "connection_id": by,
                        "input_tokens": 1000, "max_output_tokens": 100}));
                }
            }
        }
        calls
    }
}

/// Asks about a call as a proxy does.
async fn check(app: &TestApp, gateway: &Client, key: &Value, headers: &[(&str, &str)], path: &str) -> Reply {
    let request = app.client(key["secret"].as_str().unwrap()).get(path);
    let request = request.header("tollkeeper-gateway-token", gateway.bearer().unwrap());
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).await
}

/// What is asked about the price of a call is answered as the call is charged.
async fn quoted(app: &TestApp, call: &Value, price: &Value) {
    let (model, connection) = (call["model"].as_str().unwrap().trim(), &call["connection_id"]);
    let by = connection.as_str().map(|id| format!("&connection_id={id}")).unwrap_or_default();
    let resolved = app.owner().get(&format!("{PRICES}/resolve?model={model}{by}")).await.ok();
    assert_eq!(&resolved["price"]["id"], price, "{call}: {resolved}");
    let used = json!({"model": model, "connection_id": connection, "usage": {"input_tokens": 1000, "output_tokens": 100}});
    let quote = app.owner().post(&format!("{PRICES}/quote"), used).await.ok();
    assert_eq!((&quote["price_id"], &quote["cost"]), (price, &json!("0.003500000")), "{call}");
}

on_both!(every_name_is_denied_allowed_and_priced_alike, |app| {
    let town = Town::new(&app).await;
    let gateway = app.gateway().await;
    let of = async |fields: Value| Calls { gateway: gateway.clone(), key: issue(&app, fields).await };
    let denied = of(json!({"name": "d", "denied_models": ["GPT-4o*"]})).await;
    let allowed = of(json!({"name": "a", "allowed_models": [" gpt-4O"]})).await;
    let others = of(json!({"name": "o", "allowed_models": ["gpt-4"]})).await;
    for call in town.calls() {
        refused(&denied.ask(call.clone()).await, &["model_not_allowed"]);
        refused(&others.ask(call.clone()).await, &["model_not_allowed"]);
        let reply = allowed.ask(call.clone()).await;
        refused(&reply, &[]);
        assert_eq!(reply["prices"][0]["price_id"], town.price["id"], "{call}");
        assert_eq!(reply["estimate"]["cost"], "0.003500000", "{call}");
        quoted(&app, &call, &town.price["id"]).await;
        if call["connection_id"].is_null() {
            let model = [("tollkeeper-model", call["model"].as_str().unwrap().trim())];
            let status = async |of: &Calls| check(&app, &gateway, &of.key, &model, "/v1/check").await.status;
            let statuses = (status(&denied).await, status(&others).await, status(&allowed).await);
            assert_eq!(statuses, (403, 403, 200), "{call}");
        }
    }
});

on_both!(every_name_is_limited_when_authorized_and_when_settled, |app| {
    let town = Town::new(&app).await;
    let budget = json!({"metric": "cost", "window": "month", "amount": "0.003", "models": ["gpt-4O*"]});
    let poor = Calls::new(&app, json!([budget])).await;
    let tokens = json!({"metric": "tokens", "window": "day", "amount": "1000000000", "models": ["GPT-4o"]});
    let other = json!({"metric": "tokens", "window": "day", "amount": "1000000000", "models": ["o3"]});
    let rich = Calls::new(&app, json!([tokens, other])).await;
    let mut used = 0;
    for call in town.calls() {
        refused(&poor.ask(call.clone()).await, &["budget_exceeded"]);
        // However the attempt names the model, and if it does not.
        for model in [json!(null), call["model"].clone(), json!("gpt-4o"), json!("Azure/GPT-4O")] {
            let id = rich.open(call.clone()).await;
            let attempt = json!({"model": model, "usage": {"input_tokens": 3, "output_tokens": 4}});
            let body = json!({"reservation_id": id, "attempts": [attempt]});
            let settled = rich.gateway.post("/v1/settle", body).await.ok();
            assert_eq!(settled["attempts"][0]["cost"], "0.000047500", "{call} {model}");
            used += 7;
        }
        same(counted(&app, rich.limit(0)).await, &used.to_string(), "0");
        let report = json!({"key": rich.key["secret"], "model": call["model"],
            "connection_id": call["connection_id"], "usage": {"input_tokens": 1}});
        rich.gateway.post("/v1/usage", report).await.ok();
        used += 1;
        same(counted(&app, rich.limit(0)).await, &used.to_string(), "0");
    }
    same(counted(&app, rich.limit(1)).await, "none", "none");
});

on_both!(every_prefix_is_left_off, |app| {
    Town::new(&app).await;
    let calls = json!({"metric": "requests", "window": "day", "amount": "1", "models": ["gpt-4o"]});
    let few = Calls::new(&app, json!([calls])).await;
    let gateway = app.gateway().await;
    let denied = Calls { gateway, key: issue(&app, json!({"denied_models": ["gpt-4o"]})).await };
    few.open(json!({"model": "openrouter/openai/gpt-4o"})).await;
    for model in ["openrouter/openai/GPT-4o", "a/b/c/fast-x", "models/ gpt-4o", "x//gpt-4o"] {
        refused(&few.ask(json!({"model": model})).await, &["limit_exceeded"]);
        refused(&denied.ask(json!({"model": model})).await, &["model_not_allowed"]);
    }
    for model in ["gpt-4o/x", "openai-gpt-4o", "gpt-4o:free"] {
        refused(&denied.ask(json!({"model": model})).await, &[]);
    }
});

on_both!(a_connection_that_is_chosen_later_brings_its_mapping, |app| {
    let town = Town::new(&app).await;
    let tokens = json!({"metric": "tokens", "window": "day", "amount": "1000", "models": ["gpt-4o"]});
    let calls = Calls::new(&app, json!([tokens])).await;
    let id = calls.open(json!({"model": "house", "input_tokens": 10, "max_output_tokens": 10})).await;
    same(counted(&app, calls.limit(0)).await, "none", "none");
    let attempt = json!({"connection_id": town.connection, "usage": {"input_tokens": 3, "output_tokens": 4}});
    let body = json!({"reservation_id": id, "attempts": [attempt]});
    let settled = calls.gateway.post("/v1/settle", body).await.ok();
    assert_eq!(
        (&settled["attempts"][0]["model"], &settled["attempts"][0]["cost"]),
        (&json!("gpt-4o"), &json!("0.000047500"))
    );
    same(counted(&app, calls.limit(0)).await, "7", "0");
});

on_both!(an_alias_that_changes_while_a_call_is_open_frees_nothing, |app| {
    Town::new(&app).await;
    let tokens = json!({"metric": "tokens", "window": "day", "amount": "1000", "models": ["gpt-4o"]});
    let calls = Calls::new(&app, json!([tokens])).await;
    let moving = alias(&app, "moving", "gpt-4o").await;
    let id = calls.open(json!({"model": "moving", "input_tokens": 10, "max_output_tokens": 10})).await;
    let path = format!("{ALIASES}/{}", moving["id"].as_str().unwrap());
    app.owner().patch(&path, json!({"target": "o3"})).await.ok();
    calls.settle(&id, json!({"input_tokens": 3, "output_tokens": 4})).await;
    same(counted(&app, calls.limit(0)).await, "7", "0");
});

on_both!(what_is_disabled_lets_nothing_through, |app| {
    let town = Town::new(&app).await;
    let off = alias(&app, "off", "gpt-4o").await;
    alias(&app, "to-off", "Off").await;
    let path = format!("{ALIASES}/{}", off["id"].as_str().unwrap());
    let mapping = map(&app, &town.connection, "shut", "gpt-4o").await;
    let calls = Calls::new(&app, json!([])).await;
    let shut = json!({"model": "SHUT", "connection_id": town.connection});
    for call in [json!({"model": "off"}), json!({"model": "to-off"}), shut.clone()] {
        refused(&calls.ask(call).await, &[]);
    }
    app.owner().patch(&path, json!({"enabled": false})).await.ok();
    app.owner().patch(&mapping, json!({"enabled": false})).await.ok();
    let named = |model: &str| json!({"model": model});
    let calls_of_off =
        ["off", " OFF", "to-off", "openai/off", "openrouter/openai/OFF", "x/to-off"].map(named);
    for call in calls_of_off.into_iter().chain([shut.clone()]) {
        let denial = calls.ask(call).await;
        refused(&denial, &["model_not_allowed"]);
        assert!(denial["reasons"][0]["message"].as_str().unwrap().ends_with(" is disabled"), "{denial}");
    }
    // A mapping of another name that is in use leads nobody round it.
    let way = map(&app, &town.connection, "round", "gpt-4o").await;
    alias(&app, "shut", "round").await;
    refused(&calls.ask(shut.clone()).await, &["model_not_allowed"]);
    let round = json!({"model": "round", "connection_id": town.connection});
    refused(&calls.ask(round).await, &[]);
    app.owner().delete(&way).await.no_content();
    let detour = app.owner().get(&format!("{ALIASES}?name_prefix=shut")).await.ok()["items"][0]["id"].clone();
    app.owner().delete(&format!("{ALIASES}/{}", detour.as_str().unwrap())).await.no_content();
    // By another connection, or none, the name is no matter of the mapping; a deleted alias is a name again.
    refused(&calls.ask(json!({"model": "shut"})).await, &[]);
    app.owner().delete(&path).await.no_content();
    app.owner().delete(&mapping).await.no_content();
    refused(&calls.ask(json!({"model": "off"})).await, &[]);
    refused(&calls.ask(shut).await, &[]);
});

on_both!(an_allow_list_of_a_connection_has_its_upstream_names, |app| {
    let some = connection(&app, json!({"allowed_models": ["claude-test-1"]})).await;
    map(&app, &some, "fast", "claude-test-1").await;
    let calls = Calls::new(&app, json!([])).await;
    refused(&calls.ask(json!({"model": "fast", "connection_id": some})).await, &[]);
    refused(&calls.ask(json!({"model": "slow", "connection_id": some})).await, &["model_not_allowed"]);
});

on_both!(an_upstream_without_a_price_is_charged_by_what_clients_call_it, |app| {
    let town = Town::new(&app).await;
    map(&app, &town.connection, "gpt-4o", "our-deployment-7").await;
    let calls = Calls::new(&app, json!([])).await;
    let reply = calls.ask(json!({"model": "fast-x", "connection_id": town.connection})).await;
    assert_eq!(reply["prices"][0]["price_id"], town.price["id"], "{reply}");
});

/// A key of the case file, with the alias that it sets up.
async fn case(app: &TestApp, key: Value) -> Calls {
    alias(app, "fast-x", "gpt-4o").await;
    let body = json!({"model": "gpt-4o", "kind": "per_token", "input": "2.5", "output": "10"});
    app.owner().post(PRICES, body).await.created();
    Calls { gateway: app.gateway().await, key: issue(app, key).await }
}

on_both!(field_cases_limit_models_alias_and_prefix, |app| {
    let limits = json!([{"metric": "cost", "window": "month", "amount": "0.01", "models": ["gpt-4o*"]}]);
    let calls = case(&app, json!({"name": "k", "limits": limits})).await;
    for model in ["fast-x", "azure/gpt-4o"] {
        let call = json!({"model": model, "input_tokens": 1_000_000, "max_output_tokens": 100_000});
        refused(&calls.ask(call).await, &["budget_exceeded"]);
    }
});

on_both!(field_case_denied_models_alias, |app| {
    let calls = case(&app, json!({"name": "k", "denied_models": ["gpt-4o*"]})).await;
    let call = json!({"model": "fast-x", "input_tokens": 10, "max_output_tokens": 10});
    refused(&calls.ask(call).await, &["model_not_allowed"]);
});

on_both!(field_case_check_x_model_vs_azure_path, |app| {
    let key = issue(&app, json!({"name": "k", "allowed_models": ["gpt-4o-mini"]})).await;
    let gateway = app.gateway().await;
    let path = "/v1/check/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    // A header that a client can send is not overlooked but refused by name.
    check(&app, &gateway, &key, &[("x-model", "gpt-4o-mini")], path).await.problem(400, "header_not_trusted");
    let reply = check(&app, &gateway, &key, &[], path).await;
    assert_eq!((reply.status, reply.header("tollkeeper-denied")), (403, "model_not_allowed"));
});

on_both!(field_case_check_x_goog_api_key, |app| {
    let key = issue(&app, json!({})).await;
    let gateway = app.gateway().await;
    let secret = key["secret"].as_str().unwrap();
    for header in ["x-goog-api-key", "api-key"] {
        let path = "/v1/check/v1beta/models/gemini-2.5-flash:generateContent";
        let request = app.anonymous().get(path).header("tollkeeper-gateway-token", gateway.bearer().unwrap());
        assert_eq!(request.header(header, secret).await.status, 200, "{header}");
    }
    let request = app.anonymous().get("/v1/check?error_format=gemini");
    let reply = request.header("tollkeeper-gateway-token", gateway.bearer().unwrap()).await;
    let body: Value = serde_json::from_str(&reply.text).unwrap();
    assert_eq!((reply.status, &body["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
});

on_both!(field_case_free_model_after_overrun, |app| {
    let free = json!({"model": "local-x", "kind": "per_token", "input": "0", "output": "0"});
    app.owner().post(PRICES, free).await.created();
    let euros = json!({"model": "local-eur", "kind": "flat", "currency": "EUR"});
    app.owner().post(PRICES, euros).await.created();
    let by_night = json!({"hours_utc": "22:00-06:00", "input": "1"});
    let by_day =
        json!({"model": "by-day", "kind": "per_token", "input": "0", "output": "0", "off_peak": by_night});
    app.owner().post(PRICES, by_day).await.created();
    let limits = json!([{"metric": "cost", "window": "month", "amount": "0.001"}]);
    let calls = case(&app, json!({"name": "k", "limits": limits})).await;
    let id = calls.open(json!({"model": "gpt-4o", "input_tokens": 10, "max_output_tokens": 10})).await;
    calls.settle(&id, json!({"input_tokens": 50_000})).await;
    for model in ["local-x", "LOCAL-X", "local-eur"] {
        let call = json!({"model": model, "input_tokens": 10, "max_output_tokens": 10});
        let id = calls.open(call).await;
        calls.settle(&id, json!({"input_tokens": 50_000})).await;
        // Neither a size nor a proxy makes what is free cost anything.
        refused(&calls.ask(json!({"model": model})).await, &[]);
        let named = [("tollkeeper-model", model)];
        let reply = check(&app, &calls.gateway, &calls.key, &named, "/v1/check").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    // What is free at this hour is not free.
    let call = json!({"model": "by-day", "input_tokens": 10, "max_output_tokens": 10});
    refused(&calls.ask(call).await, &["budget_exceeded"]);
    let both = json!({"models": ["local-x", "gpt-4o"], "input_tokens": 10, "max_output_tokens": 10});
    refused(&calls.ask(both).await, &["budget_exceeded"]);
    assert_eq!(counted(&app, calls.limit(0)).await.0, "0.125000000");
});

on_both!(a_member_limit_counts_every_call_of_the_person_in_the_team, |app| {
    let team = crate::keys::team(&app, "search").await;
    let (person, outsider) = (app.team_member(&team).await, app.member().await);
    let of = |person: &Client| {
        json!({"subject_kind": "member", "subject_id": person.user_id, "team_id": team,
            "metric": "requests", "amount": "2", "window": "day"})
    };
    let refusal = app.owner().post(&format!("{BASE}/limits"), of(&outsider)).await;
    refusal.invalid(&[("/subject_id", "not_in_team")]);
    let set = limit(&app, of(&person)).await;
    let own = issue(&app, json!({"user_id": person.user_id})).await;
    let calls = Calls { gateway: app.gateway().await, key: own };
    let first = calls.ask(json!({"model": "m"})).await;
    assert_eq!(first["limits"][0]["limit_id"], set["id"], "{first}");
    calls.open(json!({"model": "m"})).await;
    refused(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
    let others = calls.with(&issue(&app, json!({"user_id": outsider.user_id})).await);
    refused(&others.ask(json!({"model": "m"})).await, &[]);
    // Who leaves the team makes no calls in it, and who comes back does, on every instance at once.
    let place = format!("{BASE}/teams/{team}/members");
    app.owner().delete(&format!("{place}/{}", person.user_id)).await.no_content();
    refused(&calls.ask(json!({"model": "m"})).await, &[]);
    let back = json!({"user_id": person.user_id, "role": "member"});
    app.owner().post(&place, back).await.created();
    refused(&calls.ask(json!({"model": "m"})).await, &["limit_exceeded"]);
});

on_both!(a_glob_that_matches_nothing_known_is_warned_about, |app| {
    let town = Town::new(&app).await;
    map(&app, &town.connection, "house-2", "upstream-2").await;
    let globs = json!(["gpt-4O*", "fast-?", "FAST-X", "house*", "Upstream-2", "nope-*"]);
    let spec = json!({"metric": "requests", "window": "day", "amount": "1", "models": globs});
    let expected = json!([
        {"pointer": "/models/1", "code": "unknown_model",
         "message": "fast-? matches no model, price, alias or mapping that is known"},
        {"pointer": "/models/5", "code": "unknown_model",
         "message": "nope-* matches no model, price, alias or mapping that is known"},
    ]);
    let key =
        issue(&app, json!({"limits": [spec, {"metric": "requests", "window": "day", "amount": "1"}]})).await;
    assert_eq!(key["limits"][0]["warnings"], expected);
    assert!(key["limits"][1].get("warnings").is_none());
    let mut body = spec.clone();
    (body["subject_kind"], body["subject_id"]) = (json!("organization"), json!(app.organization));
    let made = limit(&app, body).await;
    assert_eq!(made["warnings"], expected);
    let path = format!("{BASE}/limits/{}", made["id"].as_str().unwrap());
    assert!(app.owner().get(&path).await.ok().get("warnings").is_none(), "told once");
});

// What the provider says that it was is often none of the names that the call was authorized by.
on_both!(a_call_is_charged_to_the_limits_that_it_held, |app| {
    Town::new(&app).await;
    let dollars = json!({"model": "gpt-4o-2024-08-06", "kind": "per_token", "input": "2.5", "output": "10"});
    let euros = json!({"model": "sol", "kind": "per_token", "input": "1", "output": "1", "currency": "EUR"});
    for price in [dollars, euros] {
        app.owner().post(PRICES, price).await.created();
    }
    for (model, used) in [
        ("gpt-4o-2024-08-06", "0.000047500"),
        ("azure/gpt-4o", "0.000047500"),
        ("sol", "0.003500000"),
        ("nobody-knows", "0.003500000"),
    ] {
        for asked in ["gpt-4o", "fast-x"] {
            let limits = [("cost", "1000"), ("tokens", "1000000"), ("requests", "10")].map(|(metric, amount)| {
                json!({"metric": metric, "window": "month", "amount": amount, "models": [asked]})
            });
            let calls = Calls::new(&app, json!(limits)).await;
            let call = json!({"model": asked, "input_tokens": 1000, "max_output_tokens": 100});
            let id = calls.open(call).await;
            let usage = json!({"input_tokens": 3, "output_tokens": 4});
            let body = json!({"reservation_id": id, "model": model, "usage": usage});
            calls.gateway.post("/v1/settle", body).await.ok();
            same(counted(&app, calls.limit(0)).await, used, "0.000000000");
            same(counted(&app, calls.limit(1)).await, "7", "0");
            same(counted(&app, calls.limit(2)).await, "1", "0");
        }
    }
});

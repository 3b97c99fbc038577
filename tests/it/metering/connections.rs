//! Calls that name a connection: who may go by it, in force everywhere at once, at whose price, and that what was used is
//! never lost.

use super::*;
use crate::{
    connections::{CONNECTIONS, smallest},
    decisions::{ask, codes, issue, refused},
    keys::{self, service_account, team},
};
use tests::on_both;

/// A connection of the organization with these fields beside the smallest ones: its id.
pub async fn connection(app: &TestApp, fields: Value) -> String {
    connection_of(&app.owner(), CONNECTIONS, fields).await
}

async fn connection_of(client: &Client, at: &str, fields: Value) -> String {
    let mut body = smallest(&uuid_text());
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    client.post(at, body).await.created()["id"].as_str().unwrap().to_owned()
}

fn uuid_text() -> String {
    Uuid::now_v7().to_string()
}

/// A credential of a connection: its id.
async fn credential(app: &TestApp, connection: &str) -> String {
    let body = json!({"secret": format!("sk-{}", uuid_text())});
    let path = format!("{CONNECTIONS}/{connection}/credentials");
    app.owner().post(&path, body).await.created()["id"].as_str().unwrap().to_owned()
}

async fn act(app: &TestApp, connection: &str, what: &str) {
    app.owner().post(&format!("{CONNECTIONS}/{connection}/{what}"), json!({})).await.ok();
}

async fn delete(app: &TestApp, connection: &str) {
    app.owner().delete(&format!("{CONNECTIONS}/{connection}")).await.no_content();
}

fn nobodys(prefix: &str) -> String {
    format!("{prefix}_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")
}

/// A problem, but for the request that it names.
fn said(mut body: Value) -> Value {
    body["request_id"] = Value::Null;
    body
}

on_both!(a_teams_connection_is_for_its_own_keys, |app| {
    let gateway = app.gateway().await;
    let (ours, theirs) = (team(&app, "ours").await, team(&app, "theirs").await);
    let account = service_account(&app, "robot").await;
    let own = issue(&app, json!({"team_id": ours})).await;
    let others = [
        issue(&app, json!({"team_id": theirs})).await,
        issue(&app, json!({"user_id": app.member().await.user_id})).await,
        issue(&app, json!({"service_account_id": account})).await,
    ];
    let of_team = connection(&app, json!({"team_id": ours})).await;
    let of_all = connection(&app, json!({})).await;
    let by =
        async |key: &Value, connection: &str| ask(&gateway, key, json!({"connection_id": connection})).await;
    refused(&by(&own, &of_team).await, &[]);
    refused(&by(&own, &of_all).await, &[]);
    for key in &others {
        let denial = by(key, &of_team).await;
        refused(&denial, &["connection_not_allowed"]);
        assert_eq!(denial["client_response"]["http_status"], 403);
        refused(&by(key, &of_all).await, &[]);
    }
    // Everything that stands in the way is told, not only the first.
    act(&app, &of_team, "disable").await;
    refused(&by(&own, &of_team).await, &["connection_disabled"]);
    app.owner().post(&format!("{}/disable", keys::path(&others[0])), json!({})).await.ok();
    let all = ["key_disabled", "connection_disabled", "connection_not_allowed"];
    refused(&by(&others[0], &of_team).await, &all);
    act(&app, &of_team, "enable").await;
    refused(&by(&own, &of_team).await, &[]);
});

on_both!(what_is_not_there_is_one_and_the_same, |app| {
    let acme = app.other_organization("acme").await;
    let foreign = connection_of(&acme, "/v1/organizations/acme/connections", json!({})).await;
    let gone = connection(&app, json!({})).await;
    delete(&app, &gone).await;
    let calls = Calls::new(&app, json!([])).await;
    let secret = &calls.key["secret"];
    let installation = app.operator().await;
    let token = installation.post("/v1/gateway-tokens", json!({"name": "all"})).await.created();
    let everybodys = app.client(token["secret"].as_str().unwrap());
    let mut told = Vec::new();
    for id in [nobodys("conn"), foreign.clone(), gone] {
        for gateway in [&calls.gateway, &everybodys] {
            let mut denial = ask(gateway, &calls.key, json!({"model": "m", "connection_id": id})).await;
            denied(&denial, &["connection_unknown"]);
            denial["decision_id"] = Value::Null;
            told.push(denial);
        }
        let explain = json!({"key": secret, "connection_id": id});
        let explained = calls.gateway.post("/v1/authorize/explain", explain).await.ok();
        assert_eq!(codes(&explained), ["connection_unknown"]);
        let path = format!("{}/explain", keys::path(&calls.key));
        let explained = app.owner().post(&path, json!({"connection_id": id})).await.ok();
        assert_eq!(codes(&explained), ["connection_unknown"]);
    }
    assert!(told.iter().all(|denial| *denial == told[0]), "{told:?}");
    // One of a batch denies no other, though its own organization is in the batch, too.
    let there = "/v1/organizations/acme";
    let group = acme.post(&format!("{there}/teams"), json!({"name": "t"})).await.created();
    let body = json!({"name": "k", "team_id": group["id"]});
    let theirs = acme.post(&format!("{there}/keys"), body).await.created();
    let fine = connection(&app, json!({})).await;
    let requests = json!([
        {"key": theirs["secret"], "connection_id": foreign}, {"key": secret, "connection_id": foreign},
        {"key": secret, "connection_id": fine}, {"key": theirs["secret"], "connection_id": fine}]);
    let reply = everybodys.post("/v1/authorize/batch", json!({"requests": requests})).await.ok();
    for (result, expected) in reply["results"].as_array().unwrap().iter().zip([true, false, true, false]) {
        assert_eq!((&result["status"], &result["decision"]["allowed"]), (&json!(200), &json!(expected)));
    }
});

on_both!(a_connection_serves_the_models_that_it_allows, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let some = connection(&app, json!({"allowed_models": ["gpt-4o*"]})).await;
    let ask = async |models: Value| calls.ask(json!({"models": models, "connection_id": some})).await;
    refused(&ask(json!(["gpt-4o", "gpt-4o-mini"])).await, &[]);
    let denial = ask(json!(["gpt-4o", "o3"])).await;
    denied(&denial, &["model_not_allowed"]);
    assert_eq!(denial["reasons"][0]["message"], format!("the connection {some} does not allow o3"));
    let denial = calls.ask(json!({"connection_id": some})).await;
    denied(&denial, &["model_not_allowed"]);
    let path = format!("{}/explain", keys::path(&calls.key));
    let explained = app.owner().post(&path, json!({"model": "o3", "connection_id": some})).await.ok();
    let rule = json!({"owner": "connection", "allowed_models": ["gpt-4o*"], "denied_models": null});
    assert_eq!(explained["model_rules"], json!([rule]));
    let checks = explained["checks"].as_array().unwrap().iter();
    let checks: Vec<_> = checks.map(|check| check["check"].as_str().unwrap()).collect();
    assert!(checks.contains(&"connection") && checks.contains(&"connection_team"), "{checks:?}");
    refused(&calls.ask(json!({"model": "o3"})).await, &[]);
});

on_both!(a_change_of_a_connection_is_in_force_everywhere_at_once, |app| {
    let b = app.second_instance().await;
    let key = key(&app, json!([])).await;
    let gateway = b.client(app.gateway().await.bearer().unwrap());
    let connection = connection(&app, json!({})).await;
    let path = format!("{CONNECTIONS}/{connection}");
    let call = json!({"model": "o3", "connection_id": connection});
    for _ in 0..40 {
        refused(&ask(&gateway, &key, call.clone()).await, &[]);
        act(&app, &connection, "disable").await;
        refused(&ask(&gateway, &key, call.clone()).await, &["connection_disabled"]);
        act(&app, &connection, "enable").await;
        refused(&ask(&gateway, &key, call.clone()).await, &[]);
        app.owner().patch(&path, json!({"allowed_models": ["gpt-*"]})).await.ok();
        refused(&ask(&gateway, &key, call.clone()).await, &["model_not_allowed"]);
        app.owner().patch(&path, json!({"allowed_models": null})).await.ok();
    }
    delete(&app, &connection).await;
    refused(&ask(&gateway, &key, call).await, &["connection_unknown"]);
});

on_both!(calls_cost_what_their_connection_charges, |app| {
    price(&app, "m", "0.40").await;
    let (a, b, plain) = (
        connection(&app, json!({})).await,
        connection(&app, json!({})).await,
        connection(&app, json!({"provider": "groq"})).await,
    );
    let mut ids = Vec::new();
    for (connection, each) in [(&a, "0.01"), (&b, "0.07")] {
        let body =
            json!({"model": "m", "kind": "per_request", "per_request": each, "connection_id": connection});
        ids.push(app.owner().post(&format!("{BASE}/prices"), body).await.created()["id"].clone());
    }
    let of_provider = json!({"model": "m", "provider": "groq", "kind": "per_request", "per_request": "0.3"});
    app.owner().post(&format!("{BASE}/prices"), of_provider).await.created();
    let calls = Calls::new(&app, json!([{"metric": "cost", "amount": "100", "window": "month"}])).await;
    let reply = calls.ask(json!({"model": "m", "connection_id": a})).await;
    assert_eq!(reply["prices"], json!([{"model": "m", "price_id": ids[0]}]));
    assert_eq!(reply["estimate"]["cost"], "0.010000000");
    // A dearer price that begins meanwhile is not this call's.
    app.clock.advance(chrono::TimeDelta::seconds(1));
    let dearer = json!({"model": "m", "kind": "per_request", "per_request": "9", "connection_id": a});
    app.owner().post(&format!("{BASE}/prices"), dearer).await.created();
    let attempts = json!([
        {"usage": {}},
        {"usage": {}, "connection_id": a},
        {"usage": {}, "connection_id": b},
        {"usage": {}, "connection_id": plain},
        {"usage": {}, "connection_id": plain, "provider": "openai"},
    ]);
    let body = json!({"reservation_id": reply["reservation_id"], "attempts": attempts});
    let settled = calls.gateway.post("/v1/settle", &body).await.ok();
    assert_eq!(calls.gateway.post("/v1/settle", &body).await.ok(), settled, "a repetition");
    let costs: Vec<_> = settled["attempts"].as_array().unwrap().iter().map(|one| &one["cost"]).collect();
    assert_eq!(costs, ["0.010000000", "0.010000000", "0.070000000", "0.300000000", "0.400000000"]);
    assert_eq!(settled["attempts"][2]["price_id"], ids[1]);
    let events = app.owner().get(&format!("{BASE}/usage/events?connection_id={plain}")).await.ok();
    let providers: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|event| event["provider"].as_str().unwrap()).collect();
    assert_eq!(providers, ["openai", "groq"]);
    let totals = app.owner().get(&format!("{CONNECTIONS}/{a}/usage")).await.ok();
    assert_eq!((&totals["events"], &totals["costs"][0]["cost"]), (&json!(2), &json!("0.020000000")));
    let dear = calls.ask(json!({"model": "m", "connection_id": a})).await;
    assert_eq!(dear["estimate"]["cost"], "9.000000000");
});

on_both!(what_a_connection_that_is_gone_has_served_is_not_lost, |app| {
    let calls = Calls::new(&app, json!([{"metric": "requests", "amount": "9", "window": "day"}])).await;
    let (off, gone) = (connection(&app, json!({})).await, connection(&app, json!({})).await);
    let (of_off, of_gone) = (credential(&app, &off).await, credential(&app, &gone).await);
    let call = json!({"model": "m", "connection_id": gone});
    let (first, second) = (calls.open(call.clone()).await, calls.open(call.clone()).await);
    act(&app, &off, "disable").await;
    app.owner().delete(&format!("{CONNECTIONS}/{gone}/credentials/{of_gone}")).await.no_content();
    delete(&app, &gone).await;
    denied(&calls.ask(call).await, &["connection_unknown"]);
    let body = json!({"reservation_id": first, "usage": {}, "credential_id": of_gone});
    let settled = calls.gateway.post("/v1/settle", &body).await.ok();
    assert_eq!(calls.gateway.post("/v1/settle", &body).await.ok(), settled, "a repetition");
    let elsewhere = json!({"usage": {}, "connection_id": off, "credential_id": of_off});
    let settle = |of: &str| {
        let mut body = elsewhere.clone();
        body["reservation_id"] = json!(of);
        body
    };
    calls.gateway.post("/v1/settle", settle(&second)).await.ok();
    for (connection, credential) in [(&gone, &of_gone), (&off, &of_off)] {
        let body = json!({"key_id": calls.id(), "model": "m", "usage": {}, "reservation_id": chosen(&app),
            "connection_id": connection, "credential_id": credential});
        let told = calls.gateway.post("/v1/usage", &body).await.ok();
        assert_eq!(calls.gateway.post("/v1/usage", &body).await.ok(), told, "a repetition");
        let events = app.owner().get(&format!("{BASE}/usage/events?connection_id={connection}")).await.ok();
        let events = events["items"].as_array().unwrap();
        assert_eq!(events.len(), 2);
        for event in events {
            assert_eq!(
                (&event["connection_id"], &event["credential_id"]),
                (&json!(connection), &json!(credential))
            );
            assert_eq!(event["provider"], "openai");
        }
    }
    same(counted(&app, calls.limit(0)).await, "4", "0");
    // The use of the credential that is still there is noted.
    service::activity::flush(&app.system).await.unwrap();
    let used = app.owner().get(&format!("{CONNECTIONS}/{off}/credentials/{of_off}")).await.ok();
    assert_eq!(used["last_used_at"], "2027-01-15T10:00:00Z");
});

on_both!(usage_names_connections_and_credentials_that_belong_together, |app| {
    let acme = app.other_organization("acme").await;
    let there = "/v1/organizations/acme/connections";
    let foreign = connection_of(&acme, there, json!({})).await;
    let of_foreign =
        acme.post(&format!("{there}/{foreign}/credentials"), json!({"secret": "sk-foreign"})).await;
    let of_foreign = of_foreign.created()["id"].as_str().unwrap().to_owned();
    let (a, b) = (connection(&app, json!({})).await, connection(&app, json!({})).await);
    let (of_a, of_b) = (credential(&app, &a).await, credential(&app, &b).await);
    let calls = Calls::new(&app, json!([{"metric": "requests", "amount": "9", "window": "day"}])).await;
    let open = calls.open(json!({"model": "m", "connection_id": a})).await;
    let resolve = format!("{BASE}/reservations/{open}/resolve");
    let told = async |fields: Value| {
        let with = |mut body: Value| {
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            body
        };
        let settle = json!({"reservation_id": open, "usage": {}});
        let attempts =
            json!({"reservation_id": open, "attempts": [{"usage": {}}, with(json!({"usage": {}}))]});
        let report = json!({"key_id": calls.id(), "model": "m", "usage": {}});
        let settled = json!({"outcome": "settled", "usage": {}});
        vec![
            calls.gateway.post("/v1/settle", with(settle)).await.problem(404, "not_found"),
            calls.gateway.post("/v1/settle", attempts).await.problem(404, "not_found"),
            calls.gateway.post("/v1/usage", with(report)).await.problem(404, "not_found"),
            app.owner().post(&resolve, with(settled)).await.problem(404, "not_found"),
        ]
    };
    let told = async |fields: Value| told(fields).await.into_iter().map(said).collect::<Vec<_>>();
    let random = told(json!({"connection_id": nobodys("conn")})).await;
    assert_eq!(random[0]["detail"], "connection not found");
    assert_eq!(told(json!({"connection_id": foreign})).await, random);
    let random = told(json!({"connection_id": a, "credential_id": nobodys("cred")})).await;
    assert_eq!(random[0]["detail"], "credential not found");
    for credential in [&of_foreign, &of_b] {
        assert_eq!(told(json!({"connection_id": a, "credential_id": credential})).await, random);
    }
    // Without a connection it is that of the call; a call that names none has none.
    let report = json!({"key_id": calls.id(), "model": "m", "usage": {}, "credential_id": of_a});
    calls.gateway.post("/v1/usage", report).await.problem(404, "not_found");
    same(counted(&app, calls.limit(0)).await, "0", "1");
    let body = json!({"reservation_id": open, "usage": {}, "credential_id": of_a});
    calls.gateway.post("/v1/settle", body).await.ok();
    same(counted(&app, calls.limit(0)).await, "1", "0");
});

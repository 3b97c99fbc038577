//! How decisions come about: explain for gateways and administrators, many at once, and a key about itself.

use crate::{
    decisions::{ask, codes, issue, refused},
    keys,
};
use serde_json::{Value, json};
use tests::on_both;

on_both!(explain_shows_everything_that_was_looked_at, |app| {
    let gateway = app.gateway().await;
    let key = issue(&app, json!({"allowed_models": ["gpt-*"], "denied_models": ["gpt-3*"]})).await;
    let call = json!({"key": key["secret"], "model": "gpt-3.5"});
    let explained = gateway.post("/v1/authorize/explain", call).await.ok();
    refused(&explained, &["model_not_allowed"]);
    let checks = explained["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    let expected =
        ["key", "status", "expiry", "secret", "owner", "organization", "model", "scope", "address"];
    assert_eq!(names, expected);
    let failed: Vec<&Value> = checks.iter().filter(|check| check["passed"] == false).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["detail"], "the key denies gpt-3.5");
    let rule = json!({"owner": "key", "allowed_models": ["gpt-*"], "denied_models": ["gpt-3*"]});
    assert_eq!(explained["model_rules"], json!([rule]));
});

on_both!(explaining_is_no_use_of_the_key, |app| {
    let gateway = app.gateway().await;
    let key = issue(&app, json!({})).await;
    let last_used = async || {
        service::activity::flush(&app.system).await.unwrap();
        app.owner().get(&keys::path(&key)).await.ok()["last_used_at"].clone()
    };
    gateway.post("/v1/authorize/explain", json!({"key": key["secret"]})).await.ok();
    assert_eq!(last_used().await, Value::Null);
    refused(&ask(&gateway, &key, json!({"scope": "chat"})).await, &[]);
    assert_eq!(last_used().await, "2027-01-15T10:00:00Z");
});

on_both!(an_administrator_explains_a_key_without_its_secret, |app| {
    let key = issue(&app, json!({"allowed_models": ["gpt-*"]})).await;
    let path = format!("{}/explain", keys::path(&key));
    let team = format!("/v1/organizations/default/teams/{}", key["team_id"].as_str().unwrap());
    app.owner().patch(&team, json!({"allowed_models": ["*-mini"]})).await.ok();
    let explained = app.owner().post(&path, json!({"model": "gpt-4o"})).await.ok();
    assert_eq!(codes(&explained), ["model_not_allowed"]);
    assert_eq!(explained["reasons"][0]["message"], "the team does not allow gpt-4o");
    let owners: Vec<&Value> =
        explained["model_rules"].as_array().unwrap().iter().map(|rule| &rule["owner"]).collect();
    assert_eq!(owners, ["team", "key"]);
    assert_eq!(app.owner().post(&path, json!({"model": "gpt-4o-mini"})).await.ok()["allowed"], true);

    let team_id = key["team_id"].as_str().unwrap();
    app.team_admin(team_id).await.post(&path, json!({"model": "gpt-4o-mini"})).await.ok();
    app.member().await.post(&path, json!({})).await.problem(404, "not_found");
    app.other_organization("acme").await.post(&path, json!({})).await.problem(404, "not_found");
    let random = format!("{}/key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70/explain", keys::KEYS);
    app.owner().post(&random, json!({})).await.problem(404, "not_found");
    app.owner().post(&path, json!({"key": "x"})).await.problem(400, "unknown_field");
    app.owner().post(&path, json!({"model": ""})).await.invalid(&[("/model", "required")]);
    app.anonymous().post(&path, json!({})).await.problem(401, "unauthenticated");
});

on_both!(each_call_of_a_batch_has_its_own_answer, |app| {
    let gateway = app.gateway().await;
    let key = issue(&app, json!({})).await;
    let good = json!({"key": key["secret"], "model": "gpt-4o"});
    let calls = json!({"requests": [good, {"key": "x", "error_format": "anthropic"}, {"model": 7}, {"key": "x", "models": []}, good]});
    let results = gateway.post("/v1/authorize/batch", calls).await.ok()["results"].clone();
    let statuses: Vec<&Value> = results.as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [200, 200, 422, 422, 200]);
    assert_eq!(results[0]["decision"]["allowed"], true);
    assert_eq!(codes(&results[1]["decision"]), ["key_unknown"]);
    assert_eq!(results[1]["decision"]["client_response"]["body"]["type"], "error");
    assert_eq!(results[2]["problem"]["errors"][0]["pointer"], "/model");
    assert_eq!(results[3]["problem"]["errors"][0]["pointer"], "/models");
    assert_eq!(results[4]["decision"]["key"]["id"], key["id"]);

    assert_eq!(
        gateway.post("/v1/authorize/batch", json!({"requests": []})).await.ok(),
        json!({"results": []})
    );
    let many = json!({"requests": vec![json!({"key": "x"}); 257]});
    gateway.post("/v1/authorize/batch", many).await.invalid(&[("/requests", "invalid_value")]);
    let full = json!({"requests": vec![good; 256]});
    let results = gateway.post("/v1/authorize/batch", full).await.ok()["results"].clone();
    assert!(results.as_array().unwrap().iter().all(|result| result["decision"]["allowed"] == true));
    app.anonymous()
        .post("/v1/authorize/batch", json!({"requests": []}))
        .await
        .problem(401, "unauthenticated");
    app.owner().post("/v1/authorize/batch", json!({"requests": []})).await.problem(403, "forbidden");
});

on_both!(a_key_reads_itself_and_nothing_else, |app| {
    let fields = json!({"name": "ci", "scopes": ["chat"], "allowed_models": ["gpt-*"], "expires_at": "2027-02-15T10:00:00Z"});
    let key = issue(&app, fields).await;
    let own = app.client(key["secret"].as_str().unwrap());
    let shown = own.get("/v1/key").await.ok();
    for field in ["id", "name", "scopes", "expires_at", "team_id"] {
        assert_eq!(shown[field], key[field], "{field}");
    }
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["model_rules"][0]["allowed_models"], json!(["gpt-*"]));
    let by_header = app.anonymous().get("/v1/key").header("x-api-key", key["secret"].as_str().unwrap());
    assert_eq!(by_header.await.ok(), shown);

    own.get(keys::KEYS).await.problem(403, "forbidden");
    app.anonymous().get("/v1/key").await.problem(401, "unauthenticated");
    app.client("tk_nonsense").get("/v1/key").await.problem(401, "key_unknown");
    app.owner().get("/v1/key").await.problem(403, "forbidden");
    app.gateway().await.get("/v1/key").await.problem(403, "forbidden");
    let team = format!("/v1/organizations/default/teams/{}", key["team_id"].as_str().unwrap());
    app.owner().post(&format!("{team}/suspend"), json!({})).await.ok();
    own.get("/v1/key").await.problem(403, "owner_suspended");
    app.owner().post(&format!("{}/revoke", keys::path(&key)), json!({})).await.ok();
    own.get("/v1/key").await.problem(401, "key_revoked");
});

on_both!(a_wrong_checksum_costs_no_look_at_the_database, |app| {
    let gateway = app.gateway().await;
    let key = issue(&app, json!({})).await;
    let good = key["secret"].as_str().unwrap();
    let last = if good.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &good[..good.len() - 1]);
    let work = app.state.meter.work();
    let before = (work.statements(), work.entries());
    app.client(&wrong).get("/v1/key").await.problem(401, "key_unknown");
    app.client(&wrong).post("/v1/authorize", json!({"key": good})).await.problem(401, "token_invalid");
    assert_eq!((work.statements(), work.entries()), before);

    // The gateway is authenticated, and that is all.
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    let before = (work.statements(), work.entries());
    gateway.post("/v1/authorize", json!({"key": wrong})).await.ok();
    assert_eq!((work.statements(), work.entries()), (before.0 + 1, before.1));
});

//! Gateway tokens: making and deleting them, and what each lets a gateway do.

use crate::{
    decisions::{ask, issue, refused},
    keys::team,
};
use serde_json::{Value, json};
use tests::on_both;

const TOKENS: &str = "/v1/organizations/default/gateway-tokens";

fn at(token: &Value) -> String {
    format!("{TOKENS}/{}", token["id"].as_str().unwrap())
}

on_both!(a_token_can_be_made_read_and_deleted, |app| {
    let owner = app.owner();
    let team_id = team(&app, "search").await;
    let body = json!({"name": "edge-eu", "scopes": ["authorize", "settle", "void", "extend", "usage", "check"], "team_ids": [team_id, team_id],
        "allowed_cidrs": ["10.0.0.0/8"], "expires_at": "2027-02-15T10:00:00Z"});
    let mut made = owner.post(TOKENS, &body).await.created();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("tkg_"), "the kind is seen");
    assert_eq!(made["team_ids"], json!([team_id]), "once each");
    assert_eq!((&made["scopes"], &made["version"]), (&body["scopes"], &json!(1)));
    assert!(secret.rsplit_once('_').unwrap().0.ends_with(made["last4"].as_str().unwrap()));
    made.as_object_mut().unwrap().remove("secret");
    assert_eq!(owner.get(&at(&made)).await.ok(), made);
    assert_eq!(owner.get(TOKENS).await.ok()["items"], json!([made]));

    let plain = owner.post(TOKENS, json!({"name": "plain"})).await.created();
    assert_eq!((&plain["scopes"], &plain["team_ids"]), (&json!(["*"]), &json!(null)));
    owner.delete(&at(&made)).if_match(2).await.problem(412, "version_conflict");
    owner.delete(&at(&made)).if_match(1).await.no_content();
    owner.get(&at(&made)).await.problem(404, "not_found");
    owner.delete(&at(&made)).await.problem(404, "not_found");
});

on_both!(every_faulty_field_is_named, |app| {
    let owner = app.owner();
    let body = json!({"name": " ", "scopes": ["authorize", "fly"], "allowed_cidrs": ["10.0.0.1/8", "x"],
        "expires_at": "2027-01-15T10:00:00Z"});
    owner.post(TOKENS, body).await.invalid(&[
        ("/name", "required"),
        ("/scopes/1", "unknown"),
        ("/allowed_cidrs/0", "invalid_cidr"),
        ("/allowed_cidrs/1", "invalid_cidr"),
        ("/expires_at", "in_the_past"),
    ]);
    owner.post(TOKENS, json!({})).await.invalid(&[("/name", "required")]);
    owner.post(TOKENS, json!({"name": "x", "secret": "y"})).await.problem(400, "unknown_field");
    owner.post(TOKENS, json!({"name": "x\u{0}"})).await.problem(422, "invalid");
    owner.post(TOKENS, json!({"name": "x"})).await.created();
    owner.post(TOKENS, json!({"name": "x"})).await.problem(409, "duplicate");
    let random = json!({"name": "y", "team_ids": ["team_019aa3c1f6b07c3e9a5d2f4b8c6e1d70"]});
    owner.post(TOKENS, random).await.problem(404, "not_found");
    let acme = app.other_organization("acme").await;
    let foreign = acme.post("/v1/organizations/acme/teams", json!({"name": "x"})).await.created();
    let body = json!({"name": "y", "team_ids": [foreign["id"]]});
    owner.post(TOKENS, body).await.problem(404, "not_found");
    acme.post("/v1/organizations/acme/gateway-tokens", json!({"name": "x"})).await.created();
});

on_both!(only_administrators_make_tokens_and_only_of_their_own_organization, |app| {
    let made = app.owner().post(TOKENS, json!({"name": "x"})).await.created();
    app.admin().await.get(&at(&made)).await.ok();
    for caller in [app.member().await, app.billing().await, app.viewer().await] {
        caller.get(TOKENS).await.problem(403, "forbidden");
        caller.post(TOKENS, json!({"name": "y"})).await.problem(403, "forbidden");
        caller.delete(&at(&made)).await.problem(403, "forbidden");
    }
    let acme = app.other_organization("acme").await;
    acme.get(&at(&made)).await.problem(404, "not_found");
    let smuggled = format!("/v1/organizations/acme/gateway-tokens/{}", made["id"].as_str().unwrap());
    acme.get(&smuggled).await.problem(404, "not_found");
    acme.delete(&smuggled).await.problem(404, "not_found");
    app.anonymous().get(TOKENS).await.problem(401, "unauthenticated");
});

on_both!(a_lost_secret_can_be_asked_for_again_until_the_token_is_deleted, |app| {
    let owner = app.owner();
    let make = || owner.post(TOKENS, json!({"name": "x"})).idempotency_key("k");
    let made = make().await.created();
    let again = make().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.created(), made);
    owner.delete(&at(&made)).await.no_content();
    make().await.problem(409, "secret_expired");
});

on_both!(a_token_asks_only_what_its_scopes_say, |app| {
    let owner = app.owner();
    let key = issue(&app, json!({})).await;
    let call = json!({"key": key["secret"]});
    let body = json!({"name": "explains", "scopes": ["explain"]});
    let token = owner.post(TOKENS, body).await.created();
    let gateway = app.client(token["secret"].as_str().unwrap());
    gateway.post("/v1/authorize/explain", &call).await.ok();
    gateway.post("/v1/authorize", &call).await.problem(403, "forbidden");
    gateway.post("/v1/authorize/batch", json!({"requests": [call]})).await.problem(403, "forbidden");
    let check = app.client(key["secret"].as_str().unwrap()).get("/v1/check");
    check.header("tollkeeper-gateway-token", gateway.bearer().unwrap()).await.problem(403, "forbidden");
});

on_both!(a_token_works_only_from_its_networks_and_in_its_time, |app| {
    let body = json!({"name": "x", "allowed_cidrs": ["10.0.0.0/8"], "expires_at": "2027-01-15T11:00:00Z"});
    let token = app.owner().post(TOKENS, body).await.created();
    let gateway = app.client(token["secret"].as_str().unwrap());
    let call = json!({"key": "x"});
    gateway.post("/v1/authorize", &call).from("10.1.1.1").await.ok();
    gateway.post("/v1/authorize", &call).from("11.1.1.1").await.problem(403, "forbidden");
    app.clock.advance(chrono::TimeDelta::hours(1));
    gateway.post("/v1/authorize", &call).from("10.1.1.1").await.problem(401, "token_expired");
});

on_both!(a_token_serves_the_keys_of_its_teams, |app| {
    let of_team = issue(&app, json!({})).await;
    let member = app.member().await;
    let of_person = issue(&app, json!({"user_id": member.user_id})).await;
    let body = json!({"name": "x", "team_ids": [of_team["team_id"]]});
    let token = app.owner().post(TOKENS, body).await.created();
    let gateway = app.client(token["secret"].as_str().unwrap());
    refused(&ask(&gateway, &of_team, json!({})).await, &[]);
    refused(&ask(&gateway, &of_person, json!({})).await, &["key_unknown"]);
    let none = app.owner().post(TOKENS, json!({"name": "none", "team_ids": []})).await.created();
    let gateway = app.client(none["secret"].as_str().unwrap());
    refused(&ask(&gateway, &of_team, json!({})).await, &["key_unknown"]);
});

on_both!(the_operators_token_serves_every_organization, |app| {
    let owner = app.owner();
    let path = "/v1/gateway-tokens";
    let made = owner.post(path, json!({"name": "all"})).await.created();
    let gateway = app.client(made["secret"].as_str().unwrap());
    let acme = app.other_organization("acme").await;
    let team = acme.post("/v1/organizations/acme/teams", json!({"name": "x"})).await.created();
    let body = json!({"name": "x", "team_id": team["id"]});
    let foreign = acme.post("/v1/organizations/acme/keys", body).await.created();
    let own = issue(&app, json!({})).await;
    refused(&ask(&gateway, &foreign, json!({})).await, &[]);
    refused(&ask(&gateway, &own, json!({})).await, &[]);

    let at = format!("{path}/{}", made["id"].as_str().unwrap());
    owner.get(&at).await.ok();
    assert_eq!(owner.get(path).await.ok()["items"].as_array().unwrap().len(), 1);
    assert_eq!(owner.get(TOKENS).await.ok()["items"], json!([]));
    owner.get(&format!("{TOKENS}/{}", made["id"].as_str().unwrap())).await.problem(404, "not_found");
    owner.post(path, json!({"name": "x", "team_ids": []})).await.invalid(&[("/team_ids", "not_allowed")]);
    for caller in [&acme, &app.admin().await] {
        caller.get(path).await.problem(403, "forbidden");
        caller.post(path, json!({"name": "y"})).await.problem(403, "forbidden");
        caller.delete(&at).await.problem(403, "forbidden");
    }
    owner.delete(&at).await.no_content();
    gateway.post("/v1/authorize", json!({"key": "x"})).await.problem(401, "token_invalid");
});

on_both!(a_tokens_use_is_seen, |app| {
    let made = app.owner().post(TOKENS, json!({"name": "x"})).await.created();
    assert_eq!(app.owner().get(&at(&made)).await.ok()["last_used_at"], Value::Null);
    app.client(made["secret"].as_str().unwrap()).post("/v1/authorize", json!({"key": "x"})).await.ok();
    service::activity::flush(&app.system).await.unwrap();
    assert_eq!(app.owner().get(&at(&made)).await.ok()["last_used_at"], "2027-01-15T10:00:00Z");
    assert_eq!(app.owner().get(TOKENS).await.ok()["items"][0]["last_used_at"], "2027-01-15T10:00:00Z");
});

//! Issuing, reading and changing keys: fields, owners, ceilings, replays, and who may.

use axum::http::Method;
use serde_json::{Value, json};
use service::token::{Token, TokenKind};
use tests::{Client, TestApp, on_both};

pub const KEYS: &str = "/v1/organizations/default/keys";

/// The path of something that was made under a collection.
pub fn at(collection: &str, made: &Value) -> String {
    format!("{collection}/{}", made["id"].as_str().unwrap())
}

/// The path of a key.
pub fn path(key: &Value) -> String {
    at(KEYS, key)
}

/// A team of `default`, by its id.
pub async fn team(app: &TestApp, name: &str) -> String {
    let team = app.owner().post("/v1/organizations/default/teams", json!({ "name": name })).await.created();
    team["id"].as_str().unwrap().to_owned()
}

/// A service account of `default`, by its id.
pub async fn service_account(app: &TestApp, name: &str) -> String {
    let path = "/v1/organizations/default/service-accounts";
    app.owner().post(path, json!({ "name": name })).await.created()["id"].as_str().unwrap().to_owned()
}

/// A key of a new team, with its secret.
pub async fn key(app: &TestApp, name: &str) -> Value {
    let team_id = team(app, name).await;
    app.owner().post(KEYS, json!({ "name": name, "team_id": team_id })).await.created()
}

fn random(prefix: &str) -> String {
    format!("{prefix}_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")
}

/// What a reply says, but for the request it names.
fn said(mut body: Value) -> Value {
    for field in ["request_id", "instance"] {
        body[field] = Value::Null;
    }
    body
}

on_both!(a_key_shows_everything_it_was_made_with_and_its_secret_once, |app| {
    let (owner, team_id) = (app.owner(), team(&app, "search").await);
    let body = json!({
        "name": "checkout-prod", "team_id": team_id, "allowed_models": ["gpt-4o*"], "denied_models": ["*-preview"],
        "scopes": ["chat", "embeddings"], "allowed_cidrs": ["10.0.0.0/8", "2001:db8::/32"],
        "expires_at": "2027-02-15T10:00:00Z", "tags": {"cost_centre": "4711"}, "metadata": {"a": [1, null, "ü"]},
    });
    let made = owner.post(KEYS, &body).await.created();
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    assert_eq!(made["created_by"], owner.user_id);
    assert_eq!((&made["status"], &made["effective_status"]), (&json!("active"), &json!("active")));
    assert_eq!((&made["blocked_by"], &made["version"]), (&json!([]), &json!(1)));
    for field in ["user_id", "service_account_id", "last_used_at", "revoked_at"] {
        assert_eq!(made[field], json!(null), "{field}");
    }
    assert_eq!(made["created_at"], "2027-01-15T10:00:00Z");

    let text = made["secret"].as_str().unwrap();
    let token = Token::parse_kind(text, TokenKind::VirtualKey).unwrap();
    assert_eq!(format!("key_{}", token.id().simple()), made["id"]);
    let secret = &made["secrets"].as_array().unwrap()[..];
    assert_eq!(secret.len(), 1);
    assert_eq!(secret[0]["prefix"], text[..25]);
    assert_eq!(secret[0]["last4"], text[65..69]);
    assert_eq!((&secret[0]["created_by"], &secret[0]["expires_at"]), (&json!(owner.user_id), &json!(null)));

    let mut shown = made.clone();
    for field in ["secret", "limits"] {
        shown.as_object_mut().unwrap().remove(field);
    }
    let read = owner.get(&path(&made)).await;
    assert!(!read.text.contains(&text[26..69]), "the secret is shown again");
    assert_eq!(read.ok(), shown);
    assert_eq!(owner.get(KEYS).await.ok()["items"], json!([shown]));
});

on_both!(a_key_has_exactly_one_owner_who_is_there, |app| {
    let owner = app.owner();
    let (team_id, account, member) =
        (team(&app, "a").await, service_account(&app, "ci").await, app.member().await);
    let named = |body: Value| {
        let mut body = body;
        body["name"] = json!("k");
        owner.post(KEYS, body)
    };
    let nobody = named(json!({})).await.problem(422, "invalid");
    assert_eq!(nobody["detail"], "give exactly one of team_id, user_id and service_account_id");
    named(json!({})).await.invalid(&[("", "one_owner")]);
    named(json!({"team_id": null})).await.invalid(&[("", "one_owner")]);
    named(json!({"team_id": team_id, "user_id": member.user_id})).await.invalid(&[("", "one_owner")]);
    assert_eq!(named(json!({"user_id": member.user_id})).await.created()["user_id"], member.user_id);
    assert_eq!(named(json!({"service_account_id": account})).await.created()["service_account_id"], account);

    // What is another organization's, or nobody's, or has left, is not there.
    let other = app.other_organization("acme").await;
    let acme = |kind: &str| format!("/v1/organizations/acme/{kind}");
    let theirs = other.post(&acme("teams"), json!({"name": "x"})).await.created();
    let missing = named(json!({"team_id": random("team")})).await.problem(404, "not_found");
    assert_eq!(said(named(json!({"team_id": theirs["id"]})).await.problem(404, "not_found")), said(missing));
    let theirs = other.post(&acme("service-accounts"), json!({"name": "x"})).await.created();
    named(json!({"service_account_id": theirs["id"]})).await.problem(404, "not_found");
    named(json!({"service_account_id": random("sa")})).await.problem(404, "not_found");
    named(json!({"user_id": other.user_id})).await.problem(404, "not_found");
    named(json!({"user_id": random("user")})).await.problem(404, "not_found");
    owner.delete(&format!("/v1/organizations/default/teams/{team_id}")).await.no_content();
    named(json!({"team_id": team_id})).await.problem(404, "not_found");
});

on_both!(a_suspended_owner_gets_no_key, |app| {
    let (owner, team_id) = (app.owner(), team(&app, "a").await);
    let team_path = format!("/v1/organizations/default/teams/{team_id}");
    owner.post(&format!("{team_path}/suspend"), json!({})).await.ok();
    let body = json!({"name": "k", "team_id": team_id});
    owner.post(KEYS, &body).await.problem(409, "owner_suspended");
    owner.post(&format!("{team_path}/resume"), json!({})).await.ok();
    owner.post(KEYS, &body).await.created();
    let member = app.member().await;
    let person = format!("/v1/organizations/default/members/{}", member.user_id);
    owner.post(&format!("{person}/suspend"), json!({})).await.ok();
    let body = json!({"name": "k", "user_id": member.user_id});
    owner.post(KEYS, &body).await.problem(409, "owner_suspended");
});

on_both!(every_faulty_field_of_a_new_key_is_named, |app| {
    let (owner, team_id) = (app.owner(), team(&app, "a").await);
    let long = "x".repeat(256);
    let body = json!({
        "name": long, "team_id": team_id, "allowed_models": [""], "denied_models": ["a\u{0}"],
        "scopes": ["chat", "admin"], "allowed_cidrs": ["10.0.0.1/8", "nonsense"],
        "expires_at": "2027-01-15T10:00:00Z", "tags": {"": "x", "a/b": "\u{7}"}, "metadata": {"x": "\u{0}"},
    });
    owner.post(KEYS, &body).await.invalid(&[
        ("/name", "too_long"),
        ("/allowed_models/0", "required"),
        ("/denied_models/0", "invalid_character"),
        ("/scopes/1", "unknown"),
        ("/allowed_cidrs/0", "invalid_cidr"),
        ("/allowed_cidrs/1", "invalid_cidr"),
        ("/expires_at", "in_the_past"),
        ("/tags/", "required"),
        ("/tags/a~1b", "invalid_character"),
        ("/metadata", "invalid_character"),
    ]);
    let with = |field: &str, value: Value| {
        let mut body = json!({"name": "k", "team_id": team_id});
        body[field] = value;
        owner.post(KEYS, body)
    };
    for name in ["", "   ", "a\u{0}b", "a\nb"] {
        with("name", json!(name)).await.problem(422, "invalid");
    }
    for name in ["x".repeat(255), "ü".repeat(255), "钥匙 🔑".to_owned(), "'; DROP TABLE".to_owned()] {
        assert_eq!(with("name", json!(name)).await.created()["name"], name);
    }
    with("metadata", json!({"x": "y".repeat(16 * 1024)})).await.invalid(&[("/metadata", "too_long")]);
    with("expires_at", json!("2127-02-01T00:00:00Z")).await.invalid(&[("/expires_at", "out_of_range")]);
    with("expires_at", json!("+10000-01-01T00:00:00Z")).await.problem(422, "invalid");
    with("expires_at", json!("tomorrow")).await.invalid(&[("/expires_at", "invalid_value")]);
    with("name", json!(null)).await.invalid(&[("/name", "not_nullable")]);
    with("scopes", json!(vec!["chat"; 257])).await.invalid(&[("/scopes", "too_many")]);
    with("allowed_models", json!([])).await.created();
    for field in ["status", "id", "organization_id", "secret", "created_by", "max_budget"] {
        with(field, json!([])).await.problem(400, "unknown_field");
    }
    owner.post(KEYS, json!([])).await.problem(422, "invalid");
    owner.request(Method::POST, KEYS).body("{", "application/json").await.problem(400, "invalid_json");
});

on_both!(a_patch_keeps_clears_and_sets, |app| {
    let (owner, team_id) = (app.owner(), team(&app, "a").await);
    let body = json!({
        "name": "k", "team_id": team_id, "allowed_models": ["a"], "denied_models": ["b"], "scopes": ["chat"],
        "allowed_cidrs": ["10.0.0.0/8"], "expires_at": "2027-02-15T10:00:00Z", "tags": {"a": "b"}, "metadata": {"a": 1},
    });
    let made = owner.post(KEYS, body).await.created();
    let path = path(&made);
    app.clock.advance(chrono::TimeDelta::seconds(5));
    let changed = owner.patch(&path, json!({"name": "n"})).if_match(1).await.ok();
    assert_eq!((&changed["name"], &changed["version"]), (&json!("n"), &json!(2)));
    assert_eq!(changed["updated_at"], "2027-01-15T10:00:05Z");
    for field in ["allowed_models", "scopes", "expires_at", "tags", "metadata", "secrets", "created_at"] {
        assert_eq!(changed[field], made[field], "{field}");
    }
    let cleared = json!({
        "allowed_models": null, "denied_models": null, "scopes": null, "allowed_cidrs": null, "expires_at": null,
        "tags": {}, "metadata": {},
    });
    let changed = owner.patch(&path, &cleared).await.ok();
    for (field, value) in cleared.as_object().unwrap() {
        assert_eq!(&changed[field], value, "{field}");
    }
    assert_eq!(changed["version"], 3);
    owner.patch(&path, json!({"name": "z"})).if_match(2).await.problem(412, "version_conflict");
    assert_eq!(
        owner.patch(&path, json!({"name": "z"})).header("if-match", "W/\"3\"").await.ok()["version"],
        4
    );
    for field in ["name", "tags", "metadata"] {
        let pointer = format!("/{field}");
        owner.patch(&path, json!({field: null})).await.invalid(&[(&pointer, "not_nullable")]);
    }
    for field in ["team_id", "status", "secrets", "revoked_at"] {
        owner.patch(&path, json!({field: "x"})).await.problem(400, "unknown_field");
    }
    owner
        .patch(&path, json!({"name": "", "scopes": ["x"]}))
        .await
        .invalid(&[("/name", "required"), ("/scopes/0", "unknown")]);
    owner
        .patch(&path, json!({"expires_at": "2027-01-15T10:00:05Z"}))
        .await
        .invalid(&[("/expires_at", "in_the_past")]);
    assert_eq!(owner.get(&path).await.ok()["version"], 4);
});

on_both!(the_smaller_ceiling_holds_on_create_update_rotate_and_transfer, |app| {
    let owner = app.owner();
    let organization = "/v1/organizations/default";
    let strict = owner
        .post(&format!("{organization}/teams"), json!({"name": "s", "max_key_lifetime": 3600}))
        .await
        .created();
    let loose = team(&app, "l").await;
    let of = |team: &Value, end: Value| json!({"name": "k", "team_id": team, "expires_at": end});
    let (hour, later) = (json!("2027-01-15T11:00:00Z"), json!("2027-01-15T11:00:00.000001Z"));
    owner.post(KEYS, of(&strict["id"], json!(null))).await.invalid(&[("/expires_at", "required")]);
    owner.post(KEYS, of(&strict["id"], later.clone())).await.invalid(&[("/expires_at", "beyond_lifetime")]);
    let short = path(&owner.post(KEYS, of(&strict["id"], hour.clone())).await.created());

    owner.patch(&short, json!({"expires_at": null})).await.invalid(&[("/expires_at", "required")]);
    owner.patch(&short, json!({"expires_at": later})).await.invalid(&[("/expires_at", "beyond_lifetime")]);
    owner.patch(&short, json!({"expires_at": hour})).await.ok();
    let rotate = |end: &Value| owner.post(&format!("{short}/rotate"), json!({"expires_at": end}));
    rotate(&later).await.invalid(&[("/expires_at", "beyond_lifetime")]);
    rotate(&json!("2027-01-15T09:00:00Z")).await.invalid(&[("/expires_at", "in_the_past")]);
    assert_eq!(rotate(&json!("2027-01-15T10:30:00Z")).await.ok()["expires_at"], "2027-01-15T10:30:00Z");

    let to_strict = json!({"team_id": strict["id"]});
    for (end, code) in [(json!(null), "required"), (later.clone(), "beyond_lifetime")] {
        let long = path(&owner.post(KEYS, of(&json!(loose), end)).await.created());
        owner.post(&format!("{long}/transfer"), &to_strict).await.invalid(&[("/expires_at", code)]);
        assert_eq!(owner.get(&long).await.ok()["team_id"], loose);
    }
    let fits = path(&owner.post(KEYS, of(&json!(loose), hour.clone())).await.created());
    owner.post(&format!("{fits}/transfer"), &to_strict).await.ok();

    // The organization's holds for every owner; a key from before is left alone until its end is changed.
    let old = path(&owner.post(KEYS, of(&json!(loose), json!(null))).await.created());
    owner.patch(organization, json!({"max_key_lifetime": 60})).await.ok();
    owner.post(KEYS, of(&strict["id"], hour.clone())).await.invalid(&[("/expires_at", "beyond_lifetime")]);
    owner
        .post(KEYS, json!({"name": "k", "user_id": owner.user_id}))
        .await
        .invalid(&[("/expires_at", "required")]);
    owner.patch(&old, json!({"name": "renamed"})).await.ok();
    owner.patch(&old, json!({"expires_at": hour})).await.invalid(&[("/expires_at", "beyond_lifetime")]);
});

on_both!(a_lost_reply_is_replayed_while_its_secret_is_good, |app| {
    let (owner, team_id) = (app.owner(), team(&app, "a").await);
    let body = json!({"name": "k", "team_id": team_id});
    let first = owner.post(KEYS, &body).idempotency_key("one").await;
    let again = owner.post(KEYS, &body).idempotency_key("one").await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(first.text, again.text);
    let made = first.created();
    owner
        .post(KEYS, json!({"name": "x", "team_id": team_id}))
        .idempotency_key("one")
        .await
        .problem(422, "idempotency_key_reused");
    assert_eq!(owner.get(KEYS).await.ok()["items"].as_array().unwrap().len(), 1);
    app.clock.advance(chrono::TimeDelta::minutes(10));
    owner.post(KEYS, &body).idempotency_key("one").await.problem(409, "secret_expired");

    for (n, end) in ["revoke", "rotate"].into_iter().enumerate() {
        let name = format!("two {n}");
        let made = owner.post(KEYS, &body).idempotency_key(&name).await.created();
        owner.post(&format!("{}/{end}", path(&made)), json!({})).await.ok();
        owner.post(KEYS, &body).idempotency_key(&name).await.problem(409, "secret_expired");
    }
    let gone = owner.post(KEYS, &body).idempotency_key("three").await.created();
    owner.delete(&path(&gone)).await.no_content();
    owner.post(KEYS, &body).idempotency_key("three").await.problem(409, "secret_expired");
    owner.post(&format!("{}/rotate", path(&made)), json!({})).idempotency_key("four").await.ok();
    let again = owner.post(&format!("{}/rotate", path(&made)), json!({})).idempotency_key("four").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.ok()["secrets"].as_array().unwrap().len(), 1);
});

/// Every operation on a key and its secret, as method and path.
fn operations(key: &Value) -> Vec<(Method, String)> {
    let key_path = path(key);
    let secret = key["secrets"][0]["id"].as_str().unwrap();
    let mut all = vec![
        (Method::GET, key_path.clone()),
        (Method::PATCH, key_path.clone()),
        (Method::DELETE, key_path.clone()),
        (Method::GET, format!("{key_path}/secrets")),
        (Method::GET, format!("{key_path}/secrets/{secret}")),
        (Method::DELETE, format!("{key_path}/secrets/{secret}")),
    ];
    for action in ["disable", "enable", "revoke", "rotate", "transfer"] {
        all.push((Method::POST, format!("{key_path}/{action}")));
    }
    all
}

async fn each_is(client: &Client, key: &Value, status: u16, code: &str) {
    for (method, path) in operations(key) {
        let body = if method == Method::GET || method == Method::DELETE { "" } else { "{}" };
        client.request(method, &path).body(body, "application/json").await.problem(status, code);
    }
}

on_both!(another_organizations_key_is_not_there, |app| {
    let made = key(&app, "a").await;
    let other = app.other_organization("acme").await;
    each_is(&other, &made, 404, "not_found").await;
    for (method, path) in operations(&made) {
        let path = path.replace("/default/", "/acme/");
        let body = if method == Method::GET || method == Method::DELETE { "" } else { "{}" };
        let theirs = other
            .request(method.clone(), &path)
            .body(body, "application/json")
            .await
            .problem(404, "not_found");
        let id = made["id"].as_str().unwrap();
        let nobodys = path.replace(id, &random("key"));
        let none =
            other.request(method, &nobodys).body(body, "application/json").await.problem(404, "not_found");
        assert_eq!(said(theirs), said(none), "{path}");
    }
    let secret = json!({"secret": made["secret"]});
    other.post("/v1/organizations/acme/keys/lookup", &secret).await.problem(404, "not_found");
    let mine = json!({"key_ids": [made["id"]]});
    other.post("/v1/organizations/acme/keys/revoke", mine).await.problem(404, "not_found");
    each_is(&app.anonymous(), &made, 401, "unauthenticated").await;
    assert_eq!(app.owner().get(&path(&made)).await.ok()["status"], "active");
});

on_both!(a_team_admin_works_in_the_own_teams_and_a_member_on_own_keys, |app| {
    let (mine, other) = (team(&app, "mine").await, team(&app, "other").await);
    let (admin, member, viewer) = (app.team_admin(&mine).await, app.member().await, app.viewer().await);
    let owner = app.owner();
    let own = admin.post(KEYS, json!({"name": "k", "team_id": mine})).await.created();
    admin.post(KEYS, json!({"name": "k", "team_id": other})).await.problem(404, "not_found");
    admin.post(KEYS, json!({"name": "k", "user_id": admin.user_id})).await.problem(404, "not_found");
    let foreign = owner.post(KEYS, json!({"name": "k", "team_id": other})).await.created();
    each_is(&admin, &foreign, 404, "not_found").await;
    assert_eq!(admin.get(KEYS).await.ok()["items"].as_array().unwrap().len(), 1);
    admin.patch(&path(&own), json!({"name": "n"})).await.ok();
    admin
        .post(&format!("{}/transfer", path(&own)), json!({"team_id": other}))
        .await
        .problem(404, "not_found");
    admin
        .post(&format!("{KEYS}/lookup"), json!({"secret": foreign["secret"]}))
        .await
        .problem(404, "not_found");
    let by = json!({"created_by": owner.user_id});
    assert_eq!(admin.post(&format!("{KEYS}/revoke"), by).await.ok()["revoked"], 0);

    let personal = owner.post(KEYS, json!({"name": "k", "user_id": member.user_id})).await.created();
    assert_eq!(member.get(KEYS).await.ok()["items"][0]["id"], personal["id"]);
    member.post(&format!("{}/rotate", path(&personal)), json!({})).await.ok();
    member.patch(&path(&personal), json!({"name": "x"})).await.problem(403, "forbidden");
    member.post(&format!("{}/rotate", path(&own)), json!({})).await.problem(404, "not_found");
    member.post(KEYS, json!({"name": "k", "user_id": member.user_id})).await.problem(403, "forbidden");
    member.post(&format!("{}/revoke", path(&personal)), json!({})).await.ok();
    viewer.get(&path(&own)).await.ok();
    viewer.post(&format!("{}/revoke", path(&own)), json!({})).await.problem(403, "forbidden");
    // A virtual key opens nothing here.
    let program = app.client(foreign["secret"].as_str().unwrap());
    each_is(&program, &foreign, 403, "forbidden").await;
});

//! Admin tokens: what they carry, what bounds them, and how they end.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use service::authz::Permission;
use tests::{Client, TestApp, on_both};

const TOKENS: &str = "/v1/organizations/default/admin-tokens";
const TEAMS: &str = "/v1/organizations/default/teams";

fn path(token: &Value) -> String {
    format!("{TOKENS}/{}", token["id"].as_str().unwrap())
}

fn every_word() -> Vec<&'static str> {
    Permission::EVERY.iter().filter(|p| p.is_tenant()).map(|p| p.word()).collect()
}

async fn make(maker: &Client, name: &str, permissions: &[&str]) -> Value {
    maker.post(TOKENS, json!({"name": name, "permissions": permissions})).await.created()
}

fn holder(app: &TestApp, token: &Value) -> Client {
    app.client(token["secret"].as_str().unwrap())
}

on_both!(an_admin_token_opens_what_it_carries, |app| {
    let owner = app.owner();
    let body = json!({"name": "terraform", "permissions": ["teams:read", "teams:write"], "expires_at": "2027-02-01T00:00:00Z"});
    let mut made = owner.post(TOKENS, body).await.created();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("tka_") && secret.len() == 4 + 22 + 1 + 43 + 1 + 6, "{secret}");
    assert_eq!(
        (&made["name"], &made["permissions"]),
        (&json!("terraform"), &json!(["teams:read", "teams:write"]))
    );
    assert_eq!((&made["created_by"], &made["last_used_at"]), (&json!(owner.user_id), &json!(null)));
    assert_eq!((&made["expires_at"], &made["version"]), (&json!("2027-02-01T00:00:00Z"), &json!(1)));
    assert_eq!(made["last4"].as_str(), secret.get(secret.len() - 11..secret.len() - 7));

    made.as_object_mut().unwrap().remove("secret");
    assert_eq!(owner.get(&path(&made)).await.ok(), made);
    let listed = owner.get(TOKENS).await;
    assert!(!listed.text.contains(&secret) && !listed.text.contains("digest"));
    assert_eq!(listed.ok()["items"], json!([made]));

    let robot = app.client(&secret);
    let team = robot.post(TEAMS, json!({"name": "made by a robot"})).await.created();
    robot.get(&format!("{TEAMS}/{}", team["id"].as_str().unwrap())).await.ok();
    for path in
        [TOKENS, "/v1/organizations/default", "/v1/organizations/default/audit-events", "/v1/organizations"]
    {
        robot.get(path).await.problem(403, "forbidden");
    }
    let told = owner.get("/v1/organizations/default/audit-events?action=team.create").await.ok();
    assert_eq!(told["items"][0]["actor_kind"], "admin_token");
    assert_eq!(told["items"][0]["actor_id"], made["id"]);
    let told = owner.get("/v1/organizations/default/audit-events?action=admin_token.create").await;
    assert!(!told.text.contains(&secret) && !told.text.contains("digest"), "{}", told.text);
});

on_both!(the_last_use_is_shown, |app| {
    let owner = app.owner();
    let made = make(&owner, "ci", &["teams:read"]).await;
    app.clock.advance(TimeDelta::minutes(5));
    holder(&app, &made).get(TEAMS).await.ok();
    service::activity::flush(&app.system).await.unwrap();
    assert_eq!(owner.get(&path(&made)).await.ok()["last_used_at"], "2027-01-15T10:05:00Z");
    let listed = owner.get(TOKENS).await.ok();
    assert_eq!(listed["items"][0]["last_used_at"], "2027-01-15T10:05:00Z");
    assert_eq!(listed["items"][0]["version"], 1);
});

on_both!(what_is_no_admin_token_is_refused, |app| {
    let owner = app.owner();
    let post = |body: Value| owner.post(TOKENS, body);
    post(json!({"permissions": ["teams:read"]})).await.invalid(&[("/name", "required")]);
    post(json!({"name": "a"})).await.invalid(&[("/permissions", "required")]);
    post(json!({"name": "a", "permissions": []})).await.invalid(&[("/permissions", "required")]);
    post(json!({"name": "a", "permissions": "teams:read"}))
        .await
        .invalid(&[("/permissions", "invalid_value")]);
    let unknown = json!(["teams:read", "teams:burn", "account", "platform:users", "", "TEAMS:READ"]);
    let faults: Vec<String> = (1..6).map(|n| format!("/permissions/{n}")).collect();
    let faults: Vec<(&str, &str)> = faults.iter().map(|at| (at.as_str(), "unknown")).collect();
    post(json!({"name": "a", "permissions": unknown})).await.invalid(&faults);
    let past = json!({"name": "\u{0}", "permissions": ["teams:read"], "expires_at": "2027-01-15T10:00:00Z"});
    post(past).await.invalid(&[("/name", "invalid_character"), ("/expires_at", "in_the_past")]);
    let never = json!({"name": "a", "permissions": ["teams:read"], "expires_at": "soon"});
    post(never).await.invalid(&[("/expires_at", "invalid_value")]);
    for extra in ["created_by", "secret", "last4"] {
        post(json!({"name": "a", "permissions": ["teams:read"], extra: "x"}))
            .await
            .problem(400, "unknown_field");
    }
    make(&owner, "Ä 🦀", &["teams:read"]).await;
    post(json!({"name": "Ä 🦀", "permissions": ["teams:read"]})).await.problem(409, "duplicate");
    assert_eq!(owner.get(TOKENS).await.ok()["items"].as_array().unwrap().len(), 1);
});

on_both!(a_token_mints_no_wider_token, |app| {
    let owner = app.owner();
    let all = make(&owner, "all", &every_word()).await;
    let all = holder(&app, &all);
    make(&all, "all again", &every_word()).await;

    let narrow = make(&owner, "narrow", &["admin_tokens:write", "teams:read"]).await;
    let narrow = holder(&app, &narrow);
    let refused =
        narrow.post(TOKENS, json!({"name": "x", "permissions": ["teams:read", "teams:write"]})).await;
    assert!(refused.problem(403, "forbidden")["detail"].as_str().unwrap().contains("teams:write"));
    let child = make(&narrow, "child", &["teams:read"]).await;
    assert_eq!(child["created_by"], json!(owner.user_id));
    holder(&app, &child).get(TEAMS).await.ok();
    holder(&app, &child).post(TEAMS, json!({"name": "x"})).await.problem(403, "forbidden");

    // Nor one that outlives it.
    let body =
        json!({"name": "short", "permissions": ["admin_tokens:write"], "expires_at": "2027-01-16T00:00:00Z"});
    let short = holder(&app, &owner.post(TOKENS, body).await.created());
    let with_end = |end: Value| json!({"name": format!("until {end}"), "permissions": ["admin_tokens:write"], "expires_at": end});
    for end in [json!(null), json!("2027-01-16T00:00:01Z")] {
        short.post(TOKENS, with_end(end)).await.problem(403, "forbidden");
    }
    short.post(TOKENS, with_end(json!("2027-01-16T00:00:00Z"))).await.created();
    app.clock.advance(TimeDelta::hours(14));
    short.post(TOKENS, with_end(json!("2027-01-16T00:00:00Z"))).await.problem(401, "token_expired");
});

on_both!(a_token_is_bounded_by_its_maker, |app| {
    let owner = app.owner();
    let admin = app.admin().await;
    let robot = holder(&app, &make(&admin, "robot", &every_word()).await);
    let member = format!("/v1/organizations/default/members/{}", admin.user_id);
    robot.post(TEAMS, json!({"name": "one"})).await.created();

    owner.patch(&member, json!({"role": "viewer"})).await.ok();
    robot.get(TEAMS).await.ok();
    robot.post(TEAMS, json!({"name": "two"})).await.problem(403, "forbidden");
    robot.get(TOKENS).await.problem(403, "forbidden");
    owner.patch(&member, json!({"role": "admin"})).await.ok();
    robot.post(TEAMS, json!({"name": "two"})).await.created();

    owner.post(&format!("{member}/suspend"), json!({})).await.ok();
    robot.get(TEAMS).await.problem(403, "forbidden");
    owner.post(&format!("{member}/resume"), json!({})).await.ok();
    robot.get(TEAMS).await.ok();
    owner.delete(&member).await.no_content();
    robot.get(TEAMS).await.problem(401, "token_invalid");
});

on_both!(a_token_stays_in_its_organization, |app| {
    let owner = app.owner();
    owner.post("/v1/organizations", json!({"name": "Second", "slug": "second"})).await.created();
    let made = make(&owner, "ci", &every_word()).await;
    let robot = holder(&app, &made);
    robot.get("/v1/organizations/second").await.problem(404, "not_found");
    robot.get("/v1/organizations/nobody").await.problem(404, "not_found");
    robot.post("/v1/organizations", json!({"name": "Third"})).await.problem(403, "forbidden");
    robot.get("/v1/audit-events").await.problem(403, "forbidden");
    robot.post("/v1/organizations/default/suspend", json!({})).await.problem(403, "forbidden");

    let acme = app.other_organization("acme").await;
    let foreign = format!("/v1/organizations/acme/admin-tokens/{}", made["id"].as_str().unwrap());
    for path in [foreign, path(&made)] {
        acme.get(&path).await.problem(404, "not_found");
        acme.delete(&path).await.problem(404, "not_found");
    }
    // A name is one organization's own.
    let same = json!({"name": "ci", "permissions": ["teams:read"]});
    acme.post("/v1/organizations/acme/admin-tokens", same).await.created();
});

on_both!(who_may_handle_admin_tokens, |app| {
    let owner = app.owner();
    let made = make(&owner, "ci", &["teams:read"]).await;
    for caller in [app.member().await, app.billing().await, app.viewer().await] {
        caller.get(TOKENS).await.problem(403, "forbidden");
        caller.get(&path(&made)).await.problem(403, "forbidden");
        caller
            .post(TOKENS, json!({"name": "x", "permissions": ["teams:read"]}))
            .await
            .problem(403, "forbidden");
        caller.delete(&path(&made)).await.problem(403, "forbidden");
    }
    app.anonymous().get(TOKENS).await.problem(401, "unauthenticated");
    app.admin().await.get(&path(&made)).await.ok();
    app.admin().await.delete(&path(&made)).await.no_content();
});

on_both!(a_deleted_token_opens_nothing, |app| {
    let owner = app.owner();
    let body = json!({"name": "ci", "permissions": ["teams:read"]});
    let first = owner.post(TOKENS, &body).idempotency_key("k").await;
    let again = owner.post(TOKENS, &body).idempotency_key("k").await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.text), (201, "true", &first.text));
    let made = first.created();
    let robot = holder(&app, &made);
    robot.get(TEAMS).await.ok();
    owner.delete(&path(&made)).if_match(3).await.problem(412, "version_conflict");
    owner.delete(&path(&made)).if_match(1).await.no_content();
    robot.get(TEAMS).await.problem(401, "token_invalid");
    owner.delete(&path(&made)).await.problem(404, "not_found");
    owner.post(TOKENS, &body).idempotency_key("k").await.problem(409, "secret_expired");
    make(&owner, "ci", &["teams:read"]).await;
});

on_both!(a_lost_reply_shows_its_secret_for_ten_minutes, |app| {
    let owner = app.owner();
    let body = json!({"name": "ci", "permissions": ["teams:read"]});
    let made = owner.post(TOKENS, &body).idempotency_key("k").await.created();
    app.clock.advance(TimeDelta::minutes(9));
    assert_eq!(owner.post(TOKENS, &body).idempotency_key("k").await.created(), made);
    app.clock.advance(TimeDelta::minutes(2));
    owner.post(TOKENS, &body).idempotency_key("k").await.problem(409, "secret_expired");
    holder(&app, &made).get(TEAMS).await.ok();
});

on_both!(admin_tokens_are_listed_in_pages, |app| {
    let owner = app.owner();
    for name in ["one", "two", "three"] {
        app.clock.advance(TimeDelta::seconds(1));
        make(&owner, name, &["teams:read"]).await;
    }
    let names = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = owner.get(&format!("{TOKENS}?page_size=2")).await.ok();
    assert_eq!(names(&first), ["three", "two"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(names(&owner.get(&format!("{TOKENS}?page_size=2&cursor={cursor}")).await.ok()), ["one"]);
    let elsewhere = format!("/v1/organizations/default/service-accounts?cursor={cursor}");
    owner.get(&elsewhere).await.problem(400, "invalid_cursor");
});

on_both!(of_many_tokens_of_one_name_one_is_made, |app| {
    let owner = app.owner();
    let body = json!({"name": "race", "permissions": ["teams:read"]});
    let replies = join_all((0..20).map(|_| owner.post(TOKENS, &body).into_future())).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    assert!(replies.iter().all(|reply| matches!(reply.status, 201 | 409)));
});

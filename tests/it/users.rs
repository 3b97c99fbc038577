//! Everybody's accounts, for the operator.

use crate::{
    auth::{OWNER, login, statuses, text},
    sessions::platform_log,
};
use entity::{id::OrganizationId, org_head, policy_log, user_account};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use tests::{Client, PASSWORD, TestApp, on_both, on_postgres};

/// Makes a person an operator, past the server.
async fn operator(app: &TestApp) -> Client {
    let person = app.stranger().await;
    let id: entity::id::UserId = person.user_id.parse().unwrap();
    user_account::Entity::update_many()
        .col_expr(user_account::Column::Operator, sea_orm::sea_query::Expr::value(true))
        .filter(user_account::Column::Id.eq(id))
        .exec(&app.database().connect().await)
        .await
        .unwrap();
    person
}

async fn platform_version(app: &TestApp) -> i64 {
    let db = app.database().connect().await;
    org_head::Entity::find_by_id(OrganizationId::PLATFORM).one(&db).await.unwrap().unwrap().policy_version
}

on_both!(an_operator_lists_everybody, |app| {
    let (person, acme) = (app.member().await, app.other_organization("acme").await);
    let all = app.owner().get("/v1/users").await.ok();
    let ids: Vec<&str> = all["items"].as_array().unwrap().iter().map(|user| text(user, "id")).collect();
    for id in [&person.user_id, &acme.user_id, &app.owner().user_id] {
        assert!(ids.contains(&id.as_str()), "{ids:?}");
    }
    assert_eq!(all["items"][0].get("password_hash"), None);
    let one = app.owner().get("/v1/users?email=%20OWNER@example.com").await.ok();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!(one["items"][0]["email"], OWNER);
    let none = app.owner().get("/v1/users?status=suspended").await.ok();
    assert_eq!(none["items"], json!([]));
    let first = app.owner().get("/v1/users?page_size=2").await.ok();
    let next = format!("/v1/users?page_size=2&cursor={}", text(&first, "next_cursor"));
    assert_eq!(app.owner().get(&next).await.ok()["items"].as_array().unwrap().len(), 1);
    app.owner().get("/v1/users?name=x").await.problem(400, "unknown_parameter");
    app.owner().get("/v1/users?status=gone").await.problem(400, "invalid_parameter");
    let user = app.owner().get(&format!("/v1/users/{}", person.user_id)).await.ok();
    assert_eq!(user["status"], "active");
});

on_both!(nobody_else_does, |app| {
    let person = app.member().await.user_id;
    let calls = async |caller: &Client| {
        let mut replies = vec![
            caller.get("/v1/users").await,
            caller.get(&format!("/v1/users/{person}")).await,
            caller.get("/v1/users/user_00000000000000000000000000000000").await,
        ];
        for action in ["suspend", "resume", "reset-link"] {
            replies.push(caller.post(&format!("/v1/users/{person}/{action}"), json!({})).await);
        }
        replies
    };
    for caller in [app.admin().await, app.member().await, app.other_organization("acme").await] {
        for reply in calls(&caller).await {
            reply.problem(403, "forbidden");
        }
    }
    for reply in calls(&app.anonymous()).await {
        reply.problem(401, "unauthenticated");
    }
    for path in ["user_00000000000000000000000000000000", "nonsense", "team_00000000000000000000000000000000"]
    {
        app.owner().get(&format!("/v1/users/{path}")).await.problem(404, "not_found");
        app.owner().post(&format!("/v1/users/{path}/suspend"), json!({})).await.problem(404, "not_found");
        app.owner().post(&format!("/v1/users/{path}/reset-link"), json!({})).await.problem(404, "not_found");
    }
});

on_both!(suspending_signs_out_and_resuming_does_not_sign_in, |app| {
    let person = app.admin().await;
    let token = json!({ "name": "ci", "permissions": ["teams:read"] });
    let token = person.post("/v1/organizations/default/admin-tokens", token).await.created();
    let token = app.client(text(&token, "secret"));
    let teams = "/v1/organizations/default/teams";
    token.get(teams).await.ok();
    let path = format!("/v1/users/{}", person.user_id);
    let before = platform_version(&app).await;
    let view = app.owner().post(&format!("{path}/suspend"), json!({})).await.ok();
    assert_eq!((view["status"].as_str(), view["version"].as_i64()), (Some("suspended"), Some(2)));
    person.get(teams).await.problem(401, "account_suspended");
    token.get(teams).await.problem(401, "account_suspended");
    assert!(platform_version(&app).await > before, "decisions elsewhere are not told");
    let db = app.database().connect().await;
    let noted =
        policy_log::Entity::find().filter(policy_log::Column::Kind.eq("user")).all(&db).await.unwrap();
    let id: entity::id::UserId = person.user_id.parse().unwrap();
    assert!(noted.iter().any(|row| row.subject == id.uuid()), "{noted:?}");

    app.owner().post(&format!("{path}/suspend"), json!({})).await.ok();
    let view = app.owner().post(&format!("{path}/resume"), json!({})).await.ok();
    assert_eq!(view["status"], "active");
    person.get(teams).await.problem(401, "session_ended");
    token.get(teams).await.ok();
    login(&app, "person0@example.com", PASSWORD).await.ok();
});

on_both!(a_suspension_is_replayed_and_not_repeated, |app| {
    let person = app.member().await;
    let path = format!("/v1/users/{}/suspend", person.user_id);
    let ask = || app.owner().post(&path, json!({})).idempotency_key("k");
    let first = ask().await.ok();
    let again = ask().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.ok(), first);
    let log = platform_log(&app).await;
    assert_eq!(log.iter().filter(|row| row.action == "user.suspend").count(), 1);
    app.owner().post(&path, json!({ "why": "x" })).await.problem(400, "unknown_field");
});

on_both!(the_last_operator_stays, |app| {
    let owner = app.owner();
    let path = |client: &Client| format!("/v1/users/{}/suspend", client.user_id);
    owner.post(&path(&owner), json!({})).await.problem(409, "last_operator");
    let second = operator(&app).await;
    second.post(&path(&owner), json!({})).await.ok();
    owner.get("/v1/auth/me").await.problem(401, "account_suspended");
    second.post(&path(&second), json!({})).await.problem(409, "last_operator");
    second.post(&format!("/v1/users/{}/resume", owner.user_id), json!({})).await.ok();
});

/// Whether a gateway lets a key through, or the code of the first reason why not.
async fn verdict(gateway: &Client, key: &str) -> String {
    let decision = gateway.post("/v1/authorize", json!({ "key": key, "model": "gpt-4o" })).await.ok();
    if decision["allowed"] == true {
        "allowed".to_owned()
    } else {
        text(&decision["reasons"][0], "code").to_owned()
    }
}

/// Suspends and resumes a person on one instance, and asks another each time.
async fn follows(app: &TestApp, other: &TestApp) {
    let person = app.member().await;
    let new = json!({ "name": "own", "user_id": person.user_id });
    let key = app.owner().post("/v1/organizations/default/keys", new).await.created();
    let key = text(&key, "secret");
    let gateway = other.client(app.gateway().await.bearer().unwrap());
    let path = format!("/v1/users/{}", person.user_id);
    for _ in 0..20 {
        assert_eq!(verdict(&gateway, key).await, "allowed");
        app.owner().post(&format!("{path}/suspend"), json!({})).await.ok();
        assert_eq!(verdict(&gateway, key).await, "owner_suspended");
        app.owner().post(&format!("{path}/resume"), json!({})).await.ok();
    }
}

on_both!(a_persons_keys_follow_at_once, |app| {
    follows(&app, &app).await;
});

on_postgres!(a_persons_keys_follow_at_once_on_another_instance, |app| {
    let second = app.second_instance().await;
    follows(&app, &second).await;
});

/// Operators who suspend one another at the same time: one is left.
async fn duel(app: &TestApp, instances: &[TestApp]) {
    let mut operators = vec![app.owner()];
    for _ in 0..4 {
        operators.push(operator(app).await);
    }
    let calls = (0..5).map(|n| {
        let victim = &operators[(n + 1) % 5].user_id;
        // Each call through its own router, with the credentials of operator n.
        let caller = instances[n % instances.len()].client(operators[n].bearer().unwrap());
        async move { caller.post(&format!("/v1/users/{victim}/suspend"), json!({})).await }
    });
    let replies = join_all(calls).await;
    let all = statuses(&replies);
    assert!(all.iter().all(|status| matches!(status, 200 | 401 | 409)), "{all:?}");
    let db = app.database().connect().await;
    let left = user_account::Entity::find()
        .filter(user_account::Column::Operator.eq(true))
        .filter(user_account::Column::Status.eq("active"))
        .all(&db)
        .await
        .unwrap();
    assert!(!left.is_empty(), "nobody runs the installation: {all:?}");
}

on_both!(operators_in_a_circle_leave_one, |app| {
    duel(&app, std::slice::from_ref(&app)).await;
});

on_postgres!(operators_in_a_circle_leave_one_on_two_instances, |app| {
    let second = app.second_instance().await;
    duel(&app, &[app.clone(), second]).await;
});

on_both!(the_command_line_invites, |app| {
    use entity::status::Role;
    use service::user::{Invitee, create_by_operator};
    let invite = |email: &str, organization: &str| {
        let invitee = Invitee { email: email.into(), organization: organization.into(), role: Role::Admin };
        let system = app.system.clone();
        async move { create_by_operator(&system, invitee).await }
    };
    let token = invite(" Ada@Example.com", "default").await.unwrap();
    let body = json!({ "token": token.expose(), "name": "Ada", "password": PASSWORD });
    let accepted = app.anonymous().post("/v1/auth/accept-invitation", body).await.ok();
    assert_eq!(accepted["role"], "admin");
    login(&app, "ada@example.com", PASSWORD).await.ok();
    invite("not an address", "default").await.unwrap_err();
    invite("bob@example.com", "nowhere").await.unwrap_err();
    invite("bob@example.com", "-").await.unwrap_err();
});

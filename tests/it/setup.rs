//! The first start: one organization, one operator, however many instances and people try at once.

use crate::auth::{bearer, login, statuses};
use chrono::TimeDelta;
use entity::{id::OrganizationId, invitation, membership, org_head, organization, session, user_account};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use service::{
    bootstrap::prepare,
    password::Password,
    token::{Token, TokenKind},
};
use tests::{PASSWORD, Reply, TestApp, on_both, on_postgres};

const ADA: &str = "ada@example.com";

/// The app as it is after migration: nobody in it.
async fn emptied(app: &TestApp) {
    let db = app.database().connect().await;
    session::Entity::delete_many().exec(&db).await.unwrap();
    membership::Entity::delete_many().exec(&db).await.unwrap();
    user_account::Entity::delete_many().exec(&db).await.unwrap();
    let platform = OrganizationId::PLATFORM;
    org_head::Entity::delete_many()
        .filter(org_head::Column::OrganizationId.ne(platform))
        .exec(&db)
        .await
        .unwrap();
    organization::Entity::delete_many()
        .filter(organization::Column::Id.ne(platform))
        .exec(&db)
        .await
        .unwrap();
}

/// The set-up token of a first start.
async fn first_start(app: &TestApp) -> Token {
    emptied(app).await;
    prepare(&app.system, None).await.unwrap().unwrap()
}

async fn count(app: &TestApp) -> [usize; 4] {
    let db = app.database().connect().await;
    let tenants = organization::Column::Id.ne(OrganizationId::PLATFORM);
    [
        organization::Entity::find().filter(tenants).all(&db).await.unwrap().len(),
        org_head::Entity::find().all(&db).await.unwrap().len() - 1,
        user_account::Entity::find().all(&db).await.unwrap().len(),
        membership::Entity::find().all(&db).await.unwrap().len(),
    ]
}

fn form(token: &str, email: &str) -> Value {
    json!({ "token": token, "email": email, "password": PASSWORD, "name": "Ada Lovelace" })
}

async fn set_up(app: &TestApp, token: &str, email: &str) -> Reply {
    app.anonymous().post("/v1/setup", form(token, email)).await
}

on_both!(the_first_start_gives_a_token_that_makes_the_operator, |app| {
    let token = first_start(&app).await;
    assert_eq!(token.kind(), TokenKind::Invitation);
    let tokens = set_up(&app, token.expose(), " Ada@Example.com").await.ok();
    let caller = bearer(&app, &tokens);
    let me = caller.get("/v1/auth/me").await.ok();
    assert_eq!((me["user"]["email"].as_str(), me["user"]["operator"].as_bool()), (Some(ADA), Some(true)));
    assert_eq!(me["memberships"][0]["role"], "owner");
    caller.get("/v1/users").await.ok();
    caller.get("/v1/organizations/default/teams").await.ok();
    caller.post("/v1/organizations/default/teams", json!({ "name": "search" })).await.created();
    login(&app, ADA, PASSWORD).await.ok();
    assert_eq!(count(&app).await, [1, 1, 1, 1]);
    set_up(&app, token.expose(), "bob@example.com").await.problem(409, "already_set_up");
    assert!(prepare(&app.system, None).await.unwrap().is_none());
});

on_both!(a_configured_owner_needs_no_token, |app| {
    emptied(&app).await;
    let owner = || Some((ADA.to_owned(), Password::from(PASSWORD.to_owned())));
    assert!(prepare(&app.system, owner()).await.unwrap().is_none());
    assert!(prepare(&app.system, owner()).await.unwrap().is_none());
    let other = Some(("bob@example.com".to_owned(), Password::from(PASSWORD.to_owned())));
    assert!(prepare(&app.system, other).await.unwrap().is_none());
    let me = bearer(&app, &login(&app, ADA, PASSWORD).await.ok()).get("/v1/auth/me").await.ok();
    assert_eq!(me["user"]["operator"], true);
    assert_eq!(me["memberships"][0]["role"], "owner");
    assert_eq!(count(&app).await, [1, 1, 1, 1]);
});

on_both!(a_faulty_owner_is_refused_and_nothing_is_made, |app| {
    emptied(&app).await;
    for (email, password) in [("nobody", PASSWORD), (ADA, "short")] {
        let owner = Some((email.to_owned(), Password::from(password.to_owned())));
        prepare(&app.system, owner).await.unwrap_err();
    }
    assert_eq!(count(&app).await, [0, 0, 0, 0]);
});

/// Instances that start at once agree on one organization; each gets a token, and one of them counts.
async fn starts(instances: &[TestApp]) {
    emptied(&instances[0]).await;
    let all = join_all((0..8).map(|n| prepare(&instances[n % instances.len()].system, None))).await;
    let tokens: Vec<Token> = all.into_iter().map(|token| token.unwrap().unwrap()).collect();
    assert_eq!(count(&instances[0]).await, [1, 1, 0, 0]);
    let calls = tokens.iter().enumerate().map(|(n, token)| async move {
        set_up(&instances[n % instances.len()], token.expose(), &format!("person{n}@example.com")).await
    });
    let replies = join_all(calls).await;
    assert_eq!(statuses(&replies), [200, 409, 409, 409, 409, 409, 409, 409]);
    for reply in replies.into_iter().filter(|reply| reply.status == 409) {
        reply.problem(409, "already_set_up");
    }
    assert_eq!(count(&instances[0]).await, [1, 1, 1, 1]);
}

on_both!(starting_at_once_makes_one_of_each, |app| {
    starts(&[app]).await;
});

on_postgres!(instances_that_start_at_once_make_one_of_each, |app| {
    let second = app.second_instance().await;
    starts(&[app, second]).await;
});

on_postgres!(instances_with_a_configured_owner_make_one, |app| {
    emptied(&app).await;
    let second = app.second_instance().await;
    let instances = [app, second];
    let owner = || Some((ADA.to_owned(), Password::from(PASSWORD.to_owned())));
    for prepared in join_all((0..8).map(|n| prepare(&instances[n % 2].system, owner()))).await {
        assert!(prepared.unwrap().is_none());
    }
    assert_eq!(count(&instances[0]).await, [1, 1, 1, 1]);
});

on_both!(one_token_in_many_hands_counts_once, |app| {
    let token = first_start(&app).await;
    let calls = (0..8).map(|n| {
        let (app, token) = (&app, &token);
        async move { set_up(app, token.expose(), &format!("person{n}@example.com")).await }
    });
    assert_eq!(statuses(&join_all(calls).await), [200, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(count(&app).await, [1, 1, 1, 1]);
});

on_both!(every_field_is_checked, |app| {
    let token = first_start(&app).await;
    let post = |change: (&str, Value)| {
        let mut body = form(token.expose(), ADA);
        body[change.0] = change.1;
        app.anonymous().post("/v1/setup", body)
    };
    post(("email", json!("nobody"))).await.invalid(&[("/email", "invalid_email")]);
    post(("password", json!("short"))).await.invalid(&[("/password", "too_short")]);
    post(("password", json!("password123"))).await.invalid(&[("/password", "too_common")]);
    post(("name", json!(" "))).await.invalid(&[("/name", "required")]);
    post(("name", json!("x".repeat(256)))).await.invalid(&[("/name", "too_long")]);
    post(("name", json!("a\0b"))).await.invalid(&[("/name", "invalid_character")]);
    post(("operator", json!(true))).await.problem(400, "unknown_field");
    let body = json!({ "token": token.expose(), "email": "", "password": "", "name": "" });
    let all = [("/email", "invalid_email"), ("/password", "too_short"), ("/name", "required")];
    app.anonymous().post("/v1/setup", body).await.invalid(&all);
    assert_eq!(count(&app).await, [1, 1, 0, 0]);
    set_up(&app, token.expose(), ADA).await.ok();
});

on_both!(only_the_set_up_token_sets_up, |app| {
    let token = first_start(&app).await;
    let invitee = service::user::Invitee {
        email: ADA.into(),
        organization: "default".into(),
        role: entity::status::Role::Owner,
    };
    let invitation = service::user::create_by_operator(&app.system, invitee).await.unwrap();
    let forged = service::token::mint(&app.system, TokenKind::Invitation, token.id());
    let mut mangled = token.expose().to_owned();
    mangled.replace_range(30..31, if mangled.as_bytes()[30] == b'a' { "b" } else { "a" });
    for bad in ["", "tki_", &mangled, forged.token.expose(), invitation.expose()] {
        set_up(&app, bad, ADA).await.problem(401, "token_invalid");
    }
    // Nor does it open what invitations open.
    let body = json!({ "token": token.expose(), "name": "Ada", "password": PASSWORD });
    app.anonymous().post("/v1/auth/accept-invitation", body).await.problem(401, "token_invalid");
    app.clock.advance(TimeDelta::hours(24));
    set_up(&app, token.expose(), ADA).await.problem(401, "token_expired");
    let next = prepare(&app.system, None).await.unwrap().unwrap();
    set_up(&app, next.expose(), ADA).await.ok();
});

on_both!(the_token_is_kept_as_a_digest_and_out_of_the_log, |app| {
    let token = first_start(&app).await;
    set_up(&app, token.expose(), ADA).await.ok();
    let db = app.database().connect().await;
    let secret = token.expose().split('_').nth(2).unwrap();
    for row in invitation::Entity::find().all(&db).await.unwrap() {
        assert_eq!(row.digest.0.len(), 32);
        assert!(row.accepted_at.is_some());
    }
    let log = entity::audit_event::Entity::find().all(&db).await.unwrap();
    let actions: Vec<&str> = log.iter().map(|row| row.action.as_str()).collect();
    for action in ["organization.create", "invitation.create", "user.create", "member.create", "user.login"] {
        assert!(actions.contains(&action), "{action} not in {actions:?}");
    }
    for row in &log {
        for canary in [secret, PASSWORD, ADA, "Lovelace"] {
            assert!(!format!("{row:?}").contains(canary), "{canary} in {row:?}");
        }
    }
});

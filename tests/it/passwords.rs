//! Changing a password, and setting a forgotten one by the operator's link.

use crate::{
    auth::{OWNER, bearer, login, signed_in, text},
    sessions::platform_log,
};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Client, PASSWORD, Reply, TestApp, on_both};

const NEW: &str = "eight green harbours";

async fn change(caller: &Client, current: &str, new: &str) -> Reply {
    let body = json!({ "current_password": current, "new_password": new });
    caller.post("/v1/auth/password", body).await
}

on_both!(a_new_password_ends_every_session, |app| {
    let (here, elsewhere) = (signed_in(&app).await, signed_in(&app).await);
    let tokens = change(&bearer(&app, &here), PASSWORD, NEW).await.ok();
    for ended in [&here, &elsewhere] {
        bearer(&app, ended).get("/v1/auth/me").await.problem(401, "session_ended");
        let body = json!({ "refresh_token": ended["refresh_token"] });
        app.anonymous().post("/v1/auth/refresh", body).await.problem(401, "session_ended");
    }
    let caller = bearer(&app, &tokens);
    assert_eq!(caller.get("/v1/auth/sessions").await.ok()["items"].as_array().unwrap().len(), 1);
    login(&app, OWNER, PASSWORD).await.problem(401, "invalid_credentials");
    app.clock.advance(TimeDelta::seconds(10));
    login(&app, OWNER, NEW).await.ok();
});

on_both!(the_current_password_is_asked_for_and_throttled, |app| {
    let caller = bearer(&app, &signed_in(&app).await);
    change(&caller, "not the password", NEW).await.invalid(&[("/current_password", "wrong_password")]);
    change(&caller, PASSWORD, NEW).await.problem(429, "throttled");
    // A guess within a session delays that session, and nobody who signs in.
    login(&app, OWNER, PASSWORD).await.ok();
    app.clock.advance(TimeDelta::seconds(1));
    change(&caller, PASSWORD, NEW).await.ok();
});

on_both!(a_new_password_must_be_worth_it, |app| {
    let caller = bearer(&app, &signed_in(&app).await);
    for (new, code) in [
        ("", "too_short"),
        ("seven77", "too_short"),
        ("ééééééé", "too_short"),
        (&"x".repeat(257), "too_long"),
        ("a password\0", "invalid_character"),
        ("password123", "too_common"),
        ("PassWord123", "too_common"),
    ] {
        change(&caller, PASSWORD, new).await.invalid(&[("/new_password", code)]);
    }
    let no_body = caller.post("/v1/auth/password", json!({})).await;
    no_body.invalid(&[("/current_password", "required")]);
    let extra = json!({ "current_password": PASSWORD, "new_password": NEW, "logout": false });
    caller.post("/v1/auth/password", extra).await.problem(400, "unknown_field");
    app.anonymous().post("/v1/auth/password", json!({})).await.problem(401, "unauthenticated");
    // 64 characters and more, of any script, blanks included.
    let long = "密码 🗝 ".repeat(40);
    let tokens = change(&caller, PASSWORD, &long).await.ok();
    login(&app, OWNER, &long).await.ok();
    bearer(&app, &tokens).get("/v1/auth/me").await.ok();
});

on_both!(of_parallel_changes_one_counts, |app| {
    let caller = bearer(&app, &signed_in(&app).await);
    let passwords: Vec<String> = (0..10).map(|n| format!("password number {n}")).collect();
    let replies = join_all(passwords.iter().map(|new| change(&caller, PASSWORD, new))).await;
    let won: Vec<usize> = (0..10).filter(|n| replies[*n].status == 200).collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 401 | 422 | 429)), "{replies:?}");
    app.clock.advance(TimeDelta::minutes(1));
    login(&app, OWNER, &passwords[won[0]]).await.ok();
});

/// A reset link for a new member.
async fn link(app: &TestApp) -> (Client, String) {
    let person = app.member().await;
    let path = format!("/v1/users/{}/reset-link", person.user_id);
    let link = app.owner().post(&path, json!({})).await.created();
    (person, text(&link, "token").to_owned())
}

async fn redeem(app: &TestApp, token: &str, password: &str) -> Reply {
    app.anonymous().post("/v1/auth/reset", json!({ "token": token, "password": password })).await
}

on_both!(a_link_sets_a_password_once, |app| {
    let (person, token) = link(&app).await;
    redeem(&app, &token, "short").await.invalid(&[("/password", "too_short")]);
    redeem(&app, &token, NEW).await.no_content();
    person.get("/v1/auth/me").await.problem(401, "session_ended");
    redeem(&app, &token, "another password").await.problem(401, "token_invalid");
    login(&app, "person0@example.com", PASSWORD).await.problem(401, "invalid_credentials");
    app.clock.advance(TimeDelta::seconds(1));
    login(&app, "person0@example.com", NEW).await.ok();
});

on_both!(the_latest_link_counts_for_a_day, |app| {
    let (person, first) = link(&app).await;
    let path = format!("/v1/users/{}/reset-link", person.user_id);
    let second = app.owner().post(&path, json!({})).await.created();
    redeem(&app, &first, NEW).await.problem(401, "token_invalid");
    app.clock.advance(TimeDelta::hours(24));
    redeem(&app, text(&second, "token"), NEW).await.problem(401, "token_expired");
    person.get("/v1/auth/me").await.ok();
});

on_both!(a_changed_password_voids_a_link, |app| {
    let (person, token) = link(&app).await;
    change(&person, PASSWORD, NEW).await.ok();
    redeem(&app, &token, "another password").await.problem(401, "token_invalid");
});

on_both!(a_link_is_used_once_by_many, |app| {
    let (_, token) = link(&app).await;
    let passwords: Vec<String> = (0..10).map(|n| format!("password number {n}")).collect();
    let replies = join_all(passwords.iter().map(|new| redeem(&app, &token, new))).await;
    let won: Vec<usize> = (0..10).filter(|n| replies[*n].status == 204).collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    assert!(replies.iter().all(|reply| matches!(reply.status, 204 | 401)), "{replies:?}");
    login(&app, "person0@example.com", &passwords[won[0]]).await.ok();
});

on_both!(what_is_no_link_is_refused, |app| {
    let (_, token) = link(&app).await;
    let id = service::token::Token::parse(&token).unwrap().id();
    let kinds = [service::token::TokenKind::PasswordReset, service::token::TokenKind::Invitation];
    let others = kinds.map(|kind| service::token::mint(&app.system, kind, id));
    for bad in ["", "tkp_x", &token[1..], others[0].token.expose(), others[1].token.expose()] {
        redeem(&app, bad, NEW).await.problem(401, "token_invalid");
    }
    let neither: [Value; 2] = [json!({ "password": NEW }), json!({ "token": token })];
    let [no_token, no_password] = neither.map(|body| app.anonymous().post("/v1/auth/reset", body));
    no_token.await.invalid(&[("/token", "required")]);
    no_password.await.invalid(&[("/password", "required")]);
    redeem(&app, &token, NEW).await.no_content();
});

on_both!(a_link_can_be_shown_again_until_it_is_used, |app| {
    let person = app.member().await;
    let path = format!("/v1/users/{}/reset-link", person.user_id);
    let ask = || app.owner().post(&path, json!({})).idempotency_key("once");
    let first = ask().await.created();
    let again = ask().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.created(), first);
    redeem(&app, text(&first, "token"), NEW).await.no_content();
    ask().await.problem(409, "secret_expired");
});

on_both!(no_password_and_no_link_is_in_the_log, |app| {
    let (person, token) = link(&app).await;
    redeem(&app, &token, NEW).await.no_content();
    let tokens = login(&app, "person0@example.com", NEW).await.ok();
    change(&bearer(&app, &tokens), NEW, PASSWORD).await.ok();
    let log = platform_log(&app).await;
    let of_person = log.iter().filter(|row| row.subject == person.user_id);
    let actions: Vec<&str> = of_person.map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["user.reset_link", "user.reset_password", "user.login", "user.set_password"]);
    for row in &log {
        for canary in [PASSWORD, NEW, &token, "person0@", "argon2"] {
            assert!(!format!("{row:?}").contains(canary), "{canary} in {row:?}");
        }
    }
});

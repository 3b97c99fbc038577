//! Known devices: a person who has signed in from one is not kept out by guesses from elsewhere, and it opens nothing by itself.

use crate::{
    auth::{OWNER, bearer, statuses, text},
    sessions::platform_log,
};
use chrono::TimeDelta;
use entity::device;
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tests::{Client, PASSWORD, Reply, TestApp, on_both, on_postgres};

/// Where everybody in these tests is.
const OFFICE: &str = "198.51.100.7";
const WRONG: &str = "not the password";

async fn attempt(app: &TestApp, device: Option<&str>, email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password, "device_token": device});
    app.anonymous().post("/v1/auth/login", body).from(OFFICE).await
}

/// Signs the owner in on a new device; the tokens.
async fn new_device(app: &TestApp) -> Value {
    attempt(app, None, OWNER, PASSWORD).await.ok()
}

fn wait(reply: &Reply) -> i64 {
    assert_eq!((reply.status, reply.body["code"].as_str()), (429, Some("throttled")), "{}", reply.text);
    reply.header("retry-after").parse().unwrap()
}

/// Sixty guesses at the owner's account, each as soon as it may be.
async fn besiege(app: &TestApp) {
    for _ in 0..60 {
        attempt(app, None, OWNER, WRONG).await.problem(401, "invalid_credentials");
        let left = wait(&attempt(app, None, OWNER, WRONG).await);
        app.clock.advance(TimeDelta::seconds(left));
    }
    attempt(app, None, OWNER, WRONG).await.problem(401, "invalid_credentials");
}

/// Whether the owner has to wait with this token while somebody guesses.
async fn is_known(app: &TestApp, token: &str) -> bool {
    let guess = attempt(app, None, OWNER, WRONG).await;
    assert!([401, 429].contains(&guess.status), "{}", guess.text);
    let status = attempt(app, Some(token), OWNER, PASSWORD).await.status;
    assert!([200, 429].contains(&status));
    status == 200
}

async fn kept(app: &TestApp) -> Vec<device::Model> {
    device::Entity::find().all(&app.database().connect().await).await.unwrap()
}

async fn devices(caller: &Client) -> Vec<Value> {
    caller.get("/v1/auth/devices").await.ok()["items"].as_array().unwrap().clone()
}

on_both!(a_known_device_gets_in_while_its_network_is_delayed, |app| {
    let tokens = new_device(&app).await;
    let token = text(&tokens, "device_token").to_owned();
    assert!(token.starts_with("tkd_"));
    besiege(&app).await;
    assert_eq!(wait(&attempt(&app, None, OWNER, PASSWORD).await), 60);
    let again = attempt(&app, Some(&token), OWNER, PASSWORD).await.ok();
    assert_eq!(again["device_token"], Value::Null, "it keeps the token that it has");
    attempt(&app, Some(&token), OWNER, PASSWORD).await.ok();
    // A refresh is no sign-in.
    let refresh = json!({"refresh_token": again["refresh_token"]});
    let next = app.anonymous().post("/v1/auth/refresh", refresh).await.ok();
    assert_eq!(next["device_token"], Value::Null);
});

on_both!(made_up_accounts_do_not_delay_a_known_device, |app| {
    let token = new_device(&app).await["device_token"].as_str().unwrap().to_owned();
    let mut refused = 0;
    for n in 0..80 {
        let reply = attempt(&app, None, &format!("guess{n}@example.com"), WRONG).await;
        refused += i32::from(reply.status == 429);
    }
    assert!(refused > 0, "the address is out of pace");
    wait(&attempt(&app, None, OWNER, PASSWORD).await);
    attempt(&app, Some(&token), OWNER, PASSWORD).await.ok();
});

on_both!(guesses_on_a_known_device_count_on_it_until_it_is_forgotten, |app| {
    let token = new_device(&app).await["device_token"].as_str().unwrap().to_owned();
    for failures in 1..=25 {
        attempt(&app, Some(&token), OWNER, WRONG).await.problem(401, "invalid_credentials");
        if failures == 25 {
            break;
        }
        let left = wait(&attempt(&app, Some(&token), OWNER, PASSWORD).await);
        let expected = match failures {
            ..3 => 1,
            3..9 => 3,
            _ => 5,
        };
        assert_eq!(left, expected, "after {failures} failures");
        app.clock.advance(TimeDelta::seconds(left));
    }
    assert!(kept(&app).await.is_empty(), "a device that guesses is no device of the person");
    assert!(platform_log(&app).await.iter().any(|row| row.action == "device.distrust"));
    // From then on it is as any other: it is not refused, and it waits.
    assert!(!is_known(&app, &token).await);
    app.clock.advance(TimeDelta::seconds(1));
    let next = attempt(&app, Some(&token), OWNER, PASSWORD).await.ok();
    assert_ne!(next["device_token"], Value::Null, "it is known again, by another token");
});

on_both!(a_device_of_one_account_is_none_of_another, |app| {
    let token = new_device(&app).await["device_token"].as_str().unwrap().to_owned();
    let _member = app.member().await;
    let colleague = "person0@example.com";
    attempt(&app, Some(&token), colleague, WRONG).await.problem(401, "invalid_credentials");
    assert_eq!(wait(&attempt(&app, None, colleague, PASSWORD).await), 1, "it counts on the account");
    // Nor does it tell whether there is an account.
    attempt(&app, Some(&token), "nobody@example.com", WRONG).await.problem(401, "invalid_credentials");
    wait(&attempt(&app, Some(&token), "nobody@example.com", WRONG).await);
    assert!(is_known(&app, &token).await);
});

on_both!(what_is_no_device_token_is_an_unknown_device, |app| {
    let tokens = new_device(&app).await;
    let id = service::token::Token::parse(text(&tokens, "device_token")).unwrap().id();
    let forged = service::token::mint(&app.system, service::token::TokenKind::Device, id);
    let stranger = service::token::mint(&app.system, service::token::TokenKind::Device, uuid::Uuid::nil());
    for token in
        ["", "tkd_", "\0", text(&tokens, "refresh_token"), forged.token.expose(), stranger.token.expose()]
    {
        attempt(&app, None, OWNER, WRONG).await.problem(401, "invalid_credentials");
        wait(&attempt(&app, Some(token), OWNER, PASSWORD).await);
        app.clock.advance(TimeDelta::seconds(1));
        let next = attempt(&app, Some(token), OWNER, PASSWORD).await.ok();
        assert_ne!(next["device_token"], Value::Null);
    }
});

on_both!(a_device_is_known_for_a_month_after_its_latest_sign_in, |app| {
    let token = new_device(&app).await["device_token"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        app.clock.advance(TimeDelta::days(29));
        assert!(is_known(&app, &token).await);
    }
    app.clock.advance(TimeDelta::days(30));
    assert!(!is_known(&app, &token).await);
});

on_both!(only_a_digest_of_a_device_token_is_kept, |app| {
    let tokens = new_device(&app).await;
    let rows = format!("{:?}", kept(&app).await);
    let secret = text(&tokens, "device_token").split('_').nth(2).unwrap();
    assert!(!rows.contains(secret));
});

on_both!(a_device_outlives_a_sign_out, |app| {
    let tokens = new_device(&app).await;
    bearer(&app, &tokens).post("/v1/auth/logout", json!({})).await.no_content();
    assert!(is_known(&app, text(&tokens, "device_token")).await);
});

on_both!(a_new_password_forgets_every_device, |app| {
    let (here, there) = (new_device(&app).await, new_device(&app).await);
    let change = json!({"current_password": PASSWORD, "new_password": "twelve green umbrellas"});
    let next = bearer(&app, &here).post("/v1/auth/password", change).await.ok();
    assert_eq!(kept(&app).await.len(), 1, "the device of the new session");
    for tokens in [&here, &there] {
        let token = text(tokens, "device_token");
        attempt(&app, Some(token), OWNER, WRONG).await.problem(401, "invalid_credentials");
        wait(&attempt(&app, None, OWNER, WRONG).await);
        app.clock.advance(TimeDelta::seconds(10));
    }
    attempt(&app, Some(text(&next, "device_token")), OWNER, "twelve green umbrellas").await.ok();
});

on_both!(a_reset_password_forgets_every_device, |app| {
    let tokens = new_device(&app).await;
    let me = bearer(&app, &tokens).get("/v1/auth/me").await.ok();
    let path = format!("/v1/users/{}/reset-link", text(&me["user"], "id"));
    let link = app.owner().post(&path, json!({})).await.created();
    let reset = json!({"token": link["token"], "password": PASSWORD});
    app.anonymous().post("/v1/auth/reset", reset).await.no_content();
    assert!(kept(&app).await.is_empty());
    assert!(!is_known(&app, text(&tokens, "device_token")).await);
});

on_both!(ending_the_other_sessions_forgets_their_devices, |app| {
    let (here, there) = (new_device(&app).await, new_device(&app).await);
    bearer(&app, &here).delete("/v1/auth/sessions").await.no_content();
    assert!(is_known(&app, text(&here, "device_token")).await);
    assert!(!is_known(&app, text(&there, "device_token")).await);
});

on_both!(ending_a_session_forgets_its_device, |app| {
    let (here, lost) = (new_device(&app).await, new_device(&app).await);
    let session = bearer(&app, &lost).get("/v1/auth/me").await.ok()["session"].clone();
    bearer(&app, &here).delete(&format!("/v1/auth/sessions/{}", text(&session, "id"))).await.no_content();
    let left = devices(&bearer(&app, &here)).await;
    assert!(left.iter().all(|device| device["id"] != session["device_id"]), "{left:?}");
    assert!(!is_known(&app, text(&lost, "device_token")).await);
});

on_both!(a_copied_refresh_token_forgets_the_device, |app| {
    let first = new_device(&app).await;
    let refresh = async || {
        let body = json!({"refresh_token": first["refresh_token"]});
        app.anonymous().post("/v1/auth/refresh", body).await
    };
    refresh().await.ok();
    app.clock.advance(TimeDelta::minutes(1));
    refresh().await.problem(401, "token_reused");
    assert!(kept(&app).await.is_empty());
});

on_both!(one_sees_and_forgets_ones_devices, |app| {
    let (here, there) = (new_device(&app).await, new_device(&app).await);
    let owner = bearer(&app, &here);
    let listed = devices(&owner).await;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["client_ip"], OFFICE);
    let session = bearer(&app, &there).get("/v1/auth/me").await.ok()["session"].clone();
    assert_eq!(session["device_id"], listed[0]["id"], "newest first");
    let path = format!("/v1/auth/devices/{}", text(&listed[0], "id"));
    let member = app.member().await;
    assert!(devices(&member).await.is_empty());
    member.delete(&path).await.problem(404, "not_found");
    owner.delete(&path).await.no_content();
    owner.delete(&path).await.problem(404, "not_found");
    bearer(&app, &there).get("/v1/auth/me").await.problem(401, "session_ended");
    assert!(!is_known(&app, text(&there, "device_token")).await);
    assert!(is_known(&app, text(&here, "device_token")).await);
});

on_both!(guesses_do_not_delay_a_person_who_is_signed_in, |app| {
    let owner = app.owner();
    besiege(&app).await;
    let change =
        |current: &str| json!({"current_password": current, "new_password": "twelve green umbrellas"});
    let wrong = owner.post("/v1/auth/password", change(WRONG)).from(OFFICE).await;
    wrong.invalid(&[("/current_password", "wrong_password")]);
    // Its own guesses do.
    assert_eq!(wait(&owner.post("/v1/auth/password", change(PASSWORD)).from(OFFICE).await), 1);
    app.clock.advance(TimeDelta::seconds(1));
    owner.post("/v1/auth/password", change(PASSWORD)).from(OFFICE).await.ok();
});

/// Forty guesses on one device at the same time: one is verified.
async fn race(instances: &[TestApp]) {
    let token = new_device(&instances[0]).await["device_token"].as_str().unwrap().to_owned();
    let guess = |n: usize| attempt(&instances[n % instances.len()], Some(&token), OWNER, WRONG);
    let all = statuses(&join_all((0..40).map(guess)).await);
    assert_eq!(all.iter().filter(|status| **status == 401).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|status| **status == 429).count(), 39, "{all:?}");
}

on_both!(parallel_guesses_on_a_device_are_counted_before_they_are_verified, |app| {
    race(&[app]).await;
});

on_postgres!(two_instances_know_a_device_and_count_its_guesses_together, |app| {
    let second = app.second_instance().await;
    let token = new_device(&app).await["device_token"].as_str().unwrap().to_owned();
    besiege(&app).await;
    attempt(&second, Some(&token), OWNER, PASSWORD).await.ok();
    app.clock.advance(TimeDelta::minutes(1));
    race(&[app, second]).await;
});

on_both!(a_device_is_forgotten_while_it_signs_in, |app| {
    let tokens = new_device(&app).await;
    let token = text(&tokens, "device_token");
    let owner = app.owner();
    let device = devices(&owner).await[0].clone();
    let path = format!("/v1/auth/devices/{}", text(&device, "id"));
    let (reply, gone) =
        tokio::join!(attempt(&app, Some(token), OWNER, PASSWORD), owner.delete(&path).into_future());
    gone.no_content();
    let next = reply.ok();
    let me = bearer(&app, &next).get("/v1/auth/me").await;
    // Either the sign-in was first, and has ended with the device, or it was on a new one.
    assert_eq!(me.status, if next["device_token"].is_null() { 401 } else { 200 }, "{}", me.text);
});

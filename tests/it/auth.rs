//! Signing in, and who one is then.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::{PASSWORD, Reply, TestApp, on_both};

pub(crate) const OWNER: &str = "owner@example.com";

/// Tries to sign in.
pub(crate) async fn login(app: &TestApp, email: &str, password: &str) -> Reply {
    app.anonymous().post("/v1/auth/login", json!({ "email": email, "password": password })).await
}

/// Signs the owner in; the tokens.
pub(crate) async fn signed_in(app: &TestApp) -> Value {
    login(app, OWNER, PASSWORD).await.ok()
}

/// A text in a reply.
pub(crate) fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_else(|| panic!("no {field} in {body}"))
}

/// The caller of an access token.
pub(crate) fn bearer(app: &TestApp, tokens: &Value) -> tests::Client {
    app.client(text(tokens, "access_token"))
}

/// The status of each reply, in order.
pub(crate) fn statuses(replies: &[Reply]) -> Vec<u16> {
    let mut all: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    all.sort_unstable();
    all
}

on_both!(a_password_opens_a_session, |app| {
    let reply = login(&app, OWNER, PASSWORD).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let tokens = reply.ok();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert!(text(&tokens, "refresh_token").starts_with("tkr_"));
    let me = bearer(&app, &tokens).get("/v1/auth/me").await.ok();
    assert_eq!(me["user"]["email"], OWNER);
    assert_eq!(me["session"]["client_ip"], "127.0.0.1");
    assert_eq!(me["session"]["current"], true);
});

on_both!(an_address_is_trimmed_and_case_folded, |app| {
    login(&app, "  OWNER@Example.COM ", PASSWORD).await.ok();
});

on_both!(whatever_is_wrong_the_answer_is_one, |app| {
    let silent = app.member().await;
    let passwordless = "UPDATE user_account SET password_hash = NULL WHERE email = 'person0@example.com'";
    sea_orm::ConnectionTrait::execute_unprepared(&app.database().connect().await, passwordless)
        .await
        .unwrap();
    assert!(!silent.user_id.is_empty());
    let said = async |email: &str, password: &str| {
        let mut body = login(&app, email, password).await.problem(401, "invalid_credentials");
        body["request_id"].take();
        body
    };
    let wrong = said(OWNER, "not the password").await;
    assert_eq!(said("nobody@example.com", PASSWORD).await, wrong);
    assert_eq!(said("person0@example.com", PASSWORD).await, wrong);
    app.clock.advance(chrono::TimeDelta::minutes(1));
    assert_eq!(said("person0@example.com", "nobody's password").await, wrong);
    assert_eq!(said("nobody@example.com", "nobody's password").await, wrong);
});

on_both!(a_suspended_account_is_told_only_with_its_password, |app| {
    let person = app.member().await;
    let path = format!("/v1/users/{}/suspend", person.user_id);
    app.owner().post(&path, json!({})).await.ok();
    login(&app, "person0@example.com", "not the password").await.problem(401, "invalid_credentials");
    app.clock.advance(chrono::TimeDelta::minutes(1));
    login(&app, "person0@example.com", PASSWORD).await.problem(403, "forbidden");
    person.get("/v1/auth/me").await.problem(401, "account_suspended");
});

on_both!(what_is_no_sign_in_is_refused_in_particular, |app| {
    let anonymous = app.anonymous();
    let post = |body: Value| anonymous.post("/v1/auth/login", body);
    post(json!({})).await.invalid(&[("/email", "required")]);
    post(json!({ "email": OWNER })).await.invalid(&[("/password", "required")]);
    post(json!({ "email": "", "password": "x" })).await.invalid(&[("/email", "invalid_email")]);
    post(json!({ "email": "a\0@b.c", "password": "x" })).await.invalid(&[("/email", "invalid_email")]);
    post(json!({ "email": format!("{}@b.c", "a".repeat(400)), "password": "x" }))
        .await
        .invalid(&[("/email", "invalid_email")]);
    post(json!({ "email": null, "password": "x" })).await.invalid(&[("/email", "not_nullable")]);
    post(json!({ "email": OWNER, "password": PASSWORD, "otp": 1 })).await.problem(400, "unknown_field");
    for (n, password) in [String::new(), "a\0b".into(), "é".repeat(3000), "🗝".into()].iter().enumerate() {
        let email = format!("person{n}@example.org");
        login(&app, &email, password).await.problem(401, "invalid_credentials");
    }
});

on_both!(a_password_in_the_wrong_place_is_not_repeated, |app| {
    let canary = 4_711_081_547_110_815_u64;
    for body in [
        json!({ "email": OWNER, "password": canary }),
        json!({ "email": canary, "password": "x" }),
        json!(canary.to_string()),
        json!({ "email": OWNER, "password": { "is": canary } }),
        json!({ "email": OWNER, "password": [canary] }),
    ] {
        let reply = app.anonymous().post("/v1/auth/login", body).await;
        assert_eq!(reply.status, 422, "{}", reply.text);
        assert!(!reply.text.contains(&canary.to_string()), "{}", reply.text);
    }
});

on_both!(an_unknown_account_takes_as_long, |app| {
    let _people = [app.member().await, app.member().await];
    let timed = async |email: &str| {
        app.clock.advance(chrono::TimeDelta::minutes(1));
        let begun = Instant::now();
        login(&app, email, "not the password").await.problem(401, "invalid_credentials");
        begun.elapsed()
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        known.push(timed("person0@example.com").await);
        unknown.push(timed("nobody@example.com").await);
    }
    // The least of several is what the work takes, whatever else the machine does meanwhile.
    let least = |times: Vec<Duration>| times.into_iter().min().unwrap().as_secs_f64();
    let ratio = least(unknown) / least(known);
    // Without the computation for nobody an unknown account would take a tenth of the time.
    assert!((0.5..2.0).contains(&ratio), "an unknown account takes {ratio} times as long");
});

on_both!(one_is_told_what_one_may_do, |app| {
    let owner = app.owner().get("/v1/auth/me").await.ok();
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(owner["user"]["operator"], true);
    assert!(words(&owner["permissions"]).contains(&"platform:users".to_owned()));
    let at_home = &owner["memberships"][0];
    assert_eq!(at_home["slug"], "default");
    assert_eq!(at_home["role"], "owner");
    assert!(words(&at_home["permissions"]).contains(&"keys:write".to_owned()));

    let team =
        app.owner().post("/v1/organizations/default/teams", json!({ "name": "search" })).await.created();
    let admin = app.team_admin(text(&team, "id")).await;
    let me = admin.get("/v1/auth/me").await.ok();
    assert_eq!(me["permissions"], json!([]));
    assert_eq!(me["memberships"][0]["teams"], json!([{ "team_id": team["id"], "role": "admin" }]));
    let allowed = words(&me["memberships"][0]["permissions"]);
    assert!(allowed.contains(&"keys:write".to_owned()), "{allowed:?}");
    assert!(!allowed.contains(&"teams:write".to_owned()), "{allowed:?}");

    let nobody = app.stranger().await.get("/v1/auth/me").await.ok();
    assert_eq!(nobody["memberships"], json!([]));
});

on_both!(only_persons_have_an_account, |app| {
    for path in ["/v1/auth/me", "/v1/auth/sessions"] {
        app.anonymous().get(path).await.problem(401, "unauthenticated");
        app.client("nonsense").get(path).await.problem(401, "token_invalid");
    }
    let new = json!({ "name": "ci", "permissions": ["keys:read"] });
    let token = app.owner().post("/v1/organizations/default/admin-tokens", new).await.created();
    let token = app.client(text(&token, "secret"));
    token.get("/v1/auth/me").await.problem(403, "forbidden");
    token.post("/v1/auth/logout", json!({})).await.problem(403, "forbidden");
    let change = json!({ "current_password": PASSWORD, "new_password": "eight green harbours" });
    token.post("/v1/auth/password", change).await.problem(403, "forbidden");
});

on_both!(sign_ins_are_in_the_log_by_id, |app| {
    let tokens = signed_in(&app).await;
    app.clock.advance(chrono::TimeDelta::minutes(1));
    login(&app, OWNER, "first canary of many").await.problem(401, "invalid_credentials");
    login(&app, "canary@example.com", PASSWORD).await.problem(401, "invalid_credentials");
    let log = crate::sessions::platform_log(&app).await;
    let events: Vec<(&str, &str, &str)> =
        log.iter().map(|row| (row.action.as_str(), row.actor_id.as_str(), row.subject.as_str())).collect();
    let owner = app.owner().user_id;
    assert_eq!(
        events,
        [
            ("user.login", owner.as_str(), owner.as_str()),
            ("user.login_failed", "anonymous", owner.as_str()),
            ("user.login_failed", "anonymous", "unknown"),
        ]
    );
    for row in &log {
        for canary in
            [PASSWORD, "canary", OWNER, text(&tokens, "refresh_token"), text(&tokens, "access_token")]
        {
            assert!(!format!("{row:?}").contains(canary), "{canary} in {row:?}");
        }
    }
});

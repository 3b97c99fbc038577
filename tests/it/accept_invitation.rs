//! Accepting an invitation: with a new account, or with the one that the address has.

use crate::auth::{bearer, login, signed_in, statuses, text};
use chrono::TimeDelta;
use entity::{membership, status::Role, team_member, user_account};
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tests::{Client, PASSWORD, Reply, TestApp, on_both};

const ADA: &str = "ada@example.com";

/// Invites an address into `default`; the token.
async fn invite(app: &TestApp, email: &str, teams: Value) -> String {
    let new = json!({ "email": email, "role": "member", "teams": teams });
    let invitation = app.owner().post("/v1/organizations/default/invitations", new).await.created();
    text(&invitation, "secret").to_owned()
}

async fn accept(caller: &Client, token: &str) -> Reply {
    caller.post("/v1/auth/accept-invitation", json!({ "token": token })).await
}

async fn join(app: &TestApp, token: &str) -> Reply {
    let body = json!({ "token": token, "name": "Ada Lovelace", "password": PASSWORD });
    app.anonymous().post("/v1/auth/accept-invitation", body).await
}

async fn team(app: &TestApp, name: &str) -> String {
    let team = app.owner().post("/v1/organizations/default/teams", json!({ "name": name })).await.created();
    text(&team, "id").to_owned()
}

on_both!(a_new_address_gets_an_account_and_its_teams, |app| {
    let (search, gone) = (team(&app, "search").await, team(&app, "gone").await);
    let teams = json!([{ "team_id": search, "role": "admin" }, { "team_id": gone, "role": "member" }]);
    let token = invite(&app, "Ada@Example.com", teams).await;
    app.owner().delete(&format!("/v1/organizations/default/teams/{gone}")).await.no_content();
    let accepted = join(&app, &token).await.ok();
    assert_eq!(accepted["role"], "member");
    let caller = bearer(&app, &accepted["tokens"]);
    let me = caller.get("/v1/auth/me").await.ok();
    assert_eq!(me["user"]["email"], ADA);
    assert_eq!(me["user"]["name"], "Ada Lovelace");
    assert_eq!(me["user"]["operator"], false);
    assert_eq!(me["user"]["id"], accepted["user_id"]);
    assert_eq!(me["memberships"][0]["teams"], json!([{ "team_id": search, "role": "admin" }]));
    login(&app, ADA, PASSWORD).await.ok();
    join(&app, &token).await.problem(409, "invitation_accepted");
});

on_both!(an_account_accepts_signed_in_and_keeps_its_password, |app| {
    let person = app.stranger().await;
    let token = invite(&app, "person0@example.com", json!([])).await;
    accept(&app.anonymous(), &token).await.problem(401, "sign_in_required");
    join(&app, &token).await.problem(401, "sign_in_required");
    accept(&app.owner(), &token).await.problem(403, "forbidden");
    accept(&app.client("nonsense"), &token).await.problem(401, "token_invalid");
    let body = json!({ "token": token, "name": "Eve", "password": "eight green harbours" });
    let both = [("/name", "not_allowed"), ("/password", "not_allowed")];
    person.post("/v1/auth/accept-invitation", body).await.invalid(&both);
    let accepted = accept(&person, &token).await.ok();
    assert_eq!(accepted["tokens"], Value::Null);
    assert_eq!(accepted["user_id"], person.user_id);
    person.get("/v1/organizations/default").await.ok();
    login(&app, "person0@example.com", PASSWORD).await.ok();
    accept(&person, &token).await.problem(409, "invitation_accepted");
});

on_both!(a_member_is_a_member_already, |app| {
    let person = app.stranger().await;
    let first = invite(&app, "person0@example.com", json!([])).await;
    let second = invite(&app, "person0@example.com", json!([])).await;
    accept(&person, &first).await.ok();
    accept(&person, &second).await.problem(409, "duplicate");
});

on_both!(an_admin_token_is_not_its_maker, |app| {
    let token = invite(&app, "person0@example.com", json!([])).await;
    let person = app.person_in(app.organization, Role::Admin).await;
    let new = json!({ "name": "ci", "permissions": ["keys:read"] });
    let admin = person.post("/v1/organizations/default/admin-tokens", new).await.created();
    accept(&app.client(text(&admin, "secret")), &token).await.problem(401, "sign_in_required");
});

on_both!(a_new_account_needs_a_name_and_a_password, |app| {
    let token = invite(&app, ADA, json!([])).await;
    let post = |body: Value| app.anonymous().post("/v1/auth/accept-invitation", body);
    let both = [("/name", "required"), ("/password", "required")];
    accept(&app.anonymous(), &token).await.invalid(&both);
    post(json!({ "token": token, "name": "Ada", "password": "short" }))
        .await
        .invalid(&[("/password", "too_short")]);
    post(json!({ "token": token, "name": "", "password": PASSWORD })).await.invalid(&[("/name", "required")]);
    post(json!({ "token": token, "name": "A\u{7}", "password": PASSWORD }))
        .await
        .invalid(&[("/name", "invalid_character")]);
    post(json!({ "token": token, "role": "owner" })).await.problem(400, "unknown_field");
    post(json!({ "name": "Ada" })).await.invalid(&[("/token", "required")]);
    let people = user_account::Entity::find().all(&app.database().connect().await).await.unwrap();
    assert_eq!(people.len(), 1, "an account was made");
    join(&app, &token).await.ok();
});

on_both!(what_is_no_invitation_is_refused, |app| {
    let token = invite(&app, ADA, json!([])).await;
    let id = service::token::Token::parse(&token).unwrap().id();
    let forged = service::token::mint(&app.system, service::token::TokenKind::Invitation, id);
    let reset = service::token::mint(&app.system, service::token::TokenKind::PasswordReset, id);
    for bad in ["", "tki_x", &token[..token.len() - 1], forged.token.expose(), reset.token.expose()] {
        join(&app, bad).await.problem(401, "token_invalid");
    }
    app.clock.advance(TimeDelta::days(7));
    join(&app, &token).await.problem(401, "token_expired");
    let revoked = invite(&app, ADA, json!([])).await;
    let list = app.owner().get("/v1/organizations/default/invitations").await.ok();
    let path = format!("/v1/organizations/default/invitations/{}", text(&list["items"][0], "id"));
    app.owner().delete(&path).await.no_content();
    join(&app, &revoked).await.problem(401, "token_invalid");
});

on_both!(an_invitation_gives_what_its_maker_could_give_by_now, |app| {
    let admin = app.admin().await;
    let new = json!({ "email": ADA, "role": "admin" });
    let invitation = admin.post("/v1/organizations/default/invitations", new).await.created();
    let token = text(&invitation, "secret");
    let refused = async || join(&app, token).await.problem(401, "token_invalid");
    let place = format!("/v1/organizations/default/members/{}", admin.user_id);
    let role = |role: &str| app.owner().patch(&place, json!({ "role": role }));
    role("member").await.ok();
    refused().await;
    role("admin").await.ok();
    app.owner().post(&format!("{place}/suspend"), json!({})).await.ok();
    refused().await;
    app.owner().post(&format!("{place}/resume"), json!({})).await.ok();
    app.owner().post(&format!("/v1/users/{}/suspend", admin.user_id), json!({})).await.ok();
    refused().await;
    app.owner().post(&format!("/v1/users/{}/resume", admin.user_id), json!({})).await.ok();
    let people = user_account::Entity::find().all(&app.database().connect().await).await.unwrap();
    assert_eq!(people.len(), 2, "an account was made");
    join(&app, token).await.ok();
});

on_both!(an_owner_who_is_no_owner_any_more_makes_none, |app| {
    let (owner, person) = (app.person(Role::Owner).await, app.stranger().await);
    let new = json!({ "email": "person1@example.com", "role": "owner" });
    let invitation = owner.post("/v1/organizations/default/invitations", new).await.created();
    let place = format!("/v1/organizations/default/members/{}", owner.user_id);
    app.owner().patch(&place, json!({ "role": "admin" })).await.ok();
    accept(&person, text(&invitation, "secret")).await.problem(401, "token_invalid");
    person.get("/v1/organizations/default").await.problem(404, "not_found");
});

on_both!(an_invitation_goes_with_the_admin_token_that_made_it, |app| {
    let reads = [
        "organization",
        "members",
        "teams",
        "team_members",
        "service_accounts",
        "keys",
        "limits",
        "usage",
        "prices",
        "models",
        "connections",
        "proxy_pools",
        "audit",
    ];
    let reads = reads.map(|what| format!("{what}:read"));
    let permissions: Vec<_> = reads.into_iter().chain(["members:write".to_owned()]).collect();
    let new = json!({ "name": "ci", "permissions": permissions });
    let admin = app.owner().post("/v1/organizations/default/admin-tokens", new).await.created();
    let invitations = "/v1/organizations/default/invitations";
    let made = async |email: &str| {
        let new = json!({ "email": email, "role": "viewer" });
        let made = app.client(text(&admin, "secret")).post(invitations, new).await.created();
        text(&made, "secret").to_owned()
    };
    let (first, second) = (made(ADA).await, made("eve@example.com").await);
    join(&app, &first).await.ok();
    let path = format!("/v1/organizations/default/admin-tokens/{}", text(&admin, "id"));
    app.owner().delete(&path).await.no_content();
    join(&app, &second).await.problem(401, "token_invalid");
});

on_both!(racing_acceptances_make_one_account, |app| {
    let search = team(&app, "search").await;
    let token = invite(&app, ADA, json!([{ "team_id": search, "role": "member" }])).await;
    let replies = join_all((0..8).map(|_| join(&app, &token))).await;
    let all = statuses(&replies);
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 1, "{replies:?}");
    // Who comes after the account was made is told to sign in; who comes in between, that it was accepted.
    assert!(all.iter().all(|status| matches!(status, 200 | 401 | 409)), "{replies:?}");
    let db = app.database().connect().await;
    assert_eq!(user_account::Entity::find().all(&db).await.unwrap().len(), 2);
    assert_eq!(membership::Entity::find().all(&db).await.unwrap().len(), 2);
    assert_eq!(team_member::Entity::find().all(&db).await.unwrap().len(), 1);
});

on_both!(racing_acceptances_of_an_account_make_one_membership, |app| {
    let person = app.stranger().await;
    let token = invite(&app, "person0@example.com", json!([])).await;
    let replies = join_all((0..8).map(|_| accept(&person, &token))).await;
    assert_eq!(statuses(&replies), [200, 409, 409, 409, 409, 409, 409, 409]);
});

on_both!(two_invitations_of_one_address_make_one_account, |app| {
    let acme = app.other_organization("acme").await;
    let new = json!({ "email": ADA, "role": "viewer" });
    let other = acme.post("/v1/organizations/acme/invitations", new).await.created();
    let token = invite(&app, ADA, json!([])).await;
    let tokens = [token.as_str(), text(&other, "secret")];
    let replies = join_all(tokens.map(|token| join(&app, token))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1, "{replies:?}");
    let open = usize::from(replies[0].status == 200);
    let session = bearer(&app, &login(&app, ADA, PASSWORD).await.ok());
    accept(&session, tokens[open]).await.ok();
    let me = session.get("/v1/auth/me").await.ok();
    assert_eq!(me["memberships"].as_array().unwrap().len(), 2);
});

on_both!(neither_token_nor_person_is_in_the_log, |app| {
    let token = invite(&app, ADA, json!([])).await;
    let accepted = join(&app, &token).await.ok();
    signed_in(&app).await;
    let log = entity::audit_event::Entity::find().all(&app.database().connect().await).await.unwrap();
    let actor = text(&accepted, "user_id");
    for action in ["user.create", "invitation.accept", "member.create"] {
        assert!(log.iter().any(|row| row.action == action && row.actor_id == actor), "{action}: {log:?}");
    }
    let refresh = text(&accepted["tokens"], "refresh_token");
    for row in &log {
        for canary in [&token, ADA, "Lovelace", PASSWORD, refresh, "argon2"] {
            assert!(!format!("{row:?}").contains(canary), "{canary} in {row:?}");
        }
    }
});

//! Sessions: refreshing, ending, and what happens to a refresh token that comes back.

use crate::auth::{OWNER, bearer, login, signed_in, statuses, text};
use chrono::TimeDelta;
use entity::{audit_event, id::OrganizationId, refresh_token};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{PASSWORD, Reply, TestApp, on_both, on_postgres};

/// The platform's audit log.
pub(crate) async fn platform_log(app: &TestApp) -> Vec<audit_event::Model> {
    let platform = audit_event::Column::OrganizationId.eq(OrganizationId::PLATFORM);
    let log = audit_event::Entity::find().filter(platform).order_by_asc(audit_event::Column::Seq);
    log.all(&app.database().connect().await).await.unwrap()
}

async fn refresh(app: &TestApp, token: &str) -> Reply {
    app.anonymous().post("/v1/auth/refresh", json!({ "refresh_token": token })).await
}

async fn tokens_kept(app: &TestApp) -> Vec<refresh_token::Model> {
    refresh_token::Entity::find().all(&app.database().connect().await).await.unwrap()
}

on_both!(a_refresh_token_is_exchanged, |app| {
    let first = signed_in(&app).await;
    let second = refresh(&app, text(&first, "refresh_token")).await.ok();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    bearer(&app, &second).get("/v1/auth/me").await.ok();
    let third = refresh(&app, text(&second, "refresh_token")).await.ok();
    assert_ne!(second["refresh_token"], third["refresh_token"]);
    assert_eq!(tokens_kept(&app).await.len(), 3);
});

on_both!(an_old_token_ends_the_session_although_it_is_refused, |app| {
    let first = signed_in(&app).await;
    let second = refresh(&app, text(&first, "refresh_token")).await.ok();
    app.clock.advance(TimeDelta::seconds(10));
    refresh(&app, text(&first, "refresh_token")).await.problem(401, "token_reused");
    refresh(&app, text(&second, "refresh_token")).await.problem(401, "session_ended");
    bearer(&app, &second).get("/v1/auth/me").await.problem(401, "session_ended");
    let log = platform_log(&app).await;
    assert!(log.iter().any(|row| row.action == "session.reuse"), "{log:?}");
});

on_both!(a_lost_reply_can_be_asked_for_again, |app| {
    let first = signed_in(&app).await;
    let second = refresh(&app, text(&first, "refresh_token")).await.ok();
    app.clock.advance(TimeDelta::seconds(9));
    let again = refresh(&app, text(&first, "refresh_token")).await.ok();
    assert_eq!(again["refresh_token"], second["refresh_token"], "the lineage forked");
    let third = refresh(&app, text(&second, "refresh_token")).await.ok();
    // The successor has been used: whoever asks again is not the one whose reply was lost.
    refresh(&app, text(&first, "refresh_token")).await.problem(401, "token_reused");
    refresh(&app, text(&third, "refresh_token")).await.problem(401, "session_ended");
});

on_both!(a_grandparent_has_no_overlap, |app| {
    let first = signed_in(&app).await;
    let second = refresh(&app, text(&first, "refresh_token")).await.ok();
    let _third = refresh(&app, text(&second, "refresh_token")).await.ok();
    refresh(&app, text(&first, "refresh_token")).await.problem(401, "token_reused");
});

/// Fifty refreshes of one token at the same time, spread over the instances given.
async fn race(instances: &[TestApp]) {
    let app = &instances[0];
    let first = signed_in(app).await;
    let token = text(&first, "refresh_token");
    let calls = (0..50).map(|n| refresh(&instances[n % instances.len()], token));
    let replies = join_all(calls).await;
    assert_eq!(statuses(&replies), [200; 50]);
    let successors: BTreeSet<&str> = replies.iter().map(|r| text(&r.body, "refresh_token")).collect();
    assert_eq!(successors.len(), 1, "more than one lineage");
    let kept = tokens_kept(app).await;
    assert_eq!(kept.len(), 2);
    assert_eq!(kept.iter().filter(|row| row.used_at.is_none()).count(), 1);
    app.clock.advance(TimeDelta::minutes(1));
    refresh(app, successors.first().unwrap()).await.ok();
}

on_both!(fifty_parallel_refreshes_are_one_lineage, |app| {
    race(&[app]).await;
});

on_postgres!(fifty_refreshes_on_two_instances_are_one_lineage, |app| {
    let second = app.second_instance().await;
    race(&[app, second]).await;
});

on_both!(parallel_old_tokens_leave_nothing_alive, |app| {
    let first = signed_in(&app).await;
    let second = refresh(&app, text(&first, "refresh_token")).await.ok();
    app.clock.advance(TimeDelta::minutes(1));
    let (old, new) = (text(&first, "refresh_token"), text(&second, "refresh_token"));
    let replies = join_all((0..20).map(|n| refresh(&app, if n % 2 == 0 { old } else { new }))).await;
    assert!(replies.iter().any(|reply| reply.body["code"] == "token_reused"));
    for reply in replies.iter().filter(|reply| reply.status == 200) {
        refresh(&app, text(&reply.body, "refresh_token")).await.problem(401, "session_ended");
    }
});

on_both!(what_is_no_refresh_token_is_refused, |app| {
    let tokens = signed_in(&app).await;
    let good = text(&tokens, "refresh_token");
    let mut other_crc = good.to_owned();
    other_crc.pop();
    other_crc.push(if good.ends_with('a') { 'b' } else { 'a' });
    let stranger = service::token::mint(&app.system, service::token::TokenKind::Refresh, uuid::Uuid::nil());
    let own_id = service::token::Token::parse(good).unwrap().id();
    let other_secret = service::token::mint(&app.system, service::token::TokenKind::Refresh, own_id);
    let invitation = service::token::mint(&app.system, service::token::TokenKind::Invitation, own_id);
    for bad in [
        "",
        "tkr_",
        "\0",
        text(&tokens, "access_token"),
        &other_crc,
        stranger.token.expose(),
        other_secret.token.expose(),
        invitation.token.expose(),
        &"x".repeat(100_000),
    ] {
        refresh(&app, bad).await.problem(401, "token_invalid");
    }
    app.anonymous().post("/v1/auth/refresh", json!({})).await.invalid(&[("/refresh_token", "required")]);
    app.client(good).get("/v1/auth/me").await.problem(401, "token_invalid");
    refresh(&app, good).await.ok();
});

on_both!(a_session_ends_with_idleness_and_with_age, |app| {
    let idle = signed_in(&app).await;
    let mut busy = signed_in(&app).await;
    for _ in 0..4 {
        app.clock.advance(TimeDelta::days(6));
        busy = refresh(&app, text(&busy, "refresh_token")).await.ok();
    }
    refresh(&app, text(&idle, "refresh_token")).await.problem(401, "session_ended");
    app.clock.advance(TimeDelta::days(6) - TimeDelta::minutes(5));
    busy = refresh(&app, text(&busy, "refresh_token")).await.ok();
    bearer(&app, &busy).get("/v1/auth/me").await.ok();
    app.clock.advance(TimeDelta::minutes(6));
    refresh(&app, text(&busy, "refresh_token")).await.problem(401, "session_ended");
    bearer(&app, &busy).get("/v1/auth/me").await.problem(401, "session_ended");
});

on_both!(signing_out_ends_the_session_at_once, |app| {
    let tokens = signed_in(&app).await;
    let other = signed_in(&app).await;
    let here = bearer(&app, &tokens);
    here.post("/v1/auth/logout", json!({ "all": true })).await.problem(400, "unknown_field");
    here.post("/v1/auth/logout", json!({})).await.no_content();
    here.get("/v1/auth/me").await.problem(401, "session_ended");
    here.post("/v1/auth/logout", json!({})).await.problem(401, "session_ended");
    refresh(&app, text(&tokens, "refresh_token")).await.problem(401, "session_ended");
    bearer(&app, &other).get("/v1/auth/me").await.ok();
});

on_both!(one_sees_and_ends_ones_own_sessions, |app| {
    let person = app.member().await;
    let mine = login(&app, "person0@example.com", PASSWORD).await.ok();
    let here = bearer(&app, &mine);
    let page = here.get("/v1/auth/sessions").await.ok();
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    let current: Vec<&Value> = items.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(current.len(), 1);
    let first = here.get("/v1/auth/sessions?page_size=1").await.ok();
    let next = format!("/v1/auth/sessions?page_size=1&cursor={}", text(&first, "next_cursor"));
    assert_ne!(here.get(&next).await.ok()["items"][0]["id"], first["items"][0]["id"]);

    let other = items.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/v1/auth/sessions/{}", text(other, "id"));
    app.owner().delete(&path).await.problem(404, "not_found");
    app.owner().delete("/v1/auth/sessions/nonsense").await.problem(404, "not_found");
    here.delete(&path).await.no_content();
    here.delete(&path).await.problem(404, "not_found");
    person.get("/v1/auth/me").await.problem(401, "session_ended");
    assert_eq!(here.get("/v1/auth/sessions").await.ok()["items"].as_array().unwrap().len(), 1);
});

on_both!(one_ends_ones_other_sessions, |app| {
    let stranger = app.member().await;
    let (first, second) = (signed_in(&app).await, signed_in(&app).await);
    bearer(&app, &second).delete("/v1/auth/sessions").await.no_content();
    bearer(&app, &second).get("/v1/auth/me").await.ok();
    bearer(&app, &first).get("/v1/auth/me").await.problem(401, "session_ended");
    app.owner().get("/v1/auth/me").await.problem(401, "session_ended");
    refresh(&app, text(&first, "refresh_token")).await.problem(401, "session_ended");
    refresh(&app, text(&second, "refresh_token")).await.ok();
    stranger.get("/v1/auth/me").await.ok();
});

on_both!(a_dump_of_the_tables_has_no_token, |app| {
    let tokens = signed_in(&app).await;
    let secret = text(&tokens, "refresh_token").split('_').nth(2).unwrap();
    let kept = tokens_kept(&app).await;
    assert_eq!(kept[0].digest.0.len(), 32);
    assert!(kept.iter().all(|row| row.digest.0 != secret.as_bytes()));
    assert!(platform_log(&app).await.iter().all(|row| !format!("{row:?}").contains(secret)));
    assert_eq!(login(&app, OWNER, secret).await.status, 401);
});

//! Whoever stops something gets a turn, however many go on using it.

use entity::{
    id::{TeamId, UserId},
    team, user_account,
};
use serde_json::json;
use service::{Ctx, scope::Scope};
use std::time::Duration;
use tests::on_both;

on_both!(a_suspension_is_not_overtaken_by_those_who_come_later, |app| {
    let made =
        app.owner().post("/v1/organizations/default/teams", json!({ "name": "search" })).await.created();
    let id: TeamId = made["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/organizations/default/teams/{id}/suspend");
    // Started first: Postgres ends a transaction that is idle for a second.
    let other = app.second_instance().await;
    let owner = other.owner();
    let here = Ctx::internal(&app.system, Scope::all(app.organization));
    let first = here.begin().await.unwrap();
    first.read::<team::Entity>().hold(id).await.unwrap();
    let suspension = tokio::spawn(async move { owner.post(&path, json!({})).await.ok() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let there = Ctx::internal(&other.system, Scope::all(app.organization));
    let late = tokio::spawn(async move {
        let unit = there.begin().await.unwrap();
        unit.read::<team::Entity>().hold(id).await.unwrap().status
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!suspension.is_finished(), "the team was held");
    assert!(!late.is_finished(), "who came late was let in first");
    drop(first);
    assert_eq!(suspension.await.unwrap()["status"], "suspended");
    assert_eq!(late.await.unwrap(), entity::status::Standing::Suspended);
});

on_both!(a_sign_in_and_a_suspension_of_the_person_do_not_block_each_other, |app| {
    let person = app.member().await;
    let id: UserId = person.user_id.parse().unwrap();
    let owner = app.second_instance().await.owner();
    let here = Ctx::internal(&app.system, Scope::platform());
    let mut sign_in = here.begin().await.unwrap();
    sign_in.read::<user_account::Entity>().hold(id).await.unwrap();
    let path = format!("/v1/users/{id}/suspend");
    let suspension = tokio::spawn(async move { owner.post(&path, json!({})).await.ok() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    sign_in.audit("user.login", id, json!({}));
    sign_in.commit(()).await.unwrap();
    assert_eq!(suspension.await.unwrap()["status"], "suspended");
});

//! Service accounts.

use chrono::TimeDelta;
use entity::{
    id::ServiceAccountId,
    json::{Metadata, Tags},
    status::KeyStatus,
    virtual_key,
};
use futures_util::future::join_all;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use tests::{Client, Request, TestApp, on_both};

const ACCOUNTS: &str = "/v1/organizations/default/service-accounts";

fn path(account: &Value) -> String {
    format!("{ACCOUNTS}/{}", account["id"].as_str().unwrap())
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// A live key of an account, written past the server.
async fn key(app: &TestApp, account: &Value) -> virtual_key::Model {
    let now = app.clock.now();
    let owner: ServiceAccountId = account["id"].as_str().unwrap().parse().unwrap();
    let row = virtual_key::ActiveModel {
        id: Set(app.system.entropy.id(now)),
        organization_id: Set(app.organization),
        name: Set("nightly".into()),
        service_account_id: Set(Some(owner)),
        created_by: Set("system".into()),
        status: Set(KeyStatus::Active),
        tags: Set(Tags::default()),
        metadata: Set(Metadata::default()),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    virtual_key::Entity::insert(row).exec_with_returning(&app.system.db.writer).await.unwrap()
}

fn writes(caller: &Client, path: &str) -> [Request; 4] {
    [
        caller.patch(path, json!({"description": "mine"})),
        caller.post(&format!("{path}/suspend"), json!({})),
        caller.post(&format!("{path}/resume"), json!({})),
        caller.delete(path),
    ]
}

on_both!(a_service_account_is_made_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let made = owner.post(ACCOUNTS, json!({"name": "nightly", "description": "at night"})).await.created();
    assert_eq!((&made["name"], &made["description"]), (&json!("nightly"), &json!("at night")));
    assert_eq!((&made["status"], &made["version"]), (&json!("active"), &json!(1)));
    assert_eq!(owner.get(&path(&made)).await.ok(), made);
    let bare = owner.post(ACCOUNTS, json!({"name": "bare 🦀"})).await.created();
    assert_eq!(bare["description"], "");

    let changed = owner.patch(&path(&made), json!({"name": "daily"})).if_match(1).await.ok();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("daily"), &json!("at night")));
    owner.patch(&path(&made), json!({"name": "late"})).if_match(1).await.problem(412, "version_conflict");
    owner.patch(&path(&made), json!({"name": "bare 🦀"})).await.problem(409, "duplicate");
    owner.delete(&path(&made)).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&path(&made)).if_match(2).await.no_content();
    owner.get(&path(&made)).await.problem(404, "not_found");
    for request in writes(&owner, &path(&made)) {
        request.await.problem(404, "not_found");
    }
    // A deleted account gives its name back.
    let again = owner.post(ACCOUNTS, json!({"name": "daily"})).await.created();
    assert_ne!(again["id"], made["id"]);
    assert_eq!(owner.get(ACCOUNTS).await.ok()["items"].as_array().unwrap().len(), 2);
});

on_both!(what_is_no_service_account_is_refused, |app| {
    let owner = app.owner();
    let post = |body: Value| owner.post(ACCOUNTS, body);
    post(json!({})).await.invalid(&[("/name", "required")]);
    post(json!({"name": ""})).await.invalid(&[("/name", "required")]);
    post(json!({"name": "a".repeat(256)})).await.invalid(&[("/name", "too_long")]);
    let both = json!({"name": "a\u{0}", "description": "b".repeat(1001)});
    post(both).await.invalid(&[("/name", "invalid_character"), ("/description", "too_long")]);
    post(json!({"name": "a", "description": null})).await.invalid(&[("/description", "not_nullable")]);
    post(json!({"name": "a", "status": "suspended"})).await.problem(400, "unknown_field");
    let made = post(json!({"name": "ä".repeat(255), "description": "ö".repeat(1000)})).await.created();
    post(json!({"name": "ä".repeat(255)})).await.problem(409, "duplicate");
    let patch = |body: Value| owner.patch(&path(&made), body);
    patch(json!({"name": null})).await.invalid(&[("/name", "not_nullable")]);
    patch(json!({"description": null})).await.invalid(&[("/description", "not_nullable")]);
    patch(json!({"name": " ", "description": "\u{7}"}))
        .await
        .invalid(&[("/name", "required"), ("/description", "invalid_character")]);
    patch(json!({"version": 1})).await.problem(400, "unknown_field");
    assert_eq!(owner.get(&path(&made)).await.ok(), made);
});

on_both!(service_accounts_have_their_readers_and_writers, |app| {
    let (owner, acme) = (app.owner(), app.other_organization("acme").await);
    let made = owner.post(ACCOUNTS, json!({"name": "a"})).await.created();
    for reader in [app.admin().await, app.billing().await, app.viewer().await] {
        reader.get(&path(&made)).await.ok();
        assert_eq!(names(&reader.get(ACCOUNTS).await.ok()), ["a"]);
    }
    app.member().await.get(ACCOUNTS).await.problem(403, "forbidden");
    for caller in [app.member().await, app.billing().await, app.viewer().await] {
        caller.post(ACCOUNTS, json!({"name": "b"})).await.problem(403, "forbidden");
        for request in writes(&caller, &path(&made)) {
            request.await.problem(403, "forbidden");
        }
    }
    let foreign = format!("/v1/organizations/acme/service-accounts/{}", made["id"].as_str().unwrap());
    for path in [&foreign, &path(&made)] {
        for request in writes(&acme, path).into_iter().chain([acme.get(path)]) {
            request.await.problem(404, "not_found");
        }
    }
    assert_eq!(owner.get(&path(&made)).await.ok(), made);
});

on_both!(service_accounts_are_listed_in_pages, |app| {
    let owner = app.owner();
    for name in ["a1", "a2", "b1", "b_1"] {
        app.clock.advance(TimeDelta::seconds(1));
        owner.post(ACCOUNTS, json!({"name": name})).await.created();
    }
    assert_eq!(names(&owner.get(ACCOUNTS).await.ok()), ["b_1", "b1", "a2", "a1"]);
    assert_eq!(names(&owner.get(&format!("{ACCOUNTS}?name_prefix=b_")).await.ok()), ["b_1"]);
    let first = owner.get(&format!("{ACCOUNTS}?page_size=3&order=asc")).await.ok();
    assert_eq!(names(&first), ["a1", "a2", "b1"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = owner.get(&format!("{ACCOUNTS}?page_size=3&order=asc&cursor={cursor}")).await.ok();
    assert_eq!((names(&rest), &rest["next_cursor"]), (vec!["b_1"], &json!(null)));
    owner.get(&format!("{ACCOUNTS}?cursor={cursor}")).await.problem(400, "invalid_cursor");
    owner.get(&format!("{ACCOUNTS}?name=a1")).await.problem(400, "unknown_parameter");
});

on_both!(a_service_account_is_suspended_and_resumed, |app| {
    let owner = app.owner();
    let made = owner.post(ACCOUNTS, json!({"name": "a"})).await.created();
    let suspend = || owner.post(&format!("{}/suspend", path(&made)), json!({})).idempotency_key("k");
    let suspended = suspend().await.ok();
    assert_eq!((&suspended["status"], &suspended["version"]), (&json!("suspended"), &json!(2)));
    assert_eq!(suspend().await.ok(), suspended);
    assert_eq!(names(&owner.get(&format!("{ACCOUNTS}?status=suspended")).await.ok()), ["a"]);
    let resumed = owner.post(&format!("{}/resume", path(&made)), json!({})).await.ok();
    assert_eq!((&resumed["status"], &resumed["version"]), (&json!("active"), &json!(3)));
});

on_both!(live_keys_are_in_the_way_of_a_deletion, |app| {
    let owner = app.owner();
    let made = owner.post(ACCOUNTS, json!({"name": "a"})).await.created();
    let kept = key(&app, &made).await;
    owner.delete(&path(&made)).await.problem(409, "in_use");
    owner.delete(&format!("{}?cascade=delete", path(&made))).await.problem(400, "invalid_parameter");
    assert_eq!(owner.get(&path(&made)).await.ok(), made);
    owner.delete(&format!("{}?cascade=revoke", path(&made))).await.no_content();
    let after = virtual_key::Entity::find_by_id(kept.id).one(&app.system.db.reader).await.unwrap().unwrap();
    assert_eq!((after.status, after.version), (KeyStatus::Revoked, 2));
    owner.get(&path(&made)).await.problem(404, "not_found");
});

on_both!(making_a_service_account_can_be_repeated, |app| {
    let owner = app.owner();
    let body = json!({"name": "once"});
    let post = |caller: &Client| caller.post(ACCOUNTS, &body).idempotency_key("k");
    let first = post(&owner).await;
    let again = post(&owner).await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.text), (201, "true", &first.text));
    post(&app.admin().await).await.problem(409, "duplicate");
    let other = owner.post(ACCOUNTS, json!({"name": "other"})).idempotency_key("k");
    other.await.problem(422, "idempotency_key_reused");
    let replies =
        join_all((0..20).map(|_| owner.post(ACCOUNTS, json!({"name": "race"})).into_future())).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    assert!(replies.iter().all(|reply| matches!(reply.status, 201 | 409)));
    assert_eq!(owner.get(ACCOUNTS).await.ok()["items"].as_array().unwrap().len(), 2);
});

//! The life of a key: disabled, enabled, revoked, transferred, deleted, blocked by what is around it, looked up, and
//! many at once.

use crate::keys::{KEYS, at, key, path, service_account, team};
use chrono::TimeDelta;
use entity::{status::Standing, user_account};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

async fn post(client: &Client, path: &str, action: &str) -> tests::Reply {
    client.post(&format!("{path}/{action}"), json!({})).await
}

fn state(key: &Value) -> (&str, &str, &Value) {
    (key["status"].as_str().unwrap(), key["effective_status"].as_str().unwrap(), &key["blocked_by"])
}

on_both!(a_key_is_disabled_enabled_and_revoked_for_ever, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let path = path(&made);
    for version in [2, 3] {
        let off = post(&owner, &path, "disable").await.ok();
        assert_eq!((state(&off), &off["version"]), (("disabled", "disabled", &json!([])), &json!(version)));
    }
    owner.post(&format!("{path}/enable"), json!({})).if_match(2).await.problem(412, "version_conflict");
    let on = owner.post(&format!("{path}/enable"), json!({})).if_match(3).await.ok();
    assert_eq!(state(&on), ("active", "active", &json!([])));

    // An emergency asks for no version.
    let off = owner.post(&format!("{path}/disable"), json!({})).if_match(1).await.ok();
    assert_eq!(off["status"], "disabled");
    let gone = owner.post(&format!("{path}/revoke"), json!({})).if_match(1).await.ok();
    assert_eq!(state(&gone), ("revoked", "revoked", &json!([])));
    assert_eq!(gone["revoked_at"], "2027-01-15T10:00:00Z");
    for action in ["revoke", "disable", "enable", "rotate"] {
        post(&owner, &path, action).await.problem(409, "key_revoked");
    }
    let to = json!({"team_id": made["team_id"]});
    owner.post(&format!("{path}/transfer"), to).await.problem(409, "key_revoked");
    owner.patch(&path, json!({"name": "x"})).await.problem(409, "key_revoked");
    assert_eq!(owner.get(&path).await.ok(), gone);
});

on_both!(a_revoke_is_repeated_by_its_idempotency_key_alone, |app| {
    let (owner, path) = (app.owner(), path(&key(&app, "a").await));
    let revoke = || owner.post(&format!("{path}/revoke"), json!({}));
    let first = revoke().idempotency_key("r").await.ok();
    assert_eq!(revoke().idempotency_key("r").await.ok(), first);
    revoke().await.problem(409, "key_revoked");
});

on_both!(a_deleted_key_is_gone_and_its_history_stays, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let path = path(&made);
    owner.delete(&path).if_match(7).await.problem(412, "version_conflict");
    owner.delete(&path).if_match(1).await.no_content();
    assert_eq!(owner.get(&path).await.ok()["archived_at"], "2027-01-15T10:00:00Z");
    owner.delete(&path).await.problem(404, "not_found");
    post(&owner, &path, "enable").await.problem(404, "not_found");
    assert_eq!(owner.get(KEYS).await.ok()["items"], json!([]));
    owner.post(&format!("{KEYS}/lookup"), json!({"secret": made["secret"]})).await.ok();
    let rows = entity::virtual_key::Entity::find().all(&app.system.db.reader).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].archived_at.is_some() && rows[0].revoked_at.is_some());
    let secrets = entity::key_secret::Entity::find().all(&app.system.db.reader).await.unwrap();
    assert_eq!(secrets.len(), 1);

    // A team is free to go when its only key is gone.
    let team_path = format!("/v1/organizations/default/teams/{}", made["team_id"].as_str().unwrap());
    owner.delete(&team_path).await.no_content();
});

on_both!(a_key_is_handed_to_an_owner_at_work, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let (path, member, account) = (path(&made), app.member().await, service_account(&app, "ci").await);
    let transfer = |body: Value| owner.post(&format!("{path}/transfer"), body);
    transfer(json!({})).await.invalid(&[("", "one_owner")]);
    transfer(json!({"team_id": made["team_id"], "user_id": member.user_id}))
        .await
        .invalid(&[("", "one_owner")]);
    transfer(json!({"user_id": "user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70"})).await.problem(404, "not_found");
    transfer(json!({"owner": "x"})).await.problem(400, "unknown_field");
    let moved = transfer(json!({"user_id": member.user_id})).if_match(1).await.ok();
    assert_eq!((&moved["user_id"], &moved["team_id"]), (&json!(member.user_id), &json!(null)));
    assert_eq!((&moved["secrets"], &moved["version"]), (&made["secrets"], &json!(2)));
    transfer(json!({"service_account_id": account})).if_match(1).await.problem(412, "version_conflict");
    let moved = transfer(json!({"service_account_id": account})).await.ok();
    assert_eq!((&moved["service_account_id"], &moved["user_id"]), (&json!(account), &json!(null)));
    let asleep = team(&app, "asleep").await;
    post(&owner, &format!("/v1/organizations/default/teams/{asleep}"), "suspend").await.ok();
    transfer(json!({"team_id": asleep})).await.problem(409, "owner_suspended");
    let other = app.other_organization("acme").await;
    let theirs = other.post("/v1/organizations/acme/teams", json!({"name": "x"})).await.created();
    transfer(json!({"team_id": theirs["id"]})).await.problem(404, "not_found");
    assert_eq!(owner.get(&path).await.ok()["service_account_id"], account);
});

async fn set_user(app: &TestApp, id: &str, standing: Standing) {
    let change = user_account::ActiveModel { status: Set(standing), ..Default::default() };
    let update = user_account::Entity::update_many().set(change);
    let one = user_account::Column::Id.eq(id.parse::<entity::id::UserId>().unwrap());
    update.filter(one).exec(&app.system.db.writer).await.unwrap();
}

on_both!(what_is_around_a_key_blocks_it, |app| {
    let (owner, organization) = (app.owner(), "/v1/organizations/default");
    let (member, account, group) =
        (app.member().await, service_account(&app, "ci").await, team(&app, "a").await);
    let of = |body: Value| {
        let mut body = body;
        body["name"] = json!("k");
        owner.post(KEYS, body)
    };
    let of_team = path(&of(json!({"team_id": group})).await.created());
    let of_user = path(&of(json!({"user_id": member.user_id})).await.created());
    let of_account = path(&of(json!({"service_account_id": account})).await.created());
    for (key, thing, blocker) in [
        (&of_team, format!("{organization}/teams/{group}"), "team_suspended"),
        (&of_user, format!("{organization}/members/{}", member.user_id), "membership_suspended"),
        (&of_account, format!("{organization}/service-accounts/{account}"), "service_account_suspended"),
        (&of_team, organization.to_owned(), "organization_suspended"),
    ] {
        post(&owner, &thing, "suspend").await.ok();
        assert_eq!(state(&owner.get(key).await.ok()), ("active", "blocked", &json!([blocker])));
        post(&owner, &thing, "resume").await.ok();
        assert_eq!(state(&owner.get(key).await.ok()), ("active", "active", &json!([])));
    }
    set_user(&app, &member.user_id, Standing::Suspended).await;
    let person = format!("{organization}/members/{}", member.user_id);
    post(&owner, &person, "suspend").await.ok();
    let blocked = owner.get(&of_user).await.ok();
    assert_eq!(state(&blocked), ("active", "blocked", &json!(["membership_suspended", "user_suspended"])));
    // The key's own status comes first, and what blocks it is told all the same.
    post(&owner, &of_user, "disable").await.ok();
    let blocked = owner.get(&of_user).await.ok();
    assert_eq!(state(&blocked), ("disabled", "disabled", &json!(["membership_suspended", "user_suspended"])));
    // A key whose owner went past the server is not called healthy.
    entity::membership::Entity::delete_many()
        .filter(entity::membership::Column::UserId.eq(member.user_id.parse::<entity::id::UserId>().unwrap()))
        .exec(&app.system.db.writer)
        .await
        .unwrap();
    assert_eq!(owner.get(&of_user).await.ok()["blocked_by"], json!(["owner_gone", "user_suspended"]));
});

on_both!(a_leaked_secret_leads_to_its_key, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let lookup = |secret: &str| owner.post(&format!("{KEYS}/lookup"), json!({"secret": secret}));
    let text = made["secret"].as_str().unwrap().to_owned();
    let found = lookup(&text).await;
    assert!(!found.text.contains(&text[26..69]));
    let found = found.ok();
    assert_eq!((&found["id"], &found["match"]), (&made["id"], &json!("current")));
    assert_eq!(found["secret_id"], made["secrets"][0]["id"]);

    let rotate = format!("{}/rotate", path(&made));
    let next = owner.post(&rotate, json!({"grace_seconds": 60})).await.ok();
    assert_eq!(lookup(&text).await.ok()["match"], "grace");
    assert_eq!(lookup(next["secret"].as_str().unwrap()).await.ok()["match"], "current");
    app.clock.advance(TimeDelta::seconds(60));
    assert_eq!(lookup(&text).await.ok()["match"], "ended");
    post(&owner, &path(&made), "revoke").await.ok();
    assert_eq!(lookup(&text).await.ok()["effective_status"], "revoked");

    // A well-formed secret that is not the key's, and what is no secret at all.
    let other = key(&app, "b").await["secret"].as_str().unwrap().to_owned();
    let id = entity::id::KeyId::new(service::token::Token::parse(&text).unwrap().id());
    let forged = service::token::mint(&app.system, service::token::TokenKind::VirtualKey, id.uuid());
    let mixed = format!("{}{}", &text[..26], &other[26..]);
    let admin_kind = format!("tka{}", &text[2..]);
    let huge = "x".repeat(100_000);
    for wrong in ["", "tk_", "\u{0}", &mixed, &admin_kind, &huge, forged.token.expose()] {
        lookup(wrong).await.problem(404, "not_found");
    }
    owner.post(&format!("{KEYS}/lookup"), json!({})).await.invalid(&[("/secret", "required")]);
    let events = entity::audit_event::Entity::find()
        .filter(entity::audit_event::Column::Action.eq("key.lookup"))
        .all(&app.system.db.reader)
        .await
        .unwrap();
    assert_eq!(events.len(), 5, "each answered question is audited");
    assert!(events.iter().all(|event| event.subject == made["id"].as_str().unwrap()));
});

on_both!(many_keys_are_revoked_by_what_they_have_in_common, |app| {
    let (owner, admin) = (app.owner(), app.admin().await);
    let (a, b) = (team(&app, "a").await, team(&app, "b").await);
    let issue = |client: &Client, team: &str, tag: &str| {
        client.post(KEYS, json!({"name": "k", "team_id": team, "tags": {"env": tag}}))
    };
    let revoke = |body: Value| owner.post(&format!("{KEYS}/revoke"), body);
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for tag in ["prod", "prod", "dev"] {
        of_a.push(issue(&owner, &a, tag).idempotency_key(&format!("a{}", of_a.len())).await.created());
        of_b.push(issue(&admin, &b, tag).await.created());
    }
    revoke(json!({})).await.invalid(&[("", "required")]);
    revoke(json!({"team_id": null})).await.invalid(&[("", "required")]);
    revoke(json!({"tag": "env"})).await.invalid(&[("/tag", "invalid_value")]);
    revoke(json!({"all": true})).await.problem(400, "unknown_field");
    revoke(json!({"team_id": "team_019aa3c1f6b07c3e9a5d2f4b8c6e1d70"})).await.problem(404, "not_found");
    let unknown = "key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70";
    revoke(json!({"key_ids": [of_a[0]["id"], unknown]})).await.problem(404, "not_found");
    assert_eq!(revoke(json!({"key_ids": []})).await.ok()["revoked"], 0);
    assert_eq!(revoke(json!({"team_id": a, "tag": "env:prod"})).await.ok()["revoked"], 2);
    issue(&owner, &a, "prod").idempotency_key("a0").await.problem(409, "secret_expired");
    assert_eq!(revoke(json!({"team_id": a, "tag": "env:prod"})).await.ok()["revoked"], 0);
    assert_eq!(owner.get(&path(&of_a[2])).await.ok()["status"], "active");
    assert_eq!(
        revoke(json!({"key_ids": [of_b[0]["id"], of_b[0]["id"], of_a[0]["id"]]})).await.ok()["revoked"],
        1
    );
    assert_eq!(revoke(json!({"created_by": admin.user_id})).await.ok()["revoked"], 2);
    assert_eq!(revoke(json!({"team_id": a})).await.ok()["revoked"], 1);
    for key in of_a.iter().chain(&of_b) {
        let key = owner.get(&path(key)).await.ok();
        assert_eq!((&key["status"], &key["version"]), (&json!("revoked"), &json!(2)));
    }
});

on_both!(more_keys_than_one_step_takes_are_revoked_and_each_is_audited, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    for _ in 0..300 {
        owner.post(KEYS, json!({"name": "k", "team_id": group})).await.created();
    }
    let before = policy_version(&app).await;
    assert_eq!(owner.post(&format!("{KEYS}/revoke"), json!({"team_id": group})).await.ok()["revoked"], 300);
    let audited = entity::audit_event::Entity::find()
        .filter(entity::audit_event::Column::Action.eq("key.revoke"))
        .all(&app.system.db.reader)
        .await
        .unwrap();
    let subjects: std::collections::BTreeSet<&str> =
        audited.iter().map(|event| event.subject.as_str()).collect();
    assert_eq!(subjects.len(), 300);
    // In parts of 25, each in force by itself: nobody else waits for all of them.
    assert_eq!(policy_version(&app).await, before + 12);
});

async fn policy_version(app: &TestApp) -> i64 {
    let head = entity::org_head::Entity::find_by_id(app.organization).one(&app.system.db.reader).await;
    head.unwrap().unwrap().policy_version
}

on_both!(long_expired_keys_are_put_away_and_no_others, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    let issue = |end: Value| owner.post(KEYS, json!({"name": "k", "team_id": group, "expires_at": end}));
    let never = path(&issue(json!(null)).await.created());
    let long_ago = path(&issue(json!("2027-01-16T10:00:00Z")).await.created());
    let lately = path(&issue(json!("2027-02-15T10:00:00Z")).await.created());
    let revoked = path(&issue(json!("2027-01-16T10:00:00Z")).await.created());
    post(&owner, &revoked, "revoke").await.ok();
    app.clock.advance(TimeDelta::days(31) - TimeDelta::microseconds(1));
    let owner = app.admin().await;
    let archive = |body: Value| owner.post(&format!("{KEYS}/archive-expired"), body);
    assert_eq!(archive(json!({})).await.ok()["archived"], 0);
    app.clock.advance(TimeDelta::microseconds(1));
    assert_eq!(archive(json!({})).await.ok()["archived"], 1);
    assert!(owner.get(&long_ago).await.ok()["archived_at"].is_string());
    for kept in [&never, &lately, &revoked] {
        owner.get(kept).await.ok();
    }
    assert_eq!(archive(json!({"expired_for_seconds": 0})).await.ok()["archived"], 1);
    assert!(owner.get(&lately).await.ok()["archived_at"].is_string());
    archive(json!({"expired_for_seconds": -1})).await.invalid(&[("/expired_for_seconds", "out_of_range")]);
    assert_eq!(owner.get(KEYS).await.ok()["items"].as_array().unwrap().len(), 2);
});

on_both!(every_change_is_audited_without_its_secret, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let path = at(KEYS, &made);
    owner.patch(&path, json!({"name": "n"})).await.ok();
    post(&owner, &path, "disable").await.ok();
    post(&owner, &path, "enable").await.ok();
    let next = owner.post(&format!("{path}/rotate"), json!({"grace_seconds": 60})).await.ok();
    owner
        .delete(&format!("{path}/secrets/{}", made["secrets"][0]["id"].as_str().unwrap()))
        .await
        .no_content();
    post(&owner, &path, "revoke").await.ok();
    owner.delete(&path).await.no_content();
    let events = entity::audit_event::Entity::find().all(&app.system.db.reader).await.unwrap();
    let of_key = events.iter().filter(|event| event.subject == made["id"].as_str().unwrap());
    let actions: Vec<&str> = of_key.map(|event| event.action.as_str()).collect();
    let expected = ["create", "update", "disable", "enable", "rotate", "end_grace", "revoke", "delete"];
    assert_eq!(actions, expected.map(|action| format!("key.{action}")));
    for secret in [&made["secret"], &next["secret"]] {
        let secret = &secret.as_str().unwrap()[26..69];
        assert!(events.iter().all(|event| !event.detail.contains(secret)));
    }
    assert!(events.iter().all(|event| !event.detail.contains("digest")));
});

on_both!(many_keys_are_revoked_in_parts_and_told_as_one, |app| {
    let owner = app.owner();
    let team = team(&app, "many").await;
    for _ in 0..60 {
        owner.post(KEYS, json!({"name": "k", "team_id": team})).await.created();
    }
    let kept = owner.post(KEYS, json!({"name": "kept", "team_id": team})).await.created();
    let ids: Vec<Value> = all(&owner, &format!("{KEYS}?team_id={team}")).await;
    let named: Vec<&Value> = ids.iter().filter(|id| **id != kept["id"]).collect();
    let revoke = || owner.post(&format!("{KEYS}/revoke"), json!({"key_ids": named})).idempotency_key("r");
    assert_eq!(revoke().await.ok()["revoked"], 60);
    assert_eq!(revoke().await.ok()["revoked"], 60, "the reply of the first call");
    assert_eq!(owner.get(&path(&kept)).await.ok()["status"], "active");
    let rest = json!({"team_id": team});
    assert_eq!(owner.post(&format!("{KEYS}/revoke"), rest).await.ok()["revoked"], 1);
    let events = all(&owner, "/v1/organizations/default/audit-events?action=key.revoke").await;
    assert_eq!(events.len(), 61, "an event of each key");
});

/// The ids of all pages of a list.
async fn all(client: &Client, list: &str) -> Vec<Value> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{list}&page_size=50{cursor}")).await.ok();
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

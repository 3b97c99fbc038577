//! Rotation: one id, a new secret, a grace for the one before.

use crate::keys::{key, path, team};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{id::SecretId, key_secret};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};
use tests::{TestApp, on_both};

/// The ends of a key's live secrets, oldest first.
fn ends(key: &Value) -> Vec<Value> {
    key["secrets"].as_array().unwrap().iter().map(|secret| secret["expires_at"].clone()).collect()
}

on_both!(a_rotated_key_keeps_everything_but_its_secret, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let rotated = owner.post(&format!("{}/rotate", path(&made)), json!({})).await.ok();
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(rotated["secret"].as_str().unwrap()[..25], made["secret"].as_str().unwrap()[..25]);
    for field in ["id", "name", "team_id", "status", "expires_at", "created_by", "created_at"] {
        assert_eq!(rotated[field], made[field], "{field}");
    }
    assert_eq!(rotated["version"], 2);
    assert_eq!(ends(&rotated), [json!(null)], "without a grace the old one ends at once");
    assert_ne!(rotated["secrets"][0]["id"], made["secrets"][0]["id"]);

    let all = owner.get(&format!("{}/secrets", path(&made))).await.ok();
    let all = all["items"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    let old = all.iter().find(|secret| secret["id"] == made["secrets"][0]["id"]).unwrap();
    assert_eq!(old["expires_at"], "2027-01-15T10:00:00Z");
    assert_eq!(
        owner.get(&format!("{}/secrets/{}", path(&made), old["id"].as_str().unwrap())).await.ok(),
        *old
    );
});

on_both!(a_grace_ends_when_it_was_said_to, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let path = path(&made);
    let rotated = owner.post(&format!("{path}/rotate"), json!({"grace_seconds": 3600})).await.ok();
    assert_eq!(ends(&rotated), [json!("2027-01-15T11:00:00Z"), json!(null)]);
    assert_eq!(rotated["secrets"][0]["id"], made["secrets"][0]["id"]);
    app.clock.advance(TimeDelta::seconds(3600) - TimeDelta::microseconds(1));
    assert_eq!(ends(&owner.get(&path).await.ok()).len(), 2);
    app.clock.advance(TimeDelta::microseconds(1));
    assert_eq!(ends(&owner.get(&path).await.ok()), [json!(null)]);
});

on_both!(no_more_than_two_secrets_live, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let rotate = format!("{}/rotate", path(&made));
    let second = owner.post(&rotate, json!({"grace_seconds": 3600})).await.ok();
    app.clock.advance(TimeDelta::seconds(60));
    let third = owner.post(&rotate, json!({"grace_seconds": 7200})).await.ok();
    assert_eq!(ends(&third), [json!("2027-01-15T12:01:00Z"), json!(null)]);
    assert_eq!(third["secrets"][0]["id"], second["secrets"][1]["id"]);
    let secrets = key_secret::Entity::find().order_by_asc(key_secret::Column::CreatedAt);
    let secrets = secrets.all(&app.system.db.reader).await.unwrap();
    let end = |secret: &Value| {
        let id: SecretId = secret["id"].as_str().unwrap().parse().unwrap();
        secrets.iter().find(|row| row.id == id).unwrap().expires_at
    };
    // The first had an hour and loses what is left of it.
    let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
    assert_eq!(end(&made["secrets"][0]), at("2027-01-15T10:01:00Z"));
    assert_eq!(end(&third["secrets"][1]), None);
    // A secret whose grace is over keeps the end it had.
    app.clock.advance(TimeDelta::days(1));
    owner.post(&rotate, json!({})).await.ok();
    let gone = owner
        .get(&format!("{}/secrets/{}", path(&made), made["secrets"][0]["id"].as_str().unwrap()))
        .await
        .ok();
    assert_eq!(gone["expires_at"], "2027-01-15T10:01:00Z");
});

on_both!(a_rotation_says_what_is_wrong_with_it, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let rotate = |body: Value| owner.post(&format!("{}/rotate", path(&made)), body);
    for grace in [-1, 2_592_001, i64::MAX, i64::MIN] {
        rotate(json!({"grace_seconds": grace})).await.invalid(&[("/grace_seconds", "out_of_range")]);
    }
    rotate(json!({"grace_seconds": null})).await.invalid(&[("/grace_seconds", "not_nullable")]);
    rotate(json!({"grace_seconds": 1.5})).await.invalid(&[("/grace_seconds", "invalid_value")]);
    rotate(json!({"grace": 1})).await.problem(400, "unknown_field");
    rotate(json!({"grace_seconds": -1, "expires_at": "2020-01-01T00:00:00Z"}))
        .await
        .invalid(&[("/grace_seconds", "out_of_range"), ("/expires_at", "in_the_past")]);
    let unchanged = owner.get(&path(&made)).await.ok();
    assert_eq!((&unchanged["version"], &unchanged["secrets"]), (&json!(1), &made["secrets"]));
    let longest =
        rotate(json!({"grace_seconds": 2_592_000, "expires_at": "2028-01-01T00:00:00Z"})).await.ok();
    assert_eq!(longest["expires_at"], "2028-01-01T00:00:00Z");
    assert_eq!(ends(&longest)[0], "2027-02-14T10:00:00Z");
    assert_eq!(rotate(json!({"expires_at": null})).await.ok()["expires_at"], "2028-01-01T00:00:00Z");
});

on_both!(a_disabled_or_expired_key_is_rotated_and_stays_so, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    let body = json!({"name": "k", "team_id": group, "expires_at": "2027-01-15T11:00:00Z"});
    let path = path(&owner.post(crate::keys::KEYS, body).await.created());
    owner.post(&format!("{path}/disable"), json!({})).await.ok();
    assert_eq!(owner.post(&format!("{path}/rotate"), json!({})).await.ok()["effective_status"], "disabled");
    app.clock.advance(TimeDelta::hours(1));
    assert_eq!(owner.post(&format!("{path}/rotate"), json!({})).await.ok()["effective_status"], "expired");
    let body = json!({"expires_at": "2027-01-15T12:00:00Z"});
    assert_eq!(owner.post(&format!("{path}/rotate"), body).await.ok()["effective_status"], "disabled");
});

on_both!(a_grace_is_ended_early, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let (path, other) = (path(&made), key(&app, "b").await);
    let secret =
        |key: &Value, n: usize| format!("{path}/secrets/{}", key["secrets"][n]["id"].as_str().unwrap());
    owner.delete(&secret(&made, 0)).await.problem(409, "secret_current");
    owner.delete(&secret(&other, 0)).await.problem(404, "not_found");
    owner.get(&secret(&other, 0)).await.problem(404, "not_found");
    // Ids of one moment are in no order.
    app.clock.advance(TimeDelta::seconds(1));
    let body = json!({"grace_seconds": 60});
    let rotated = owner.post(&format!("{path}/rotate"), &body).idempotency_key("r").await.ok();
    owner.delete(&secret(&rotated, 0)).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&secret(&rotated, 0)).if_match(2).await.no_content();
    let after = owner.get(&path).await.ok();
    assert_eq!((ends(&after), &after["version"]), (vec![json!(null)], &json!(3)));
    owner.delete(&secret(&rotated, 0)).await.problem(409, "secret_ended");
    owner.delete(&secret(&rotated, 1)).await.problem(409, "secret_current");
    // The new secret is as good as before, and so is the reply that shows it.
    let again = owner.post(&format!("{path}/rotate"), &body).idempotency_key("r").await;
    assert_eq!(again.ok()["secret"], rotated["secret"]);
});

async fn use_secret(app: &TestApp, secret: &Value) {
    let id: SecretId = secret["id"].as_str().unwrap().parse().unwrap();
    app.system.activity.note(id.uuid(), app.clock.now());
    service::activity::flush(&app.system).await.unwrap();
}

on_both!(last_use_is_told_for_each_secret_and_for_the_key, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let path = path(&made);
    let rotated = owner.post(&format!("{path}/rotate"), json!({"grace_seconds": 600})).await.ok();
    use_secret(&app, &rotated["secrets"][1]).await;
    app.clock.advance(TimeDelta::seconds(120));
    use_secret(&app, &rotated["secrets"][0]).await;
    let used = owner.get(&path).await.ok();
    assert_eq!(used["version"], 2, "a use is no change");
    assert_eq!(used["last_used_at"], "2027-01-15T10:02:00Z");
    assert_eq!(used["secrets"][0]["last_used_at"], "2027-01-15T10:02:00Z");
    assert_eq!(used["secrets"][1]["last_used_at"], "2027-01-15T10:00:00Z");
    // The key was used, even when the secret it was used with has ended.
    app.clock.advance(TimeDelta::seconds(480));
    let later = owner.get(&path).await.ok();
    assert_eq!(later["secrets"].as_array().unwrap().len(), 1);
    assert_eq!(later["last_used_at"], "2027-01-15T10:02:00Z");
});

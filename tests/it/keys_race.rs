//! Keys under concurrency: whatever happens at once, the end is one that some order leads to, and a revoke always wins.

use crate::keys::{KEYS, key, path, team};
use entity::key_secret;
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{Reply, TestApp, on_both};

/// How many secrets of a key are current, and how many there are.
async fn secrets(app: &TestApp, key: &Value) -> (usize, usize) {
    let id: entity::id::KeyId = key["id"].as_str().unwrap().parse().unwrap();
    let rows = key_secret::Entity::find().filter(key_secret::Column::KeyId.eq(id));
    let rows = rows.all(&app.system.db.reader).await.unwrap();
    (rows.iter().filter(|secret| secret.expires_at.is_none()).count(), rows.len())
}

fn with_status(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

on_both!(fifty_rotations_leave_one_current_secret_and_one_in_grace, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let rotate = format!("{}/rotate", path(&made));
    let replies =
        join_all((0..50).map(|_| owner.post(&rotate, json!({"grace_seconds": 60})).into_future())).await;
    assert_eq!(with_status(&replies, 200), 50, "{:?}", replies.iter().find(|reply| reply.status != 200));
    let shown: BTreeSet<&str> = replies.iter().map(|reply| reply.body["secret"].as_str().unwrap()).collect();
    assert_eq!(shown.len(), 50);
    assert_eq!(secrets(&app, &made).await, (1, 51));
    let end = owner.get(&path(&made)).await.ok();
    assert_eq!((end["secrets"].as_array().unwrap().len(), &end["version"]), (2, &json!(51)));
    // The current secret is the one that the last of them showed.
    let last = replies.iter().find(|reply| reply.body["version"] == 51).unwrap();
    let found = owner.post(&format!("{KEYS}/lookup"), json!({"secret": last.body["secret"]})).await.ok();
    assert_eq!(found["match"], "current");
});

on_both!(a_revoke_wins_against_fifty_rotations, |app| {
    let owner = app.owner();
    for round in 0..4 {
        let made = key(&app, &format!("team {round}")).await;
        let rotate = format!("{}/rotate", path(&made));
        let revoke = format!("{}/revoke", path(&made));
        let calls = (0..51).map(|n| match n {
            _ if n == round * 15 => owner.post(&revoke, json!({})).into_future(),
            _ => owner.post(&rotate, json!({})).into_future(),
        });
        let replies = join_all(calls).await;
        let revoked = &replies[round * 15];
        assert_eq!((revoked.status, &revoked.body["status"]), (200, &json!("revoked")), "{}", revoked.text);
        // Those that came before rotated; none did after.
        let version = revoked.body["version"].as_i64().unwrap();
        for (_, reply) in replies.iter().enumerate().filter(|(n, _)| *n != round * 15) {
            match reply.status {
                200 => assert!(reply.body["version"].as_i64().unwrap() < version),
                _ => assert_eq!(
                    (reply.status, &reply.body["code"]),
                    (409, &json!("key_revoked")),
                    "{}",
                    reply.text
                ),
            }
        }
        let end = owner.get(&path(&made)).await.ok();
        assert_eq!((&end["status"], end["version"].as_i64()), (&json!("revoked"), Some(version)));
        let rotated = with_status(&replies, 200) - 1;
        assert_eq!(secrets(&app, &made).await, (1, rotated + 1));
        owner.post(&rotate, json!({})).await.problem(409, "key_revoked");
    }
});

on_both!(of_two_patches_with_one_version_exactly_one_wins, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let path = path(&made);
    for round in 0..200_i64 {
        let patch = |who: &str| {
            let text = format!("{who} {round}");
            let scopes = (who == "a").then_some(["chat"]);
            let body = json!({"name": text, "tags": {"by": text}, "scopes": scopes});
            owner.patch(&path, body).if_match(round + 1).into_future()
        };
        let (a, b) = futures_util::future::join(patch("a"), patch("b")).await;
        let (winner, loser) = if a.status == 200 { (a, b) } else { (b, a) };
        assert!(matches!(loser.status, 409 | 412), "{}", loser.text);
        assert_eq!(loser.body["code"], "version_conflict");
        let end = owner.get(&path).await.ok();
        assert_eq!(end, winner.ok());
        assert_eq!(end["version"], round + 2);
        assert_eq!(end["name"], end["tags"]["by"]);
        assert_eq!(end["scopes"].is_null(), end["name"].as_str().unwrap().starts_with('b'));
    }
});

on_both!(patches_without_a_version_never_mix, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let path = path(&made);
    let patch = |n: usize| {
        owner.patch(&path, json!({"name": format!("{n}"), "tags": {"n": format!("{n}")}})).into_future()
    };
    let replies = join_all((0..50).map(patch)).await;
    let won = with_status(&replies, 200);
    assert!(won >= 1);
    assert_eq!(won + with_status(&replies, 409), 50);
    let end = owner.get(&path).await.ok();
    assert_eq!(end["name"], end["tags"]["n"]);
    assert_eq!(end["version"], 1 + won);
});

on_both!(keys_made_at_once_are_all_there_and_all_different, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    let body = json!({"name": "same", "team_id": group});
    let replies = join_all((0..50).map(|_| owner.post(KEYS, &body).into_future())).await;
    let made: Vec<Value> = replies.into_iter().map(Reply::created).collect();
    let different =
        |field: &str| made.iter().map(|key| key[field].as_str().unwrap()).collect::<BTreeSet<_>>().len();
    assert_eq!((different("id"), different("secret")), (50, 50));
    assert_eq!(owner.get(&format!("{KEYS}/count?team_id={group}")).await.ok()["count"], 50);
});

on_both!(one_idempotent_create_sent_fifty_times_makes_one_key, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    let body = json!({"name": "once", "team_id": group});
    let replies =
        join_all((0..50).map(|_| owner.post(KEYS, &body).idempotency_key("once").into_future())).await;
    let made: BTreeSet<&str> =
        replies.iter().filter(|reply| reply.status == 201).map(|reply| reply.text.as_str()).collect();
    assert_eq!(made.len(), 1);
    assert!(
        replies.iter().all(|reply| reply.status == 201 || reply.body["code"] == "idempotency_in_progress")
    );
    assert_eq!(owner.get(&format!("{KEYS}/count")).await.ok()["count"], 1);
});

on_both!(a_key_is_never_made_for_a_team_that_is_gone, |app| {
    let owner = app.owner();
    for round in 0..10 {
        let group = team(&app, &format!("team {round}")).await;
        let gone = format!("/v1/organizations/default/teams/{group}?cascade=revoke");
        let body = json!({"name": "k", "team_id": group});
        let mut calls: Vec<_> = (0..6).map(|_| owner.post(KEYS, &body).into_future()).collect();
        calls.insert(3, owner.delete(&gone).into_future());
        let mut replies = join_all(calls).await;
        let deleted = replies.remove(3);
        assert_eq!(deleted.status, 204, "{}", deleted.text);
        assert!(replies.iter().all(|reply| matches!(reply.status, 201 | 404)));
        let active = owner.get(&format!("{KEYS}/count?status=active")).await.ok();
        assert_eq!(active["count"], 0, "a live key of a deleted team");
    }
});

on_both!(transfers_revokes_and_deletes_at_once_end_legally, |app| {
    let owner = app.owner();
    let (a, b) = (team(&app, "to a").await, team(&app, "to b").await);
    for round in 0..10 {
        let made = key(&app, &format!("team {round}")).await;
        let path = path(&made);
        let act = |action: &str, body: Value| owner.post(&format!("{path}/{action}"), body).into_future();
        let replies = join_all([
            act("transfer", json!({"team_id": a})),
            act("disable", json!({})),
            act("transfer", json!({"team_id": b})),
            act("revoke", json!({})),
            act("enable", json!({})),
            owner.post(&format!("{KEYS}/revoke"), json!({"key_ids": [made["id"]]})).into_future(),
        ])
        .await;
        assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 409)), "{replies:?}");
        let end = owner.get(&path).await.ok();
        assert_eq!(end["status"], "revoked");
        let changes = replies[..5].iter().filter(|reply| reply.status == 200).count()
            + usize::from(replies[5].body["revoked"] == 1);
        assert_eq!(end["version"], 1 + changes);
    }
});

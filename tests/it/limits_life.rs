//! Limits over time: changes, deletions, keys that are made with limits, and races.

use crate::{
    keys::{KEYS, key, team},
    limits::{LIMITS, budget, ids, path},
};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

async fn make(app: &TestApp, client: &Client) -> Value {
    client.post(LIMITS, budget("organization", app.organization.to_string())).await.created()
}

on_both!(amount_and_mode_change_and_nothing_else_does, |app| {
    let owner = app.owner();
    let made = make(&app, &owner).await;
    app.clock.advance(TimeDelta::seconds(5));
    let changed = owner.patch(&path(&made), json!({"amount": "7.25"})).if_match(1).await.ok();
    let mut expected = made.clone();
    expected["amount"] = json!("7.250000000");
    expected["version"] = json!(2);
    expected["updated_at"] = json!(app.clock.now());
    assert_eq!(changed, expected);
    let changed = owner.patch(&path(&made), json!({"mode": "shadow", "amount": "0"})).if_match(2).await.ok();
    assert_eq!((&changed["mode"], &changed["amount"]), (&json!("shadow"), &json!("0.000000000")));
    assert_eq!(owner.get(&path(&made)).await.ok(), changed);
    // What changes nothing is no change.
    for body in [json!({}), json!({"amount": "0.0"}), json!({"mode": "shadow"})] {
        assert_eq!(owner.patch(&path(&made), body).if_match(3).await.ok(), changed);
    }
});

on_both!(whoever_edits_a_limit_states_the_version_that_was_seen, |app| {
    let owner = app.owner();
    let made = path(&make(&app, &owner).await);
    let (patch, delete) = (owner.patch(&made, json!({"amount": "1"})), owner.delete(&made));
    patch.await.problem(428, "precondition_required");
    delete.await.problem(428, "precondition_required");
    owner
        .patch(&made, json!({"amount": "1"}))
        .header("if-match", "*")
        .await
        .problem(428, "precondition_required");
    for stale in [0, 2, i64::MAX] {
        owner.patch(&made, json!({"amount": "1"})).if_match(stale).await.problem(412, "version_conflict");
        owner.delete(&made).if_match(stale).await.problem(412, "version_conflict");
    }
    owner.patch(&made, json!({"amount": "x"})).if_match(2).await.problem(412, "version_conflict");
    owner.patch(&made, json!({"amount": "1"})).header("if-match", "W/\"1\"").await.ok();
    owner.delete(&made).if_match(2).await.no_content();
});

on_both!(a_deleted_limit_is_not_there, |app| {
    let owner = app.owner();
    let made = path(&make(&app, &owner).await);
    owner.delete(&made).if_match(1).await.no_content();
    owner.get(&made).await.problem(404, "not_found");
    owner.get(&format!("{made}/windows")).await.problem(404, "not_found");
    owner.patch(&made, json!({"amount": "1"})).if_match(2).await.problem(404, "not_found");
    owner.delete(&made).if_match(2).await.problem(404, "not_found");
    owner.post(&format!("{made}/reset"), json!({})).await.problem(404, "not_found");
    assert_eq!(ids(&owner, "").await, [json!(null); 0]);
});

on_both!(of_two_changes_with_one_version_exactly_one_wins, |app| {
    let (here, there) = (app.owner(), app.second_instance().await.owner());
    let made = path(&make(&app, &here).await);
    for round in 0..20_i64 {
        let patch = |client: &Client, amount: i64, mode: &str| {
            let body = json!({"amount": amount.to_string(), "mode": mode});
            client.patch(&made, body).if_match(round + 1).into_future()
        };
        let (one, other) =
            tokio::join!(patch(&here, 100 + round, "warn"), patch(&there, 200 + round, "block"));
        let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        lost.problem(412, "version_conflict");
        let now = here.get(&made).await.ok();
        assert_eq!(now, won.ok());
        assert_eq!(now["version"], round + 2);
        assert_eq!(now["mode"] == "warn", now["amount"].as_str().unwrap().starts_with('1'));
    }
});

on_both!(of_a_change_and_a_deletion_one_wins, |app| {
    let (here, there) = (app.owner(), app.second_instance().await.owner());
    for _ in 0..10 {
        let made = path(&make(&app, &here).await);
        let (changed, deleted) = tokio::join!(
            here.patch(&made, json!({"amount": "1"})).if_match(1).into_future(),
            there.delete(&made).if_match(1).into_future()
        );
        match (changed.status, deleted.status) {
            (200, _) => drop(deleted.problem(412, "version_conflict")),
            (_, 204) => drop(changed.problem(404, "not_found")),
            _ => panic!("{} {}", changed.text, deleted.text),
        }
    }
});

on_both!(a_limit_is_never_made_on_a_key_that_is_gone, |app| {
    let owner = app.owner();
    for round in 0..10 {
        let key = key(&app, &format!("k{round}")).await;
        let body = budget("key", key["id"].clone());
        let mut calls: Vec<_> = (0..4).map(|_| owner.post(LIMITS, &body).into_future()).collect();
        calls.insert(2, owner.delete(&crate::keys::path(&key)).into_future());
        let mut replies = join_all(calls).await;
        replies.remove(2).no_content();
        assert!(replies.iter().all(|reply| matches!(reply.status, 201 | 404)), "{replies:?}");
        owner.post(LIMITS, &body).await.problem(404, "not_found");
    }
});

on_both!(a_key_is_made_with_its_limits, |app| {
    app.with_catalogue().await;
    let owner = app.owner();
    let body = json!({
        "name": "k", "team_id": team(&app, "search").await,
        "limits": [
            {"metric": "cost", "window": "month", "amount": "50", "mode": "warn", "models": ["gpt-*"]},
            {"metric": "concurrency", "window": "total", "amount": "4"},
        ],
    });
    let issue = || owner.post(KEYS, &body).idempotency_key("k");
    let (first, again) = (issue().await, issue().await);
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.text), (201, "true", &first.text));
    let made = first.created();
    let limits = made["limits"].as_array().unwrap();
    assert_eq!(limits.len(), 2);
    for limit in limits {
        assert_eq!((&limit["subject_kind"], &limit["subject_id"]), (&json!("key"), &made["id"]));
        assert_eq!((&limit["set_by"], &limit["version"]), (&json!("organization"), &json!(1)));
        assert_eq!(&owner.get(&path(limit)).await.ok(), limit);
    }
    let amounts: Vec<_> = limits.iter().map(|limit| (&limit["amount"], &limit["currency"])).collect();
    assert!(amounts.contains(&(&json!("50.000000000"), &json!("USD"))), "{amounts:?}");
    assert!(amounts.contains(&(&json!("4"), &json!(null))), "{amounts:?}");
    let subject = made["id"].as_str().unwrap();
    assert_eq!(ids(&owner, &format!("?subject_id={subject}")).await.len(), 2);
    // A new secret changes nothing about them, and a key without any says so.
    let rotated = owner.post(&format!("{KEYS}/{subject}/rotate"), json!({})).await.ok();
    assert_eq!(rotated["limits"], made["limits"]);
    assert_eq!(key(&app, "plain").await["limits"], json!([]));
    assert!(owner.get(&format!("{KEYS}/{subject}")).await.ok().get("limits").is_none());
});

//! Keys that were deleted: they stay readable with everything that is known of them, and nothing changes them any more.

use crate::{
    keys::{KEYS, key, path, team},
    limits::LIMITS,
    metering::{BASE, Calls, same},
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::on_both;

on_both!(a_deleted_key_stays_readable, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    let path = path(&made);
    owner.delete(&path).await.no_content();
    let read = owner.get(&path).await.ok();
    assert_eq!(
        (&read["archived_at"], &read["revoked_at"]),
        (&json!("2027-01-15T10:00:00Z"), &read["archived_at"])
    );
    assert_eq!((&read["status"], &read["effective_status"]), (&json!("revoked"), &json!("revoked")));
    for sub in ["/secrets", "/limits", "/usage"] {
        owner.get(&format!("{path}{sub}")).await.ok();
    }
    let secret = owner.get(&format!("{path}/secrets")).await.ok()["items"][0]["id"].clone();
    owner.get(&format!("{path}/secrets/{}", secret.as_str().unwrap())).await.ok();
    let explained = owner.post(&format!("{path}/explain"), json!({})).await.ok();
    assert_eq!(explained["reasons"][0]["code"], "key_revoked");

    // Nothing changes it, and nobody else reads it.
    owner.delete(&path).await.problem(404, "not_found");
    owner.patch(&path, json!({"name": "x"})).await.problem(404, "not_found");
    for action in ["enable", "disable", "revoke", "rotate"] {
        owner.post(&format!("{path}/{action}"), json!({})).await.problem(404, "not_found");
    }
    let limit = json!({"subject_kind": "key", "subject_id": made["id"], "metric": "requests", "window": "day", "amount": "1"});
    owner.post(LIMITS, limit).await.problem(404, "not_found");
    let boss = app.team_admin(&team(&app, "other").await).await;
    boss.get(&path).await.problem(404, "not_found");
    let there = path.replace("/default/", "/acme/");
    app.other_organization("acme").await.get(&there).await.problem(404, "not_found");
});

on_both!(deleted_keys_are_listed_on_request, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    let issue = || owner.post(KEYS, json!({"name": "k", "team_id": group}));
    let kept = issue().await.created();
    app.clock.advance(TimeDelta::seconds(1));
    let gone = issue().await.created();
    owner.delete(&path(&gone)).await.no_content();
    let list = async |query: &str| {
        let page = owner.get(&format!("{KEYS}?team_id={group}{query}")).await.ok();
        page["items"].as_array().unwrap().iter().map(|key| key["id"].clone()).collect::<Vec<Value>>()
    };
    let count = async |query: &str| owner.get(&format!("{KEYS}/count?team_id={group}{query}")).await.ok();
    for none in ["", "&include_archived=false"] {
        assert_eq!((list(none).await, &count(none).await["count"]), (vec![kept["id"].clone()], &json!(1)));
    }
    let all = vec![gone["id"].clone(), kept["id"].clone()];
    assert_eq!(list("&include_archived=true").await, all);
    assert_eq!(count("&include_archived=true").await["count"], 2);
    assert_eq!(list("&include_archived=true&status=active").await, [kept["id"].clone()]);
    owner.get(&format!("{KEYS}?include_archived=maybe")).await.problem(400, "invalid_parameter");

    // Also those of a team that is gone with them.
    owner.delete(&format!("{BASE}/teams/{group}?cascade=revoke")).await.no_content();
    owner.delete(&path(&kept)).await.no_content();
    assert_eq!(list("&include_archived=true").await, all);
});

on_both!(what_a_deleted_key_used_is_still_added_up, |app| {
    let limits = json!([{"metric": "requests", "window": "day", "amount": "9"}]);
    let calls = Calls::new(&app, limits).await;
    let call = calls.open(json!({})).await;
    calls.settle(&call, json!({"input_tokens": 7})).await;
    let path = path(&calls.key);
    app.owner().delete(&path).await.no_content();
    let used = app.owner().get(&format!("{path}/usage")).await.ok();
    assert_eq!((&used["events"], &used["usage"]["input_tokens"]), (&json!(1), &json!(7)));
    let id = calls.id();
    for list in ["usage/events", "reservations"] {
        app.owner().get(&format!("{BASE}/{list}?key_id={id}")).await.ok();
    }
    let limits = app.owner().get(&format!("{LIMITS}?subject_id={id}")).await.ok();
    assert_eq!(limits["items"][0]["id"], calls.limit(0));
    same(crate::metering::counted(&app, calls.limit(0)).await, "1", "0");
    crate::metering::denied(&calls.ask(json!({})).await, &["key_revoked"]);
});

on_both!(a_deleted_key_is_found_by_its_secret, |app| {
    let (owner, made) = (app.owner(), key(&app, "a").await);
    owner.delete(&path(&made)).await.no_content();
    let lookup = json!({"secret": made["secret"]});
    let found = owner.post(&format!("{KEYS}/lookup"), &lookup).await.ok();
    assert_eq!((&found["id"], &found["match"]), (&made["id"], &json!("current")));
    assert_eq!(found["archived_at"], "2027-01-15T10:00:00Z");
    let boss = app.team_admin(&team(&app, "other").await).await;
    boss.post(&format!("{KEYS}/lookup"), &lookup).await.problem(404, "not_found");
});

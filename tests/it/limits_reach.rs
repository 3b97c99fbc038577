//! Who may limit what: the organization everything, who administers a team the team's keys and its members in it, and
//! another organization nothing.

use crate::{
    keys::{KEYS, service_account, team},
    limits::{LIMITS, budget, ids, path},
};
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

fn nobodys(prefix: &str) -> String {
    format!("{prefix}_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")
}

/// What a problem says, but for the request it names.
fn said(mut body: Value) -> Value {
    body["request_id"] = Value::Null;
    body
}

fn member(team: &str, user: &str) -> Value {
    let mut body = budget("member", user);
    body["team_id"] = json!(team);
    body
}

async fn key_of(app: &TestApp, team: &str) -> Value {
    app.owner().post(KEYS, json!({"name": "k", "team_id": team})).await.created()["id"].clone()
}

on_both!(ids_of_another_organization_are_ids_of_nothing, |app| {
    let (owner, acme) = (app.owner(), app.other_organization("acme").await);
    let there = "/v1/organizations/acme";
    let make = async |collection: &str, body: Value| {
        acme.post(&format!("{there}/{collection}"), body).await.created()["id"].as_str().unwrap().to_owned()
    };
    let organization = acme.get(there).await.ok()["id"].as_str().unwrap().to_owned();
    let group = make("teams", json!({"name": "t"})).await;
    let account = make("service-accounts", json!({"name": "s"})).await;
    let key = make("keys", json!({"name": "k", "team_id": group})).await;
    let limit = acme.post(&format!("{there}/limits"), budget("key", key.as_str())).await.created();
    for (kind, prefix, id) in [
        ("organization", "org", &organization),
        ("team", "team", &group),
        ("user", "user", &acme.user_id),
        ("service_account", "sa", &account),
        ("key", "key", &key),
    ] {
        let foreign = owner.post(LIMITS, budget(kind, id.as_str())).await.problem(404, "not_found");
        let random = owner.post(LIMITS, budget(kind, nobodys(prefix))).await.problem(404, "not_found");
        assert_eq!(said(foreign), said(random), "{kind}");
        let list = |id: &str| owner.get(&format!("{LIMITS}?subject_id={id}"));
        let (foreign, random) = (list(id).await, list(&nobodys(prefix)).await);
        assert_eq!(said(foreign.problem(404, "not_found")), said(random.problem(404, "not_found")), "{kind}");
    }
    let own = team(&app, "search").await;
    for (group, user) in [(&group, &owner.user_id), (&own, &acme.user_id)] {
        owner.post(LIMITS, member(group, user)).await.problem(404, "not_found");
    }
    owner.get(&format!("{LIMITS}?team_id={group}")).await.problem(404, "not_found");
    owner.get(&path(&limit)).await.problem(404, "not_found");
    owner.patch(&path(&limit), json!({"amount": "0"})).if_match(1).await.problem(404, "not_found");
    owner.delete(&path(&limit)).if_match(1).await.problem(404, "not_found");
    owner.post(&format!("{}/reset", path(&limit)), json!({})).await.problem(404, "not_found");
    assert_eq!(ids(&owner, "").await, [json!(null); 0]);
});

on_both!(a_teams_administrator_limits_its_keys_and_its_members, |app| {
    let (group, other) = (team(&app, "ours").await, team(&app, "theirs").await);
    let (boss, colleague) = (app.team_admin(&group).await, app.team_member(&group).await);
    let (key, foreign) = (key_of(&app, &group).await, key_of(&app, &other).await);
    for body in
        [budget("key", key.clone()), member(&group, &colleague.user_id), member(&group, &boss.user_id)]
    {
        let made = boss.post(LIMITS, body).await.created();
        assert_eq!((&made["set_by"], &made["created_by"]), (&json!("team"), &json!(boss.user_id)));
        assert_eq!(boss.patch(&path(&made), json!({"amount": "5"})).if_match(1).await.ok()["set_by"], "team");
        boss.post(&format!("{}/reset", path(&made)), json!({})).await.ok();
        boss.delete(&path(&made)).if_match(2).await.no_content();
    }
    // Not on the team itself, and not on what the team is in.
    let team_itself = boss.post(LIMITS, budget("team", group.clone())).await.problem(403, "forbidden");
    assert!(team_itself["detail"].as_str().unwrap().contains("keys of the team"), "{team_itself}");
    boss.post(LIMITS, budget("organization", app.organization.to_string())).await.problem(403, "forbidden");
    // What is outside the team is not there.
    let outsider = app.team_member(&other).await;
    let account = service_account(&app, "robot").await;
    for body in [
        budget("key", foreign),
        budget("team", other.clone()),
        budget("service_account", account),
        budget("user", boss.user_id.clone()),
        member(&other, &outsider.user_id),
        member(&group, &outsider.user_id),
        member(&other, &colleague.user_id),
    ] {
        boss.post(LIMITS, body).await.problem(404, "not_found");
    }
    let random = boss.post(LIMITS, member(&group, &nobodys("user"))).await.problem(404, "not_found");
    let outside = boss.post(LIMITS, member(&group, &outsider.user_id)).await.problem(404, "not_found");
    assert_eq!(said(random), said(outside));
    boss.post(LIMITS, budget("member", colleague.user_id.clone())).await.invalid(&[("/team_id", "required")]);
    assert_eq!(ids(&app.owner(), "").await, [json!(null); 0]);
});

on_both!(what_the_organization_has_set_a_team_leaves_alone, |app| {
    let (owner, group) = (app.owner(), team(&app, "ours").await);
    let boss = app.team_admin(&group).await;
    let key = key_of(&app, &group).await;
    let made = owner.post(LIMITS, budget("key", key.clone())).await.created();
    let on_team = owner.post(LIMITS, budget("team", group.clone())).await.created();
    for limit in [&made, &on_team] {
        assert_eq!(&boss.get(&path(limit)).await.ok(), limit);
        for version in [1, 7] {
            boss.patch(&path(limit), json!({"amount": "99"}))
                .if_match(version)
                .await
                .problem(403, "forbidden");
            boss.delete(&path(limit)).if_match(version).await.problem(403, "forbidden");
        }
        boss.delete(&path(limit)).await.problem(403, "forbidden");
        boss.post(&format!("{}/reset", path(limit)), json!({})).await.problem(403, "forbidden");
        assert_eq!(&owner.get(&path(limit)).await.ok(), limit);
    }
    let refused = boss.delete(&path(&made)).if_match(1).await.problem(403, "forbidden");
    assert!(refused["detail"].as_str().unwrap().contains("set by the organization"), "{refused}");
    // What the team has set, the organization changes; it stays the team's.
    let own = boss.post(LIMITS, budget("key", key)).await.created();
    let changed = owner.patch(&path(&own), json!({"amount": "1"})).if_match(1).await.ok();
    assert_eq!(changed["set_by"], "team");
    boss.delete(&path(&own)).if_match(2).await.no_content();
});

on_both!(a_limit_goes_out_of_reach_with_its_key, |app| {
    let (owner, group) = (app.owner(), team(&app, "ours").await);
    let (boss, other) = (app.team_admin(&group).await, team(&app, "theirs").await);
    let body = json!({"name": "k", "team_id": group, "limits": [{"metric": "requests", "window": "day", "amount": "9"}]});
    let key = boss.post(KEYS, body).await.created();
    let limit = &key["limits"][0];
    assert_eq!(limit["set_by"], "team");
    assert_eq!(&boss.get(&path(limit)).await.ok(), limit);
    let transfer = format!("{}/transfer", crate::keys::path(&key));
    owner.post(&transfer, json!({"team_id": other})).await.ok();
    boss.get(&path(limit)).await.problem(404, "not_found");
    boss.delete(&path(limit)).if_match(1).await.problem(404, "not_found");
    assert_eq!(ids(&boss, "").await, [json!(null); 0]);
    assert_eq!(ids(&app.team_admin(&other).await, "").await, [limit["id"].clone()]);
});

on_both!(everybody_sees_what_is_within_reach, |app| {
    let (owner, group) = (app.owner(), team(&app, "ours").await);
    let (boss, person) = (app.team_admin(&group).await, app.team_member(&group).await);
    let own_key = owner.post(KEYS, json!({"name": "k", "user_id": person.user_id})).await.created();
    let mut made = Vec::new();
    for body in [
        budget("organization", app.organization.to_string()),
        budget("team", group.clone()),
        budget("key", key_of(&app, &group).await),
        member(&group, &person.user_id),
        budget("user", person.user_id.clone()),
        budget("key", own_key["id"].clone()),
    ] {
        made.push(owner.post(LIMITS, body).await.created()["id"].clone());
    }
    let sees = async |client: &Client, expected: &[usize]| {
        let mut found: Vec<String> = ids(client, "").await.iter().map(Value::to_string).collect();
        let mut expected: Vec<String> = expected.iter().map(|n| made[*n].to_string()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{client:?}");
    };
    for everything in [app.admin().await, app.billing().await, app.viewer().await] {
        sees(&everything, &[0, 1, 2, 3, 4, 5]).await;
    }
    sees(&boss, &[1, 2, 3]).await;
    sees(&person, &[4, 5]).await;
    sees(&app.member().await, &[]).await;
    // A filter finds what a limit within reach is on, and nothing else.
    let of = |id: &str| format!("?subject_id={id}");
    assert_eq!(ids(&boss, &of(&person.user_id)).await, [made[3].clone()]);
    let stranger = app.member().await;
    boss.get(&format!("{LIMITS}{}", of(&stranger.user_id))).await.problem(404, "not_found");
    assert_eq!(ids(&boss, &of(&app.organization.to_string())).await, [json!(null); 0]);
    for reader in [app.billing().await, app.viewer().await, person] {
        reader.post(LIMITS, budget("user", reader.user_id.clone())).await.problem(403, "forbidden");
        reader
            .delete(&format!("{LIMITS}/{}", made[4].as_str().unwrap()))
            .if_match(1)
            .await
            .problem(403, "forbidden");
    }
});

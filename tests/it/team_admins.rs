//! What an admin of a team sees of its people, and that a team keeps one.

use crate::teams::{id, make};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{Client, on_both};

const BASE: &str = "/v1/organizations/default";

async fn email(person: &Client) -> Value {
    person.get("/v1/auth/me").await.ok()["user"]["email"].clone()
}

fn ids(page: &Value, field: &str) -> Vec<Value> {
    page["items"].as_array().unwrap().iter().map(|item| item[field].clone()).collect()
}

on_both!(a_team_admin_sees_who_the_members_are, |app| {
    let (team, other) = (make(&app.owner(), "ours").await, make(&app.owner(), "theirs").await);
    let (boss, colleague) = (app.team_admin(id(&team)).await, app.team_member(id(&team)).await);
    let stranger = app.team_member(id(&other)).await;
    let (viewer, fellow) = (app.viewer().await, app.team_member(id(&team)).await);
    let path = format!("{team}/members/{}", colleague.user_id);
    for (reader, known) in
        [(&boss, true), (&app.owner(), true), (&viewer, true), (&colleague, true), (&fellow, false)]
    {
        let expected = if known { email(&colleague).await } else { Value::Null };
        let place = reader.get(&path).await.ok();
        assert_eq!((&place["email"], place["name"].is_string()), (&expected, known), "{place}");
        let page = reader.get(&format!("{team}/members")).await.ok();
        let mut items = page["items"].as_array().unwrap().iter();
        let found = items.find(|item| item["user_id"] == json!(colleague.user_id));
        assert_eq!(found.unwrap()["email"], expected);
    }
    // As members of the organization, too: those of the team, and nobody else.
    let members = format!("{BASE}/members");
    let mut found = ids(&boss.get(&members).await.ok(), "email");
    found.sort_by_key(ToString::to_string);
    let mut expected = vec![email(&boss).await, email(&colleague).await, email(&fellow).await];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
    assert_eq!(boss.get(&format!("{members}/{}", colleague.user_id)).await.ok()["role"], "member");
    boss.get(&format!("{members}/{}", stranger.user_id)).await.problem(404, "not_found");
    colleague.get(&members).await.problem(403, "forbidden");
    let suspend = format!("{members}/{}/suspend", stranger.user_id);
    boss.post(&suspend, json!({})).await.problem(404, "not_found");
});

on_both!(a_team_admin_sees_who_is_invited_into_the_team, |app| {
    let owner = app.owner();
    let (team, other) = (make(&owner, "ours").await, make(&owner, "theirs").await);
    let boss = app.team_admin(id(&team)).await;
    let invitations = format!("{BASE}/invitations");
    let invite = async |name: &str, teams: &[&str]| {
        let teams: Vec<Value> =
            teams.iter().map(|team| json!({"team_id": id(team), "role": "member"})).collect();
        let body = json!({"email": format!("{name}@example.net"), "role": "member", "teams": teams});
        owner.post(&invitations, body).await.created()["id"].clone()
    };
    let here = invite("a", &[&team]).await;
    app.clock.advance(TimeDelta::seconds(1));
    let both = invite("b", &[&other, &team]).await;
    let (there, nowhere) = (invite("c", &[&other]).await, invite("d", &[]).await);
    assert_eq!(ids(&boss.get(&invitations).await.ok(), "id"), [both, here.clone()]);
    let path = |id: &Value| format!("{invitations}/{}", id.as_str().unwrap());
    assert_eq!(boss.get(&path(&here)).await.ok()["email"], "a@example.net");
    for hidden in [&there, &nowhere] {
        boss.get(&path(hidden)).await.problem(404, "not_found");
    }
});

on_both!(a_team_keeps_its_last_admin, |app| {
    let owner = app.owner();
    let team = make(&owner, "search").await;
    let (boss, colleague) = (app.team_admin(id(&team)).await, app.team_member(id(&team)).await);
    let place = |person: &Client| format!("{team}/members/{}", person.user_id);
    let member = format!("{BASE}/members/{}", boss.user_id);
    let (demoted, promoted) = (json!({"role": "member"}), json!({"role": "admin"}));
    let refused = async || {
        for client in [&owner, &boss] {
            client.patch(&place(&boss), &demoted).await.problem(409, "last_admin");
            client.delete(&place(&boss)).await.problem(409, "last_admin");
        }
        owner.delete(&member).await.problem(409, "last_admin");
        boss.post(&format!("{BASE}/members/leave"), json!({})).await.problem(409, "last_admin");
    };
    refused().await;
    // Another admin who is suspended administers nothing.
    owner.patch(&place(&colleague), &promoted).await.ok();
    let suspend = format!("{BASE}/members/{}/suspend", colleague.user_id);
    owner.post(&suspend, json!({})).await.ok();
    refused().await;
    owner.post(&suspend.replace("suspend", "resume"), json!({})).await.ok();
    boss.patch(&place(&boss), &demoted).await.ok();
    colleague.patch(&place(&boss), &promoted).await.ok();
    owner.delete(&member).await.no_content();

    // Nobody is left behind by the last one of all.
    owner.delete(&place(&colleague)).await.no_content();
});

on_both!(of_two_admins_who_demote_each_other_one_stays, |app| {
    let owner = app.owner();
    for round in 0..4 {
        let team = make(&owner, &format!("team {round}")).await;
        let (one, two) = (app.team_admin(id(&team)).await, app.team_admin(id(&team)).await);
        let demote = |by: &Client, whom: &Client| {
            let path = format!("{team}/members/{}", whom.user_id);
            tokio::spawn(by.patch(&path, json!({"role": "member"})).into_future())
        };
        for call in [demote(&one, &two), demote(&two, &one)] {
            let status = call.await.unwrap().status;
            assert!([200, 403, 404, 409].contains(&status), "{status}");
        }
        let roles = ids(&owner.get(&format!("{team}/members")).await.ok(), "role");
        assert!(roles.contains(&json!("admin")), "{roles:?}");
    }
});

//! What an admin of a team does about people: invites, suspends and audits within the team, and nothing beyond it.

use crate::{
    keys::{KEYS, path},
    teams::{id, make},
};
use serde_json::{Value, json};
use tests::{Client, PASSWORD, TestApp, on_both};

const BASE: &str = "/v1/organizations/default";

fn invitation(email: &str, role: &str, teams: &[&str]) -> Value {
    let teams: Vec<Value> = teams.iter().map(|team| json!({"team_id": id(team), "role": "member"})).collect();
    json!({"email": email, "role": role, "teams": teams})
}

async fn join(app: &TestApp, token: &Value) -> tests::Reply {
    let body = json!({"token": token, "name": "Ada", "password": PASSWORD});
    app.anonymous().post("/v1/auth/accept-invitation", body).await
}

on_both!(a_team_admin_invites_members_into_the_team, |app| {
    let (ours, theirs) = (make(&app.owner(), "ours").await, make(&app.owner(), "theirs").await);
    let boss = app.team_admin(id(&ours)).await;
    let invitations = format!("{BASE}/invitations");
    let invite =
        |email: &str, role: &str, teams: &[&str]| boss.post(&invitations, invitation(email, role, teams));
    invite("a@example.net", "member", &[&theirs]).await.problem(404, "not_found");
    invite("a@example.net", "member", &[&ours, &theirs]).await.problem(404, "not_found");
    invite("a@example.net", "member", &[]).await.problem(403, "forbidden");
    for role in ["viewer", "billing", "admin", "owner"] {
        invite("a@example.net", role, &[&ours]).await.problem(403, "forbidden");
    }
    let made = invite("a@example.net", "member", &[&ours]).await.created();
    let joined = join(&app, &made["secret"]).await.ok();
    let place = format!("{ours}/members/{}", joined["user_id"].as_str().unwrap());
    assert_eq!(boss.get(&place).await.ok()["email"], "a@example.net");
    invite("a@example.net", "member", &[&ours]).await.problem(409, "duplicate");
    let member = format!("{BASE}/members/{}", joined["user_id"].as_str().unwrap());
    boss.post(&format!("{member}/suspend"), json!({})).await.ok();

    // One is taken back, but not one that leads elsewhere, too.
    let path = |made: &Value| format!("{invitations}/{}", made["id"].as_str().unwrap());
    let both = invitation("b@example.net", "member", &[&ours, &theirs]);
    let both = app.owner().post(&invitations, both).await.created();
    boss.delete(&path(&both)).await.problem(403, "forbidden");
    let own = invite("c@example.net", "member", &[&ours]).await.created();
    boss.delete(&path(&own)).await.no_content();

    // It is worth what its maker administers when it is accepted.
    let late = invite("d@example.net", "member", &[&ours]).await.created();
    let another = app.team_admin(id(&ours)).await;
    another.patch(&format!("{ours}/members/{}", boss.user_id), json!({"role": "member"})).await.ok();
    join(&app, &late["secret"]).await.problem(401, "token_invalid");
    boss.post(&invitations, invitation("e@example.net", "member", &[&ours])).await.problem(403, "forbidden");
});

on_both!(a_team_admin_suspends_members_of_the_team_alone, |app| {
    let owner = app.owner();
    let (ours, theirs) = (make(&owner, "ours").await, make(&owner, "theirs").await);
    let (boss, ada) = (app.team_admin(id(&ours)).await, app.team_member(id(&ours)).await);
    let act = |person: &Client, action: &str| {
        boss.post(&format!("{BASE}/members/{}/{action}", person.user_id), json!({}))
    };
    let key = json!({"name": "k", "user_id": ada.user_id});
    let key = owner.post(KEYS, key).await.created();
    assert_eq!(act(&ada, "suspend").await.ok()["status"], "suspended");
    assert_eq!(owner.get(&path(&key)).await.ok()["blocked_by"], json!(["membership_suspended"]));
    assert_eq!(act(&ada, "resume").await.ok()["status"], "active");

    let (stranger, fellow) = (app.team_member(id(&theirs)).await, app.team_admin(id(&ours)).await);
    act(&stranger, "suspend").await.problem(404, "not_found");
    act(&fellow, "suspend").await.problem(403, "forbidden");
    act(&boss, "suspend").await.problem(403, "forbidden");
    let add = async |team: &str, person: &Client| {
        let body = json!({"user_id": person.user_id, "role": "member"});
        owner.post(&format!("{team}/members"), body).await.created();
    };
    // Who adds a person gets no power over them.
    let newcomer = app.member().await;
    let body = json!({"user_id": newcomer.user_id, "role": "member"});
    boss.post(&format!("{ours}/members"), &body).await.created();
    act(&newcomer, "suspend").await.problem(403, "forbidden");
    owner.delete(&format!("{ours}/members/{}", newcomer.user_id)).await.no_content();
    add(&ours, &newcomer).await;
    act(&newcomer, "suspend").await.ok();
    act(&newcomer, "resume").await.ok();
    add(&theirs, &ada).await;
    act(&ada, "suspend").await.problem(403, "forbidden");
    let admin = app.admin().await;
    add(&ours, &admin).await;
    act(&admin, "suspend").await.problem(403, "forbidden");
    // Roles and removal are the organization's.
    let member = format!("{BASE}/members/{}", fellow.user_id);
    boss.patch(&member, json!({"role": "admin"})).await.problem(404, "not_found");
    boss.delete(&member).await.problem(404, "not_found");
});

on_both!(a_team_admin_reads_the_audit_events_of_the_team, |app| {
    let owner = app.owner();
    let (ours, theirs) = (make(&owner, "ours").await, make(&owner, "theirs").await);
    let boss = app.team_admin(id(&ours)).await;
    let person = app.member().await;
    let mut expected = vec![json!(id(&ours))];
    for team in [&theirs, &ours] {
        let key = owner.post(KEYS, json!({"name": "k", "team_id": id(team)})).await.created();
        let limit = json!({"subject_kind": "key", "subject_id": key["id"], "metric": "requests", "window": "day", "amount": "1"});
        let limit = owner.post(&format!("{BASE}/limits"), limit).await.created();
        let body = json!({"user_id": person.user_id, "role": "member"});
        owner.post(&format!("{team}/members"), body).await.created();
        let member = format!("{team}/members/{}", person.user_id);
        owner.patch(&member, json!({"role": "admin"})).await.ok();
        owner.delete(&path(&key)).await.no_content();
        let email = format!("{}@example.net", id(team));
        let made =
            owner.post(&format!("{BASE}/invitations"), invitation(&email, "member", &[team])).await.created();
        owner.delete(&format!("{BASE}/invitations/{}", made["id"].as_str().unwrap())).await.no_content();
        owner.delete(&member).await.no_content();
        if team == &ours {
            let person = json!(person.user_id);
            let (key, limit, made) = (&key["id"], &limit["id"], &made["id"]);
            let subjects = [key, limit, &person, &person, key, made, made, &person];
            expected.extend(subjects.into_iter().cloned());
        }
    }
    let events = boss.get(&format!("{BASE}/audit-events?order=asc&page_size=100")).await.ok();
    let subjects = |page: &Value| -> Vec<Value> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .filter(|event| event["subject"] != event["actor_id"])
            .map(|event| event["subject"].clone())
            .collect()
    };
    let mut found = subjects(&events);
    found.retain(|subject| !subject.as_str().unwrap().starts_with("sec_"));
    assert_eq!(found, expected, "{events}");
    assert_eq!(boss.get(&format!("{BASE}/audit-events/verify")).await.ok()["valid"], true);
    person.get(&format!("{BASE}/audit-events")).await.problem(403, "forbidden");
});

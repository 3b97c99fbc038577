//! Keys that a team issues to one of its people, or to an invitation: whose limits count them, who sees and rotates them,
//! and what becomes of them when the person leaves.

use crate::{
    auth::bearer,
    decisions::ask,
    keys::{KEYS, path, team},
    metering::{BASE, Calls, counted, denied, limit, same},
};
use chrono::{DateTime, TimeDelta, Utc};
use migration::{Migrator, MigratorTrait};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tests::{Client, PASSWORD, TestApp, on_both};

/// A team with an admin and a member.
struct Group {
    id: String,
    boss: Client,
    ada: Client,
}

impl Group {
    async fn new(app: &TestApp, name: &str) -> Self {
        let id = team(app, name).await;
        let (boss, ada) = (app.team_admin(&id).await, app.team_member(&id).await);
        Self { id, boss, ada }
    }

    /// A key that the admin issues to somebody.
    async fn issue(&self, field: &str, holder: &Value) -> Value {
        let body = json!({"name": "k", "team_id": self.id, field: holder});
        self.boss.post(KEYS, body).await.created()
    }

    async fn issue_to_ada(&self) -> Value {
        self.issue("issued_to_user_id", &json!(self.ada.user_id)).await
    }

    fn place(&self, person: &Client) -> String {
        format!("{BASE}/teams/{}/members/{}", self.id, person.user_id)
    }

    /// An invitation into the team: its id and its token.
    async fn invite(&self, app: &TestApp, email: &str) -> (Value, Value) {
        let teams = json!([{"team_id": self.id, "role": "member"}]);
        let body = json!({"email": email, "role": "member", "teams": teams});
        let made = app.owner().post(&format!("{BASE}/invitations"), body).await.created();
        (made["id"].clone(), made["secret"].clone())
    }
}

/// The status of a proxy's question, and why it is refused.
async fn check(app: &TestApp, gateway: &Client, key: &Value) -> (u16, String) {
    let client = app.client(key["secret"].as_str().unwrap());
    let reply = client.get("/v1/check").header("tollkeeper-gateway-token", gateway.bearer().unwrap()).await;
    (reply.status, reply.header("tollkeeper-denied").to_owned())
}

async fn blocked(app: &TestApp, key: &Value) -> (String, Value) {
    let key = app.owner().get(&path(key)).await.ok();
    (key["effective_status"].as_str().unwrap().to_owned(), key["blocked_by"].clone())
}

on_both!(an_issued_key_counts_in_its_holders_limits, |app| {
    let group = Group::new(&app, "a").await;
    let of = async |person: &Client, amount: &str| {
        let body = json!({"subject_kind": "member", "subject_id": person.user_id, "team_id": group.id,
            "metric": "requests", "window": "day", "amount": amount});
        limit(&app, body).await["id"].as_str().unwrap().to_owned()
    };
    let (hers, issuers) = (of(&group.ada, "2").await, of(&group.boss, "1").await);
    let gateway = app.gateway().await;
    let (one, two) = (group.issue_to_ada().await, group.issue_to_ada().await);
    assert_eq!(one["issued_to_user_id"], group.ada.user_id);
    let calls = Calls { gateway: gateway.clone(), key: one.clone() };
    let call = calls.open(json!({})).await;
    same(counted(&app, &hers).await, "0", "1");
    calls.settle(&call, json!({"input_tokens": 1})).await;
    same(counted(&app, &hers).await, "1", "0");
    // What is reported afterwards counts as well, and all of the person's keys in the team count together.
    let report = json!({"key": two["secret"], "usage": {"input_tokens": 1}});
    gateway.post("/v1/usage", report).await.ok();
    same(counted(&app, &hers).await, "2", "0");
    for key in [&one, &two] {
        let reply = ask(&gateway, key, json!({})).await;
        denied(&reply, &["limit_exceeded"]);
        assert_eq!(reply["reasons"][0]["limit_id"], hers.as_str());
        assert_eq!(check(&app, &gateway, key).await, (429, "limit_exceeded".into()));
        let limits = app.owner().get(&format!("{}/limits", path(key))).await.ok();
        assert_eq!(limits["items"][0]["limit_id"], hers.as_str());
    }
    same(counted(&app, &issuers).await, "none", "none");
    // Handed to the team without a holder, it counts for who issued it.
    let to = json!({"team_id": group.id});
    let key = app.owner().post(&format!("{}/transfer", path(&one)), to).await.ok();
    assert_eq!(key["issued_to_user_id"], Value::Null);
    calls.open(json!({})).await;
    same(counted(&app, &issuers).await, "0", "1");
});

on_both!(its_holder_sees_and_rotates_it, |app| {
    let group = Group::new(&app, "a").await;
    let (made, other) =
        (group.issue_to_ada().await, group.issue("issued_to_user_id", &json!(group.boss.user_id)).await);
    let path_of = path(&made);
    let ada = &group.ada;
    let seen = ada.get(&format!("{KEYS}?issued_to_user_id={}", ada.user_id)).await.ok();
    assert_eq!(seen["items"][0]["id"], made["id"]);
    assert_eq!(ada.get(KEYS).await.ok()["items"].as_array().unwrap().len(), 1);
    assert_eq!(ada.get(&format!("{KEYS}/count")).await.ok()["count"], 1);
    for sub in ["", "/limits", "/secrets", "/usage"] {
        ada.get(&format!("{path_of}{sub}")).await.ok();
        ada.get(&format!("{}{sub}", path(&other))).await.problem(404, "not_found");
    }
    let rotated = ada.post(&format!("{path_of}/rotate"), json!({"grace_seconds": 60})).await.ok();
    assert_eq!(rotated["issued_to_user_id"], ada.user_id);
    assert_eq!(ask(&app.gateway().await, &rotated, json!({})).await["allowed"], true);
    let longer = json!({"expires_at": "2027-02-01T00:00:00Z"});
    ada.post(&format!("{path_of}/rotate"), longer).await.problem(403, "forbidden");
    ada.post(&format!("{}/rotate", path(&other)), json!({})).await.problem(404, "not_found");
    ada.patch(&path_of, json!({"name": "x"})).await.problem(403, "forbidden");

    // What was used with it is hers to see, and nothing else of the team.
    let calls = Calls { gateway: app.gateway().await, key: rotated };
    let call = calls.open(json!({})).await;
    calls.settle(&call, json!({"input_tokens": 7})).await;
    let usage = ada.get(&format!("{path_of}/usage")).await.ok();
    assert_eq!(usage["usage"]["input_tokens"], 7);
    ada.get(&format!("{BASE}/teams/{}/usage", group.id)).await.problem(404, "not_found");
});

on_both!(a_key_whose_holder_left_the_team_is_refused, |app| {
    let group = Group::new(&app, "a").await;
    let (gateway, key) = (app.gateway().await, group.issue_to_ada().await);
    let untouched = group.issue("issued_to_user_id", &json!(group.boss.user_id)).await;
    assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], true);
    group.boss.delete(&group.place(&group.ada)).await.no_content();
    denied(&ask(&gateway, &key, json!({})).await, &["holder_left"]);
    assert_eq!(check(&app, &gateway, &key).await, (403, "holder_left".into()));
    assert_eq!(blocked(&app, &key).await, ("blocked".into(), json!(["holder_left"])));
    let explained = app.owner().post(&format!("{}/explain", path(&key)), json!({})).await.ok();
    let failed = explained["checks"].as_array().unwrap().iter().find(|check| check["passed"] == false);
    assert_eq!(failed.unwrap()["check"], "holder");
    group.ada.get(&path(&key)).await.problem(404, "not_found");
    assert_eq!(ask(&gateway, &untouched, json!({})).await["allowed"], true);

    // It does not come back with the person; who administers the team issues it again.
    let back = json!({"user_id": group.ada.user_id, "role": "member"});
    group.boss.post(&format!("{BASE}/teams/{}/members", group.id), back).await.created();
    denied(&ask(&gateway, &key, json!({})).await, &["holder_left"]);
    let again = json!({"team_id": group.id, "issued_to_user_id": group.ada.user_id});
    group.boss.post(&format!("{}/transfer", path(&key)), again).await.ok();
    assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], true);
    assert_eq!(blocked(&app, &key).await, ("active".into(), json!([])));
});

on_both!(a_key_whose_holder_left_the_organization_is_refused, |app| {
    let group = Group::new(&app, "a").await;
    let (gateway, key) = (app.gateway().await, group.issue_to_ada().await);
    assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], true);
    let member = format!("{BASE}/members/{}", group.ada.user_id);
    let away = app.owner().post(&format!("{member}/suspend"), json!({})).await.ok();
    assert_eq!(away["status"], "suspended");
    denied(&ask(&gateway, &key, json!({})).await, &["owner_suspended"]);
    assert_eq!(blocked(&app, &key).await, ("blocked".into(), json!(["membership_suspended"])));
    app.owner().post(&format!("{member}/resume"), json!({})).await.ok();
    let user = format!("/v1/users/{}", group.ada.user_id);
    app.owner().post(&format!("{user}/suspend"), json!({})).await.ok();
    denied(&ask(&gateway, &key, json!({})).await, &["owner_suspended"]);
    assert_eq!(blocked(&app, &key).await, ("blocked".into(), json!(["user_suspended"])));
    app.owner().post(&format!("{user}/resume"), json!({})).await.ok();
    assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], true);

    // A team's key is not in the way of who goes.
    app.owner().delete(&member).await.no_content();
    denied(&ask(&gateway, &key, json!({})).await, &["holder_left"]);
    assert_eq!(blocked(&app, &key).await, ("blocked".into(), json!(["holder_left"])));
});

on_both!(a_key_of_an_invitation_becomes_the_persons, |app| {
    let group = Group::new(&app, "a").await;
    let (gateway, (id, token)) = (app.gateway().await, group.invite(&app, "ada@example.com").await);
    let key = group.issue("issued_to_invitation_id", &id).await;
    assert_eq!((&key["issued_to_invitation_id"], &key["issued_to_user_id"]), (&id, &Value::Null));
    assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], true);
    let body = json!({"token": token, "name": "Ada", "password": PASSWORD});
    let joined = app.anonymous().post("/v1/auth/accept-invitation", body).await.ok();
    let ada = bearer(&app, &joined["tokens"]);
    let hers = ada.get(&path(&key)).await.ok();
    assert_eq!(hers["issued_to_user_id"], joined["user_id"]);
    assert_eq!(hers["issued_to_invitation_id"], Value::Null);
    let member = json!({"subject_kind": "member", "subject_id": joined["user_id"], "team_id": group.id,
        "metric": "requests", "window": "day", "amount": "1"});
    limit(&app, member).await;
    assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], true);
    denied(&ask(&gateway, &key, json!({})).await, &["limit_exceeded"]);
    let late = json!({"name": "k", "team_id": group.id, "issued_to_invitation_id": id});
    group.boss.post(KEYS, late).await.invalid(&[("/issued_to_invitation_id", "invalid_value")]);
});

on_both!(a_key_of_an_invitation_that_is_withdrawn_is_refused, |app| {
    let group = Group::new(&app, "a").await;
    let (gateway, (id, _)) = (app.gateway().await, group.invite(&app, "ada@example.com").await);
    let key = group.issue("issued_to_invitation_id", &id).await;
    assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], true);
    app.owner().delete(&format!("{BASE}/invitations/{}", id.as_str().unwrap())).await.no_content();
    denied(&ask(&gateway, &key, json!({})).await, &["holder_left"]);
    assert_eq!(blocked(&app, &key).await, ("blocked".into(), json!(["holder_left"])));
});

on_both!(a_key_of_an_invitation_ends_with_it_unless_accepted, |app| {
    let group = Group::new(&app, "a").await;
    let (gateway, (id, _)) = (app.gateway().await, group.invite(&app, "ada@example.com").await);
    let (other, token) = group.invite(&app, "bob@example.com").await;
    let key = group.issue("issued_to_invitation_id", &id).await;
    let handed = group.issue("issued_to_user_id", &json!(group.ada.user_id)).await;
    let transfer = json!({"team_id": group.id, "issued_to_invitation_id": id});
    app.owner().post(&format!("{}/transfer", path(&handed)), transfer).await.ok();
    let accepted = group.issue("issued_to_invitation_id", &other).await;
    let body = json!({"token": token, "name": "Bob", "password": PASSWORD});
    app.anonymous().post("/v1/auth/accept-invitation", body).await.ok();
    let invitation = app.owner().get(&format!("{BASE}/invitations/{}", id.as_str().unwrap())).await.ok();
    let end: DateTime<Utc> = invitation["expires_at"].as_str().unwrap().parse().unwrap();
    app.clock.advance(end - app.clock.now() - TimeDelta::seconds(1));
    for key in [&key, &handed, &accepted] {
        assert_eq!(ask(&gateway, key, json!({})).await["allowed"], true);
    }
    app.clock.advance(TimeDelta::seconds(1));
    for key in [&key, &handed] {
        denied(&ask(&gateway, key, json!({})).await, &["holder_left"]);
        assert_eq!(blocked(&app, key).await, ("blocked".into(), json!(["holder_left"])));
    }
    assert_eq!(ask(&gateway, &accepted, json!({})).await["allowed"], true);
});

on_both!(a_key_issued_to_an_invitation_earlier_ends_with_it_too, |app| {
    let group = Group::new(&app, "a").await;
    let key = group.issue("issued_to_invitation_id", &group.invite(&app, "ada@example.com").await.0).await;
    let lost = group.issue("issued_to_invitation_id", &group.invite(&app, "bob@example.com").await.0).await;
    let db = app.database().connect().await;
    for statement in [
        "UPDATE virtual_key SET holder_left_at = NULL",
        "DELETE FROM invitation WHERE email = 'bob@example.com'",
    ] {
        db.execute_unprepared(statement).await.unwrap();
    }
    Migrator::down(&db, Some(1)).await.unwrap();
    assert_eq!(blocked(&app, &lost).await, ("active".into(), json!([])));
    Migrator::up(&db, Some(1)).await.unwrap();
    assert_eq!(blocked(&app, &lost).await, ("blocked".into(), json!(["holder_left"])));
    assert_eq!(blocked(&app, &key).await, ("active".into(), json!([])));
    app.clock.advance(TimeDelta::days(7));
    assert_eq!(blocked(&app, &key).await, ("blocked".into(), json!(["holder_left"])));
});

on_both!(a_key_is_issued_to_people_of_its_team_alone, |app| {
    let (group, other) = (Group::new(&app, "a").await, Group::new(&app, "b").await);
    let owner = app.owner();
    let body = |field: &str, holder: &Value| json!({"name": "k", "team_id": group.id, field: holder});
    let (user, invited) = ("issued_to_user_id", "issued_to_invitation_id");
    let (elsewhere, _) = other.invite(&app, "b@example.com").await;
    let stranger = json!(other.ada.user_id);
    owner.post(KEYS, body(user, &stranger)).await.invalid(&[("/issued_to_user_id", "invalid_value")]);
    owner
        .post(KEYS, body(invited, &elsewhere))
        .await
        .invalid(&[("/issued_to_invitation_id", "invalid_value")]);
    // For the team's admin, people and invitations of other teams are not there.
    for (field, holder) in [(user, &stranger), (invited, &elsewhere)] {
        group.boss.post(KEYS, body(field, holder)).await.problem(404, "not_found");
    }
    let acme = app.other_organization("acme").await;
    owner.post(KEYS, body(user, &json!(acme.user_id))).await.problem(404, "not_found");

    let mut both = body(user, &json!(group.ada.user_id));
    both[invited] = group.invite(&app, "a@example.com").await.0;
    owner.post(KEYS, &both).await.invalid(&[("/issued_to_invitation_id", "not_allowed")]);
    let own = json!({"name": "k", "user_id": group.ada.user_id, user: group.ada.user_id});
    owner.post(KEYS, own).await.invalid(&[("/issued_to_user_id", "not_allowed")]);
    let key = group.issue_to_ada().await;
    let to = json!({"team_id": other.id, user: group.ada.user_id});
    let transfer = format!("{}/transfer", path(&key));
    owner.post(&transfer, to).await.invalid(&[("/issued_to_user_id", "invalid_value")]);
    let moved = owner.post(&transfer, json!({"team_id": other.id, user: stranger})).await.ok();
    assert_eq!((&moved["team_id"], &moved["issued_to_user_id"]), (&json!(other.id), &stranger));
});

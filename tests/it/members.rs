//! Members: roles, their ceilings, suspending, removing, leaving, and what goes with them.

use chrono::TimeDelta;
use entity::{
    json::{Metadata, Tags},
    status::{KeyStatus, Role},
    virtual_key,
};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use tests::{Client, Request, TestApp, on_both};

const MEMBERS: &str = "/v1/organizations/default/members";

fn path(person: &Client) -> String {
    format!("{MEMBERS}/{}", person.user_id)
}

fn at<'v>(page: &'v Value, field: &str) -> Vec<&'v str> {
    page["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

/// A live key of a person, written past the server.
async fn key(app: &TestApp, person: &Client) -> virtual_key::Model {
    let now = app.clock.now();
    let row = virtual_key::ActiveModel {
        id: Set(app.system.entropy.id(now)),
        organization_id: Set(app.organization),
        name: Set("laptop".into()),
        user_id: Set(Some(person.user_id.parse().unwrap())),
        created_by: Set(person.user_id.clone()),
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

async fn now(app: &TestApp, key: &virtual_key::Model) -> virtual_key::Model {
    virtual_key::Entity::find_by_id(key.id).one(&app.system.db.reader).await.unwrap().unwrap()
}

async fn token(maker: &Client, permissions: &[&str]) -> String {
    let body = json!({"name": permissions.join(" "), "permissions": permissions});
    let made = maker.post("/v1/organizations/default/admin-tokens", body).await.created();
    made["secret"].as_str().unwrap().to_owned()
}

on_both!(members_are_listed_with_their_names, |app| {
    let owner = app.owner();
    app.clock.advance(TimeDelta::seconds(1));
    let admin = app.admin().await;
    app.clock.advance(TimeDelta::seconds(1));
    let viewer = app.viewer().await;
    let page = owner.get(MEMBERS).await.ok();
    assert_eq!(at(&page, "user_id"), [&viewer.user_id, &admin.user_id, &owner.user_id]);
    assert_eq!(at(&page, "role"), ["viewer", "admin", "owner"]);
    assert_eq!(at(&page, "email"), ["person1@example.com", "person0@example.com", "owner@example.com"]);
    assert_eq!(at(&page, "name"), ["person1", "person0", "owner"]);
    let one = owner.get(&path(&admin)).await.ok();
    assert_eq!(one, page["items"][1]);
    assert_eq!(at(&owner.get(&format!("{MEMBERS}?role=admin")).await.ok(), "name"), ["person0"]);
    assert_eq!(owner.get(&format!("{MEMBERS}?status=suspended")).await.ok()["items"], json!([]));

    let first = owner.get(&format!("{MEMBERS}?page_size=2&order=asc")).await.ok();
    let rest = format!("{MEMBERS}?page_size=2&order=asc&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = owner.get(&rest).await.ok();
    assert_eq!((at(&first, "role"), at(&rest, "role")), (vec!["owner", "admin"], vec!["viewer"]));
    assert_eq!(rest["next_cursor"], json!(null));
    for query in ["?role=king", "?status=", "?email=x", "?page_size=-1"] {
        assert_eq!(owner.get(&format!("{MEMBERS}{query}")).await.status, 400, "{query}");
    }
});

on_both!(who_may_see_and_change_members, |app| {
    let owner = app.owner();
    let victim = app.member().await;
    for reader in [app.admin().await, app.billing().await, app.viewer().await] {
        reader.get(MEMBERS).await.ok();
        reader.get(&path(&owner)).await.ok();
    }
    let member = app.member().await;
    member.get(MEMBERS).await.problem(403, "forbidden");
    member.get(&path(&member)).await.problem(403, "forbidden");
    for caller in [&member, &app.billing().await, &app.viewer().await] {
        for request in changes(caller, &path(&victim)) {
            request.await.problem(403, "forbidden");
        }
        caller.patch(&path(caller), json!({"role": "admin"})).await.problem(403, "forbidden");
    }
    for request in changes(&app.anonymous(), &path(&victim)) {
        request.await.problem(401, "unauthenticated");
    }
    assert_eq!(owner.get(&path(&victim)).await.ok()["version"], 1);
});

fn changes(caller: &Client, path: &str) -> [Request; 4] {
    [
        caller.patch(path, json!({"role": "viewer"})),
        caller.post(&format!("{path}/suspend"), json!({})),
        caller.post(&format!("{path}/resume"), json!({})),
        caller.delete(path),
    ]
}

on_both!(another_organizations_people_are_not_there, |app| {
    let (owner, acme) = (app.owner(), app.other_organization("acme").await);
    let random = "user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70";
    let foreign = path(&acme);
    for request in changes(&owner, &foreign).into_iter().chain([owner.get(&foreign)]) {
        let hidden = request.await.problem(404, "not_found");
        let absent = owner.get(&format!("{MEMBERS}/{random}")).await.problem(404, "not_found");
        assert_eq!(hidden["detail"], absent["detail"]);
    }
    for request in changes(&acme, &path(&owner)).into_iter().chain([acme.get(MEMBERS)]) {
        request.await.problem(404, "not_found");
    }
    for id in ["user_x", "team_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "%00"] {
        owner.get(&format!("{MEMBERS}/{id}")).await.problem(404, "not_found");
    }
    let cursor = {
        app.member().await;
        owner.get(&format!("{MEMBERS}?page_size=1")).await.ok()["next_cursor"].as_str().unwrap().to_owned()
    };
    let stolen = format!("/v1/organizations/acme/members?cursor={cursor}");
    acme.get(&stolen).await.problem(400, "invalid_cursor");
});

on_both!(a_role_is_changed, |app| {
    let owner = app.owner();
    let person = app.member().await;
    let changed = owner.patch(&path(&person), json!({"role": "billing"})).if_match(1).await.ok();
    assert_eq!((&changed["role"], &changed["version"]), (&json!("billing"), &json!(2)));
    assert_eq!(changed["email"], "person0@example.com");
    person.get(MEMBERS).await.ok();
    owner.patch(&path(&person), json!({"role": "viewer"})).if_match(1).await.problem(412, "version_conflict");
    owner.patch(&path(&person), json!({"role": "king"})).await.invalid(&[("/role", "invalid_value")]);
    owner.patch(&path(&person), json!({"role": null})).await.invalid(&[("/role", "not_nullable")]);
    owner.patch(&path(&person), json!({"role": 5})).await.invalid(&[("/role", "invalid_value")]);
    owner.patch(&path(&person), json!({})).await.invalid(&[("/role", "required")]);
    owner
        .patch(&path(&person), json!({"role": "viewer", "status": "active"}))
        .await
        .problem(400, "unknown_field");
    let told = owner.get("/v1/organizations/default/audit-events?action=member.update").await.ok();
    assert_eq!(told["items"][0]["subject"], json!(person.user_id));
    assert_eq!(told["items"][0]["detail"]["after"]["role"], "billing");
});

on_both!(only_owners_decide_about_owners, |app| {
    let (owner, admin) = (app.owner(), app.admin().await);
    let second = app.person(Role::Owner).await;
    for request in changes(&admin, &path(&second)) {
        request.await.problem(403, "forbidden");
    }
    admin.patch(&path(&admin), json!({"role": "owner"})).await.problem(403, "forbidden");
    let member = app.member().await;
    admin.patch(&path(&member), json!({"role": "owner"})).await.problem(403, "forbidden");
    assert_eq!(admin.patch(&path(&member), json!({"role": "admin"})).await.ok()["role"], "admin");
    assert_eq!(admin.patch(&path(&member), json!({"role": "viewer"})).await.ok()["role"], "viewer");
    assert_eq!(owner.patch(&path(&member), json!({"role": "owner"})).await.ok()["role"], "owner");
    assert_eq!(member.patch(&path(&owner), json!({"role": "admin"})).await.ok()["role"], "admin");
    owner.patch(&path(&owner), json!({"role": "owner"})).await.problem(403, "forbidden");
    // Who steps down is not raised again by hand of one's own.
    assert_eq!(admin.patch(&path(&admin), json!({"role": "viewer"})).await.ok()["role"], "viewer");
    admin.patch(&path(&admin), json!({"role": "admin"})).await.problem(403, "forbidden");
});

on_both!(a_suspended_member_is_kept_out, |app| {
    let owner = app.owner();
    let person = app.admin().await;
    let suspend = || owner.post(&format!("{}/suspend", path(&person)), json!({})).idempotency_key("once");
    let suspended = suspend().await.ok();
    assert_eq!((&suspended["status"], &suspended["version"]), (&json!("suspended"), &json!(2)));
    assert_eq!(suspend().await.ok(), suspended);
    person.get("/v1/organizations/default").await.problem(403, "forbidden");
    person.post(&format!("{MEMBERS}/leave"), json!({})).await.problem(403, "forbidden");
    let resumed = owner.post(&format!("{}/resume", path(&person)), json!({})).await.ok();
    assert_eq!((&resumed["status"], &resumed["version"]), (&json!("active"), &json!(3)));
    person.get(MEMBERS).await.ok();
    owner.post(&format!("{}/suspend", path(&person)), json!({"x": 1})).await.problem(400, "unknown_field");
});

on_both!(who_owns_live_keys_is_not_removed_by_accident, |app| {
    let owner = app.owner();
    let person = app.member().await;
    let kept = key(&app, &person).await;
    owner.delete(&path(&person)).if_match(2).await.problem(412, "version_conflict");
    owner.delete(&path(&person)).await.problem(409, "in_use");
    assert_eq!(now(&app, &kept).await, kept);
    person.get("/v1/organizations/default").await.ok();

    owner.delete(&format!("{}?keys=revoke", path(&person))).if_match(1).await.no_content();
    let revoked = now(&app, &kept).await;
    assert_eq!((revoked.status, revoked.revoked_at), (KeyStatus::Revoked, Some(app.clock.now())));
    person.get("/v1/organizations/default").await.problem(404, "not_found");
    owner.get(&path(&person)).await.problem(404, "not_found");
    owner.delete(&path(&person)).await.problem(404, "not_found");
});

on_both!(the_keys_of_who_goes_get_a_new_owner, |app| {
    let owner = app.owner();
    let (other, acme) = (app.member().await, app.other_organization("acme").await);
    let team = owner.post("/v1/organizations/default/teams", json!({"name": "t"})).await.created();
    let foreign = acme.post("/v1/organizations/acme/teams", json!({"name": "t"})).await.created();
    let account =
        owner.post("/v1/organizations/default/service-accounts", json!({"name": "s"})).await.created();
    let (team, foreign) = (team["id"].as_str().unwrap(), foreign["id"].as_str().unwrap());
    let account = account["id"].as_str().unwrap();

    let person = app.member().await;
    let kept = key(&app, &person).await;
    let remove = |query: &str| owner.delete(&format!("{}?{query}", path(&person)));
    for query in [
        "keys=transfer".to_owned(),
        format!("transfer_to_team_id={team}"),
        format!("keys=revoke&transfer_to_team_id={team}"),
        format!("keys=transfer&transfer_to_team_id={team}&transfer_to_user_id={}", other.user_id),
    ] {
        remove(&query).await.invalid(&[("?keys", "invalid_value")]);
    }
    let own = format!("keys=transfer&transfer_to_user_id={}", person.user_id);
    remove(&own).await.invalid(&[("?transfer_to_user_id", "invalid_value")]);
    remove("keys=burn").await.problem(400, "invalid_parameter");
    for target in [
        format!("team_id={foreign}"),
        format!("user_id={}", acme.user_id),
        "service_account_id=sa_019aa3c1f6b07c3e9a5d2f4b8c6e1d70".to_owned(),
    ] {
        remove(&format!("keys=transfer&transfer_to_{target}")).await.problem(404, "not_found");
    }
    assert_eq!(now(&app, &kept).await, kept);

    for target in [
        format!("team_id={team}"),
        format!("user_id={}", other.user_id),
        format!("service_account_id={account}"),
    ] {
        let person = app.member().await;
        let moved = key(&app, &person).await;
        owner.delete(&format!("{}?keys=transfer&transfer_to_{target}", path(&person))).await.no_content();
        let moved = now(&app, &moved).await;
        let owners = [
            moved.team_id.map(|id| format!("team_id={id}")),
            moved.user_id.map(|id| format!("user_id={id}")),
            moved.service_account_id.map(|id| format!("service_account_id={id}")),
        ];
        assert_eq!(owners.into_iter().flatten().collect::<Vec<_>>(), [target]);
        assert_eq!((moved.status, moved.version), (KeyStatus::Active, 2));
    }
});

on_both!(nothing_of_a_membership_outlives_it, |app| {
    let owner = app.owner();
    let team = owner.post("/v1/organizations/default/teams", json!({"name": "t"})).await.created();
    let team = team["id"].as_str().unwrap();
    let person = app.admin().await;
    let place = format!("/v1/organizations/default/teams/{team}/members");
    owner.post(&place, json!({"user_id": person.user_id, "role": "admin"})).await.created();
    let permissions = ["organization:read", "members:read", "members:write", "prices:read", "models:read"];
    let secret = token(&person, &permissions).await;
    let robot = app.client(&secret);
    let invite = |email: &str| json!({"email": email, "role": "member"});
    let invitations = "/v1/organizations/default/invitations";
    person.post(invitations, invite("one@example.com")).await.created();
    robot.post(invitations, invite("two@example.com")).await.created();
    owner.post(invitations, invite("three@example.com")).await.created();

    owner.delete(&path(&person)).await.no_content();
    robot.get(MEMBERS).await.problem(401, "token_invalid");
    assert_eq!(owner.get("/v1/organizations/default/admin-tokens").await.ok()["items"], json!([]));
    assert_eq!(at(&owner.get(invitations).await.ok(), "email"), ["three@example.com"]);
    assert_eq!(owner.get(&place).await.ok()["items"], json!([]));
    assert_eq!(owner.get("/v1/organizations/default/audit-events/verify").await.ok()["valid"], true);
});

on_both!(everybody_may_leave, |app| {
    let owner = app.owner();
    let leave = format!("{MEMBERS}/leave");
    for person in [app.admin().await, app.member().await, app.billing().await, app.viewer().await] {
        let left = person.post(&leave, json!({})).await.ok();
        assert_eq!(left["user_id"], json!(person.user_id));
        person.post(&leave, json!({})).await.problem(404, "not_found");
        owner.get(&path(&person)).await.problem(404, "not_found");
    }
    let person = app.member().await;
    let owned = key(&app, &person).await;
    person.post(&leave, json!({})).await.problem(409, "in_use");
    person.post(&leave, json!({"revoke_keys": "yes"})).await.invalid(&[("/revoke_keys", "invalid_value")]);
    person.post(&leave, json!({"revoke_keys": true})).await.ok();
    assert_eq!(now(&app, &owned).await.status, KeyStatus::Revoked);

    let robot = app.client(token(&app.admin().await, &["organization:read"]).await);
    robot.post(&leave, json!({})).await.problem(403, "forbidden");
    app.stranger().await.post(&leave, json!({})).await.problem(404, "not_found");
    app.other_organization("acme").await;
    owner.post("/v1/organizations/acme/members/leave", json!({})).await.problem(404, "not_found");
});

on_both!(a_token_gives_no_more_than_it_carries, |app| {
    let owner = app.owner();
    let person = app.member().await;
    let permissions = ["members:write", "organization:read", "prices:read", "models:read"];
    let narrow = app.client(token(&owner, &permissions).await);
    narrow.get(MEMBERS).await.problem(403, "forbidden");
    for role in ["owner", "admin", "billing", "viewer"] {
        narrow.patch(&path(&person), json!({"role": role})).await.problem(403, "forbidden");
    }
    assert_eq!(narrow.patch(&path(&person), json!({"role": "member"})).await.ok()["role"], "member");
    narrow.post(&format!("{}/suspend", path(&person)), json!({})).await.ok();
    key(&app, &person).await;
    narrow.delete(&format!("{}?keys=revoke", path(&person))).await.problem(403, "forbidden");

    // A token is bounded by its maker, as the maker is now.
    let admin = app.admin().await;
    let robot = app.client(token(&admin, &["members:write", "members:read"]).await);
    robot.get(MEMBERS).await.ok();
    robot.post(&format!("{}/suspend", path(&owner)), json!({})).await.problem(403, "forbidden");
    owner.patch(&path(&admin), json!({"role": "viewer"})).await.ok();
    robot.get(MEMBERS).await.ok();
    robot.post(&format!("{}/suspend", path(&person)), json!({})).await.problem(403, "forbidden");
    owner.post(&format!("{}/suspend", path(&admin)), json!({})).await.ok();
    robot.get(MEMBERS).await.problem(403, "forbidden");
    owner.delete(&path(&admin)).await.no_content();
    robot.get(MEMBERS).await.problem(401, "token_invalid");
});

on_both!(a_token_gives_no_more_in_a_team_than_it_carries, |app| {
    let owner = app.owner();
    let team = owner.post("/v1/organizations/default/teams", json!({"name": "t"})).await.created();
    let places = format!("/v1/organizations/default/teams/{}/members", team["id"].as_str().unwrap());
    let reads = ["team_members:write", "teams:read", "team_members:read"];
    let robot = app.client(token(&owner, &reads).await);
    let person = app.member().await;
    let place = format!("{places}/{}", person.user_id);
    let role = |role: &str| json!({"user_id": person.user_id, "role": role});
    robot.post(&places, role("admin")).await.problem(403, "forbidden");
    robot.post(&places, role("member")).await.created();
    robot.patch(&place, json!({"role": "admin"})).await.problem(403, "forbidden");
    owner.patch(&place, json!({"role": "admin"})).await.ok();
    // Who manages a team makes others managers of it.
    let other = app.member().await;
    person.post(&places, json!({"user_id": other.user_id, "role": "admin"})).await.created();
});

//! The members of a team.

use crate::teams::{TEAMS, id, make};
use serde_json::json;
use tests::on_both;

on_both!(a_person_can_be_added_promoted_and_taken_out, |app| {
    let owner = app.owner();
    let team = make(&owner, "search").await;
    let person = app.member().await;
    let members = format!("{team}/members");
    let place = owner.post(&members, json!({"user_id": person.user_id, "role": "member"})).await.created();
    assert_eq!(place["team_id"], id(&team));
    assert_eq!((&place["user_id"], &place["role"]), (&json!(person.user_id), &json!("member")));
    let path = format!("{members}/{}", person.user_id);
    assert_eq!(owner.get(&path).await.ok(), place);
    assert_eq!(person.get(&path).await.ok(), place);
    let changed = owner.patch(&path, json!({"role": "admin"})).if_match(1).await.ok();
    assert_eq!((&changed["role"], &changed["version"]), (&json!("admin"), &json!(2)));
    let page = owner.get(&members).await.ok();
    assert_eq!(page, json!({"items": [changed], "next_cursor": null}));
    owner.delete(&path).if_match(2).await.no_content();
    owner.get(&path).await.problem(404, "not_found");
    person.get(&team).await.problem(404, "not_found");
    // And back again, from the start.
    let again = owner.post(&members, json!({"user_id": person.user_id, "role": "admin"})).await.created();
    assert_eq!(again["version"], 1);
});

on_both!(faulty_requests_are_refused, |app| {
    let owner = app.owner();
    let team = make(&owner, "search").await;
    let person = app.team_member(id(&team)).await;
    let members = format!("{team}/members");
    owner.post(&members, json!({"role": "admin"})).await.invalid(&[("/user_id", "required")]);
    owner.post(&members, json!({"user_id": person.user_id})).await.invalid(&[("/role", "required")]);
    for (field, value) in [("role", json!("owner")), ("role", json!(null)), ("user_id", json!("team_1"))] {
        let mut body = json!({"user_id": person.user_id, "role": "member"});
        body[field] = value.clone();
        let problem = owner.post(&members, body).await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"), "{value}");
    }
    let path = format!("{members}/{}", person.user_id);
    owner.patch(&path, json!({"role": "boss"})).await.invalid(&[("/role", "invalid_value")]);
    owner.patch(&path, json!({"role": "admin", "user_id": "x"})).await.problem(400, "unknown_field");
    let body = json!({"user_id": person.user_id, "role": "member"});
    owner.post(&members, body).await.problem(409, "duplicate");
    assert_eq!(owner.get(&path).await.ok()["version"], 1);
});

on_both!(a_stale_version_is_refused, |app| {
    let owner = app.owner();
    let team = make(&owner, "search").await;
    let path = format!("{team}/members/{}", app.team_member(id(&team)).await.user_id);
    owner.patch(&path, json!({"role": "admin"})).if_match(1).await.ok();
    owner.patch(&path, json!({"role": "member"})).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&path).if_match(1).await.problem(412, "version_conflict");
    assert_eq!(owner.get(&path).await.ok()["role"], "admin");
});

on_both!(only_people_of_the_organization_join_its_teams, |app| {
    let owner = app.owner();
    let team = make(&owner, "search").await;
    let acme = app.other_organization("acme").await;
    let members = format!("{team}/members");
    let add = |user: &str| owner.post(&members, json!({"user_id": user, "role": "admin"}));
    let foreign = add(&acme.user_id).await.problem(404, "not_found");
    let random = add("user_00000000000070008000000000000000").await.problem(404, "not_found");
    assert_eq!(foreign["detail"], random["detail"]);
    assert_eq!(owner.get(&members).await.ok()["items"], json!([]));
});

on_both!(another_organizations_team_takes_nobody_in, |app| {
    let acme = app.other_organization("acme").await;
    let team = make(&app.owner(), "search").await;
    let inside = app.team_member(id(&team)).await;
    let members = format!("/v1/organizations/acme/teams/{}/members", id(&team));
    let body = json!({"user_id": acme.user_id, "role": "admin"});
    acme.post(&members, body).await.problem(404, "not_found");
    acme.get(&members).await.problem(404, "not_found");
    let path = format!("{members}/{}", inside.user_id);
    acme.get(&path).await.problem(404, "not_found");
    acme.patch(&path, json!({"role": "admin"})).await.problem(404, "not_found");
    acme.delete(&path).await.problem(404, "not_found");
});

on_both!(a_member_of_one_team_is_not_there_in_another, |app| {
    let owner = app.owner();
    let (mine, other) = (make(&owner, "mine").await, make(&owner, "other").await);
    let person = app.team_member(id(&mine)).await;
    let path = format!("{other}/members/{}", person.user_id);
    owner.get(&path).await.problem(404, "not_found");
    owner.patch(&path, json!({"role": "admin"})).await.problem(404, "not_found");
    owner.delete(&path).await.problem(404, "not_found");
    // In two teams, each place is its own.
    owner
        .post(&format!("{other}/members"), json!({"user_id": person.user_id, "role": "admin"}))
        .await
        .created();
    owner.delete(&path).await.no_content();
    assert_eq!(owner.get(&format!("{mine}/members/{}", person.user_id)).await.ok()["role"], "member");
});

on_both!(a_team_admin_manages_the_members_of_that_team_alone, |app| {
    let owner = app.owner();
    let (mine, other) = (make(&owner, "mine").await, make(&owner, "other").await);
    let (boss, colleague) = (app.team_admin(id(&mine)).await, app.team_member(id(&mine)).await);
    let newcomer = app.member().await;
    let body = json!({"user_id": newcomer.user_id, "role": "member"});
    boss.post(&format!("{mine}/members"), &body).await.created();
    boss.post(&format!("{other}/members"), &body).await.problem(404, "not_found");
    boss.get(&format!("{other}/members")).await.problem(404, "not_found");
    colleague.post(&format!("{mine}/members"), &body).await.problem(403, "forbidden");
    assert_eq!(colleague.get(&format!("{mine}/members")).await.ok()["items"].as_array().unwrap().len(), 3);
    let path = format!("{mine}/members/{}", newcomer.user_id);
    colleague.patch(&path, json!({"role": "admin"})).await.problem(403, "forbidden");
    boss.patch(&path, json!({"role": "admin"})).await.ok();
    // A team member of another team sees neither the team nor its people.
    let stranger = app.team_member(id(&other)).await;
    stranger.get(&path).await.problem(404, "not_found");
    boss.delete(&path).await.no_content();
});

on_both!(a_repeated_addition_happens_once, |app| {
    let owner = app.owner();
    let members = format!("{}/members", make(&owner, "search").await);
    let body = json!({"user_id": app.member().await.user_id, "role": "member"});
    let first = owner.post(&members, &body).idempotency_key("k").await;
    let again = owner.post(&members, &body).idempotency_key("k").await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotent-replayed"), "true");
});

on_both!(the_members_go_with_their_team, |app| {
    let owner = app.owner();
    let team = make(&owner, "search").await;
    let person = app.team_admin(id(&team)).await;
    owner.delete(&team).await.no_content();
    owner.get(&format!("{team}/members")).await.problem(404, "not_found");
    owner.get(&format!("{team}/members/{}", person.user_id)).await.problem(404, "not_found");
    assert_eq!(person.get(TEAMS).await.ok()["items"], json!([]));
    owner
        .post(&format!("{team}/members"), json!({"user_id": person.user_id, "role": "admin"}))
        .await
        .problem(404, "not_found");
});

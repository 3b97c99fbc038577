//! Who may do what: every operation for every role, against the one matrix.

use super::{
    ask::{Operation, document, method, nobodys, operations, path},
    doors::{Door, door},
    tenant_permissions,
};
use crate::teams::{TEAMS, id, make};
use entity::status::{Role, TeamRole};
use serde_json::json;
use service::authz::{Grant, Permission};
use tests::{Client, Reply, on_both};

/// Asks for an operation in a way that has no effect: ids that nothing has, a field that nothing knows.
async fn knock(operation: &Operation, client: &Client, organization: &str) -> Reply {
    let path = path(operation, organization, nobodys);
    let request = client.request(method(operation), &path);
    if operation.item.get("requestBody").is_some() || operation.method == "POST" {
        return request.json(&json!({"nobody_knows": true})).await;
    }
    request.await
}

/// The caller got past the door, and perhaps no further.
fn opened(reply: &Reply) -> bool {
    let absent = reply.status == 404 && reply.body["detail"] == "organization not found";
    !matches!(reply.status, 401 | 403) && !absent && reply.status < 500
}

on_both!(every_role_opens_what_the_matrix_says, |app| {
    let team = make(&app.owner(), "search").await;
    let people = [
        (app.person(Role::Owner).await, Some(Role::Owner), None),
        (app.admin().await, Some(Role::Admin), None),
        (app.member().await, Some(Role::Member), None),
        (app.billing().await, Some(Role::Billing), None),
        (app.viewer().await, Some(Role::Viewer), None),
        (app.team_admin(id(&team)).await, Some(Role::Member), Some(TeamRole::Admin)),
        (app.team_member(id(&team)).await, Some(Role::Member), Some(TeamRole::Member)),
        (app.operator().await, None, None),
        (app.stranger().await, None, None),
    ];
    let operator = people[7].0.user_id.clone();
    for operation in operations(document()) {
        let Door::Needs(permission) = door(&operation) else { continue };
        let row = permission.row();
        let inside = operation.path.contains("{organization}");
        for (person, role, team_role) in &people {
            let by_role = role.map_or(Grant::No, |role| row.role(role));
            let by_team = team_role.map_or(Grant::No, |role| row.team(role));
            let by_operator = if person.user_id == operator { row.operator() } else { Grant::No };
            let own_account = permission == Permission::Account;
            let granted = own_account || by_role.max(by_team).max(by_operator) > Grant::No;
            let reply = knock(&operation, person, "default").await;
            let name = format!("{} as {role:?} {team_role:?}: {}", operation.id(), reply.text);
            assert_eq!(opened(&reply), granted, "{name}");
            if !granted {
                // To who has nothing to do with the organization it is not there.
                let hidden = inside && role.is_none();
                assert_eq!(reply.status, if hidden { 404 } else { 403 }, "{name}");
            }
        }
    }
});

on_both!(an_admin_token_opens_what_its_permissions_say, |app| {
    let owner = app.person(Role::Owner).await;
    for carried in tenant_permissions() {
        let body = json!({"name": carried.word(), "permissions": [carried.word()]});
        let token = owner.post("/v1/organizations/default/admin-tokens", body).await.created();
        let token = app.client(token["secret"].as_str().unwrap());
        for operation in operations(document()) {
            let Door::Needs(permission) = door(&operation) else { continue };
            let reply = knock(&operation, &token, "default").await;
            assert_eq!(
                opened(&reply),
                permission == carried,
                "{} with {carried:?}: {}",
                operation.id(),
                reply.text
            );
            assert!(
                opened(&reply) || reply.status == 403,
                "{} with {carried:?}: {}",
                operation.id(),
                reply.text
            );
        }
    }
});

on_both!(a_suspended_member_opens_nothing_and_a_suspended_person_is_nobody, |app| {
    let (member, person) = (app.person(Role::Owner).await, app.person(Role::Owner).await);
    let suspend = format!("/v1/organizations/default/members/{}/suspend", member.user_id);
    app.owner().post(&suspend, json!({})).await.ok();
    app.owner().post(&format!("/v1/users/{}/suspend", person.user_id), json!({})).await.ok();
    for operation in operations(document()) {
        if !matches!(door(&operation), Door::Needs(_)) {
            continue;
        }
        if operation.path.contains("{organization}") {
            assert_eq!(knock(&operation, &member, "default").await.status, 403, "{}", operation.id());
        }
        assert_eq!(knock(&operation, &person, "default").await.status, 401, "{}", operation.id());
    }
    member.get(TEAMS).await.problem(403, "forbidden");
    person.get(TEAMS).await.problem(401, "account_suspended");
});

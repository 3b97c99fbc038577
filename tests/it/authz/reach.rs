//! How far everybody reaches: ids of another organization and of another team, in paths, queries, bodies and cursors,
//! are answered exactly as ids that nothing has.

use super::{
    ask::{
        Ids, Operation, ask, body_schema, document, nobodys, operations, path, path_ids, prefix, prefixes,
        query, said, smallest,
    },
    doors::{Door, door},
    world::World,
};
use crate::limits::count;
use entity::discovered_model;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use service::authz::{Grant, Permission};
use tests::{Client, TestApp, on_both};

/// The operations in an organization, with their permissions.
fn inside(document: &Value) -> Vec<(Operation, Permission)> {
    let inside =
        operations(document).into_iter().filter(|operation| operation.path.contains("{organization}"));
    inside
        .map(|operation| match door(&operation) {
            Door::Needs(permission) => (operation, permission),
            door => panic!("{} is in an organization and opens for {door:?}", operation.id()),
        })
        .collect()
}

on_both!(an_organization_one_does_not_belong_to_is_not_there, |app| {
    let document = document();
    let acme = app.other_organization("acme").await;
    let ours = World::build(&app, &app.owner(), "default", "ours").await;
    let theirs = World::build(&app, &acme, "acme", "theirs").await;
    for (operation, _) in inside(document) {
        for client in [&acme, &app.client(&theirs.admin_token)] {
            let request = |organization: &str| {
                let path = path(&operation, organization, |name| own(document, &operation, &ours, name));
                ask(document, &operation, client, &path, &|prefix| ours.id(prefix))
            };
            let random = request("nowhere").await;
            assert_eq!(random.status, 404, "{}: {}", operation.id(), random.text);
            for real in ["default", &ours.id("org")] {
                assert_eq!(said(&request(real).await), said(&random), "{} in {real}", operation.id());
            }
            assert_eq!(said(&request(&nobodys("org")).await), said(&random), "{}", operation.id());
        }
    }
});

/// The value of a path parameter in a world.
fn own(document: &Value, operation: &Operation, world: &World, name: &str) -> String {
    let found = path_ids(document, operation).into_iter().find(|(id, _)| id == name);
    world.id(&found.unwrap_or_else(|| panic!("{} takes {name}, which is no id", operation.id())).1)
}

/// Asks with one id of the path from elsewhere, and with one that nothing has: the replies say the same, 404.
async fn reach_for(client: &Client, operation: &Operation, (ours, theirs): (&World, &World)) {
    let document = document();
    for (parameter, prefix) in path_ids(document, operation) {
        let request = |id: String| {
            let value = |name: &str| {
                if name == parameter { id.clone() } else { own(document, operation, ours, name) }
            };
            let path = path(operation, "default", value);
            ask(document, operation, client, &path, &|prefix| ours.id(prefix))
        };
        let (foreign, random) = (request(theirs.id(&prefix)).await, request(nobodys(&prefix)).await);
        let name = format!("{} with another {{{parameter}}}", operation.id());
        assert_eq!(random.status, 404, "{name}: {}", random.text);
        assert_eq!(said(&foreign), said(&random), "{name}");
    }
}

on_both!(rows_of_another_organization_are_not_there, |app| {
    let document = document();
    let acme = app.other_organization("acme").await;
    let ours = World::build(&app, &app.owner(), "default", "ours").await;
    let theirs = World::build(&app, &acme, "acme", "theirs").await;
    for (operation, permission) in inside(document) {
        reach_for(&app.owner(), &operation, (&ours, &theirs)).await;
        // What is the operator's to do, no token of an organization does.
        if permission.is_tenant() {
            reach_for(&app.client(&ours.admin_token), &operation, (&ours, &theirs)).await;
        }
    }
    // And what was reached for is still as it was.
    for (operation, _) in inside(document).iter().filter(|(operation, _)| operation.method == "GET") {
        let path = path(operation, "acme", |name| own(document, operation, &theirs, name));
        acme.get(&format!("{path}{}", query(document, operation))).await.ok();
    }
});

on_both!(rows_of_another_team_are_not_there, |app| {
    let document = document();
    let ours = World::build(&app, &app.owner(), "default", "ours").await;
    let theirs = World::build(&app, &app.owner(), "default", "theirs").await;
    let boss = app.team_admin(&ours.id("team")).await;
    for (operation, permission) in inside(document) {
        // Proxy pools are the organization's; every team may use them.
        let shared = operation.path.contains("{pool}");
        if !shared && permission.row().team(entity::status::TeamRole::Admin) == Grant::Team {
            reach_for(&boss, &operation, (&ours, &theirs)).await;
        }
    }
    let visible = boss.get("/v1/organizations/default/keys").await.ok();
    let visible: Vec<&Value> = visible["items"].as_array().unwrap().iter().map(|key| &key["id"]).collect();
    assert_eq!(visible, [&json!(ours.id("key"))]);
});

on_both!(rows_of_another_person_are_not_there, |app| {
    let document = document();
    let base = "/v1/organizations/default";
    let theirs = World::build(&app, &app.owner(), "default", "theirs").await;
    let mut ours = World::build(&app, &app.owner(), "default", "ours").await;
    // A member of no team, with a key of one's own.
    let member = app.member().await;
    let body = json!({"name": "mine", "user_id": member.user_id});
    let key = app.owner().post(&format!("{base}/keys"), body).await.created();
    let secrets = member.get(&format!("{base}/keys/{}/secrets", key["id"].as_str().unwrap())).await.ok();
    ours.ids.insert("key".into(), key["id"].as_str().unwrap().into());
    ours.ids.insert("sec".into(), secrets["items"][0]["id"].as_str().unwrap().into());
    for (operation, permission) in inside(document) {
        if permission.row().role(entity::status::Role::Member) == Grant::Own
            && operation.path.contains("{key}")
        {
            reach_for(&member, &operation, (&ours, &theirs)).await;
        }
    }
});

/// Places for an id in a body: its field, and the id's prefix. A list of ids is one place.
fn body_ids(document: &Value, operation: &Operation) -> Vec<(String, String, bool)> {
    let Some(schema) = body_schema(document, operation) else { return Vec::new() };
    let place = |(name, property): (&String, &Value)| {
        let single = prefix(document, property).map(|prefix| (name.clone(), prefix.to_owned(), false));
        single.or_else(|| {
            prefix(document, &property["items"]).map(|prefix| (name.clone(), prefix.to_owned(), true))
        })
    };
    schema["properties"].as_object().into_iter().flatten().filter_map(place).collect()
}

on_both!(ids_of_another_organization_in_a_body_are_ids_of_nothing, |app| {
    let document = document();
    let acme = app.other_organization("acme").await;
    let ours = World::build(&app, &app.owner(), "default", "ours").await;
    let theirs = World::build(&app, &acme, "acme", "theirs").await;
    let mut places = 0;
    for (operation, _) in inside(document) {
        for (field, prefix, list) in body_ids(document, &operation) {
            places += 1;
            let path = path(&operation, "default", |name| own(document, &operation, &ours, name));
            let request = |id: String| {
                let schema = body_schema(document, &operation).unwrap();
                let ids: Ids<'_> = &|prefix| ours.id(prefix);
                let mut body = smallest(document, schema, ids);
                body[&field] = if list { json!([id]) } else { json!(id) };
                // A call that succeeded tells what it used.
                if schema["properties"].get("usage").is_some() && body.get("usage").is_none() {
                    body["usage"] = json!({});
                }
                ask(document, &operation, &app.owner(), &path, ids).json(&body)
            };
            let (foreign, random) = (request(theirs.id(&prefix)).await, request(nobodys(&prefix)).await);
            let name = format!("{} with another {field}", operation.id());
            // A decision is a reply: that it names nothing is why it is a no.
            let denied = random.status == 200 && random.body["allowed"] == false;
            assert!(random.status == 404 || denied, "{name}: {}", random.text);
            assert_eq!(said(&foreign), said(&random), "{name}");
        }
    }
    assert!(places >= 5, "only {places} places for ids");
});

on_both!(ids_of_another_organization_in_a_query_are_ids_of_nothing, |app| {
    let document = document();
    let acme = app.other_organization("acme").await;
    let ours = World::build(&app, &app.owner(), "default", "ours").await;
    let theirs = World::build(&app, &acme, "acme", "theirs").await;
    for (operation, _) in inside(document) {
        for parameter in operation.parameters("query") {
            let name = parameter["name"].as_str().unwrap();
            let text = parameter["schema"]["type"] == "string" && parameter["schema"].get("enum").is_none();
            let prefixes: Vec<&str> = match prefixes(document, &parameter["schema"]) {
                // Of some kinds nothing is there yet.
                Some(all) if all.len() > 1 => {
                    all.into_iter().filter(|prefix| theirs.ids.contains_key(*prefix)).collect()
                }
                Some(one) => one,
                // Texts that may name anything, such as the subject of an audit event. One that must be there, such as a
                // model, is what the question is about.
                None if text && parameter["required"] != true => {
                    theirs.ids.keys().map(String::as_str).collect()
                }
                None => continue,
            };
            for prefix in prefixes {
                let path = path(&operation, "default", |name| own(document, &operation, &ours, name));
                let request = |id: String| {
                    let path = format!("{path}?{name}={id}");
                    ask(document, &operation, &app.owner(), &path, &|prefix| ours.id(prefix))
                };
                let (foreign, random) = (request(theirs.id(prefix)).await, request(nobodys(prefix)).await);
                let name = format!("{}?{name}={prefix}_…", operation.id());
                assert!(
                    random.status != 200 || random.body["items"] == json!([]) || random.body["count"] == 0,
                    "{name}: {}",
                    random.text
                );
                assert_eq!(said(&foreign), said(&random), "{name}");
            }
        }
    }
});

on_both!(a_cursor_of_another_organization_is_none, |app| {
    let document = document();
    let acme = app.other_organization("acme").await;
    let ours = World::build(&app, &app.owner(), "default", "ours").await;
    let theirs = World::build(&app, &acme, "acme", "theirs").await;
    let twin = World::build(&app, &acme, "acme", "twin").await;
    double(&app, &acme, (&theirs, &twin)).await;
    for (operation, _) in inside(document) {
        if !operation.names("query").contains(&"cursor") {
            continue;
        }
        let there = path(&operation, "acme", |name| own(document, &operation, &theirs, name));
        let page = acme.get(&format!("{there}?page_size=1")).await.ok();
        let cursor =
            page["next_cursor"].as_str().unwrap_or_else(|| panic!("{} has one page only", operation.id()));
        acme.get(&format!("{there}?cursor={cursor}")).await.ok();
        let here = path(&operation, "default", |name| own(document, &operation, &ours, name));
        app.owner().get(&format!("{here}?cursor={cursor}")).await.problem(400, "invalid_cursor");
    }
});

/// A second row where a world has only one: the team's other member, the key's other secret, the limit's windows, what hangs on
/// the connection.
async fn double(app: &TestApp, owner: &Client, (world, twin): (&World, &World)) {
    let base = "/v1/organizations/acme";
    let body = json!({"user_id": twin.id("user"), "role": "member"});
    owner.post(&format!("{base}/teams/{}/members", world.id("team")), body).await.created();
    let body = json!({"grace_seconds": 60});
    owner.post(&format!("{base}/keys/{}/rotate", world.id("key")), body).await.ok();
    let limit = owner.get(&format!("{base}/limits/{}", world.id("lim"))).await.ok();
    for month in ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"] {
        count(app, &limit, month, (1, 0)).await;
    }
    let connection = format!("{base}/connections/{}", world.id("conn"));
    owner.post(&format!("{connection}/credentials"), json!({"secret": "sk-twin"})).await.created();
    let mapping = json!({"client_name": "twin", "upstream_name": "twin"});
    owner.post(&format!("{connection}/mappings"), mapping).await.created();
    models(app, world).await;
}

/// Models that the upstream of a world's connection said it has.
async fn models(app: &TestApp, world: &World) {
    let rows = ["one", "two"].map(|name| discovered_model::ActiveModel {
        connection_id: Set(world.id("conn").parse().unwrap()),
        name: Set(name.into()),
        organization_id: Set(world.id("org").parse().unwrap()),
        ..Default::default()
    });
    discovered_model::Entity::insert_many(rows).exec_without_returning(&app.system.db.writer).await.unwrap();
}

on_both!(nothing_odd_in_a_body_breaks_anything, |app| {
    let document = document();
    let ours = World::build(&app, &app.owner(), "default", "ours").await;
    let odd = [
        json!("\u{0}"),
        json!("a:\u{0}b"),
        json!("\u{202e}🦀".repeat(2000)),
        json!(""),
        json!(null),
        json!(-1),
        json!(i64::MAX),
        json!(1e300),
        json!([]),
        json!([null]),
        json!({"\u{0}": "\u{0}"}),
        json!(true),
        json!("9999-12-31T23:59:59Z"),
        json!("-0001-01-01T00:00:00Z"),
        json!(["\u{0}"]),
    ];
    for operation in operations(document) {
        let Some(schema) = body_schema(document, &operation) else { continue };
        let path = path(&operation, "default", |name| own(document, &operation, &ours, name));
        for field in schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
            for value in &odd {
                let mut body = smallest(document, schema, &|prefix| ours.id(prefix));
                body[field] = value.clone();
                let client = if door(&operation) == Door::Public { app.anonymous() } else { app.owner() };
                let request = ask(document, &operation, &client, &path, &|prefix| ours.id(prefix));
                let reply = request.json(&body).await;
                // That an upstream is not there is the upstream's fault.
                let theirs = reply.body["code"] == "upstream_failed";
                assert!(reply.status < 500 || theirs, "{} with {body}: {}", operation.id(), reply.text);
            }
        }
    }
});

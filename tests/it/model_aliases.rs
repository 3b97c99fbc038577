//! Model aliases: making, reading, changing, deleting; circles and chains, also when two are made at once.

use entity::{id::OrganizationId, org_head};
use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tests::{Client, Reply, TestApp, on_both};

/// The aliases of `default`.
pub const ALIASES: &str = "/v1/organizations/default/model-aliases";

fn at(row: &Value) -> String {
    format!("{ALIASES}/{}", row["id"].as_str().unwrap())
}

async fn ask(client: &Client, name: &str, target: &str) -> Reply {
    client.post(ALIASES, json!({"name": name, "target": target})).await
}

async fn make(client: &Client, name: &str, target: &str) -> Value {
    ask(client, name, target).await.created()
}

async fn policy_version(app: &TestApp, organization: OrganizationId) -> i64 {
    let head = org_head::Entity::find_by_id(organization).one(&app.system.db.reader).await;
    head.unwrap().unwrap().policy_version
}

on_both!(an_alias_can_be_made_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let made = make(&owner, "fast", "gpt-4o-mini").await;
    let facts = [&made["name"], &made["target"], &made["enabled"], &made["version"]];
    assert_eq!(facts, [&json!("fast"), &json!("gpt-4o-mini"), &json!(true), &json!(1)]);
    assert_eq!(owner.get(&at(&made)).await.ok(), made);
    assert_eq!(owner.get(ALIASES).await.ok()["items"], json!([made]));
    let patch = json!({"name": "faster", "target": "claude-haiku-4-5", "enabled": false});
    let changed = owner.patch(&at(&made), &patch).if_match(1).await.ok();
    for field in ["name", "target", "enabled"] {
        assert_eq!(changed[field], patch[field], "{field}");
    }
    let changed = owner.patch(&at(&made), json!({"enabled": true})).if_match(2).await.ok();
    assert_eq!((&changed["enabled"], &changed["version"]), (&json!(true), &json!(3)));
    owner.patch(&at(&made), json!({"enabled": false})).if_match(2).await.problem(412, "version_conflict");
    owner.delete(&at(&made)).if_match(2).await.problem(412, "version_conflict");
    owner.delete(&at(&made)).if_match(3).await.no_content();
    owner.get(&at(&made)).await.problem(404, "not_found");
    owner.patch(&at(&made), json!({})).await.problem(404, "not_found");
    owner.delete(&at(&made)).await.problem(404, "not_found");
});

on_both!(every_faulty_field_of_an_alias_is_named, |app| {
    let owner = app.owner();
    let body = json!({"name": "fast*", "target": "nul\u{0}"});
    let faults = [("/name", "invalid_character"), ("/target", "invalid_character")];
    owner.post(ALIASES, &body).await.invalid(&faults);
    let body = json!({"name": " ", "target": "x".repeat(256)});
    let faults = [("/name", "required"), ("/target", "too_long")];
    owner.post(ALIASES, &body).await.invalid(&faults);
    owner.post(ALIASES, json!({"name": "x"})).await.invalid(&[("/target", "required")]);
    owner.post(ALIASES, json!({"name": "x", "target": "y", "to": "z"})).await.problem(400, "unknown_field");
    let made = make(&owner, &"名".repeat(255), &"🦀".repeat(255)).await;
    owner.patch(&at(&made), &body).await.invalid(&faults);
    for field in ["name", "target", "enabled"] {
        let pointer = format!("/{field}");
        owner.patch(&at(&made), json!({field: null})).await.invalid(&[(pointer.as_str(), "not_nullable")]);
    }
    assert_eq!(owner.get(&at(&made)).await.ok(), made);
});

on_both!(an_organization_has_a_name_once, |app| {
    let owner = app.owner();
    make(&owner, "fast", "a").await;
    let other = make(&owner, "slow", "b").await;
    ask(&owner, "fast", "c").await.problem(409, "duplicate");
    owner.patch(&at(&other), json!({"name": "fast"})).await.problem(409, "duplicate");
    // Calls find it in whatever case they name it, so that a second one would be found by chance.
    ask(&owner, "Fast", "c").await.problem(409, "duplicate");
    owner.patch(&at(&other), json!({"name": "FAST"})).await.problem(409, "duplicate");
    owner.patch(&at(&other), json!({"name": "Slow"})).await.ok();
    // One that got such a name when it was not refused yet can still be disabled.
    let earlier = "UPDATE model_alias SET name = 'Fast' WHERE name = 'Slow'";
    app.system.db.writer.execute_unprepared(earlier).await.unwrap();
    owner.patch(&at(&other), json!({"enabled": false})).await.ok();
    owner.patch(&at(&other), json!({"name": "FAST"})).await.problem(409, "duplicate");
    let acme = app.other_organization("acme").await;
    let body = json!({"name": "fast", "target": "a"});
    let theirs = acme.post("/v1/organizations/acme/model-aliases", body).await.created();
    owner.get(&at(&theirs)).await.problem(404, "not_found");
    owner.patch(&at(&theirs), json!({"enabled": false})).await.problem(404, "not_found");
    owner.delete(&at(&theirs)).await.problem(404, "not_found");
    acme.get(ALIASES).await.problem(404, "not_found");
    let viewer = app.viewer().await;
    viewer.get(&at(&other)).await.ok();
    viewer.patch(&at(&other), json!({"enabled": false})).await.problem(403, "forbidden");
});

on_both!(a_repeated_call_makes_one_alias, |app| {
    let owner = app.owner();
    let make = || owner.post(ALIASES, json!({"name": "fast", "target": "a"})).idempotency_key("once");
    let made = make().await.created();
    let again = make().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.created(), made);
});

on_both!(aliases_are_found_by_name_target_and_whether_they_are_enabled, |app| {
    let owner = app.owner();
    let (fast, faster) = (make(&owner, "fast", "a").await, make(&owner, "faster", "b").await);
    let faster = owner.patch(&at(&faster), json!({"enabled": false})).await.ok();
    for (query, found) in [
        ("name_prefix=faste", json!([faster])),
        ("name_prefix=Fast", json!([])),
        ("target=a", json!([fast])),
        ("enabled=true", json!([fast])),
        ("enabled=false&name_prefix=fast", json!([faster])),
    ] {
        assert_eq!(owner.get(&format!("{ALIASES}?{query}")).await.ok()["items"], found, "{query}");
    }
});

on_both!(no_alias_leads_back_to_itself, |app| {
    let owner = app.owner();
    ask(&owner, "a", "a").await.problem(409, "alias_cycle");
    let b = make(&owner, "b", "c").await;
    make(&owner, "c", "d").await;
    ask(&owner, "d", "b").await.problem(409, "alias_cycle");
    let d = make(&owner, "d", "gpt-4o").await;
    // Not by another target, not by another name, and not through an alias that is switched off.
    owner.patch(&at(&d), json!({"target": "b"})).await.problem(409, "alias_cycle");
    owner.patch(&at(&b), json!({"name": "gpt-4o"})).await.problem(409, "alias_cycle");
    owner.patch(&at(&b), json!({"enabled": false})).await.ok();
    owner.patch(&at(&d), json!({"target": "b"})).await.problem(409, "alias_cycle");
    let off = json!({"name": "gpt-4o", "target": "c", "enabled": false});
    owner.post(ALIASES, off).await.problem(409, "alias_cycle");
    assert_eq!(owner.get(&at(&d)).await.ok(), d, "nothing of it happened");
    // A name may lead to a model of the same name as an alias elsewhere.
    let acme = app.other_organization("acme").await;
    acme.post("/v1/organizations/acme/model-aliases", json!({"name": "d", "target": "b"})).await.created();
    owner.delete(&at(&b)).await.no_content();
    owner.patch(&at(&d), json!({"target": "b"})).await.ok();
});

on_both!(a_name_leads_through_at_most_eight_aliases, |app| {
    let owner = app.owner();
    for n in 1..=8 {
        make(&owner, &format!("a{n}"), &format!("a{}", n + 1)).await;
    }
    ask(&owner, "a9", "gpt-4o").await.problem(409, "alias_chain_too_long");
    ask(&owner, "a0", "a1").await.problem(409, "alias_chain_too_long");
    ask(&owner, "a9", "a1").await.problem(409, "alias_cycle");
    ask(&owner, "a8", "a1").await.problem(409, "duplicate");
    make(&owner, "b", "a2").await;
    // Two short chains are not joined to a long one.
    let joint = make(&owner, "c", "gpt-4o").await;
    make(&owner, "d", "c").await;
    owner.patch(&at(&joint), json!({"target": "a2"})).await.problem(409, "alias_chain_too_long");
    owner.patch(&at(&joint), json!({"target": "a3"})).await.ok();
});

on_both!(two_who_close_a_circle_at_once_do_not_both_succeed, |app| {
    let second = app.second_instance().await;
    for round in 0..5 {
        let name = |n: usize| format!("{round}-{n}");
        let clients = [app.owner(), second.owner(), app.owner(), second.owner()];
        let calls = clients.iter().enumerate().map(|(n, client)| {
            let body = json!({"name": name(n), "target": name((n + 1) % 4), "enabled": n % 2 == 0});
            async move { client.post(ALIASES, body).await }
        });
        let replies = join_all(calls).await;
        let made = replies.iter().filter(|reply| reply.status == 201).count();
        assert_eq!(made, 3, "{:?}", replies.iter().map(|reply| &reply.text).collect::<Vec<_>>());
        let refused = replies.into_iter().find(|reply| reply.status != 201).unwrap();
        refused.problem(409, "alias_cycle");
    }
});

on_both!(two_who_turn_aliases_towards_each_other_do_not_both_succeed, |app| {
    let (owner, second) = (app.owner(), app.second_instance().await.owner());
    for round in 0..5 {
        let [one, two] = ["one", "two"].map(|name| format!("{name}-{round}"));
        let (a, b) = (make(&owner, &one, "x").await, make(&owner, &two, "y").await);
        let towards = owner.patch(&at(&a), json!({"target": two}));
        let (towards, back) = tokio::join!(towards, second.patch(&at(&b), json!({"target": one})));
        let mut statuses = [towards.status, back.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", towards.text, back.text);
    }
});

on_both!(every_change_of_an_alias_is_in_the_price_book_and_in_the_audit_log, |app| {
    let owner = app.owner();
    let before = policy_version(&app, app.organization).await;
    let made = make(&owner, "fast", "a").await;
    assert_eq!(policy_version(&app, app.organization).await, before + 1);
    owner.patch(&at(&made), json!({"enabled": false})).await.ok();
    assert_eq!(policy_version(&app, app.organization).await, before + 2);
    ask(&owner, "x", "x").await.problem(409, "alias_cycle");
    assert_eq!(policy_version(&app, app.organization).await, before + 2, "what is refused changes nothing");
    owner.delete(&at(&made)).await.no_content();
    assert_eq!(policy_version(&app, app.organization).await, before + 3);
    let events = owner.get("/v1/organizations/default/audit-events?page_size=3").await.ok();
    let actions: Vec<&Value> = events["items"].as_array().unwrap().iter().map(|e| &e["action"]).collect();
    assert_eq!(actions, ["model_alias.delete", "model_alias.update", "model_alias.create"]);
});

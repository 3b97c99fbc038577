//! Model mappings: what clients call a model, and what the upstream of a connection calls it.

use crate::connections::{make, smallest};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tests::{Client, Reply, on_both};

fn new(name: &str) -> Value {
    json!({"client_name": name, "upstream_name": "gpt-4o-mini"})
}

/// The path of a mapping that is made now.
async fn made(client: &Client, mappings: &str, name: &str) -> String {
    let mapping = client.post(mappings, new(name)).await.created();
    format!("{mappings}/{}", mapping["id"].as_str().unwrap())
}

on_both!(a_mapping_can_be_made_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let mappings = format!("{}/mappings", make(&owner, "a").await);
    let mapping = owner.post(&mappings, new("fast")).await.created();
    for (field, value) in [
        ("client_name", json!("fast")),
        ("upstream_name", json!("gpt-4o-mini")),
        ("weight", json!(100)),
        ("enabled", json!(true)),
        ("protocols", json!(null)),
        ("version", json!(1)),
    ] {
        assert_eq!(mapping[field], value, "{field}");
    }
    let path = format!("{mappings}/{}", mapping["id"].as_str().unwrap());
    assert_eq!(owner.get(&path).await.ok(), mapping);
    let all = json!({"client_name": "slow", "upstream_name": "o3", "weight": 0, "enabled": false, "protocols": ["google"]});
    let changed = owner.patch(&path, &all).if_match(1).await.ok();
    for (field, value) in all.as_object().unwrap() {
        assert_eq!(&changed[field], value, "{field}");
    }
    assert_eq!(owner.patch(&path, json!({"protocols": null})).await.ok()["protocols"], json!(null));
    assert_eq!(owner.get(&format!("{mappings}?client_name=fast")).await.ok()["items"], json!([]));
    let off = owner.get(&format!("{mappings}?client_name=slow&enabled=false")).await.ok();
    assert_eq!(off["items"].as_array().unwrap().len(), 1);
    owner.delete(&path).if_match(3).await.no_content();
    owner.get(&path).await.problem(404, "not_found");
    owner.delete(&path).await.problem(404, "not_found");
});

on_both!(every_faulty_field_of_a_mapping_is_reported, |app| {
    let owner = app.owner();
    let connection = make(&owner, "a").await;
    let mappings = format!("{connection}/mappings");
    let protocols = json!({"protocols": [{"protocol": "google"}, {"protocol": "ollama"}]});
    owner.patch(&connection, protocols).await.ok();
    let body = json!({"client_name": "gpt-*", "upstream_name": "", "weight": 10_001, "protocols": ["google", "openai_chat", "google"]});
    let faults = [
        ("/client_name", "invalid_character"),
        ("/upstream_name", "required"),
        ("/weight", "out_of_range"),
        ("/protocols/1", "not_supported"),
        ("/protocols/2", "duplicate"),
    ];
    owner.post(&mappings, &body).await.invalid(&faults);
    let path = made(&owner, &mappings, "fast").await;
    owner.patch(&path, &body).await.invalid(&faults);
    owner.patch(&path, json!({"protocols": []})).await.invalid(&[("/protocols", "required")]);
    owner.patch(&path, json!({"weight": -1})).await.invalid(&[("/weight", "out_of_range")]);
    owner.patch(&path, json!({"enabled": null})).await.invalid(&[("/enabled", "not_nullable")]);
    owner.patch(&path, json!({"connection_id": "x"})).await.problem(400, "unknown_field");
    owner.post(&mappings, json!({})).await.invalid(&[("/client_name", "required")]);
    assert_eq!(owner.get(&path).await.ok()["version"], 1);
});

on_both!(a_name_is_unique_in_its_connection, |app| {
    let owner = app.owner();
    let (first, second) = (make(&owner, "a").await, make(&owner, "b").await);
    let mappings = format!("{first}/mappings");
    made(&owner, &mappings, "fast").await;
    owner.post(&mappings, new("fast")).await.problem(409, "duplicate");
    let slow = made(&owner, &mappings, "slow").await;
    owner.patch(&slow, json!({"client_name": "fast"})).await.problem(409, "duplicate");
    // Calls find it in whatever case they name it.
    owner.post(&mappings, new("FAST")).await.problem(409, "duplicate");
    owner.patch(&slow, json!({"client_name": "Fast"})).await.problem(409, "duplicate");
    owner.patch(&slow, json!({"client_name": "Slow"})).await.ok();
    // One that got such a name when it was not refused yet can still be disabled.
    let earlier = "UPDATE model_mapping SET client_name = 'Fast' WHERE client_name = 'Slow'";
    app.system.db.writer.execute_unprepared(earlier).await.unwrap();
    owner.patch(&slow, json!({"enabled": false})).await.ok();
    owner.patch(&slow, json!({"client_name": "FAST"})).await.problem(409, "duplicate");
    made(&owner, &format!("{second}/mappings"), "fast").await;
});

on_both!(a_mapping_is_its_connections_and_stale_versions_are_refused, |app| {
    let owner = app.owner();
    let (first, second) = (make(&owner, "a").await, make(&owner, "b").await);
    let path = made(&owner, &format!("{first}/mappings"), "fast").await;
    let elsewhere = path.replace(&first, &second);
    for request in
        [owner.get(&elsewhere), owner.patch(&elsewhere, json!({"weight": 1})), owner.delete(&elsewhere)]
    {
        assert_eq!(request.await.problem(404, "not_found")["detail"], "mapping not found");
    }
    owner.patch(&path, json!({"weight": 1})).if_match(1).await.ok();
    owner.patch(&path, json!({"weight": 2})).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&path).if_match(1).await.problem(412, "version_conflict");
    let acme = app.other_organization("acme").await;
    let theirs = acme.post("/v1/organizations/acme/connections", smallest("a")).await.created();
    let theirs = format!("/v1/organizations/acme/connections/{}", theirs["id"].as_str().unwrap());
    acme.get(&path.replace(&first, &theirs)).await.problem(404, "not_found");
});

on_both!(a_protocol_that_a_mapping_names_is_not_taken_from_under_it, |app| {
    let owner = app.owner();
    let connection = make(&owner, "a").await;
    let speak = |protocols: &[&str]| {
        let list: Vec<Value> = protocols.iter().map(|protocol| json!({ "protocol": protocol })).collect();
        owner.patch(&connection, json!({ "protocols": list }))
    };
    speak(&["google", "ollama"]).await.ok();
    let mappings = format!("{connection}/mappings");
    let path = made(&owner, &mappings, "fast").await;
    owner.patch(&path, json!({"protocols": ["ollama"]})).await.ok();
    let refused = speak(&["google"]).await.problem(409, "in_use");
    assert!(refused["detail"].as_str().unwrap().starts_with("1 mappings"), "{refused}");
    speak(&["ollama"]).await.ok();
    speak(&[]).await.ok();
    speak(&["google"]).await.problem(409, "in_use");
    owner.patch(&path, json!({"protocols": null})).await.ok();
    speak(&["google"]).await.ok();
});

on_both!(mappings_and_protocols_that_change_at_once_agree, |app| {
    let owner = app.owner();
    for round in 0..20 {
        let connection = make(&owner, &format!("c{round}")).await;
        let protocols = json!({"protocols": [{"protocol": "google"}, {"protocol": "ollama"}]});
        owner.patch(&connection, protocols).await.ok();
        let mut body = new("fast");
        body["protocols"] = json!(["ollama"]);
        let create = owner.post(&format!("{connection}/mappings"), body).into_future();
        let narrow = owner.patch(&connection, json!({"protocols": [{"protocol": "google"}]})).into_future();
        let (create, narrow) = tokio::join!(tokio::spawn(create), tokio::spawn(narrow));
        let statuses = (create.unwrap().status, narrow.unwrap().status);
        assert!(matches!(statuses, (201, 409) | (422, 200)), "round {round}: {statuses:?}");
    }
});

on_both!(of_racing_mappings_of_one_name_one_is_made_and_a_repeated_call_happens_once, |app| {
    let owner = app.owner();
    let mappings = format!("{}/mappings", make(&owner, "a").await);
    let names = ["fast", "Fast"].into_iter().cycle().take(10);
    let requests = names.map(|name| tokio::spawn(owner.post(&mappings, new(name)).into_future()));
    let replies = futures_util::future::join_all(requests).await;
    let replies: Vec<Reply> = replies.into_iter().map(Result::unwrap).collect();
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 409).count(), 9);
    let first = owner.post(&mappings, new("slow")).idempotency_key("one").await;
    let again = owner.post(&mappings, new("slow")).idempotency_key("one").await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    let id = first.created()["id"].as_str().unwrap().to_owned();
    owner.delete(&format!("{mappings}/{id}")).await.no_content();
    let page = format!("/v1/organizations/default/audit-events?order=asc&subject={id}");
    let events = owner.get(&page).await.ok();
    let actions: Vec<&Value> =
        events["items"].as_array().unwrap().iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["mapping.create", "mapping.delete"]);
});

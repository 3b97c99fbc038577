//! Models: making, reading, changing, deleting; filters; those of the platform beside an organization's own.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{Client, TestApp, on_both};

/// The models of `default`.
pub const MODELS: &str = "/v1/organizations/default/models";
/// The platform's.
pub const PLATFORM: &str = "/v1/models";

fn at(collection: &str, row: &Value) -> String {
    format!("{collection}/{}", row["id"].as_str().unwrap())
}

async fn make(client: &Client, collection: &str, provider: &str, name: &str) -> Value {
    client.post(collection, json!({"provider": provider, "name": name})).await.created()
}

/// Makes the providers that models are made for.
async fn provide(app: &TestApp) {
    let operator = app.operator().await;
    for name in ["openai", "azure", "x"] {
        operator.post("/v1/providers", json!({"name": name, "display_name": name})).await.created();
    }
}

/// The names in a list, in order.
async fn names(client: &Client, path: &str) -> Vec<String> {
    let page = client.get(path).await.ok();
    page["items"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// How many changes of policies the organization of a path has seen.
async fn policy_version(app: &TestApp, organization: entity::id::OrganizationId) -> i64 {
    use sea_orm::EntityTrait;
    let head = entity::org_head::Entity::find_by_id(organization).one(&app.system.db.reader).await;
    head.unwrap().unwrap().policy_version
}

on_both!(a_model_can_be_made_read_changed_and_deleted, |app| {
    provide(&app).await;
    let owner = app.owner();
    let body = json!({
        "provider": "openai", "name": "gpt-4o", "capabilities": {"chat": true, "vision": true},
        "context_window": 128_000, "max_output_tokens": 16_384, "deprecated": true, "deprecated_on": "2027-06-01",
    });
    let made = owner.post(MODELS, &body).await.created();
    for field in ["provider", "name", "context_window", "max_output_tokens", "deprecated", "deprecated_on"] {
        assert_eq!(made[field], body[field], "{field}");
    }
    let can: Vec<&String> = made["capabilities"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, can)| **can == true)
        .map(|(c, _)| c)
        .collect();
    assert_eq!(can, ["chat", "vision"]);
    let facts =
        [&made["scope"], &made["origin"], &made["source"], &made["suitable_for_chat"], &made["version"]];
    assert_eq!(facts, [&json!("organization"), &json!("manual"), &json!(null), &json!(true), &json!(1)]);
    let path = at(MODELS, &made);
    assert_eq!(owner.get(&path).await.ok(), made);
    assert_eq!(owner.get(MODELS).await.ok()["items"], json!([made]));

    let can = json!({"chat": false, "embedding": true});
    let patch = json!({"capabilities": can, "context_window": null, "deprecated": false});
    let changed = owner.patch(&path, patch).if_match(1).await.ok();
    let can = ["chat", "embedding", "vision"].map(|flag| changed["capabilities"][flag] == true);
    assert_eq!(can, [false, true, true], "a flag that is not stated is kept");
    assert_eq!((&changed["context_window"], &changed["max_output_tokens"]), (&json!(null), &json!(16_384)));
    assert_eq!((&changed["suitable_for_chat"], &changed["version"]), (&json!(false), &json!(2)));
    owner.patch(&path, json!({"deprecated": true})).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&path).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&path).if_match(2).await.no_content();
    owner.get(&path).await.problem(404, "not_found");
    owner.patch(&path, json!({})).await.problem(404, "not_found");
    owner.delete(&path).await.problem(404, "not_found");
});

on_both!(every_faulty_field_of_a_model_is_named, |app| {
    provide(&app).await;
    let owner = app.owner();
    let body = json!({"provider": "Open AI", "name": "gpt-*\u{0}", "context_window": 0, "max_output_tokens": 1_000_000_000_001_i64});
    owner.post(MODELS, body).await.invalid(&[
        ("/provider", "invalid_value"),
        ("/name", "invalid_character"),
        ("/name", "invalid_character"),
        ("/context_window", "out_of_range"),
        ("/max_output_tokens", "out_of_range"),
    ]);
    for (name, code) in
        [(json!(""), "required"), (json!(" "), "required"), (json!("x".repeat(256)), "too_long")]
    {
        owner.post(MODELS, json!({"provider": "x", "name": name})).await.invalid(&[("/name", code)]);
    }
    let body = json!({"provider": "x", "name": "x", "capabilities": {"chat": true, "telepathy": true}});
    let problem = owner.post(MODELS, body).await.problem(400, "unknown_field");
    assert_eq!(problem["errors"][0]["pointer"], "/capabilities/telepathy");
    let body = json!({"provider": "x", "name": "x", "capabilities": {"chat": "yes"}});
    owner.post(MODELS, body).await.invalid(&[("/capabilities/chat", "invalid_value")]);
    let body = json!({"provider": "x", "name": "x", "deprecated_on": "soon"});
    owner.post(MODELS, body).await.invalid(&[("/deprecated_on", "invalid_value")]);

    let name = "模".repeat(255);
    let body = json!({"provider": "x", "name": name, "context_window": 1_000_000_000_000_i64});
    let path = at(MODELS, &owner.post(MODELS, body).await.created());
    let patch = json!({"context_window": -1, "max_output_tokens": 0});
    let faults = [("/context_window", "out_of_range"), ("/max_output_tokens", "out_of_range")];
    owner.patch(&path, patch).await.invalid(&faults);
    for field in ["capabilities", "deprecated"] {
        let pointer = format!("/{field}");
        owner.patch(&path, json!({field: null})).await.invalid(&[(pointer.as_str(), "not_nullable")]);
    }
    for field in ["name", "provider", "origin", "source", "suitable_for_chat"] {
        owner.patch(&path, json!({field: "x"})).await.problem(400, "unknown_field");
    }
    let patch = json!({"capabilities": {"chat": null}});
    owner.patch(&path, patch).await.invalid(&[("/capabilities/chat", "not_nullable")]);
    let body = json!({"provider": "nobody", "name": "x"});
    owner.post(MODELS, body).await.invalid(&[("/provider", "provider_unknown")]);
    assert_eq!(owner.get(&path).await.ok()["version"], 1);
});

on_both!(a_provider_has_a_model_once, |app| {
    provide(&app).await;
    let owner = app.owner();
    make(&owner, MODELS, "openai", "gpt-4o").await;
    make(&owner, MODELS, "azure", "gpt-4o").await;
    make(&owner, PLATFORM, "openai", "gpt-4o").await;
    let body = json!({"provider": "openai", "name": "gpt-4o"});
    owner.post(MODELS, &body).await.problem(409, "duplicate");
    owner.post(PLATFORM, &body).await.problem(409, "duplicate");
    let acme = app.other_organization("acme").await;
    acme.post("/v1/organizations/acme/models", &body).await.created();
    let body = json!({"provider": "x", "name": "racer"});
    let (one, two) = tokio::join!(owner.post(MODELS, &body), owner.post(MODELS, &body));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
});

on_both!(a_repeated_call_makes_one_model, |app| {
    provide(&app).await;
    let owner = app.owner();
    let make = || owner.post(MODELS, json!({"provider": "x", "name": "m"})).idempotency_key("once");
    let made = make().await.created();
    let again = make().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.created(), made);
    assert_eq!(names(&owner, MODELS).await, ["m"]);
});

on_both!(an_organizations_model_takes_the_place_of_the_platforms, |app| {
    provide(&app).await;
    let operator = app.operator().await;
    let theirs = make(&operator, PLATFORM, "openai", "gpt-4o").await;
    make(&operator, PLATFORM, "azure", "gpt-4o").await;
    let owner = app.owner();
    assert_eq!(owner.get(&at(MODELS, &theirs)).await.ok(), theirs);
    owner.patch(&at(MODELS, &theirs), json!({"deprecated": true})).await.problem(404, "not_found");
    owner.delete(&at(MODELS, &theirs)).await.problem(404, "not_found");

    let own = make(&owner, MODELS, "openai", "gpt-4o").await;
    let page = owner.get(MODELS).await.ok();
    let seen: BTreeSet<(&str, &str)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["provider"].as_str().unwrap(), row["scope"].as_str().unwrap()))
        .collect();
    assert_eq!(seen, BTreeSet::from([("azure", "platform"), ("openai", "organization")]));
    let deprecated = owner.patch(&at(MODELS, &own), json!({"deprecated": true})).await.ok();
    let page = owner.get(&format!("{MODELS}?deprecated=false&provider=openai")).await.ok();
    assert_eq!(page["items"], json!([]), "what is hidden is hidden from every filter");
    let page = owner.get(&format!("{MODELS}?scope=platform&provider=openai")).await.ok();
    assert_eq!(page["items"], json!([theirs]));
    assert_eq!(owner.get(&format!("{MODELS}?scope=organization")).await.ok()["items"], json!([deprecated]));
    assert_eq!(owner.get(&format!("{MODELS}?scope=connection")).await.ok()["items"], json!([]));
    owner.get(&format!("{MODELS}?scope=everything")).await.problem(400, "invalid_parameter");

    let acme = app.other_organization("acme").await;
    assert_eq!(
        acme.get("/v1/organizations/acme/models?provider=openai").await.ok()["items"],
        json!([theirs])
    );
    acme.get(&at("/v1/organizations/acme/models", &own)).await.problem(404, "not_found");
    operator.get(&at(PLATFORM, &own)).await.problem(404, "not_found");
    owner.delete(&at(MODELS, &own)).await.no_content();
    assert_eq!(owner.get(&format!("{MODELS}?provider=openai")).await.ok()["items"], json!([theirs]));
});

on_both!(pages_run_through_both_scopes_without_gap_or_repetition, |app| {
    provide(&app).await;
    let (owner, operator) = (app.owner(), app.operator().await);
    let mut expected = Vec::new();
    for n in 0..12 {
        let name = format!("model-{n:02}");
        if n % 3 != 0 {
            make(&operator, PLATFORM, "x", &name).await;
        }
        if n % 2 == 0 {
            make(&owner, MODELS, "x", &name).await;
        }
        // Ids are in order of time: what is made later comes later.
        app.clock.advance(chrono::TimeDelta::seconds(1));
        if n % 3 != 0 || n % 2 == 0 {
            expected.push(name);
        }
    }
    for (order, size) in [("asc", 1), ("asc", 5), ("desc", 2), ("desc", 100)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = owner.get(&format!("{MODELS}?order={order}&page_size={size}{cursor}")).await.ok();
            seen.extend(
                page["items"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        if order == "desc" {
            seen.reverse();
        }
        assert_eq!(seen, expected, "{order} by {size}");
    }
});

on_both!(models_are_found_by_what_they_are_and_can, |app| {
    provide(&app).await;
    let owner = app.owner();
    let all = [
        ("openai", "gpt-4o", json!({"chat": true, "vision": true, "pdf_input": true}), false),
        ("openai", "gpt-3.5_turbo", json!({"chat": true}), true),
        ("azure", "GPT-4o", json!({}), false),
    ];
    for (provider, name, capabilities, deprecated) in all {
        let body = json!({"provider": provider, "name": name, "capabilities": capabilities, "deprecated": deprecated});
        owner.post(MODELS, body).await.created();
    }
    for (query, found) in [
        ("provider=openai", vec!["gpt-3.5_turbo", "gpt-4o"]),
        ("name_prefix=gpt-4", vec!["gpt-4o"]),
        ("name_prefix=gpt-3%25", vec![]),
        ("name_prefix=gpt-3.5_", vec!["gpt-3.5_turbo"]),
        ("name_prefix=gpt-3.55", vec![]),
        ("capability=vision", vec!["gpt-4o"]),
        ("capability=pdf_input", vec!["gpt-4o"]),
        ("capability=chat", vec!["gpt-3.5_turbo", "gpt-4o"]),
        ("capability=embedding", vec![]),
        ("deprecated=true", vec!["gpt-3.5_turbo"]),
        ("deprecated=false&provider=azure", vec!["GPT-4o"]),
        ("capability=chat&deprecated=false", vec!["gpt-4o"]),
    ] {
        let mut seen = names(&owner, &format!("{MODELS}?{query}")).await;
        seen.sort();
        assert_eq!(seen, found, "{query}");
    }
    let operator = app.operator().await;
    make(&operator, PLATFORM, "x", "theirs").await;
    assert_eq!(names(&operator, &format!("{PLATFORM}?provider=x&name_prefix=th")).await, ["theirs"]);
    assert!(names(&operator, &format!("{PLATFORM}?capability=vision")).await.is_empty());
    let unknown = owner.get(&format!("{MODELS}?capability=telepathy")).await;
    assert_eq!(unknown.problem(400, "invalid_parameter")["errors"][0]["pointer"], "?capability");
    operator.get(&format!("{PLATFORM}?scope=organization")).await.problem(400, "unknown_parameter");
});

on_both!(everybody_in_an_organization_reads_models_and_administrators_change_them, |app| {
    provide(&app).await;
    let made = make(&app.owner(), MODELS, "x", "m").await;
    let body = json!({"provider": "x", "name": "n"});
    for client in [app.member().await, app.billing().await, app.viewer().await] {
        assert_eq!(client.get(&at(MODELS, &made)).await.ok(), made);
        assert_eq!(client.get(MODELS).await.ok()["items"], json!([made]));
        client.post(MODELS, &body).await.problem(403, "forbidden");
        client.patch(&at(MODELS, &made), json!({})).await.problem(403, "forbidden");
        client.delete(&at(MODELS, &made)).await.problem(403, "forbidden");
    }
    for client in [app.admin().await, app.other_organization("acme").await] {
        client.post(PLATFORM, &body).await.problem(403, "forbidden");
        client.get(PLATFORM).await.problem(403, "forbidden");
    }
    app.admin().await.post(MODELS, &body).await.created();
    app.operator().await.get(MODELS).await.problem(404, "not_found");
});

on_both!(every_change_of_a_model_is_in_the_price_book_and_in_the_audit_log, |app| {
    provide(&app).await;
    let (owner, operator) = (app.owner(), app.operator().await);
    let platform = entity::id::OrganizationId::PLATFORM;
    for (client, collection, organization) in
        [(&owner, MODELS, app.organization), (&operator, PLATFORM, platform)]
    {
        let before = policy_version(&app, organization).await;
        let made = make(client, collection, "x", "m").await;
        assert_eq!(policy_version(&app, organization).await, before + 1);
        client.patch(&at(collection, &made), json!({"deprecated": true})).await.ok();
        assert_eq!(policy_version(&app, organization).await, before + 2);
        client.patch(&at(collection, &made), json!({})).await.ok();
        client.get(collection).await.ok();
        assert_eq!(policy_version(&app, organization).await, before + 2, "nothing changed");
        client.delete(&at(collection, &made)).await.no_content();
        assert_eq!(policy_version(&app, organization).await, before + 3);
    }
    let events = owner.get("/v1/organizations/default/audit-events?page_size=3").await.ok();
    let actions: Vec<&Value> = events["items"].as_array().unwrap().iter().map(|e| &e["action"]).collect();
    assert_eq!(actions, ["model.delete", "model.update", "model.create"]);
    let detail = &events["items"][1]["detail"];
    assert_eq!(
        (&detail["before"]["deprecated"], &detail["after"]["deprecated"]),
        (&json!(false), &json!(true))
    );
});

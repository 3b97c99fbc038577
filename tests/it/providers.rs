//! Providers: making, reading, changing, deleting; those of the platform beside an organization's own.

use serde_json::{Value, json};
use tests::on_both;

/// The providers of `default`.
pub const PROVIDERS: &str = "/v1/organizations/default/providers";
/// The platform's.
pub const PLATFORM: &str = "/v1/providers";

fn at(collection: &str, row: &Value) -> String {
    format!("{collection}/{}", row["id"].as_str().unwrap())
}

/// Names and scopes in a page.
fn listed(page: &Value) -> Vec<(&str, &str)> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|row| (row["name"].as_str().unwrap(), row["scope"].as_str().unwrap())).collect()
}

on_both!(a_provider_can_be_made_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let made =
        owner.post(PROVIDERS, json!({"name": "open_ai-2.eu", "display_name": "Öpen AI"})).await.created();
    assert_eq!((&made["name"], &made["display_name"]), (&json!("open_ai-2.eu"), &json!("Öpen AI")));
    let facts = [&made["scope"], &made["origin"], &made["version"]];
    assert_eq!(facts, [&json!("organization"), &json!("manual"), &json!(1)]);
    let path = at(PROVIDERS, &made);
    assert_eq!(owner.get(&path).await.ok(), made);
    assert_eq!(owner.get(PROVIDERS).await.ok()["items"], json!([made]));
    let changed = owner.patch(&path, json!({"display_name": "Other"})).if_match(1).await.ok();
    assert_eq!((&changed["display_name"], &changed["version"]), (&json!("Other"), &json!(2)));
    owner.patch(&path, json!({"display_name": "x"})).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&path).if_match(1).await.problem(412, "version_conflict");
    owner.delete(&path).if_match(2).await.no_content();
    owner.get(&path).await.problem(404, "not_found");
    owner.patch(&path, json!({})).await.problem(404, "not_found");
    owner.delete(&path).await.problem(404, "not_found");
});

on_both!(every_faulty_field_of_a_provider_is_named, |app| {
    let owner = app.owner();
    for name in ["", "Open", "a b", "a/b", "ä", "nul\u{0}", "*", &"x".repeat(65)] {
        let body = json!({"name": name, "display_name": "\u{7}"});
        let faults = [("/name", "invalid_value"), ("/display_name", "invalid_character")];
        owner.post(PROVIDERS, body).await.invalid(&faults);
    }
    let body = json!({"name": "x".repeat(64), "display_name": "🦀".repeat(255)});
    let made = owner.post(PROVIDERS, body).await.created();
    owner.post(PROVIDERS, json!({"name": "x"})).await.invalid(&[("/display_name", "required")]);
    owner
        .post(PROVIDERS, json!({"name": 1, "display_name": "x"}))
        .await
        .invalid(&[("/name", "invalid_value")]);
    for (value, code) in
        [(json!(""), "required"), (json!("x".repeat(256)), "too_long"), (json!(null), "not_nullable")]
    {
        let patch = owner.patch(&at(PROVIDERS, &made), json!({"display_name": value}));
        patch.await.invalid(&[("/display_name", code)]);
    }
    for field in ["name", "origin", "scope", "version", "surprise"] {
        let body = json!({"display_name": "x", field: "x"});
        owner.patch(&at(PROVIDERS, &made), body).await.problem(400, "unknown_field");
    }
    assert_eq!(owner.get(&at(PROVIDERS, &made)).await.ok(), made);
});

on_both!(a_name_is_taken_once_in_each_scope, |app| {
    let owner = app.owner();
    let body = json!({"name": "openai", "display_name": "OpenAI"});
    owner.post(PROVIDERS, &body).await.created();
    owner.post(PROVIDERS, &body).await.problem(409, "duplicate");
    owner.post(PLATFORM, &body).await.created();
    owner.post(PLATFORM, &body).await.problem(409, "duplicate");
    let acme = app.other_organization("acme").await;
    acme.post("/v1/organizations/acme/providers", &body).await.created();
});

on_both!(a_repeated_call_makes_one_provider, |app| {
    let owner = app.owner();
    let make = || owner.post(PROVIDERS, json!({"name": "x", "display_name": "X"})).idempotency_key("once");
    let made = make().await.created();
    let again = make().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.created(), made);
    assert_eq!(owner.get(PROVIDERS).await.ok()["items"], json!([made]));
});

on_both!(the_platforms_providers_are_there_for_every_organization_to_read, |app| {
    let operator = app.operator().await;
    let theirs = operator.post(PLATFORM, json!({"name": "openai", "display_name": "OpenAI"})).await.created();
    assert_eq!(theirs["scope"], "platform");
    let owner = app.owner();
    assert_eq!(owner.get(&at(PROVIDERS, &theirs)).await.ok(), theirs);
    assert_eq!(listed(&owner.get(PROVIDERS).await.ok()), [("openai", "platform")]);
    let patch = owner.patch(&at(PROVIDERS, &theirs), json!({"display_name": "Mine"})).await;
    patch.problem(404, "not_found");
    owner.delete(&at(PROVIDERS, &theirs)).await.problem(404, "not_found");
    assert_eq!(operator.get(&at(PLATFORM, &theirs)).await.ok(), theirs);

    // The organization's own takes its place, for nobody else.
    let own = owner.post(PROVIDERS, json!({"name": "openai", "display_name": "Mine"})).await.created();
    assert_eq!(listed(&owner.get(PROVIDERS).await.ok()), [("openai", "organization")]);
    let all = owner.get(&format!("{PROVIDERS}?scope=platform")).await.ok();
    assert_eq!(all["items"], json!([theirs]), "what it takes the place of can be seen");
    assert_eq!(owner.get(&format!("{PROVIDERS}?scope=organization")).await.ok()["items"], json!([own]));
    let acme = app.other_organization("acme").await;
    let page = acme.get("/v1/organizations/acme/providers").await.ok();
    assert_eq!(listed(&page), [("openai", "platform")]);
    assert_eq!(operator.get(PLATFORM).await.ok()["items"], json!([theirs]));
    operator.get(&at(PLATFORM, &own)).await.problem(404, "not_found");
    acme.get(&at("/v1/organizations/acme/providers", &own)).await.problem(404, "not_found");
});

on_both!(only_the_operator_changes_the_platforms_providers, |app| {
    let theirs = app.owner().post(PLATFORM, json!({"name": "x", "display_name": "X"})).await.created();
    for client in [app.admin().await, app.member().await, app.other_organization("acme").await] {
        client.get(PLATFORM).await.problem(403, "forbidden");
        client.post(PLATFORM, json!({"name": "y", "display_name": "Y"})).await.problem(403, "forbidden");
        client.patch(&at(PLATFORM, &theirs), json!({})).await.problem(403, "forbidden");
        client.delete(&at(PLATFORM, &theirs)).await.problem(403, "forbidden");
    }
    let operator = app.operator().await;
    operator.patch(&at(PLATFORM, &theirs), json!({"display_name": "Z"})).if_match(1).await.ok();
    operator.delete(&at(PLATFORM, &theirs)).if_match(2).await.no_content();
});

on_both!(a_provider_that_models_name_stays, |app| {
    let owner = app.owner();
    let openai = owner.post(PROVIDERS, json!({"name": "openai", "display_name": "X"})).await.created();
    let model = json!({"provider": "openai", "name": "gpt-4o"});
    let models = "/v1/organizations/default/models";
    let model = owner.post(models, model).await.created();
    owner.delete(&at(PROVIDERS, &openai)).await.problem(409, "in_use");
    owner.delete(&at(models, &model)).await.no_content();
    owner.delete(&at(PROVIDERS, &openai)).await.no_content();
});

on_both!(a_provider_is_not_deleted_once_a_model_names_it, |app| {
    let owner = app.owner();
    for round in 0..8 {
        let name = format!("provider-{round}");
        let body = json!({"name": name, "display_name": "X"});
        let path = at(PROVIDERS, &owner.post(PROVIDERS, body).await.created());
        let model = json!({"provider": name, "name": "m"});
        let make = owner.post("/v1/organizations/default/models", model);
        let (made, deleted) = tokio::join!(make, owner.delete(&path));
        if deleted.status != 204 {
            made.created();
            deleted.problem(409, "in_use");
            owner.get(&path).await.ok();
            continue;
        }
        // It went before there was a model.
        made.invalid(&[("/provider", "provider_unknown")]);
    }
});

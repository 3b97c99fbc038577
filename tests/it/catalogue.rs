//! The built-in catalogue: applied at the start, once, by whoever comes first; what an operator has changed is left alone.

use chrono::TimeDelta;
use entity::{catalogue_state, id::OrganizationId, org_head};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use service::{
    Ctx, Error,
    catalogue::{Catalogue, Outcome, apply},
    scope::Scope,
};
use tests::{Backend, TestApp, on_both, server::Installation};

const MODELS: &str = "/v1/models";
const PROVIDERS: &str = "/v1/providers";
const PRICES: &str = "/v1/prices";
const STATUS: &str = "/v1/catalogue";
const RESOLVE: &str = "/v1/organizations/default/prices/resolve";
const APPLY: &str = "/v1/catalogue/apply";
/// What ships with the server.
const BUILT_IN: &str = include_str!("../../service/src/catalogue/catalogue.json");

/// A small catalogue: two models of one provider, with a price for a million tokens each.
fn small(version: i64, dated: &str, rate: &str) -> Value {
    let price = |model: &str, rate: &str| {
        json!({"model": model, "provider": "openai", "currency": "USD", "kind": "per_token", "input": rate, "output": "8",
            "effective_from": format!("{dated}T00:00:00Z"), "source": "a list", "sourced_on": dated, "note": "as seen"})
    };
    json!({
        "version": version, "source": "a list", "dated": dated,
        "providers": [{"name": "openai", "display_name": "OpenAI"}],
        "models": [
            {"provider": "openai", "name": "one", "capabilities": {"chat": true}, "context_window": 1000},
            {"provider": "openai", "name": "two", "deprecated": true, "deprecated_on": "2027-06-01"},
        ],
        "prices": [price("one", rate), price("two", "3")],
    })
}

async fn attempt(app: &TestApp, catalogue: &Value) -> Result<Outcome, Error> {
    let platform = Ctx::internal(&app.system, Scope::platform());
    apply(&platform, &Catalogue::read(&catalogue.to_string()).unwrap()).await
}

/// Applies a catalogue; what that changed.
async fn applied(app: &TestApp, catalogue: &Value) -> Value {
    match attempt(app, catalogue).await.unwrap() {
        Outcome::Applied(applied) => json!(applied),
        other => panic!("{other:?}"),
    }
}

/// Counts as the API tells them.
fn changes(added: u64, changed: u64, unchanged: u64, kept: u64) -> Value {
    json!({"added": added, "changed": changed, "unchanged": unchanged, "kept": kept})
}

/// Every row of a list, oldest first.
async fn all(app: &TestApp, path: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let and = if path.contains('?') { '&' } else { '?' };
        let page = app.owner().get(&format!("{path}{and}order=asc&page_size=100{cursor}")).await.ok();
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { return rows };
        cursor = format!("&cursor={next}");
    }
}

/// The only row of a list with this value.
async fn one(app: &TestApp, path: &str, field: &str, value: &str) -> Value {
    let mut rows = all(app, path).await.into_iter().filter(|row| row[field] == value);
    let row = rows.next().unwrap_or_else(|| panic!("no {value} in {path}"));
    assert!(rows.next().is_none(), "{value} is in {path} more than once");
    row
}

fn at(collection: &str, row: &Value) -> String {
    format!("{collection}/{}", row["id"].as_str().unwrap())
}

/// Everything that applying a catalogue can change.
async fn everything(app: &TestApp) -> (Vec<Vec<Value>>, i64, i64) {
    let mut rows = Vec::new();
    for path in [PROVIDERS, MODELS, PRICES] {
        rows.push(all(app, path).await);
    }
    let head = org_head::Entity::find_by_id(OrganizationId::PLATFORM).one(&app.system.db.reader).await;
    let head = head.unwrap().unwrap();
    (rows, head.audit_seq, head.policy_version)
}

on_both!(the_built_in_catalogue_is_there_for_every_organization, |app| {
    app.with_catalogue().await;
    let shipped: Value = serde_json::from_str(BUILT_IN).unwrap();
    for (path, name) in [(PROVIDERS, "providers"), (MODELS, "models"), (PRICES, "prices")] {
        let rows = all(&app, path).await;
        assert_eq!(rows.len(), shipped[name].as_array().unwrap().len(), "{name}");
        assert!(rows.iter().all(|row| row["origin"] == "catalogue" && row["version"] == 1), "{name}");
    }
    let price = one(&app, PRICES, "model", "gpt-4o").await;
    let listed =
        shipped["prices"].as_array().unwrap().iter().find(|price| price["model"] == "gpt-4o").unwrap();
    for (field, value) in listed.as_object().unwrap() {
        assert_eq!(price[field], *value, "{field}");
    }
    assert_eq!(price["created_by"], "system");
    let model = one(&app, "/v1/organizations/default/models?provider=openai", "name", "gpt-4o").await;
    assert_eq!((&model["scope"], &model["suitable_for_chat"]), (&json!("platform"), &json!(true)));
    assert_eq!((&model["source"], &model["sourced_on"]), (&shipped["source"], &shipped["dated"]));
    for (name, chat) in [("text-embedding-3-small", false), ("whisper-1", false), ("claude-opus-4-5", true)] {
        let found = all(&app, &format!("{MODELS}?name_prefix={name}")).await;
        assert!(found.iter().all(|model| model["suitable_for_chat"] == chat), "{name}");
    }
});

on_both!(applying_a_catalogue_twice_changes_nothing, |app| {
    app.with_catalogue().await;
    let before = everything(&app).await;
    app.clock.advance(TimeDelta::days(1));
    app.with_catalogue().await;
    app.second_instance().await.with_catalogue().await;
    assert_eq!(everything(&app).await, before);
    let events = app.owner().get("/v1/audit-events?page_size=1").await.ok();
    assert_eq!(events["items"][0]["action"], "catalogue.apply", "one event says it all");
    assert_eq!(events["items"][0]["detail"]["models"], changes(218, 0, 0, 0));
});

on_both!(a_newer_catalogue_changes_what_is_different_and_nothing_else, |app| {
    applied(&app, &small(1, "2026-07-24", "2.5")).await;
    let (two, price_two) = (one(&app, MODELS, "name", "two").await, one(&app, PRICES, "model", "two").await);
    app.clock.advance(TimeDelta::seconds(1));
    let mut newer = small(2, "2026-09-01", "1.5");
    newer["models"][0]["context_window"] = json!(2000);
    newer["models"].as_array_mut().unwrap().push(json!({"provider": "xai", "name": "three"}));
    newer["providers"].as_array_mut().unwrap().push(json!({"name": "xai", "display_name": "xAI"}));
    let done = applied(&app, &newer).await;
    assert_eq!(done["providers"], changes(1, 0, 1, 0));
    assert_eq!(done["models"], changes(1, 1, 1, 0));
    assert_eq!(done["prices"], changes(0, 1, 1, 0));
    let model = one(&app, MODELS, "name", "one").await;
    assert_eq!((&model["context_window"], &model["version"]), (&json!(2000), &json!(2)));
    assert_eq!((&model["origin"], &model["sourced_on"]), (&json!("catalogue"), &json!("2026-09-01")));
    assert_eq!(one(&app, MODELS, "name", "two").await, two, "not touched");
    assert_eq!(one(&app, PRICES, "model", "two").await, price_two, "not touched");
    let prices: Vec<Value> = all(&app, &format!("{PRICES}?model=one")).await;
    let told: Vec<(&Value, &Value, &Value)> =
        prices.iter().map(|p| (&p["input"], &p["effective_from"], &p["version"])).collect();
    let (old, new) = (json!("2026-07-24T00:00:00Z"), json!("2026-09-01T00:00:00Z"));
    assert_eq!(
        told,
        [(&json!("2.5"), &old, &json!(1)), (&json!("1.5"), &new, &json!(1))],
        "the old one stays"
    );
});

on_both!(a_correction_of_the_same_day_holds_from_now_on, |app| {
    applied(&app, &small(1, "2026-07-24", "2.5")).await;
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(applied(&app, &small(2, "2026-07-24", "1.5")).await["prices"], changes(0, 1, 1, 0));
    let prices = all(&app, &format!("{PRICES}?model=one")).await;
    assert_eq!(prices[1]["effective_from"], "2027-01-15T10:00:01Z");
    assert_eq!(prices[1]["input"], "1.5");
    // The same version with other figures is another catalogue; twice in one moment the first correction stays.
    assert_eq!(applied(&app, &small(2, "2026-07-24", "1.25")).await["prices"], changes(0, 0, 1, 1));
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(applied(&app, &small(2, "2026-07-24", "1.125")).await["prices"], changes(0, 1, 1, 0));
});

on_both!(what_the_operator_changed_survives_a_newer_catalogue, |app| {
    let operator = app.operator().await;
    applied(&app, &small(1, "2026-07-24", "2.5")).await;
    let (model, provider) =
        (one(&app, MODELS, "name", "one").await, one(&app, PROVIDERS, "name", "openai").await);
    let model = operator.patch(&at(MODELS, &model), json!({"context_window": 1234})).await.ok();
    let provider = operator.patch(&at(PROVIDERS, &provider), json!({"display_name": "Ours"})).await.ok();
    assert_eq!((&model["origin"], &provider["origin"]), (&json!("manual"), &json!("manual")));
    let body =
        json!({"provider": "openai", "model": "one", "kind": "per_token", "input": "1", "output": "1"});
    let price = operator.post(PRICES, body).await.created();

    let mut newer = small(2, "2026-09-01", "9");
    newer["models"][0]["context_window"] = json!(2000);
    newer["providers"][0]["display_name"] = json!("Theirs");
    let done = applied(&app, &newer).await;
    assert_eq!(done["providers"], changes(0, 0, 0, 1));
    assert_eq!(done["models"], changes(0, 0, 1, 1));
    assert_eq!(done["prices"], changes(0, 0, 1, 1));
    assert_eq!(operator.get(&at(MODELS, &model)).await.ok(), model);
    assert_eq!(operator.get(&at(PROVIDERS, &provider)).await.ok(), provider);
    assert_eq!(operator.get(&at(PRICES, &price)).await.ok(), price);
    assert_eq!(
        all(&app, &format!("{PRICES}?model=one")).await.len(),
        2,
        "the catalogue's first, and the operator's"
    );
});

on_both!(an_older_catalogue_changes_nothing, |app| {
    applied(&app, &small(7, "2026-07-24", "2.5")).await;
    let before = everything(&app).await;
    let outcome = attempt(&app, &small(6, "2026-09-01", "1")).await.unwrap();
    assert!(matches!(outcome, Outcome::Older(7)), "{outcome:?}");
    app.with_catalogue().await;
    app.owner().post(APPLY, json!({})).await.problem(409, "catalogue_older");
    assert_eq!(everything(&app).await, before);
    let status = app.owner().get(STATUS).await.ok();
    assert_eq!(
        (&status["applied_version"], &status["built_in"]["catalogue_version"]),
        (&json!(7), &json!(3))
    );
});

on_both!(a_catalogue_that_is_wrong_changes_nothing, |app| {
    let before = everything(&app).await;
    let mut wrong = small(1, "2026-07-24", "2.5");
    wrong["prices"][1]["input"] = json!("-3");
    assert!(matches!(attempt(&app, &wrong).await, Err(Error::Internal(_))));
    wrong = small(1, "2026-07-24", "2.5");
    let again = wrong["models"][0].clone();
    wrong["models"].as_array_mut().unwrap().push(again);
    assert!(matches!(attempt(&app, &wrong).await, Err(Error::Conflict { .. })));
    assert_eq!(everything(&app).await, before, "not half of it");
    applied(&app, &small(1, "2026-07-24", "2.5")).await;
});

on_both!(of_many_who_apply_it_at_once_one_does, |app| {
    let mut instances = vec![app.clone()];
    for _ in 0..3 {
        instances.push(app.second_instance().await);
    }
    let catalogue = small(1, "2026-07-24", "2.5");
    let outcomes = futures_util::future::join_all(instances.iter().map(|app| attempt(app, &catalogue))).await;
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Applied(_)))).count();
    let there = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Current))).count();
    assert_eq!((done, there), (1, 3), "{outcomes:?}");
    assert_eq!(all(&app, MODELS).await.len(), 2);
    assert_eq!(all(&app, PRICES).await.len(), 2);
});

on_both!(an_operator_sees_the_catalogue_and_brings_back_what_was_deleted, |app| {
    let operator = app.operator().await;
    let status = operator.get(STATUS).await.ok();
    let none = [&status["applied_version"], &status["digest"], &status["applied_at"]];
    assert_eq!(none, [&json!(null); 3]);
    app.with_catalogue().await;
    let status = operator.get(STATUS).await.ok();
    assert_eq!(status["digest"], status["built_in"]["digest"]);
    assert_eq!(status["applied_at"], "2027-01-15T10:00:00Z");
    assert_eq!(status["models"], json!({"catalogue": 218, "manual": 0, "import": 0}));

    let deleted = one(&app, MODELS, "name", "gpt-4o").await;
    let edited = one(&app, MODELS, "name", "gpt-4o-mini").await;
    operator.delete(&at(MODELS, &deleted)).await.no_content();
    operator.patch(&at(MODELS, &edited), json!({"deprecated": true})).await.ok();
    let status = operator.get(STATUS).await.ok();
    assert_eq!(status["models"], json!({"catalogue": 216, "manual": 1, "import": 0}));
    app.with_catalogue().await;
    assert!(
        all(&app, &format!("{MODELS}?name_prefix=gpt-4o"))
            .await
            .iter()
            .all(|model| model["name"] != "gpt-4o")
    );

    let apply = || operator.post(APPLY, json!({})).idempotency_key("again");
    let done = apply().await.ok();
    assert_eq!(done["models"], changes(1, 0, 216, 1));
    assert_eq!((&done["providers"]["added"], &done["prices"]["added"]), (&json!(0), &json!(0)));
    let again = apply().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.ok(), done);
    let back = one(&app, MODELS, "name", "gpt-4o").await;
    assert_eq!((&back["capabilities"], &back["origin"]), (&deleted["capabilities"], &json!("catalogue")));
    assert_eq!(one(&app, MODELS, "name", "gpt-4o-mini").await["deprecated"], true);
    for client in [app.admin().await, app.other_organization("acme").await] {
        client.get(STATUS).await.problem(403, "forbidden");
        client.post(APPLY, json!({})).await.problem(403, "forbidden");
    }
});

on_both!(every_price_of_the_catalogue_is_found_by_its_name_alone, |app| {
    app.with_catalogue().await;
    let viewer = app.viewer().await;
    let shipped: Value = serde_json::from_str(BUILT_IN).unwrap();
    let prices = shipped["prices"].as_array().unwrap().iter();
    for price in prices.filter(|price| !price["model"].as_str().unwrap().contains('*')) {
        let [model, provider] = ["model", "provider"].map(|field| price[field].as_str().unwrap());
        for query in [format!("model={model}"), format!("model={model}&provider={provider}")] {
            let found = viewer.get(&format!("{RESOLVE}?{query}")).await.ok();
            let price = ["model", "provider", "scope", "origin"].map(|field| &found["price"][field]);
            assert_eq!(price, [model, provider, "platform", "catalogue"], "{query}: {found}");
        }
    }
    let before = viewer.get(&format!("{RESOLVE}?model=gpt-4o&at=2026-07-23T23:59:59.999999Z")).await.ok();
    assert_eq!(before["price"], Value::Null, "it has its day");
    let call = json!({"model": "gpt-4o", "usage": {"input_tokens": 1000, "output_tokens": 500}});
    let quote = viewer.post("/v1/organizations/default/prices/quote", call).await.ok();
    assert_eq!(quote["cost"], "0.007500000", "2.5 and 10 dollars a million");
});

on_both!(a_newer_price_holds_on_every_instance_at_once, |app| {
    let second = app.second_instance().await.viewer().await;
    let price = async || second.get(&format!("{RESOLVE}?model=one")).await.ok()["price"]["input"].clone();
    assert_eq!(price().await, Value::Null);
    applied(&app, &small(1, "2026-07-24", "2.5")).await;
    assert_eq!(price().await, "2.5");
    applied(&app, &small(2, "2026-09-01", "1.5")).await;
    assert_eq!(price().await, "1.5");
});

on_both!(a_price_that_was_ended_stays_ended, |app| {
    let operator = app.operator().await;
    applied(&app, &small(1, "2026-07-24", "2.5")).await;
    let price = one(&app, PRICES, "model", "one").await;
    operator.post(&format!("{}/end", at(PRICES, &price)), json!({})).if_match(1).await.ok();
    app.clock.advance(TimeDelta::days(1));
    assert_eq!(applied(&app, &small(2, "2026-09-01", "9")).await["prices"], changes(0, 0, 1, 1));
    let found = app.owner().get(&format!("{RESOLVE}?model=one")).await.ok();
    assert_eq!(found["price"], Value::Null);
});

#[tokio::test]
async fn a_server_that_starts_has_the_catalogue() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let installation = Installation::new(backend).await.with_owner();
        let server = installation.serve().await;
        let token = server.sign_in().await;
        let (status, body) = server.get(STATUS, Some(&token)).await;
        assert_eq!((status, &body["applied_version"]), (200, &json!(3)), "{body}");
        assert_eq!(body["models"], json!({"catalogue": 218, "manual": 0, "import": 0}));
        assert!(server.log().contains("catalogue applied"), "{}", server.log());
        server.kill();
        let again = installation.serve().await;
        assert!(!again.log().contains("catalogue applied"), "{}", again.log());
        assert_eq!(again.get(STATUS, Some(&again.sign_in().await)).await.1, body);
        drop(again);
        installation.remove().await;
    }
}

#[tokio::test]
async fn servers_that_start_at_once_apply_it_once() {
    let installation = Installation::new(Backend::Postgres).await.with_owner();
    let servers = futures_util::future::join_all((0..4).map(|_| installation.serve())).await;
    let applied = servers.iter().filter(|server| server.log().contains("catalogue applied")).count();
    assert_eq!(applied, 1);
    drop(servers);
    installation.remove().await;
}

#[tokio::test]
async fn a_server_of_an_older_release_leaves_a_newer_catalogue_alone() {
    let installation = Installation::new(Backend::Sqlite).await.with_owner();
    installation.serve().await.kill();
    let url = format!("sqlite://{}", installation.directory().join("tollkeeper.db").display());
    let db = sea_orm::Database::connect(url).await.unwrap();
    let newer = catalogue_state::ActiveModel { id: Set(1), version: Set(1_000_000), ..Default::default() };
    catalogue_state::Entity::update(newer).exec(&db).await.unwrap();
    db.close().await.unwrap();
    let server = installation.serve().await;
    assert!(server.log().contains("the catalogue of a newer release"), "{}", server.log());
    let token = server.sign_in().await;
    let (_, body) = server.get(STATUS, Some(&token)).await;
    assert_eq!(body["applied_version"], 1_000_000);
    assert_eq!(server.post(APPLY, Some(&token), &json!({})).await.0, 409);
}

//! Which price holds: what is said of it, at which moments, for whom, and that every instance knows it at once.

use crate::prices::{PLATFORM, PRICES};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    price,
    status::{Origin, PriceKind},
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

const ALIASES: &str = "/v1/organizations/default/model-aliases";

/// A price of so much for a request.
pub async fn flat_price(owner: &Client, prices: &str, model: &str, each: &str) -> Value {
    let body = json!({"model": model, "kind": "per_request", "per_request": each});
    owner.post(prices, body).await.created()
}

async fn resolve(caller: &Client, query: &str) -> Value {
    caller.get(&format!("{PRICES}/resolve?{query}")).await.ok()
}

/// What a request costs by the price that holds; null if none does.
async fn each(caller: &Client, query: &str) -> Value {
    resolve(caller, query).await["price"]["per_request"].clone()
}

on_both!(the_winner_is_shown_whole_and_the_losers_with_their_reasons, |app| {
    let owner = app.owner();
    let fields = json!({"model": "gpt-4o", "provider": "openai", "kind": "tiered", "currency": "EUR", "markup_bps": 250,
        "tiers": [{"up_to": 200_000, "input": "2.5", "batch": {"input": "1.25"}}, {"up_to": null, "input": "5"}],
        "multipliers": {"eu": "1.1"}, "note": "agreed by mail", "effective_from": "2027-01-01T00:00:00Z"});
    let winner = owner.post(PRICES, fields).await.created();
    let platform = flat_price(&owner, PLATFORM, "gpt-4o", "1").await;
    let future = json!({"model": "gpt-*", "kind": "flat", "effective_from": "2027-02-01T00:00:00Z"});
    let future = owner.post(PRICES, future).await.created();
    owner.post(ALIASES, json!({"name": "fast", "target": "gpt-4o"})).await.created();
    let found = resolve(&owner, "model=fast&provider=openai").await;
    assert_eq!(found["price"], owner.get(&format!("{PRICES}/{}", winner["id"].as_str().unwrap())).await.ok());
    let expected = json!({
        "model": "fast",
        "provider": "openai",
        "connection_id": null,
        "at": "2027-01-15T10:00:00Z",
        "resolved_model": "gpt-4o",
        "aliases": ["fast"],
        "price": winner,
        "step": "organization_provider_model",
        "reason": "the organization's price of gpt-4o at openai",
        "losers": [
            {"price_id": future["id"], "scope": "organization", "connection_id": null, "provider": null, "model": "gpt-*",
             "reason": "not yet in force, but from 2027-02-01T00:00:00Z"},
            {"price_id": platform["id"], "scope": "platform", "connection_id": null, "provider": null, "model": "gpt-4o",
             "reason": format!("beaten by {}", winner["id"].as_str().unwrap())},
        ],
        "more_losers": false,
        "unpriced_policy": "refuse",
    });
    assert_eq!(found, expected);
});

on_both!(where_there_is_no_price_it_is_said, |app| {
    let viewer = app.viewer().await;
    let found = resolve(&viewer, "model=llama-9").await;
    assert_eq!((&found["price"], &found["step"]), (&Value::Null, &Value::Null));
    assert_eq!(found["reason"], "no price is in force");
    let default = json!({"kind": "per_request", "per_request": "0.5"});
    app.owner().post(PLATFORM, default).await.created();
    let found = resolve(&viewer, "model=llama-9").await;
    assert_eq!(found["price"], Value::Null);
    assert_eq!(found["losers"][0]["reason"], "the unpriced policy is refuse");
    app.owner().patch("/v1/organizations/default", json!({"unpriced_policy": "default"})).await.ok();
    let found = resolve(&viewer, "model=llama-9").await;
    assert_eq!((&found["price"]["per_request"], &found["step"]), (&json!("0.5"), &json!("default")));
});

on_both!(a_price_holds_to_the_microsecond, |app| {
    let owner = app.owner();
    flat_price(&owner, PRICES, "gpt-4o", "1").await;
    let body = json!({"model": "gpt-4o", "kind": "per_request", "per_request": "2",
        "effective_from": "2027-02-01T00:00:00.000001Z", "effective_until": "2027-02-02T00:00:00Z"});
    owner.post(PRICES, body).await.created();
    for (at, expected) in [
        ("2027-01-15T09:59:59.999999Z", Value::Null),
        ("2027-01-15T10:00:00Z", json!("1")),
        ("2027-02-01T00:00:00.000000999Z", json!("1")),
        ("2027-02-01T00:00:00.000001Z", json!("2")),
        ("2027-02-01T01:00:00.000001%2B01:00", json!("2")),
        ("2027-02-01T23:59:59.999999Z", json!("2")),
        ("2027-02-02T00:00:00Z", json!("1")),
        ("9999-12-31T00:00:00Z", json!("1")),
    ] {
        assert_eq!(each(&owner, &format!("model=gpt-4o&at={at}")).await, expected, "{at}");
    }
});

on_both!(what_is_no_question_is_refused_with_every_field, |app| {
    let owner = app.owner();
    let ask = async |query: &str| owner.get(&format!("{PRICES}/resolve?{query}")).await;
    let long = "x".repeat(60_000);
    ask(&format!("model={long}")).await.invalid(&[("?model", "too_long")]);
    ask("model=&provider=&at=1999-12-31T23:59:59Z").await.invalid(&[
        ("?at", "out_of_range"),
        ("?model", "required"),
        ("?provider", "invalid_value"),
    ]);
    ask("model=gpt-*").await.invalid(&[("?model", "invalid_character")]);
    ask("model=a%0Ab&provider=Open%20AI")
        .await
        .invalid(&[("?model", "invalid_character"), ("?provider", "invalid_value")]);
    ask(&format!("model=x&provider={long}")).await.invalid(&[("?provider", "invalid_value")]);
    ask("").await.problem(400, "invalid_parameter");
    ask("model=x&at=yesterday").await.problem(400, "invalid_parameter");
    ask("model=x&at=10000-01-01T00:00:00Z").await.problem(400, "invalid_parameter");
    ask("model=%00").await.problem(400, "invalid_parameter");
    ask("model=x&conection_id=1").await.problem(400, "unknown_parameter");
    ask("model=x&model=y").await.problem(400, "invalid_parameter");
    app.anonymous().get(&format!("{PRICES}/resolve?model=x")).await.problem(401, "unauthenticated");
    assert_eq!(each(&owner, "model=%F0%9F%9A%80%E6%97%A5%E6%9C%AC").await, Value::Null);
    flat_price(&owner, PRICES, "🚀日*", "3").await;
    assert_eq!(each(&owner, "model=%F0%9F%9A%80%E6%97%A5%E6%9C%AC").await, "3");
});

on_both!(nobody_sees_the_prices_and_aliases_of_others, |app| {
    let acme = app.other_organization("acme").await;
    let of_acme = "/v1/organizations/acme/prices";
    flat_price(&acme, of_acme, "gpt-4o", "1").await;
    flat_price(&app.owner(), PLATFORM, "gpt-4", "2").await;
    acme.post("/v1/organizations/acme/model-aliases", json!({"name": "fast", "target": "gpt-4"}))
        .await
        .created();
    let found = resolve(&app.owner(), "model=gpt-4o").await;
    assert_eq!((&found["price"], &found["losers"]), (&Value::Null, &json!([])));
    assert_eq!(resolve(&app.owner(), "model=fast").await["aliases"], json!([]));
    assert_eq!(acme.get(&format!("{of_acme}/resolve?model=fast")).await.ok()["price"]["per_request"], "2");
    app.owner().get(&format!("{of_acme}/resolve?model=gpt-4o")).await.problem(404, "not_found");
    acme.get(&format!("{PRICES}/resolve?model=gpt-4o")).await.problem(404, "not_found");
});

on_both!(every_change_is_known_on_every_instance_at_once, |app| {
    let (owner, other) = (app.owner(), app.second_instance().await.owner());
    for round in 0..10 {
        assert_eq!(each(&other, "model=gpt-4o").await, Value::Null);
        let platform = flat_price(&owner, PLATFORM, "gpt-4o", "1").await;
        assert_eq!(each(&other, "model=gpt-4o").await, "1", "{round}");
        let made = flat_price(&owner, PRICES, "gpt-4o", "2").await;
        assert_eq!(each(&other, "model=gpt-4o").await, "2");
        let alias = owner.post(ALIASES, json!({"name": "gpt-4o", "target": "gpt-4"})).await.created();
        assert_eq!(each(&other, "model=gpt-4o").await, Value::Null);
        let path = format!("{ALIASES}/{}", alias["id"].as_str().unwrap());
        owner.patch(&path, json!({"enabled": false})).await.ok();
        assert_eq!(each(&other, "model=gpt-4o").await, "2");
        owner.delete(&path).await.no_content();
        app.clock.advance(TimeDelta::seconds(1));
        for (prices, made, left) in [(PRICES, made, json!("1")), (PLATFORM, platform, Value::Null)] {
            let end = format!("{prices}/{}/end", made["id"].as_str().unwrap());
            owner.post(&end, json!({})).if_match(1).await.ok();
            assert_eq!(each(&other, "model=gpt-4o").await, left);
        }
        app.clock.advance(TimeDelta::seconds(1));
    }
    let policy = async || resolve(&other, "model=x").await["unpriced_policy"].clone();
    for word in ["allow", "default", "refuse"] {
        owner.patch("/v1/organizations/default", json!({"unpriced_policy": word})).await.ok();
        assert_eq!(policy().await, word);
    }
});

on_both!(an_unchanged_book_costs_one_statement, |app| {
    let owner = app.owner();
    flat_price(&owner, PRICES, "gpt-4o", "1").await;
    resolve(&owner, "model=gpt-4o").await;
    let work = app.system.books.work();
    let cost = async |query: &str| {
        let before = (work.heads(), work.books(), work.edits(), work.rows());
        resolve(&owner, query).await;
        (work.heads() - before.0, work.books() - before.1, work.edits() - before.2, work.rows() - before.3)
    };
    assert_eq!(cost("model=gpt-4o").await, (1, 0, 0, 0));
    assert_eq!(cost("model=gpt-4o-mini&at=2020-01-01T00:00:00Z").await, (1, 0, 0, 0));
    let team = owner.post("/v1/organizations/default/teams", json!({"name": "a"})).await.created();
    let team = format!("/v1/organizations/default/teams/{}", team["id"].as_str().unwrap());
    owner.patch(&team, json!({"name": "b"})).await.ok();
    let acme = app.other_organization("acme").await;
    flat_price(&acme, "/v1/organizations/acme/prices", "gpt-4o", "1").await;
    assert_eq!(
        cost("model=gpt-4o").await,
        (1, 0, 0, 0),
        "what others change, and what else changes, is no price"
    );
    flat_price(&owner, PRICES, "gpt-4", "1").await;
    assert_eq!(cost("model=gpt-4o").await, (1, 0, 1, 1), "one row of one book of two");
    assert_eq!(cost("model=gpt-4o").await, (1, 0, 0, 0));
    flat_price(&owner, PLATFORM, "gpt-4", "1").await;
    assert_eq!(cost("model=gpt-4o").await, (1, 0, 1, 1), "the other book");
    owner.patch("/v1/organizations/default", json!({"unpriced_policy": "allow"})).await.ok();
    assert_eq!(cost("model=gpt-4o").await, (1, 0, 1, 1));
    let rows = work.rows();
    // Another copy of the database, at the same version.
    app.system.db.writer.execute_unprepared("UPDATE org_head SET tag = tag + 1").await.unwrap();
    let (heads, books, edits, _) = cost("model=gpt-4o").await;
    assert_eq!((heads, books, edits), (1, 2, 0), "{rows} rows before");
});

on_both!(those_who_come_together_read_a_book_once, |app| {
    flat_price(&app.owner(), PRICES, "gpt-4o", "1").await;
    let asking = (0..30).map(|_| {
        let owner = app.owner();
        tokio::spawn(async move { each(&owner, "model=gpt-4o").await })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), "1");
    }
    assert_eq!(app.system.books.work().books(), 2, "the organization's and the platform's");
});

/// Prices of so many models, past the server.
async fn fill(app: &TestApp, models: usize) {
    let now: DateTime<Utc> = app.clock.now();
    let row = |n: usize| price::ActiveModel {
        id: Set(app.system.entropy.id(now)),
        organization_id: Set(app.organization),
        model: Set(Some(format!("model-{n}"))),
        kind: Set(PriceKind::Flat),
        currency: Set("USD".into()),
        terms: Set(entity::terms::Terms::default()),
        markup_bps: Set(0),
        effective_from: Set(now),
        origin: Set(Origin::Import),
        created_by: Set("system".into()),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    for chunk in (0..models).collect::<Vec<_>>().chunks(500) {
        let rows = chunk.iter().map(|n| row(*n));
        price::Entity::insert_many(rows).exec_without_returning(&app.system.db.writer).await.unwrap();
    }
}

on_both!(change_of_a_large_book_costs_what_has_changed, |app| {
    fill(&app, 2500).await;
    let owner = app.owner();
    let work = app.system.books.work();
    assert_eq!(each(&owner, "model=gpt-4o").await, Value::Null);
    let read = (work.books(), work.rows());
    assert_eq!(read.1, 2500);
    let later = flat_price(&owner, PRICES, "gpt-4o", "1").await;
    assert_eq!(each(&owner, "model=gpt-4o").await, "1");
    let provider = json!({"name": "openai", "display_name": "OpenAI"});
    owner.post("/v1/organizations/default/providers", provider).await.created();
    let list = "/v1/organizations/default/models";
    let model = owner.post(list, json!({"provider": "openai", "name": "o9"})).await.created();
    let alias = json!({"name": "best", "target": "gpt-4o"});
    let alias = owner.post(ALIASES, alias).await.created();
    assert_eq!(each(&owner, "model=best").await, "1");
    let path = format!("{ALIASES}/{}", alias["id"].as_str().unwrap());
    owner.patch(&path, json!({"target": "model-7"})).await.ok();
    assert_eq!(resolve(&owner, "model=best").await["price"]["kind"], "flat");
    owner.delete(&path).await.no_content();
    assert_eq!(each(&owner, "model=best").await, Value::Null);
    owner.delete(&format!("{list}/{}", model["id"].as_str().unwrap())).await.no_content();
    let end = format!("{PRICES}/{}/end", later["id"].as_str().unwrap());
    app.clock.advance(TimeDelta::seconds(1));
    owner.post(&end, json!({})).if_match(1).await.ok();
    assert_eq!(each(&owner, "model=gpt-4o").await, Value::Null);
    assert_eq!(work.books(), read.0, "no book is read as a whole again");
    // The model is made and deleted between two readings.
    assert!(work.rows() - read.1 <= 8, "{} rows for seven edits", work.rows() - read.1);
});

on_both!(a_large_book_is_read_page_by_page_and_whole, |app| {
    fill(&app, 2500).await;
    for model in ["model-0", "model-999", "model-1000", "model-1001", "model-2499"] {
        assert_eq!(
            resolve(&app.owner(), &format!("model={model}")).await["price"]["kind"],
            "flat",
            "{model}"
        );
    }
    assert_eq!(app.system.books.work().rows(), 2500);
});

on_both!(models_that_are_not_in_the_catalogue_cost_as_much_as_their_family, |app| {
    app.with_catalogue().await;
    let owner = app.owner();
    owner.patch("/v1/organizations/default", json!({"unpriced_policy": "allow"})).await.ok();
    for (model, input, output, cache_read) in [
        ("claude-opus-99", "5", "25", "0.5"),
        ("claude-99-sonnet-20990101", "3", "15", "0.3"),
        ("claude-3-5-haiku-20241022", "1", "5", "0.1"),
        ("global.anthropic.claude-haiku-99-v1:0", "1", "5", "0.1"),
        ("Claude", "3", "15", "0.3"),
    ] {
        let found = resolve(&owner, &format!("model={model}")).await;
        assert_eq!(found["step"], "family", "{model}");
        let price = &found["price"];
        assert_eq!(
            [&price["input"], &price["output"], &price["cache_read"]],
            [input, output, cache_read],
            "{model}"
        );
        assert_eq!(price["origin"], "catalogue");
    }
    let known = resolve(&owner, "model=claude-opus-5").await;
    assert_eq!((&known["step"], &known["price"]["input"]), (&json!("platform_model"), &json!("5")));
    assert_eq!(resolve(&owner, "model=llama-9").await["price"], Value::Null, "of no family");
    let whisper = resolve(&owner, "model=gpt-realtime-whisper").await;
    assert_eq!(whisper["price"], Value::Null, "it is known, and what it costs cannot be kept exactly");
});

//! Limits: making, reading and listing them, on whatever can be limited.

use crate::keys::{KEYS, key, service_account, team};
use chrono::TimeDelta;
use entity::{id::LimitId, limit_window};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

pub const LIMITS: &str = "/v1/organizations/default/limits";

/// The path of a limit.
pub fn path(limit: &Value) -> String {
    format!("{LIMITS}/{}", limit["id"].as_str().unwrap())
}

/// A budget of ten a month for something.
pub fn budget(kind: &str, id: impl Into<Value>) -> Value {
    json!({"subject_kind": kind, "subject_id": id.into(), "metric": "cost", "window": "month", "amount": "10"})
}

/// Writes what a limit has counted in a window, past the server: what it used, and what it holds.
pub async fn count(app: &TestApp, limit: &Value, start: &str, (used, held): (i64, i64)) {
    let subject: uuid::Uuid =
        limit["subject_id"].as_str().unwrap().rsplit('_').next().unwrap().parse().unwrap();
    let id: LimitId = limit["id"].as_str().unwrap().parse().unwrap();
    let row = entity::limit::Entity::find_by_id(id).one(&app.system.db.reader).await.unwrap().unwrap();
    let row = limit_window::ActiveModel {
        limit_id: Set(id),
        subject_id: Set(subject),
        window_start: Set(start.parse().unwrap()),
        organization_id: Set(row.organization_id),
        used: Set(used),
        held: Set(held),
        adjusted: Set(0),
        would_deny: Set(2),
    };
    limit_window::Entity::insert(row).exec_without_returning(&app.system.db.writer).await.unwrap();
}

/// The ids in a page.
pub async fn ids(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("{LIMITS}{query}")).await.ok();
    page["items"].as_array().unwrap().iter().map(|limit| limit["id"].clone()).collect()
}

/// Something of every kind that can be limited: its kind, its id, and the team of a member.
async fn subjects(app: &TestApp) -> Vec<(&'static str, Value, Value)> {
    let (organization, team_id) = (json!(app.organization), json!(team(app, "search").await));
    let person = json!(app.team_member(team_id.as_str().unwrap()).await.user_id);
    let account = json!(service_account(app, "robot").await);
    let key = key(app, "k").await["id"].clone();
    vec![
        ("organization", organization, json!(null)),
        ("team", team_id.clone(), json!(null)),
        ("member", person.clone(), team_id),
        ("user", person, json!(null)),
        ("service_account", account, json!(null)),
        ("key", key, json!(null)),
    ]
}

on_both!(everything_can_be_limited, |app| {
    app.with_catalogue().await;
    let owner = app.owner();
    for (kind, id, team_id) in subjects(&app).await {
        let body = json!({
            "subject_kind": kind, "subject_id": id, "team_id": team_id, "metric": "cost", "window": "month",
            "amount": "12.5", "window_count": 1, "mode": "warn", "currency": "EUR", "models": ["gpt-4o*", "claude-*"],
            "timezone": "UTC", "each": null, "alert_at": null,
        });
        let made = owner.post(LIMITS, &body).await.created();
        for (field, value) in body.as_object().unwrap().iter().filter(|(field, _)| *field != "amount") {
            assert_eq!(made.get(field), Some(value), "{field}");
        }
        assert_eq!(made["amount"], "12.500000000");
        assert_eq!((&made["set_by"], &made["created_by"]), (&json!("organization"), &json!(owner.user_id)));
        assert_eq!((&made["version"], &made["created_at"]), (&json!(1), &json!(app.clock.now())));
        assert_eq!(made["updated_at"], made["created_at"]);
        assert_eq!(owner.get(&path(&made)).await.ok(), made);
    }
});

on_both!(what_is_left_out_blocks_everything_in_the_organizations_currency, |app| {
    let owner = app.owner();
    owner.patch("/v1/organizations/default", json!({"default_currency": "CHF"})).await.ok();
    let made = owner.post(LIMITS, budget("organization", app.organization.to_string())).await.created();
    assert_eq!((&made["currency"], &made["mode"]), (&json!("CHF"), &json!("block")));
    assert_eq!((&made["window_count"], &made["timezone"]), (&json!(1), &json!("UTC")));
    for field in ["team_id", "each", "models", "alert_at"] {
        assert_eq!(made.get(field), Some(&json!(null)), "{field}");
    }
    // Of what is not money there is no currency.
    let requests = json!({"subject_kind": "organization", "subject_id": app.organization, "metric": "requests",
                          "window": "minute", "amount": "60", "currency": null});
    let made = owner.post(LIMITS, requests).await.created();
    assert_eq!((&made["currency"], &made["amount"]), (&json!(null), &json!("60")));
});

on_both!(amounts_are_exact_in_every_metric_and_window, |app| {
    let owner = app.owner();
    let most = i64::MAX.to_string();
    for (metric, window, amount, shown) in [
        ("cost", "request", "0.000000001", "0.000000001"),
        ("cost", "total", "9223372036.854775807", "9223372036.854775807"),
        ("cost", "year", "0", "0.000000000"),
        ("cost", "quarter", "007.50", "7.500000000"),
        ("requests", "minute", "0", "0"),
        ("requests", "hour", "60.0", "60"),
        ("tokens", "request", "1", "1"),
        ("tokens", "day", &most, &most),
        ("input_tokens", "week", "1000000", "1000000"),
        ("output_tokens", "total", "5", "5"),
        ("concurrency", "total", "8", "8"),
    ] {
        let body = json!({"subject_kind": "organization", "subject_id": app.organization, "metric": metric,
                          "window": window, "amount": amount});
        let made = owner.post(LIMITS, body).await.created();
        assert_eq!((&made["metric"], &made["window"]), (&json!(metric), &json!(window)));
        assert_eq!(made["amount"], shown, "{metric} {amount}");
        assert_eq!(made["currency"].is_null(), metric != "cost");
    }
});

on_both!(limits_are_listed_by_what_they_are_for, |app| {
    let owner = app.owner();
    let mut made = Vec::new();
    let subjects = subjects(&app).await;
    for (kind, id, team_id) in &subjects {
        let mut body = budget(kind, id.clone());
        body["team_id"] = team_id.clone();
        if *kind == "key" {
            body["metric"] = json!("tokens");
        }
        made.push(owner.post(LIMITS, body).await.created()["id"].clone());
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    let [organization, team, member, user, account, key] = <[Value; 6]>::try_from(made.clone()).unwrap();
    let [organization_id, team_id, person, _, account_id, key_id] =
        <[_; 6]>::try_from(subjects).unwrap().map(|(_, id, _)| id.as_str().unwrap().to_owned());
    for (query, expected) in [
        (String::new(), made.clone()),
        (format!("&subject_id={organization_id}"), vec![organization]),
        (format!("&subject_id={team_id}"), vec![team.clone()]),
        (format!("&subject_id={person}"), vec![member.clone(), user.clone()]),
        (format!("&subject_id={person}&subject_kind=user"), vec![user]),
        (format!("&subject_id={person}&subject_kind=key"), vec![]),
        (format!("&team_id={team_id}"), vec![member]),
        (format!("&subject_id={account_id}"), vec![account]),
        (format!("&subject_id={key_id}"), vec![key.clone()]),
        ("&subject_kind=team".to_owned(), vec![team]),
        ("&metric=tokens".to_owned(), vec![key]),
        ("&metric=requests".to_owned(), vec![]),
    ] {
        assert_eq!(ids(&owner, &format!("?order=asc{query}")).await, expected, "{query}");
    }
    let first = owner.get(&format!("{LIMITS}?page_size=4")).await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(
        ids(&owner, &format!("?order=desc&page_size=4&cursor={cursor}")).await,
        [made[1].clone(), made[0].clone()]
    );
    for query in
        ["subject_id=x", "subject_id=org_x", "subject_kind=x", "metric=money", "team_id=x", "subject_id="]
    {
        owner.get(&format!("{LIMITS}?{query}")).await.problem(400, "invalid_parameter");
    }
    owner.get(&format!("{LIMITS}?window=day")).await.problem(400, "unknown_parameter");
});

on_both!(a_repeated_call_makes_one_limit, |app| {
    let owner = app.owner();
    let body = budget("organization", app.organization.to_string());
    let first = owner.post(LIMITS, &body).idempotency_key("one").await;
    let again = owner.post(LIMITS, &body).idempotency_key("one").await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.text), (201, "true", &first.text));
    let other = json!({"subject_kind": "organization"});
    owner.post(LIMITS, other).idempotency_key("one").await.problem(422, "idempotency_key_reused");
    assert_eq!(ids(&owner, "").await, [first.created()["id"].clone()]);
});

on_both!(what_happens_to_a_limit_is_told_and_noted_for_decisions, |app| {
    let owner = app.owner();
    let key = key(&app, "k").await;
    let made = owner.post(LIMITS, budget("key", key["id"].clone())).await.created();
    count(&app, &made, "2027-01-01T00:00:00Z", (7, 0)).await;
    owner.patch(&path(&made), json!({"amount": "20"})).if_match(1).await.ok();
    owner.post(&format!("{}/reset", path(&made)), json!({})).await.ok();
    owner.delete(&path(&made)).if_match(2).await.no_content();
    let log = "/v1/organizations/default/audit-events";
    let events = owner.get(&format!("{log}?subject={}&order=asc", made["id"].as_str().unwrap())).await.ok();
    let events = events["items"].as_array().unwrap();
    let actions: Vec<_> = events.iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["limit.create", "limit.update", "window.reset", "limit.delete"]);
    let change = &events[1]["detail"];
    let amounts = (&change["before"]["amount"], &change["after"]["amount"]);
    assert_eq!(amounts, (&json!(10_000_000_000_i64), &json!(20_000_000_000_i64)));
    assert_eq!(events[2]["detail"], json!({"before": {"adjusted": 0}, "after": {"adjusted": 7}}));
    assert_eq!(owner.get(&format!("{log}/verify")).await.ok()["valid"], true);
    // What is remembered of the limits of that key is what changed, and nothing else.
    let log = entity::policy_log::Entity::find().all(&app.system.db.reader).await.unwrap();
    let noted = log.iter().filter(|change| change.kind == "limits");
    let subject = key["id"].as_str().unwrap().rsplit('_').next().unwrap();
    let subjects: Vec<String> = noted.map(|change| change.subject.simple().to_string()).collect();
    assert_eq!(subjects, [subject, subject, subject]);
});

on_both!(a_thing_has_sixty_four_limits_and_no_more, |app| {
    let owner = app.owner();
    let body = json!({"name": "k", "team_id": team(&app, "search").await,
                      "limits": (0..63).map(|_| json!({"metric": "requests", "window": "day", "amount": "1"})).collect::<Vec<_>>()});
    let key = owner.post(KEYS, body).await.created();
    let make = || owner.post(LIMITS, budget("key", key["id"].clone())).into_future();
    let replies = futures_util::future::join_all((0..4).map(|_| make())).await;
    let mut made = Vec::new();
    for reply in replies {
        match reply.status {
            201 => made.push(reply.created()),
            _ => drop(reply.problem(409, "too_many_limits")),
        }
    }
    assert_eq!(made.len(), 1);
    // Another thing has room, and so has this one when a limit of it is gone.
    owner.post(LIMITS, budget("organization", app.organization.to_string())).await.created();
    owner.delete(&path(&made[0])).if_match(1).await.no_content();
    make().await.created();
});

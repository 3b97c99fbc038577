//! Totals of keys and teams: what is read from the sums is what the events add up to; and a check that notices if it is not.

use crate::{
    keys::{KEYS, key, path},
    usage::call,
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    money::{Nanos, Total},
    status::{Grain, UsageStatus},
    usage_event::Model,
    usage_rollup::{ActiveModel, Column, Entity},
};
use proptest::{
    prelude::{Strategy, any},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Set};
use serde_json::{Value, json};
use service::{
    Ctx,
    scope::Scope,
    usage::{RollupCheck, verify_rollups},
};
use std::collections::BTreeMap;
use tests::{TestApp, ledger, on_both};

const TEAMS: &str = "/v1/organizations/default/teams";

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// An event of a key that became known at a moment.
fn event(app: &TestApp, key: &Value, at: DateTime<Utc>) -> Model {
    Model {
        key_id: key["id"].as_str().and_then(|id| id.parse().ok()),
        team_id: key["team_id"].as_str().and_then(|id| id.parse().ok()),
        occurred_at: at,
        ..ledger::event(app.organization, call(app, at))
    }
}

async fn record(app: &TestApp, events: Vec<Model>) {
    ledger::record(&app.system, events).await;
    ledger::sum_up(&app.system, app.organization).await;
}

async fn check(app: &TestApp, from: &str, to: &str) -> RollupCheck {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    verify_rollups(&ctx, moment(from), moment(to)).await.unwrap()
}

/// What events add up to, as it is shown.
fn expected(events: &[&Model], from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Value {
    let time = |moment: DateTime<Utc>| moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let within = |event: &&&Model| {
        from.is_none_or(|from| from <= event.occurred_at) && to.is_none_or(|to| event.occurred_at < to)
    };
    let events: Vec<&&Model> = events.iter().filter(within).collect();
    let mut costs: BTreeMap<&str, i64> = BTreeMap::new();
    for event in &events {
        if let Some(currency) = &event.currency {
            *costs.entry(currency).or_default() += event.cost.0;
        }
    }
    let sum = |of: fn(&Model) -> i64| events.iter().map(|event| of(event)).sum::<i64>();
    let costs = costs.into_iter().map(|(currency, cost)| json!({"currency": currency, "cost": Nanos(cost)}));
    json!({
        "from": from.map(time), "to": to.map(time), "costs": costs.collect::<Vec<_>>(), "events": events.len(),
        "usage": {
            "input_tokens": sum(|e| e.input_tokens), "cache_read_tokens": sum(|e| e.cache_read_tokens),
            "cache_write_tokens": sum(|e| e.cache_write_tokens),
            "cache_write_1h_tokens": sum(|e| e.cache_write_1h_tokens),
            "output_tokens": sum(|e| e.output_tokens), "reasoning_tokens": sum(|e| e.reasoning_tokens),
            "audio_input_tokens": sum(|e| e.audio_input_tokens), "audio_output_tokens": sum(|e| e.audio_output_tokens),
            "image_input_tokens": sum(|e| e.image_input_tokens), "image_output_tokens": sum(|e| e.image_output_tokens),
            "requests": sum(|e| e.requests), "images": sum(|e| e.images), "seconds": sum(|e| e.seconds),
            "characters": sum(|e| e.characters), "cache_read_audio_tokens": sum(|e| e.cache_read_audio_tokens),
            "web_searches": sum(|e| e.web_searches), "code_executions": sum(|e| e.code_executions),
        },
        "unpriced_events": sum(|e| i64::from(!e.priced)), "overruns": sum(|e| i64::from(e.overrun)),
        "estimated_events": sum(|e| i64::from(e.estimated)), "unclear_events": sum(|e| i64::from(e.usage_unclear)),
        "guessed_events": sum(|e| i64::from(e.guessed)),
    })
}

/// Events of two keys over ten days, with everything in them that can be added up.
fn random(app: &TestApp, keys: &[Value], runner: &mut TestRunner) -> Vec<Model> {
    let times = (0..10 * 24 * 3600 * 1000i64, 0..3usize, 0..4u8);
    let numbers = proptest::collection::vec(0..2_000_000i64, 19);
    let flags = any::<(bool, bool, bool)>();
    (0..250)
        .map(|_| {
            let ((millis, edge, word), numbers, (priced, overrun, late)) =
                (times.clone(), numbers.clone(), flags).new_tree(runner).unwrap().current();
            let unit = [1, 3_600_000, 86_400_000][edge];
            let at = moment("2027-01-05T00:00:00Z") + TimeDelta::milliseconds(millis - millis % unit);
            // Some become known when the clock strikes; some a microsecond before.
            let at = if late { at - TimeDelta::microseconds(1) } else { at };
            let currency = ["USD", "EUR", "USD", "JPY"][usize::from(word)].to_owned();
            let mut event = Model {
                model: Some(format!("m{}", word % 2)),
                status: if overrun { UsageStatus::Error } else { UsageStatus::Success },
                cost: if priced { Nanos(numbers[14]) } else { Nanos::ZERO },
                currency: priced.then_some(currency),
                priced,
                overrun,
                estimated: !priced && late,
                usage_unclear: overrun && late,
                latency_ms: late.then_some(numbers[15]),
                ..event(app, &keys[usize::from(word) / 2], at)
            };
            [
                event.input_tokens,
                event.cache_read_tokens,
                event.cache_write_tokens,
                event.cache_write_1h_tokens,
                event.output_tokens,
                event.reasoning_tokens,
                event.audio_input_tokens,
                event.audio_output_tokens,
                event.image_input_tokens,
                event.image_output_tokens,
                event.requests,
                event.images,
                event.seconds,
                event.characters,
            ] = numbers[..14].try_into().unwrap();
            [event.cache_read_audio_tokens, event.web_searches, event.code_executions] =
                numbers[16..].try_into().unwrap();
            event
        })
        .collect()
}

on_both!(totals_are_what_the_events_add_up_to, |app| {
    let keys = [key(&app, "a").await, key(&app, "b").await];
    let mut runner = TestRunner::default();
    let events = random(&app, &keys, &mut runner);
    record(&app, events.clone()).await;
    let begin = moment("2027-01-04T20:00:00Z");
    let hours = (proptest::option::of(0..250i64), proptest::option::of(0..250i64));
    for _ in 0..40 {
        let (from, to) = hours.new_tree(&mut runner).unwrap().current();
        let [from, to] = [from, to].map(|hours| hours.map(|hours| begin + TimeDelta::hours(hours)));
        let bound = |name: &str, moment: Option<DateTime<Utc>>| {
            moment
                .map(|moment| format!("{name}={}&", moment.to_rfc3339().replace('+', "%2B")))
                .unwrap_or_default()
        };
        let query = format!("?{}{}", bound("from", from), bound("to", to));
        for key in &keys {
            let own: Vec<&Model> = events
                .iter()
                .filter(|event| event.key_id.map(|id| json!(id)).as_ref() == Some(&key["id"]))
                .collect();
            let expected = expected(&own, from, to);
            let of_key = app.owner().get(&format!("{}/usage{query}", path(key))).await.ok();
            assert_eq!(of_key, expected, "{query}");
            let team = format!("{TEAMS}/{}/usage{query}", key["team_id"].as_str().unwrap());
            assert_eq!(app.owner().get(&team).await.ok(), expected, "{query}");
        }
    }
    let whole = check(&app, "2027-01-04T00:00:00Z", "2027-01-16T00:00:00Z").await;
    assert_eq!((whole.hours, whole.events), (12 * 24, 250));
    assert_eq!(whole.differences, []);
});

on_both!(only_full_hours_are_added_up, |app| {
    let key = key(&app, "a").await;
    let path = format!("{}/usage", path(&key));
    for (query, faults) in [
        ("from=2027-01-15T10:00:01Z", vec!["?from"]),
        ("to=2027-01-15T10:30:00Z", vec!["?to"]),
        ("from=2027-01-15T10:00:00.000001Z&to=2027-01-15T10:00:00%2B05:30", vec!["?from", "?to"]),
    ] {
        let faults: Vec<(&str, &str)> = faults.into_iter().map(|at| (at, "not_aligned")).collect();
        app.owner().get(&format!("{path}?{query}")).await.invalid(&faults);
    }
    app.owner().get(&format!("{path}?from=yesterday")).await.problem(400, "invalid_parameter");
    app.owner().get(&format!("{path}?since=2027-01-15T10:00:00Z")).await.problem(400, "unknown_parameter");
    app.owner().get(&format!("{path}?from=1969-01-15T10:00:00Z")).await.invalid(&[("?from", "out_of_range")]);
    let none = app.owner().get(&path).await.ok();
    assert_eq!((&none["events"], &none["costs"]), (&json!(0), &json!([])));
    let turned = format!("{path}?from=2027-01-16T00:00:00Z&to=2027-01-15T00:00:00Z");
    assert_eq!(app.owner().get(&turned).await.ok()["events"], 0);
});

on_both!(totals_reach_as_far_as_the_events, |app| {
    let (ours, theirs) = (key(&app, "ours").await, key(&app, "theirs").await);
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let now = app.clock.now();
    record(&app, vec![event(&app, &ours, now), event(&app, &theirs, now)]).await;
    let boss = app.team_admin(&text(&theirs, "team_id")).await;
    let viewer = app.viewer().await;
    let events = async |client: &tests::Client, key: &Value| {
        client.get(&format!("{}/usage", path(key))).await.ok()["events"].clone()
    };
    boss.get(&format!("{}/usage", path(&ours))).await.problem(404, "not_found");
    boss.get(&format!("{TEAMS}/{}/usage", text(&ours, "team_id"))).await.problem(404, "not_found");
    assert_eq!(events(&boss, &theirs).await, 1);
    // A key that is handed over takes its history along only for who may see that anyway.
    let handed = json!({"team_id": theirs["team_id"]});
    app.owner().post(&format!("{}/transfer", path(&ours)), handed).await.ok();
    record(
        &app,
        vec![Model { team_id: theirs["team_id"].as_str().unwrap().parse().ok(), ..event(&app, &ours, now) }],
    )
    .await;
    assert_eq!(events(&boss, &ours).await, 1);
    assert_eq!(events(&viewer, &ours).await, 2);
    let of_team = |row: &Value| format!("{TEAMS}/{}/usage", text(row, "team_id"));
    assert_eq!(boss.get(&of_team(&theirs)).await.ok()["events"], 2);
    assert_eq!(viewer.get(&of_team(&ours)).await.ok()["events"], 1);
    // One's own.
    let member = app.member().await;
    let mine = app.owner().post(KEYS, json!({"name": "mine", "user_id": member.user_id})).await.created();
    let user_id = member.user_id.parse().ok();
    record(&app, vec![Model { user_id, ..event(&app, &mine, now) }]).await;
    assert_eq!(events(&member, &mine).await, 1);
    member.get(&format!("{}/usage", path(&ours))).await.problem(404, "not_found");
    // Elsewhere, and deleted.
    let acme = app.other_organization("acme").await;
    acme.get(&format!("/v1/organizations/acme/keys/{}/usage", text(&ours, "id")))
        .await
        .problem(404, "not_found");
    app.owner().delete(&path(&ours)).await.no_content();
    assert_eq!(events(&viewer, &ours).await, 2);
});

on_both!(a_check_goes_through_more_events_than_fit_a_page, |app| {
    let key = key(&app, "a").await;
    let calls = (0..700).map(|n| event(&app, &key, app.clock.now() - TimeDelta::minutes(n)));
    let attempts = calls.flat_map(|call| (0..3).map(move |attempt| Model { attempt, ..call.clone() }));
    let mut events: Vec<Model> = attempts.collect();
    // The id says that the call was made long before it became known.
    events[0].occurred_at = moment("2027-01-18T05:00:00Z");
    record(&app, events).await;
    let found = check(&app, "2027-01-14T00:00:00Z", "2027-01-20T00:00:00Z").await;
    assert_eq!((found.events, found.differences), (2100, vec![]));
    let late = check(&app, "2027-01-18T05:00:00Z", "2027-01-18T06:00:00Z").await;
    assert_eq!((late.events, late.differences), (1, vec![]));
});

on_both!(a_check_finds_every_figure_that_was_tampered_with, |app| {
    let key = key(&app, "a").await;
    let known = [
        "2027-01-14T22:59:59.999999Z",
        "2027-01-14T23:00:00Z",
        "2027-01-15T00:00:00Z",
        "2027-01-15T23:59:59Z",
    ];
    let events = known.map(|at| Model {
        cost: Nanos(7),
        currency: Some("USD".into()),
        ..event(&app, &key, moment(at))
    });
    record(&app, events.to_vec()).await;
    let (from, to) = ("2027-01-14T23:00:00Z", "2027-01-16T00:00:00Z");
    let clean = check(&app, from, to).await;
    assert_eq!((clean.hours, clean.events, clean.differences), (25, 3, vec![]));
    // A figure, in the hour and in the day.
    let rows =
        Entity::find().filter(Column::Start.gte(moment(from))).all(&app.system.db.writer).await.unwrap();
    assert_eq!(rows.len(), 4, "three hours, and the day that is whole");
    type Tamper = fn(&mut ActiveModel, i64);
    let tampers: [Tamper; 6] = [
        |row, by| row.cost = Set(Nanos(row.cost.clone().unwrap().0 + by)),
        |row, by| row.events = Set(row.events.clone().unwrap() + by),
        |row, by| row.characters = Set(row.characters.clone().unwrap() + by),
        |row, by| row.unpriced_events = Set(row.unpriced_events.clone().unwrap() + by),
        |row, by| row.latency_ms = Set(row.latency_ms.clone().unwrap() + by),
        |row, _| row.currency = Set(Some("EUR".into())),
    ];
    for row in &rows {
        for (n, tamper) in tampers.iter().enumerate() {
            let mut changed = row.clone().into_active_model();
            tamper(&mut changed, 1);
            changed.update(&app.system.db.writer).await.unwrap();
            let found = check(&app, from, to).await.differences;
            // Another currency is one sum too few and one too many.
            assert_eq!(found.len(), if n == 5 { 2 } else { 1 }, "{n}: {found:?}");
            assert!(
                found.iter().all(|found| (found.grain, found.start) == (row.grain, row.start)),
                "{found:?}"
            );
            row.clone().into_active_model().reset_all().update(&app.system.db.writer).await.unwrap();
        }
    }
    // A row that is gone, and one that is too many.
    let day = rows.iter().find(|row| row.grain == Grain::Day).unwrap();
    day.clone().into_active_model().delete(&app.system.db.writer).await.unwrap();
    let found = check(&app, from, to).await.differences;
    assert_eq!((found.len(), found[0].grain, found[0].stored), (1, Grain::Day, None));
    assert_eq!(found[0].events.unwrap().cost, Total(14));
    Entity::insert(day.clone().into_active_model().reset_all())
        .exec_without_returning(&app.system.db.writer)
        .await
        .unwrap();
    let surplus = entity::usage_rollup::Model { start: moment("2027-01-15T05:00:00Z"), ..rows[0].clone() };
    let surplus = entity::usage_rollup::Model { grain: Grain::Hour, ..surplus };
    Entity::insert(surplus.into_active_model().reset_all())
        .exec_without_returning(&app.system.db.writer)
        .await
        .unwrap();
    let found = check(&app, from, to).await.differences;
    assert_eq!((found.len(), found[0].events), (1, None));
    // Outside the range nothing is looked at.
    assert_eq!(check(&app, "2027-01-15T06:00:00Z", to).await.differences, []);
});

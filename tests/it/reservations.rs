//! Reservations: what calls hold, what became of them, and who sees them.

use crate::{
    keys::{KEYS, key, path},
    usage::call,
};
use chrono::TimeDelta;
use entity::{
    id::ReservationId,
    json::Tags,
    ledger::{CallTerms, Candidate, Leg, Legs},
    reservation::Model,
    status::{Metric, Mode, Period, ReservationState},
};
use serde_json::{Value, json};
use tests::{Client, TestApp, ledger, on_both};
use uuid::Uuid;

const RESERVATIONS: &str = "/v1/organizations/default/reservations";

fn at(id: ReservationId) -> String {
    format!("{RESERVATIONS}/{id}")
}

/// A call of `default` that was authorized so many minutes ago.
fn reservation(app: &TestApp, minutes: i64) -> Model {
    ledger::reservation(app.organization, call(app, app.clock.now() - TimeDelta::minutes(minutes)))
}

async fn reserve(app: &TestApp, rows: impl IntoIterator<Item = Model>) {
    ledger::reserve(&app.system, rows).await;
}

/// The ids that a list with this query has, over all its pages.
async fn ids(client: &Client, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{RESERVATIONS}?page_size=2&{query}{cursor}")).await.ok();
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn leg(metric: Metric, held: i64, used: i64) -> Leg {
    Leg {
        limit: "lim_019aa3c1f6b07c3e9a5d2f4b8c6e1d70".parse().unwrap(),
        subject: Uuid::from_u128(7),
        window: 1_800_000_000_000_000,
        period: Period::Day,
        metric,
        mode: Mode::Block,
        currency: (metric == Metric::Cost).then(|| "USD".to_owned()),
        models: None,
        held,
        used,
        amount: 10,
        remaining: Some(3),
    }
}

fn legs(used: i64) -> Legs {
    let metrics = [(Metric::Cost, 1_500_000_000), (Metric::Tokens, 1200), (Metric::Concurrency, 1)];
    Legs(metrics.map(|(metric, held)| leg(metric, held, used)).to_vec())
}

on_both!(a_reservation_shows_what_was_asked_and_what_it_holds, |app| {
    let made = key(&app, "k").await;
    let candidate =
        |model: &str| Candidate { model: model.into(), price: None, source: None, names: Vec::new() };
    let terms = CallTerms {
        candidates: vec![candidate("fast"), candidate("gpt-4o")],
        connection: Some("conn_019aa3c1f6b07c3e9a5d2f4b8c6e1d70".parse().unwrap()),
        project: Some("p".into()),
        session: Some("s".into()),
        tags: Tags([("env".to_owned(), "prod".to_owned())].into()),
        input_tokens: 1000,
        output_tokens: 200,
        cost: Some((1_500_000_000, "USD".into())),
        exact: true,
        ..CallTerms::default()
    };
    let row = Model {
        key_id: made["id"].as_str().unwrap().parse().ok(),
        team_id: made["team_id"].as_str().unwrap().parse().ok(),
        legs: legs(0),
        terms,
        ..reservation(&app, 0)
    };
    let id = row.id;
    reserve(&app, [row]).await;
    let hold = |metric: &str, currency: Value, held: &str, used: &str| {
        json!({"limit_id": "lim_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "subject_id": Uuid::from_u128(7), "metric": metric,
            "currency": currency, "window": "day", "window_start": "2027-01-15T08:00:00Z", "mode": "block", "held": held,
            "used": used})
    };
    let expected = json!({
        "id": id.to_string(), "key_id": made["id"], "team_id": made["team_id"], "user_id": null,
        "service_account_id": null, "state": "open", "models": ["fast", "gpt-4o"],
        "connection_id": "conn_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "project": "p", "session_id": "s",
        "tags": {"env": "prod"},
        "estimate": {"input_tokens": 1000, "output_tokens": 200, "cost": "1.500000000", "currency": "USD",
            "basis": "exact"},
        "holds": [
            hold("cost", json!("USD"), "1.500000000", "0.000000000"),
            hold("tokens", Value::Null, "1200", "0"),
            hold("concurrency", Value::Null, "1", "0"),
        ],
        "created_at": "2027-01-15T10:00:00Z", "expires_at": "2027-01-15T10:05:00Z",
        "release_at": "2027-01-16T10:05:00Z", "closed_at": null,
    });
    assert_eq!(app.owner().get(&at(id)).await.ok(), expected);
    let page = app.owner().get(RESERVATIONS).await.ok();
    assert_eq!(page, json!({"items": [expected], "next_cursor": null}));
});

on_both!(what_is_held_depends_on_what_became_of_the_call, |app| {
    use ReservationState::{Held, Settled, Voided};
    let now = app.clock.now();
    let row = |minutes, state, released, used| Model {
        state,
        released,
        legs: legs(used),
        closed_at: (state != Held).then_some(now),
        ..reservation(&app, minutes)
    };
    for (row, state, held, used) in [
        (row(0, Held, 0, 0), "open", ["1.500000000", "1200", "1"], "0"),
        (row(5, Held, 0, 0), "unresolved", ["1.500000000", "1200", "1"], "0"),
        (row(6, Held, 1, 0), "unresolved", ["1.500000000", "1200", "0"], "0"),
        (row(7, Held, 2, 0), "released", ["0.000000000", "0", "0"], "0"),
        (row(8, Settled, 0, 77), "settled", ["0.000000000", "0", "0"], "77"),
        (row(9, Settled, 2, 77), "settled", ["0.000000000", "0", "0"], "77"),
        (row(10, Voided, 0, 0), "voided", ["0.000000000", "0", "0"], "0"),
    ] {
        let id = row.id;
        reserve(&app, [row]).await;
        let shown = app.owner().get(&at(id)).await.ok();
        assert_eq!(shown["state"], state);
        let holds =
            |field: &str| shown["holds"].as_array().unwrap().iter().map(|hold| hold[field].clone()).collect();
        let found: Vec<Value> = holds("held");
        assert_eq!(json!(found), json!(held), "{state}");
        let found: Vec<Value> = holds("used");
        assert_eq!(found[1], used);
        assert_eq!(shown["closed_at"].is_null(), !["settled", "voided"].contains(&state));
    }
});

on_both!(reservations_are_found_by_state_key_and_team, |app| {
    use ReservationState::{Held, Settled, Voided};
    let keys = [key(&app, "a").await, key(&app, "b").await];
    let rows = [
        (0, 0, Held, 0),
        (1, 1, Held, 0),
        (0, 5, Held, 0),
        (1, 60, Held, 1),
        (0, 3000, Held, 2),
        (0, 2, Settled, 0),
        (1, 3, Voided, 0),
    ];
    let rows: Vec<Model> = rows
        .into_iter()
        .map(|(of, minutes, state, released): (usize, _, _, _)| Model {
            key_id: keys[of]["id"].as_str().unwrap().parse().ok(),
            team_id: keys[of]["team_id"].as_str().unwrap().parse().ok(),
            state,
            released,
            ..reservation(&app, minutes)
        })
        .collect();
    let known: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    reserve(&app, rows).await;
    let id = |of: usize, field: &str| keys[of][field].as_str().unwrap().to_owned();
    for (query, expected) in [
        (String::new(), vec![0, 1, 2, 3]),
        ("state=held".into(), vec![0, 1, 2, 3]),
        ("order=asc".into(), vec![3, 2, 1, 0]),
        ("state=open".into(), vec![0, 1]),
        ("state=unresolved".into(), vec![2, 3]),
        ("state=released".into(), vec![4]),
        (format!("key_id={}", id(0, "id")), vec![0, 2]),
        (format!("team_id={}", id(1, "team_id")), vec![1, 3]),
        (format!("team_id={}&state=open", id(1, "team_id")), vec![1]),
        (format!("team_id={}&key_id={}", id(1, "team_id"), id(0, "id")), vec![]),
    ] {
        let expected: Vec<&String> = expected.into_iter().map(|n: usize| &known[n]).collect();
        assert_eq!(ids(&app.owner(), &query).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    // A call is open up to, but not including, the end of its time.
    app.clock.advance(TimeDelta::minutes(4));
    assert_eq!(ids(&app.owner(), "state=unresolved").await.len(), 3);
    assert_eq!(app.owner().get(&at(known[1].parse().unwrap())).await.ok()["state"], "unresolved");
    // What a deleted key holds is still found.
    app.owner().delete(&path(&keys[0])).await.no_content();
    assert_eq!(ids(&app.owner(), &format!("key_id={}", id(0, "id"))).await.len(), 2);
});

on_both!(a_list_of_reservations_says_what_it_does_not_understand, |app| {
    let owner = app.owner();
    let get = |query: &str| owner.get(&format!("{RESERVATIONS}?{query}"));
    get("status=open").await.problem(400, "unknown_parameter");
    get("state=settled").await.problem(400, "invalid_parameter");
    get("key_id=key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70").await.problem(404, "not_found");
    get("team_id=team_019aa3c1f6b07c3e9a5d2f4b8c6e1d70").await.problem(404, "not_found");
    owner.get(&format!("{RESERVATIONS}/nonsense")).await.problem(404, "not_found");
});

on_both!(everybody_sees_the_reservations_within_reach, |app| {
    let (ours, theirs) = (key(&app, "ours").await, key(&app, "theirs").await);
    let member = app.member().await;
    let mine = app.owner().post(KEYS, json!({"name": "mine", "user_id": member.user_id})).await.created();
    let rows: Vec<Model> = [&ours, &theirs, &mine]
        .into_iter()
        .zip(0..)
        .map(|(key, minutes)| Model {
            key_id: key["id"].as_str().and_then(|id| id.parse().ok()),
            team_id: key["team_id"].as_str().and_then(|id| id.parse().ok()),
            user_id: key["user_id"].as_str().and_then(|id| id.parse().ok()),
            ..reservation(&app, minutes)
        })
        .collect();
    // Nobody's: it was voided before it was authorized.
    let tombstone = Model { state: ReservationState::Voided, ..reservation(&app, 4) };
    let known: Vec<ReservationId> = rows.iter().chain([&tombstone]).map(|row| row.id).collect();
    reserve(&app, rows).await;
    reserve(&app, [tombstone]).await;
    let boss = app.team_admin(ours["team_id"].as_str().unwrap()).await;
    for (client, seen) in [
        (boss, vec![0]),
        (member, vec![2]),
        (app.viewer().await, vec![0, 1, 2, 3]),
        (app.billing().await, vec![0, 1, 2, 3]),
        (app.owner(), vec![0, 1, 2, 3]),
    ] {
        let held: Vec<String> =
            seen.iter().filter(|n| **n < 3).map(|n: &usize| known[*n].to_string()).collect();
        assert_eq!(ids(&client, "").await, held);
        for (n, id) in known.iter().enumerate() {
            assert_eq!(client.get(&at(*id)).await.status, if seen.contains(&n) { 200 } else { 404 });
        }
    }
    let acme = app.other_organization("acme").await;
    acme.get(&format!("/v1/organizations/acme/reservations/{}", known[0])).await.problem(404, "not_found");
    assert_eq!(acme.get("/v1/organizations/acme/reservations").await.ok()["items"], json!([]));
});

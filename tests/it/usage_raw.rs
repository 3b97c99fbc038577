//! Usage objects that cannot be read exactly: kept sealed beside their events, for a while, for those who may read these.

use crate::{
    keys::KEYS,
    metering::{BASE, Calls, chosen},
};
use chrono::TimeDelta;
use entity::{
    data_key,
    id::{DataKeyId, OrganizationId},
    usage_raw,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, sea_query::Expr,
};
use serde_json::{Value, json};
use service::{
    clock::watch,
    housekeeping,
    vault::rotate::{Renewal, rotate},
};
use tests::{Client, TestApp, on_both, treasure};

/// An object whose total contradicts its parts.
fn contradicting() -> Value {
    json!({"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 900, "note": "canary-of-usage"})
}

/// Settles a call with this object; the path of its event.
async fn settled(calls: &Calls, usage: Value) -> String {
    let id = calls.open(json!({"model": "m"})).await;
    let settled = calls.settle(&id, usage).await;
    path(&settled["attempts"][0])
}

fn path(attempt: &Value) -> String {
    format!("{BASE}/usage/events/{}?attempt={}", attempt["event_id"].as_str().unwrap(), attempt["attempt"])
}

/// The object of an event, and why there is none.
async fn shown(client: &Client, path: &str) -> (Value, Value) {
    let event = client.get(path).await.ok();
    (event["raw_usage"].clone(), event["raw_usage_dropped"].clone())
}

fn kept() -> (Value, Value) {
    (contradicting(), Value::Null)
}

fn dropped(why: &str) -> (Value, Value) {
    (Value::Null, json!(why))
}

async fn rows(app: &TestApp) -> Vec<usage_raw::Model> {
    usage_raw::Entity::find().all(&app.system.db.reader).await.unwrap()
}

async fn data_keys(app: &TestApp) -> u64 {
    let of = data_key::Entity::find().filter(data_key::Column::OrganizationId.eq(app.organization));
    of.count(&app.system.db.reader).await.unwrap()
}

on_both!(an_object_that_cannot_be_read_is_kept_sealed, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let id = calls.open(json!({"model": "m"})).await;
    let body = json!({"reservation_id": id, "attempts": [
        {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
        {"usage": contradicting()},
        {"usage": {}},
        {"status": "error", "usage": {"prompt_tokens": "none"}},
    ]});
    let first = calls.gateway.post("/v1/settle", &body).await.ok();
    assert_eq!(calls.gateway.post("/v1/settle", &body).await.ok(), first, "again");
    let attempts = first["attempts"].as_array().unwrap();
    assert_eq!(shown(&app.owner(), &path(&attempts[1])).await, kept());
    // What is read exactly, says nothing, or is of no consequence is not kept.
    for n in [0, 2, 3] {
        assert_eq!(shown(&app.owner(), &path(&attempts[n])).await, (Value::Null, Value::Null), "{n}");
    }
    let rows = rows(&app).await;
    assert_eq!(rows.iter().map(|row| row.attempt).collect::<Vec<_>>(), [1]);
    assert!(!rows[0].raw.0.windows(6).any(|window| window == b"canary"), "it is in the clear");
    let list = app.owner().get(&format!("{BASE}/usage/events")).await.ok();
    for text in [list.to_string(), first.to_string()] {
        assert!(!text.contains("canary") && !text.contains("raw_usage"), "{text}");
    }
});

on_both!(whoever_tells_of_a_call_tells_its_object, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let report = json!({"key_id": calls.id(), "model": "m", "usage": contradicting()});
    let reported = calls.gateway.post("/v1/usage", &report).await.ok();
    assert_eq!(shown(&app.owner(), &path(&reported["attempts"][0])).await, kept());
    let batch =
        json!({"requests": [report, {"key_id": calls.id(), "model": "m", "usage": {"input_tokens": 1}}]});
    let batch = calls.gateway.post("/v1/usage/batch", batch).await.ok();
    let attempt = |n: usize| batch["results"][n]["settlement"]["attempts"][0].clone();
    assert_eq!(shown(&app.owner(), &path(&attempt(0))).await, kept(), "{batch}");
    assert_eq!(shown(&app.owner(), &path(&attempt(1))).await, (Value::Null, Value::Null));
    let id = calls.open(json!({"model": "m"})).await;
    let body = json!({"outcome": "settled", "usage": contradicting()});
    let resolved = app.owner().post(&format!("{BASE}/reservations/{id}/resolve"), body).await.ok();
    assert_eq!(shown(&app.owner(), &path(&resolved["attempts"][0])).await, kept());
    assert_eq!(rows(&app).await.len(), 3);
});

on_both!(an_object_is_shown_to_those_who_see_its_event, |app| {
    let ours = Calls::new(&app, json!([])).await;
    let boss = app.team_admin(ours.key["team_id"].as_str().unwrap()).await;
    let member = app.member().await;
    let mine = app.owner().post(KEYS, json!({"name": "mine", "user_id": member.user_id})).await.created();
    let mine = ours.with(&mine);
    let (of_team, of_member) = (settled(&ours, contradicting()).await, settled(&mine, contradicting()).await);
    for (client, team, own) in [
        (&app.owner(), true, true),
        (&app.viewer().await, true, true),
        (&boss, true, false),
        (&member, false, true),
    ] {
        for (path, seen) in [(&of_team, team), (&of_member, own)] {
            if seen {
                assert_eq!(shown(client, path).await, kept());
            } else {
                client.get(path).await.problem(404, "not_found");
            }
        }
    }
    let acme = app.other_organization("acme").await;
    acme.get(&of_team.replace("/default/", "/acme/")).await.problem(404, "not_found");
    acme.get(&of_team).await.problem(404, "not_found");
    app.stranger().await.get(&of_team).await.problem(404, "not_found");
});

on_both!(an_object_that_is_too_large_is_dropped_and_said_so, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let sized = |bytes: usize| {
        let mut object = contradicting();
        object["note"] = json!("");
        let rest = bytes - object.to_string().len();
        object["note"] = json!("x".repeat(rest));
        object
    };
    let fits = settled(&calls, sized(16 * 1024)).await;
    assert_eq!(shown(&app.owner(), &fits).await, (sized(16 * 1024), Value::Null));
    let large = settled(&calls, sized(16 * 1024 + 1)).await;
    assert_eq!(shown(&app.owner(), &large).await, dropped("too_large"));
    assert_eq!(app.owner().get(&large).await.ok()["usage"]["input_tokens"], 1000);
    assert_eq!(rows(&app).await.len(), 1);
});

on_both!(no_call_is_lost_because_its_object_cannot_be_sealed, |app| {
    let calls = Calls::new(&app, json!([])).await;
    // The organization's data key does not open: it is another's, moved here.
    let others = data_key::Column::OrganizationId.eq(OrganizationId::PLATFORM);
    let db = &app.system.db;
    let row = data_key::Entity::find().filter(others).one(&db.reader).await.unwrap().unwrap();
    let id: DataKeyId = app.system.entropy.id(app.clock.now());
    let mut moved = row.into_active_model().reset_all();
    (moved.id, moved.organization_id) = (Set(id), Set(app.organization));
    data_key::Entity::insert(moved).exec_without_returning(&db.writer).await.unwrap();
    let event = settled(&calls, contradicting()).await;
    assert_eq!(shown(&app.owner(), &event).await, dropped("not_sealed"));
    assert_eq!(rows(&app).await.len(), 0);
});

on_both!(a_rotation_seals_objects_again, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let event = settled(&calls, contradicting()).await;
    let before = rows(&app).await;
    let report = rotate(&app.system, Renewal::One(app.organization), &|| Ok(())).await.unwrap();
    assert_eq!((report.renewed, report.sealed, report.destroyed, report.is_complete()), (1, 1, 1, true));
    let after = rows(&app).await;
    assert!(before[0].data_key_id != after[0].data_key_id && before[0].raw != after[0].raw);
    assert_eq!((before[0].id, data_keys(&app).await), (after[0].id, 1));
    for app in [&app, &app.second_instance().await] {
        assert_eq!(shown(&app.owner(), &event).await, kept());
    }
    let later = settled(&calls, contradicting()).await;
    assert_eq!(shown(&app.owner(), &later).await, kept());
    for value in treasure::stored(&app.system).await.iter().filter(|value| value.column.0 == "usage_raw") {
        assert!(value.open(&app.system).await.unwrap().contains("canary-of-usage"));
    }
    // A data key that is destroyed takes with it what was still to be written.
    let gone: DataKeyId = app.system.entropy.id(app.clock.now());
    let lost =
        usage_raw::Entity::update_many().col_expr(usage_raw::Column::DataKeyId, Expr::value(gone.uuid()));
    lost.exec(&app.system.db.writer).await.unwrap();
    assert_eq!(shown(&app.owner(), &event).await, dropped("unreadable"));
});

on_both!(an_object_is_kept_for_ninety_days, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let event = settled(&calls, contradicting()).await;
    // A session would end before.
    let token = json!({"name": "reports", "permissions": ["usage:read"]});
    let token = app.owner().post(&format!("{BASE}/admin-tokens"), token).await.created();
    let reader = app.client(token["secret"].as_str().unwrap());
    app.clock.advance(TimeDelta::days(89));
    housekeeping::round(&app.system).await;
    assert_eq!(shown(&reader, &event).await, kept());
    app.clock.advance(TimeDelta::days(1));
    assert_eq!(shown(&reader, &event).await, dropped("expired"), "also before it is removed");
    assert_eq!(rows(&app).await.len(), 1);
    housekeeping::round(&app.system).await;
    assert_eq!(rows(&app).await.len(), 0);
    assert_eq!(shown(&reader, &event).await, dropped("expired"));
});

on_both!(a_clock_that_has_jumped_removes_no_object, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let event = settled(&calls, contradicting()).await;
    watch::beat(&app.system).await.unwrap();
    app.clock.advance(TimeDelta::days(400));
    watch::beat(&app.system).await.unwrap();
    housekeeping::round(&app.system).await;
    assert_eq!(rows(&app).await.len(), 1, "it is not trusted yet");
    app.clock.advance(-TimeDelta::days(400));
    assert_eq!(shown(&app.owner(), &event).await, kept(), "nothing is lost by a time that was wrong");
});

on_both!(nothing_is_sealed_for_who_has_not_proved_itself, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let body = json!({"reservation_id": chosen(&app), "usage": contradicting()});
    let tokens = format!("{BASE}/gateway-tokens");
    let token = app.owner().post(&tokens, json!({"name": "gone"})).await.created();
    app.owner().delete(&format!("{tokens}/{}", token["id"].as_str().unwrap())).await.no_content();
    let gone = app.client(token["secret"].as_str().unwrap());
    gone.post("/v1/settle", &body).await.problem(401, "token_invalid");
    assert_eq!(data_keys(&app).await, 0);
    let id = calls.open(json!({"model": "m"})).await;
    calls.settle(&id, json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})).await;
    assert_eq!(data_keys(&app).await, 0, "nor where nothing is to be kept");
});

//! Several instances over one database: an administrator's change is in force on all of them from the moment it was
//! answered, at a cost that follows the change.

use crate::{
    decisions::{ask, issue, refused},
    keys::{self, service_account, team},
};
use chrono::{DateTime, Utc};
use entity::{id::KeyId, status::KeyStatus, virtual_key};
use sea_orm::{ActiveValue::Set, ConnectionTrait};
use serde_json::{Value, json};
use service::{Ctx, head::PolicyKind, scope::Scope};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tests::{Backend, Client, TestApp, on_both};

/// Another instance, and a gateway that asks it.
async fn other(app: &TestApp) -> (TestApp, Client) {
    let b = app.second_instance().await;
    let gateway = b.client(app.gateway().await.bearer().unwrap());
    (b, gateway)
}

async fn sql(app: &TestApp, statement: &str) {
    app.system.db.writer.execute_unprepared(statement).await.unwrap();
}

/// Callers that ask for decisions about a key all the time, so that changes meet batches under way.
fn crowd(gateway: &Client, key: &Value, running: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<()>> {
    let one = |_| {
        let (gateway, key, running) = (gateway.clone(), key.clone(), running.clone());
        tokio::spawn(async move {
            while running.load(Ordering::Relaxed) {
                ask(&gateway, &key, json!({})).await;
            }
        })
    };
    (0..4).map(one).collect()
}

on_both!(a_revoked_key_is_refused_everywhere_at_once, |app| {
    let (_b, gateway) = other(&app).await;
    let team_id = team(&app, "team").await;
    let rounds = if app.backend == Backend::Postgres { 500 } else { 100 };
    for round in 0..rounds {
        let key = issue(&app, json!({"name": format!("key {round}"), "team_id": team_id})).await;
        let running = Arc::new(AtomicBool::new(true));
        let crowd = crowd(&gateway, &key, &running);
        refused(&ask(&gateway, &key, json!({})).await, &[]);
        app.owner().post(&format!("{}/revoke", keys::path(&key)), json!({})).await.ok();
        refused(&ask(&gateway, &key, json!({})).await, &["key_revoked"]);
        running.store(false, Ordering::Relaxed);
        for caller in crowd {
            caller.await.unwrap();
        }
    }
});

on_both!(every_change_is_in_force_everywhere_at_once, |app| {
    let (_b, gateway) = other(&app).await;
    let organization = "/v1/organizations/default";
    let member = app.member().await;
    let account = service_account(&app, "batch").await;
    let of_team = issue(&app, json!({})).await;
    let of_person = issue(&app, json!({"user_id": member.user_id})).await;
    let of_account = issue(&app, json!({"service_account_id": account})).await;
    let key = keys::path(&of_team);
    let team = format!("{organization}/teams/{}", of_team["team_id"].as_str().unwrap());
    let toggles = [
        (&of_team, format!("{key}/disable"), format!("{key}/enable"), "key_disabled"),
        (&of_team, format!("{team}/suspend"), format!("{team}/resume"), "owner_suspended"),
        (
            &of_team,
            format!("{organization}/suspend"),
            format!("{organization}/resume"),
            "organization_suspended",
        ),
        standing(&of_person, &format!("{organization}/members/{}", member.user_id)),
        standing(&of_person, &format!("/v1/users/{}", member.user_id)),
        standing(&of_account, &format!("{organization}/service-accounts/{account}")),
    ];
    for _ in 0..20 {
        for (key, stop, go, reason) in &toggles {
            refused(&ask(&gateway, key, json!({})).await, &[]);
            app.owner().post(stop, json!({})).await.ok();
            refused(&ask(&gateway, key, json!({})).await, &[reason]);
            app.owner().post(go, json!({})).await.ok();
        }
        for path in [&key, &team, organization] {
            app.owner().patch(path, json!({"allowed_models": ["gpt-*"]})).await.ok();
            refused(&ask(&gateway, &of_team, json!({"model": "o3"})).await, &["model_not_allowed"]);
            app.owner().patch(path, json!({"allowed_models": null})).await.ok();
            refused(&ask(&gateway, &of_team, json!({"model": "o3"})).await, &[]);
        }
    }
});

fn standing<'k>(key: &'k Value, thing: &str) -> (&'k Value, String, String, &'static str) {
    (key, format!("{thing}/suspend"), format!("{thing}/resume"), "owner_suspended")
}

on_both!(a_new_secret_and_the_end_of_the_old_are_known_everywhere_at_once, |app| {
    let (_b, gateway) = other(&app).await;
    let mut key = issue(&app, json!({})).await;
    for _ in 0..20 {
        refused(&ask(&gateway, &key, json!({})).await, &[]);
        let path = format!("{}/rotate", keys::path(&key));
        let rotated = app.owner().post(&path, json!({"grace_seconds": 0})).await.ok();
        assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], false);
        refused(&ask(&gateway, &rotated, json!({})).await, &[]);
        key = rotated;
    }
});

on_both!(a_deleted_gateway_token_is_refused_everywhere_at_once, |app| {
    let b = app.second_instance().await;
    for (round, path) in
        (0..40).zip(["/v1/organizations/default/gateway-tokens", "/v1/gateway-tokens"].iter().cycle())
    {
        let made = app.owner().post(path, json!({"name": format!("token {round}")})).await.created();
        let gateway = b.client(made["secret"].as_str().unwrap());
        gateway.post("/v1/authorize", json!({"key": "x"})).await.ok();
        app.owner().delete(&format!("{path}/{}", made["id"].as_str().unwrap())).await.no_content();
        gateway.post("/v1/authorize", json!({"key": "x"})).await.problem(401, "token_invalid");
    }
});

on_both!(a_person_who_leaves_takes_the_keys_along, |app| {
    let (_b, gateway) = other(&app).await;
    let member = app.member().await;
    let key = issue(&app, json!({"user_id": member.user_id})).await;
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    let place = format!("/v1/organizations/default/members/{}?keys=revoke", member.user_id);
    app.owner().delete(&place).await.no_content();
    assert_eq!(ask(&gateway, &key, json!({})).await["allowed"], false);
});

/// Disables a key in one transaction with this many other changes.
async fn disable_among(app: &TestApp, key: &Value, others: usize) {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let mut unit = ctx.begin().await.unwrap();
    for _ in 0..others {
        let id = unit.id::<()>().uuid();
        unit.policy(PolicyKind::Key, id);
    }
    let id: KeyId = key["id"].as_str().unwrap().parse().unwrap();
    let changes = virtual_key::ActiveModel { status: Set(KeyStatus::Disabled), ..Default::default() };
    unit.repository::<virtual_key::Entity>().force("disable", id, changes).await.unwrap();
    unit.commit(()).await.unwrap();
}

on_both!(too_many_changes_to_list_forget_everything, |app| {
    let (_b, gateway) = other(&app).await;
    for others in [0, 255, 256, 300] {
        let key = issue(&app, json!({"name": format!("among {others}")})).await;
        refused(&ask(&gateway, &key, json!({})).await, &[]);
        disable_among(&app, &key, others).await;
        refused(&ask(&gateway, &key, json!({})).await, &["key_disabled"]);
    }
});

on_both!(an_instance_that_slept_through_many_changes_forgets_everything, |app| {
    let (_b, gateway) = other(&app).await;
    let key = issue(&app, json!({})).await;
    let busy = issue(&app, json!({"name": "busy"})).await;
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    app.owner().post(&format!("{}/disable", keys::path(&key)), json!({})).await.ok();
    for n in 0..300 {
        app.owner().patch(&keys::path(&busy), json!({"name": format!("busy {n}")})).await.ok();
    }
    refused(&ask(&gateway, &key, json!({})).await, &["key_disabled"]);
});

on_both!(an_instance_behind_the_end_of_the_log_forgets_everything, |app| {
    let (_b, gateway) = other(&app).await;
    let key = issue(&app, json!({})).await;
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    app.owner().post(&format!("{}/disable", keys::path(&key)), json!({})).await.ok();
    sql(&app, "DELETE FROM policy_log").await;
    sql(&app, "UPDATE org_head SET log_floor = policy_version").await;
    refused(&ask(&gateway, &key, json!({})).await, &["key_disabled"]);
});

on_both!(a_database_that_went_back_in_time_is_noticed, |app| {
    let (_b, gateway) = other(&app).await;
    let key = issue(&app, json!({})).await;
    // Something in the log, so that there is a version to go back to.
    app.owner().patch(&keys::path(&key), json!({"name": "renamed"})).await.ok();
    for head in ["tag = tag + 1", "policy_version = policy_version - 1, tag = tag + 1"] {
        sql(&app, "UPDATE virtual_key SET status = 'active'").await;
        sql(&app, "UPDATE org_head SET tag = tag + 7").await;
        refused(&ask(&gateway, &key, json!({})).await, &[]);
        sql(&app, "UPDATE virtual_key SET status = 'disabled'").await;
        refused(&ask(&gateway, &key, json!({})).await, &[]);
        sql(&app, &format!("UPDATE org_head SET {head}")).await;
        refused(&ask(&gateway, &key, json!({})).await, &["key_disabled"]);
    }
});

on_both!(the_cost_of_a_change_follows_the_change, |app| {
    let (b, gateway) = other(&app).await;
    let team_id = team(&app, "team").await;
    let mut keys = Vec::new();
    for n in 0..20 {
        keys.push(issue(&app, json!({"name": format!("key {n}"), "team_id": team_id})).await);
    }
    let all = async || {
        let work = b.state.meter.work();
        let before = (work.statements(), work.entries());
        for key in &keys {
            refused(&ask(&gateway, key, json!({})).await, &[]);
        }
        (work.statements() - before.0, work.entries() - before.1)
    };
    all().await;
    assert_eq!(all().await, (60, 0), "three statements a decision, and nothing is read again");
    app.owner().patch(&keys::path(&keys[7]), json!({"name": "renamed"})).await.ok();
    assert_eq!(all().await, (63, 2), "the key and its secret are read again, before the lock");
    let team_path = format!("/v1/organizations/default/teams/{team_id}");
    app.owner().patch(&team_path, json!({"name": "renamed"})).await.ok();
    assert_eq!(all().await, (61, 1), "the team is read again");
    issue(&app, json!({"name": "one more", "team_id": team_id})).await;
    assert_eq!(all().await, (60, 0), "a new key changes nothing");
});

on_both!(a_key_is_known_as_soon_as_it_is_made, |app| {
    let (_b, gateway) = other(&app).await;
    let team_id = team(&app, "team").await;
    let id = app.system.entropy.id::<()>(DateTime::<Utc>::UNIX_EPOCH);
    let early = service::token::mint(&app.system, service::token::TokenKind::VirtualKey, id.uuid());
    let early = json!({"secret": early.token.expose()});
    refused(&ask(&gateway, &early, json!({})).await, &["key_unknown"]);
    for n in 0..20 {
        let key = issue(&app, json!({"name": format!("key {n}"), "team_id": team_id})).await;
        refused(&ask(&gateway, &key, json!({})).await, &[]);
    }
});

//! The life of a credential: active, draining, disabled, retired; how a provider's key is replaced; what a secret is when it is
//! gone, and under another pepper.

use crate::credentials::{SECRET, make};
use chrono::TimeDelta;
use entity::{
    credential,
    id::{ConnectionId, CredentialId, ReservationId},
    ledger::CallTerms,
    reservation,
    status::ReservationState,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use serde_json::json;
use service::{Ctx, credential::usable, scope::Scope};
use tests::{Reply, Request, TestApp, ledger, on_both};

async fn row(app: &TestApp, path: &str) -> credential::Model {
    let id: CredentialId = path.rsplit('/').next().unwrap().parse().unwrap();
    credential::Entity::find_by_id(id).one(&app.system.db.writer).await.unwrap().unwrap()
}

/// The connection in the path of its credentials.
fn connection(path: &str) -> ConnectionId {
    path.trim_end_matches("/credentials").rsplit('/').next().unwrap().parse().unwrap()
}

/// The secret that a call of the server's own would take.
async fn taken(app: &TestApp, path: &str) -> Option<String> {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let found = usable(&ctx, connection(path)).await.unwrap();
    found.map(|(_, secret)| secret.text().unwrap().to_owned())
}

/// A call that names a connection and is open.
async fn call(app: &TestApp, connection: Option<ConnectionId>) -> reservation::Model {
    let id: ReservationId = app.system.entropy.id(app.clock.now());
    let terms = CallTerms { connection, ..CallTerms::default() };
    let row = reservation::Model { terms, ..ledger::reservation(app.organization, id) };
    ledger::reserve(&app.system, [row.clone()]).await;
    row
}

async fn close(app: &TestApp, call: &reservation::Model) {
    let closed = reservation::ActiveModel {
        organization_id: Set(call.organization_id),
        id: Set(call.id),
        state: Set(ReservationState::Settled),
        ..Default::default()
    };
    closed.update(&app.system.db.writer).await.unwrap();
}

on_both!(active_draining_and_disabled_turn_into_each_other_and_keep_the_reason, |app| {
    let owner = app.owner();
    let (_, credential) = make(&owner, "a").await;
    let mut version = 1;
    let states = ["draining", "active", "disabled", "draining", "disabled", "active"];
    for (n, state) in states.into_iter().enumerate() {
        app.clock.advance(TimeDelta::seconds(1));
        let reason = format!("reason {n}");
        let body = json!({"state": state, "reason": reason});
        let changed = owner.patch(&credential, body).if_match(version).await.ok();
        version += 1;
        assert_eq!((&changed["state"], &changed["state_reason"]), (&json!(state), &json!(reason)));
        assert_eq!(changed["state_since"], changed["updated_at"]);
        assert_eq!(changed["version"], version);
    }
    let since = owner.get(&credential).await.ok()["state_since"].clone();
    app.clock.advance(TimeDelta::seconds(1));
    // The same state again is none; a reason alone changes the reason.
    let same = owner.patch(&credential, json!({"state": "active"})).await.ok();
    assert_eq!((&same["version"], &same["state_reason"]), (&json!(version), &json!("reason 5")));
    let other = owner.patch(&credential, json!({"reason": null})).await.ok();
    assert_eq!((&other["state_reason"], &other["state_since"]), (&json!(null), &since));
    owner.patch(&credential, json!({"reason": "x"})).await.ok();
    let drained = owner.patch(&credential, json!({"state": "draining"})).await.ok();
    assert_eq!(drained["state_reason"], json!(null));
});

on_both!(a_retired_credential_stays_so_and_its_secret_is_gone, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "a").await;
    assert!(row(&app, &credential).await.secret.is_some());
    owner.patch(&credential, json!({"state": "retired"})).await.problem(409, "invalid_state");
    owner.patch(&credential, json!({"state": "disabled"})).await.ok();
    let retired = owner.patch(&credential, json!({"state": "retired", "reason": "old"})).await.ok();
    assert_eq!((&retired["state"], &retired["state_reason"]), (&json!("retired"), &json!("old")));
    assert_eq!(retired["display"], "sk-proj-...x7Qd");
    let gone = row(&app, &credential).await;
    assert!(gone.secret.is_none() && gone.data_key_id.is_none());
    for body in [json!({"state": "active"}), json!({"state": "retired"}), json!({"label": "x"})] {
        owner.patch(&credential, body).await.problem(409, "invalid_state");
    }
    // It is still there to be seen, until it is deleted.
    assert_eq!(owner.get(&path).await.ok()["items"][0]["state"], "retired");
    owner.delete(&credential).await.no_content();
    assert_eq!(owner.get(&path).await.ok()["items"], json!([]));
    assert!(row(&app, &credential).await.deleted_at.is_some());
});

on_both!(deleting_is_the_emergency_and_waits_for_nothing, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "a").await;
    call(&app, Some(connection(&path))).await;
    owner.delete(&credential).await.no_content();
    let gone = row(&app, &credential).await;
    assert!(gone.secret.is_none() && gone.deleted_at.is_some());
    assert_eq!(taken(&app, &path).await, None);
});

on_both!(a_providers_key_is_replaced_without_a_failed_call, |app| {
    let owner = app.owner();
    let (path, old) = make(&owner, "a").await;
    let other = connection(&make(&owner, "b").await.0);
    assert_eq!(taken(&app, &path).await.as_deref(), Some(SECRET));
    let before = call(&app, Some(connection(&path))).await;
    call(&app, Some(other)).await;
    call(&app, None).await;
    app.clock.advance(TimeDelta::milliseconds(5));
    let new = owner.post(&path, json!({"secret": "sk-new-0123456789"})).await.created();
    assert_eq!(new["state"], "active");
    // The older one is taken until it is drained.
    assert_eq!(taken(&app, &path).await.as_deref(), Some(SECRET));
    owner.patch(&old, json!({"state": "draining"})).await.ok();
    assert_eq!(taken(&app, &path).await.as_deref(), Some("sk-new-0123456789"));
    app.clock.advance(TimeDelta::milliseconds(5));
    // A call that was authorized since then does not use it.
    call(&app, Some(connection(&path))).await;
    let refused = owner.patch(&old, json!({"state": "retired"})).await.problem(409, "in_use");
    assert!(refused["detail"].as_str().unwrap().starts_with("1 calls"), "{refused}");
    assert!(row(&app, &old).await.secret.is_some());
    close(&app, &before).await;
    owner.patch(&old, json!({"state": "retired"})).await.ok();
    assert_eq!(taken(&app, &path).await.as_deref(), Some("sk-new-0123456789"));
});

on_both!(a_call_past_its_end_is_in_nobodys_way, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "a").await;
    let open = call(&app, Some(connection(&path))).await;
    owner.patch(&credential, json!({"state": "draining"})).await.ok();
    app.clock.advance(open.expires_at - app.clock.now() - TimeDelta::seconds(1));
    owner.patch(&credential, json!({"state": "retired"})).await.problem(409, "in_use");
    // Nobody has told what became of it, and what it holds is held as before.
    app.clock.advance(TimeDelta::seconds(1));
    owner.patch(&credential, json!({"state": "retired"})).await.ok();
});

on_both!(the_last_use_is_shown, |app| {
    let owner = app.owner();
    let (path, credential) = make(&owner, "a").await;
    assert_eq!(owner.get(&credential).await.ok()["last_used_at"], json!(null));
    taken(&app, &path).await.unwrap();
    service::activity::flush(&app.system).await.unwrap();
    assert_eq!(owner.get(&credential).await.ok()["last_used_at"], "2027-01-15T10:00:00Z");
    assert_eq!(owner.get(&path).await.ok()["items"][0]["last_used_at"], "2027-01-15T10:00:00Z");
});

on_both!(a_secret_does_not_open_in_another_credential, |app| {
    let owner = app.owner();
    let (_, first) = make(&owner, "a").await;
    let (other, second) = make(&owner, "b").await;
    let (first, second) = (row(&app, &first).await, row(&app, &second).await);
    let moved =
        credential::ActiveModel { id: Set(second.id), secret: Set(first.secret), ..Default::default() };
    moved.update(&app.system.db.writer).await.unwrap();
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    usable(&ctx, connection(&other)).await.unwrap_err();
});

fn spawn(request: Request) -> tokio::task::JoinHandle<Reply> {
    tokio::spawn(request.into_future())
}

on_both!(of_racing_additions_of_one_secret_one_is_made, |app| {
    let owner = app.owner();
    for round in 0..10 {
        let path = format!("{}/credentials", crate::connections::make(&owner, &format!("c{round}")).await);
        let requests = (0..5).map(|_| spawn(owner.post(&path, json!({ "secret": SECRET }))));
        let replies = futures_util::future::join_all(requests).await;
        let mut statuses: Vec<u16> = replies.into_iter().map(|reply| reply.unwrap().status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 201], "round {round}");
        assert_eq!(owner.get(&path).await.ok()["items"].as_array().unwrap().len(), 1);
    }
});

on_both!(of_two_racing_changes_of_state_one_wins_and_a_deletion_always_does, |app| {
    let owner = app.owner();
    for round in 0..20 {
        let (path, credential) = make(&owner, &format!("c{round}")).await;
        let change = |state: &str| spawn(owner.patch(&credential, json!({ "state": state })).if_match(1));
        let (left, right) = tokio::join!(change("draining"), change("disabled"));
        let mut statuses = [left.unwrap().status, right.unwrap().status];
        statuses.sort_unstable();
        assert!(matches!(statuses, [200, 409 | 412]), "round {round}: {statuses:?}");
        let (change, gone) = tokio::join!(
            spawn(owner.patch(&credential, json!({"state": "active"}))),
            spawn(owner.delete(&credential))
        );
        gone.unwrap().no_content();
        assert!(matches!(change.unwrap().status, 200 | 404 | 409), "round {round}");
        assert!(row(&app, &credential).await.secret.is_none());
        assert_eq!(owner.get(&path).await.ok()["items"], json!([]));
    }
});

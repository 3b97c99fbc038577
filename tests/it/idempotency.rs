//! `Idempotency-Key`: one effect, one reply, however often and from however many places a call is made.

use crate::teams::TEAMS;
use chrono::TimeDelta;
use serde_json::json;
use tests::{on_both, on_postgres};

on_both!(of_fifty_concurrent_calls_one_happens, |app| {
    let owner = app.owner();
    let body = json!({"name": "search"});
    let call = || tokio::spawn(owner.post(TEAMS, &body).idempotency_key("k").into_future());
    let calls: Vec<_> = (0..50).map(|_| call()).collect();
    let mut made = Vec::new();
    for call in calls {
        let reply = call.await.unwrap();
        if reply.status == 201 {
            made.push(reply.created()["id"].clone());
        } else {
            reply.problem(409, "idempotency_in_progress");
        }
    }
    assert!(!made.is_empty());
    made.push(owner.post(TEAMS, &body).idempotency_key("k").await.created()["id"].clone());
    made.dedup();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(owner.get(TEAMS).await.ok()["items"].as_array().unwrap().len(), 1);
});

on_postgres!(two_instances_make_one_call_once, |app| {
    let other = app.second_instance().await;
    for round in 0..20 {
        let body = json!({"name": format!("team {round}")});
        let key = format!("k{round}");
        let calls: Vec<_> = [app.owner(), other.owner()]
            .iter()
            .flat_map(|owner| [owner.post(TEAMS, &body), owner.post(TEAMS, &body)])
            .map(|request| tokio::spawn(request.idempotency_key(&key).into_future()))
            .collect();
        for call in calls {
            let reply = call.await.unwrap();
            if reply.status != 201 {
                reply.problem(409, "idempotency_in_progress");
            }
        }
        let replies =
            [app.owner(), other.owner()].map(|owner| owner.post(TEAMS, &body).idempotency_key(&key));
        let [here, there] = replies.map(IntoFuture::into_future);
        assert_eq!(here.await.created(), there.await.created());
    }
    assert_eq!(
        app.owner().get(&format!("{TEAMS}?page_size=100")).await.ok()["items"].as_array().unwrap().len(),
        20
    );
});

on_both!(a_key_belongs_to_one_body_and_one_path, |app| {
    let owner = app.owner();
    let team = owner.post(TEAMS, json!({"name": "search"})).idempotency_key("k").await.created();
    let other_body = owner.post(TEAMS, json!({"name": "ads"})).idempotency_key("k").await;
    other_body.problem(422, "idempotency_key_reused");
    let suspend = format!("{TEAMS}/{}/suspend", team["id"].as_str().unwrap());
    let other_path = owner.post(&suspend, json!({"name": "search"})).idempotency_key("k").await;
    other_path.problem(422, "idempotency_key_reused");
    assert_eq!(owner.get(TEAMS).await.ok()["items"].as_array().unwrap().len(), 1);
});

on_both!(a_key_belongs_to_one_principal, |app| {
    let (owner, admin) = (app.owner(), app.admin().await);
    let acme = app.other_organization("acme").await;
    let first = owner.post(TEAMS, json!({"name": "a"})).idempotency_key("k").await.created();
    let second = admin.post(TEAMS, json!({"name": "b"})).idempotency_key("k").await.created();
    let third =
        acme.post("/v1/organizations/acme/teams", json!({"name": "a"})).idempotency_key("k").await.created();
    assert!(first["id"] != second["id"] && first["id"] != third["id"]);
});

on_both!(a_call_that_failed_is_not_kept, |app| {
    let owner = app.owner();
    let taken = owner.post(TEAMS, json!({"name": "search"})).await.created();
    let again = || owner.post(TEAMS, json!({"name": "search"})).idempotency_key("k");
    again().await.problem(409, "duplicate");
    owner.delete(&format!("{TEAMS}/{}", taken["id"].as_str().unwrap())).await.no_content();
    let reply = again().await;
    assert_eq!(reply.header("idempotent-replayed"), "");
    reply.created();
});

on_both!(a_reply_is_kept_for_a_day, |app| {
    let owner = app.owner();
    let call = || owner.post(TEAMS, json!({"name": "search"})).idempotency_key("k");
    let first = call().await.created();
    app.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    assert_eq!(call().await.created(), first);
    app.clock.advance(TimeDelta::seconds(2));
    call().await.problem(409, "duplicate");
});

on_both!(who_may_no_longer_do_it_gets_no_reply_of_it, |app| {
    let admin = app.admin().await;
    let call = || admin.post(TEAMS, json!({"name": "search"})).idempotency_key("k");
    call().await.created();
    let member = format!("/v1/organizations/default/members/{}", admin.user_id);
    app.owner().patch(&member, json!({"role": "viewer"})).await.ok();
    call().await.problem(403, "forbidden");
});

on_both!(a_key_has_a_form, |app| {
    let owner = app.owner();
    let body = json!({"name": "search"});
    let long = "k".repeat(256);
    for bad in [&b""[..], long.as_bytes(), "schlüssel".as_bytes(), b"tab\there"] {
        let reply = owner.post(TEAMS, &body).header("idempotency-key", bad).await;
        let problem = reply.problem(400, "invalid_idempotency_key");
        assert_eq!(problem["errors"][0]["pointer"], "Idempotency-Key");
    }
    owner.post(TEAMS, &body).idempotency_key(&"k".repeat(255)).await.created();
});

on_both!(a_stored_secret_is_shown_again_for_ten_minutes, |app| {
    let owner = app.owner();
    let call = || {
        owner.post("/v1/organizations/default/gateway-tokens", json!({"name": "edge"})).idempotency_key("k")
    };
    let first = call().await;
    app.clock.advance(TimeDelta::minutes(10) - TimeDelta::seconds(1));
    assert_eq!(call().await.text, first.text);
    app.clock.advance(TimeDelta::seconds(2));
    call().await.problem(409, "secret_expired");
    assert!(first.created()["secret"].as_str().is_some_and(|secret| secret.starts_with("tkg_")));
});

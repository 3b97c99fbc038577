//! Limits on connections: exact whoever calls, counted only for calls that name the connection, and set by whom.

use crate::{
    connections::CONNECTIONS,
    keys::team,
    limits::{LIMITS, budget, ids, path},
    metering::{Calls, connections::connection, counted, denied, limit, price, same},
};
use futures_util::future::join_all;
use serde_json::json;
use tests::on_both;

on_both!(a_limit_on_a_connection_is_exact_whoever_calls, |app| {
    price(&app, "m", "0.01").await;
    let b = app.second_instance().await;
    let (a, other) = (connection(&app, json!({})).await, connection(&app, json!({})).await);
    let of = |metric: &str, amount: &str| json!({"subject_kind": "connection", "subject_id": a, "metric": metric, "amount": amount, "window": "month"});
    let (requests, cost) = (limit(&app, of("requests", "100")).await, limit(&app, of("cost", "0.50")).await);
    let (requests, cost) = (requests["id"].as_str().unwrap(), cost["id"].as_str().unwrap());
    let one = Calls::new(&app, json!([])).await;
    let two = one.with(&crate::metering::key(&app, json!([])).await);
    let there = Calls { gateway: b.client(one.gateway.bearer().unwrap()), key: one.key.clone() };
    let callers = [&one, &two, &there];
    // The money is used up first, and then more of it is there than requests.
    for (seen, codes) in [(1, ["budget_exceeded"]), (2, ["limit_exceeded"])] {
        let call = |n: usize| {
            let calls = callers[n % 3];
            let call = json!({"model": "m", "input_tokens": 1, "connection_id": a});
            async move {
                let reply = calls.ask(call).await;
                if reply["allowed"] != true {
                    denied(&reply, &codes);
                    return 0;
                }
                let reservation = reply["reservation_id"].as_str().unwrap();
                calls.settle(reservation, json!({"input_tokens": 1})).await;
                1
            }
        };
        let allowed: i32 = join_all((0..150).map(call)).await.into_iter().sum();
        assert_eq!(allowed, 50);
        let amount = json!({"amount": "500.00"});
        app.owner().patch(&format!("{LIMITS}/{cost}"), amount).if_match(seen).await.ok();
    }
    same(counted(&app, requests).await, "100", "0");
    same(counted(&app, cost).await, "1.000000000", "0.000000000");
    // Who goes another way is not counted.
    for call in [json!({"model": "m"}), json!({"model": "m", "connection_id": other})] {
        one.open(call).await;
    }
    let report = json!({"key_id": one.id(), "model": "m", "usage": {}, "connection_id": a});
    one.gateway.post("/v1/usage", report).await.ok();
    same(counted(&app, requests).await, "101", "0");
    let explain = json!({"key": two.key["secret"], "model": "m", "connection_id": a});
    let explained = one.gateway.post("/v1/authorize/explain", explain).await.ok();
    assert_eq!(explained["limits"].as_array().unwrap().len(), 2);
    assert_eq!(explained["reasons"][0]["limit_id"], requests);
});

on_both!(open_calls_of_a_connection_are_limited, |app| {
    let a = connection(&app, json!({})).await;
    let body = json!({"subject_kind": "connection", "subject_id": a, "metric": "concurrency", "amount": "2",
        "window": "total"});
    let made = limit(&app, body).await;
    let calls = Calls::new(&app, json!([])).await;
    let other = calls.with(&crate::metering::key(&app, json!([])).await);
    let call = json!({"model": "m", "connection_id": a});
    let (first, _) = (calls.open(call.clone()).await, other.open(call.clone()).await);
    denied(&calls.ask(call.clone()).await, &["limit_exceeded"]);
    calls.void(&first).await;
    other.open(call.clone()).await;
    denied(&calls.ask(call.clone()).await, &["limit_exceeded"]);
    app.owner().delete(&path(&made)).if_match(1).await.no_content();
    calls.open(call).await;
});

on_both!(limits_on_connections_are_listed_by_them_and_go_with_them, |app| {
    let owner = app.owner();
    let (a, b) = (connection(&app, json!({})).await, connection(&app, json!({})).await);
    let (of_a, of_b) = (
        limit(&app, budget("connection", a.as_str())).await,
        limit(&app, budget("connection", b.as_str())).await,
    );
    assert_eq!(ids(&owner, "?subject_kind=connection").await, [of_b["id"].clone(), of_a["id"].clone()]);
    assert_eq!(ids(&owner, &format!("?subject_id={a}")).await, [of_a["id"].clone()]);
    let acme = app.other_organization("acme").await;
    let there = "/v1/organizations/acme/limits";
    let random = "conn_019aa3c1f6b07c3e9a5d2f4b8c6e1d70";
    for id in [a.as_str(), random] {
        acme.post(there, budget("connection", id)).await.problem(404, "not_found");
        acme.get(&format!("{there}?subject_id={id}")).await.problem(404, "not_found");
    }
    owner.delete(&format!("{CONNECTIONS}/{a}")).await.no_content();
    owner.post(LIMITS, budget("connection", a.as_str())).await.problem(404, "not_found");
    assert_eq!(ids(&owner, "").await, [of_b["id"].clone()]);
    // Whoever is first: a limit is never left on a connection that is gone.
    let delete_path = format!("{CONNECTIONS}/{b}");
    let (made, deleted) =
        tokio::join!(owner.post(LIMITS, budget("connection", b.as_str())), owner.delete(&delete_path));
    deleted.no_content();
    assert!([201, 404].contains(&made.status), "{}", made.status);
    assert_eq!(ids(&owner, "").await, [json!(null); 0]);
});

on_both!(a_teams_administrator_limits_its_connections, |app| {
    let (ours, theirs) = (team(&app, "ours").await, team(&app, "theirs").await);
    let boss = app.team_admin(&ours).await;
    let own = connection(&app, json!({"team_id": ours})).await;
    let others = [connection(&app, json!({"team_id": theirs})).await, connection(&app, json!({})).await];
    let made = boss.post(LIMITS, budget("connection", own.as_str())).await.created();
    assert_eq!(made["set_by"], "team");
    for other in &others {
        boss.post(LIMITS, budget("connection", other.as_str())).await.problem(404, "not_found");
        limit(&app, budget("connection", other.as_str())).await;
        boss.get(&format!("{LIMITS}?subject_id={other}")).await.problem(404, "not_found");
    }
    assert_eq!(ids(&boss, "").await, [made["id"].clone()]);
    assert_eq!(ids(&boss, &format!("?subject_id={own}")).await, [made["id"].clone()]);
    boss.patch(&path(&made), json!({"amount": "5"})).if_match(1).await.ok();
    boss.delete(&path(&made)).if_match(2).await.no_content();
    // What the organization has set it leaves alone.
    let set = limit(&app, budget("connection", own.as_str())).await;
    assert_eq!(ids(&boss, "").await, [set["id"].clone()]);
    boss.patch(&path(&set), json!({"amount": "5"})).if_match(1).await.problem(403, "forbidden");
});

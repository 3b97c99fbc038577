//! A database that goes away and comes back: callers are told to try again, never that they are not known, and nothing
//! has to be restarted.

use crate::{
    decisions::{ask, issue, refused},
    keys,
};
use serde_json::json;
use std::time::Duration;
use tests::{line::Line, on_postgres};

on_postgres!(without_its_database_it_says_so_and_recovers, |app| {
    let url = app.database().url();
    let (user, rest) = url.split_once('@').unwrap();
    let (server, name) = rest.split_once('/').unwrap();
    let mut line = Line::new(server).await;
    let instance = app.instance_over(&format!("{user}@{}/{name}", line.address)).await;
    let gateway = instance.client(app.gateway().await.bearer().unwrap());
    let key = issue(&app, json!({})).await;
    let own = instance.client(key["secret"].as_str().unwrap());
    let check = || own.get("/v1/check").header("tollkeeper-gateway-token", gateway.bearer().unwrap());
    refused(&ask(&gateway, &key, json!({})).await, &[]);

    for _ in 0..2 {
        line.cut().await;
        let call = json!({"key": key["secret"]});
        // Each waits for as long as it may.
        let batch = json!({"requests": [call]});
        let told = tokio::join!(
            gateway.post("/v1/authorize", &call),
            gateway.post("/v1/authorize", &call),
            gateway.post("/v1/authorize/batch", batch),
            check(),
            own.get("/v1/key"),
        );
        for reply in [told.0, told.1, told.2, told.3, told.4] {
            reply.problem(503, "meter_unavailable");
        }
        // What changes meanwhile is not missed.
        let path = keys::path(&key);
        app.owner().post(&format!("{path}/disable"), json!({})).await.ok();
        line.mend().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        refused(&ask(&gateway, &key, json!({})).await, &["key_disabled"]);
        app.owner().post(&format!("{path}/enable"), json!({})).await.ok();
        assert_eq!(check().await.status, 200);
    }
});

on_postgres!(a_database_that_lets_nobody_in_is_away, |app| {
    let teams = "/v1/organizations/default/teams";
    let key = issue(&app, json!({})).await;
    let own = app.client(key["secret"].as_str().unwrap());
    app.database().shut().await;
    // The connections that were cut are found out first, then new ones are refused.
    for _ in 0..4 {
        app.owner().get(teams).await.problem(503, "database_unavailable");
    }
    own.get("/v1/key").await.problem(503, "meter_unavailable");
    app.database().open().await;
    app.owner().get(teams).await.ok();
    own.get("/v1/key").await.ok();
});

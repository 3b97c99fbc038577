//! Serving through PgBouncer in transaction mode, where a connection of the database is lent for one transaction only.

use crate::decisions::{ask, issue, refused};
use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::json;
use service::db::{Db, LEAST_CONNECTIONS, missing_settings};
use std::time::{Duration, Instant};
use tests::{
    Backend, Database, TestApp, on_postgres,
    pooler::{Pooler, Settings},
    server::Installation,
};

/// The database of a test, with the login that its URL has.
fn pooler(app: &TestApp, connections: u32, settings: Settings) -> Pooler {
    Pooler::start(app.database().url(), connections, settings)
}

on_postgres!(what_is_guarded_directly_is_guarded_through_a_pooler, |app| {
    let direct = Db::connect(app.database().url(), LEAST_CONNECTIONS).await.unwrap();
    assert!(!direct.reader.is_pooled());
    assert_eq!(missing_settings(&direct).await.unwrap(), Vec::<String>::new());
    direct.close().await;
    for settings in [Settings::Refused, Settings::Ignored] {
        let pooler = pooler(&app, 4, settings);
        let db = Db::connect(&pooler.url(), LEAST_CONNECTIONS).await.unwrap();
        assert!(db.reader.is_pooled(), "{settings:?}");
        assert_eq!(missing_settings(&db).await.unwrap(), Vec::<String>::new(), "{settings:?}");
        if settings == Settings::Ignored {
            // What a transaction sets does not stay on the connection that it was lent.
            let next = sea_orm::Database::connect(pooler.url()).await.unwrap();
            let kept = "DO $$ BEGIN ASSERT current_setting('statement_timeout') = '0'; END $$";
            next.execute_unprepared(kept).await.unwrap();
        }
        db.close().await;
    }
});

on_postgres!(a_role_that_has_a_setting_of_its_own_hides_no_pooler, |app| {
    let admin = app.database().connect().await;
    let name = app.database().url().rsplit('/').next().unwrap().to_owned();
    let set = format!("ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '60s'");
    admin.execute_unprepared(&set).await.unwrap();
    let pooler = pooler(&app, 4, Settings::Ignored);
    let db = Db::connect(&pooler.url(), LEAST_CONNECTIONS).await.unwrap();
    assert!(db.writer.is_pooled());
    assert_eq!(missing_settings(&db).await.unwrap(), Vec::<String>::new());
    db.close().await;
});

on_postgres!(many_callers_share_few_connections_and_nothing_is_lost, |app| {
    // Fewer connections than one instance has, so that each is lent to everybody in turn.
    let pooler = pooler(&app, 3, Settings::Refused);
    let instances = [app.instance_over(&pooler.url()).await, app.instance_over(&pooler.url()).await];
    let token = app.gateway().await.bearer().unwrap();
    let limits = json!([{"metric": "requests", "amount": "100000", "window": "total"}]);
    let team = crate::keys::team(&app, "search").await;
    let key = issue(&instances[0], json!({"team_id": team, "limits": limits})).await;
    let work = (0..8).map(|n| {
        let (app, other) = (&instances[n % 2], &instances[(n + 1) % 2]);
        let (gateway, key) = (app.client(&token), &key);
        async move {
            for turn in 0..20 {
                let decision = ask(&gateway, key, json!({"model": "gpt-4o"})).await;
                refused(&decision, &[]);
                let settled =
                    json!({"reservation_id": decision["reservation_id"], "usage": {"input_tokens": 7}});
                gateway.post("/v1/settle", settled).await.ok();
                // Admin calls read and write on the same connections.
                let name = json!({ "name": format!("team {n}.{turn}") });
                other.owner().post("/v1/organizations/default/teams", name).await.created();
                app.owner().get("/v1/organizations/default/teams?page_size=5").await.ok();
            }
        }
    });
    join_all(work).await;
    let limit = key["limits"][0]["id"].as_str().unwrap();
    let windows = app.owner().get(&format!("/v1/organizations/default/limits/{limit}/windows")).await.ok();
    let window = &windows["items"][0];
    assert_eq!((&window["used"], &window["held"]), (&json!("160"), &json!("0")));
});

on_postgres!(a_stopped_instance_is_ended_through_a_pooler_too, |app| {
    let pooler = pooler(&app, 8, Settings::Ignored);
    let instances = [app.instance_over(&pooler.url()).await, app.instance_over(&pooler.url()).await];
    let gateway = instances[1].client(app.gateway().await.bearer().unwrap());
    let key = issue(&app, json!({})).await;
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    // It holds what every decision of the organization needs, and is heard of no more.
    let stopped = instances[0].system.db.begin().await.unwrap();
    stopped.execute_unprepared("SELECT 1 FROM org_head FOR UPDATE").await.unwrap();
    let asked = Instant::now();
    refused(&ask(&gateway, &key, json!({})).await, &[]);
    let waited = asked.elapsed();
    assert!(waited > Duration::from_millis(500), "nothing was held: {waited:?}");
    // A second, and what a loaded machine takes.
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    stopped.commit().await.unwrap_err();
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_runs_through_a_pooler() {
    let database = Database::empty(Backend::Postgres).await;
    let pooler = Pooler::start(database.url(), 5, Settings::Refused);
    let installation = Installation::over(&pooler.url()).with_owner();
    // Several at once: one after another, under a lock that a transaction holds.
    for up in join_all((0..3).map(|_| installation.run(&["migrate", "up"]))).await {
        up.ok();
    }
    assert!(!installation.run(&["migrate", "status"]).await.ok().contains("pending"));
    let servers = [installation.serve().await, installation.serve().await];
    let token = servers[0].sign_in().await;
    for server in servers.iter().cycle().take(10) {
        assert_eq!(server.get("/v1/auth/me", Some(&token)).await.0, 200);
    }
    let report = installation.run(&["doctor"]).await.out;
    for part in ["settings: arrive with each transaction", "instances: serving: release", "writes: are kept"]
    {
        assert!(report.contains(&format!("ok     {part}")), "{part} is missing in\n{report}");
    }
    drop(servers);
    drop(pooler);
    database.remove().await;
}

//! A database that takes no writes: a standby that follows its primary, or a primary that was told so. It is not served from,
//! and once it takes writes, it is.

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{
    cluster::Cluster,
    line::Line,
    on_postgres,
    server::{Installation, Server},
};

/// Waits until the server says this of itself.
async fn says(server: &Server, status: u16, word: &str) {
    let mut last = (0, Value::Null);
    for _ in 0..600 {
        last = server.get("/health/ready", None).await;
        if last.0 == status && (last.1["code"] == word || last.1["status"] == word) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{word} is not said, but {last:?}:\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_not_served_from_until_it_is_promoted() {
    let primary = Cluster::start();
    let mut line = Line::new(&primary.address()).await;
    let through = format!("postgres://postgres@{}/postgres", line.address);
    let installation = Installation::over(&through).with_owner();
    let server = installation.serve().await;
    let token = server.sign_in().await;
    let standby = primary.standby();

    // What is started on it is told why it cannot.
    let mut there = Installation::over(&standby.url());
    there.set("LISTEN", "127.0.0.1:0");
    for command in [&["migrate", "up"][..], &["migrate", "down", "--yes"], &["serve"], &["partitions"]] {
        let errors = there.run(command).await.refused();
        assert!(errors.contains("read-only standby: promote it, or connect to the primary"), "{errors}");
    }
    let report = there.run(&["doctor"]).await;
    assert!(report.out.contains("WRONG  writes: the database is a read-only standby"), "{}", report.out);
    report.refused();

    // What runs is led to it when the primary is gone, as an address that moves does.
    primary.stop();
    line.lead_to(&standby.address()).await;
    says(&server, 503, "database_read_only").await;
    assert_eq!(server.get("/health/live", None).await.0, 200);
    let team = "/v1/organizations/default/teams";
    let (status, body) = server.post(team, Some(&token), &json!({"name": "early"})).await;
    assert_eq!((status, &body["code"]), (503, &json!("database_unavailable")), "{body}");

    standby.promote();
    says(&server, 200, "ready").await;
    let (status, body) = server.post(team, Some(&token), &json!({"name": "later"})).await;
    assert_eq!(status, 201, "{body}");
    there.run(&["migrate", "up"]).await.ok();
}

on_postgres!(a_database_that_is_told_to_take_no_writes_is_not_ready, |app| {
    let name = app.database().url().rsplit('/').next().unwrap().to_owned();
    let admin = app.database().connect().await;
    let anybody = app.anonymous();
    anybody.get("/health/ready").await.ok();
    for (value, status) in [("on", 503), ("off", 200)] {
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        admin.execute_unprepared(&set).await.unwrap();
        // It holds for new connections.
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        admin.execute_unprepared(cut).await.unwrap();
        let mut reply = anybody.get("/health/ready").await;
        for _ in 0..100 {
            if reply.status == status && (status == 200 || reply.body["code"] == "database_read_only") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            reply = anybody.get("/health/ready").await;
        }
        assert_eq!(reply.status, status, "{:?}", reply.body);
        if status == 503 {
            reply.problem(503, "database_read_only");
        }
    }
});

// A session keeps what it is told when it begins: one of that time is not used after it.
on_postgres!(no_connection_outlives_a_time_without_writes, |app| {
    let name = app.database().url().rsplit('/').next().unwrap().to_owned();
    let admin = app.database().connect().await;
    let set = async |value: &str| {
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        admin.execute_unprepared(&set).await.unwrap();
    };
    set("on").await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    admin.execute_unprepared(cut).await.unwrap();
    // Every connection is of that time.
    let anybody = app.anonymous();
    for _ in 0..3 {
        futures_util::future::join_all((0..8).map(|_| async { anybody.get("/health/ready").await })).await;
    }
    anybody.get("/health/ready").await.problem(503, "database_read_only");
    set("off").await;
    for n in 0..40 {
        anybody.get("/health/ready").await.ok();
        let team = json!({"name": format!("team {n}")});
        app.owner().post("/v1/organizations/default/teams", team).await.created();
    }
});

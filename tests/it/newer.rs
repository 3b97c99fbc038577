//! A schema that is changed beside those who serve from it: by a newer release, or backwards.

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tests::{Backend, server::Installation};

/// The database of an installation, past the server.
async fn database(installation: &Installation, backend: Backend) -> DatabaseConnection {
    let url = match backend {
        Backend::Sqlite => format!("sqlite://{}", installation.directory().join("tollkeeper.db").display()),
        Backend::Postgres => installation.url().unwrap().to_owned(),
    };
    sea_orm::Database::connect(url).await.unwrap()
}

async fn apply(installation: &Installation, backend: Backend, name: &str) {
    let db = database(installation, backend).await;
    let sql = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)");
    db.execute_unprepared(&sql).await.unwrap();
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_told_and_served_from_until_it_contracts() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let mut installation = Installation::new(backend).await;
        installation.set("LISTEN", "127.0.0.1:0");
        installation.run(&["migrate", "up"]).await.ok();
        apply(&installation, backend, "m20990101_000001_add_column").await;
        let server = installation.serve_with(&["serve"]).await;
        let log = server.log();
        assert!(log.contains("of a newer release") && log.contains("m20990101_000001_add_column"), "{log}");
        let report = installation.run(&["doctor"]).await.out;
        assert!(
            report.contains("ok     schema: of a newer release (m20990101_000001_add_column)"),
            "{report}"
        );
        let status = installation.run(&["migrate", "status"]).await.ok();
        assert!(status.contains("newer   m20990101_000001_add_column"), "{status}");
        assert_eq!(server.get("/health/ready", None).await.0, 200);

        apply(&installation, backend, "m20990101_000002_contract_drop_column").await;
        let (status, body) = server.get("/health/ready", None).await;
        assert_eq!((status, &body["code"]), (503, &"schema_contracted".into()), "{body}");
        drop(server);
        let errors = installation.run(&["serve"]).await.refused();
        assert!(errors.contains("m20990101_000002_contract_drop_column took away"), "{errors}");
        let report = installation.run(&["doctor"]).await;
        assert!(report.out.contains("WRONG  schema"), "{}", report.out);
        installation.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_release_applied_is_not_reverted() {
    let installation = Installation::new(Backend::Postgres).await;
    installation.run(&["migrate", "up"]).await.ok();
    apply(&installation, Backend::Postgres, "m20990101_000001_add_column").await;
    let errors = installation.run(&["migrate", "down", "--yes"]).await.refused();
    assert!(errors.contains("a newer release, which alone can revert it"), "{errors}");
    installation.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_reverted_without_a_yes() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let installation = Installation::new(backend).await;
        installation.run(&["migrate", "up"]).await.ok();
        // No terminal, nobody who could answer.
        let errors = installation.run(&["migrate", "down"]).await.refused();
        assert!(errors.contains("add --yes to confirm"), "{errors}");
        assert!(!installation.run(&["migrate", "status"]).await.ok().contains("pending"));
        let reverted = installation.run(&["migrate", "down", "--yes", "--steps", "2"]).await.ok();
        assert_eq!(
            reverted.lines().filter(|line| line.starts_with("reverted m2026")).count(),
            2,
            "{reverted}"
        );
        installation.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_reverted_while_an_instance_serves() {
    let installation = Installation::new(Backend::Postgres).await.with_owner();
    let mut server = installation.serve().await;
    let other = installation.serve().await;
    let errors = installation.run(&["migrate", "down", "--yes"]).await.refused();
    assert!(errors.contains("2 instances are serving from this database (release"), "{errors}");
    assert!(installation.run(&["doctor"]).await.out.contains("instances: serving: release"));
    // One that stops says so; one that is killed cannot.
    server.terminate();
    server.ended().await;
    other.kill();
    let errors = installation.run(&["migrate", "down", "--yes"]).await.refused();
    assert!(errors.contains("1 instance is serving"), "{errors}");
    let db = database(&installation, Backend::Postgres).await;
    db.execute_unprepared("UPDATE instance SET seen_at = seen_at - interval '31 seconds'").await.unwrap();
    db.close().await.unwrap();
    installation.run(&["migrate", "down", "--yes"]).await.ok();
    installation.remove().await;
}

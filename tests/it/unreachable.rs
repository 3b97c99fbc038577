//! A database that cannot be reached: each reason is told in a sentence, by every command, without the address or the password.

use sea_orm::ConnectionTrait;
use tests::{Backend, Database, cluster::Cluster, server::Installation};

const PASSWORD: &str = "hunter2-of-the-database";

/// What every command says of this URL.
async fn told(url: &str, sentence: &str) {
    let mut installation = Installation::over(url);
    installation.set("LISTEN", "127.0.0.1:0");
    for command in [&["serve"][..], &["migrate", "up"], &["migrate", "status"], &["doctor"]] {
        let finished = installation.run(command).await;
        let text = format!("{}{}", finished.out, finished.errors);
        assert!(text.contains(sentence), "{command:?}: {sentence:?} is missing in\n{text}");
        assert!(!text.contains("hunter2") && !text.contains("postgres://"), "{command:?}: {text}");
        finished.refused();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_says_why_it_lets_nobody_in() {
    let cluster = Cluster::start();
    let db = sea_orm::Database::connect(cluster.url()).await.unwrap();
    let of = |user: &str, database: &str, more: &str| {
        format!("postgres://{user}:{PASSWORD}@{}/{database}{more}", cluster.address())
    };
    for role in [
        format!("CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}'"),
        "CREATE ROLE eve LOGIN PASSWORD 'another'".into(),
        format!("CREATE ROLE bob LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0"),
        "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC".into(),
    ] {
        db.execute_unprepared(&role).await.unwrap();
    }
    db.close().await.unwrap();
    cluster.admit(
        "host all ada,eve,bob,nobody 127.0.0.1/32 scram-sha-256\nhostssl all tess 127.0.0.1/32 trust\n",
    );
    told(&of("eve", "postgres", ""), "the server refuses the user or the password").await;
    told(&of("nobody", "postgres", ""), "the server refuses the user or the password").await;
    told(&of("ada", "missing", ""), "the server has no database of this name").await;
    told(&of("ada", "template1", ""), "GRANT CONNECT is missing").await;
    told(&of("bob", "postgres", ""), "the server has no connection left").await;
    told(&of("tess", "postgres", "?sslmode=disable"), "add `sslmode=require` to the URL").await;
    told(
        &of("mallory", "postgres", ""),
        "the server does not let this user in from here without TLS, or at all",
    )
    .await;
    told(&of("ada", "postgres", "?sslmode=require"), "the server offers no TLS").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_says_why_nobody_is_there() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = |place: &str| format!("postgres://ada:{PASSWORD}@{place}/postgres");
    told(&url(&closed.to_string()), "connection refused").await;
    told(&url("no-such-host.invalid"), "the host name is unknown").await;
    // It takes calls and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    told(&url(&silent.local_addr().unwrap().to_string()), "the server did not answer within 5 s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_of_an_instance_are_as_many_as_are_set() {
    let database = Database::empty(Backend::Postgres).await;
    let mut installation = Installation::over(database.url()).with_owner();
    installation.set("DATABASE_MAX_CONNECTIONS", "3");
    let errors = installation.run(&["serve", "--migrate"]).await.refused();
    assert!(errors.contains("expected a whole number from 4"), "{errors}");

    installation.set("DATABASE_MAX_CONNECTIONS", "5");
    let server = installation.serve().await;
    let token = server.sign_in().await;
    // Watched from another database, so that only the server's own are counted.
    let name = database.url().rsplit('/').next().unwrap().to_owned();
    let watched = Database::empty(Backend::Postgres).await;
    let watcher = watched.connect().await;
    let sql = format!("SELECT count(*) AS n FROM pg_stat_activity WHERE datname = '{name}'");
    let mut most = 0;
    for _ in 0..10 {
        let calls = (0..40).map(|_| server.get("/v1/organizations/default/teams", Some(&token)));
        let made = (0..10).map(|n| {
            let body = serde_json::json!({ "name": format!("team {n}") });
            let (server, token) = (&server, &token);
            async move { server.post("/v1/organizations/default/teams", Some(token), &body).await }
        });
        let asked = async {
            let statement = sea_orm::Statement::from_string(sea_orm::DatabaseBackend::Postgres, &sql);
            watcher.query_one_raw(statement).await.unwrap().unwrap().try_get::<i64>("", "n").unwrap()
        };
        let (read, _, n) =
            tokio::join!(futures_util::future::join_all(calls), futures_util::future::join_all(made), asked);
        assert!(read.iter().all(|(status, _)| *status == 200), "{read:?}\n{}", server.log());
        most = most.max(n);
    }
    assert!((2..=5).contains(&most), "{most} connections\n{}", server.log());
    drop(server);
    watcher.close().await.unwrap();
    watched.remove().await;
    database.remove().await;
}

//! The program as an operator runs it: configuration, start, stop, and the commands beside.

use futures_util::future::join_all;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use tests::{
    Backend,
    server::{Finished, Installation, exchange},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn both() -> [Installation; 2] {
    [Installation::new(Backend::Sqlite).await, Installation::new(Backend::Postgres).await]
}

#[tokio::test]
async fn every_fault_of_the_configuration_is_told_at_once() {
    let mut installation = Installation::new(Backend::Sqlite).await;
    installation.set("LISTEN", "everywhere");
    installation.set("KEY_PEPPER", "c2hvcnQgc2VjcmV0");
    installation.set("DATABSE_URL", "sqlite://x.db");
    installation.set("ADMIN_RATE", "many");
    let errors = installation.run(&["serve"]).await.refused();
    for part in [
        "TOLLKEEPER_LISTEN (environment): expected an address",
        "TOLLKEEPER_KEY_PEPPER (environment): 12 bytes instead of 32",
        "did you mean TOLLKEEPER_DATABASE_URL?",
        "TOLLKEEPER_ADMIN_RATE (environment): expected a whole number",
    ] {
        assert!(errors.contains(part), "{part:?} is missing in\n{errors}");
    }
    assert!(!errors.contains("c2hvcnQgc2VjcmV0"), "{errors}");
}

#[tokio::test]
async fn a_newcomer_gets_a_server_with_everything_it_needs() {
    let installation = Installation::new(Backend::Sqlite).await;
    let server = installation.serve_with(&[]).await;
    let greeting = server.greeting();
    let token = installation.directory().join("tollkeeper.db.setup-token");
    for part in ["/docs", "/v1/setup", "tollkeeper.db.setup-token"] {
        assert!(greeting.contains(part), "{part} is missing in\n{greeting}");
    }
    let secret = std::fs::read_to_string(&token).unwrap();
    assert!(!greeting.contains(secret.trim()) && !server.log().contains(secret.trim()));
    for file in ["tollkeeper.db", "tollkeeper.db-wal", "tollkeeper.db.secrets", "tollkeeper.db.setup-token"] {
        let metadata = std::fs::metadata(installation.directory().join(file)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
    let new = json!({"token": secret.trim(), "name": "First", "email": "first@example.com", "password": "a passphrase for tests"});
    let (status, body) = server.post("/v1/setup", None, &new).await;
    assert!(status == 200 || status == 201, "{status} {body}");
    let (status, _) = server.post("/v1/setup", None, &new).await;
    assert!((400..500).contains(&status), "the token opened twice: {status}");

    drop(server);
    let again = installation.serve_with(&[]).await;
    assert!(again.greeting().contains("/v1/auth/login") && !again.greeting().contains("/v1/setup"));
    assert!(!token.exists(), "a token that opens nothing is left");
}

#[tokio::test]
async fn a_second_server_on_one_file_is_refused() {
    let mut installation = Installation::new(Backend::Sqlite).await;
    installation.set("LISTEN", "127.0.0.1:0");
    let first = installation.serve().await;
    let errors = installation.run(&["serve"]).await.refused();
    assert!(errors.contains("tollkeeper.db.lock is locked"), "{errors}");
    let errors = installation.run(&["migrate", "down"]).await.refused();
    assert!(errors.contains("is locked"), "{errors}");
    first.kill();
    installation.serve().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut installation = Installation::new(Backend::Sqlite).await;
    let address = taken.local_addr().unwrap().to_string();
    installation.set("LISTEN", &address);
    let errors = installation.run(&["serve"]).await.refused();
    assert!(errors.contains(&format!("cannot listen on {address}")), "{errors}");
}

/// 32 bytes that are not those of any installation.
const OTHER: &str = "b3RoZXIgc2VjcmV0cyB0aGFuIHRob3NlIGJlZm9yZSE=";

#[tokio::test]
async fn other_secrets_are_refused_and_new_versions_are_not() {
    for mut installation in both().await {
        installation.set("KEY_PEPPER", &format!("1:{OTHER}"));
        installation.serve().await.kill();
        let another = OTHER.replace("b3Ro", "c3Ro");
        installation.set("LISTEN", "127.0.0.1:0");
        installation.set("KEY_PEPPER", &format!("1:{another}"));
        let errors = installation.run(&["serve", "--migrate"]).await.refused();
        assert!(errors.contains("version 1 of key_pepper is not the one"), "{errors}");
        assert!(!errors.contains(&another) && !errors.contains(OTHER), "{errors}");
        installation.set("KEY_PEPPER", &format!("2:{another},1:{OTHER}"));
        installation.serve().await.kill();
        installation.set("KEY_PEPPER", &format!("1:{OTHER}"));
        let errors = installation.run(&["serve", "--migrate"]).await.refused();
        assert!(errors.contains("version 2 of key_pepper is not configured"), "{errors}");
        installation.remove().await;
    }
}

#[tokio::test]
async fn lost_secrets_are_never_made_anew() {
    let installation = Installation::new(Backend::Sqlite).await;
    installation.serve().await.kill();
    let file = installation.directory().join("tollkeeper.db.secrets");
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let errors = installation.run(&["serve", "--listen", "127.0.0.1:0"]).await.refused();
    assert!(errors.contains("bring it back from your copy") && !file.exists(), "{errors}");
    std::fs::write(&file, kept).unwrap();
    installation.serve().await;
}

#[tokio::test]
async fn sigterm_finishes_what_runs_and_takes_nothing_new() {
    for installation in both().await {
        let mut server = installation.serve().await;
        let address = server.url("").trim_start_matches("http://").to_owned();
        let mut slow = TcpStream::connect(&address).await.unwrap();
        let body = r#"{"email": "nobody@example.com", "password": "not the password"}"#;
        let head = format!(
            "POST /v1/auth/login HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        slow.write_all(head.as_bytes()).await.unwrap();
        // The request is under way when its head has been read; nothing tells us but time.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        server.terminate();
        while TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        slow.write_all(body.as_bytes()).await.unwrap();
        let mut reply = String::new();
        slow.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
        assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
        assert!(server.log().contains("stopped"));
        installation.remove().await;
    }
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_server() {
    let mut installation = Installation::new(Backend::Sqlite).await;
    installation.set("SHUTDOWN_GRACE_SECONDS", "1");
    let mut server = installation.serve().await;
    let mut endless = TcpStream::connect(server.url("").trim_start_matches("http://")).await.unwrap();
    let head = b"POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    endless.write_all(head).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let stopped = std::time::Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    let took = stopped.elapsed().as_secs_f32();
    assert!((0.9..10.0).contains(&took), "{took} s for a grace of one");
}

#[tokio::test]
async fn the_schema_goes_up_and_down() {
    for installation in both().await {
        let pending = installation.run(&["migrate", "status"]).await.ok();
        assert!(pending.contains("pending m20261121_000001") && !pending.contains("applied"), "{pending}");
        let up = installation.run(&["migrate", "up"]).await.ok();
        assert!(up.contains("applied m20261121_000001") && up.contains("up to date"), "{up}");
        assert!(!installation.run(&["migrate", "up"]).await.ok().contains("applied"));
        installation.run(&["migrate", "down", "--yes"]).await.ok();
        let status = installation.run(&["migrate", "status"]).await.ok();
        assert_eq!(status.lines().filter(|line| line.starts_with("pending")).count(), 1, "{status}");
        installation.run(&["migrate", "down", "--yes", "--steps", "99"]).await.ok();
        assert!(!installation.run(&["migrate", "status"]).await.ok().contains("applied"));
        installation.remove().await;
    }
}

#[tokio::test]
async fn postgres_is_not_migrated_unasked() {
    let mut installation = Installation::new(Backend::Postgres).await;
    installation.set("LISTEN", "127.0.0.1:0");
    let errors = installation.run(&["serve"]).await.refused();
    assert!(errors.contains("tollkeeper migrate up"), "{errors}");
    installation.remove().await;
}

#[tokio::test]
async fn several_first_starts_at_once_on_one_postgres_all_succeed() {
    let installation = Installation::new(Backend::Postgres).await.with_owner();
    let servers = join_all((0..5).map(|_| installation.serve())).await;
    // An access token of one is good on the others.
    let token = servers[0].sign_in().await;
    for server in &servers {
        let me = reqwest::Client::new().get(server.url("/v1/auth/me")).bearer_auth(&token);
        assert_eq!(me.send().await.unwrap().status(), 200);
    }
    drop(servers);
    installation.remove().await;
}

#[tokio::test]
async fn of_several_first_starts_with_different_secrets_one_set_wins() {
    let installation = Installation::new(Backend::Postgres).await;
    installation.run(&["migrate", "up"]).await.ok();
    let starts = (0u8..4).map(|n| {
        let mut command = installation.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env(
            "TOLLKEEPER_KEY_PEPPER",
            OTHER.replace("b3Ro", ["b3Ro", "c3Ro", "d3Ro", "e3Ro"][n as usize]),
        );
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    });
    let mut children: Vec<_> = starts.collect();
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let running =
        children.iter_mut().filter_map(|child| child.try_wait().unwrap().is_none().then_some(())).count();
    assert_eq!(running, 1);
    for mut child in children {
        let _ = child.kill();
        let finished: Finished = child.wait_with_output().unwrap().into();
        assert!(finished.status.code().is_none() || finished.errors.contains("key_pepper"), "{finished:?}");
    }
    installation.remove().await;
}

#[tokio::test]
async fn a_command_whose_words_nobody_reads_does_its_work() {
    let installation = Installation::new(Backend::Sqlite).await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = installation.command(&["migrate", "up"]);
    let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("panicked"), "{errors}");
    let status = installation.run(&["migrate", "status"]).await.ok();
    assert!(status.contains("applied") && !status.contains("pending"), "{status}");
}

#[tokio::test]
async fn the_doctor_finds_nothing_and_then_something() {
    let installation = Installation::new(Backend::Sqlite).await;
    assert!(installation.run(&["doctor"]).await.refused().contains("does not exist"));
    installation.serve().await.kill();
    let report = installation.run(&["doctor"]).await.ok();
    for part in ["schema", "secrets", "journal_mode: wal", "synchronous: 2", "foreign_keys: 1"] {
        assert!(report.contains(&format!("ok     {part}")), "{part} is missing in\n{report}");
    }
    let secrets = installation.directory().join("tollkeeper.db.secrets");
    std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o644)).unwrap();
    installation.run(&["migrate", "down", "--yes"]).await.ok();
    let sick = installation.run(&["doctor"]).await;
    assert!(sick.out.contains("WRONG  file modes") && sick.out.contains("WRONG  schema"), "{}", sick.out);
    assert!(sick.refused().contains("2 things are wrong"));
}

#[tokio::test]
async fn the_doctor_knows_postgres() {
    let mut installation = Installation::new(Backend::Postgres).await;
    installation.serve().await.kill();
    let report = installation.run(&["doctor"]).await;
    for part in ["database", "schema", "secrets", "server version", "clock"] {
        assert!(report.out.contains(&format!("ok     {part}")), "{part} is missing in\n{}", report.out);
    }
    // The cluster of the suite trades durability for speed, and the doctor sees it.
    assert_eq!(report.status.success(), !report.out.contains("fsync = off"), "{}", report.out);
    installation.set("KEY_PEPPER", OTHER);
    let report = installation.run(&["doctor"]).await;
    assert!(report.out.contains("WRONG  secrets: version 1 of key_pepper"), "{}", report.out);
    report.refused();
    installation.remove().await;
}

#[tokio::test]
async fn the_operator_lets_people_in_from_the_command_line() {
    for installation in both().await {
        let early = installation.run(&["admin", "create-user", "x@example.com"]).await.refused();
        assert!(early.contains("tollkeeper migrate up"), "{early}");
        let server = installation.serve().await;
        let invited =
            installation.run(&["admin", "create-user", "New@example.com", "--role", "admin"]).await.ok();
        let mut body: serde_json::Value = serde_json::from_str(invited.lines().last().unwrap()).unwrap();
        (body["name"], body["password"]) = ("New".into(), "the first passphrase".into());
        let (status, reply) = server.post("/v1/auth/accept-invitation", None, &body).await;
        assert!(status < 300 && reply["role"] == "admin", "{status} {reply}");

        let link = installation.run(&["admin", "reset-link", "new@example.com"]).await.ok();
        let mut body: serde_json::Value = serde_json::from_str(link.lines().last().unwrap()).unwrap();
        body["password"] = "the second passphrase".into();
        let (status, reply) = server.post("/v1/auth/reset", None, &body).await;
        assert!(status < 300, "{status} {reply}");
        let login = |password: &str| json!({"email": "new@example.com", "password": password});
        assert_eq!(server.post("/v1/auth/login", None, &login("the second passphrase")).await.0, 200);
        assert_eq!(server.post("/v1/auth/login", None, &login("the first passphrase")).await.0, 401);

        let wrong = installation.run(&["admin", "create-user", "no address"]).await.refused();
        assert!(wrong.contains("email"), "{wrong}");
        installation.run(&["admin", "reset-link", "nobody@example.com"]).await.refused();
        installation
            .run(&["admin", "create-user", "a@example.com", "--organization", "none"])
            .await
            .refused();
        drop(server);
        installation.remove().await;
    }
}

#[tokio::test]
async fn a_backup_is_a_database() {
    let installation = Installation::new(Backend::Sqlite).await.with_owner();
    let server = installation.serve().await;
    let copied = installation.run(&["backup", "copy.db"]).await.ok();
    assert!(copied.contains("copy.db"));
    let errors = installation.run(&["backup", "copy.db"]).await.refused();
    assert!(errors.contains("cannot make copy.db"), "{errors}");
    drop(server);
    let files = installation.directory();
    std::fs::copy(files.join("tollkeeper.db.secrets"), files.join("copy.db.secrets")).unwrap();
    let restored = installation.serve_with(&["--database-url", "sqlite://copy.db"]).await;
    restored.sign_in().await;

    let postgres = Installation::new(Backend::Postgres).await;
    assert!(postgres.run(&["backup", "copy.db"]).await.refused().contains("pg_dump"));
    postgres.remove().await;
}

#[tokio::test]
async fn health_and_metrics_are_told_to_whom_they_concern() {
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    let server = installation.serve().await;
    let get = async |url: String, bearer: Option<&str>| {
        let mut request = reqwest::Client::new().get(url);
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        let reply = exchange(request).await.unwrap();
        (reply.status, reply.text)
    };
    assert_eq!(get(server.url("/metrics"), None).await.0, 401);
    let operator = server.sign_in().await;
    let (status, text) = get(server.url("/metrics"), Some(&operator)).await;
    assert_eq!(status, 200);
    for part in
        ["tollkeeper_build_info{version=", "process_start_time_seconds", "tollkeeper_http_requests_total"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let listen = server.url("").trim_start_matches("http://").to_owned();
    let health = installation.run(&["health", "--listen", &listen]).await;
    health.ok();
    drop(server);
    assert!(installation.run(&["health", "--listen", &listen]).await.refused().contains("does not answer"));

    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    installation.set("METRICS_LISTEN", &own);
    let server = installation.serve().await;
    let (status, text) = get(format!("http://{own}/metrics"), None).await;
    assert!(status == 200 && text.contains("tollkeeper_build_info"), "{status} {text}");
    let operator = server.sign_in().await;
    assert_eq!(get(server.url("/metrics"), Some(&operator)).await.0, 404);
}

#[tokio::test]
async fn the_document_is_printed_without_a_configuration() {
    let mut installation = Installation::new(Backend::Sqlite).await;
    installation.set("LISTEN", "nonsense");
    let text = installation.run(&["openapi"]).await.ok();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}

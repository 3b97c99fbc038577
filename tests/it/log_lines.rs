//! The log as an operator reads it: a line for each request, the id of a request on every line of it, also those of the meter
//! and the database, and in JSON nothing that is not JSON, whatever goes wrong.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::{
    Backend,
    server::{Installation, Server},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

const ORGANIZATION: &str = "/v1/organizations/default";
const BACKENDS: [Backend; 2] = [Backend::Sqlite, Backend::Postgres];

async fn installation(backend: Backend, format: &str, level: &str) -> Installation {
    let mut installation = Installation::new(backend).await.with_owner();
    installation.set("LOG_FORMAT", format);
    installation.set("LOG", level);
    installation
}

/// Sends a POST that is told apart by its id.
async fn post(server: &Server, path: &str, bearer: &str, id: &str, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(server.url(path)).bearer_auth(bearer);
    let reply = request.header("x-request-id", id).json(body).send().await.unwrap();
    assert_eq!(reply.headers()["x-request-id"], id);
    (reply.status().as_u16(), reply.json().await.unwrap_or_default())
}

/// A team, a key of it, a gateway, and a call that is authorized.
async fn work(server: &Server) -> Value {
    let me = server.sign_in().await;
    let (status, team) =
        post(server, &format!("{ORGANIZATION}/teams"), &me, "the-team", &json!({"name": "a"})).await;
    assert_eq!(status, 201, "{team}");
    let key = json!({"name": "a", "team_id": team["id"]});
    let (_, key) = post(server, &format!("{ORGANIZATION}/keys"), &me, "the-key", &key).await;
    let gateways = format!("{ORGANIZATION}/gateway-tokens");
    let (_, gateway) = post(server, &gateways, &me, "the-gateway", &json!({"name": "a"})).await;
    let call = json!({"key": key["secret"], "model": "gpt-4o"});
    let bearer = gateway["secret"].as_str().unwrap();
    let (status, decision) = post(server, "/v1/authorize", bearer, "the-call", &call).await;
    assert!(status == 200 && decision["allowed"] == true, "{decision}");
    gateway
}

fn lines(text: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    let lines: Vec<Value> = text.lines().map(parse).collect();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field} is missing in {line}");
        }
    }
    lines
}

/// Waits until the log has such a line.
async fn wait(server: &Server, found: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(30) {
        let log = server.log();
        // The last line may be half written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        if let Some(line) = lines(whole).into_iter().find(&found) {
            return line;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("there is no such line in\n{}", server.log());
}

fn of_access<'l>(lines: &'l [Value], id: &str) -> Vec<&'l Value> {
    let access = lines.iter().filter(|line| line["target"] == "tollkeeper::access");
    access.filter(|line| line["request_id"] == id).collect()
}

#[tokio::test]
async fn every_line_of_a_request_carries_its_id() {
    for backend in BACKENDS {
        let installation = installation(backend, "json", "trace").await;
        let mut server = installation.serve().await;
        let gateway = work(&server).await;
        server.terminate();
        assert_eq!(server.ended().await.code(), Some(0));
        let log = server.log();
        assert!(!log.contains('\u{1b}'), "an escape sequence");
        let lines = lines(&log);
        let of = |id: &str| lines.iter().filter(move |line| line["request_id"] == id).collect::<Vec<_>>();

        let [access] = of_access(&lines, "the-team")[..] else { panic!("not one line for a request") };
        let expected = json!({"level": "INFO", "method": "POST", "status": 201, "actor_kind": "user",
            "route": "/v1/organizations/{organization}/teams", "client_ip": "127.0.0.1"});
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&access[field], value, "{field} in {access}");
        }
        assert!(access["actor"].as_str().unwrap().starts_with("user_"), "{access}");
        assert!(access["organization"].as_str().unwrap().starts_with("org_"), "{access}");
        assert!(access["duration_us"].as_u64().unwrap() > 0 && access["bytes"].as_u64().unwrap() > 0);
        let statements = |lines: &[&Value]| lines.iter().filter(|l| l["target"] == "sqlx::query").count();
        assert!(statements(&of("the-team")) > 3, "statements without the id: {:?}", of("the-team"));

        let [access] = of_access(&lines, "the-call")[..] else { panic!("not one line for a call") };
        assert_eq!((&access["route"], &access["actor"]), (&json!("/v1/authorize"), &gateway["id"]));
        assert_eq!(access["actor_kind"], "gateway_token");
        assert!(access["organization"].as_str().unwrap().starts_with("org_"), "{access}");
        let of_batches: Vec<&Value> =
            lines.iter().filter(|line| line["request_ids"] == json!(["the-call"])).collect();
        assert!(statements(&of_batches) > 2, "statements of the meter without the id");

        let probes = of_access(&lines, "").len();
        assert_eq!(probes, 0);
        let probes: Vec<_> = lines.iter().filter(|line| line["route"] == "/health/ready").collect();
        assert!(!probes.is_empty() && probes.iter().all(|line| line["level"] == "DEBUG"), "{probes:?}");
        installation.remove().await;
    }
}

#[tokio::test]
async fn text_has_the_ids_whatever_else_is_logged() {
    // Nothing but statements: the span of the request is there all the same.
    let installation = installation(Backend::Sqlite, "text", "sqlx::query=trace").await;
    let server = installation.serve().await;
    work(&server).await;
    let log = server.log();
    assert!(log.contains("request{request_id=\"the-team\""), "{log}");
    assert!(log.lines().any(|line| line.contains("batch{") && line.contains("request_id=the-call")), "{log}");
    assert!(!log.contains("tollkeeper::access") && !log.contains('\u{1b}'), "{log}");
}

#[tokio::test]
async fn requests_are_logged_as_the_operator_wants() {
    for (setting, shown, address) in
        [("on", true, true), ("without_address", true, false), ("off", false, false)]
    {
        let mut installation = installation(Backend::Sqlite, "json", "info").await;
        installation.set("ACCESS_LOG", setting);
        let server = installation.serve().await;
        server.sign_in().await;
        let mut server = server;
        server.terminate();
        server.ended().await;
        let log = lines(&server.log());
        let access: Vec<_> = log.iter().filter(|line| line["target"] == "tollkeeper::access").collect();
        assert_eq!(access.len(), usize::from(shown), "{setting}: {access:?}");
        assert!(access.iter().all(|line| line["client_ip"].is_string() == address), "{setting}: {access:?}");
    }
    let mut installation = Installation::new(Backend::Sqlite).await;
    installation.set("ACCESS_LOG", "some");
    let errors = installation.run(&["serve"]).await.refused();
    assert!(
        errors.contains("TOLLKEEPER_ACCESS_LOG (environment): expected on, without_address or off"),
        "{errors}"
    );
}

#[tokio::test]
async fn a_failure_is_logged_once_and_is_no_error_if_it_passes() {
    let mut installation = installation(Backend::Sqlite, "json", "info").await;
    installation.set("REQUEST_TIMEOUT_SECONDS", "1");
    let server = installation.serve().await;
    let address = server.url("").trim_start_matches("http://").to_owned();
    let head = |id: &str, length: usize| {
        format!(
            "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let mut slow = TcpStream::connect(&address).await.unwrap();
    slow.write_all(head("slow", 9).as_bytes()).await.unwrap();
    let mut reply = [0; 12];
    slow.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 504");
    wait(&server, |line| line["request_id"] == "slow" && line["status"] == 504).await;

    // Gone before the answer: the password is being checked meanwhile.
    let body = json!({"email": "owner@example.com", "password": "not the passphrase"}).to_string();
    let mut gone = TcpStream::connect(&address).await.unwrap();
    gone.write_all(format!("{}{body}", head("gone", body.len())).as_bytes()).await.unwrap();
    drop(gone);
    wait(&server, |line| line["request_id"] == "gone" && line["target"] == "tollkeeper::access").await;

    let log = lines(&server.log());
    let of = |id: &str| log.iter().filter(|line| line["request_id"] == id).collect::<Vec<_>>();
    let [failure, access] = of("slow")[..] else { panic!("{:?}", of("slow")) };
    assert_eq!((&failure["level"], &failure["code"]), (&json!("WARN"), &json!("timeout")), "{failure}");
    assert_eq!(access["level"], "INFO");
    let [access] = of("gone")[..] else { panic!("{:?}", of("gone")) };
    assert!(access["status"] == 499 || access["status"] == 401, "{access}");
    assert!(log.iter().all(|line| line["level"] != "ERROR"), "{log:?}");
}

#[tokio::test]
async fn a_log_in_json_is_json_to_its_last_line() {
    let mut installation = installation(Backend::Sqlite, "json", "info").await;
    let server = installation.serve().await;
    // A newcomer's server says where it is, and containers put both streams into one log.
    let greeting = lines(&server.greeting());
    assert!(greeting.len() == 1 && greeting[0]["message"].as_str().unwrap().contains("listening on http://"));
    let twice = installation.run(&["serve"]).await.refused();
    assert!(lines(&twice)[0]["message"].as_str().unwrap().contains("is locked"), "{twice}");
    drop(server);

    for arguments in [&["serve", "--listn", "x"][..], &["sreve"], &["serve", "x"], &["migrate"]] {
        let finished = installation.run(arguments).await;
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        assert!(finished.out.is_empty(), "{finished:?}");
        let told = lines(&finished.errors);
        assert!(told.len() == 1 && told[0]["level"] == "ERROR", "{told:?}");
    }
    installation.set("ADMIN_RATE", "many");
    installation.set("LISTEN", "nowhere");
    let errors = installation.run(&["serve"]).await.refused();
    let told = lines(&errors);
    assert!(told.len() == 1 && told[0]["faults"].as_array().unwrap().len() == 2, "{errors}");
}

//! Serving as a role that may not change the schema, with the grants that the documentation gives.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::{Value, json};
use std::time::Duration;
use tests::{
    Backend, Database,
    server::{Installation, Server},
};

const OPERATION: &str = include_str!("../../docs/operation.md");

/// Who owns the schema and who serves, in a database of their own; roles belong to the whole cluster.
struct Roles {
    database: Database,
    names: [String; 2],
}

impl Roles {
    /// With what the documentation tells an administrator to run.
    async fn new() -> Self {
        let database = Database::empty(Backend::Postgres).await;
        let name = database.url().rsplit('/').next().unwrap().to_owned();
        let names = [format!("owner_of_{name}"), format!("server_of_{name}")];
        let begin = OPERATION.find("```sql\n").expect("the grants are documented") + 7;
        let sql = &OPERATION[begin..][..OPERATION[begin..].find("```").unwrap()];
        let sql = sql.replace("DATABASE tollkeeper", &format!("DATABASE {name}"));
        let sql = sql.replace("tollkeeper_owner", &names[0]).replace("tollkeeper_server", &names[1]);
        database.connect().await.execute_unprepared(&sql).await.unwrap();
        Self { database, names }
    }

    fn installation(&self, role: usize) -> Installation {
        let (_, place) = self.database.url().split_once('@').unwrap();
        let password = ["change-me", "change-me-too"][role];
        Installation::over(&format!("postgres://{}:{password}@{place}", self.names[role])).with_owner()
    }

    async fn remove(self) {
        let administrator = Database::empty(Backend::Postgres).await;
        let db = administrator.connect().await;
        self.database.remove().await;
        for name in self.names {
            db.execute_unprepared(&format!("DROP ROLE {name}")).await.unwrap();
        }
        db.close().await.unwrap();
        administrator.remove().await;
    }
}

/// A call from its authorization to its settlement: the status of each.
async fn call(server: &Server) -> (u16, u16) {
    let token = server.sign_in().await;
    let post = async |path: &str, body: Value| server.post(path, Some(&token), &body).await;
    let name = format!("{:032x}", rand::random::<u128>());
    let base = "/v1/organizations/default";
    let team = post(&format!("{base}/teams"), json!({"name": name})).await.1;
    let key = post(&format!("{base}/keys"), json!({"name": name, "team_id": team["id"]})).await.1;
    let gateway = post(&format!("{base}/gateway-tokens"), json!({"name": name})).await.1;
    let gateway = gateway["secret"].as_str().unwrap();
    let ask = json!({"key": key["secret"], "model": "gpt-4o"});
    let (asked, decision) = server.post("/v1/authorize", Some(gateway), &ask).await;
    let settle = json!({"reservation_id": decision["reservation_id"], "usage": {"input_tokens": 7}});
    (asked, server.post("/v1/settle", Some(gateway), &settle).await.0)
}

/// Drops the partitions from so many months ahead on.
async fn drop_partitions(db: &DatabaseConnection, ahead: u32) {
    let sql = format!(
        "SELECT 'DROP TABLE IF EXISTS ' || parent || '_' || to_char(now() + ahead * interval '1 month', 'YYYYMM') AS sql \
         FROM unnest(ARRAY['reservation', 'usage_event']) AS parent, generate_series({ahead}, 12) AS ahead"
    );
    let statement = Statement::from_string(db.get_database_backend(), sql);
    for row in db.query_all_raw(statement).await.unwrap() {
        db.execute_unprepared(&row.try_get::<String>("", "sql").unwrap()).await.unwrap();
    }
}

async fn ready(server: &Server, status: u16, field: &str, word: &Value) {
    let mut reply = server.get("/health/ready", None).await;
    for _ in 0..100 {
        if reply.0 == status && &reply.1[field] == word {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        reply = server.get("/health/ready", None).await;
    }
    panic!("{status} {word} is not said, but {reply:?}");
}

/// How many days the metrics say that there are partitions for.
async fn days(listen: &str) -> u32 {
    for _ in 0..100 {
        let text = reqwest::get(format!("http://{listen}/metrics")).await.unwrap().text().await.unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix("tollkeeper_partitions_remaining_seconds "));
        if let Some(seconds) = line {
            return seconds.parse::<u32>().unwrap() / 86_400;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the metrics say nothing of partitions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_rights_to_the_schema_serves_for_ever() {
    let roles = Roles::new().await;
    let (owner, mut serving) = (roles.installation(0), roles.installation(1));
    let errors = serving.run(&["migrate", "up"]).await.refused();
    assert!(errors.contains("permission denied for schema public"), "{errors}");
    owner.run(&["migrate", "up"]).await.ok();
    assert!(serving.run(&["migrate", "up"]).await.ok().contains("up to date"));
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    serving.set("METRICS_LISTEN", &own);
    let server = serving.serve().await;
    assert_eq!(call(&server).await, (200, 200));
    ready(&server, 200, "warning", &Value::Null).await;
    assert!(serving.run(&["doctor"]).await.out.contains("ok     partitions: until the beginning of"));
    assert!(days(&own).await > 300);
    drop(server);

    // Only this month has a partition: two whole months can be longer than the alarm looks ahead.
    let db = roles.database.connect().await;
    drop_partitions(&db, 1).await;
    let server = serving.serve().await;
    assert_eq!(call(&server).await, (200, 200));
    ready(&server, 200, "warning", &json!("partitions_run_out")).await;
    for _ in 0..100 {
        if server.log().contains("the ledgers run out of partitions") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.log().contains("run `tollkeeper partitions` as the role that does"), "{}", server.log());
    assert!(days(&own).await < 60);
    let report = serving.run(&["doctor"]).await.out;
    assert!(report.contains("WRONG  partitions: until the beginning of"), "{report}");

    // None at all: it cannot decide, and says so before it is asked.
    drop_partitions(&db, 0).await;
    db.close().await.unwrap();
    ready(&server, 503, "code", &json!("partitions_missing")).await;
    assert_eq!(call(&server).await.0, 503);
    let errors = serving.run(&["partitions"]).await.refused();
    assert!(errors.contains("this role does not own the ledgers"), "{errors}");
    let made = owner.run(&["partitions"]).await.ok();
    assert!(made.contains("made 26; the ledgers have partitions until the beginning of"), "{made}");
    assert!(owner.run(&["partitions", "--months", "14"]).await.ok().contains("made 4;"));
    ready(&server, 200, "warning", &Value::Null).await;
    assert_eq!(call(&server).await, (200, 200));
    drop(server);
    roles.remove().await;
}

#[tokio::test]
async fn a_file_has_no_partitions_to_make() {
    let installation = Installation::new(Backend::Sqlite).await;
    let said = installation.run(&["partitions"]).await.ok();
    assert!(said.contains("nothing to do"), "{said}");
    assert!(!installation.directory().join("tollkeeper.db").exists(), "a file was made");
}

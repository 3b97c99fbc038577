//! The restore procedure of `docs/operation.md`, as it is written there: a restored backup brings revoked keys back, and the
//! commands say which, so that they can be revoked again.

use sea_orm::{ConnectOptions, ConnectionTrait, Database, Statement};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tests::{
    Backend,
    server::{Installation, Server},
    witness::{BASE, Witness, text},
};

/// The commands below a heading of the documentation.
fn documented(heading: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operation.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    section.split("```").skip(1).step_by(2).map(str::to_owned).collect()
}

/// What was there before the backup, and what was taken away after it.
struct Story {
    witness: Witness,
    revoked: Vec<(String, String)>,
    kept: String,
}

impl Story {
    async fn begin(server: &Server) -> Self {
        let witness = Witness::new(server).await;
        let mut revoked = Vec::new();
        for n in 0..3 {
            let key = witness.key(server, &format!("k{n}")).await.1;
            revoked.push((text(&key["id"]), text(&key["secret"])));
        }
        let kept = text(&witness.key(server, "kept").await.1["secret"]);
        Self { witness, revoked, kept }
    }

    /// After the backup: some are revoked, one deleted, and one that the backup does not know comes and goes.
    async fn go_on(&self, server: &Server) {
        let owner = Some(self.witness.owner.as_str());
        let after = self.witness.key(server, "after").await.1;
        let ids: Vec<&String> = self.revoked.iter().map(|(id, _)| id).collect();
        for id in [ids[0], ids[1], &text(&after["id"])] {
            let (status, reply) = server.post(&format!("{BASE}/keys/{id}/revoke"), owner, &json!({})).await;
            assert_eq!(status, 200, "{reply}");
        }
        let delete = reqwest::Client::new().delete(server.url(&format!("{BASE}/keys/{}", ids[2])));
        let reply = delete.bearer_auth(&self.witness.owner).header("if-match", "\"1\"").send().await.unwrap();
        assert_eq!(reply.status(), 204);
        self.are_allowed(server, false).await;
    }

    async fn are_allowed(&self, server: &Server, allowed: bool) {
        for (_, secret) in &self.revoked {
            let (_, reply) = self.witness.decide(server, "authorize", json!({"key": secret})).await;
            assert_eq!(reply["allowed"], allowed, "{reply}");
        }
        let (_, reply) = self.witness.decide(server, "authorize", json!({"key": self.kept})).await;
        assert_eq!(reply["allowed"], true, "{reply}");
    }

    /// The last steps: sign in again, and revoke again what was found.
    async fn end(&self, installation: &Installation, found: Vec<(String, String)>) {
        let server = installation.serve().await;
        let (status, _) = server.get("/v1/auth/me", Some(&self.witness.owner)).await;
        assert_eq!(status, 401, "an ended session goes on");
        self.are_allowed(&server, true).await;
        let mut expected: Vec<&String> = self.revoked.iter().map(|(id, _)| id).collect();
        let mut keys: Vec<&String> = found.iter().map(|(_, key)| key).collect();
        expected.sort();
        keys.sort();
        assert_eq!(keys, expected);
        let path = format!("/v1/organizations/{}/keys/revoke", found[0].0);
        let owner = server.sign_in().await;
        let (status, reply) = server.post(&path, Some(&owner), &json!({"key_ids": keys})).await;
        assert_eq!((status, &reply["revoked"]), (200, &json!(3)), "{reply}");
        self.are_allowed(&server, false).await;
    }
}

async fn installation(backend: Backend) -> Installation {
    let mut installation = Installation::new(backend).await.with_owner();
    installation.set("PUBLIC_URL", "http://restore.test");
    installation
}

/// Runs what is in double quotes after `sqlite3 FILE`.
async fn sqlite3(directory: &Path, file: &str, sql: &str) -> Vec<(String, String)> {
    let mut options = ConnectOptions::new(format!("sqlite://{}", directory.join(file).display()));
    options.max_connections(1);
    let db = Database::connect(options).await.unwrap();
    let (mut rows, restored) = (Vec::new(), directory.join("tollkeeper.db"));
    for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
        let statement = statement.replace("'tollkeeper.db'", &format!("'{}'", restored.display()));
        let found =
            db.query_all_raw(Statement::from_string(db.get_database_backend(), statement)).await.unwrap();
        let column = |row: &sea_orm::QueryResult, n| row.try_get_by_index::<String>(n).unwrap();
        rows = found.iter().map(|row| (column(row, 0), column(row, 1))).collect();
    }
    db.close().await.unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_sqlite_database_forgets_no_revocation() {
    let installation = installation(Backend::Sqlite).await;
    let directory = installation.directory().to_owned();
    let server = installation.serve().await;
    let story = Story::begin(&server).await;
    let backup = directory.join("backup.db");
    installation.run(&["backup", backup.to_str().unwrap()]).await.ok();
    story.go_on(&server).await;
    server.kill();

    let commands = documented("### SQLite\n");
    // In the order of the page: put aside, compare, end the sessions, revoke again.
    let status = Command::new("sh").args(["-ec", &commands[0]]).current_dir(&directory).status().unwrap();
    assert!(status.success(), "{}", commands[0]);
    let quoted = |text: &str, quote: char| -> Vec<String> {
        text.split(quote).skip(1).step_by(2).map(str::to_owned).collect()
    };
    let queries = quoted(&commands[1], '"');
    let found = sqlite3(&directory, "lost/tollkeeper.db", &queries[0]).await;
    let events = sqlite3(&directory, "lost/tollkeeper.db", &queries[1]).await;
    // Four keys that end, and the one that is made.
    assert!(events.len() >= 5, "{events:?}");
    sqlite3(&directory, "tollkeeper.db", &quoted(&commands[2], '\'')[0]).await;
    assert!(commands[3].contains("/keys/revoke") && commands[3].contains("key_ids"));
    story.end(&installation, found).await;
    installation.run(&["doctor"]).await.ok();
}

/// Runs a script of the documentation on the cluster of the suite, with these databases.
fn shell(script: &str, database: &str, directory: &Path) -> String {
    let cluster = std::env::var("TOLLKEEPER_TEST_POSTGRES").expect("`cargo suite` starts a cluster");
    let url = url::Url::parse(&cluster).unwrap();
    let bin = PathBuf::from(std::env::var_os("TOLLKEEPER_TEST_POSTGRES_BIN").expect("`cargo suite` sets it"));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let script = script.replace("lost", &format!("{database}_lost")).replace("tollkeeper", database);
    let mut command = Command::new("bash");
    command.args(["-ec", &script]).current_dir(directory).env("PATH", path);
    command.env("PGHOST", url.host_str().unwrap()).env("PGUSER", url.username());
    command.env("PGPORT", url.port().unwrap_or(5432).to_string());
    command.env("PGPASSWORD", url.password().unwrap_or_default());
    let output = command.output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{out}{errors}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_postgres_database_forgets_no_revocation() {
    let installation = installation(Backend::Postgres).await;
    let directory = installation.directory().to_owned();
    let url = installation.setting("DATABASE_URL").unwrap();
    let database = url.rsplit_once('/').unwrap().1.to_owned();
    let mut server = installation.serve().await;
    let story = Story::begin(&server).await;
    shell("pg_dump -Fc -f backup.dump tollkeeper", &database, &directory);
    story.go_on(&server).await;
    server.terminate();
    server.ended().await;

    let out = shell(&documented("### Postgres\n").concat(), &database, &directory);
    let found = out.lines().filter_map(|line| line.split_once(" key_"));
    let found = found.map(|(organization, key)| (organization.to_owned(), format!("key_{key}"))).collect();
    assert!(out.matches("|key.").count() >= 5, "{out}");
    story.end(&installation, found).await;
    shell("dropdb lost", &database, &directory);
    installation.remove().await;
}

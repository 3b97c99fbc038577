//! Secrets of every kind go through a whole run, right and wrong, well-formed and not; afterwards they are looked for
//! wherever an operator, another tenant or a thief of the database could look.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{
    Backend, Database,
    server::{Answer, Installation, Server, exchange},
};

const ORGANIZATION: &str = "/v1/organizations/default";
/// Words of replies that carry a secret.
const SECRET_FIELDS: [&str; 5] = ["secret", "token", "access_token", "refresh_token", "device_token"];

/// A run: what was secret in it, and what people could read.
struct Run {
    server: Server,
    http: reqwest::Client,
    secrets: BTreeSet<String>,
    readable: Vec<String>,
}

impl Run {
    /// Notes a secret that this test made up.
    fn secret(&mut self, text: &str) -> String {
        self.secrets.insert(text.to_owned());
        text.to_owned()
    }

    /// Notes every secret of a successful reply.
    fn harvest(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(text) if SECRET_FIELDS.contains(&name.as_str()) => drop(self.secret(text)),
                        _ => self.harvest(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.harvest(item)),
            _ => {}
        }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let Answer { status, headers, text } = exchange(request).await.unwrap();
        self.readable.push(format!("{headers:?}"));
        let body = serde_json::from_str(&text).unwrap_or_default();
        if status < 300 {
            self.harvest(&body);
        } else {
            self.readable.push(text);
        }
        (status, body)
    }

    async fn post(&mut self, path: &str, bearer: &str, body: Value) -> (u16, Value) {
        let mut request = self.http.post(self.server.url(path)).json(&body);
        if !bearer.is_empty() {
            request = request.bearer_auth(bearer);
        }
        let key = format!("canary {path} {}", self.secrets.len());
        self.send(request.header("idempotency-key", key)).await
    }

    /// A POST that must succeed.
    async fn done(&mut self, path: &str, bearer: &str, body: Value) -> Value {
        let (status, reply) = self.post(path, bearer, body).await;
        assert!(status < 300, "{path}: {status} {reply}");
        reply
    }

    /// A GET whose reply anybody may read who may send it.
    async fn read(&mut self, path: &str, bearer: &str) {
        let reply = exchange(self.http.get(self.server.url(path)).bearer_auth(bearer)).await.unwrap();
        assert_eq!(reply.status, 200, "{path}");
        self.readable.push(reply.text);
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

/// Everything that a secret goes through when all is well.
async fn work(run: &mut Run, setup: &str) -> (String, String, String) {
    let password = run.secret("canary-password-of-the-owner");
    let owner = json!({"token": setup, "name": "Owner", "email": "owner@example.com", "password": password});
    let session = run.done("/v1/setup", "", owner).await;
    let me = text(&session, "access_token");
    let new = run.secret("canary-password-changed-later");
    let change = json!({"current_password": password, "new_password": new});
    run.done("/v1/auth/password", &me, change).await;
    let login = json!({"email": "owner@example.com", "password": new});
    let session = run.done("/v1/auth/login", "", login).await;
    let refreshed =
        run.done("/v1/auth/refresh", "", json!({"refresh_token": session["refresh_token"]})).await;
    let me = text(&refreshed, "access_token");

    let team = text(&run.done(&format!("{ORGANIZATION}/teams"), &me, json!({"name": "canary"})).await, "id");
    let keys = format!("{ORGANIZATION}/keys");
    let key = run.done(&keys, &me, json!({"name": "canary", "team_id": team})).await;
    let path = format!("{keys}/{}", text(&key, "id"));
    run.done(&format!("{path}/rotate"), &me, json!({"grace_seconds": 600})).await;
    proxies(run, &me).await;
    connections(run, &me).await;
    run.done(&format!("{keys}/lookup"), &me, json!({"secret": key["secret"]})).await;
    let gateway = run.done(&format!("{ORGANIZATION}/gateway-tokens"), &me, json!({"name": "canary"})).await;
    let gateway = text(&gateway, "secret");
    let key = text(&key, "secret");
    run.done("/v1/authorize", &gateway, json!({"key": key, "model": "gpt-4o"})).await;
    let check = run.http.get(run.server.url("/v1/check/chat/completions")).bearer_auth(&key);
    run.send(check.header("tollkeeper-gateway-token", &gateway)).await;
    let own = run.http.get(run.server.url("/v1/key")).bearer_auth(&key);
    run.send(own).await;
    let token = json!({"name": "canary", "permissions": ["keys:read", "keys:write"]});
    let token = text(&run.done(&format!("{ORGANIZATION}/admin-tokens"), &me, token).await, "secret");
    run.read(&keys, &token).await;
    let invitation = json!({"email": "invited@example.com", "role": "member"});
    let invitation = run.done(&format!("{ORGANIZATION}/invitations"), &me, invitation).await;
    let invited = SECRET_FIELDS.iter().find_map(|field| invitation[field].as_str()).unwrap();
    let password = run.secret("canary-password-of-the-invited");
    let acceptance = json!({"token": invited, "name": "Invited", "password": password});
    let accepted = run.done("/v1/auth/accept-invitation", "", acceptance).await;
    let user = text(&accepted, "user_id");
    let link = run.done(&format!("/v1/users/{user}/reset-link"), &me, json!({})).await;
    let password = run.secret("canary-password-after-a-reset");
    run.done("/v1/auth/reset", "", json!({"token": link["token"], "password": password})).await;
    (me, key, gateway)
}

/// Passwords of proxies: sealed, tested, kept by their masks, replaced.
async fn proxies(run: &mut Run, me: &str) {
    let pools = format!("{ORGANIZATION}/proxy-pools");
    let [first, second] = ["canary-password-of-a-proxy", "canary-password-of-a-changed-proxy"];
    let url = |password: &str| format!("http://canary:{password}@127.0.0.1:9");
    let body = json!({"name": "canary", "entries": [{"url": url(&run.secret(first))}]});
    let pool = format!("{pools}/{}", text(&run.done(&pools, me, body).await, "id"));
    run.done(&format!("{pool}/test"), me, json!({"target_url": "http://127.0.0.1:9/"})).await;
    for password in ["****".to_owned(), run.secret(second)] {
        let body = json!({"entries": [{"url": url(&password)}]});
        let patch = run.http.patch(run.server.url(&pool)).bearer_auth(me).json(&body);
        assert_eq!(run.send(patch).await.0, 200);
    }
    run.read(&pools, me).await;
    for body in
        [json!([url(first)]), json!({"url": url(first)}), json!([{"url": format!("{}/path", url(first))}])]
    {
        let (status, reply) = run.post(&pools, me, json!({"name": "refused", "entries": body})).await;
        assert_eq!(status, 422, "{reply}");
    }
}

/// Headers and credentials of connections: sealed, kept by their masks, tried, replaced, retired, refused.
async fn connections(run: &mut Run, me: &str) {
    let all = format!("{ORGANIZATION}/connections");
    let [first, second] = ["canary-value-of-a-header", "canary-value-of-a-changed-header"];
    let mut body = json!({"provider": "openai", "name": "canary", "base_url": "http://127.0.0.1:9"});
    body["headers"] = json!({"x-canary": run.secret(first)});
    let connection = format!("{all}/{}", text(&run.done(&all, me, body).await, "id"));
    for value in ["****".to_owned(), run.secret(second)] {
        let body = json!({"headers": {"x-canary": value}});
        let patch = run.http.patch(run.server.url(&connection)).bearer_auth(me).json(&body);
        assert_eq!(run.send(patch).await.0, 200);
    }
    let credentials = format!("{connection}/credentials");
    let old = run.secret("canary-key-of-a-provider-old");
    let old = text(&run.done(&credentials, me, json!({ "secret": old })).await, "id");
    let new = run.secret("canary-key-of-a-provider-new");
    run.done(&credentials, me, json!({ "secret": new })).await;
    for state in ["draining", "retired"] {
        let patch = run.http.patch(run.server.url(&format!("{credentials}/{old}"))).bearer_auth(me);
        assert_eq!(run.send(patch.json(&json!({ "state": state }))).await.0, 200);
    }
    run.done(&format!("{connection}/verify"), me, json!({})).await;
    let refused = run.secret("canary-key-that-is-refused");
    for body in [
        json!({"secret": refused, "test": true}),
        json!({"secret": format!("{refused}\n")}),
        json!({"secret": [refused]}),
    ] {
        let (status, reply) = run.post(&credentials, me, body).await;
        assert_eq!(status, 422, "{reply}");
    }
    for path in [&connection, &credentials, &format!("{connection}/health")] {
        run.read(path, me).await;
    }
}

/// Everything that a secret goes through when something is wrong.
async fn fail(run: &mut Run, (me, key, gateway): &(String, String, String)) {
    let wrong = run.secret("canary-password-that-is-wrong");
    let mut refused = async |path: &str, bearer: &str, body: Value| {
        let (status, reply) = run.post(path, bearer, body).await;
        assert!((400..500).contains(&status), "{path}: {status} {reply}");
    };
    refused("/v1/auth/login", "", json!({"email": "owner@example.com", "password": wrong})).await;
    refused("/v1/auth/login", "", json!({"email": wrong, "password": [wrong]})).await;
    refused("/v1/auth/login", "", json!({"email": "a@example.com", "password": {"is": wrong}})).await;
    refused("/v1/auth/login", "", json!(wrong)).await;
    refused("/v1/auth/refresh", "", json!({"refresh_token": key})).await;
    refused("/v1/auth/reset", "", json!({"token": gateway, "password": wrong})).await;
    refused("/v1/auth/accept-invitation", "", json!({"token": key, "password": wrong, "name": "x"})).await;
    refused("/v1/auth/password", me, json!({"current_password": wrong, "new_password": wrong})).await;
    refused("/v1/authorize", gateway, json!({"key": [key]})).await;
    refused("/v1/authorize", gateway, json!({"key": {"secret": key}})).await;
    refused("/v1/authorize", key, json!({"key": key})).await;
    refused("/v1/authorize", &format!("{gateway}x"), json!({"key": key})).await;
    refused(&format!("{ORGANIZATION}/teams"), key, json!({"name": "x"})).await;
    refused(&format!("{ORGANIZATION}/teams"), gateway, json!({"name": "x"})).await;
    refused(&format!("{ORGANIZATION}/keys/lookup"), me, json!({"secret": [key]})).await;
    let torn = format!("{{\"email\": \"x@example.com\", \"password\": \"{wrong}\", ");
    let login = run.http.post(run.server.url("/v1/auth/login")).header("content-type", "application/json");
    assert_eq!(run.send(login.body(torn)).await.0, 400);
    let header = run.http.get(run.server.url("/v1/auth/me")).header("authorization", format!("Basic {key}"));
    assert_eq!(run.send(header).await.0, 401);
}

/// Every form in which a secret could turn up. Base64 of something longer shows the middle of a secret in one of three
/// ways, as its bytes fall.
fn forms(secret: &str) -> Vec<String> {
    // The id and the checksum of a token, and what a JWT says, are no secrets.
    let secret = match (secret.rsplit_once('.'), &secret.split('_').collect::<Vec<_>>()[..]) {
        (Some((_, signature)), _) => signature,
        (None, [_, _, secret, _]) => secret,
        (None, _) => secret,
    };
    let bytes = secret.as_bytes();
    let each = |form: fn(&u8) -> String| bytes.iter().map(form).collect::<Vec<_>>().concat();
    let hex = each(|byte| format!("{byte:02x}"));
    let url = each(|byte| format!("%{byte:02X}"));
    let partly = secret.replace('-', "%2D");
    let mut forms = vec![secret.to_owned(), hex.to_uppercase(), hex, url, partly];
    for skipped in 0..3 {
        // Whole groups of three bytes, so that no neighbour has a part in them.
        let inner = &bytes[skipped..bytes.len() - (bytes.len() - skipped) % 3];
        forms.extend([STANDARD_NO_PAD.encode(inner), URL_SAFE_NO_PAD.encode(inner)]);
    }
    forms
}

fn search(run: &Run, places: &[(&str, Vec<u8>)]) {
    assert!(run.secrets.len() > 15, "the run had too few secrets: {}", run.secrets.len());
    for (place, content) in places {
        for secret in &run.secrets {
            for form in forms(secret) {
                let found = memchr::memmem::find(content, form.as_bytes());
                assert!(
                    found.is_none(),
                    "{place} has {form} of {secret} at {found:?}: {}",
                    around(content, found)
                );
            }
        }
    }
}

fn around(content: &[u8], at: Option<usize>) -> String {
    let at = at.unwrap_or(0);
    String::from_utf8_lossy(&content[at.saturating_sub(200)..content.len().min(at + 100)]).into_owned()
}

async fn run(backend: Backend, database: Option<&Database>, mut installation: Installation) {
    installation.set("LOG", "trace");
    installation.set("LOG_FORMAT", if backend == Backend::Sqlite { "text" } else { "json" });
    installation.set("STATE_DIR", &installation.directory().display().to_string());
    let own = STANDARD.encode(b"canary-pepper-of-this-installati");
    installation.set("KEY_PEPPER", &own);
    installation.set("UPSTREAM_ALLOWED_NETWORKS", "127.0.0.0/8");
    let server = installation.serve().await;
    let mut files = std::fs::read_dir(installation.directory()).unwrap().map(|entry| entry.unwrap().path());
    let setup = files.find(|path| path.to_string_lossy().ends_with(".setup-token")).unwrap();
    let setup = std::fs::read_to_string(setup).unwrap().trim().to_owned();
    let http = reqwest::Client::new();
    let mut run = Run { server, http, secrets: BTreeSet::new(), readable: Vec::new() };
    run.secret(&setup);
    run.secret("canary-pepper-of-this-installati");
    run.secret(&own);
    let known = work(&mut run, &setup).await;
    fail(&mut run, &known).await;
    for path in
        ["/metrics", &format!("{ORGANIZATION}/audit-events?page_size=100"), &format!("{ORGANIZATION}/keys")]
    {
        run.read(path, &known.0).await;
    }
    run.server.terminate();
    assert_eq!(run.server.ended().await.code(), Some(0));

    let log = run.server.log();
    assert!(log.contains("TRACE"), "the log is not at its finest");
    let greeting = run.server.greeting();
    let stored = match database {
        Some(database) => postgres(database).await,
        None => sqlite(&installation),
    };
    assert!(stored.len() > 10_000, "the database was not read");
    let readable = run.readable.join("\n").into_bytes();
    search(
        &run,
        &[
            ("the log", log.into_bytes()),
            ("standard output", greeting.into_bytes()),
            ("a reply", readable),
            ("the database", stored),
        ],
    );
}

/// The bytes of the file and its log.
fn sqlite(installation: &Installation) -> Vec<u8> {
    let files = ["tollkeeper.db", "tollkeeper.db-wal"].map(|name| installation.directory().join(name));
    files.iter().filter(|path| path.exists()).flat_map(|path| std::fs::read(path).unwrap()).collect()
}

/// Every row of every table as text; bytes are in hexadecimal.
async fn postgres(database: &Database) -> Vec<u8> {
    let db = database.connect().await;
    let ask = async |sql: String| {
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
        rows.into_iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect::<Vec<_>>()
    };
    let mut text = String::new();
    for table in ask("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'".into()).await {
        text += &ask(format!("SELECT row_to_json(t)::text FROM {table} t")).await.join("\n");
    }
    db.close().await.unwrap();
    text.into_bytes()
}

#[tokio::test]
async fn no_secret_is_found_anywhere_on_sqlite() {
    run(Backend::Sqlite, None, Installation::new(Backend::Sqlite).await).await;
}

#[tokio::test]
async fn no_secret_is_found_anywhere_on_postgres() {
    let database = Database::empty(Backend::Postgres).await;
    run(Backend::Postgres, Some(&database), Installation::over(database.url())).await;
    database.remove().await;
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "canary-password-of-the-owner";
    for (n, neighbour) in ["", "x", "xy"].into_iter().enumerate() {
        let encoded = STANDARD.encode(format!("{neighbour}{secret} and more"));
        assert!(forms(secret).iter().any(|form| encoded.contains(form)), "base64 at offset {n}");
    }
    let token = format!("tk_{}_{}_abcdef", "a".repeat(22), "s3cr3t".repeat(7));
    assert!(forms(&token).contains(&"s3cr3t".repeat(7)));
}

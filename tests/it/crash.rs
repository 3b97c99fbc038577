//! What is promised when something dies: real processes, killed without warning, and a database that goes away.

use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tests::{
    Backend,
    cluster::Cluster,
    server::{Installation, Server, answer},
};

const KEYS: &str = "/v1/organizations/default/keys";
/// Connections that work at a time.
const WORKERS: usize = 8;

/// A signed-in caller of one server. It survives the server's end as any client does.
#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    base: String,
    bearer: String,
}

impl Caller {
    fn new(server: &Server, bearer: &str) -> Self {
        Self { http: reqwest::Client::new(), base: server.url(""), bearer: bearer.to_owned() }
    }

    /// Status and body; none if the connection was lost.
    async fn post(&self, path: &str, idempotency_key: Option<&str>, body: &Value) -> Option<(u16, Value)> {
        let mut request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.bearer).json(body);
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        answer(request).await
    }

    async fn made(&self, path: &str, body: &Value) -> Value {
        let (status, reply) = self.post(path, None, body).await.unwrap();
        assert_eq!(status, 201, "{reply}");
        reply
    }

    async fn allowed(&self, secret: &str) -> bool {
        let (status, reply) = self.post("/v1/authorize", None, &json!({"key": secret})).await.unwrap();
        assert_eq!(status, 200, "{reply}");
        reply["allowed"].as_bool().unwrap()
    }

    /// The names of all keys, page by page.
    async fn names(&self) -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let url = format!("{}{KEYS}?page_size=100{cursor}", self.base);
            let (_, page) = answer(self.http.get(url).bearer_auth(&self.bearer)).await.unwrap();
            names.extend(page["items"].as_array().unwrap().iter().map(|key| text(&key["name"])));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return names,
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

async fn team(owner: &Caller) -> String {
    text(&owner.made("/v1/organizations/default/teams", &json!({"name": "crash"})).await["id"])
}

async fn gateway(owner: &Caller, server: &Server) -> Caller {
    let token = owner.made("/v1/organizations/default/gateway-tokens", &json!({"name": "crash"})).await;
    Caller::new(server, &text(&token["secret"]))
}

/// Creates `total` keys from several connections; what was acknowledged, by number. Lost connections end a worker.
async fn create(
    owner: &Caller,
    team: &str,
    total: usize,
    done: &Arc<AtomicUsize>,
) -> BTreeMap<usize, String> {
    let (next, secrets) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let worker = async || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= total {
                return;
            }
            let body = json!({"name": format!("key {n}"), "team_id": team});
            let Some((status, key)) = owner.post(KEYS, Some(&format!("create-{n}")), &body).await else {
                return;
            };
            assert_eq!(status, 201, "{key}");
            secrets.lock().unwrap().insert(n, text(&key["secret"]));
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    join_all((0..WORKERS).map(|_| worker())).await;
    secrets.into_inner().unwrap()
}

async fn survives_kill_nine(backend: Backend) {
    const TOTAL: usize = 1000;
    let mut installation = Installation::new(backend).await.with_owner();
    // The same issuer on whatever port, so that the session goes on.
    installation.set("PUBLIC_URL", "http://crash.test");
    let server = installation.serve().await;
    let bearer = server.sign_in().await;
    let owner = Caller::new(&server, &bearer);
    let team = team(&owner).await;

    let done = Arc::new(AtomicUsize::new(0));
    let killer = async {
        while done.load(Ordering::Relaxed) < TOTAL / 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
    };
    let (before, ()) = tokio::join!(create(&owner, &team, TOTAL, &done), killer);
    assert!((TOTAL / 3..TOTAL).contains(&before.len()), "killed too early or too late: {}", before.len());

    let server = installation.serve().await;
    let owner = Caller::new(&server, &bearer);
    let after = create(&owner, &team, TOTAL, &Arc::default()).await;
    assert_eq!(after.len(), TOTAL);
    assert!(before.iter().all(|(n, secret)| after[n] == *secret), "a replay shows another secret");

    let mut names = owner.names().await;
    names.sort();
    let mut expected: Vec<String> = (0..TOTAL).map(|n| format!("key {n}")).collect();
    expected.sort();
    assert_eq!(names, expected, "every key exists exactly once");
    let gateway = gateway(&owner, &server).await;
    for chunk in after.values().collect::<Vec<_>>().chunks(WORKERS) {
        let allowed = join_all(chunk.iter().map(|secret| gateway.allowed(secret))).await;
        assert!(allowed.into_iter().all(|allowed| allowed), "a secret does not work");
    }
    drop(server);
    installation.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_loses_and_doubles_nothing_on_sqlite() {
    survives_kill_nine(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_loses_and_doubles_nothing_on_postgres() {
    survives_kill_nine(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_revoked_key_slips_through_another_instance() {
    const ROUNDS: usize = 500;
    let installation = Installation::new(Backend::Postgres).await.with_owner();
    let a = installation.serve().await;
    let b = installation.serve().await;
    let owner = Caller::new(&a, &a.sign_in().await);
    let team = team(&owner).await;
    let gateway = gateway(&owner, &b).await;
    let next = AtomicUsize::new(0);
    let worker = async || {
        while next.fetch_add(1, Ordering::Relaxed) < ROUNDS {
            let key = owner.made(KEYS, &json!({"name": "short-lived", "team_id": team})).await;
            let secret = text(&key["secret"]);
            assert!(gateway.allowed(&secret).await, "a new key is not known");
            let revoke = format!("{KEYS}/{}/revoke", text(&key["id"]));
            let (status, reply) = owner.post(&revoke, None, &json!({})).await.unwrap();
            assert_eq!(status, 200, "{reply}");
            assert!(!gateway.allowed(&secret).await, "a revoked key slipped through");
        }
    };
    join_all((0..4).map(|_| worker())).await;
    drop((a, b));
    installation.remove().await;
}

/// What one kind of caller saw while the database was there, away, and back.
async fn watch(stop: &AtomicBool, ask: impl AsyncFn() -> Option<(u16, Value)>) -> Vec<u16> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (status, body) = ask().await.expect("the server closed a connection");
        let away = body["code"] == "database_unavailable" || body["code"] == "meter_unavailable";
        let expected = status == 200 || (status == 503 && away);
        assert!(expected, "{status} {body}");
        seen.push(status);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_is_a_503_and_comes_back() {
    let cluster = Cluster::start();
    let installation = Installation::over(&cluster.url()).with_owner();
    let server = installation.serve().await;
    let owner = Caller::new(&server, &server.sign_in().await);
    let team = team(&owner).await;
    let gateway = gateway(&owner, &server).await;
    let key = text(&owner.made(KEYS, &json!({"name": "steady", "team_id": team})).await["secret"]);

    let stop = AtomicBool::new(false);
    let authorize = async || gateway.post("/v1/authorize", None, &json!({"key": key})).await;
    let me = async || {
        let url = format!("{}/v1/auth/me", owner.base);
        answer(owner.http.get(url).bearer_auth(&owner.bearer)).await
    };
    let outage = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::block_in_place(|| cluster.stop());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let ready = reqwest::get(server.url("/health/ready")).await.unwrap().status();
        let live = reqwest::get(server.url("/health/live")).await.unwrap().status();
        assert_eq!((ready.as_u16(), live.as_u16()), (503, 200));
        tokio::task::block_in_place(|| cluster.resume());
        let back = Instant::now();
        while authorize().await.is_none_or(|(status, _)| status != 200) {
            assert!(back.elapsed() < Duration::from_secs(20), "no recovery:\n{}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (decisions, identities, ()) = tokio::join!(watch(&stop, authorize), watch(&stop, me), outage);
    // Decisions wait for a database that is soon back; whoever reads is told at once.
    assert!(identities.contains(&503), "the outage was not noticed");
    for seen in [decisions, identities] {
        assert_eq!((seen.first(), seen.last()), (Some(&200), Some(&200)));
    }
}

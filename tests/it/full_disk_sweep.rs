//! The disk has space for so many pages and no more when a call comes, for every number of pages that its commit may take: so it
//! gets full at each write of each kind of call in turn. What is not confirmed is repeated and succeeds; what is confirmed is
//! there after `kill -9`. A few numbers of pages in the ordinary suite, all of them with `cargo suite --long`.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::{
    Backend,
    disk::Disk,
    is_long,
    server::{Installation, Server},
    witness::{BASE, Witness, text},
};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Authorize,
    Settle,
    Void,
    Revoke,
    Create,
}

const CALLS: [Call; 5] = [Call::Authorize, Call::Settle, Call::Void, Call::Revoke, Call::Create];

/// What a call needs before, and what it is then.
struct Prepared {
    path: String,
    body: Value,
    bearer: String,
    idempotency: String,
    subject: String,
    secret: String,
}

async fn prepare(call: Call, server: &Server, witness: &Witness) -> Prepared {
    let name = uuid::Uuid::now_v7().simple().to_string();
    let (mut subject, mut secret) = (format!("res_{name}"), String::new());
    if matches!(call, Call::Settle | Call::Void) {
        subject = witness.open(server).await;
    }
    if call == Call::Revoke {
        let (status, key) = witness.key(server, &name).await;
        assert_eq!(status, 201, "{key}");
        (subject, secret) = (text(&key["id"]), text(&key["secret"]));
    }
    let (gateway, owner) = (witness.gateway.clone(), witness.owner.clone());
    let (path, body, bearer) = match call {
        Call::Authorize => {
            let body = json!({"key": witness.secret, "reservation_id": subject});
            ("/v1/authorize".into(), body, gateway)
        }
        Call::Settle => {
            let usage = json!({"input_tokens": 10, "output_tokens": 5});
            ("/v1/settle".into(), json!({"reservation_id": subject, "usage": usage}), gateway)
        }
        Call::Void => ("/v1/void".into(), json!({"reservation_id": subject}), gateway),
        Call::Revoke => (format!("{BASE}/keys/{subject}/revoke"), json!({}), owner),
        Call::Create => (format!("{BASE}/keys"), json!({"name": name, "team_id": witness.team}), owner),
    };
    Prepared { path, body, bearer, idempotency: name, subject, secret }
}

async fn send(server: &Server, call: &Prepared) -> (u16, Value) {
    let request = reqwest::Client::new().post(server.url(&call.path)).bearer_auth(&call.bearer);
    let request = request.header("idempotency-key", &call.idempotency).json(&call.body);
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

/// What was confirmed of one kind of call.
#[derive(Default)]
struct Confirmed(BTreeMap<String, (Prepared, Value)>);

impl Confirmed {
    /// Makes a call with so many pages free; if it fails, once more when there is space.
    async fn attempt(
        &mut self,
        (call, pages): (Call, u64),
        server: &Server,
        witness: &mut Witness,
        disk: &Disk,
    ) -> bool {
        let prepared = prepare(call, server, witness).await;
        disk.fill(server, pages);
        let mut reply = send(server, &prepared).await;
        disk.clear(server);
        let failed = reply.0 == 503;
        if failed {
            reply = send(server, &prepared).await;
        }
        let expected = if call == Call::Create { 201 } else { 200 };
        assert_eq!(reply.0, expected, "{call:?} with {pages} pages: {}\n{}", reply.1, server.log());
        match call {
            Call::Authorize | Call::Settle => {
                assert_eq!(witness.settle(server, &prepared.subject).await, 200);
            }
            Call::Revoke => witness.revoked.push((prepared.secret.clone(), prepared.subject.clone())),
            Call::Void | Call::Create => {}
        }
        self.0.insert(prepared.idempotency.clone(), (prepared, reply.1));
        failed
    }

    /// Every call is answered as before.
    async fn verify(&self, server: &Server) {
        for (call, reply) in self.0.values() {
            let (_, again) = send(server, call).await;
            assert_eq!(again, *reply, "a confirmed call is gone: {}", call.path);
        }
    }
}

async fn sweep(call: Call) {
    let pages: Vec<u64> = if is_long() { (0..48).collect() } else { vec![0, 2, 5, 9] };
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    installation.set("PUBLIC_URL", "http://sweep.test");
    let disk = Disk::under(&mut installation);
    let mut server = installation.serve().await;
    let mut witness = Witness::new(&server).await;
    let (mut confirmed, mut failed) = (Confirmed::default(), 0);
    for (n, free) in pages.iter().enumerate() {
        let full = confirmed.attempt((call, *free), &server, &mut witness, &disk).await;
        failed += usize::from(full);
        if full && (n % 8 == 0 || !is_long()) {
            server.kill();
            server = installation.serve().await;
            confirmed.verify(&server).await;
        }
    }
    assert!(failed > 0, "the disk was never full");
    server.kill();
    let server = installation.serve().await;
    confirmed.verify(&server).await;
    witness.verify(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_full_at_any_write_of_any_call_loses_nothing() {
    for call in CALLS {
        sweep(call).await;
    }
}

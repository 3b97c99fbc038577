//! [`Witness`]: a client that remembers what a server confirmed, and looks later whether it is there.

use crate::server::Server;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Where the organization's resources are.
pub const BASE: &str = "/v1/organizations/default";

/// A client of an installation that remembers what it was told.
#[derive(Debug)]
pub struct Witness {
    /// The session of the owner.
    pub owner: String,
    /// The token of the gateway.
    pub gateway: String,
    /// The team that owns the keys.
    pub team: String,
    limit: String,
    /// The secret of the key.
    pub secret: String,
    /// Calls by reservation, and what their settlement was answered.
    settled: BTreeMap<String, Option<Value>>,
    /// Keys whose revocation was confirmed: secret and id.
    pub revoked: Vec<(String, String)>,
}

/// A text that must be one.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

impl Witness {
    /// Signs in as the owner, and makes a key with a limit that counts calls.
    pub async fn new(server: &Server) -> Self {
        let owner = server.sign_in().await;
        let made = async |path: &str, body: Value| {
            let (status, reply) = server.post(&format!("{BASE}/{path}"), Some(&owner), &body).await;
            assert_eq!(status, 201, "{reply}");
            reply
        };
        let team = text(&made("teams", json!({"name": "t"})).await["id"]);
        let gateway = text(&made("gateway-tokens", json!({"name": "g"})).await["secret"]);
        let limits = json!([{"metric": "requests", "amount": "100000", "window": "total"}]);
        let key = made("keys", json!({"name": "k", "team_id": team, "limits": limits})).await;
        let (secret, limit) = (text(&key["secret"]), text(&key["limits"][0]["id"]));
        let (settled, revoked) = (BTreeMap::new(), Vec::new());
        Self { owner, gateway, team, limit, secret, settled, revoked }
    }

    /// Makes a key.
    pub async fn key(&self, server: &Server, name: &str) -> (u16, Value) {
        let body = json!({"name": name, "team_id": self.team});
        server.post(&format!("{BASE}/keys"), Some(&self.owner), &body).await
    }

    /// Revokes a key; it must be answered 200 or 503.
    pub async fn revoke(&mut self, server: &Server, key: &Value) -> u16 {
        let path = format!("{BASE}/keys/{}/revoke", text(&key["id"]));
        let (status, reply) = server.post(&path, Some(&self.owner), &json!({})).await;
        assert!(matches!(status, 200 | 503), "{status} {reply}");
        if status == 200 {
            self.revoked.push((text(&key["secret"]), text(&key["id"])));
        }
        status
    }

    /// Asks as the gateway; it must be answered 200 or 503.
    pub async fn decide(&self, server: &Server, what: &str, body: Value) -> (u16, Value) {
        let (status, reply) = server.post(&format!("/v1/{what}"), Some(&self.gateway), &body).await;
        assert!(matches!(status, 200 | 503), "{what}: {status} {reply}");
        (status, reply)
    }

    /// Has a call authorized.
    pub async fn open(&self, server: &Server) -> String {
        let (status, reply) = self.decide(server, "authorize", json!({"key": self.secret})).await;
        assert_eq!(status, 200, "{reply}");
        text(&reply["reservation_id"])
    }

    /// Settles a call; it must be answered 200 or 503.
    pub async fn settle(&mut self, server: &Server, id: &str) -> u16 {
        let body = json!({"reservation_id": id, "usage": {"input_tokens": 10, "output_tokens": 5}});
        let (status, reply) = self.decide(server, "settle", body).await;
        self.settled.insert(id.to_owned(), (status == 200).then_some(reply));
        status
    }

    /// What the window of the key's limit has counted.
    pub async fn counted(&self, server: &Server) -> (String, String) {
        let path = format!("{BASE}/limits/{}/windows", self.limit);
        let (status, page) = server.get(&path, Some(&self.owner)).await;
        assert_eq!(status, 200, "{page}");
        let counted = |field: &str| page["items"][0][field].as_str().unwrap_or("0").to_owned();
        (counted("used"), counted("held"))
    }

    /// Everything that was confirmed is there, and everything else can be done once.
    pub async fn verify(&mut self, server: &Server) {
        for (secret, id) in &self.revoked {
            let (_, key) = server.get(&format!("{BASE}/keys/{id}"), Some(&self.owner)).await;
            assert_eq!(key["status"], "revoked", "a confirmed revocation is undone: {key}");
            let (_, reply) = self.decide(server, "authorize", json!({"key": secret})).await;
            assert_eq!(reply["allowed"], false, "{reply}");
        }
        for (id, confirmed) in self.settled.clone() {
            assert_eq!(self.settle(server, &id).await, 200);
            if let Some(confirmed) = confirmed {
                assert_eq!(self.settled[&id], Some(confirmed), "a confirmed settlement is gone");
            }
            let path = format!("{BASE}/reservations/{id}");
            let (_, row) = server.get(&path, Some(&self.owner)).await;
            assert_eq!(row["state"], "settled", "{row}");
        }
        assert_eq!(self.counted(server).await, (self.settled.len().to_string(), "0".into()));
    }
}

/// Waits until `/health/ready` says so.
pub async fn ready(server: &Server, status: u16) -> Value {
    let begun = Instant::now();
    loop {
        let (found, body) = server.get("/health/ready", None).await;
        if found == status {
            return body;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{found} {body}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

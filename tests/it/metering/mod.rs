//! The meter through its API: what calls hold and use of limits, and what is told of it.

mod answers;
mod batches;
pub mod connections;
mod events;
mod expiry;
mod fits;
mod holds;
mod paths;
mod reports;
mod resolve;
mod unknown_cost;

use crate::decisions::issue;
use serde_json::{Value, json};
use tests::{Client, TestApp};
use uuid::Uuid;

pub const BASE: &str = "/v1/organizations/default";

/// A limit of the organization `default`.
pub async fn limit(app: &TestApp, mut body: Value) -> Value {
    if body["subject_kind"] == "organization" {
        body["subject_id"] = json!(app.organization);
    }
    app.owner().post(&format!("{BASE}/limits"), body).await.created()
}

/// A price by the request.
pub async fn price(app: &TestApp, model: &str, each: &str) -> Value {
    let body = json!({"model": model, "kind": "per_request", "per_request": each});
    app.owner().post(&format!("{BASE}/prices"), body).await.created()
}

/// A key of a new team with these limits of its own.
pub async fn key(app: &TestApp, limits: Value) -> Value {
    let name = chosen(app);
    let team = crate::keys::team(app, &name).await;
    issue(app, json!({"name": name, "team_id": team, "limits": limits})).await
}

/// A gateway that asks, with one key.
pub struct Calls {
    pub gateway: Client,
    pub key: Value,
}

impl Calls {
    pub async fn new(app: &TestApp, limits: Value) -> Self {
        Self { gateway: app.gateway().await, key: key(app, limits).await }
    }

    pub fn with(&self, key: &Value) -> Self {
        Self { gateway: self.gateway.clone(), key: key.clone() }
    }

    /// Asks for a call.
    pub async fn ask(&self, mut call: Value) -> Value {
        call["key"] = self.key["secret"].clone();
        self.gateway.post("/v1/authorize", call).await.ok()
    }

    /// A call that may be made: its reservation.
    #[track_caller]
    pub fn open(&self, call: Value) -> impl Future<Output = String> {
        let asked = self.ask(call);
        async move {
            let reply = asked.await;
            assert_eq!(reply["allowed"], true, "{reply}");
            reply["reservation_id"].as_str().unwrap().to_owned()
        }
    }

    /// Settles a call.
    pub async fn settle(&self, reservation: &str, usage: Value) -> Value {
        let body = json!({"reservation_id": reservation, "usage": usage});
        self.gateway.post("/v1/settle", body).await.ok()
    }

    pub async fn void(&self, reservation: &str) -> Value {
        self.gateway.post("/v1/void", json!({"reservation_id": reservation})).await.ok()
    }

    pub fn id(&self) -> &str {
        self.key["id"].as_str().unwrap()
    }

    /// The nth limit of the key itself.
    pub fn limit(&self, n: usize) -> &str {
        self.key["limits"][n]["id"].as_str().unwrap()
    }
}

/// What the newest window of a limit has counted: used, held.
pub async fn counted(app: &TestApp, limit: &str) -> (String, String) {
    let page = app.owner().get(&format!("{BASE}/limits/{limit}/windows")).await.ok();
    let text = |field: &str| page["items"][0][field].as_str().unwrap_or("none").to_owned();
    (text("used"), text("held"))
}

#[track_caller]
pub fn same(counted: (String, String), used: &str, held: &str) {
    assert_eq!((counted.0.as_str(), counted.1.as_str()), (used, held));
}

/// The codes of a denial.
#[track_caller]
pub fn denied(reply: &Value, codes: &[&str]) {
    crate::decisions::refused(reply, codes);
    assert_eq!(reply["reservation_id"], Value::Null, "{reply}");
}

/// A reservation id that a gateway has made at the time of the test.
pub fn chosen(app: &TestApp) -> String {
    app.system.entropy.id::<entity::id::Reservation>(app.clock.now()).to_string()
}

/// The same id as that of something else.
pub fn uuid(id: &str) -> Uuid {
    id.split_once('_').unwrap().1.parse().unwrap()
}

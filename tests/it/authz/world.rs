//! Rows of every kind in one organization, so that others can reach for them.

use entity::id::{OrganizationId, ReservationId, UsageEventId};
use serde_json::json;
use std::collections::BTreeMap;
use tests::{Client, TestApp, ledger};

/// Rows of one organization, around one team of it.
pub struct World {
    /// Their ids, by prefix.
    pub ids: BTreeMap<String, String>,
    /// The secret of its virtual key.
    pub key: String,
    /// The secret of its admin token, which carries every permission.
    pub admin_token: String,
    /// The secret of its gateway token.
    pub gateway_token: String,
}

impl World {
    /// One row of each kind, made by the organization's owner.
    pub async fn build(app: &TestApp, owner: &Client, organization: &str, name: &str) -> Self {
        let base = format!("/v1/organizations/{organization}");
        let make = async |collection: &str, body: serde_json::Value| {
            owner.post(&format!("{base}/{collection}"), body).await.created()
        };
        let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap().to_owned();
        let organization = text(&owner.get(&base).await.ok(), "id");
        let person = app.person_in(organization.parse().unwrap(), entity::status::Role::Member).await;
        let team = text(&make("teams", json!({ "name": name })).await, "id");
        make(&format!("teams/{team}/members"), json!({"user_id": person.user_id, "role": "member"})).await;
        let account = make("service-accounts", json!({ "name": name })).await;
        let key = make("keys", json!({"name": name, "team_id": team})).await;
        let secrets = owner.get(&format!("{base}/keys/{}/secrets", text(&key, "id"))).await.ok();
        let permissions: Vec<&str> =
            super::tenant_permissions().map(service::authz::Permission::word).collect();
        let admin = make("admin-tokens", json!({"name": name, "permissions": permissions})).await;
        let gateway = make("gateway-tokens", json!({ "name": name })).await;
        let word = name.replace(' ', "-");
        let invited = json!({"email": format!("{word}@example.net"), "role": "member"});
        let invitation = make("invitations", invited).await;
        let provider = make("providers", json!({"name": word, "display_name": name})).await;
        let model = make("models", json!({"provider": word, "name": name})).await;
        let alias = make("model-aliases", json!({"name": format!("{name}-alias"), "target": name})).await;
        let price = make("prices", json!({"model": name, "kind": "per_request", "per_request": "1"})).await;
        let upstream = Upstream::build(owner, &base, (&team, &word)).await;
        let (call, event) = call(app, organization.parse().unwrap(), (&text(&key, "id"), &team)).await;
        let limit = json!({"subject_kind": "key", "subject_id": key["id"], "metric": "cost", "window": "month", "amount": "9"});
        let limit = make("limits", limit).await;
        let (session, device) = signed_in(app, owner).await;
        let ids = [
            ("org", organization),
            ("user", person.user_id.clone()),
            ("team", team),
            ("sa", text(&account, "id")),
            ("key", text(&key, "id")),
            ("sec", text(&secrets["items"][0], "id")),
            ("at", text(&admin, "id")),
            ("gt", text(&gateway, "id")),
            ("prov", text(&provider, "id")),
            ("model", text(&model, "id")),
            ("alias", text(&alias, "id")),
            ("inv", text(&invitation, "id")),
            ("price", text(&price, "id")),
            ("res", call),
            ("evt", event),
            ("lim", text(&limit, "id")),
            ("pool", upstream.pool),
            ("conn", upstream.connection),
            ("cred", upstream.credential),
            ("map", upstream.mapping),
            ("ses", session),
            ("dev", device),
        ];
        Self {
            ids: ids.into_iter().map(|(prefix, id)| (prefix.to_owned(), id)).collect(),
            key: text(&key, "secret"),
            admin_token: text(&admin, "secret"),
            gateway_token: text(&gateway, "secret"),
        }
    }

    /// The id of its row of a kind.
    pub fn id(&self, prefix: &str) -> String {
        self.ids.get(prefix).unwrap_or_else(|| panic!("no {prefix}_… in the world of the walk")).clone()
    }
}

/// A session and a device of somebody.
async fn signed_in(app: &TestApp, somebody: &Client) -> (String, String) {
    let me = somebody.get("/v1/auth/me").await.ok();
    let login = json!({"email": me["user"]["email"], "password": tests::PASSWORD});
    app.anonymous().post("/v1/auth/login", login).await.ok();
    let first = async |path: &str| {
        let rows = somebody.get(path).await.ok();
        rows["items"][0]["id"].as_str().unwrap().to_owned()
    };
    (first("/v1/auth/sessions").await, first("/v1/auth/devices").await)
}

/// A connection of a team, with what hangs on it.
struct Upstream {
    pool: String,
    connection: String,
    credential: String,
    mapping: String,
}

impl Upstream {
    async fn build(owner: &Client, base: &str, (team, word): (&str, &str)) -> Self {
        let id = |row: serde_json::Value| row["id"].as_str().unwrap().to_owned();
        // Nothing takes its connections, so that no test of it goes anywhere; those of the upstream neither.
        let pool = json!({"name": word, "entries": [{"url": "http://user:pass@127.0.0.1:9"}]});
        let pool = id(owner.post(&format!("{base}/proxy-pools"), pool).await.created());
        let body =
            json!({"provider": "openai", "name": word, "team_id": team, "base_url": "http://127.0.0.1:9"});
        let connection = id(owner.post(&format!("{base}/connections"), body).await.created());
        let path = format!("{base}/connections/{connection}");
        let credential = owner.post(&format!("{path}/credentials"), json!({"secret": format!("sk-{word}")}));
        let credential = id(credential.await.created());
        let mapping = json!({"client_name": word, "upstream_name": word});
        let mapping = id(owner.post(&format!("{path}/mappings"), mapping).await.created());
        crate::connection_icons::put(owner, &path, crate::connection_icons::GIF).await.ok();
        Self { pool, connection, credential, mapping }
    }
}

/// A call with the key of a team, which is settled by an event and yet holds something.
async fn call(app: &TestApp, organization: OrganizationId, (key, team): (&str, &str)) -> (String, String) {
    let id: ReservationId = app.system.entropy.id(app.clock.now());
    let (key_id, team_id) = (key.parse().ok(), team.parse().ok());
    let event = ledger::event(organization, id);
    ledger::record(&app.system, [entity::usage_event::Model { key_id, team_id, ..event }]).await;
    let call = ledger::reservation(organization, id);
    ledger::reserve(&app.system, [entity::reservation::Model { key_id, team_id, ..call }]).await;
    ledger::sum_up(&app.system, organization).await;
    (id.to_string(), UsageEventId::new(id.uuid()).to_string())
}

//! A quiet tenant beside a heavy one: how long its calls of `authorize` take alone, and while an administrator of another
//! organization, with 100,000 prices and 20,000 keys, edits a price, imports a large list, revokes thousands of keys, pages
//! through lists, and exports. What the one does should cost the other at most three times.
//!
//! `cargo suite --bench stall`

use crate::{
    load::{self, Make, Report, request},
    stage::{self, Organization, Stage, insert},
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::OrganizationId,
    money::Rate,
    price,
    status::{Origin, PriceKind},
    terms::{Band, Component, Rates, ServiceTier, Terms},
};
use reqwest::{Client, Method, RequestBuilder};
use sea_orm::ConnectionTrait;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Builder, sync::oneshot, task::JoinHandle};

const TIME: Duration = Duration::from_secs(8);
const PRICES: usize = 100_000;
const KEYS: usize = 20_000;
/// Keys that one call revokes.
const REVOKED: usize = 5_000;
/// Models of a list that is imported.
const LISTED: usize = 20_000;
/// Connections of the quiet tenant.
const CONNECTIONS: usize = 4;
/// How long each of them waits between two calls.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs it on every database.
pub async fn run() {
    for kind in stage::databases() {
        println!(
            "== stall on {kind}: authorize of a quiet tenant, {CONNECTIONS} connections, {PAUSE:?} apart"
        );
        let heavy = Heavy::new(kind).await;
        let alone = heavy.clone().measure("alone", None, None).await;
        for (name, action) in ACTIONS {
            heavy.clone().measure(name, Some(*action), Some(alone)).await;
        }
    }
}

/// What an administrator does, again and again.
#[derive(Clone, Copy)]
enum Action {
    Edit,
    PlatformEdit,
    Import,
    Revoke,
    List,
    Export,
}

/// What adds prices comes after the export: a file holds no more than 100,000.
const ACTIONS: &[(&str, Action)] = &[
    ("all prices are exported", Action::Export),
    ("one price of 100,000 is edited", Action::Edit),
    ("one price of the platform is edited", Action::PlatformEdit),
    ("a list of 20,000 models is imported", Action::Import),
    ("5,000 keys are revoked", Action::Revoke),
    ("lists are paged through", Action::List),
];

/// The stage with both tenants.
struct Heavy {
    stage: Stage,
    quiet: Organization,
    busy: Organization,
    done: AtomicU64,
}

/// Who acts for the heavy tenant: on a thread of its own, since making a list and reading a file of megabytes is no work of the
/// server, whose runtime has but a few threads.
struct Administrator {
    heavy: Arc<Heavy>,
    client: Client,
}

impl Heavy {
    async fn new(kind: &str) -> Arc<Self> {
        let stage = Stage::new(kind).await;
        let quiet = stage.organization("quiet", 10).await;
        let busy = stage.organization("busy", KEYS).await;
        let now = stage.system.clock.local();
        let rows: Vec<_> = (0..PRICES).map(|n| row(&stage, busy.id, n, now)).collect();
        let transaction = stage.system.db.begin().await.expect("a transaction");
        insert(&transaction, rows).await;
        transaction.commit().await.expect("a commit");
        if kind == "postgres" {
            // As autovacuum does within a minute of so many rows.
            stage.system.db.writer.execute_unprepared("ANALYZE").await.expect("statistics");
        }
        let heavy = Arc::new(Self { stage, quiet, busy, done: AtomicU64::default() });
        let price = json!({"model": "gpt-4o", "kind": "per_token", "input": "2.5", "output": "10"});
        let administrator = Administrator { heavy: heavy.clone(), client: Client::new() };
        administrator.ok(administrator.call(Method::POST, "/v1/prices").json(&price)).await;
        heavy
    }

    async fn measure(self: Arc<Self>, name: &str, action: Option<Action>, alone: Option<Report>) -> Report {
        self.done.store(0, Ordering::Relaxed);
        let work = self.stage.system.books.work();
        let before = (work.books(), work.rows());
        let (stop, stopped) = oneshot::channel();
        let acting = action.map(|action| self.clone().start(action, stopped));
        let make = authorize(&self.quiet);
        let report = load::paced(self.stage.address, CONNECTIONS, TIME, PAUSE, make).await;
        if let Some(acting) = acting {
            stop.send(()).expect("it never ends by itself");
            acting.await.expect("an administrator's thread");
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let ratio = alone.map_or(1.0, |alone| report.p99.as_secs_f64() / alone.p99.as_secs_f64());
        println!(
            "{name:<40} p50 {:>8.2} ms   p99 {:>8.2} ms = {ratio:>6.2} x   {:>5} done, {} books and {} rows read",
            ms(report.p50),
            ms(report.p99),
            self.done.load(Ordering::Relaxed),
            work.books() - before.0,
            work.rows() - before.1,
        );
        report
    }

    /// Acts on a thread of its own until it is stopped.
    fn start(self: Arc<Self>, action: Action, stopped: oneshot::Receiver<()>) -> JoinHandle<()> {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                let administrator = Administrator { heavy: self, client: Client::new() };
                tokio::select! {
                    _ = stopped => {}
                    () = administrator.act(action) => unreachable!("it never ends"),
                }
            });
        })
    }
}

impl Administrator {
    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path.replace("{base}", &format!("/v1/organizations/{}", self.heavy.busy.id));
        let url = format!("http://{}{path}", self.heavy.stage.address);
        self.client.request(method, url).bearer_auth(&self.heavy.stage.owner)
    }

    async fn ok(&self, call: RequestBuilder) -> Vec<u8> {
        let reply = call.send().await.expect("a reply");
        let (status, url) = (reply.status(), reply.url().clone());
        let body = reply.bytes().await.expect("a body");
        assert!(status.is_success(), "{url}: {status} {}", String::from_utf8_lossy(&body));
        body.to_vec()
    }

    async fn act(&self, action: Action) {
        for n in 0_usize.. {
            match action {
                Action::Edit => self.edit("{base}/prices", n).await,
                Action::PlatformEdit => self.edit("/v1/prices", n).await,
                Action::Import => self.import(n).await,
                Action::Revoke => self.revoke(n).await,
                Action::List => self.list().await,
                Action::Export => {
                    drop(self.ok(self.call(Method::GET, "{base}/prices/export?format=json")).await);
                }
            }
            self.heavy.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A price, and a call that it is in force for.
    async fn edit(&self, prices: &str, n: usize) {
        let price = json!({"model": format!("new-{n}-{}", self.heavy.stage.system.clock.local().timestamp_micros()),
            "kind": "per_request", "per_request": "1"});
        self.ok(self.call(Method::POST, prices).json(&price)).await;
        let (_, key) = &self.heavy.busy.keys[KEYS - 1];
        let ask = self.client.post(format!("http://{}/v1/authorize", self.heavy.stage.address));
        self.ok(ask.bearer_auth(&self.heavy.busy.gateway).json(&json!({"key": key, "model": "model-7"})))
            .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    async fn import(&self, n: usize) {
        let entry = |model: usize| {
            let rate = format!("{}e-9", 1 + (model * 31 + n) % 1_000);
            let rate: Value = serde_json::from_str(&rate).expect("a number");
            (
                format!("listed-{model}"),
                json!({"mode": "chat", "litellm_provider": "openai",
                "input_cost_per_token": rate, "output_cost_per_token": rate}),
            )
        };
        let list: Map<String, Value> = (0..LISTED).map(entry).collect();
        let call = self.call(Method::POST, "{base}/prices/import?format=litellm").json(&Value::Object(list));
        self.ok(call).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    /// The next thousands, as long as there are any.
    async fn revoke(&self, n: usize) {
        if (n + 1) * REVOKED >= KEYS {
            std::future::pending::<()>().await;
        }
        let from = n * REVOKED;
        for some in self.heavy.busy.keys[from..from + REVOKED].chunks(1_000) {
            let ids: Vec<_> = some.iter().map(|(id, _)| *id).collect();
            self.ok(self.call(Method::POST, "{base}/keys/revoke").json(&json!({"key_ids": ids}))).await;
        }
    }

    async fn list(&self) {
        for table in ["prices", "keys", "audit-events"] {
            let mut path = format!("{{base}}/{table}?page_size=100");
            for _ in 0..20 {
                let page: Value =
                    serde_json::from_slice(&self.ok(self.call(Method::GET, &path)).await).expect("a page");
                let Some(cursor) = page["next_cursor"].as_str() else { break };
                path = format!("{{base}}/{table}?page_size=100&cursor={cursor}");
            }
        }
    }
}

fn authorize(organization: &Organization) -> Make {
    let keys: Vec<String> = organization.keys.iter().map(|(_, key)| key.clone()).collect();
    let gateway = organization.gateway.clone();
    Arc::new(move |n, count| {
        let at = (usize::try_from(count).expect("a count") + n) % keys.len();
        let body = format!("{{\"key\":\"{}\",\"model\":\"gpt-4o\",\"input_tokens\":10}}", keys[at]);
        request("POST", "/v1/authorize", &gateway, &body)
    })
}

fn row(stage: &Stage, organization_id: OrganizationId, n: usize, now: DateTime<Utc>) -> price::Model {
    let rate = |times: usize| Rate(i64::try_from(1_000_000 * (n % 1_000 + times)).expect("a rate"));
    let rates = [(Component::Input, rate(1)), (Component::Output, rate(4))];
    let standard = BTreeMap::from([(ServiceTier::Standard, Rates(BTreeMap::from(rates)))]);
    price::Model {
        id: stage.system.entropy.id(now),
        organization_id,
        connection_id: None,
        provider: None,
        model: Some(format!("model-{n}")),
        kind: PriceKind::PerToken,
        currency: "USD".into(),
        terms: Terms {
            tier_by: None,
            bands: vec![Band { up_to: None, rates: standard }],
            multipliers: BTreeMap::new(),
            off_peak: None,
        },
        markup_bps: 0,
        effective_from: now - TimeDelta::days(30),
        effective_until: None,
        origin: Origin::Manual,
        source: None,
        sourced_on: None,
        note: None,
        created_by: "system".into(),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

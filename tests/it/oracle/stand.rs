//! The keys and limits that are put to the test, made through the API, and the calls that workers make with them.

use super::{
    caller::{Caller, Doors},
    truth::{self, CENT, Kind, MOST, RATES, Truth, Used},
};
use serde_json::{Value, json};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};
use tests::server::Server;

const HERE: &str = "/v1/organizations/default";

/// A key, what it is for, and what has become of its calls.
pub struct Plan {
    pub kind: Kind,
    pub key: String,
    secret: String,
    /// A limit of the key itself.
    pub limit: String,
    pub truth: Mutex<Truth>,
}

/// Everything that is put to the test.
pub struct Stand {
    pub owner: Caller,
    gateway: String,
    doors: Doors,
    pub plans: Vec<Plan>,
    /// A limit of the organization on cost, one of the team on requests.
    around: [String; 2],
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

impl Stand {
    /// Makes it all on a server that is well.
    pub async fn new(server: &Server, doors: Doors, kinds: &[Kind]) -> Self {
        let owner = Caller::new(&doors, &server.sign_in().await);
        let cent = json!({"model": "cent", "kind": "per_request", "per_request": "0.01"});
        owner.make(&format!("{HERE}/prices"), &cent).await;
        let metered = json!({"model": "metered", "kind": "per_token", "input": "3", "output": "15"});
        owner.make(&format!("{HERE}/prices"), &metered).await;
        let team = text(&owner.make(&format!("{HERE}/teams"), &json!({"name": "oracle"})).await["id"]);
        let organization = text(&owner.get(HERE).await["id"]);
        let limit = async |kind: &str, id: &str, metric: &str, amount: &str| {
            let body = json!({"subject_kind": kind, "subject_id": id, "metric": metric, "window": "total", "amount": amount});
            text(&owner.make(&format!("{HERE}/limits"), &body).await["id"])
        };
        let around = [
            limit("organization", &organization, "cost", "1000000").await,
            limit("team", &team, "requests", "1000000000").await,
        ];
        let mut plans = Vec::new();
        for kind in kinds {
            let (metric, amount) = match kind {
                Kind::Wide => ("tokens", "1000000000000".to_owned()),
                Kind::Tight(fit) => ("cost", format!("{}.{:02}", fit / 100, fit % 100)),
                Kind::Churning(fit) => ("requests", fit.to_string()),
            };
            let body = json!({"name": format!("{kind:?}"), "team_id": team,
                "limits": [{"metric": metric, "window": "total", "amount": amount}]});
            let made = owner.make(&format!("{HERE}/keys"), &body).await;
            plans.push(Plan {
                kind: *kind,
                key: text(&made["id"]),
                secret: text(&made["secret"]),
                limit: text(&made["limits"][0]["id"]),
                truth: Mutex::default(),
            });
        }
        let token = owner.make(&format!("{HERE}/gateway-tokens"), &json!({"name": "oracle"})).await;
        Self { gateway: text(&token["secret"]), owner, doors, plans, around }
    }

    /// A gateway that calls any of the instances, or only those behind other doors.
    pub fn gateway(&self, doors: Option<&Doors>) -> Caller {
        Caller::new(doors.unwrap_or(&self.doors), &self.gateway)
    }

    /// Makes calls until then; the longest that one answer took.
    pub async fn work(&self, gateway: &Caller, until: Instant) -> Duration {
        let mut longest = Duration::ZERO;
        while Instant::now() < until {
            let plan = &self.plans[rand::random::<u32>() as usize % self.plans.len()];
            longest = longest.max(plan.call(gateway).await);
        }
        longest
    }

    /// Settles what is open.
    pub async fn finish(&self, gateway: &Caller) {
        for plan in &self.plans {
            let open = plan.truth.lock().unwrap().open.clone();
            for id in open {
                plan.settle(gateway, &id).await;
            }
        }
    }

    /// What the server says is what has happened.
    pub async fn check(&self) {
        let (mut cost, mut held, mut calls, mut open, mut all) = (0, 0, 0, 0, 0);
        let events = truth::events(&self.owner).await;
        for plan in &self.plans {
            let counted = truth::counted(&self.owner, &plan.limit).await;
            let (events_of, totals) = truth::totals(&self.owner, &plan.key).await;
            let truth = plan.truth.lock().unwrap();
            let used = truth.used();
            let (worst, waiting) = (plan.worst(), truth.waiting());
            let expected = match plan.kind {
                Kind::Wide => (used.tokens.iter().sum(), waiting * MOST.iter().sum::<i64>()),
                Kind::Tight(_) => (used.cost, waiting * worst),
                Kind::Churning(_) => (truth.calls(), waiting),
            };
            assert_eq!(counted, expected, "{:?}: used and held", plan.kind);
            assert_eq!((events_of, totals), (truth.calls(), used), "{:?}: totals", plan.kind);
            for (id, used) in &truth.settled {
                let found = events.get(id).unwrap_or_else(|| panic!("a settled call was lost: {id}"));
                assert_eq!(found, &(plan.key.clone(), *used), "{id}");
            }
            cost += used.cost;
            held += waiting * worst;
            calls += truth.calls();
            open += waiting;
            all += truth.settled.len();
        }
        assert_eq!(events.len(), all, "there are events of calls that were not settled");
        assert_eq!(
            truth::counted(&self.owner, &self.around[0]).await,
            (cost, held),
            "the organization's cost"
        );
        assert_eq!(truth::counted(&self.owner, &self.around[1]).await, (calls, open), "the team's requests");
    }

    /// Looks again and again until then: nothing that is limited tightly is ever above its amount.
    pub async fn watch(&self, until: Instant) {
        while Instant::now() < until {
            for plan in &self.plans {
                let most = match plan.kind {
                    Kind::Wide => continue,
                    Kind::Tight(fit) => i64::try_from(fit).unwrap() * CENT,
                    Kind::Churning(fit) => i64::try_from(fit).unwrap(),
                };
                let (used, held) = truth::counted(&self.owner, &plan.limit).await;
                assert!(used + held <= most, "{:?}: {used} used and {held} held of {most}", plan.kind);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Plan {
    fn model(&self) -> &'static str {
        if matches!(self.kind, Kind::Tight(_)) { "cent" } else { "metered" }
    }

    /// The most that a call costs.
    fn worst(&self) -> i64 {
        match self.kind {
            Kind::Tight(_) => CENT,
            _ => MOST[0] * RATES[0] + MOST[1] * RATES[1],
        }
    }

    /// One call from beginning to end; some that may be are voided, or left open. The longest that an answer took.
    pub async fn call(&self, gateway: &Caller) -> Duration {
        let begun = Instant::now();
        let Some(id) = self.authorize(gateway).await else { return begun.elapsed() };
        let authorized = begun.elapsed();
        let begun = Instant::now();
        match (self.kind, rand::random::<u32>() % 100) {
            (Kind::Tight(_), _) => self.settle(gateway, &id).await,
            (Kind::Wide, 0) => {}
            (_, 0..25) => self.void(gateway, &id).await,
            _ => self.settle(gateway, &id).await,
        }
        begun.elapsed().max(authorized)
    }

    /// The call, if it may be made.
    pub async fn authorize(&self, gateway: &Caller) -> Option<String> {
        let id = format!("res_{}", uuid::Uuid::now_v7().simple());
        let voided = self.truth.lock().unwrap().start();
        let body = json!({"key": self.secret, "model": self.model(), "reservation_id": id,
                          "input_tokens": MOST[0], "max_output_tokens": MOST[1]});
        let reply = gateway.post("/v1/authorize", &body).await;
        let mut truth = self.truth.lock().unwrap();
        if reply["allowed"] != true {
            truth.deny(self.kind, voided);
            return None;
        }
        assert_eq!(reply["reservation_id"], json!(id));
        truth.allow(&id);
        Some(id)
    }

    /// Settles a call, some of them twice.
    pub async fn settle(&self, gateway: &Caller, id: &str) {
        let random = rand::random::<u32>();
        let tokens = [0, 1].map(|n| i64::from(random >> (16 * n)) % (MOST[n] + 1));
        let cost = match self.kind {
            Kind::Tight(_) => CENT,
            _ => tokens[0] * RATES[0] + tokens[1] * RATES[1],
        };
        let body = json!({"reservation_id": id,
                          "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]}});
        let reply = gateway.post("/v1/settle", &body).await;
        assert_eq!(truth::figure(&reply["attempts"][0]["cost"]), cost, "{reply}");
        self.truth.lock().unwrap().settle(id, Used { tokens, cost });
        if random.is_multiple_of(10) {
            assert_eq!(gateway.post("/v1/settle", &body).await, reply, "a repetition is told something else");
        }
    }

    async fn void(&self, gateway: &Caller, id: &str) {
        let reply = gateway.post("/v1/void", &json!({"reservation_id": id})).await;
        assert_eq!(reply["state"], "voided");
        self.truth.lock().unwrap().void(id);
    }
}

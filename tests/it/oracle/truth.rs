//! What was truly used, and that the server says the same.

use super::caller::Caller;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Billionths of a dollar that calls cost: a request of the one model, tokens of the other.
pub const CENT: i64 = 10_000_000;
pub const RATES: [i64; 2] = [3_000, 15_000];
/// The most that is asked for: tokens of the prompt, of the completion.
pub const MOST: [i64; 2] = [1_000, 200];

/// What kind of a key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its limits are far away: it must never be denied.
    Wide,
    /// So many calls fit its budget, all of which happen.
    Tight(u64),
    /// So many requests fit, and calls that do not happen give theirs back.
    Churning(u64),
}

/// What a call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub tokens: [i64; 2],
    pub cost: i64,
}

/// What has become of the calls of a key.
#[derive(Debug, Default)]
pub struct Truth {
    started: u64,
    denied: u64,
    voided: u64,
    pub allowed: u64,
    pub settled: BTreeMap<String, Used>,
    /// Calls that are neither settled nor voided.
    pub open: BTreeSet<String>,
}

impl Truth {
    /// A call is to be asked for; how many were voided before.
    pub fn start(&mut self) -> u64 {
        self.started += 1;
        self.voided
    }

    /// It was denied: that is right only if what else was asked for can have filled the limit meanwhile.
    pub fn deny(&mut self, kind: Kind, voided_before: u64) {
        self.denied += 1;
        let others = self.started - self.denied - voided_before;
        match kind {
            Kind::Wide => panic!("a limit that is far away denies"),
            Kind::Tight(fit) | Kind::Churning(fit) => {
                assert!(others >= fit, "denied with {others} other calls, and {fit} fit");
            }
        }
    }

    pub fn allow(&mut self, id: &str) {
        self.allowed += 1;
        assert!(self.open.insert(id.to_owned()));
    }

    pub fn settle(&mut self, id: &str, used: Used) {
        assert!(self.open.remove(id));
        assert!(self.settled.insert(id.to_owned(), used).is_none());
    }

    pub fn void(&mut self, id: &str) {
        assert!(self.open.remove(id));
        self.voided += 1;
    }

    pub fn used(&self) -> Used {
        self.settled.values().fold(Used::default(), |sum, used| Used {
            tokens: [0, 1].map(|n| sum.tokens[n] + used.tokens[n]),
            cost: sum.cost + used.cost,
        })
    }

    pub fn calls(&self) -> i64 {
        i64::try_from(self.settled.len()).unwrap()
    }

    pub fn waiting(&self) -> i64 {
        i64::try_from(self.open.len()).unwrap()
    }
}

/// A figure on the wire: money in billionths, or a count.
pub fn figure(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no figure: {value}"));
    let Some((whole, rest)) = text.split_once('.') else { return text.parse().unwrap() };
    assert_eq!(rest.len(), 9, "{text}");
    whole.parse::<i64>().unwrap() * 1_000_000_000 + rest.parse::<i64>().unwrap()
}

/// What the only window of a limit that counts for ever has counted: used and held.
pub async fn counted(owner: &Caller, limit: &str) -> (i64, i64) {
    let page = owner.get(&format!("/v1/organizations/default/limits/{limit}/windows")).await;
    let items = page["items"].as_array().unwrap();
    assert!(items.len() <= 1, "{page}");
    items.first().map_or((0, 0), |window| (figure(&window["used"]), figure(&window["held"])))
}

/// Every event there is: the call, the key and what was used. None is there twice.
pub async fn events(owner: &Caller) -> BTreeMap<String, (String, Used)> {
    let (mut found, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let path = format!("/v1/organizations/default/usage/events?page_size=100{cursor}");
        let page = owner.get(&path).await;
        for event in page["items"].as_array().unwrap() {
            let text = |field: &str| event[field].as_str().unwrap().to_owned();
            let tokens =
                ["input_tokens", "output_tokens"].map(|class| event["usage"][class].as_i64().unwrap());
            let used = Used { tokens, cost: figure(&event["cost"]) };
            let before = found.insert(text("reservation_id"), (text("key_id"), used));
            assert!(before.is_none(), "an event is there twice: {event}");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// What the totals of a key say: events and what was used.
pub async fn totals(owner: &Caller, key: &str) -> (i64, Used) {
    let totals = owner.get(&format!("/v1/organizations/default/keys/{key}/usage")).await;
    let tokens = ["input_tokens", "output_tokens"].map(|class| totals["usage"][class].as_i64().unwrap());
    let costs = totals["costs"].as_array().unwrap();
    assert!(costs.len() <= 1, "{totals}");
    let cost = costs.first().map_or(0, |cost| figure(&cost["cost"]));
    (totals["events"].as_i64().unwrap(), Used { tokens, cost })
}

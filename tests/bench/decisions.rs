//! `authorize`, keys only: requests a second and latencies over loopback at 1 and 64 connections, against a bare axum
//! handler of the same shape in the same run; and in an organization of a million keys, ten of which are edited every
//! second, against one of ten keys at rest.
//!
//! `cargo suite --bench decisions`

use crate::{
    load::{self, Make, Report, line, request},
    stage::{self, Organization, Stage},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const TIME: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
const MILLION: usize = 1_000_000;

/// Runs it on every database.
pub async fn run() {
    for kind in stage::databases() {
        println!("== decisions on {kind}, {} MiB idle", stage::memory());
        let stage = Stage::new(kind).await;
        ceiling(&stage).await;
        growth(&stage).await;
    }
}

/// Asks for one key after the other, with a step that is prime to their number: all are visited, in no order that a
/// cache could like.
fn authorize(organization: &Organization) -> Make {
    let keys: Vec<String> = organization.keys.iter().map(|(_, key)| key.clone()).collect();
    let gateway = organization.gateway.clone();
    Arc::new(move |n, count| {
        let at = (usize::try_from(count).expect("a count") * 104_729 + n * 7_919) % keys.len();
        let body = format!("{{\"key\":\"{}\",\"model\":\"gpt-4o\"}}", keys[at]);
        request("POST", "/v1/authorize", &gateway, &body)
    })
}

async fn ceiling(stage: &Stage) {
    let small = stage.organization("small", 10).await;
    let reply = serde_json::json!({
        "allowed": true,
        "decision_id": "dec_019aa3c1f6b07c3e9a5d2f4b8c6e1d70",
        "key": {"id": small.keys[0].0, "name": "bench", "tags": {}, "team_id": small.team},
    });
    let bare = stage::bare("/v1/authorize", reply).await;
    for connections in [1, 64] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(load::run(bare, connections, TIME, authorize(&small)).await);
            ours.push(load::run(stage.address, connections, TIME, authorize(&small)).await);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        line("bare axum handler", connections, theirs);
        line("authorize", connections, ours);
        println!("   ratio to the ceiling {:.3}", ours.rate / theirs.rate);
    }
}

fn median(mut reports: Vec<Report>) -> Report {
    reports.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    reports[reports.len() / 2]
}

/// A million keys with ten edits a second against ten keys at rest, in turns.
async fn growth(stage: &Stage) {
    let few = stage.organization("few", 10).await;
    let many = stage.organization("many", MILLION).await;
    let editing = Arc::new(AtomicBool::new(false));
    let editor = tokio::spawn(edit(stage.address, stage.owner.clone(), many.clone(), editing.clone()));
    for in_use in [10_000, MILLION] {
        let busy = authorize(&Organization { keys: many.keys[..in_use].to_vec(), ..many.clone() });
        let held = stage::memory();
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            small.push(load::run(stage.address, 64, TIME, authorize(&few)).await);
            editing.store(true, Ordering::Relaxed);
            large.push(load::run(stage.address, 64, TIME, busy.clone()).await);
            editing.store(false, Ordering::Relaxed);
        }
        let (small, large) = (median(small), median(large));
        line("ten keys at rest", 64, small);
        line(&format!("a million keys, {in_use} in use, ten edits/s"), 64, large);
        println!(
            "   ratio {:.3}; memory {held} MiB before, {} MiB after",
            large.rate / small.rate,
            stage::memory()
        );
    }
    editor.abort();
}

/// Ten edits a second, spread over the organization's keys, while it is asked to.
async fn edit(address: SocketAddr, owner: String, many: Organization, on: Arc<AtomicBool>) {
    let client = reqwest::Client::new();
    for n in 0.. {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if on.load(Ordering::Relaxed) {
            let (key, _) = &many.keys[n * 31 % 10_000];
            let url = format!("http://{address}/v1/organizations/{}/keys/{key}", many.id);
            let change = serde_json::json!({"name": format!("edit {n}")});
            let reply = client.patch(url).bearer_auth(&owner).json(&change).send().await.expect("an edit");
            assert!(reply.status().is_success(), "edit: {}", reply.status());
        }
    }
}

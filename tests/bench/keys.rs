//! Virtual keys over loopback: making them in one organization and in a hundred, against a bare axum handler of the same
//! shape in the same run; and listing them at a thousand and at a million, first and deep page.
//!
//! `cargo suite --bench keys`

use crate::{
    load::{self, Make, line, request},
    stage::{self, Organization, Stage},
};
use std::{sync::Arc, time::Duration};

const TIME: Duration = Duration::from_secs(3);

/// Runs it on every database.
pub async fn run() {
    for kind in stage::databases() {
        println!("== keys on {kind}, {} MiB idle", stage::memory());
        let stage = Stage::new(kind).await;
        creation(&stage).await;
        listing(&stage).await;
    }
}

fn create(owner: &str, organizations: &[Organization]) -> Make {
    let one = |organization: &Organization| {
        let path = format!("/v1/organizations/{}/keys", organization.id);
        let body = serde_json::json!({"name": "bench", "team_id": organization.team}).to_string();
        request("POST", &path, owner, &body)
    };
    let requests: Vec<Vec<u8>> = organizations.iter().map(one).collect();
    Arc::new(move |n, count| {
        requests[(n + usize::try_from(count).expect("a count")) % requests.len()].clone()
    })
}

async fn creation(stage: &Stage) {
    let mut organizations = Vec::new();
    for n in 0..100 {
        organizations.push(stage.organization(&format!("org-{n}"), 0).await);
    }
    let reply = serde_json::json!({
        "id": "key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "name": "bench", "secret": "x".repeat(74), "version": 1,
        "status": "active", "tags": {}, "metadata": {}, "allowed_models": null, "blocked_by": [],
    });
    let bare = stage::bare("/v1/organizations/{organization}/keys", reply).await;
    for connections in [1, 64] {
        let ceiling = load::run(bare, connections, TIME, create(&stage.owner, &organizations)).await;
        line("bare axum handler", connections, ceiling);
        for some in [&organizations[..1], &organizations[..]] {
            let report = load::run(stage.address, connections, TIME, create(&stage.owner, some)).await;
            line(&format!("create a key, {} organization(s)", some.len()), connections, report);
            println!("   ratio to the ceiling {:.4}", report.rate / ceiling.rate);
        }
    }
}

async fn listing(stage: &Stage) {
    let small = stage.organization("small", 1_000).await;
    let large = stage.organization("large", 1_000_000).await;
    let deep = (deep(stage, &small, 8).await, deep(stage, &large, 2_000).await);
    for (name, few, many) in [("first page", "", ""), ("deep page", deep.0.as_str(), deep.1.as_str())] {
        let few = load::run(stage.address, 1, TIME, page(stage, &small, few)).await;
        let many = load::run(stage.address, 1, TIME, page(stage, &large, many)).await;
        line(&format!("list of 1,000 keys, {name}"), 1, few);
        line(&format!("list of 1,000,000 keys, {name}"), 1, many);
        println!("   ratio of median latencies {:.3}", many.p50.as_secs_f64() / few.p50.as_secs_f64());
    }
}

fn page(stage: &Stage, organization: &Organization, query: &str) -> Make {
    let path = format!("/v1/organizations/{}/keys?page_size=100{query}", organization.id);
    let bytes = request("GET", &path, &stage.owner, "");
    Arc::new(move |_, _| bytes.clone())
}

/// Follows the cursor for this many pages; answers the query for the next.
async fn deep(stage: &Stage, organization: &Organization, pages: usize) -> String {
    let client = reqwest::Client::new();
    let mut query = String::new();
    for _ in 0..pages {
        let path = format!("/v1/organizations/{}/keys?page_size=100{query}", organization.id);
        let url = format!("http://{}{path}", stage.address);
        let reply = client.get(url).bearer_auth(&stage.owner).send().await.expect("a page");
        let page: serde_json::Value = reply.json().await.expect("JSON");
        query = format!("&cursor={}", page["next_cursor"].as_str().expect("more pages"));
    }
    query
}

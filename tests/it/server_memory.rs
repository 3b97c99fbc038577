//! What the real program keeps in memory: no more for many sign-ins than for as many as are checked at a time, and no more
//! for a file than a small multiple of it.

#![cfg(target_os = "linux")]

use futures_util::future::join_all;
use serde_json::json;
use std::fmt::Write;
use tests::{
    Backend,
    server::{Installation, Server},
};

const MIB: usize = 1024 * 1024;

/// A line of the process's status, in bytes.
fn memory(server: &Server, line: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn sign_ins_leave_no_memory_behind() {
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    installation.set("PASSWORD_WORKERS", "2");
    let server = installation.serve().await;
    server.sign_in().await;
    let before = memory(&server, "VmRSS:");
    let wrong = |n: usize| {
        let body = json!({"email": format!("nobody-{n}@example.com"), "password": "wrong, and wrong again"});
        let server = &server;
        async move { server.post("/v1/auth/login", None, &body).await.0 }
    };
    let mut checked = 0;
    for round in 0..6 {
        let answers = join_all((0..20).map(|n| wrong(round * 20 + n))).await;
        checked += answers.iter().filter(|status| **status == 401).count();
    }
    assert!(checked > 10, "nothing was checked: the test shows nothing");
    // Two of 19 MiB, one of which was there before, and what everything else takes.
    let grown = memory(&server, "VmRSS:").saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB more", grown / MIB);
}

/// A price list of our own with this many prices, in JSON.
fn list(prices: usize) -> String {
    let mut text = String::from("{\"version\": 1, \"prices\": [");
    for n in 0..prices {
        let comma = if n == 0 { "" } else { "," };
        let note = "A remark of some length, as people write them beside prices. ".repeat(5);
        write!(
            text,
            "{comma}{{\"model\": \"model-{n}\", \"provider\": \"openai\", \"currency\": \"USD\", \
             \"kind\": \"per_token\", \"input\": \"1\", \"output\": \"2\", \"note\": \"{note}\"}}"
        )
        .unwrap();
    }
    text + "]}"
}

async fn import(server: &Server, owner: &str, file: &str, dry_run: bool) -> serde_json::Value {
    let path = format!("/v1/organizations/default/prices/import?dry_run={dry_run}");
    let request = reqwest::Client::new().post(server.url(&path)).bearer_auth(owner);
    let request = request.header("content-type", "application/json").body(file.to_owned());
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200);
    reply.json().await.unwrap()
}

#[tokio::test]
async fn an_import_takes_a_small_multiple_of_its_file() {
    let installation = Installation::new(Backend::Sqlite).await.with_owner();
    let server = installation.serve().await;
    let owner = server.sign_in().await;
    let file = list(25_000);
    assert!(file.len() > 10 * MIB, "{}", file.len());
    // What every import needs is there already.
    import(&server, &owner, &list(100), true).await;
    let before = memory(&server, "VmRSS:");
    // The rows that are to be written come on top.
    for (dry_run, times) in [(true, 4), (false, 7)] {
        let report = import(&server, &owner, &file, dry_run).await;
        assert_eq!(report["counts"]["added"], json!(25_000), "{report}");
        let grown = memory(&server, "VmHWM:").saturating_sub(before);
        assert!(grown < times * file.len(), "{} MiB for {} MiB", grown / MIB, file.len() / MIB);
    }
}

//! A disk that is full under a server that runs: whatever was answered 200 is there after a restart, whatever was not can be
//! repeated, and the first write after there is space again is kept.

use std::time::{Duration, Instant};
use tests::{
    Backend,
    disk::Disk,
    server::Installation,
    witness::{Witness, ready},
};

async fn installation() -> (Installation, Disk) {
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    installation.set("PUBLIC_URL", "http://full.test");
    let disk = Disk::under(&mut installation);
    (installation, disk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_writes_a_page_a_second_at_most() {
    const ASKED: u64 = 400;
    /// A page in the log.
    const FRAME: u64 = 4096 + 24;
    let installation = Installation::new(Backend::Sqlite).await.with_owner();
    let server = installation.serve().await;
    let log = installation.directory().join("tollkeeper.db-wal");
    let size = || std::fs::metadata(&log).unwrap().len();
    let (begun, before) = (Instant::now(), size());
    let mut asked = 0;
    while asked < ASKED || size() == before {
        ready(&server, 200).await;
        asked += 1;
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing is written");
    }
    // Beside what a server writes at its start.
    let pages = (size() - before) / FRAME;
    assert!(pages <= begun.elapsed().as_secs() + 40, "{asked} questions have written {pages} pages");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_around_a_full_disk_is_kept() {
    let (installation, disk) = installation().await;
    let mut server = installation.serve().await;
    let mut witness = Witness::new(&server).await;
    let mut open = Vec::new();
    for _ in 0..60 {
        open.push(witness.open(&server).await);
    }
    let mut keys = Vec::new();
    for n in 0..8 {
        keys.push(witness.key(&server, &format!("k{n}")).await.1);
    }

    disk.fill(&server, 0);
    let mut seen = Vec::new();
    for id in open.drain(..8) {
        seen.push(witness.settle(&server, &id).await);
    }
    for key in keys.drain(..4) {
        seen.push(witness.revoke(&server, &key).await);
        seen.push(witness.key(&server, "none").await.0);
    }
    assert!(seen.contains(&503), "the disk is not full: {seen:?}");
    let problem = ready(&server, 503).await;
    assert_eq!(problem["code"], disk.code(), "{problem}");
    if disk.is_shared() {
        let report = installation.run(&["doctor"]).await;
        assert!(report.out.contains("WRONG  writes"), "{}", report.out);
        report.refused();
    }

    disk.clear(&server);
    // Nothing else is needed: the very next ones succeed, and are kept.
    for id in open.drain(..20) {
        assert_eq!(witness.settle(&server, &id).await, 200, "{}", server.log());
    }
    for key in &keys {
        assert_eq!(witness.revoke(&server, key).await, 200);
    }
    ready(&server, 200).await;
    for id in open {
        assert_eq!(witness.settle(&server, &id).await, 200);
    }
    let (_, metrics) = (server.log(), server.text("/metrics", &witness.owner).await);
    assert!(metrics.contains("tollkeeper_database_commit_failures_total"), "{metrics}");
    assert_eq!(server.log().matches("nothing can be written").count(), 1, "{}", server.log());
    assert_eq!(server.log().matches("the database can be written again").count(), 1, "{}", server.log());

    server.terminate();
    assert!(server.ended().await.success());
    let server = installation.serve().await;
    witness.verify(&server).await;
    assert!(installation.run(&["doctor"]).await.ok().contains("ok     writes"));
}

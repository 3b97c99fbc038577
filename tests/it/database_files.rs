//! The files of a SQLite database that are deleted, moved or replaced under a server that runs: nothing is confirmed any more,
//! what was confirmed before is kept, and the log says it once.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tests::{
    Backend,
    server::{Installation, Server},
    witness::{BASE, Witness, ready},
};

async fn installation() -> (Installation, PathBuf) {
    let mut installation = Installation::new(Backend::Sqlite).await.with_owner();
    installation.set("PUBLIC_URL", "http://files.test");
    let file = installation.directory().join("tollkeeper.db");
    (installation, file)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", file.display()).into()
}

/// A server with some calls that are settled, and some that are open.
async fn settled(server: &Server) -> (Witness, Vec<String>) {
    let mut witness = Witness::new(server).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let id = witness.open(server).await;
        assert_eq!(witness.settle(server, &id).await, 200);
        open.push(witness.open(server).await);
    }
    (witness, open)
}

/// Nothing is confirmed, by no door.
async fn confirms_nothing(server: &Server, witness: &mut Witness, open: &[String]) {
    for id in open {
        assert_eq!(witness.settle(server, id).await, 503, "{}", server.log());
        let (status, body) = witness.key(server, "none").await;
        assert_eq!((status, &body["code"]), (503, &Value::from("database_unavailable")), "{body}");
    }
    assert_eq!(ready(server, 503).await["code"], "database_replaced");
    // Who reads is answered from what is open, or refused at once: no connection is made to the wrong file.
    let owner = witness.owner.clone();
    let path = format!("{BASE}/keys");
    let reads = futures_util::future::join_all((0..40).map(|_| server.get(&path, Some(&owner)))).await;
    assert!(reads.iter().all(|(status, _)| matches!(status, 200 | 503)), "{reads:?}");
    assert_eq!(server.log().matches("nothing can be written").count(), 1, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_log_costs_nothing_that_was_confirmed() {
    let (installation, file) = installation().await;
    let server = installation.serve().await;
    let (mut witness, open) = settled(&server).await;
    fs::remove_file(beside(&file, "-wal")).unwrap();
    confirms_nothing(&server, &mut witness, &open).await;
    server.kill();
    let server = installation.serve().await;
    witness.verify(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_opens_a_database_whose_log_was_deleted() {
    let (installation, file) = installation().await;
    let mut server = installation.serve().await;
    let (mut witness, open) = settled(&server).await;
    fs::remove_file(beside(&file, "-wal")).unwrap();
    confirms_nothing(&server, &mut witness, &open).await;
    let copy = installation.directory().join("copy.db").display().to_string();
    for command in [
        &["doctor"][..],
        &["migrate", "status"],
        &["backup", &copy],
        &["admin", "reset-link", "owner@example.com"],
    ] {
        let errors = installation.run(command).await.refused();
        assert!(errors.contains("was deleted while the database is served"), "{command:?}: {errors}");
        assert!(!beside(&file, "-wal").exists(), "{command:?} makes a log");
    }
    server.terminate();
    server.ended().await;
    installation.run(&["doctor"]).await.ok();
    witness.verify(&installation.serve().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_overwritten_is_not_written() {
    let (installation, file) = installation().await;
    let server = installation.serve().await;
    let (mut witness, open) = settled(&server).await;
    // The same file with other content, as `cp` does it.
    fs::write(&file, b"").unwrap();
    for id in &open {
        assert_eq!(witness.settle(&server, id).await, 503, "{}", server.log());
        assert_eq!(ready(&server, 503).await["code"], "database_replaced");
    }
    assert_eq!(server.log().matches("nothing can be written").count(), 1, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_shared_memory_nothing_is_confirmed() {
    let (installation, file) = installation().await;
    let mut server = installation.serve().await;
    let (mut witness, open) = settled(&server).await;
    fs::remove_file(beside(&file, "-shm")).unwrap();
    confirms_nothing(&server, &mut witness, &open).await;
    server.terminate();
    server.ended().await;
    let server = installation.serve().await;
    witness.verify(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_moved_and_brought_back_is_written_again() {
    let (installation, file) = installation().await;
    let server = installation.serve().await;
    let (mut witness, open) = settled(&server).await;
    let away = beside(&file, ".away");
    fs::rename(&file, &away).unwrap();
    confirms_nothing(&server, &mut witness, &open[..2]).await;
    fs::rename(&away, &file).unwrap();
    for id in &open {
        assert_eq!(witness.settle(&server, id).await, 200, "{}", server.log());
    }
    ready(&server, 200).await;
    server.kill();
    witness.verify(&installation.serve().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_file_in_its_place_is_not_written() {
    let (installation, file) = installation().await;
    let server = installation.serve().await;
    let (mut witness, open) = settled(&server).await;
    let copy = installation.directory().join("copy.db");
    installation.run(&["backup", copy.to_str().unwrap()]).await.ok();
    let before = fs::read(&copy).unwrap();
    fs::rename(&copy, &file).unwrap();
    confirms_nothing(&server, &mut witness, &open[..2]).await;
    drop(server);
    assert_eq!(fs::read(&file).unwrap(), before, "the other file is written to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_is_not_made_again() {
    let (installation, file) = installation().await;
    let server = installation.serve().await;
    let (mut witness, open) = settled(&server).await;
    fs::remove_file(&file).unwrap();
    confirms_nothing(&server, &mut witness, &open[..2]).await;
    assert!(!file.exists());
}

#[tokio::test]
async fn looking_makes_no_file() {
    let (installation, file) = installation().await;
    let files = || {
        let names = fs::read_dir(installation.directory()).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let status = installation.run(&["migrate", "status"]).await.ok();
    assert!(status.contains("pending") && !status.contains("applied"), "{status}");
    let backup = file.display().to_string() + ".copy";
    let commands: [&[&str]; 5] = [
        &["doctor"],
        &["backup", &backup],
        &["rotate-key"],
        &["admin", "create-user", "ada@example.com"],
        &["migrate", "status"],
    ];
    for command in commands {
        let finished = installation.run(command).await;
        let told = command[0] == "migrate" || finished.errors.contains("does not exist");
        assert!(told, "{command:?}: {finished:?}");
        assert_eq!(files(), [""; 0], "{command:?}");
    }

    let mut server = installation.serve().await;
    // By then it also hears signals.
    server.sign_in().await;
    server.terminate();
    assert!(server.ended().await.success());
    let before = files();
    assert!(
        before.iter().all(|name| !name.ends_with("-wal")),
        "a server that stops leaves its log: {before:?}"
    );
    installation.run(&["migrate", "status"]).await.ok();
    installation.run(&["doctor"]).await.ok();
    assert_eq!(files(), before);
}

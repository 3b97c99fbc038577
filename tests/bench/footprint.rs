//! What an idle server costs: time to its first answer, resident memory, size of the binary.
//!
//! `cargo suite --bench footprint`

use crate::stage;
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Starts the release binary over a fresh SQLite file, twice: the second start finds its schema and its secrets.
pub async fn run() {
    println!("== footprint");
    let binary = binary();
    let size = std::fs::metadata(&binary).expect("the release binary").len();
    println!("binary {:.1} MiB", f64::from(u32::try_from(size).expect("under 4 GiB")) / f64::from(1 << 20));
    let directory = tempfile::tempdir().expect("a directory");
    for start in ["first", "second"] {
        let begun = Instant::now();
        let mut command = Command::new(&binary);
        command.current_dir(directory.path()).env("TOLLKEEPER_LISTEN", "127.0.0.1:0");
        let mut server =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the server starts");
        let lines = BufReader::new(server.stdout.take().expect("its output")).lines();
        let address = lines.map(|line| line.expect("output")).find_map(|line| {
            let at = line.find("http://127.0.0.1:")?;
            Some(line[at..].split_whitespace().next()?.trim_end_matches('/').to_owned())
        });
        let address = address.expect("an address");
        let reply = reqwest::get(format!("{address}/health/ready")).await.expect("an answer");
        assert!(reply.status().is_success(), "ready: {}", reply.status());
        let ready = begun.elapsed();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let memory = stage::memory_of(&server.id().to_string());
        println!("{start} start: ready after {} ms, {memory} MiB idle", ready.as_millis());
        server.kill().and_then(|()| server.wait()).expect("it ends");
    }
}

/// The release binary stands beside the folder of this program.
fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("this program");
    here.ancestors().nth(2).expect("the target folder").join("tollkeeper")
}

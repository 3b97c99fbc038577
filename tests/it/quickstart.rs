//! The quick start of the README, line by line, as a newcomer types it.

use std::process::{Command, Stdio};
use tests::{Backend, server::Installation};

const README: &str = include_str!("../../README.md");

/// The shell blocks between the markers.
fn script() -> String {
    let (_, rest) = README.split_once("<!-- quick start").expect("the quick start has a beginning");
    let (quick_start, _) = rest.split_once("<!-- end of the quick start -->").expect("and an end");
    let blocks = quick_start.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.collect()
}

/// What its comments say that it prints.
fn expected(script: &str) -> Vec<&str> {
    script.lines().filter_map(|line| line.split_once("#=> ")).map(|(_, text)| text.trim()).collect()
}

#[tokio::test]
async fn the_quick_start_does_what_it_says() {
    let installation = Installation::new(Backend::Sqlite).await;
    let server = installation.serve_with(&[]).await;
    let script = script();
    assert!(script.contains("API=http://127.0.0.1:8080\n"));
    let run = script.replace("http://127.0.0.1:8080", &server.url(""));
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &run]).current_dir(installation.directory()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || bash.output().unwrap()).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}\n{errors}\n{}", server.log());
    let expected = expected(&script);
    assert!(expected.len() >= 10, "the comments are gone");
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{errors}");
}

//! The documents say what the code says: tables are printed from it, links lead somewhere, the compose file is sound.
//! `TOLLKEEPER_TEST_BLESS=1 cargo suite documents` writes the tables.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn generated(file: &str, name: &str, expected: &str) {
    let path = root().join(file);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&format!("<!-- generated: {name} -->\n")).expect("the marker");
    let (now, after) = rest.split_once("<!-- end -->").expect("the end");
    if std::env::var_os("TOLLKEEPER_TEST_BLESS").is_some() {
        fs::write(&path, format!("{before}<!-- generated: {name} -->\n{expected}<!-- end -->{after}"))
            .unwrap();
    } else {
        assert_eq!(now, expected, "{file} is not what the code says; see the head of this test's file");
    }
}

#[test]
fn the_matrix_the_codes_and_the_pattern_are_printed_from_the_code() {
    generated("docs/permissions.md", "permissions", &service::authz::markdown());
    generated("docs/decisions.md", "codes", &api::verdict::markdown());
    generated("docs/permissions.md", "pattern", &format!("```\n{}\n```\n", service::token::SCAN_PATTERN));
}

/// The documents beside the README, in `docs` and in `docs/adr`.
fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/adr"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let files = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn every_link_leads_to_a_file() {
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let (file_of_link, _) = link.split_once('#').unwrap_or((link, ""));
            let target = path.parent().unwrap().join(file_of_link);
            assert!(link.starts_with("http") || target.exists(), "{path:?} links to {link}");
        }
    }
}

#[test]
fn every_file_of_a_decision_record_is_there() {
    let records = documents().into_iter().filter(|path| path.parent().unwrap().ends_with("adr"));
    let mut named = 0;
    for path in records {
        let text = fs::read_to_string(&path).unwrap();
        let quoted = text.split('`').skip(1).step_by(2).map(Path::new);
        let is_source = |file: &&Path| file.extension().is_some_and(|extension| extension == "rs");
        for file in quoted.filter(is_source).filter(|file| file.components().count() > 1) {
            assert!(root().join(file).exists(), "{path:?} names {file:?}");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}

/// Every path of the map in the README, with braces and stars resolved by hand.
#[test]
fn the_map_shows_what_is_there() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let map = text.split_once("## The map").unwrap().1;
    let words = map.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains(' '));
    let mut seen = 0;
    for word in words.filter(|word| !word.contains(['{', '…', '('])) {
        let path = word.split("::").next().unwrap();
        assert!(
            root().join(path).exists() || root().join("tests").join(path).exists(),
            "{word} is not there"
        );
        seen += 1;
    }
    assert!(seen > 8, "the map is empty");
}

/// `docker compose config` checks the file against its schema where there is a Docker client; what the rest of the house
/// relies on is checked everywhere.
#[test]
fn the_compose_file_is_sound() {
    let text = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    for part in
        ["read_only: true", "cap_drop: [ALL]", "postgres:17", "command: [migrate, up]", "\n  tollkeeper-2:\n"]
    {
        assert!(text.contains(part), "{part}");
    }
    let example = fs::read_to_string(root().join(".env.example")).unwrap();
    for setting in
        text.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|w| w.starts_with("TOLLKEEPER_"))
    {
        let ours = example.contains(&format!("{setting}=")) || setting == "TOLLKEEPER_PORT";
        assert!(ours, "{setting} is no setting");
    }
    let used: BTreeSet<&str> = text.split("/run/secrets/").skip(1).map(word).collect();
    for secret in used {
        assert!(
            text.contains(&format!("{secret}: {{file: ./secrets/{secret}}}")),
            "{secret} is not declared"
        );
    }
    let mut config = std::process::Command::new("docker");
    config.args(["compose", "config", "--quiet"]).current_dir(root());
    let known = std::process::Command::new("docker").args(["compose", "version"]).output();
    if known.is_ok_and(|output| output.status.success()) {
        let output = config.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap()
}

//! Which layer wins, and what a fault says.

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
}

fn load(file: Option<&str>, pairs: &[(&str, &str)], arguments: &[&str]) -> Result<Config, Vec<String>> {
    use clap::{Args, FromArgMatches};
    let directory = std::env::temp_dir().join(format!("tollkeeper-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut words = vec!["tollkeeper".to_owned()];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    if let Some(text) = file {
        let name =
            format!("{:x}.toml", text.bytes().fold(7u64, |hash, b| hash.wrapping_mul(31) + u64::from(b)));
        std::fs::write(directory.join(&name), text).unwrap();
        words.extend(["--config".to_owned(), directory.join(name).display().to_string()]);
    }
    let matches = Flags::augment_args(clap::Command::new("tollkeeper")).get_matches_from(words);
    let flags = Flags::from_arg_matches(&matches).unwrap();
    Config::read(Layers::gather(&flags, variables(pairs))).map_err(|faults| faults.0)
}

#[test]
fn flags_win_over_environment_over_file() {
    let file = Some("listen = \"127.0.0.1:1\"\nadmin_rate = 7\npassword_workers = 3\n");
    let environment = [("TOLLKEEPER_LISTEN", "127.0.0.1:2"), ("TOLLKEEPER_ADMIN_RATE", "8")];
    let config = load(file, &environment, &["--listen", "127.0.0.1:3"]).ok().unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.http.admin_rate, 8);
    assert_eq!(config.password_workers, 3);
}

#[test]
fn all_faults_are_told_at_once_and_none_repeats_a_secret() {
    let environment = [
        ("TOLLKEEPER_DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("TOLLKEEPER_LISTEN", "nowhere"),
        ("TOLLKEEPER_KEY_PEPPER", "hunter2:hunter2"),
        ("TOLLKEEPER_ENCRYPTION_KEY", "aHVudGVyMg=="),
        ("TOLLKEEPER_BOOTSTRAP_PASSWORD", "hunter2"),
        ("TOLLKEEPER_DATABSE_URL", "x"),
        ("TOLLKEEPER_TOKEN_SIGNING_KEY_FILE", "/nowhere/at/all"),
    ];
    let faults = load(Some("lisen = \"a\"\nlog = true\n"), &environment, &[]).err().unwrap();
    let text = faults.join("\n");
    for expected in [
        "TOLLKEEPER_DATABASE_URL (environment)",
        "TOLLKEEPER_LISTEN (environment): expected an address",
        "TOLLKEEPER_KEY_PEPPER (environment)",
        "TOLLKEEPER_ENCRYPTION_KEY (environment): 7 bytes instead of 32",
        "TOLLKEEPER_BOOTSTRAP_EMAIL: required together with bootstrap-password",
        "TOLLKEEPER_BOOTSTRAP_PASSWORD (environment): a password has at least",
        "TOLLKEEPER_DATABSE_URL (environment): no such setting; did you mean TOLLKEEPER_DATABASE_URL?",
        "TOLLKEEPER_TOKEN_SIGNING_KEY_FILE (environment): the file cannot be read: there is no such file",
        "did you mean listen?",
        "expected a string, a number",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
    }
    assert_eq!(faults.len(), 10, "{text}");
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
}

#[test]
fn a_broken_file_is_told_by_line_without_its_text() {
    let faults = load(Some("log = \"info\"\nkey_pepper = hunter2\n"), &[], &[]).err().unwrap();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("line 2, column 14") && !faults[0].contains("hunter2"), "{}", faults[0]);
}

#[test]
fn a_name_that_may_be_a_secret_is_not_repeated() {
    let keys = "\"hunter2+/=\" = 1\n\n  Hunter = 1\nlisten = 2.5\nlistne = \"a\"\n";
    let faults = load(Some(keys), &[("TOLLKEEPER_HUNTER2", "x")], &[]).err().unwrap().join("\n");
    for expected in [
        "a variable beginning with TOLLKEEPER_ is no setting",
        "line 1, column 1: no such setting",
        "line 3, column 3: no such setting",
        "line 4, column 1): expected a string",
        "line 5, column 1): no such setting; did you mean listen?",
    ] {
        assert!(faults.contains(expected), "{expected:?} is missing in\n{faults}");
    }
    assert!(!faults.to_lowercase().contains("hunter"), "{faults}");
}

#[test]
fn a_filter_of_the_log_is_refused_by_its_part() {
    let faults = load(None, &[("TOLLKEEPER_LOG", "info,hunter2=loud")], &[]).err().unwrap();
    assert!(faults[0].contains("part 2 is neither") && !faults[0].contains("hunter2"), "{faults:?}");
}

#[test]
fn a_secret_file_may_have_come_from_windows() {
    let file = std::env::temp_dir().join(format!("tollkeeper-crlf-{}", std::process::id()));
    let load = |text: &str| {
        std::fs::write(&file, text).unwrap();
        load(None, &[("TOLLKEEPER_DATABASE_URL_FILE", file.to_str().unwrap())], &[])
    };
    let config = load("\u{feff}sqlite://some.db\r\n").ok().unwrap();
    assert_eq!(config.database.url(), "sqlite://some.db");
    assert!(load(" \r\n").err().unwrap()[0].ends_with("the file is empty"));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn the_format_of_what_is_refused_is_known_early() {
    let early = |words: &[&str]| LogFormat::early(&words.iter().map(Into::into).collect::<Vec<_>>());
    assert_eq!(early(&["tollkeeper", "--log-format", "json", "--nonsense"]), LogFormat::Json);
    assert_eq!(early(&["tollkeeper", "--log-format=json"]), LogFormat::Json);
    assert_eq!(early(&["tollkeeper", "--log-format", "loud"]), LogFormat::Text);
    let file = std::env::temp_dir().join(format!("tollkeeper-early-{}.toml", std::process::id()));
    std::fs::write(&file, "log_format = \"json\"\nkey_pepper = hunter2\n").unwrap();
    assert_eq!(early(&["tollkeeper", "--config", file.to_str().unwrap()]), LogFormat::Json);
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn postgres_needs_its_secrets() {
    let faults = load(None, &[("TOLLKEEPER_DATABASE_URL", "postgres://u:hunter2@h/d")], &[]).err().unwrap();
    assert_eq!(faults.len(), 3);
    assert!(faults.iter().all(|fault| fault.contains("required on Postgres") && !fault.contains("hunter2")));
}

#[test]
fn foreign_and_empty_variables_are_left_alone() {
    let environment = [
        ("TOLLKEEPER_TEST_POSTGRES", "x"),
        ("TOLLKEEPER_SERVICE_HOST", "10.0.0.1"),
        ("TOLLKEEPER_PORT", "tcp://10.0.0.1:8080"),
        ("TOLLKEEPER_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("TOLLKEEPER_POSTGRES_RW_SERVICE_HOST", "fd00::1"),
        ("TOLLKEEPER_POSTGRES_RW_PORT_5432_TCP", "tcp://[fd00::1]:5432"),
        ("TOLLKEEPER_LISTEN", ""),
        ("HOME", "/"),
    ];
    assert_eq!(load(None, &environment, &[]).ok().unwrap().listen.port(), 8080);
}

#[test]
fn what_only_looks_like_a_service_link_is_refused() {
    for (name, value) in [
        ("TOLLKEEPER_PORT", "8080"),
        ("TOLLKEEPER_SERVICE_HOST", "tollkeeper.example.com"),
        ("TOLLKEEPER_PORTS", "tcp://10.0.0.1:8080"),
    ] {
        let faults = load(None, &[(name, value)], &[]).err().unwrap();
        assert!(faults[0].starts_with(&format!("{name} (environment): no such setting")), "{faults:?}");
    }
}

#[test]
fn postgres_needs_four_connections_and_sqlite_one() {
    let one = [("TOLLKEEPER_DATABASE_MAX_CONNECTIONS", "1")];
    assert_eq!(load(None, &one, &[]).ok().unwrap().max_connections, 1);
    let three =
        [("TOLLKEEPER_DATABASE_MAX_CONNECTIONS", "3"), ("TOLLKEEPER_DATABASE_URL", "postgres://u@h/d")];
    let faults = load(None, &three, &[]).err().unwrap();
    let told = "TOLLKEEPER_DATABASE_MAX_CONNECTIONS (environment): expected a whole number from 4 to 1000: on Postgres";
    assert!(faults.iter().any(|fault| fault.starts_with(told)), "{faults:?}");
}

#[test]
fn calls_to_upstreams_go_to_the_internet_unless_told_otherwise() {
    let closed = load(None, &[], &[]).ok().unwrap().upstream;
    assert_eq!((closed.allowed_networks.len(), closed.ports, closed.extra_roots.len()), (0, vec![443], 0));
    let environment = [
        ("TOLLKEEPER_UPSTREAM_ALLOWED_NETWORKS", "10.1.0.0/16, 192.168.7.9,fd00::/8"),
        ("TOLLKEEPER_UPSTREAM_PORTS", "443,8443"),
    ];
    let open = load(None, &environment, &[]).ok().unwrap().upstream;
    let networks = ["10.1.0.0/16", "192.168.7.9/32", "fd00::/8"].map(|network| network.parse().unwrap());
    assert_eq!((open.allowed_networks, open.ports), (networks.to_vec(), vec![443, 8443]));
}

#[test]
fn authorities_that_cannot_be_read_are_told_at_the_start() {
    let directory = std::env::temp_dir().join(format!("tollkeeper-authorities-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let nonsense = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let cut = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n";
    for (name, text, words) in [
        ("nowhere", None, "there is no such file"),
        ("empty", Some(" \n"), "is empty"),
        ("hello", Some("hello"), "has no certificate in it"),
        ("cut", Some(cut), "is not PEM"),
        ("nonsense", Some(nonsense), "has a certificate that cannot be read"),
    ] {
        let file = directory.join(name);
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let file = file.display().to_string();
        let faults = load(None, &[("TOLLKEEPER_UPSTREAM_CA_FILE", &file)], &[]).err().unwrap();
        assert!(faults.len() == 1 && faults[0].contains(words), "{faults:?}");
        assert!(faults[0].starts_with("TOLLKEEPER_UPSTREAM_CA_FILE (environment): "), "{faults:?}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_example_names_every_setting() {
    let example = include_str!("../../../.env.example");
    for setting in &SETTINGS {
        let variable = format!("TOLLKEEPER_{}", setting.name.replace('-', "_").to_uppercase());
        assert!(example.contains(&format!("{variable}=")), "{variable} is not in .env.example");
        let file = format!("{variable}_FILE=");
        assert_eq!(example.contains(&file), setting.secret, "{file}");
    }
}

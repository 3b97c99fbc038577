//! `/metrics`: every metric is declared with its meaning, keeps the conventions, and has no more series than the server has routes,
//! whatever clients send.

use api::metric::{Kind, METRICS};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tests::{
    Backend,
    server::{Installation, Server},
};

const ORGANIZATION: &str = "/v1/organizations/default";

async fn page(server: &Server, bearer: &str) -> String {
    let request = reqwest::Client::new().get(server.url("/metrics")).bearer_auth(bearer);
    request.send().await.unwrap().text().await.unwrap()
}

/// Something of everything that is counted.
async fn work(server: &Server, me: &str) {
    let post = async |path: &str, bearer: &str, body| {
        let (status, reply) = server.post(path, Some(bearer), &body).await;
        assert!(status < 300, "{path}: {status} {reply}");
        reply
    };
    let team = post(&format!("{ORGANIZATION}/teams"), me, json!({"name": "a"})).await;
    let key = json!({"name": "a", "team_id": team["id"]});
    let key = post(&format!("{ORGANIZATION}/keys"), me, key).await;
    let gateway = post(&format!("{ORGANIZATION}/gateway-tokens"), me, json!({"name": "a"})).await;
    let gateway = gateway["secret"].as_str().unwrap();
    post("/v1/authorize", gateway, json!({"key": key["secret"], "model": "gpt-4o"})).await;
    post("/v1/authorize", gateway, json!({"key": "no key", "model": "gpt-4o"})).await;
    for n in 0..50 {
        server.get(&format!("/nothing/{n}"), None).await;
        server.get(&format!("/v1/organizations/org{n}/teams"), None).await;
        let method = reqwest::Method::from_bytes(format!("BREW{n}").as_bytes()).unwrap();
        let call = reqwest::Client::new().request(method, server.url("/v1/auth/login"));
        assert_eq!(call.send().await.unwrap().status(), 405);
    }
}

/// The names on a page, each with its labels and how many series it has.
fn names(page: &str) -> BTreeMap<&str, (BTreeSet<&str>, usize)> {
    let mut names: BTreeMap<&str, (BTreeSet<&str>, usize)> = BTreeMap::new();
    let mut name = "";
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(of_type) = line.strip_prefix("# TYPE ") {
            name = of_type.split(' ').next().unwrap();
            assert!(!of_type.ends_with("summary"), "{line}");
        } else if !line.starts_with('#') {
            let (labels, series) = names.entry(name).or_default();
            let all =
                line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(all, _)| all);
            labels.extend(all.split(',').filter_map(|label| label.split_once('=')).map(|(label, _)| label));
            labels.remove("le");
            *series += 1;
        }
    }
    names
}

#[tokio::test]
async fn the_page_is_what_is_declared_and_passes_promtool() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let mut installation = Installation::new(backend).await.with_owner();
        // The log is counted, too.
        installation.set("REQUEST_TIMEOUT_SECONDS", "30");
        let server = installation.serve().await;
        let me = server.sign_in().await;
        work(&server, &me).await;
        let page = wait(&server, &me).await;
        let found = names(&page);
        for (name, (labels, _)) in &found {
            let declared = METRICS.iter().find(|metric| metric.name == *name);
            let declared = declared.unwrap_or_else(|| panic!("{name} is not declared"));
            assert_eq!(labels, &declared.labels.iter().copied().collect(), "labels of {name}");
            let kind = format!("{:?}", declared.kind).to_lowercase();
            assert!(page.contains(&format!("# TYPE {name} {kind}\n")), "{name} is no {kind}");
            assert!(page.contains(&format!("# HELP {name} {}\n", declared.help)), "HELP of {name}");
        }
        for metric in METRICS {
            // Warnings come only when something is wrong.
            let absent = metric.name == "tollkeeper_log_lines_total";
            let absent = absent
                || metric.name == "tollkeeper_partitions_remaining_seconds" && backend == Backend::Sqlite;
            let absent = absent || metric.name.starts_with("process_") && !cfg!(target_os = "linux");
            assert!(absent || found.contains_key(metric.name), "{} is not shown", metric.name);
        }
        let series = found["tollkeeper_http_requests_total"].1;
        assert!(series < 20, "{series} series:\n{page}");
        for part in [
            r#"method="other",route="/v1/auth/login",status="405""#,
            r#"method="GET",route="unmatched",status="404""#,
            r#"method="GET",route="/v1/organizations/{organization}/teams",status="401""#,
        ] {
            assert!(page.contains(part), "{part} is missing in\n{page}");
        }
        promtool(&page);
        installation.remove().await;
    }
}

/// Waits until the probes of the pools have been there.
async fn wait(server: &Server, me: &str) -> String {
    for _ in 0..600 {
        let text = page(server, me).await;
        if text.contains("tollkeeper_database_acquire_seconds_bucket") {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no probe of the pools");
}

fn promtool(page: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(more).map(|place| place.join("promtool"));
    let program = found.into_iter().find(|file| file.is_file());
    let program = program.expect(
        "promtool is not installed. Run: sudo apt-get install prometheus (or: brew install prometheus)",
    );
    let mut command = Command::new(program);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && complaints.is_empty(), "{}", String::from_utf8_lossy(&complaints));
}

fn sources(directory: &Path, into: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("metric.rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// What a run of the suite may not come by.
#[test]
fn what_the_code_counts_is_declared_and_counted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut code = String::new();
    for directory in ["api/src", "service/src"] {
        sources(&root.join(directory), &mut code);
    }
    for macro_name in ["counter", "gauge", "histogram"] {
        for (at, call) in code.match_indices(&format!("metrics::{macro_name}!(")) {
            let rest = code[at + call.len()..].trim_start();
            let name = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
            let Some(name) = name else { panic!("a metric whose name is not written out: {}", &rest[..40]) };
            let declared = METRICS.iter().find(|metric| metric.name == name);
            let declared = declared.unwrap_or_else(|| panic!("{name} is not declared in api/src/metric.rs"));
            assert_eq!(format!("{:?}", declared.kind).to_lowercase(), macro_name, "{name}");
        }
    }
    for metric in METRICS {
        assert!(code.contains(&format!("\"{}\"", metric.name)), "nothing counts {}", metric.name);
    }
}

#[test]
fn operators_find_every_metric_in_the_documentation() {
    let page = include_str!("../../docs/operation.md");
    let rows = METRICS.iter().map(|metric| {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        format!("| `{}` | {kind} | {} |\n", metric.signature(), metric.help)
    });
    let table = format!("| metric | kind | |\n|---|---|---|\n{}", rows.collect::<String>());
    assert!(page.contains(&table), "the table in docs/operation.md must be:\n{table}");
    let there =
        page.lines().filter(|line| line.starts_with("| `tollkeeper_") || line.starts_with("| `process_"));
    assert_eq!(there.count(), METRICS.len(), "rows that are not declared");
}

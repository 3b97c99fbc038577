//! Instances that are restarted in turn behind a real load balancer, with the configuration that is shipped for it: no
//! request fails, neither those that wait for an answer nor those that are about to be sent.

use serde_json::json;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tests::{
    Backend,
    server::{Installation, Server},
};
use tokio::time::sleep;

const COMPOSE: &str = include_str!("../../docker-compose.yml");
const OPERATION: &str = include_str!("../../docs/operation.md");
const LONG: Duration = Duration::from_mins(1);
/// Clients that keep their connections.
const KEEPING: usize = 6;
/// Clients that make a new connection for each request.
const NEW: usize = 2;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(more).map(|place| place.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed. Run: sudo apt-get install {name} (or: brew install {name})")
    })
}

/// A running load balancer; it ends with the test.
struct Balancer {
    process: Child,
    base: String,
    directory: tempfile::TempDir,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Balancer {
    fn start(name: &str, arguments: &[&str], configuration: impl FnOnce(&Path, u16) -> String) -> Self {
        let directory = tempfile::Builder::new().prefix("tollkeeper-balancer-").tempdir().unwrap();
        let port = free_port();
        let file = directory.path().join("balancer.conf");
        std::fs::write(&file, configuration(directory.path(), port)).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut command = Command::new(program(name));
        command.args(arguments).arg(&file).current_dir(directory.path());
        let process =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { process, base: format!("http://127.0.0.1:{port}"), directory }
    }

    fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        read("log") + &read("error.log")
    }

    async fn is_ready(&self) {
        let started = Instant::now();
        let client = reqwest::Client::new();
        while client
            .get(format!("{}/health/ready", self.base))
            .send()
            .await
            .is_ok_and(|reply| reply.status() != 200)
            || tokio::net::TcpStream::connect(self.base.trim_start_matches("http://")).await.is_err()
        {
            assert!(started.elapsed() < LONG, "the balancer does not answer:\n{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The instances' addresses in place of their names.
fn addressed(text: &str, ports: [u16; 2]) -> String {
    let name = |n: usize| format!("tollkeeper-{}:8080", n + 1);
    ports.into_iter().enumerate().fold(text.to_owned(), |text, (n, port)| {
        assert!(text.contains(&name(n)), "{} is missing in\n{text}", name(n));
        text.replace(&name(n), &format!("127.0.0.1:{port}"))
    })
}

/// The configuration of `docker-compose.yml`, without what needs the names of containers.
fn nginx(ports: [u16; 2]) -> Balancer {
    let (_, text) = COMPOSE.split_once("    content: |\n").unwrap();
    let text: Vec<&str> =
        text.lines().take_while(|line| line.is_empty() || line.starts_with("      ")).collect();
    let text = text.join("\n").replace("$$", "$");
    let (before, after) = text.split_once("resolver ").unwrap();
    let text = format!("{before}{}", after.split_once('\n').unwrap().1);
    let text = addressed(&text, ports).replace(" resolve ", " ");
    Balancer::start("nginx", &["-e", "error.log", "-p", ".", "-c"], |directory, port| {
        let text = text.replace("listen 8080;", &format!("listen 127.0.0.1:{port};"));
        let directory = directory.display();
        format!(
            "daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log;\n\
             events {{ worker_connections 512; }}\nhttp {{\n access_log off;\n \
             client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;\n \
             fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;\n \
             scgi_temp_path {directory}/scgi;\n{text}\n}}\n"
        )
    })
}

/// The backend of the documentation, without retries.
fn haproxy(ports: [u16; 2]) -> Balancer {
    let (_, text) = OPERATION.split_once("```haproxy\n").unwrap();
    let text = addressed(text.split_once("```").unwrap().0, ports);
    Balancer::start("haproxy", &["-db", "-f"], |_, port| {
        format!(
            "global\n  log stdout format raw local0 notice\ndefaults\n  mode http\n  log global\n  retries 0\n  \
             timeout connect 2s\n  timeout client 60s\n  timeout server 35s\n\
             frontend api\n  bind 127.0.0.1:{port}\n  default_backend tollkeeper\n{text}"
        )
    })
}

/// What clients have seen so far.
#[derive(Default)]
struct Seen {
    good: AtomicUsize,
    failures: Mutex<Vec<String>>,
    over: AtomicBool,
}

/// Asks for decisions until it is over.
async fn ask(seen: Arc<Seen>, base: String, token: String, secret: String, keeps: bool) {
    let idle = if keeps { usize::MAX } else { 0 };
    let client = reqwest::Client::builder().pool_max_idle_per_host(idle).build().unwrap();
    while !seen.over.load(Ordering::Relaxed) {
        let request = client.post(format!("{base}/v1/authorize")).bearer_auth(&token);
        let failure = match request.json(&json!({"key": secret})).send().await {
            Ok(reply) if reply.status() == 200 => None,
            Ok(reply) => Some(format!("{}: {}", reply.status(), reply.text().await.unwrap_or_default())),
            Err(error) => Some(format!("{error:?}")),
        };
        match failure {
            None => drop(seen.good.fetch_add(1, Ordering::Relaxed)),
            Some(failure) => seen.failures.lock().unwrap().push(failure),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until more requests have been good.
async fn more(seen: &Seen) {
    let (started, before) = (Instant::now(), seen.good.load(Ordering::Relaxed));
    while seen.good.load(Ordering::Relaxed) < before + 50 {
        let failures = seen.failures.lock().unwrap().clone();
        assert!(started.elapsed() < LONG, "nothing gets through any more: {failures:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

struct Instance {
    listen: String,
    metrics: String,
}

impl Instance {
    fn new() -> Self {
        let [listen, metrics] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        Self { listen, metrics }
    }

    async fn start(&self, installation: &Installation) -> Server {
        let arguments = ["serve", "--migrate", "--listen", &self.listen, "--metrics-listen", &self.metrics];
        installation.serve_with(&arguments).await
    }

    /// Waits until decisions are asked of it.
    async fn is_in_use(&self) {
        let started = Instant::now();
        loop {
            let reply = reqwest::get(format!("http://{}/metrics", self.metrics)).await.unwrap();
            if reply.text().await.unwrap().contains("tollkeeper_meter_batch_size_count") {
                return;
            }
            assert!(started.elapsed() < LONG, "the balancer does not use {} any more", self.listen);
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A key, and a token of a gateway that asks about it.
async fn prepare(server: &Server) -> (String, String) {
    let owner = server.sign_in().await;
    let made = async |path: &str, body| {
        let (status, made) =
            server.post(&format!("/v1/organizations/default/{path}"), Some(&owner), &body).await;
        assert_eq!(status, 201, "{made}");
        made
    };
    let team = made("teams", json!({"name": "restart"})).await;
    let key = made("keys", json!({"name": "restart", "team_id": team["id"]})).await;
    let token = made("gateway-tokens", json!({"name": "restart"})).await;
    let secret = |made: &serde_json::Value| made["secret"].as_str().unwrap().to_owned();
    (secret(&token), secret(&key))
}

async fn no_request_fails(balance: impl FnOnce([u16; 2]) -> Balancer) {
    let mut installation = Installation::new(Backend::Postgres).await.with_owner();
    installation.set("SHUTDOWN_DELAY_SECONDS", "5");
    installation.set("DATABASE_MAX_CONNECTIONS", "4");
    let instances = [Instance::new(), Instance::new()];
    let mut servers = Vec::new();
    for instance in &instances {
        servers.push(instance.start(&installation).await);
    }
    let ports = [0, 1].map(|n| instances[n].listen.rsplit_once(':').unwrap().1.parse().unwrap());
    let balancer = balance(ports);
    balancer.is_ready().await;
    let (token, secret) = prepare(&servers[0]).await;
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> = (0..KEEPING + NEW)
        .map(|n| ask(seen.clone(), balancer.base.clone(), token.clone(), secret.clone(), n < KEEPING))
        .map(tokio::spawn)
        .collect();
    for _ in 0..2 {
        for (n, instance) in instances.iter().enumerate() {
            more(&seen).await;
            servers[n].terminate();
            assert!(servers[n].ended().await.success(), "{}", servers[n].log());
            more(&seen).await;
            servers[n] = instance.start(&installation).await;
            instance.is_in_use().await;
        }
    }
    more(&seen).await;
    seen.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let failures = seen.failures.lock().unwrap().clone();
    let good = seen.good.load(Ordering::Relaxed);
    assert!(failures.is_empty(), "{} of {good} failed: {failures:?}\n{}", failures.len(), balancer.log());
    drop(servers);
    installation.remove().await;
}

#[tokio::test]
async fn behind_haproxy_without_retries_no_request_fails() {
    no_request_fails(haproxy).await;
}

#[tokio::test]
async fn behind_the_shipped_nginx_no_request_fails() {
    no_request_fails(nginx).await;
}

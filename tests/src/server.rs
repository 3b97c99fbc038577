//! Real servers: the program that `cargo suite` builds, each process on a free port, over a database of its own.

use crate::{
    contract::{self, Received},
    database::{Backend, Database},
};
use axum::http::{HeaderMap, header::CONTENT_TYPE};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::time::sleep;

/// How long a server may take to answer, or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// The owner that every installation is set up with.
pub const OWNER: (&str, &str) = ("owner@example.com", "a passphrase of the owner");

/// A database and a configuration, over which servers and commands run.
#[derive(Debug)]
pub struct Installation {
    directory: TempDir,
    database: Option<Database>,
    settings: Vec<(String, String)>,
    /// What starts the program, if it is not started directly.
    launcher: Vec<String>,
}

/// The program under test; the launcher builds it before the tests.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().find(|path| path.ends_with("deps")).and_then(Path::parent);
    let program = profile.expect("a test runs from target/<profile>/deps").join("tollkeeper");
    assert!(
        program.exists(),
        "{} is not built: run `cargo suite`, or `cargo build` first",
        program.display()
    );
    program
}

impl Installation {
    /// With nothing in it: on `SQLite` what a newcomer has, on Postgres with secrets and an empty database.
    pub async fn new(backend: Backend) -> Self {
        let directory = tempfile::Builder::new().prefix("tollkeeper-server-").tempdir().unwrap();
        match backend {
            Backend::Sqlite => Self { directory, database: None, settings: Vec::new(), launcher: Vec::new() },
            Backend::Postgres => {
                let database = Database::empty(backend).await;
                let url = database.url().to_owned();
                Self { database: Some(database), ..Self::over(&url) }
            }
        }
    }

    /// Over a Postgres database that somebody else made.
    pub fn over(url: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("tollkeeper-server-").tempdir().unwrap();
        let mut new = Self { directory, database: None, settings: Vec::new(), launcher: Vec::new() };
        new.set("DATABASE_URL", url);
        new.set("STATE_DIR", &new.directory.path().display().to_string());
        for (n, name) in ["ENCRYPTION_KEY", "KEY_PEPPER", "TOKEN_SIGNING_KEY"].into_iter().enumerate() {
            let byte = u8::try_from(n).unwrap() + 1;
            new.set(name, &STANDARD.encode([byte; 32]));
        }
        new
    }

    /// Sets `TOLLKEEPER_<name>` for what starts from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        let name = format!("TOLLKEEPER_{name}");
        self.settings.retain(|(other, _)| *other != name);
        self.settings.push((name, value.to_owned()));
    }

    /// What `TOLLKEEPER_<name>` is set to.
    pub fn setting(&self, name: &str) -> Option<String> {
        let name = format!("TOLLKEEPER_{name}");
        self.settings.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone())
    }

    /// Leaves `TOLLKEEPER_<name>` as it is by default for what starts from now on.
    pub fn unset(&mut self, name: &str) {
        let name = format!("TOLLKEEPER_{name}");
        self.settings.retain(|(other, _)| *other != name);
    }

    /// With the owner [`OWNER`] from the first start on, and without the limits that tests would run into.
    #[must_use]
    pub fn with_owner(mut self) -> Self {
        self.set("BOOTSTRAP_EMAIL", OWNER.0);
        self.set("BOOTSTRAP_PASSWORD", OWNER.1);
        self.set("ADMIN_RATE", "0");
        self
    }

    /// Its Postgres database, if that was made for it.
    pub fn url(&self) -> Option<&str> {
        self.database.as_ref().map(Database::url)
    }

    /// Has the program started by another, which becomes it, from now on.
    pub fn launch_by(&mut self, launcher: Vec<String>) {
        self.launcher = launcher;
    }

    /// Where it runs.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The program with these arguments and nothing of ours in its environment but what is set.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = program();
        let mut words = self.launcher.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or(program.as_os_str()));
        command.args(words);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOLLKEEPER_")) {
            command.env_remove(name);
        }
        // Nobody balances between the servers of most tests.
        command.env("TOLLKEEPER_SHUTDOWN_DELAY_SECONDS", "0");
        command.args(arguments).envs(self.settings.iter().cloned());
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }

    /// Starts a server and waits until it is ready.
    pub async fn serve(&self) -> Server {
        self.serve_with(&["serve", "--migrate"]).await
    }

    /// The same with other arguments; they are to serve, on a free port.
    pub async fn serve_with(&self, arguments: &[&str]) -> Server {
        let server = self.spawn(arguments).await;
        // Its certificate, if it has one, is that of a test.
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let reply = client.get(server.url("/health/ready")).send().await;
            if reply.is_ok_and(|reply| reply.status() == 200) {
                return server;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the server is not ready:\n{}", server.log());
    }

    async fn spawn(&self, arguments: &[&str]) -> Server {
        let name = format!("{:032x}", rand::random::<u128>());
        let [out, log] = ["out", "log"].map(|kind| self.directory.path().join(format!("{name}.{kind}")));
        let mut command = self.command(arguments);
        if !self.settings.iter().any(|(name, _)| name == "TOLLKEEPER_LISTEN") {
            command.env("TOLLKEEPER_LISTEN", "127.0.0.1:0");
        }
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        let mut server = Server { child, base: String::new(), out, log };
        let started = Instant::now();
        while server.base.is_empty() {
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("the server ended at once, {status}:\n{}", server.log());
            }
            assert!(started.elapsed() < PATIENCE, "the server does not start:\n{}", server.log());
            sleep(Duration::from_millis(10)).await;
            let greeting = server.greeting();
            let base = greeting.lines().next().and_then(|line| line.split_once("listening on "));
            // In JSON more follows behind a quotation mark.
            let base = base.and_then(|(_, base)| base.split('"').next());
            server.base = base.map(|base| base.trim().to_owned()).unwrap_or_default();
        }
        server
    }

    /// Removes what dropping does not.
    pub async fn remove(self) {
        if let Some(database) = &self.database {
            database.remove().await;
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub errors: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { status: output.status, out: text(&output.stdout), errors: text(&output.stderr) }
    }
}

impl Finished {
    /// What it printed; it must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}: {}{}", self.status, self.out, self.errors);
        self.out
    }

    /// What it complained of; it must have failed, with the code 1.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(self.status.code(), Some(1), "{}{}", self.out, self.errors);
        self.errors
    }
}

/// A server process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    base: String,
    out: PathBuf,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    pub fn greeting(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// `kill -9`: nothing is finished, nothing is flushed.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        self.base.split_once("://").map(|(_, address)| address.to_owned()).unwrap()
    }

    /// Asks it to read its certificate again.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Sends SIGTERM and goes on.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Stops it in the middle of whatever it does, until it may go on.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not end:\n{}", self.log());
    }

    /// An access token of the owner.
    pub async fn sign_in(&self) -> String {
        let body = serde_json::json!({"email": OWNER.0, "password": OWNER.1});
        let reply = self.post("/v1/auth/login", None, &body).await;
        assert_eq!(reply.0, 200, "{}", reply.1);
        reply.1["access_token"].as_str().unwrap().to_owned()
    }

    /// Sends a POST with a bearer token; status and body.
    pub async fn post(&self, path: &str, bearer: Option<&str>, body: &Value) -> (u16, Value) {
        send(reqwest::Client::new().post(self.url(path)).json(body), bearer).await
    }

    /// Sends a GET with a bearer token; the body as it is.
    pub async fn text(&self, path: &str, bearer: &str) -> String {
        let reply = reqwest::Client::new().get(self.url(path)).bearer_auth(bearer).send().await.unwrap();
        reply.text().await.unwrap()
    }

    /// Sends a GET with a bearer token; status and body.
    pub async fn get(&self, path: &str, bearer: Option<&str>) -> (u16, Value) {
        send(reqwest::Client::new().get(self.url(path)), bearer).await
    }
}

async fn send(mut request: reqwest::RequestBuilder, bearer: Option<&str>) -> (u16, Value) {
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    answer(request).await.expect("an answer")
}

/// Status and body of the answer; none if the connection was lost.
pub async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let reply = exchange(request).await?;
    Some((reply.status, serde_json::from_str(&reply.text).unwrap_or_default()))
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

/// The answer, which is one that the contract tells of; none if the connection was lost.
pub async fn exchange(request: reqwest::RequestBuilder) -> Option<Answer> {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let kind = headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
    let body = response.bytes().await.ok()?;
    contract::check(Received { method: &method, path: &path, status, content_type: kind, body: &body });
    Some(Answer { status, text: String::from_utf8_lossy(&body).into_owned(), headers })
}

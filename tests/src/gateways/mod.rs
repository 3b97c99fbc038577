//! [`Gateway`]: a proxy that asks Tollkeeper about every call, run with the very configuration that `docs/gateways/` shows;
//! only addresses, the token and the provider's key are put in, and TLS to the provider is taken out. nginx, Caddy and Envoy are
//! the real programs. Traefik is in no package registry, so what it documents is imitated, under the same configuration.

mod provider;
mod traefik;
mod wire;

pub use provider::{Provider, Seen};
pub use wire::{Answer, exchange};

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// The provider's own key, which only the proxy knows.
pub const PROVIDER_KEY: &str = "sk-the-providers-own-key";
/// How often a proxy is looked for until it answers, every 50 ms.
const LOOKS: usize = 600;

/// A proxy with a documented configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The real nginx.
    Nginx,
    /// The real Caddy.
    Caddy,
    /// The real Envoy.
    Envoy,
    /// What Traefik documents of its middlewares, imitated.
    TraefikImitated,
}

impl Kind {
    /// Each of them.
    pub const EVERY: [Self; 4] = [Self::Nginx, Self::Caddy, Self::Envoy, Self::TraefikImitated];

    fn configuration(self) -> &'static str {
        match self {
            Self::Nginx => include_str!("../../../docs/gateways/nginx.conf"),
            Self::Caddy => include_str!("../../../docs/gateways/Caddyfile"),
            Self::Envoy => include_str!("../../../docs/gateways/envoy.yaml"),
            Self::TraefikImitated => include_str!("../../../docs/gateways/traefik.yml"),
        }
    }
}

/// Whom a proxy speaks to.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Tollkeeper.
    pub tollkeeper: SocketAddr,
    /// The provider.
    pub provider: SocketAddr,
    /// The gateway token.
    pub token: String,
}

/// A running proxy; it ends with the test.
#[derive(Debug)]
pub struct Gateway {
    /// Which it is.
    pub kind: Kind,
    /// Where clients reach it.
    pub address: SocketAddr,
    process: Option<Child>,
    task: Option<JoinHandle<()>>,
    directory: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Gateway {
    /// Starts a proxy, and waits until it answers.
    pub async fn start(kind: Kind, ends: &Ends) -> Self {
        let directory = tempfile::Builder::new().prefix("tollkeeper-gateway-").tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut gateway = Self { kind, address, process: None, task: None, directory };
        if kind == Kind::TraefikImitated {
            let traefik = traefik::Traefik::read(&filled(kind, address, ends));
            gateway.task = Some(tokio::spawn(traefik.serve(listener)));
            return gateway;
        }
        drop(listener);
        let config = filled(kind, address, ends);
        gateway.process = Some(spawn(kind, gateway.directory.path(), &config, ends));
        gateway.answers().await;
        gateway
    }

    async fn answers(&mut self) {
        for _ in 0..LOOKS {
            if TcpStream::connect(self.address).await.is_ok() {
                return;
            }
            let ended = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
            assert!(ended.is_none(), "{:?} ended: {}", self.kind, self.log());
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?} does not answer: {}", self.kind, self.log());
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }

    /// Sends a call, as the bytes of its head without the empty line at the end, and its body.
    pub async fn send(&self, head: &str, body: &[u8]) -> Answer {
        exchange(self.address, head, body).await
    }
}

/// The documented configuration, with addresses and secrets put in. Each must be there: nothing is put in beside it.
fn filled(kind: Kind, address: SocketAddr, ends: &Ends) -> String {
    let (tollkeeper, provider) = (ends.tollkeeper.to_string(), format!("http://{}", ends.provider));
    let put = |text: String, (from, to): (&str, &str)| {
        assert!(text.contains(from), "{kind:?} has no `{from}`");
        text.replace(from, to)
    };
    let listen = format!("listen {address}");
    let site = format!("\nhttp://:{} {{\n\tbind 127.0.0.1", address.port());
    let port = |address: &SocketAddr| format!("127.0.0.1, port_value: {}", address.port());
    let secrets = [("tkg_REPLACE_ME", ends.token.as_str()), ("sk-REPLACE_ME", PROVIDER_KEY)];
    let text = kind.configuration().to_owned();
    match kind {
        Kind::Nginx => [
            ("https://api.openai.com", provider.as_str()),
            ("127.0.0.1:8080", tollkeeper.as_str()),
            ("listen 8081", listen.as_str()),
        ]
        .into_iter()
        .chain(secrets)
        .fold(text, put),
        Kind::Caddy => [
            ("https://api.openai.com", provider.as_str()),
            ("127.0.0.1:8080", tollkeeper.as_str()),
            ("\n:8081 {", site.as_str()),
        ]
        .into_iter()
        .fold(text, put),
        Kind::Envoy => {
            let (plain, tls) = text.split_once("      transport_socket:").unwrap();
            assert!(tls.contains("match_typed_subject_alt_names"));
            [
                ("0.0.0.0, port_value: 8081", port(&address).as_str()),
                ("127.0.0.1, port_value: 8080", port(&ends.tollkeeper).as_str()),
                ("api.openai.com, port_value: 443", port(&ends.provider).as_str()),
            ]
            .into_iter()
            .fold(plain.to_owned(), put)
        }
        Kind::TraefikImitated => {
            [("https://api.openai.com", provider.as_str()), ("127.0.0.1:8080", tollkeeper.as_str())]
                .into_iter()
                .chain(secrets)
                .fold(text, put)
        }
    }
}

fn spawn(kind: Kind, directory: &Path, config: &str, ends: &Ends) -> Child {
    let here = directory.display();
    let (name, text, arguments): (&str, String, &[&str]) = match kind {
        Kind::Nginx => ("nginx", in_nginx(directory, config), &["-p", ".", "-c"]),
        Kind::Caddy => (
            "caddy",
            format!("{{\n\tadmin off\n\tauto_https off\n}}\n{config}"),
            &["run", "--adapter", "caddyfile", "--config"],
        ),
        _ => (
            "envoy",
            config.to_owned(),
            &["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning", "-c"],
        ),
    };
    let file = directory.join(if kind == Kind::Envoy { "envoy.yaml" } else { "config" });
    std::fs::write(&file, text).unwrap();
    let log = std::fs::File::create(directory.join("error.log")).unwrap();
    Command::new(program(name))
        .current_dir(directory)
        .args(arguments)
        .arg(&file)
        .env("TOLLKEEPER_GATEWAY_TOKEN", &ends.token)
        .env("PROVIDER_KEY", PROVIDER_KEY)
        .envs(["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"].map(|name| (name, here.to_string())))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// What is around the server of a documented configuration, which Debian and others bring themselves.
fn in_nginx(directory: &Path, config: &str) -> String {
    let here = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {here}/{kind};\n"))
        .concat();
    format!(
        "daemon off; master_process off; pid {here}/nginx.pid; error_log stderr;\n\
         events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{temporary}{config}\n}}\n"
    )
}

/// A program where packages put it, or where the launcher does.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = std::env::current_exe().unwrap();
    let target =
        tools.ancestors().find(|path| path.ends_with("deps")).and_then(|deps| deps.ancestors().nth(2));
    let wheel = target.map(|target| target.join("tools/envoy/envoy/_bin"));
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(more)
        .chain(wheel)
        .map(|place| place.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "{name} is not installed. Run `cargo suite` as root on Debian or with Homebrew, or install {name}"
        )
    })
}

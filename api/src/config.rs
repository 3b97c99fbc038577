//! The configuration: flags over environment over file. Nothing else reads the environment. All faults are found in one
//! go, each naming its setting and where it came from; none repeats the value, which may be a secret.

mod layers;
mod links;
mod parse;
mod server;

use api::state::HttpSettings;
use chrono::TimeDelta;
use service::{
    password::Password,
    price::{feed::FeedSource, list::ListFormat},
    secrets::Versions,
    upstream::UpstreamSettings,
};
use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf, time::Duration};

pub use layers::Flags;
use layers::Layers;
pub use server::ServerSettings;

/// One setting: `database-url` is the flag `--database-url`, the variable `TOLLKEEPER_DATABASE_URL` and the file's key
/// `database_url`.
struct Setting {
    name: &'static str,
    /// Also readable from a file, as `…_FILE`; never a flag, for flags are seen by every process of the machine.
    secret: bool,
    about: &'static str,
}

const fn open(name: &'static str, about: &'static str) -> Setting {
    Setting { name, secret: false, about }
}

const fn secret(name: &'static str, about: &'static str) -> Setting {
    Setting { name, secret: true, about }
}

const SETTINGS: [Setting; 36] = [
    secret("database-url", "sqlite://<file> or postgres://…"),
    open("listen", "Address of the API; port 0 takes a free one"),
    open(
        "metrics-listen",
        "Own address of /metrics and /health; otherwise /metrics asks for an operator's token",
    ),
    open("log", "What is logged, as info or service=debug,info"),
    open("log-format", "text or json"),
    open("access-log", "A line for each request at the level info: on, without_address or off"),
    open("public-url", "The address by which clients know this installation; the issuer of access tokens"),
    secret("encryption-key", "Encrypts what must be read back: base64 of 32 bytes, or version:base64,…"),
    secret("key-pepper", "Keys the digests of tokens: base64 of 32 bytes, or version:base64,…"),
    secret("token-signing-key", "Signs access tokens: base64 of 32 bytes, or version:base64,…"),
    open("bootstrap-email", "The first owner's address, used at the first start"),
    secret("bootstrap-password", "The first owner's password, used at the first start"),
    open("database-max-connections", "Connections of this instance to its database"),
    open("trusted-proxies", "Addresses or networks whose X-Forwarded-For is believed"),
    open("cors-origins", "Origins that browsers may call from"),
    open("admin-rate", "Admin requests a second and principal; 0 = no limit"),
    open("request-timeout-seconds", "Longest time a request may take"),
    open("max-connections", "Connections of clients at a time"),
    open("max-header-bytes", "Size of the head of a request"),
    open("max-concurrent-streams", "Requests at a time over one connection of HTTP/2"),
    open("max-imports", "Price lists that are imported at a time"),
    open("header-timeout-seconds", "Longest time until the head of a request is complete"),
    open("body-timeout-seconds", "Longest time for each 16 KiB of a body, either way"),
    open("idle-timeout-seconds", "How long a connection is kept open between two requests"),
    open("tls-cert", "The certificate to serve with, and those up to its authority, in PEM"),
    open("tls-key", "The private key of tls-cert, in PEM"),
    open("shutdown-delay-seconds", "How long requests are served after SIGTERM while not ready any more"),
    open("shutdown-grace-seconds", "How long running requests may finish after that"),
    open("password-workers", "Passwords checked at a time"),
    secret("price-feed-url", "A price list that the installation's prices are kept up to date from"),
    open("price-feed-format", "litellm or tollkeeper"),
    open("price-feed-interval-seconds", "How often the price feed is asked"),
    open("upstream-allowed-networks", "Private networks that connections may reach, such as 10.1.0.0/16"),
    open("upstream-ports", "Ports that connections may reach in public networks; 443 unless set"),
    open("upstream-ca-file", "Certificates, in PEM, that upstreams are trusted by beside the machine's own"),
    open("state-dir", "Where the setup token is left when the database is no file"),
];

/// Long enough for two checks a second apart to fail, and for the addresses of a Kubernetes service to change; together
/// with the grace and the last flush it is what Kubernetes waits for by default.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);
/// See [`SHUTDOWN_DELAY`].
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);
/// Passwords checked at a time by default, however many processors there are.
const MOST_WORKERS: usize = 8;

/// How long the answer of the price feed may take.
const FEED_PATIENCE: Duration = Duration::from_secs(15);

/// Which database.
#[derive(Clone)]
pub enum Database {
    /// A file, which this process alone serves.
    Sqlite {
        /// As configured.
        url: String,
        /// The file in it.
        file: PathBuf,
    },
    /// A server that instances share.
    Postgres {
        /// As configured; it may carry a password.
        url: String,
    },
}

impl Database {
    /// As configured.
    pub fn url(&self) -> &str {
        match self {
            Self::Sqlite { url, .. } | Self::Postgres { url } => url,
        }
    }

    /// The database's file, or another that belongs beside it, as `.secrets`.
    pub fn beside(&self, suffix: &str) -> Option<PathBuf> {
        let Self::Sqlite { file, .. } = self else { return None };
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        Some(name.into())
    }
}

/// What the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl LogFormat {
    /// What can be told of the format before the configuration has been read, and if it cannot be: what is refused then is told
    /// in the format that was meant.
    pub fn early(arguments: &[OsString]) -> Self {
        let arguments = || arguments.iter().filter_map(|argument| argument.to_str());
        let after = |flag: &str| {
            let mut rest = arguments().skip_while(|argument| *argument != flag).skip(1);
            let joined = arguments().find_map(|argument| argument.strip_prefix(flag)?.strip_prefix('='));
            rest.next().or(joined).map(str::to_owned)
        };
        let environment = || {
            let found = environment().into_iter().find(|(name, _)| name == "TOLLKEEPER_LOG_FORMAT");
            found?.1.filter(|text| !text.is_empty())
        };
        let file = || Layers::log_format(&std::fs::read_to_string(after("--config")?).ok()?);
        let text = after("--log-format").or_else(environment).or_else(file);
        text.and_then(|text| parse::log_format(&text).ok()).unwrap_or(Self::Text)
    }
}

/// The configured secrets; on `SQLite` a missing one is kept beside the database.
#[derive(Debug, Clone, Default)]
pub struct GivenSecrets {
    /// Encrypts what must be read back.
    pub encryption: Option<Versions>,
    /// Keys the digests of tokens.
    pub pepper: Option<Versions>,
    /// Signs access tokens.
    pub signing: Option<Versions>,
}

/// Everything that an operator may set.
pub struct Config {
    /// The database.
    pub database: Database,
    /// Connections to it.
    pub max_connections: u32,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Own address of the metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// The filter of the log, known to be well-formed.
    pub log: String,
    /// What the log looks like.
    pub log_format: LogFormat,
    /// The issuer, if it is set.
    pub public_url: Option<String>,
    /// The secrets that are set.
    pub secrets: GivenSecrets,
    /// The first owner, if set.
    pub bootstrap: Option<(String, Password)>,
    /// Settings of the HTTP layer.
    pub http: HttpSettings,
    /// Settings of the connections that it accepts.
    pub server: ServerSettings,
    /// How long requests are served after SIGTERM while the server is not ready any more.
    pub shutdown_delay: Duration,
    /// How long running requests may finish after that.
    pub shutdown_grace: Duration,
    /// Passwords checked at a time.
    pub password_workers: usize,
    /// Where the installation's prices are kept up to date from.
    pub price_feed: Option<FeedSource>,
    /// Where calls to upstreams may go.
    pub upstream: UpstreamSettings,
    /// Where a setup token is left when the database is no file.
    pub state_dir: PathBuf,
}

/// Everything that is wrong with the configuration.
#[derive(Debug)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not usable:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Config {
    /// Reads flags, environment and file, or says everything that is wrong with them.
    pub fn load(flags: &Flags) -> Result<Self, Faults> {
        Self::read(Layers::gather(flags, environment()))
    }

    /// The issuer of access tokens. Instances that share a database must agree on it, wherever they listen.
    pub fn issuer(&self, address: SocketAddr) -> String {
        match (&self.public_url, &self.database) {
            (Some(url), _) => url.clone(),
            (None, Database::Sqlite { .. }) => format!("{}://{address}", self.server.scheme()),
            (None, Database::Postgres { .. }) => "http://localhost:8080".to_owned(),
        }
    }

    fn read(mut from: Layers) -> Result<Self, Faults> {
        let database = from.take("database-url", parse::database).unwrap_or_else(parse::default_database);
        let metrics_listen = from.take("metrics-listen", parse::address);
        let http = HttpSettings::default();
        let http = HttpSettings {
            admin_rate: from.take("admin-rate", parse::number(0, 1_000_000)).unwrap_or(http.admin_rate),
            trusted_proxies: from.take("trusted-proxies", parse::networks).unwrap_or_default(),
            cors_origins: from.take("cors-origins", parse::origins).unwrap_or_default(),
            request_timeout: seconds(&mut from, "request-timeout-seconds", http.request_timeout),
            body_timeout: seconds(&mut from, "body-timeout-seconds", http.body_timeout),
            max_imports: from.take("max-imports", parse::count(1, 64)).unwrap_or(http.max_imports),
            metrics_here: metrics_listen.is_none(),
            access_log: from.take("access-log", parse::access_log).unwrap_or(http.access_log),
        };
        let config = Self {
            max_connections: from
                .take("database-max-connections", parse::connections(&database))
                .unwrap_or(16),
            listen: from
                .take("listen", parse::address)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            metrics_listen,
            log: from.take("log", parse::filter).unwrap_or_else(|| "info,sea_orm_migration=warn".into()),
            log_format: from.take("log-format", parse::log_format).unwrap_or(LogFormat::Text),
            public_url: from.take("public-url", parse::origin),
            secrets: secrets(&mut from, &database),
            bootstrap: bootstrap(&mut from),
            server: server::read(&mut from, http.body_timeout),
            shutdown_delay: from
                .take("shutdown-delay-seconds", parse::number(0, 3600))
                .map_or(SHUTDOWN_DELAY, |seconds| Duration::from_secs(seconds.into())),
            shutdown_grace: seconds(&mut from, "shutdown-grace-seconds", SHUTDOWN_GRACE),
            password_workers: from
                .take("password-workers", parse::count(1, 256))
                .unwrap_or_else(default_workers),
            price_feed: price_feed(&mut from),
            upstream: upstream(&mut from),
            state_dir: from.take("state-dir", parse::path).unwrap_or_else(std::env::temp_dir),
            http,
            database,
        };
        from.finish().map(|()| config)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> Vec<(String, Option<String>)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
        .collect()
}

/// Each keeps 19 MiB once it has been in use.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(MOST_WORKERS)
}

fn seconds(from: &mut Layers, name: &'static str, default: Duration) -> Duration {
    from.take(name, parse::number(1, 3600)).map_or(default, |seconds| Duration::from_secs(seconds.into()))
}

fn secrets(from: &mut Layers, database: &Database) -> GivenSecrets {
    let required = matches!(database, Database::Postgres { .. });
    let mut take = |name| {
        if required && !from.has(name) {
            from.missing(
                name,
                "required on Postgres: every instance needs the same (openssl rand -base64 32)",
            );
        }
        from.take(name, Versions::parse)
    };
    GivenSecrets {
        encryption: take("encryption-key"),
        pepper: take("key-pepper"),
        signing: take("token-signing-key"),
    }
}

fn price_feed(from: &mut Layers) -> Option<FeedSource> {
    let format = from.take("price-feed-format", parse::list_format).unwrap_or(ListFormat::Litellm);
    let interval = from.take("price-feed-interval-seconds", parse::number(60, 2_592_000)).unwrap_or(6 * 3600);
    let url = from.take("price-feed-url", parse::url)?;
    Some(FeedSource { url, format, interval: TimeDelta::seconds(interval.into()), patience: FEED_PATIENCE })
}

fn upstream(from: &mut Layers) -> UpstreamSettings {
    let default = UpstreamSettings::default();
    UpstreamSettings {
        allowed_networks: from.take("upstream-allowed-networks", parse::networks).unwrap_or_default(),
        ports: from.take("upstream-ports", parse::ports).unwrap_or(default.ports),
        extra_roots: from.take("upstream-ca-file", parse::authorities).unwrap_or_default(),
    }
}

fn bootstrap(from: &mut Layers) -> Option<(String, Password)> {
    match (from.has("bootstrap-email"), from.has("bootstrap-password")) {
        (true, false) => from.missing("bootstrap-password", "required together with bootstrap-email"),
        (false, true) => from.missing("bootstrap-email", "required together with bootstrap-password"),
        _ => {}
    }
    let email = from.take("bootstrap-email", parse::email);
    let password = from.take("bootstrap-password", parse::password);
    email.zip(password)
}

#[cfg(test)]
mod tests;

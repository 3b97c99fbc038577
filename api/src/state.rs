//! [`AppState`]: what every handler can reach.

use crate::{extract::upload::Uploads, middleware::throttle::Throttle};
use ipnet::IpNet;
use service::{System, meter::Meter, price::feed::Feed};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// Whether each request has a line in the log at the level info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// It has.
    On,
    /// It has, and the client's address, which is personal, is not in it.
    WithoutAddress,
    /// Only at the level debug.
    Off,
}

/// Settings of the HTTP layer.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Admin requests a second and principal; 0 = no limit.
    pub admin_rate: u32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that browsers may call from; none by default.
    pub cors_origins: Vec<String>,
    /// Longest time a request may take.
    pub request_timeout: Duration,
    /// Longest time for each 16 KiB of a body.
    pub body_timeout: Duration,
    /// Files that are taken at a time.
    pub max_imports: usize,
    /// Whether `/metrics` is served here, to operators (it has a listener of its own otherwise).
    pub metrics_here: bool,
    /// Whether each request is logged.
    pub access_log: AccessLog,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            admin_rate: 100,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            request_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(15),
            max_imports: 2,
            metrics_here: true,
            access_log: AccessLog::On,
        }
    }
}

/// What every handler can reach.
#[derive(Clone)]
pub struct AppState {
    /// The service layer's means.
    pub system: Arc<System>,
    /// Decides.
    pub meter: Meter,
    /// Where the installation's prices are kept up to date from.
    pub feed: Feed,
    /// Admin requests of each principal.
    pub throttle: Arc<Throttle>,
    /// Files that are being taken.
    pub uploads: Uploads,
    /// Settings.
    pub settings: Arc<HttpSettings>,
    /// Renders the metrics, if they are recorded.
    pub metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    /// The newest migration that this server needs; it is not ready without.
    pub needed_migration: Arc<str>,
    /// Set while the server finishes what runs and takes nothing new.
    pub draining: Arc<AtomicBool>,
    /// Set once a proxy has been seen that is not trusted.
    pub proxy_noticed: Arc<AtomicBool>,
}

impl AppState {
    /// The state of a server over this system.
    pub fn new(system: Arc<System>, settings: HttpSettings) -> Self {
        Self {
            meter: Meter::start(system.clone()),
            feed: Feed::default(),
            throttle: Arc::new(Throttle::new(settings.admin_rate)),
            uploads: Uploads::new(settings.max_imports),
            settings: Arc::new(settings),
            metrics: None,
            needed_migration: migration::newest().into(),
            draining: Arc::default(),
            proxy_noticed: Arc::default(),
            system,
        }
    }
}

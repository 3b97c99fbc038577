//! `tollkeeper serve`: from nothing to a server that answers, and back without losing a request.

mod activity;
mod background;
mod certificate;
mod connection;
mod connections;
mod descriptors;
mod greeting;
mod listener;
pub mod logging;
mod recorder;
mod shutdown;
mod stream;

pub use activity::Timeouts;
pub use connection::Limits;

use crate::{
    commands,
    config::{Config, Database},
    keyring, schema,
};
use anyhow::{Context, ensure};
use api::state::AppState;
use certificate::Certificate;
use connection::Site;
use connections::Connections;
use entity::id::OrganizationId;
use listener::Listener;
use service::{
    Ctx, System, activity as last_use,
    catalogue::{self, Catalogue, Outcome},
    checks,
    db::Db,
    presence::Presence,
    price::feed::Feed,
    scope::Scope,
    vault,
};
use shutdown::{Grace, Phase, Signals};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long the last flush may take.
const LAST_FLUSH: Duration = Duration::from_secs(5);
/// Connections of the operator's own listener.
const OWN_CONNECTIONS: usize = 64;

/// How long the connections to the database may take to close.
const LAST_CLOSE: Duration = Duration::from_secs(5);

/// How to serve.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// Bring the schema of a Postgres up to date first; on `SQLite` that happens anyway.
    #[arg(long)]
    migrate: bool,
}

/// Runs it until a signal ends it.
pub async fn run(config: Config, options: &Options) -> anyhow::Result<()> {
    logging::start(&config);
    let tls = match &config.server.tls {
        Some(files) => Some(certificate::watch(files)?),
        None => certificate::absent().map(|()| None)?,
    };
    let _lock = schema::lock_file(&config)?;
    let sockets = Sockets::bind(&config).await?;
    let address = sockets.api.local_addr()?;
    let system = prepare(&config, options, address).await?;
    let state = state(&config, system.clone())?;
    let presence = join(&state).await?;
    greeting::print(&config, &system, address).await?;

    // From before the first request on: a signal that comes as soon as the server is ready ends it in good order.
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let background = background::start(&state, &presence, &stop);
    let (phases, phase) = watch::channel(Phase::Serving);
    let served = listen(&config, &state, phase, sockets, tls);
    let grace = Grace { delay: config.shutdown_delay, grace: config.shutdown_grace };
    let drain = || state.draining.store(true, Ordering::Relaxed);
    shutdown::wait(&mut signals, &phases, grace, drain, served).await;
    stop.cancel();
    background.close();
    background.wait().await;
    if !matches!(timeout(LAST_FLUSH, last_use::flush(&system)).await, Ok(Ok(()))) {
        tracing::warn!("the last uses of some secrets could not be written");
    }
    let _ = timeout(LAST_FLUSH, presence.leave(&system)).await;
    // What is in the log of a SQLite database goes into the database, as long as it takes.
    if timeout(LAST_CLOSE, system.db.close()).await.is_err() {
        tracing::warn!("some connections to the database were still used");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Starts to serve on both addresses; what is returned ends when the last connection of the API has.
fn listen(
    config: &Config,
    state: &AppState,
    phase: watch::Receiver<Phase>,
    sockets: Sockets,
    tls: Option<Certificate>,
) -> impl Future<Output = ()> + use<> {
    let descriptors = descriptors::raise();
    let most = descriptors::connections(config.server.max_connections, descriptors, config.max_connections);
    let (app, overflow) = (api::app(state.clone()), api::overflow(state.clone()));
    let site = Site::new(app, overflow, config.server.limits(), Connections::new(most), phase.clone());
    let served = tokio::spawn(Listener::new(sockets.api, tls, site).run());
    if let Some(own) = sockets.own {
        let router = api::routes::health::own(state.clone());
        let connections = Connections::new(OWN_CONNECTIONS);
        let site = Site::new(router.clone(), router, config.server.limits(), connections, phase);
        // Nobody waits for its connections: whatever it is asked is answered at once.
        tokio::spawn(Listener::new(own, None, site).run());
    }
    async move {
        if let Err(error) = served.await {
            tracing::error!(%error, "the listener failed");
        }
    }
}

/// Where it listens.
struct Sockets {
    api: TcpListener,
    /// The operator's own.
    own: Option<TcpListener>,
}

impl Sockets {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let api = bind(config.listen).await?;
        let own = match config.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { api, own })
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// The schema, the connections and the secrets, each as it must be before anything is served.
async fn prepare(config: &Config, options: &Options, address: SocketAddr) -> anyhow::Result<Arc<System>> {
    if options.migrate || matches!(config.database, Database::Sqlite { .. }) {
        for name in schema::up(config).await? {
            tracing::info!(name, "migration applied");
        }
    }
    schema::check(config).await?;
    let db = Db::connect(config.database.url(), config.max_connections).await;
    let db = db.context("the database cannot be reached")?;
    let secrets = keyring::open_or_make(config, &db).await?;
    checks::enroll(&db, &secrets).await.context("refusing to start")?;
    let system = commands::system(config, db, secrets, config.issuer(address))?;
    vault::ensure(&system, OrganizationId::PLATFORM)
        .await
        .context("the platform's data key cannot be made")?;
    stock(&system).await.context("the built-in catalogue cannot be applied")?;
    Ok(system)
}

/// Says that this instance serves, and makes sure that the schema was not taken away just before that was known.
async fn join(state: &AppState) -> anyhow::Result<Presence> {
    let joined = Presence::join(&state.system, env!("CARGO_PKG_VERSION")).await;
    let presence = joined.context("the schema was changed during the start")?;
    let current = state.system.db.has_migration(&state.needed_migration).await?;
    ensure!(current, "the schema was changed during the start");
    Ok(presence)
}

/// Gives the platform the providers, models and prices that ship with this binary, unless a newer one has been here.
async fn stock(system: &Arc<System>) -> service::Result<()> {
    let platform = Ctx::internal(system, Scope::platform());
    match catalogue::apply(&platform, &Catalogue::built_in()?).await? {
        Outcome::Applied(applied) => tracing::info!(
            version = applied.catalogue_version,
            models = applied.models.added,
            prices = applied.prices.added + applied.prices.changed,
            "catalogue applied"
        ),
        Outcome::Current => {}
        Outcome::Older(version) => {
            tracing::info!(version, "the database has the catalogue of a newer release, and keeps it");
        }
    }
    Ok(())
}

fn state(config: &Config, system: Arc<System>) -> anyhow::Result<AppState> {
    let metrics = Some(recorder::install(&system)?);
    let feed = config.price_feed.clone().map(Feed::new).transpose()?.unwrap_or_default();
    Ok(AppState { metrics, feed, ..AppState::new(system, config.http.clone()) })
}

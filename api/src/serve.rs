//! `tollkeeper serve`: from nothing to a server that answers, and back without losing a request.

mod background;
mod greeting;
mod logging;
mod recorder;

use crate::{
    commands,
    config::{Config, Database},
    keyring, schema,
};
use anyhow::{Context, ensure};
use api::state::AppState;
use axum::{Router, serve::ListenerExt};
use entity::id::OrganizationId;
use service::{
    Ctx, System, activity,
    catalogue::{self, Catalogue, Outcome},
    checks,
    db::Db,
    presence::Presence,
    price::feed::Feed,
    scope::Scope,
    vault,
};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long the last flush may take.
const LAST_FLUSH: Duration = Duration::from_secs(5);

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
    let _lock = schema::lock_file(&config)?;
    let listener = bind(config.listen).await?;
    let own = match config.metrics_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let address = listener.local_addr()?;
    let system = prepare(&config, options, address).await?;
    let state = state(&config, system.clone())?;
    let presence = join(&state).await?;
    greeting::print(&config, &system, address).await?;

    let stop = CancellationToken::new();
    let background = background::start(&state, &presence, &stop);
    let own = own.map(|listener| serve(listener, api::routes::health::own(state.clone()), &stop));
    let server = serve(listener, api::app(state.clone()), &stop);
    signal().await?;
    tracing::info!("stopping: running requests finish");
    state.draining.store(true, Ordering::Relaxed);
    stop.cancel();
    finish(server, own, config.shutdown_grace).await;
    background.close();
    background.wait().await;
    if !matches!(timeout(LAST_FLUSH, activity::flush(&system)).await, Ok(Ok(()))) {
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

fn serve(listener: TcpListener, router: Router, stop: &CancellationToken) -> JoinHandle<()> {
    // Small replies must not wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the listener failed");
        }
    })
}

/// Lets running requests finish; who takes longer than the grace, or sends another signal, is cut off.
async fn finish(server: JoinHandle<()>, own: Option<JoinHandle<()>>, grace: Duration) {
    tokio::select! {
        outcome = timeout(grace, server) => if outcome.is_err() {
            tracing::warn!("requests that took longer than the grace are cut off");
        },
        _ = signal() => tracing::warn!("a second signal: running requests are cut off"),
    }
    if let Some(own) = own {
        own.abort();
    }
}

/// SIGTERM or SIGINT.
async fn signal() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

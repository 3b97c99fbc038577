//! `/health/live`, `/health/ready`, `/metrics`: what load balancers and monitoring ask.

use crate::{
    document::OpenApiRouter,
    extract::{Allow, Json, auth::Public},
    problem::{Problem, Result},
    state::AppState,
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use service::{
    authz::permit,
    db::{Db, Readiness},
};
use std::{
    borrow::Cow,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use utoipa::ToSchema;
use utoipa_axum::routes;

/// A database that takes longer does not count as ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(metrics))
}

/// What load balancers ask.
pub fn probes() -> Router<AppState> {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready))
}

/// What the operator's own listener serves: the same, without asking who wants to know.
pub fn own(state: AppState) -> Router {
    probes().route("/metrics", get(own_metrics)).with_state(state)
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
struct ServerHealth {
    /// `live` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// What will keep the server from being ready unless somebody acts; `partitions_run_out`: within two months the ledgers
    /// have no partition, run `tollkeeper partitions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

/// Whether the process runs
///
/// Asks nothing and nobody: a server that does not answer this is to be restarted.
#[utoipa::path(get, path = "/health/live", tag = "operation", security(()),
    responses((status = 200, description = "It runs.", body = ServerHealth)))]
async fn live(_: Public) -> Json<ServerHealth> {
    Json(ServerHealth { status: "live", warning: None })
}

/// Whether the server takes requests
///
/// It does if the database answers and takes writes, its schema is recent enough, and the server is not about to stop. On SQLite it
/// also tries, at most once a second, whether what is written is kept.
#[utoipa::path(get, path = "/health/ready", tag = "operation", security(()),
    responses((status = 200, description = "It does.", body = ServerHealth),
              (status = 503, description = "`draining`: it is about to stop. `schema_behind`: `tollkeeper migrate up` is needed. \
                   `schema_contracted`: a newer release took away what this one needs. \
                   `database_read_only`: the database is a standby, or takes no writes for another reason. `partitions_missing`: \
                   `tollkeeper partitions` is needed. `database_unavailable`: the database does not answer. On SQLite nothing can \
                   be written: `database_full`, `database_read_only`, `database_failing`, `database_damaged`; \
                   `database_replaced`: its file was deleted or replaced while it is served.")))]
async fn ready(Public(ctx): Public, State(state): State<AppState>) -> Result<Json<ServerHealth>> {
    if state.draining.load(Ordering::Relaxed) {
        return Err(unready("draining", "the server is about to stop"));
    }
    let asked = Instant::now();
    let found = ctx.system.db.readiness(&state.needed_migration, migration::CONTRACT);
    let answer = tokio::time::timeout(PATIENCE, found).await;
    metrics::histogram!("tollkeeper_database_ping_seconds").record(asked.elapsed());
    let found = answer.ok().and_then(std::result::Result::ok);
    match (found, writable(&ctx.system.db).await) {
        // Why nothing is written also tells why nothing is read.
        (None | Some(Readiness::Ready(_)), Err(fault)) => Err(fault),
        (found, _) => told(found),
    }
}

/// What was found of the database, as a load balancer is told; none if it did not answer.
fn told(found: Option<Readiness>) -> Result<Json<ServerHealth>> {
    match found {
        Some(Readiness::Ready(warning)) => Ok(Json(ServerHealth { status: "ready", warning })),
        Some(Readiness::SchemaBehind) => {
            Err(unready("schema_behind", "the schema is older than this server needs"))
        }
        Some(Readiness::SchemaContracted) => Err(unready(
            "schema_contracted",
            "a newer release took away what this server needs: install the newer release",
        )),
        Some(Readiness::ReadOnly(why)) => Err(unready("database_read_only", why)),
        Some(Readiness::PartitionsMissing) => Err(unready(
            "partitions_missing",
            "the ledgers have no partition for this month: run `tollkeeper partitions` as the role that owns them",
        )),
        None => Err(unready("database_unavailable", "the database does not answer")),
    }
}

async fn writable(db: &Db) -> Result<()> {
    db.verify_writable().await.map_err(|fault| unready(fault.code(), fault.to_string()))
}

fn unready(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry(2)
}

/// Read the metrics
///
/// In the text format of Prometheus. A scraper has no session to sign in with: give the metrics a listener of their own
/// (`TOLLKEEPER_METRICS_LISTEN`); this one is then closed.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
              (status = 404, description = "`not_found`: the metrics have a listener of their own.")))]
async fn metrics(_: Allow<permit::PlatformMetrics>, State(state): State<AppState>) -> Result<Response> {
    let here = state.settings.metrics_here.then(|| render(&state)).flatten();
    here.ok_or_else(|| service::Error::NotFound("metrics").into())
}

async fn own_metrics(State(state): State<AppState>) -> Response {
    render(&state).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

fn render(state: &AppState) -> Option<Response> {
    let text = crate::scrape::page(state)?;
    Some(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

//! The HTTP face of Tollkeeper. [`app`] is the whole server as one axum router; [`openapi`] is its contract, from the
//! same routes.

pub mod document;
pub mod extract;
pub mod metric;
pub mod middleware;
pub mod problem;
pub mod ratelimit;
pub mod routes;
mod scrape;
pub mod state;
pub mod verdict;

use axum::{
    Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse,
};
use document::OpenApiRouter;
use problem::Problem;
use state::{AppState, HttpSettings};
use std::{collections::BTreeSet, time::Duration};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer, timeout::TimeoutLayer,
};
use utoipa::openapi::OpenApi;

/// The largest body that a route takes unless it says otherwise: 1 MiB.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The largest body that is taken from whoever has not signed in: 128 KiB.
pub const SIGN_IN_LIMIT: usize = 128 * 1024;

/// The largest file that an import takes: 50 MiB.
pub const UPLOAD_LIMIT: usize = 50 * 1024 * 1024;
/// How many times as long as other requests an import may take, and what waits for servers of others.
const PATIENCE: u32 = 10;

/// The server.
pub fn app(state: AppState) -> Router {
    Routes::new(&state.settings).app(state)
}

/// The routes and the contract of them, before the state that they serve from. Describing them takes longer than serving
/// from them, so that one serves any number of states.
#[derive(Debug, Clone)]
pub struct Routes {
    router: Router<AppState>,
    cors: CorsLayer,
    document: Bytes,
}

impl Routes {
    /// The routes under these settings: the origins that browsers may call from, and how long a request may take.
    pub fn new(settings: &HttpSettings) -> Self {
        let cors = cors(&settings.cors_origins);
        let (router, document) = router(&cors, settings.request_timeout).split_for_parts();
        let document = serde_json::to_value(document::complete(document)).unwrap_or_default();
        // As text: every layer copies what a handler holds, and a value of this size takes longer than the request.
        Self { router, cors, document: document.to_string().into() }
    }

    /// The server over this state.
    pub fn app(&self, state: AppState) -> Router {
        self.router
            .clone()
            .with_state(state.clone())
            .merge(document::routes(self.document.clone()).layer(self.cors.clone()))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(from_fn_with_state(state.clone(), middleware::body::keep_coming))
            .layer(CatchPanicLayer::custom(|_| Problem::of_panic().into_response()))
            .layer(from_fn(problem::finish))
            .layer(CompressionLayer::new())
            .layer(from_fn_with_state(state, middleware::request::identify))
    }
}

/// What is served when there are too many connections: how the server is, and that it has too much to do.
pub fn overflow(state: AppState) -> Router {
    routes::health::probes()
        .fallback(async || Problem::from(service::Error::Overloaded))
        .with_state(state.clone())
        .layer(from_fn(problem::finish))
        .layer(from_fn_with_state(state, middleware::request::identify))
}

/// The contract.
pub fn openapi() -> OpenApi {
    document::complete(router(&CorsLayer::new(), Duration::MAX).split_for_parts().1)
}

/// The names that several types give to their schemas, of which the contract would have one.
pub fn schema_clashes() -> BTreeSet<String> {
    router(&CorsLayer::new(), Duration::MAX).clashes().clone()
}

/// Browsers' rules hold for everything but what proxies ask by any method: an `OPTIONS` of theirs is a question like any
/// other, and answering it for them would let the request pass. Files take longer than other bodies, and are larger.
fn router(cors: &CorsLayer, most: Duration) -> OpenApiRouter {
    let within = |most| TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, most);
    let uploads = routes::uploads()
        .layer(DefaultBodyLimit::max(UPLOAD_LIMIT))
        .layer(within(most.saturating_mul(PATIENCE)));
    let patient = routes::patient().layer(within(most.saturating_mul(PATIENCE)));
    let others = routes::router().layer(within(most)).merge(patient);
    OpenApiRouter::with_openapi(document::head())
        .merge(others.merge(uploads).layer(cors.clone()))
        .merge(routes::for_proxies().layer(within(most)))
}

/// Browsers of the configured origins may call; by default none.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let origins: Vec<HeaderValue> = origins.collect();
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let mut allowed = ["idempotency-key", "x-request-id"].map(HeaderName::from_static).to_vec();
    allowed.extend([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH]);
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(allowed)
        .expose_headers([header::ETAG, header::RETRY_AFTER])
}

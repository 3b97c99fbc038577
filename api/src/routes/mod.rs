//! The routes, one file a resource.

use crate::{document::OpenApiRouter, state::AppState};
use axum::extract::DefaultBodyLimit;

mod admin_tokens;
mod audit_events;
mod auth;
mod catalogue;
mod connection_checks;
mod connection_icons;
mod connections;
mod credentials;
mod decisions;
mod gateway_tokens;
pub mod health;
mod invitations;
mod keys;
mod limits;
mod mappings;
mod members;
mod model_aliases;
mod models;
mod organizations;
mod price_feed;
mod price_lists;
mod price_questions;
mod prices;
mod providers;
mod proxy_pools;
mod reservations;
mod service_accounts;
mod teams;
mod usage;
mod users;

/// The routes that programs and people call.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(auth::router().layer(DefaultBodyLimit::max(crate::SIGN_IN_LIMIT)))
        .merge(organizations::router())
        .merge(members::router())
        .merge(invitations::router())
        .merge(teams::router())
        .merge(service_accounts::router())
        .merge(keys::router())
        .merge(limits::router())
        .merge(connections::router())
        .merge(connection_icons::router())
        .merge(credentials::router())
        .merge(mappings::router())
        .merge(admin_tokens::router())
        .merge(gateway_tokens::router())
        .merge(prices::router())
        .merge(price_questions::router())
        .merge(price_lists::router())
        .merge(price_feed::router())
        .merge(models::router())
        .merge(model_aliases::router())
        .merge(providers::router())
        .merge(proxy_pools::router())
        .merge(catalogue::router())
        .merge(usage::router())
        .merge(reservations::router())
        .merge(audit_events::router())
        .merge(users::router())
        .merge(connection_checks::router())
        .merge(decisions::router())
        .merge(health::router())
}

/// The routes that take files.
pub fn uploads() -> OpenApiRouter<AppState> {
    price_lists::uploads()
}

/// The routes that wait for servers of others.
pub fn patient() -> OpenApiRouter<AppState> {
    proxy_pools::patient().merge(connection_checks::patient())
}

/// The routes that proxies ask by any method. They are in the OpenAPI document, too.
pub fn for_proxies() -> OpenApiRouter<AppState> {
    decisions::for_proxies()
}

//! The authorization walk: **every** operation of the OpenAPI document, as nobody, as everybody, with every id of
//! another organization and of another team in every place that takes one.
//!
//! The walk is driven by the document: an operation, a parameter or a field that is new is walked too, or fails it.

mod ask;
mod doors;
mod kinds;
mod reach;
mod roles;
mod world;

use service::authz::Permission;

/// The permissions that an admin token can carry.
fn tenant_permissions() -> impl Iterator<Item = Permission> {
    Permission::EVERY.iter().copied().filter(|permission| permission.is_tenant())
}

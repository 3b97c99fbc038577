//! Provider connections: the configured upstreams of an organization or of one of its teams. What is decided about one is in
//! its versioned row; what is seen of it while it works is in its state, which no edit collides with. Header values are
//! sealed, and only their names are ever shown.

mod check;
mod create;
mod delete;
mod edit;
mod headers;
mod health;
mod icon;
mod lifecycle;
mod read;
mod state;
mod view;

pub use create::{NewConnection, create};
pub use delete::delete;
pub use edit::{ConnectionPatch, update};
pub use headers::headers;
pub use health::{ConnectionHealth, health};
pub use icon::{ConnectionIcon, IconImage, NewIcon, icon, remove_icon, set_icon};
pub(crate) use lifecycle::reason;
pub use lifecycle::{Reason, TlsVerification, clear_errors, disable, enable, verify_tls};
pub use read::{ConnectionFilter, get, list};
pub use view::{Connection, ConnectionPage};

use crate::{Ctx, Result, Unit, scope::Scope};
use entity::{id::ProxyPoolId, proxy_pool};

/// The same call, with the whole organization in reach: for what the caller's own reach hides and the use-case needs.
pub(crate) fn whole(ctx: &Ctx) -> Ctx {
    ctx.within(Scope::all(ctx.scope.organization))
}

/// Keeps the pool that a connection is bound to until the unit ends: whoever deletes it waits, and then counts the
/// connection. Pools are the organization's, and everybody who changes connections may bind them.
async fn hold_pool(unit: &Unit<'_>, pool: Option<ProxyPoolId>) -> Result<()> {
    if let Some(pool) = pool {
        unit.read_in::<proxy_pool::Entity>(&whole(unit.ctx)).hold(pool).await?;
    }
    Ok(())
}

//! Provider connections: the configured upstreams of an organization or of one of its teams. What is decided about one is in
//! its versioned row; what is seen of it while it works is in its state, which no edit collides with. Header values are
//! sealed, and only their names are ever shown.

mod batch;
mod candidate;
mod check;
mod code;
mod create;
mod delete;
mod discover;
mod edit;
mod format;
mod headers;
mod health;
mod icon;
mod lifecycle;
mod models;
mod noted;
mod read;
mod search;
mod state;
mod verify;
mod view;

pub use batch::{NewVerificationBatch, VerificationBatch, VerifiedConnection, verify_batch};
pub use code::CheckCode;
pub use create::{NewConnection, create};
pub use delete::delete;
pub use discover::{Discovery, NewDiscovery, discover_models};
pub use edit::{ConnectionPatch, update};
pub use format::{BaseUrlMode, FormatFacts, FormatPlan, FormatSource, plan, spoken};
pub use headers::headers;
pub use health::{ConnectionHealth, health};
pub use icon::{ConnectionIcon, IconImage, NewIcon, icon, remove_icon, set_icon};
pub(crate) use lifecycle::reason;
pub use lifecycle::{DisableReason, TlsVerification, clear_errors, disable, enable, verify_tls};
pub use models::{ConnectionModel, ConnectionModelFilter, ConnectionModelPage, list_models};
pub use read::{ConnectionFilter, get, list};
pub use search::{Attempt, Patience};
pub(crate) use verify::try_secret;
pub use verify::{
    ConnectionVerification, NewVerification, Recommendation, Verification, verify, verify_candidate,
};
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

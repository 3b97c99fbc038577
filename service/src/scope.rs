//! [`Scope`]: the organization a call works in, and how far into it the caller reaches.

use crate::Ctx;
use entity::id::{OrganizationId, TeamId, UserId};

/// How far into its organization a caller reaches. Outside its reach a row is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everything in the organization.
    All,
    /// What belongs to these teams or to this person.
    Limited {
        /// Teams in which the caller has the permission.
        teams: Vec<TeamId>,
        /// The person whose own rows are within reach.
        user: Option<UserId>,
    },
}

/// The organization a call works in, and the caller's reach in it.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The tenant; the platform for what has none.
    pub organization: OrganizationId,
    /// How far the caller reaches.
    pub reach: Reach,
}

impl Scope {
    /// The platform's own rows.
    pub fn platform() -> Self {
        Self { organization: OrganizationId::PLATFORM, reach: Reach::All }
    }
    /// All of one organization.
    pub fn all(organization: OrganizationId) -> Self {
        Self { organization, reach: Reach::All }
    }
}

/// Whether the caller's reach is a part of the organization.
pub(crate) fn is_limited(ctx: &Ctx) -> bool {
    matches!(ctx.scope.reach, Reach::Limited { .. })
}

//! Virtual keys: what a program may call, and for whom. A key has one owner, at most two live secrets, and a status that
//! only its administrators change; a revoked key never works again.

mod bulk;

pub(crate) use bulk::{revoke_where, transfer_where};

use entity::id::{ServiceAccountId, TeamId, UserId};

/// Who owns a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A team.
    Team(TeamId),
    /// A person.
    User(UserId),
    /// A service account.
    ServiceAccount(ServiceAccountId),
}

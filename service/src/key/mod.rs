//! Virtual keys: what a program may call, and for whom. A key has one owner, at most two live secrets, and a status that
//! only its administrators change; a revoked key never works again.

mod bulk;
mod create;
mod edit;
mod holder;
mod lifecycle;
mod list;
mod lookup;
mod owner;
mod rotate;
mod secret;
mod view;

pub use bulk::{ExpiredKeys, KeySelection, KeysArchived, KeysRevoked, archive_expired, revoke_all};
pub(crate) use bulk::{revoke_where, transfer_where};
pub use create::{NewKey, create};
pub use edit::{KeyPatch, update};
pub(crate) use holder::{block_keys_issued_to, block_keys_of_invitations, give_keys_of_invitation};
pub use lifecycle::{delete, disable, enable, revoke, transfer};
pub use list::{KeyCount, KeyFilter, KeyState, count, get, list};
pub use lookup::{KeyLookup, KeyMatch, Leak, lookup};
pub use owner::{NewOwner, Owner};
pub use rotate::{Rotation, rotate};
pub use secret::{end_secret, get_secret, list_secrets};
pub use view::{Blocker, EffectiveStatus, IssuedKey, Key, KeyPage, KeySecret, KeySecretPage};

use crate::{Error, Result};
use entity::{status::KeyStatus, virtual_key::Model};

/// The kinds of call that a key can be narrowed to.
pub const SCOPES: &[&str] = &[
    "chat",
    "completions",
    "responses",
    "messages",
    "embeddings",
    "images",
    "audio",
    "moderations",
    "rerank",
    "files",
    "batches",
    "models",
];

/// Nothing but deleting it can happen to a revoked key.
fn not_revoked(key: &Model) -> Result<()> {
    match key.status {
        KeyStatus::Revoked => Err(Error::InvalidState("key_revoked", "the key is revoked for ever".into())),
        KeyStatus::Active | KeyStatus::Disabled => Ok(()),
    }
}

//! Credentials: the secrets of a connection. A secret goes in, sealed, and comes out for calls of our own alone. A provider key is
//! replaced without a failed call: the new one is added, the old one drained, and retired when nothing uses it any more. What is
//! retired stays so, and its secret is gone.

mod create;
mod edit;
mod read;
mod usable;
mod view;

pub(crate) use create::check_secret;
pub use create::{AddedCredential, NewCredential, create};
pub use edit::{CredentialPatch, delete, update};
pub use read::{CredentialFilter, get, list};
pub use usable::usable;
pub use view::{Credential, CredentialPage, Digest};

use crate::vault::Place;
use chrono::{DateTime, Utc};
use entity::{
    credential::{ActiveModel, Column},
    id::{ConnectionId, CredentialId, OrganizationId},
    status::CredentialState,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, sea_query::SimpleExpr};

/// The credentials of a connection.
fn of(connection: ConnectionId) -> SimpleExpr {
    Column::ConnectionId.eq(connection)
}

fn place(organization: OrganizationId, id: &CredentialId) -> Place<'_> {
    Place { organization, table: "credential", row: id.0.as_bytes(), column: "secret" }
}

/// What retires a credential: its secret is gone.
pub(crate) fn erased(now: DateTime<Utc>) -> ActiveModel {
    ActiveModel {
        state: Set(CredentialState::Retired),
        state_since: Set(now),
        secret: Set(None),
        data_key_id: Set(None),
        ..Default::default()
    }
}

//! [`RawObject`]: the usage object of an attempt that it does not tell exactly, on its way into a row of its own. It is sealed
//! before its command waits, so that no batch waits for the vault, and the row is written in the batch of the event.

use super::command::Attempt;
use crate::vault::Place;
use chrono::{DateTime, Utc};
use entity::{
    id::{DataKeyId, OrganizationId, UsageRawId},
    reservation,
    secret::Sealed,
    status::RawUsage,
    usage_raw,
};
use std::fmt;

/// A usage object that is to be kept.
#[derive(Clone, PartialEq, Eq)]
pub enum RawObject {
    /// As JSON, not sealed yet.
    Plain(String),
    /// Sealed for its row.
    Sealed(Box<SealedObject>),
    /// It is not kept.
    Dropped(RawUsage),
}

/// A usage object, sealed for a row of an organization.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedObject {
    /// The row.
    pub id: UsageRawId,
    /// The organization.
    pub organization: OrganizationId,
    /// The data key.
    pub key: DataKeyId,
    /// The value.
    pub value: Sealed,
}

/// A command is printed, an object never is.
impl fmt::Debug for RawObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[usage object]")
    }
}

impl RawObject {
    /// The object, if it is sealed for this organization.
    fn sealed(&self, organization: OrganizationId) -> Option<&SealedObject> {
        match self {
            Self::Sealed(sealed) if sealed.organization == organization => Some(sealed),
            Self::Plain(_) | Self::Sealed(_) | Self::Dropped(_) => None,
        }
    }

    /// What the event says of it.
    pub(super) fn state(&self, organization: OrganizationId) -> RawUsage {
        match self {
            Self::Dropped(why) => *why,
            _ if self.sealed(organization).is_some() => RawUsage::Kept,
            Self::Plain(_) | Self::Sealed(_) => RawUsage::NotSealed,
        }
    }
}

/// Where the object of a row is.
pub fn place(organization: OrganizationId, id: &UsageRawId) -> Place<'_> {
    Place { organization, table: "usage_raw", row: id.0.as_bytes(), column: "raw" }
}

/// The rows of the objects of a call, of which the events are written with them.
pub(super) fn rows(
    row: &reservation::Model,
    attempts: &[Attempt],
    at: DateTime<Utc>,
) -> Vec<usage_raw::Model> {
    let kept = |(attempt, told): (i32, &Attempt)| {
        let SealedObject { id, organization, key, value } =
            told.raw.as_ref()?.sealed(row.organization_id)?.clone();
        Some(usage_raw::Model {
            id,
            organization_id: organization,
            event_id: row.id,
            attempt,
            raw: value,
            data_key_id: key,
            created_at: at,
        })
    };
    (0..).zip(attempts).filter_map(kept).collect()
}

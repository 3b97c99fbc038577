//! Many keys at once: revoking and transferring every live key that meets a condition, whatever their number.

use super::Owner;
use crate::{Result, Unit};
use entity::{
    status::KeyStatus,
    virtual_key::{ActiveModel, Column, Entity},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition};
use uuid::Uuid;

fn live(which: Condition) -> Condition {
    Condition::all().add(which).add(Column::Status.ne(KeyStatus::Revoked))
}

/// Revokes every live key in scope that meets a condition; says how many there were.
pub(crate) async fn revoke_where(unit: &mut Unit<'_>, which: Condition) -> Result<u64> {
    let changes = ActiveModel {
        status: Set(KeyStatus::Revoked),
        revoked_at: Set(Some(unit.now)),
        ..Default::default()
    };
    let revoked = unit.repository::<Entity>().force_all("revoke", live(which), changes).await?;
    let ids: Vec<Uuid> = revoked.iter().map(|key| key.id.uuid()).collect();
    unit.forget_all_replies(&ids).await?;
    Ok(ids.len() as u64)
}

/// Hands every live key in scope that meets a condition to another owner; says how many there were.
pub(crate) async fn transfer_where(unit: &mut Unit<'_>, which: Condition, owner: Owner) -> Result<u64> {
    let changes = owner.columns();
    let moved = unit.repository::<Entity>().force_all("transfer", live(which), changes).await?;
    Ok(moved.len() as u64)
}

impl Owner {
    /// The owner columns of a key, all three.
    pub(super) fn columns(self) -> ActiveModel {
        let (mut team, mut user, mut service_account) = (None, None, None);
        match self {
            Self::Team(id) => team = Some(id),
            Self::User(id) => user = Some(id),
            Self::ServiceAccount(id) => service_account = Some(id),
        }
        ActiveModel {
            team_id: Set(team),
            user_id: Set(user),
            service_account_id: Set(service_account),
            ..Default::default()
        }
    }
}

//! Many keys at once, whatever their number: revoked, handed over, or put away when they have long expired.

use super::{KeyFilter, owner::Owner};
use crate::{Ctx, Error, Result, Unit, validate::Faults};
use chrono::TimeDelta;
use entity::{
    id::{KeyId, ServiceAccountId, TeamId, UserId},
    status::KeyStatus,
    virtual_key::{ActiveModel, Column, Entity},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;

/// Keys that one call can name.
const NAMED: usize = 1000;
/// Keys of one unit of work: as many as are written in some milliseconds, which others wait for.
const PART: usize = 25;
/// How long an expired key is kept unless one asks otherwise, in days.
const KEPT: i64 = 30;

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
    stop(unit, "revoke", which, changes).await
}

/// Ends every live key that meets a condition. Replies that carried its secret are forgotten.
async fn stop(unit: &mut Unit<'_>, action: &str, which: Condition, changes: ActiveModel) -> Result<u64> {
    let stopped = unit.repository::<Entity>().force_all(action, live(which), changes).await?;
    let ids: Vec<Uuid> = stopped.iter().map(|key| key.id.uuid()).collect();
    unit.forget_all_replies(&ids).await?;
    Ok(ids.len() as u64)
}

/// Hands every live key in scope that meets a condition to another owner; says how many there were. The owner must be at
/// work, and allow each of them.
pub(crate) async fn transfer_where(unit: &mut Unit<'_>, which: Condition, owner: Owner) -> Result<u64> {
    let held = owner.hold(unit).await?;
    if let Some(refused) = held.refuses(unit.now) {
        let count = unit.read::<Entity>().count(live(which.clone()).add(refused)).await?;
        if count > 0 {
            let message = format!("{count} of the keys never expire, or live longer than the owner allows");
            return Err(Error::invalid("/expires_at", "beyond_lifetime", message));
        }
    }
    held.at_work()?;
    let moved = unit.repository::<Entity>().force_all("transfer", live(which), owner.columns()).await?;
    Ok(moved.len() as u64)
}

/// Which keys to revoke: those that meet everything that is given. At least one thing must be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeySelection {
    /// Only this team's.
    pub team_id: Option<TeamId>,
    /// Only this person's.
    pub user_id: Option<UserId>,
    /// Only this service account's.
    pub service_account_id: Option<ServiceAccountId>,
    /// Only those with this label, `name:value`.
    #[schema(example = "cost_centre:4711")]
    pub tag: Option<String>,
    /// Only those that this user or admin token made.
    pub created_by: Option<String>,
    /// Only these, at most 1000.
    #[schema(max_items = 1000)]
    pub key_ids: Option<BTreeSet<KeyId>>,
}

/// How many keys were revoked.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeysRevoked {
    /// Keys that were live and are revoked now.
    #[schema(example = 3)]
    pub revoked: u64,
}

impl KeySelection {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        let given = self.team_id.is_some()
            || self.user_id.is_some()
            || self.service_account_id.is_some()
            || self.tag.is_some()
            || self.created_by.is_some()
            || self.key_ids.is_some();
        faults.when(!given, "", "required", "say which keys: give at least one field");
        let many = self.key_ids.as_ref().is_some_and(|ids| ids.len() > NAMED);
        faults.when(many, "/key_ids", "too_many", "must have at most 1000 entries");
        let tag = self.tag.as_ref().is_some_and(|tag| !tag.contains(':'));
        faults.when(tag, "/tag", "invalid_value", "must be name:value");
        faults.text("/tag", self.tag.as_deref().unwrap_or_default(), 321);
        faults.text("/created_by", self.created_by.as_deref().unwrap_or_default(), 64);
        faults.finish()
    }
}

/// Revokes every key that a selection finds. A key that is named must be there. Nobody waits for all of them: they are revoked
/// in parts, each in force when it is committed. Whatever stops it in between, the same call again revokes the rest.
pub async fn revoke_all(ctx: &Ctx, selection: KeySelection) -> Result<KeysRevoked> {
    selection.check()?;
    let filter = KeyFilter {
        team_id: selection.team_id,
        user_id: selection.user_id,
        service_account_id: selection.service_account_id,
        created_by: selection.created_by,
        tag: selection.tag,
        ..Default::default()
    };
    let which = filter.condition(ctx, ctx.now().await?).await?;
    match selection.key_ids {
        Some(ids) => revoke_named(ctx, which, &ids).await,
        None => revoke_found(ctx, which).await,
    }
}

async fn revoke_named(ctx: &Ctx, which: Condition, ids: &BTreeSet<KeyId>) -> Result<KeysRevoked> {
    let named = |ids: &[KeyId]| Column::Id.is_in(ids.iter().copied());
    let ids: Vec<KeyId> = ids.iter().copied().collect();
    if ctx.repository::<Entity>().count(named(&ids)).await? < ids.len() as u64 {
        return Err(Error::NotFound("key"));
    }
    let mut parts: Vec<&[KeyId]> = ids.chunks(PART).collect();
    // The last ones are revoked together with the reply.
    let last = parts.pop().unwrap_or_default();
    let mut revoked = 0;
    for part in parts {
        revoked += revoke_part(ctx, which.clone().add(named(part))).await?;
    }
    let mut unit = ctx.begin().await?;
    revoked += revoke_where(&mut unit, which.add(named(last))).await?;
    unit.commit(KeysRevoked { revoked }).await
}

async fn revoke_found(ctx: &Ctx, which: Condition) -> Result<KeysRevoked> {
    let mut revoked = 0;
    loop {
        let next = ctx.repository::<Entity>().all(live(which.clone()), PART as u64).await?;
        if next.len() < PART {
            break;
        }
        let next = Column::Id.is_in(next.iter().map(|key| key.id));
        revoked += revoke_part(ctx, which.clone().add(next)).await?;
    }
    let mut unit = ctx.begin().await?;
    revoked += revoke_where(&mut unit, which).await?;
    unit.commit(KeysRevoked { revoked }).await
}

async fn revoke_part(ctx: &Ctx, which: Condition) -> Result<u64> {
    let part = ctx.quiet();
    let mut unit = part.begin().await?;
    let revoked = revoke_where(&mut unit, which).await?;
    unit.commit(revoked).await
}

/// Which expired keys to put away.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpiredKeys {
    /// How long they must have been expired; 30 days unless given.
    #[schema(minimum = 0, maximum = 315_576_000_i64, default = 2_592_000, example = 604_800)]
    pub expired_for_seconds: Option<i64>,
}

/// How many keys were put away.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeysArchived {
    /// Expired keys that are archived now.
    #[schema(example = 3)]
    pub archived: u64,
}

/// Revokes and archives every key that expired long enough ago. A key that never expires, or was revoked, stays.
pub async fn archive_expired(ctx: &Ctx, which: ExpiredKeys) -> Result<KeysArchived> {
    let mut faults = Faults::default();
    let seconds = which.expired_for_seconds.unwrap_or(KEPT * 86_400);
    let wrong = !(0..=315_576_000).contains(&seconds);
    faults.when(wrong, "/expired_for_seconds", "out_of_range", "must be between 0 and 315576000 seconds");
    faults.finish()?;
    let mut unit = ctx.begin().await?;
    let before = unit.now - TimeDelta::seconds(seconds);
    let changes = ActiveModel {
        status: Set(KeyStatus::Revoked),
        revoked_at: Set(Some(unit.now)),
        archived_at: Set(Some(unit.now)),
        ..Default::default()
    };
    let expired = Condition::all().add(Column::ExpiresAt.lte(before));
    let archived = stop(&mut unit, "delete", expired, changes).await?;
    unit.commit(KeysArchived { archived }).await
}

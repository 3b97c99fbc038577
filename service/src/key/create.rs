//! Making a key: the row, its first secret and its limits in one unit of work.

use super::{IssuedKey, NewOwner, SCOPES, holder::Holder, owner::Owner, secret, view};
use crate::{
    Ctx, Result,
    limit::{self, NewKeyLimit},
    validate::Faults,
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{InvitationId, KeyId, ServiceAccountId, TeamId, UserId},
    json::{Metadata, Tags, Texts},
    limit as usage_limit,
    status::KeyStatus,
    virtual_key::{ActiveModel, Entity},
};
use sea_orm::{ActiveValue::Set, DeriveIntoActiveModel, IntoActiveModel};
use serde::Deserialize;
use utoipa::ToSchema;

/// The furthest end of a key's life, in days: a hundred years.
const FURTHEST: i64 = 36_525;

/// A key to make. Exactly one of `team_id`, `user_id` and `service_account_id` owns it.
#[derive(Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel", set(status = "KeyStatus::Active"))]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Shown name, 1–255 characters; need not be unique.
    #[schema(min_length = 1, max_length = 255, example = "checkout-prod")]
    pub name: String,
    /// The owning team.
    #[serde(default)]
    pub team_id: Option<TeamId>,
    /// The owning person, a member of the organization.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// The owning service account.
    #[serde(default)]
    pub service_account_id: Option<ServiceAccountId>,
    /// With `team_id`: the member of the team whom the key is issued to. Its calls count in the person's limits as a
    /// member; the person sees and rotates it; when the person leaves the team, it is blocked.
    #[serde(default)]
    pub issued_to_user_id: Option<UserId>,
    /// With `team_id`: an invitation into the team that is not accepted yet. The key works, and becomes that of who
    /// accepts it.
    #[serde(default)]
    pub issued_to_invitation_id: Option<InvitationId>,
    /// Globs of models it may call; absent or null = no restriction, [] = none.
    #[serde(default)]
    #[schema(example = json!(["gpt-4o*"]))]
    pub allowed_models: Option<Texts>,
    /// Globs of models it may not call, whatever else allows them.
    #[serde(default)]
    #[schema(example = json!(["*-preview"]))]
    pub denied_models: Option<Texts>,
    /// Kinds of call it may make; absent or null = every kind, [] = none.
    #[serde(default)]
    #[schema(example = json!(["chat", "embeddings"]))]
    pub scopes: Option<Texts>,
    /// Networks it may be used from; absent or null = anywhere, [] = nowhere.
    #[serde(default)]
    #[schema(example = json!(["10.0.0.0/8"]))]
    pub allowed_cidrs: Option<Texts>,
    /// Refused from this moment on; must be in the future, and is required if the team or the organization limits the
    /// life of keys.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// Labels.
    #[serde(default)]
    pub tags: Tags,
    /// Any JSON object of at most 16 KiB, kept as it is.
    #[serde(default, deserialize_with = "crate::validate::metadata")]
    pub metadata: Metadata,
    /// Limits to make on the key, at most 64, together with it: both or neither.
    #[serde(default)]
    #[sea_orm(ignore)]
    #[schema(max_items = 64)]
    pub limits: Vec<NewKeyLimit>,
}

impl NewKey {
    fn owner(&self) -> NewOwner {
        NewOwner {
            team_id: self.team_id,
            user_id: self.user_id,
            service_account_id: self.service_account_id,
            issued_to_user_id: self.issued_to_user_id,
            issued_to_invitation_id: self.issued_to_invitation_id,
        }
    }

    /// The owner, and the limits to make.
    fn check(&self, now: DateTime<Utc>) -> Result<(Owner, Vec<usage_limit::ActiveModel>)> {
        let (owner, holder) = (self.owner().one(), self.owner().holder());
        let mut faults = Faults::default();
        faults.also(&owner);
        faults.also(&holder);
        faults.name("/name", &self.name);
        faults.globs("/allowed_models", self.allowed_models.as_ref());
        faults.globs("/denied_models", self.denied_models.as_ref());
        faults.words("/scopes", self.scopes.as_ref(), SCOPES);
        faults.cidrs("/allowed_cidrs", self.allowed_cidrs.as_ref());
        expiry(&mut faults, self.expires_at, now);
        faults.tags("/tags", &self.tags);
        faults.metadata("/metadata", &self.metadata);
        let limits = NewKeyLimit::check_all(&self.limits, &mut faults);
        faults.finish()?;
        Ok((owner?, limits))
    }
}

/// A key ends in the future, and within a hundred years.
pub(super) fn expiry(faults: &mut Faults, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
    let Some(end) = expires_at else { return };
    faults.when(end <= now, "/expires_at", "in_the_past", "must be in the future");
    let far = end - now > TimeDelta::days(FURTHEST);
    faults.when(far, "/expires_at", "out_of_range", "must be within a hundred years");
}

/// Makes a key, and shows its secret.
pub async fn create(ctx: &Ctx, new: NewKey) -> Result<IssuedKey> {
    let warnings = limit::warnings_for_key(ctx, &new.limits).await?;
    let mut unit = ctx.begin().await?;
    // Who is not there is told before what is wrong.
    Holder::find(&unit, new.issued_to_user_id, new.issued_to_invitation_id).await?;
    let (owner, limits) = new.check(unit.now)?;
    let held = owner.hold(&unit).await?;
    let ActiveModel { holder_left_at, .. } = new.owner().hold_holder(&unit).await?;
    held.allows(new.expires_at, unit.now)?;
    held.at_work()?;
    let id: KeyId = unit.id();
    let created_by = ctx.actor.id.clone();
    let row =
        ActiveModel { id: Set(id), created_by: Set(created_by), holder_left_at, ..new.into_active_model() };
    unit.repository::<Entity>().insert(row).await?;
    let token = secret::add(&mut unit, id).await?;
    limit::make_for_key(&mut unit, id, limits).await?;
    let mut issued = view::issued(&unit, id, &token).await?;
    // They are listed as they were asked for.
    for (limit, warnings) in issued.limits.iter_mut().zip(warnings) {
        limit.warnings = warnings;
    }
    unit.commit_secret(issued, &token).await
}

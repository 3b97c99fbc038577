//! [`Owner`]: whom a key belongs to, and the longest life that the owner and the organization allow it. What a key is
//! made for or handed to is held while that happens, so that it cannot be suspended or deleted meanwhile.

use super::holder::Holder;
use crate::{Error, Result, Unit, repository::Repository, scope::Scope};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{InvitationId, ServiceAccountId, TeamId, UserId},
    membership, organization, service_account,
    status::Standing,
    team, user_account,
    virtual_key::{ActiveModel, Column, Model},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, sea_query::SimpleExpr};
use serde::Deserialize;
use utoipa::ToSchema;

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

/// The owner that a key is handed to, exactly one of the three, and whom a team's key is issued to.
#[derive(Debug, Default, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewOwner {
    /// A team.
    pub team_id: Option<TeamId>,
    /// A person, a member of the organization.
    pub user_id: Option<UserId>,
    /// A service account.
    pub service_account_id: Option<ServiceAccountId>,
    /// With `team_id`: the member of the team whom the key is issued to.
    pub issued_to_user_id: Option<UserId>,
    /// With `team_id`: an invitation into the team; the key becomes that of who accepts it.
    pub issued_to_invitation_id: Option<InvitationId>,
}

impl NewOwner {
    /// Whom the key is issued to, if it goes with the owner.
    pub(super) fn holder(&self) -> Result<Option<Holder>> {
        Holder::one(self.issued_to_user_id, self.issued_to_invitation_id, self.team_id)
    }

    /// Keeps whom the key is issued to as it is until the unit ends, and answers with the holder columns of the key. The owner
    /// is held already.
    pub(super) async fn hold_holder(&self, unit: &Unit<'_>) -> Result<ActiveModel> {
        match self.holder()?.zip(self.team_id) {
            Some((holder, team)) => holder.hold(unit, team).await,
            None => Ok(Holder::columns(None)),
        }
    }

    /// The one owner; an error if there is none or more than one.
    pub(super) fn one(&self) -> Result<Owner> {
        Owner::only(self.team_id, self.user_id, self.service_account_id).ok_or_else(|| {
            Error::invalid("", "one_owner", "give exactly one of team_id, user_id and service_account_id")
        })
    }
}

impl Owner {
    /// The one that is given, if it is only one.
    pub(super) fn only(
        team: Option<TeamId>,
        user: Option<UserId>,
        service_account: Option<ServiceAccountId>,
    ) -> Option<Self> {
        match (team, user, service_account) {
            (Some(id), None, None) => Some(Self::Team(id)),
            (None, Some(id), None) => Some(Self::User(id)),
            (None, None, Some(id)) => Some(Self::ServiceAccount(id)),
            _ => None,
        }
    }

    /// Whose this key is.
    pub(super) fn of(key: &Model) -> Result<Self> {
        Self::only(key.team_id, key.user_id, key.service_account_id)
            .ok_or_else(|| Error::internal("a key without one owner"))
    }

    /// The keys that it owns.
    pub(super) fn keys(self) -> SimpleExpr {
        match self {
            Self::Team(id) => Column::TeamId.eq(id),
            Self::User(id) => Column::UserId.eq(id),
            Self::ServiceAccount(id) => Column::ServiceAccountId.eq(id),
        }
    }

    /// The owner columns of a key, all three. A key that is handed over is issued to nobody.
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
            ..Holder::columns(None)
        }
    }

    /// Keeps the organization and the owner as they are until the unit ends. An owner outside the caller's reach is not
    /// there. Whoever needs both locks the owner before the key.
    pub(super) async fn hold(self, unit: &Unit<'_>) -> Result<Held> {
        let organization = unit.read::<organization::Entity>().hold(unit.ctx.scope.organization).await?;
        let (standing, team) = match self {
            Self::Team(id) => {
                let team = unit.read::<team::Entity>().hold(id).await?;
                (team.status, team.max_key_lifetime)
            }
            Self::User(id) => {
                let member = unit.read::<membership::Entity>().hold(id).await?;
                (member.status.max(account(unit, id).await?), None)
            }
            Self::ServiceAccount(id) => (unit.read::<service_account::Entity>().hold(id).await?.status, None),
        };
        let lifetime = [organization.max_key_lifetime, team].into_iter().flatten().min();
        Ok(Held { standing, lifetime })
    }
}

/// How a person's account stands. Accounts are the platform's.
async fn account(unit: &Unit<'_>, id: UserId) -> Result<Standing> {
    let platform = unit.ctx.within(Scope::platform());
    let accounts = Repository::<user_account::Entity, _>::new(&unit.tx, &platform);
    let standing = accounts.column(user_account::Column::Id.eq(id), user_account::Column::Status).await?;
    standing.first().map(|(_, standing)| *standing).ok_or(Error::NotFound("user"))
}

/// An owner that is held, and what it allows.
#[derive(Debug)]
pub(super) struct Held {
    standing: Standing,
    lifetime: Option<i64>,
}

impl Held {
    /// Only an owner at work gets keys.
    pub(super) fn at_work(&self) -> Result<()> {
        if self.standing == Standing::Active {
            return Ok(());
        }
        Err(Error::InvalidState("owner_suspended", "the owner is suspended".into()))
    }

    fn latest(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.lifetime.and_then(TimeDelta::try_seconds).and_then(|life| now.checked_add_signed(life))
    }

    /// Whether a key that ends then may be issued now.
    pub(super) fn allows(&self, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
        let (Some(latest), Some(seconds)) = (self.latest(now), self.lifetime) else { return Ok(()) };
        let (code, message) = match expires_at {
            None => ("required", format!("the owner's keys must expire, within {seconds} seconds")),
            Some(end) if end > latest => {
                ("beyond_lifetime", format!("the owner's keys may live for {seconds} seconds at most"))
            }
            Some(_) => return Ok(()),
        };
        Err(Error::invalid("/expires_at", code, message))
    }

    /// The keys that may not be issued now, if there can be any.
    pub(super) fn refuses(&self, now: DateTime<Utc>) -> Option<Condition> {
        let latest = self.latest(now)?;
        Some(Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(latest)))
    }
}

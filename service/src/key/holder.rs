//! [`Holder`]: whom a team's key is issued to, a member of the team or an invitation into it. The key stays the team's; its
//! calls count in the person's limits as a member. When the person leaves the team, the key is blocked until it is issued
//! again: it does not come back with the person.

use crate::{
    Error, Result, Unit,
    repository::Scoped,
    scope::{Scope, is_limited},
    validate::Faults,
};
use entity::{
    id::{InvitationId, TeamId, UserId},
    invitation, membership,
    status::KeyStatus,
    team_member,
    virtual_key::{ActiveModel, Column, Entity},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition};

/// Whom a key is issued to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A member of the team.
    User(UserId),
    /// Whoever accepts an invitation into the team.
    Invitation(InvitationId),
}

impl Holder {
    /// The one that is given, if it goes with the owner; at most one is.
    pub(super) fn one(
        user: Option<UserId>,
        invitation: Option<InvitationId>,
        team: Option<TeamId>,
    ) -> Result<Option<Self>> {
        let mut faults = Faults::default();
        let (holder, pointer) = match (user, invitation) {
            (None, None) => return Ok(None),
            (Some(user), _) => (Self::User(user), "/issued_to_user_id"),
            (None, Some(invitation)) => (Self::Invitation(invitation), "/issued_to_invitation_id"),
        };
        let both = user.is_some() && invitation.is_some();
        let message = "give issued_to_user_id or issued_to_invitation_id, not both";
        faults.when(both, "/issued_to_invitation_id", "not_allowed", message);
        let message = "goes with team_id: only a team's key is issued to somebody";
        faults.when(team.is_none(), pointer, "not_allowed", message);
        faults.finish().map(|()| Some(holder))
    }

    /// Whether those who are named are there for the caller: for who administers teams, the people in them and the
    /// invitations into them.
    pub(super) async fn find(
        unit: &Unit<'_>,
        user: Option<UserId>,
        invitation: Option<InvitationId>,
    ) -> Result<()> {
        if let Some(user) = user {
            let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
            unit.read_in::<membership::Entity>(&whole).find(user).await?;
            let place = team_member::Column::UserId.eq(user);
            if is_limited(unit.ctx) && unit.read::<team_member::Entity>().first(place).await?.is_none() {
                return Err(Error::NotFound(membership::Entity::KIND));
            }
        }
        match invitation {
            Some(id) => unit.read::<invitation::Entity>().find(id).await.map(drop),
            None => Ok(()),
        }
    }

    /// Keeps the holder as it is until the unit ends, and answers with the holder columns of a key. The team is held already,
    /// as every removal of a person from it locks it. An invitation that nobody accepts leaves when it expires.
    pub(super) async fn hold(self, unit: &Unit<'_>, team: TeamId) -> Result<ActiveModel> {
        let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
        match self {
            Self::User(user) => {
                let in_team = team_member::Column::TeamId.eq(team);
                let members = unit.read_in::<team_member::Entity>(&whole).narrow(in_team);
                let place = members.first(team_member::Column::UserId.eq(user)).await?;
                let stranger = || refused("/issued_to_user_id", "must be a member of the team");
                place.ok_or_else(stranger)?;
                Ok(Self::columns(Some(self)))
            }
            Self::Invitation(id) => {
                let invitation = unit.read_in::<invitation::Entity>(&whole).hold(id).await?;
                let pointer = "/issued_to_invitation_id";
                if invitation.accepted_at.is_some() {
                    return Err(refused(pointer, "was accepted: issue the key to the person"));
                }
                if invitation.expires_at <= unit.now {
                    return Err(refused(pointer, "has expired: invite the person again"));
                }
                let teams = crate::invitation::teams(&invitation.teams)?;
                let leads = teams.iter().any(|invited| invited.team_id == team);
                leads.then_some(()).ok_or_else(|| refused(pointer, "must lead into the team"))?;
                let left = Set(Some(invitation.expires_at));
                Ok(ActiveModel { holder_left_at: left, ..Self::columns(Some(self)) })
            }
        }
    }

    /// The holder columns of a key, all of them.
    pub(super) fn columns(holder: Option<Self>) -> ActiveModel {
        let (user, invitation) = match holder {
            Some(Self::User(id)) => (Some(id), None),
            Some(Self::Invitation(id)) => (None, Some(id)),
            None => (None, None),
        };
        ActiveModel {
            issued_to_user_id: Set(user),
            issued_to_invitation_id: Set(invitation),
            holder_left_at: Set(None),
            ..Default::default()
        }
    }
}

fn refused(pointer: &'static str, message: &'static str) -> Error {
    Error::invalid(pointer, "invalid_value", message)
}

/// Blocks the keys of a person who has left a team, or every team with the organization.
pub(crate) async fn block_keys_issued_to(
    unit: &mut Unit<'_>,
    user: UserId,
    team: Option<TeamId>,
) -> Result<()> {
    let issued = Condition::all()
        .add(Column::IssuedToUserId.eq(user))
        .add_option(team.map(|team| Column::TeamId.eq(team)));
    block(unit, issued).await
}

/// Blocks the keys that were issued to invitations which nobody can accept any more.
pub(crate) async fn block_keys_of_invitations(
    unit: &mut Unit<'_>,
    invitations: impl IntoIterator<Item = InvitationId>,
) -> Result<()> {
    block(unit, Condition::all().add(Column::IssuedToInvitationId.is_in(invitations))).await
}

async fn block(unit: &mut Unit<'_>, issued: Condition) -> Result<()> {
    let held = Condition::any().add(Column::HolderLeftAt.is_null()).add(Column::HolderLeftAt.gt(unit.now));
    let live = issued.add(held).add(Column::Status.ne(KeyStatus::Revoked));
    let changes = ActiveModel { holder_left_at: Set(Some(unit.now)), ..Default::default() };
    unit.repository::<Entity>().force_all("holder_left", live, changes).await.map(drop)
}

/// Gives the keys that were issued to an invitation to who has accepted it.
pub(crate) async fn give_keys_of_invitation(
    unit: &mut Unit<'_>,
    invitation: InvitationId,
    user: UserId,
) -> Result<()> {
    let issued = Condition::all().add(Column::IssuedToInvitationId.eq(invitation));
    let changes = Holder::columns(Some(Holder::User(user)));
    unit.repository::<Entity>().force_all("holder_joined", issued, changes).await.map(drop)
}

//! Invitations: how a person comes into an organization. The one-time secret goes from the inviter to the person, and
//! nothing here tells whether an address has an account elsewhere.

use crate::{
    Ctx, Error, Result, Unit,
    authz::Permission,
    ceiling::Ceiling,
    page::{Page, PageRequest},
    repository::{Expected, View},
    scope::Scope,
    token::{self, Shown, TokenKind},
    validate::Faults,
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{InvitationId, TeamId},
    invitation::{ActiveModel, Column, Entity},
    json::Tags,
    membership,
    status::{Role, TeamRole},
    team, user_account,
};
use sea_orm::{ActiveEnum, ActiveValue::Set, ColumnTrait, Condition, DerivePartialModel, sea_query::Query};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// How long an invitation is good unless it says otherwise, and at most, in seconds.
const USUAL_LIFE: i64 = 7 * 24 * 3600;
const LONGEST_LIFE: i64 = 30 * 24 * 3600;
/// Teams of one invitation.
const TEAMS: usize = 64;

/// An invitation into the organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The address it is meant for, case-folded; null for the very first owner, who brings one along.
    #[schema(required, example = "ada@example.com")]
    pub email: Option<String>,
    /// The role it gives.
    pub role: Role,
    /// Teams it leads into.
    pub teams: Vec<InvitedTeam>,
    /// Who made it: the prefixed id of a user or an admin token.
    pub created_by: String,
    /// Refused from this moment on.
    pub expires_at: DateTime<Utc>,
    /// When it was accepted.
    #[schema(required)]
    pub accepted_at: Option<DateTime<Utc>>,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(InvitationPage, Invitation);

/// A team that an invitation leads into.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitedTeam {
    /// The team.
    pub team_id: TeamId,
    /// The role in it.
    pub role: TeamRole,
}

/// A new invitation with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedInvitation {
    /// The invitation.
    #[serde(flatten)]
    pub invitation: Invitation,
    /// What the invited person accepts it with.
    pub secret: Shown,
}

/// An invitation to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// The address it is meant for.
    #[schema(min_length = 3, max_length = 320, example = "ada@example.com")]
    pub email: String,
    /// The role it gives; never more than the inviter has.
    pub role: Role,
    /// Teams it leads into, at most 64.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub teams: Vec<InvitedTeam>,
    /// How long it is good, in seconds; absent = 7 days, at most 30.
    #[serde(default = "usual_life")]
    #[schema(minimum = 60, maximum = 2_592_000_i64, default = 604_800)]
    pub expires_in_seconds: i64,
}

fn usual_life() -> i64 {
    USUAL_LIFE
}

/// The stored form, without its secret.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
struct Stored {
    id: InvitationId,
    email: Option<String>,
    role: Role,
    teams: Tags,
    created_by: String,
    expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl View for Stored {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

impl TryFrom<Stored> for Invitation {
    type Error = Error;
    fn try_from(row: Stored) -> Result<Self> {
        Ok(Self {
            id: row.id,
            email: row.email,
            role: row.role,
            teams: teams(&row.teams)?,
            created_by: row.created_by,
            expires_at: row.expires_at,
            accepted_at: row.accepted_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The teams behind their stored form.
pub(crate) fn teams(Tags(stored): &Tags) -> Result<Vec<InvitedTeam>> {
    let read = |(team, role): (&String, &String)| {
        Ok(InvitedTeam {
            team_id: team.parse().map_err(Error::internal)?,
            role: TeamRole::try_from_value(role)?,
        })
    };
    stored.iter().map(read).collect()
}

/// Makes an invitation.
pub async fn create(ctx: &Ctx, new: NewInvitation) -> Result<IssuedInvitation> {
    let teams: BTreeMap<TeamId, TeamRole> = new.teams.iter().map(|team| (team.team_id, team.role)).collect();
    let mut faults = Faults::default();
    faults.email("/email", &new.email);
    faults.when(new.teams.len() > TEAMS, "/teams", "too_many", "must have at most 64 teams");
    faults.when(teams.len() < new.teams.len(), "/teams", "duplicate", "must name each team once");
    let wrong = !(60..=LONGEST_LIFE).contains(&new.expires_in_seconds);
    faults.when(wrong, "/expires_in_seconds", "out_of_range", "must be between 60 and 2592000 seconds");
    faults.finish()?;
    let email = crate::user::fold_email(&new.email);
    let mut unit = ctx.begin().await?;
    // A team that is not in reach is told before what the caller lacks in it.
    for team in teams.keys() {
        unit.read::<team::Entity>().find(*team).await?;
    }
    let own: Vec<TeamId> = teams.keys().copied().collect();
    let ceiling = Ceiling::enter_teams(&unit, Permission::MembersWrite, &own).await?;
    members_only(&ceiling, new.role)?;
    ceiling.gives_role(new.role)?;
    for (team, role) in &teams {
        unit.read::<team::Entity>().hold(*team).await?;
        ceiling.gives_team_role(*role)?;
    }
    refuse_member(&unit, &email).await?;
    let id: InvitationId = unit.id();
    let minted = token::mint(&ctx.system, TokenKind::Invitation, id.uuid());
    let row = ActiveModel {
        id: Set(id),
        email: Set(Some(email)),
        role: Set(new.role),
        teams: Set(Tags(teams.iter().map(|(team, role)| (team.to_string(), role.to_value())).collect())),
        operator: Set(false),
        created_by: Set(ctx.actor.id.clone()),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest),
        expires_at: Set(unit.now + TimeDelta::seconds(new.expires_in_seconds)),
        ..Default::default()
    };
    unit.repository::<Entity>().insert(row).await?;
    let stored = unit.read::<Entity>().view::<Stored>(id).await?;
    let view = IssuedInvitation { invitation: stored.try_into()?, secret: Shown::from(&minted.token) };
    unit.commit_secret(view, &minted.token).await
}

/// Who administers teams brings in members, and no other roles in the organization.
pub(crate) fn members_only(maker: &Ceiling, role: Role) -> Result<()> {
    if maker.holds(Permission::MembersWrite) || role == Role::Member {
        return Ok(());
    }
    Err(Error::Forbidden("a team's administrator invites people with the role member".into()))
}

/// Who is in the organization is no secret to its administrators; who has an account elsewhere is.
async fn refuse_member(unit: &Unit<'_>, email: &str) -> Result<()> {
    let person = Query::select()
        .column(user_account::Column::Id)
        .from(user_account::Entity)
        .and_where(user_account::Column::Email.eq(email))
        .take();
    let members = membership::Column::UserId.in_subquery(person);
    let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
    match unit.read_in::<membership::Entity>(&whole).count(members).await? {
        0 => Ok(()),
        _ => Err(Error::Conflict { kind: "member", key: email.to_owned() }),
    }
}

/// One page of the invitations; only those not accepted, if asked so.
pub async fn list(ctx: &Ctx, page: &PageRequest, accepted: Option<bool>) -> Result<Page<Invitation>> {
    let condition = Condition::all().add_option(accepted.map(|accepted| {
        if accepted { Column::AcceptedAt.is_not_null() } else { Column::AcceptedAt.is_null() }
    }));
    let Page { items, next_cursor } = ctx.repository::<Entity>().list::<Stored>(page, condition).await?;
    let items = items.into_iter().map(Invitation::try_from).collect::<Result<_>>()?;
    Ok(Page { items, next_cursor })
}

/// One invitation.
pub async fn get(ctx: &Ctx, id: InvitationId) -> Result<Invitation> {
    ctx.repository::<Entity>().view::<Stored>(id).await?.try_into()
}

/// Takes an invitation back. One that was accepted has done its work: the member is what can be removed.
pub async fn revoke(ctx: &Ctx, id: InvitationId, version: Option<i64>) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    let own: Vec<TeamId> = teams(&current.teams)?.iter().map(|team| team.team_id).collect();
    let ceiling = Ceiling::enter_teams(&unit, Permission::MembersWrite, &own).await?;
    members_only(&ceiling, current.role)?;
    if unit.read::<Entity>().lock(id).await?.accepted_at.is_some() {
        let detail = "the invitation was accepted; remove the member instead";
        return Err(Error::InvalidState("invitation_accepted", detail.into()));
    }
    unit.repository::<Entity>().delete(id, expected).await?;
    crate::key::block_keys_of_invitations(&mut unit, [id]).await?;
    unit.forget_replies(id.uuid()).await?;
    unit.commit(()).await
}

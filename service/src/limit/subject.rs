//! Whose calls a limit counts: an id of one of several kinds on the wire, a kind and a UUID in the row. What is limited is
//! held while its limit is made, so that it cannot be deleted meanwhile.

use super::NewLimit;
pub(super) use crate::scope::is_limited;
use crate::{Ctx, Error, Result, Unit, scope::Scope};
use entity::{
    id::{ConnectionId, Id, KeyId, Kind, OrganizationId, ServiceAccountId, TeamId, UserId},
    membership, organization, provider_connection, service_account,
    status::SubjectKind,
    team, team_member, virtual_key,
};
use sea_orm::ColumnTrait;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};
use uuid::Uuid;

/// The id of what a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectId {
    /// An organization.
    Organization(OrganizationId),
    /// A team.
    Team(TeamId),
    /// A person: of a limit on a user, or on a member of a team.
    User(UserId),
    /// A service account.
    ServiceAccount(ServiceAccountId),
    /// A key.
    Key(KeyId),
    /// A connection.
    Connection(ConnectionId),
}

impl SubjectId {
    /// The id of a subject.
    pub(super) fn of(kind: SubjectKind, id: Uuid) -> Self {
        match kind {
            SubjectKind::Organization => Self::Organization(Id::new(id)),
            SubjectKind::Team => Self::Team(Id::new(id)),
            SubjectKind::Member | SubjectKind::User => Self::User(Id::new(id)),
            SubjectKind::ServiceAccount => Self::ServiceAccount(Id::new(id)),
            SubjectKind::Key => Self::Key(Id::new(id)),
            SubjectKind::Connection => Self::Connection(Id::new(id)),
        }
    }

    /// Without its kind.
    pub(super) fn uuid(self) -> Uuid {
        match self {
            Self::Organization(id) => id.uuid(),
            Self::Team(id) => id.uuid(),
            Self::User(id) => id.uuid(),
            Self::ServiceAccount(id) => id.uuid(),
            Self::Key(id) => id.uuid(),
            Self::Connection(id) => id.uuid(),
        }
    }

    /// The kinds of subject that have such ids.
    pub(super) fn kinds(self) -> &'static [SubjectKind] {
        match self {
            Self::Organization(_) => &[SubjectKind::Organization],
            Self::Team(_) => &[SubjectKind::Team],
            Self::User(_) => &[SubjectKind::Member, SubjectKind::User],
            Self::ServiceAccount(_) => &[SubjectKind::ServiceAccount],
            Self::Key(_) => &[SubjectKind::Key],
            Self::Connection(_) => &[SubjectKind::Connection],
        }
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(id) => id.fmt(f),
            Self::Team(id) => id.fmt(f),
            Self::User(id) => id.fmt(f),
            Self::ServiceAccount(id) => id.fmt(f),
            Self::Key(id) => id.fmt(f),
            Self::Connection(id) => id.fmt(f),
        }
    }
}

fn id<K: Kind>(text: &str) -> Option<Id<K>> {
    text.parse().ok()
}

impl FromStr for SubjectId {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let known = id(text).map(Self::Organization).or_else(|| id(text).map(Self::Team));
        let known = known.or_else(|| id(text).map(Self::User)).or_else(|| id(text).map(Self::Key));
        let known = known.or_else(|| id(text).map(Self::ServiceAccount));
        let known = known.or_else(|| id(text).map(Self::Connection));
        known.ok_or(
            "expected the id of an organization, a team, a user, a service account, a key or a connection",
        )
    }
}
impl Serialize for SubjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for SubjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
impl PartialSchema for SubjectId {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "The id of an organization, a team, a user, a service account, a key or a connection.",
            ))
            .pattern(Some("^(org|team|user|sa|key|conn)_[0-9a-f]{32}$"))
            .examples([serde_json::json!("key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")])
            .into()
    }
}
impl ToSchema for SubjectId {
    fn name() -> Cow<'static, str> {
        "LimitSubjectId".into()
    }
}

/// What a new limit is for, once it is known to be there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) kind: SubjectKind,
    pub(super) id: Uuid,
    pub(super) team: Option<TeamId>,
}

impl Subject {
    /// A key.
    pub(super) fn key(id: KeyId) -> Self {
        Self { kind: SubjectKind::Key, id: id.uuid(), team: None }
    }

    /// Keeps what a limit is for as it is until the unit ends, and with it what it is in: the organization, then the team,
    /// then the rest, as everybody does. What is outside the caller's reach is not there.
    pub(super) async fn hold(unit: &Unit<'_>, new: &NewLimit) -> Result<Self> {
        let own = unit.read::<organization::Entity>().hold(unit.ctx.scope.organization).await?;
        if let Some(team) = new.team_id {
            unit.read::<team::Entity>().hold(team).await?;
        }
        match new.subject_id {
            SubjectId::Organization(id) if id == own.id => {}
            SubjectId::Organization(_) => return Err(Error::NotFound("organization")),
            SubjectId::Team(id) => drop(unit.read::<team::Entity>().hold(id).await?),
            SubjectId::User(id) => person(unit, id, new.team_id).await?,
            SubjectId::ServiceAccount(id) => drop(unit.read::<service_account::Entity>().hold(id).await?),
            SubjectId::Key(id) => drop(unit.read::<virtual_key::Entity>().hold(id).await?),
            SubjectId::Connection(id) => {
                drop(unit.read::<provider_connection::Entity>().hold(id).await?);
            }
        }
        delegated(unit.ctx, new.subject_kind)?;
        Ok(Self { kind: new.subject_kind, id: new.subject_id.uuid(), team: new.team_id })
    }
}

/// A member of the organization, and of the team in which the person is limited: nobody else makes calls in it.
async fn person(unit: &Unit<'_>, id: UserId, team: Option<TeamId>) -> Result<()> {
    let Some(team) = team else { return unit.read::<membership::Entity>().hold(id).await.map(drop) };
    let whole = unit.ctx.within(Scope::all(unit.ctx.scope.organization));
    unit.read_in::<membership::Entity>(&whole).hold(id).await?;
    let in_team = team_member::Column::TeamId.eq(team);
    unit.read::<team_member::Entity>().narrow(in_team).hold(id).await.map_err(|error| match error {
        // Who is in the organization and not in the team is, for who administers teams, as absent as anybody.
        Error::NotFound(_) if is_limited(unit.ctx) => Error::NotFound("member"),
        Error::NotFound(_) => {
            let message = "must be in the team: add the person to it first";
            Error::invalid("/subject_id", "not_in_team", message)
        }
        other => other,
    })?;
    Ok(())
}

/// Who administers a team divides what the team has among its keys, its people and its own connections; what the team has,
/// the organization says.
pub(super) fn delegated(ctx: &Ctx, kind: SubjectKind) -> Result<()> {
    if !is_limited(ctx) || matches!(kind, SubjectKind::Key | SubjectKind::Member | SubjectKind::Connection) {
        return Ok(());
    }
    let message = "a team's administrator limits the keys of the team, its connections and its members in it, and nothing else";
    Err(Error::Forbidden(message.into()))
}

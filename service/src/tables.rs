//! How each table is scoped: its tenant column, its identifier, its reach, and what the policy caches call it.

use crate::{
    head::PolicyKind,
    repository::{Archived, Offered, Scoped, Versioned},
};
use entity::{
    admin_token, connection_icon, connection_state, credential, device, discovered_model, gateway_token, id,
    invitation, key_secret, limit, limit_window, membership, model, model_alias, model_mapping, organization,
    password_reset, price, provider, provider_connection, proxy_entry, proxy_pool, refresh_token,
    reservation, service_account, session,
    status::{ConnectionStatus, Standing, SubjectKind},
    team, team_member, usage_event, usage_raw, user_account, virtual_key,
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait},
};

macro_rules! scoped {
    ($table:ident, $id:ty, $field:ident: $column:ident, $kind:literal, $policy:expr, $organization:expr
     $(, concerns $concerns:ident)? $(, part $part:ident: $part_column:ident)? $(, personal $personal:pat)? $(, told $told:pat)?
     $(, live $live:expr)? $(, within |$teams:ident, $user:ident| $within:expr)?) => {
        impl Scoped for $table::Entity {
            type Id = $id;
            const KIND: &'static str = $kind;
            const POLICY: Option<PolicyKind> = $policy;
            const ORGANIZATION: Option<Self::Column> = $organization;
            const ID: Self::Column = $table::Column::$column;
            fn id_of(row: &Self::Model) -> Self::Id {
                row.$field
            }
            $(const PART: Option<Self::Column> = Some($table::Column::$part_column);
            fn part_of(row: &Self::Model) -> u32 {
                u32::try_from(row.$part).unwrap_or_default()
            })?
            $(fn concerns(row: &Self::Model) -> uuid::Uuid {
                row.$concerns.into()
            })?
            $(fn is_personal(column: &Self::Column) -> bool {
                use $table::Column::*;
                matches!(column, $personal)
            })?
            $(fn is_always_told(column: &Self::Column) -> bool {
                use $table::Column::*;
                matches!(column, $told)
            })?
            $(fn live() -> Condition {
                $live
            })?
            $(fn within($teams: &[id::TeamId], $user: Option<id::UserId>) -> Condition {
                $within
            })?
        }
    };
}

macro_rules! versioned {
    ($($table:ident)*) => {$(
        impl Versioned for $table::Entity {
            const VERSION: Self::Column = $table::Column::Version;
            const UPDATED_AT: Self::Column = $table::Column::UpdatedAt;
            const CREATED_AT: Self::Column = $table::Column::CreatedAt;
            fn version_of(row: &Self::Model) -> i64 {
                row.version
            }
        }
    )*};
}

fn not<C: ColumnTrait>(column: C, standing: Standing) -> Condition {
    Condition::all().add(column.ne(standing))
}
/// Rows of these teams or of this person.
pub(crate) fn teams_or_user<C: ColumnTrait>(
    team: C,
    teams: &[id::TeamId],
    user: C,
    person: Option<id::UserId>,
) -> Condition {
    let own = person.map(|person| user.eq(person));
    Condition::any().add(team.is_in(teams.iter().copied())).add_option(own)
}

scoped!(organization, id::OrganizationId, id: Id, "organization", Some(PolicyKind::Organization),
    Some(organization::Column::Id),
    live Condition::all().add(organization::Column::Id.ne(id::OrganizationId::PLATFORM)),
    within |_teams, _user| Condition::all());
scoped!(user_account, id::UserId, id: Id, "user", Some(PolicyKind::User), None,
    personal Email | Name);
scoped!(membership, id::UserId, user_id: UserId, "member", Some(PolicyKind::Member),
    Some(membership::Column::OrganizationId),
    within |_teams, user| Condition::any().add(Expr::cust("1 = 0")).add_option(user.map(|user| membership::Column::UserId.eq(user))));
scoped!(team, id::TeamId, id: Id, "team", Some(PolicyKind::Team), Some(team::Column::OrganizationId),
    live not(team::Column::Status, Standing::Deleted),
    within |teams, _user| Condition::all().add(team::Column::Id.is_in(teams.iter().copied())));
scoped!(team_member, id::UserId, user_id: UserId, "team member", Some(PolicyKind::Member), Some(team_member::Column::OrganizationId),
    told TeamId,
    within |teams, _user| Condition::all().add(team_member::Column::TeamId.is_in(teams.iter().copied())));
scoped!(service_account, id::ServiceAccountId, id: Id, "service account", Some(PolicyKind::ServiceAccount),
    Some(service_account::Column::OrganizationId),
    live not(service_account::Column::Status, Standing::Deleted));
scoped!(virtual_key, id::KeyId, id: Id, "key", Some(PolicyKind::Key), Some(virtual_key::Column::OrganizationId),
    live Condition::all().add(virtual_key::Column::ArchivedAt.is_null()),
    within |teams, user| keys_within(teams, user));
// The secrets of a key are within reach if the key is: a use-case finds the key first, and narrows to it.
scoped!(key_secret, id::SecretId, id: Id, "secret", None, Some(key_secret::Column::OrganizationId),
    within |_teams, _user| Condition::all());
scoped!(admin_token, id::AdminTokenId, id: Id, "admin token", None, Some(admin_token::Column::OrganizationId));
scoped!(gateway_token, id::GatewayTokenId, id: Id, "gateway token", Some(PolicyKind::GatewayToken),
    Some(gateway_token::Column::OrganizationId));
// Who administers a team knows who has been invited into it.
scoped!(invitation, id::InvitationId, id: Id, "invitation", None, Some(invitation::Column::OrganizationId),
    personal Email,
    within |teams, _user| invited_into(teams));
scoped!(password_reset, id::PasswordResetId, id: Id, "password reset", None, None);
scoped!(session, id::SessionId, id: Id, "session", None, None);
scoped!(device, id::DeviceId, id: Id, "device", None, None);
scoped!(refresh_token, id::RefreshTokenId, id: Id, "refresh token", None, None);
scoped!(provider, id::ProviderId, id: Id, "provider", None, Some(provider::Column::OrganizationId));
scoped!(model, id::ModelId, id: Id, "model", Some(PolicyKind::Model), Some(model::Column::OrganizationId));
scoped!(model_alias, id::ModelAliasId, id: Id, "model alias", Some(PolicyKind::ModelAlias),
    Some(model_alias::Column::OrganizationId));
scoped!(price, id::PriceId, id: Id, "price", Some(PolicyKind::Price), Some(price::Column::OrganizationId));
// What a team's administrator reaches: the limits of the team, of its keys and connections, and of its people in it. A person
// reaches the own ones.
scoped!(limit, id::LimitId, id: Id, "limit", Some(PolicyKind::Limits), Some(limit::Column::OrganizationId),
    concerns subject_id,
    live Condition::all().add(limit::Column::DeletedAt.is_null()),
    within |teams, user| limits_within(teams, user));
// The windows of a limit are within reach if the limit is: a use-case finds the limit first, and narrows to it.
scoped!(limit_window, id::LimitId, limit_id: LimitId, "window", None, Some(limit_window::Column::OrganizationId),
    within |_teams, _user| Condition::all());
scoped!(reservation, id::ReservationId, id: Id, "reservation", None, Some(reservation::Column::OrganizationId),
    within |teams, user| teams_or_user(reservation::Column::TeamId, teams, reservation::Column::UserId, user));
scoped!(usage_event, id::ReservationId, id: Id, "usage event", None, Some(usage_event::Column::OrganizationId),
    part attempt: Attempt,
    within |teams, user| teams_or_user(usage_event::Column::TeamId, teams, usage_event::Column::UserId, user));
// The usage object of an event is within reach if the event is: a use-case finds the event first, and narrows to it.
scoped!(usage_raw, id::UsageRawId, id: Id, "usage object", None, Some(usage_raw::Column::OrganizationId),
    within |_teams, _user| Condition::all());

scoped!(provider_connection, id::ConnectionId, id: Id, "connection", Some(PolicyKind::Connection),
    Some(provider_connection::Column::OrganizationId),
    live Condition::all().add(provider_connection::Column::Status.ne(ConnectionStatus::Deleted)),
    within |teams, _user| Condition::all().add(provider_connection::Column::TeamId.is_in(teams.iter().copied())));
// What hangs on a connection is within reach if the connection is: a use-case finds the connection first, and narrows to it.
scoped!(credential, id::CredentialId, id: Id, "credential", Some(PolicyKind::Connection),
    Some(credential::Column::OrganizationId),
    concerns connection_id,
    live Condition::all().add(credential::Column::DeletedAt.is_null()),
    within |_teams, _user| Condition::all());
scoped!(model_mapping, id::MappingId, id: Id, "mapping", None, Some(model_mapping::Column::OrganizationId),
    within |_teams, _user| Condition::all());
scoped!(connection_state, id::ConnectionId, connection_id: ConnectionId, "connection state", None,
    Some(connection_state::Column::OrganizationId),
    within |_teams, _user| Condition::all());
scoped!(connection_icon, id::ConnectionId, connection_id: ConnectionId, "icon", None,
    Some(connection_icon::Column::OrganizationId),
    within |_teams, _user| Condition::all());
scoped!(discovered_model, id::ConnectionId, connection_id: ConnectionId, "discovered model", None,
    Some(discovered_model::Column::OrganizationId),
    within |_teams, _user| Condition::all());
// Pools are the organization's; who administers a team binds its connections to them.
scoped!(proxy_pool, id::ProxyPoolId, id: Id, "proxy pool", None, Some(proxy_pool::Column::OrganizationId),
    within |_teams, _user| Condition::all());
scoped!(proxy_entry, id::ProxyEntryId, id: Id, "proxy", None, Some(proxy_entry::Column::OrganizationId),
    within |_teams, _user| Condition::all());

/// The keys of these teams, of this person, and those that teams have issued to the person.
fn keys_within(teams: &[id::TeamId], user: Option<id::UserId>) -> Condition {
    use virtual_key::Column::{HolderLeftAt, IssuedToUserId, TeamId, UserId};
    let issued = |user| Condition::all().add(IssuedToUserId.eq(user)).add(HolderLeftAt.is_null());
    teams_or_user(TeamId, teams, UserId, user).add_option(user.map(issued))
}

/// Invitations that lead into one of these teams, which are the names of a JSON object: on both databases its text has them
/// in quotes, and nothing else in it looks like them.
fn invited_into(teams: &[id::TeamId]) -> Condition {
    let text = || Expr::col((invitation::Entity, invitation::Column::Teams)).cast_as("text");
    let leads = |team: &id::TeamId| text().like(format!("%\"{team}\"%"));
    teams.iter().fold(Condition::any().add(Expr::cust("1 = 0")), |any, team| any.add(leads(team)))
}

fn limits_within(teams: &[id::TeamId], user: Option<id::UserId>) -> Condition {
    let of = |kind: SubjectKind| Condition::all().add(limit::Column::SubjectKind.eq(kind));
    let subject = limit::Column::SubjectId;
    let team_ids = || teams.iter().copied();
    let keys = keys_within(teams, user);
    #[expect(clippy::disallowed_methods, reason = "a part of the condition that the repository puts on")]
    let keys = virtual_key::Entity::find().select_only().column(virtual_key::Column::Id).filter(keys);
    let connections = provider_connection::Column::TeamId.is_in(team_ids());
    #[expect(clippy::disallowed_methods, reason = "a part of the condition that the repository puts on")]
    let connections = provider_connection::Entity::find()
        .select_only()
        .column(provider_connection::Column::Id)
        .filter(connections);
    Condition::any()
        .add(of(SubjectKind::Team).add(subject.is_in(team_ids())))
        .add(of(SubjectKind::Member).add(limit::Column::TeamId.is_in(team_ids())))
        .add(of(SubjectKind::Key).add(subject.in_subquery(keys.into_query())))
        .add(of(SubjectKind::Connection).add(subject.in_subquery(connections.into_query())))
        .add_option(user.map(|user| of(SubjectKind::User).add(subject.eq(user))))
}

versioned!(limit organization user_account membership team team_member service_account virtual_key admin_token
    gateway_token invitation provider model model_alias price provider_connection credential model_mapping
    proxy_pool);

impl Archived for virtual_key::Entity {}

impl Offered for provider::Entity {
    const OWNER: Self::Column = provider::Column::OrganizationId;
    const KEY: &'static [Self::Column] = &[provider::Column::Name];
}
impl Offered for model::Entity {
    const OWNER: Self::Column = model::Column::OrganizationId;
    const KEY: &'static [Self::Column] = &[model::Column::Provider, model::Column::Name];
}

//! What decisions read of each table, and nothing more: these are kept in memory, many of them.

use crate::price::names::{Mapping, Names};
use chrono::{DateTime, Utc};
use entity::{
    credential, gateway_token,
    id::{
        ConnectionId, CredentialId, GatewayTokenId, InvitationId, KeyId, LimitId, OrganizationId, SecretId,
        ServiceAccountId, TeamId, UserId,
    },
    json::{Tags, Texts},
    key_secret, limit, membership, organization, provider_connection,
    secret::Sealed,
    service_account,
    status::{ConnectionStatus, KeyStatus, Metric, Mode, Period, Standing, SubjectKind},
    team, user_account, virtual_key,
};
use sea_orm::DerivePartialModel;
use std::sync::Arc;
use uuid::Uuid;

/// An organization.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "organization::Entity")]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// How it stands.
    pub status: Standing,
    /// Globs of models its keys may call.
    pub allowed_models: Option<Texts>,
    /// The cap on completions of calls that state none.
    pub default_max_output_tokens: Option<i64>,
    /// Seconds after its end at which what an unresolved call holds is released; none = never.
    pub release_after: Option<i64>,
}

/// A team.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "team::Entity")]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// How it stands.
    pub status: Standing,
    /// Globs of models its keys may call.
    pub allowed_models: Option<Texts>,
}

/// A person's place in an organization.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "membership::Entity")]
pub struct Member {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The person.
    pub user_id: UserId,
    /// How it stands.
    pub status: Standing,
    /// The teams that the person is in.
    #[sea_orm(skip)]
    pub teams: Vec<TeamId>,
}

/// A person's account.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "user_account::Entity")]
pub struct Account {
    /// Its id.
    pub id: UserId,
    /// How it stands.
    pub status: Standing,
}

/// A service account.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "service_account::Entity")]
pub struct ServiceAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// How it stands.
    pub status: Standing,
}

/// A provider connection, also one that is gone: what its calls used names it for ever.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "provider_connection::Entity")]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The team it belongs to; none = the organization.
    pub team_id: Option<TeamId>,
    /// The provider, as prices name it.
    pub provider: String,
    /// Whether calls may name it.
    pub status: ConnectionStatus,
    /// Globs of models it serves.
    pub allowed_models: Option<Texts>,
    /// What its upstream calls models.
    #[sea_orm(skip)]
    pub mappings: Arc<[Mapping]>,
}

/// A secret of a connection, also one that is gone. None of this ever changes.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "credential::Entity")]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The connection it opens.
    pub connection_id: ConnectionId,
}

/// A virtual key with its secrets.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "virtual_key::Entity")]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its name.
    pub name: String,
    /// The owning team.
    pub team_id: Option<TeamId>,
    /// The owning person.
    pub user_id: Option<UserId>,
    /// The owning service account.
    pub service_account_id: Option<ServiceAccountId>,
    /// The member of the owning team whom it was issued to.
    pub issued_to_user_id: Option<UserId>,
    /// The invitation that it was issued to, until that is accepted.
    pub issued_to_invitation_id: Option<InvitationId>,
    /// When whom it was issued to leaves the team: in the future, when an invitation expires that nobody has accepted yet.
    pub holder_left_at: Option<DateTime<Utc>>,
    /// Who issued it: the prefixed id of a user or a token.
    pub created_by: String,
    /// What its administrators decided.
    pub status: KeyStatus,
    /// Globs of models it may call.
    pub allowed_models: Option<Texts>,
    /// Globs of models it may not call.
    pub denied_models: Option<Texts>,
    /// What kinds of call it may make.
    pub scopes: Option<Texts>,
    /// Networks it may be used from.
    pub allowed_cidrs: Option<Texts>,
    /// Refused from this moment on.
    pub expires_at: Option<DateTime<Utc>>,
    /// Labels.
    pub tags: Tags,
    /// When it was deleted.
    pub archived_at: Option<DateTime<Utc>>,
    /// The secrets that open it.
    #[sea_orm(skip)]
    pub secrets: Vec<Secret>,
}

/// One secret of a key.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "key_secret::Entity")]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// The key it opens.
    pub key_id: KeyId,
    /// How its digest is computed.
    pub scheme: String,
    /// With which pepper.
    pub pepper_version: i32,
    /// What is kept of it.
    pub digest: Sealed,
    /// Refused from this moment on.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A gateway token.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "gateway_token::Entity")]
pub struct GatewayToken {
    /// Its id.
    pub id: GatewayTokenId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// What it may ask for.
    pub scopes: Texts,
    /// Teams whose keys it serves; none = all.
    pub team_ids: Option<Texts>,
    /// Networks it may be used from.
    pub allowed_cidrs: Option<Texts>,
    /// With which pepper.
    pub pepper_version: i32,
    /// What is kept of it.
    pub digest: Sealed,
    /// Refused from this moment on.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A limit.
#[derive(Debug, Clone, DerivePartialModel)]
#[sea_orm(entity = "limit::Entity")]
pub struct Limit {
    /// Its id.
    pub id: LimitId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// What kind of thing is limited.
    pub subject_kind: SubjectKind,
    /// Which one.
    pub subject_id: Uuid,
    /// The team in which a member is limited.
    pub team_id: Option<TeamId>,
    /// What is counted.
    pub metric: Metric,
    /// Of a limit of cost.
    pub currency: Option<String>,
    /// How long it is counted.
    pub period: Period,
    /// Globs of the models whose calls are counted; none = all.
    pub models: Option<Texts>,
    /// What comes of a call that does not fit.
    pub mode: Mode,
    /// The most.
    pub amount: i64,
}

/// The limits of one subject, maybe none.
#[derive(Debug, Clone)]
pub struct SubjectLimits {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The subject.
    pub subject_id: Uuid,
    /// Its limits, in order of their ids.
    pub limits: Vec<Arc<Limit>>,
}

/// Whom a key belongs to; what is gone is none.
#[derive(Debug, Clone)]
pub enum Owner {
    /// A team.
    Team(Option<Arc<Team>>),
    /// A person: the membership and the account.
    Person(Option<Arc<Member>>, Option<Arc<Account>>),
    /// A service account.
    ServiceAccount(Option<Arc<ServiceAccount>>),
}

/// The person whom a team's key was issued to.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The membership.
    pub member: Option<Arc<Member>>,
    /// The account.
    pub account: Option<Arc<Account>>,
}

impl Key {
    /// The person who issued it, if it was a person.
    pub fn issuer(&self) -> Option<UserId> {
        self.created_by.parse().ok()
    }

    /// The person whose limits as a member of the team count its calls: whom it was issued to, else who issued it. An
    /// invitation is nobody yet.
    pub fn holder(&self) -> Option<UserId> {
        let issuer = || self.issuer().filter(|_| self.issued_to_invitation_id.is_none());
        self.issued_to_user_id.or_else(issuer)
    }

    /// Everything whose limits a call with this key may meet: each is looked up by its id.
    pub fn subjects(&self, connection: Option<ConnectionId>) -> impl Iterator<Item = Uuid> {
        let holder = self.team_id.and_then(|_| self.holder());
        let owners = [self.team_id.map(Into::into), holder.map(Into::into), self.user_id.map(Into::into)];
        let rest = [self.service_account_id.map(Into::into), connection.map(Into::into)];
        let own: [Option<Uuid>; 2] = [Some(self.id.into()), Some(self.organization_id.into())];
        own.into_iter().chain(owners).chain(rest).flatten()
    }

    /// Whether a limit of one of those subjects counts calls with this key, whose owner is in these teams.
    pub fn is_under(&self, limit: &Limit, teams: &[TeamId]) -> bool {
        match limit.subject_kind {
            // A person in a team: the keys of the team that the person holds, and the person's own.
            SubjectKind::Member => limit.team_id.is_some_and(|team| {
                let owned = self.user_id.is_some_and(|user| user.uuid() == limit.subject_id);
                self.team_id == Some(team) || owned && teams.contains(&team)
            }),
            SubjectKind::User => self.user_id.is_some(),
            SubjectKind::Organization
            | SubjectKind::Team
            | SubjectKind::ServiceAccount
            | SubjectKind::Key
            | SubjectKind::Connection => true,
        }
    }
}

/// Everything that the decisions about one key depend on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The key.
    pub key: Arc<Key>,
    /// Its organization.
    pub organization: Arc<Organization>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// The person whom it was issued to; what is gone is none.
    pub holder: Option<Holder>,
    /// The connection that the call names, if it is one of the organization.
    pub connection: Option<Arc<Connection>>,
    /// The limits of everything above it, and its own.
    pub limits: Vec<Arc<Limit>>,
    /// All names of each model that the call names.
    pub names: Vec<Names>,
}

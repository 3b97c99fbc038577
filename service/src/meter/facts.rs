//! What decisions read of each table, and nothing more: these are kept in memory, many of them.

use chrono::{DateTime, Utc};
use entity::{
    gateway_token,
    id::{GatewayTokenId, KeyId, OrganizationId, SecretId, ServiceAccountId, TeamId, UserId},
    json::{Tags, Texts},
    key_secret, membership, organization,
    secret::Sealed,
    service_account,
    status::{KeyStatus, Standing},
    team, user_account, virtual_key,
};
use sea_orm::DerivePartialModel;
use std::sync::Arc;

/// An organization.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "organization::Entity")]
pub struct Organization {
    pub(super) id: OrganizationId,
    pub(super) status: Standing,
    pub(super) allowed_models: Option<Texts>,
}

/// A team.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "team::Entity")]
pub struct Team {
    pub(super) id: TeamId,
    pub(super) organization_id: OrganizationId,
    pub(super) status: Standing,
    pub(super) allowed_models: Option<Texts>,
}

/// A person's place in an organization.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "membership::Entity")]
pub struct Member {
    pub(super) organization_id: OrganizationId,
    pub(super) user_id: UserId,
    pub(super) status: Standing,
}

/// A person's account.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "user_account::Entity")]
pub struct Account {
    pub(super) id: UserId,
    pub(super) status: Standing,
}

/// A service account.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "service_account::Entity")]
pub struct ServiceAccount {
    pub(super) id: ServiceAccountId,
    pub(super) organization_id: OrganizationId,
    pub(super) status: Standing,
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
    #[sea_orm(skip)]
    pub(super) secrets: Vec<Secret>,
}

/// One secret of a key.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "key_secret::Entity")]
pub struct Secret {
    pub(super) id: SecretId,
    pub(super) key_id: KeyId,
    pub(super) scheme: String,
    pub(super) pepper_version: i32,
    pub(super) digest: Sealed,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// A gateway token.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "gateway_token::Entity")]
pub struct GatewayToken {
    pub(super) id: GatewayTokenId,
    pub(super) organization_id: OrganizationId,
    pub(super) scopes: Texts,
    pub(super) team_ids: Option<Texts>,
    pub(super) allowed_cidrs: Option<Texts>,
    pub(super) pepper_version: i32,
    pub(super) digest: Sealed,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Whom a key belongs to; what is gone is none.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    Team(Option<Arc<Team>>),
    Person(Option<Arc<Member>>, Option<Arc<Account>>),
    ServiceAccount(Option<Arc<ServiceAccount>>),
}

/// Everything that the decisions about one key depend on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The key.
    pub key: Arc<Key>,
    pub(super) organization: Arc<Organization>,
    pub(super) owner: Owner,
}

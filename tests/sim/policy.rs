//! [`Policy`]: what the simulated database knows of organizations, keys, limits, prices, aliases and mappings, and how the
//! meter loads it.

use chrono::{DateTime, Utc};
use entity::{
    id::{
        ConnectionId, GatewayTokenId, KeyId, LimitId, ModelAliasId, OrganizationId, PriceId, SecretId,
        ServiceAccountId, TeamId, UserId,
    },
    json::{Tags, Texts},
    model_alias,
    money::Rate,
    price,
    secret::Sealed,
    status::{ConnectionStatus, KeyStatus, Origin, PriceKind, Standing, UnpricedPolicy},
    terms::{Band, Component, Rates, ServiceTier, Terms},
};
use service::{
    meter::{
        facts::{
            Account, Connection, GatewayToken, Key, Limit, Member, Organization, Secret, ServiceAccount,
            SubjectLimits, Team,
        },
        store::{Credentials, Found, Missing, Parents},
    },
    price::{
        book::{Binder, Book},
        names::Mapping,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// An organization.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub status: Standing,
    pub output_cap: Option<i64>,
    pub release_after: Option<i64>,
    pub unpriced: UnpricedPolicy,
}

/// Whose a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owned {
    Team(TeamId),
    Person(UserId),
    Service(ServiceAccountId),
}

/// A connection.
#[derive(Debug, Clone)]
pub struct Line {
    pub organization: OrganizationId,
    pub team: Option<TeamId>,
    pub status: ConnectionStatus,
    pub models: Option<Vec<String>>,
    /// What clients call a model, what the upstream calls it, and whether that is used.
    pub mappings: Vec<(String, String, bool)>,
}

/// Another name for a model.
#[derive(Debug, Clone)]
pub struct AliasRow {
    pub id: ModelAliasId,
    pub organization: OrganizationId,
    pub name: String,
    pub target: String,
    pub enabled: bool,
}

/// One secret of a key, and the token in clear, as its holder knows it.
#[derive(Debug, Clone)]
pub struct Lock {
    pub id: SecretId,
    pub text: String,
    pub pepper: i32,
    pub digest: Vec<u8>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A virtual key.
#[derive(Debug, Clone)]
pub struct KeyRow {
    pub id: KeyId,
    pub organization: OrganizationId,
    pub owner: Owned,
    pub issuer: UserId,
    pub status: KeyStatus,
    pub models: Option<Vec<String>>,
    pub denied: Option<Vec<String>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub locks: Vec<Lock>,
}

/// A gateway token.
#[derive(Debug, Clone)]
pub struct TokenRow {
    pub id: GatewayTokenId,
    pub organization: OrganizationId,
    pub teams: Option<Vec<TeamId>>,
    pub scopes: Vec<String>,
    pub lock: Lock,
}

/// A price of a model, or the default price, in billionths a token of prompt and completion.
#[derive(Debug, Clone)]
pub struct PriceRow {
    pub id: PriceId,
    pub organization: OrganizationId,
    pub model: Option<String>,
    pub currency: String,
    pub rates: (i64, i64),
    pub from: DateTime<Utc>,
}

/// Everything that decisions depend on.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub tenants: BTreeMap<OrganizationId, Tenant>,
    pub teams: BTreeMap<TeamId, (OrganizationId, Standing)>,
    pub members: BTreeMap<(OrganizationId, UserId), Standing>,
    /// Who is in which team.
    pub places: BTreeSet<(UserId, TeamId)>,
    pub accounts: BTreeMap<UserId, Standing>,
    pub services: BTreeMap<ServiceAccountId, (OrganizationId, Standing)>,
    pub keys: BTreeMap<KeyId, KeyRow>,
    pub tokens: BTreeMap<GatewayTokenId, TokenRow>,
    pub connections: BTreeMap<ConnectionId, Line>,
    pub limits: BTreeMap<LimitId, Arc<Limit>>,
    pub prices: Vec<PriceRow>,
    pub aliases: Vec<AliasRow>,
    pub books: BTreeMap<OrganizationId, Arc<Book>>,
}

impl Policy {
    /// Binds the price book of an organization anew.
    pub fn bind(&mut self, organization: OrganizationId) {
        let book = self.book(organization, |row| Some(row.enabled));
        self.books.insert(organization, Arc::new(book));
    }

    /// The price book of an organization with its aliases, enabled or not, as far as they are in it.
    pub fn book(&self, organization: OrganizationId, alias: impl Fn(&AliasRow) -> Option<bool>) -> Book {
        let mut binder = Binder::default();
        let own = self.prices.iter().filter(|row| row.organization == organization);
        own.for_each(|row| binder.price(row.row()));
        for row in self.aliases.iter().filter(|row| row.organization == organization) {
            if let Some(enabled) = alias(row) {
                binder.alias(model_alias::Model { enabled, ..row.row() });
            }
        }
        binder.finish(organization)
    }

    /// What one organization has changed, put in place. Others may have changed since: what is theirs stays.
    pub fn merged(&self, mine: Self, home: OrganizationId) -> Self {
        let mut policy = self.clone();
        if home == OrganizationId::PLATFORM {
            return Self { accounts: mine.accounts, ..policy };
        }
        policy.tenants.extend(mine.tenants.into_iter().filter(|(id, _)| *id == home));
        policy.teams.extend(mine.teams.into_iter().filter(|(_, (own, _))| *own == home));
        policy.members.extend(mine.members.into_iter().filter(|((own, _), _)| *own == home));
        policy.places.retain(|(_, team)| policy.teams.get(team).is_none_or(|(own, _)| *own != home));
        policy.places.extend(
            mine.places
                .into_iter()
                .filter(|(_, team)| policy.teams.get(team).is_some_and(|(own, _)| *own == home)),
        );
        policy.services.extend(mine.services.into_iter().filter(|(_, (own, _))| *own == home));
        policy.keys.extend(mine.keys.into_iter().filter(|(_, key)| key.organization == home));
        let lines = mine.connections.into_iter().filter(|(_, line)| line.organization == home);
        policy.connections.extend(lines);
        policy.limits.retain(|_, limit| limit.organization_id != home);
        policy.limits.extend(mine.limits.into_iter().filter(|(_, limit)| limit.organization_id == home));
        policy.prices.retain(|row| row.organization != home);
        policy.prices.extend(mine.prices.into_iter().filter(|row| row.organization == home));
        policy.aliases.retain(|row| row.organization != home);
        policy.aliases.extend(mine.aliases.into_iter().filter(|row| row.organization == home));
        policy.books.extend(mine.books.into_iter().filter(|(id, _)| *id == home));
        policy
    }

    /// Tokens and keys.
    pub fn credentials(&self, missing: &Missing) -> Credentials {
        let tokens = missing.tokens.iter().filter_map(|id| self.tokens.get(id)).map(TokenRow::facts);
        let keys = missing.keys.iter().filter_map(|id| self.keys.get(id)).map(KeyRow::facts);
        Credentials { tokens: tokens.collect(), keys: keys.collect() }
    }

    /// What keys hang on, and limits.
    pub fn parents(&self, missing: &Parents) -> Found {
        let tenant = |id: &OrganizationId| {
            let row = self.tenants.get(id)?;
            Some(Organization {
                id: *id,
                status: row.status,
                allowed_models: None,
                default_max_output_tokens: row.output_cap,
                release_after: row.release_after,
            })
        };
        let team = |id: &TeamId| {
            let (organization_id, status) = *self.teams.get(id)?;
            Some(Team { id: *id, organization_id, status, allowed_models: None })
        };
        let member = |(organization_id, user_id): &(OrganizationId, UserId)| {
            let status = *self.members.get(&(*organization_id, *user_id))?;
            let teams = self.places.iter().filter(|(user, _)| user == user_id).map(|(_, team)| *team);
            Some(Member {
                organization_id: *organization_id,
                user_id: *user_id,
                status,
                teams: teams.collect(),
            })
        };
        let account = |id: &UserId| Some(Account { id: *id, status: *self.accounts.get(id)? });
        let service = |id: &ServiceAccountId| {
            let (organization_id, status) = *self.services.get(id)?;
            Some(ServiceAccount { id: *id, organization_id, status })
        };
        let connection = |id: &ConnectionId| {
            let line = self.connections.get(id)?;
            Some(Connection {
                id: *id,
                organization_id: line.organization,
                team_id: line.team,
                provider: "sim".into(),
                status: line.status,
                allowed_models: line.models.clone().map(Texts),
                mappings: line.mappings.iter().map(|mapping| facts_of(*id, mapping)).collect(),
            })
        };
        let limits = missing.subjects.iter().map(|(organization_id, subject_id)| SubjectLimits {
            organization_id: *organization_id,
            subject_id: *subject_id,
            limits: self.limits_of(*organization_id, *subject_id),
        });
        Found {
            organizations: missing.organizations.iter().filter_map(tenant).collect(),
            teams: missing.teams.iter().filter_map(team).collect(),
            members: missing.members.iter().filter_map(member).collect(),
            accounts: missing.accounts.iter().filter_map(account).collect(),
            service_accounts: missing.service_accounts.iter().filter_map(service).collect(),
            connections: missing.connections.iter().filter_map(connection).collect(),
            limits: limits.collect(),
            ..Found::default()
        }
    }

    fn limits_of(&self, organization: OrganizationId, subject: uuid::Uuid) -> Vec<Arc<Limit>> {
        let of = |limit: &&Arc<Limit>| limit.organization_id == organization && limit.subject_id == subject;
        self.limits.values().filter(of).cloned().collect()
    }
}

fn facts_of(connection_id: ConnectionId, (client, upstream, enabled): &(String, String, bool)) -> Mapping {
    let (client_name, upstream_name) = (client.clone(), upstream.clone());
    Mapping { connection_id, client_name, upstream_name, enabled: *enabled }
}

impl AliasRow {
    fn row(&self) -> model_alias::Model {
        model_alias::Model {
            id: self.id,
            organization_id: self.organization,
            name: self.name.clone(),
            target: self.target.clone(),
            enabled: self.enabled,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }
}

impl KeyRow {
    /// The team that owns it.
    pub fn team(&self) -> Option<TeamId> {
        if let Owned::Team(id) = self.owner { Some(id) } else { None }
    }

    /// The person who owns it.
    pub fn person(&self) -> Option<UserId> {
        if let Owned::Person(id) = self.owner { Some(id) } else { None }
    }

    /// The service account that owns it.
    pub fn service(&self) -> Option<ServiceAccountId> {
        if let Owned::Service(id) = self.owner { Some(id) } else { None }
    }

    fn facts(&self) -> Key {
        let secret = |lock: &Lock| Secret {
            id: lock.id,
            key_id: self.id,
            scheme: "hmac-sha256".into(),
            pepper_version: lock.pepper,
            digest: Sealed(lock.digest.clone()),
            expires_at: lock.expires_at,
        };
        Key {
            id: self.id,
            organization_id: self.organization,
            name: String::new(),
            team_id: self.team(),
            user_id: self.person(),
            service_account_id: self.service(),
            issued_to_user_id: None,
            issued_to_invitation_id: None,
            holder_left_at: None,
            created_by: self.issuer.to_string(),
            status: self.status,
            allowed_models: self.models.clone().map(Texts),
            denied_models: self.denied.clone().map(Texts),
            scopes: None,
            allowed_cidrs: None,
            expires_at: self.expires_at,
            tags: Tags::default(),
            archived_at: None,
            secrets: self.locks.iter().map(secret).collect(),
        }
    }
}

impl TokenRow {
    fn facts(&self) -> GatewayToken {
        let teams = self.teams.as_ref().map(|teams| teams.iter().map(ToString::to_string).collect());
        GatewayToken {
            id: self.id,
            organization_id: self.organization,
            scopes: Texts(self.scopes.clone()),
            team_ids: teams.map(Texts),
            allowed_cidrs: None,
            pepper_version: self.lock.pepper,
            digest: Sealed(self.lock.digest.clone()),
            expires_at: self.lock.expires_at,
        }
    }
}

impl PriceRow {
    fn row(&self) -> price::Model {
        let a_token = |nanos: i64| Rate(nanos * 1_000_000);
        let rates = Rates(BTreeMap::from([
            (Component::Input, a_token(self.rates.0)),
            (Component::Output, a_token(self.rates.1)),
        ]));
        let band = Band { up_to: None, rates: BTreeMap::from([(ServiceTier::Standard, rates)]) };
        price::Model {
            id: self.id,
            organization_id: self.organization,
            connection_id: None,
            provider: None,
            model: self.model.clone(),
            kind: PriceKind::PerToken,
            currency: self.currency.clone(),
            terms: Terms { tier_by: None, bands: vec![band], multipliers: BTreeMap::new(), off_peak: None },
            markup_bps: 0,
            effective_from: self.from,
            effective_until: None,
            origin: Origin::Manual,
            source: None,
            sourced_on: None,
            note: None,
            created_by: String::new(),
            version: 1,
            created_at: self.from,
            updated_at: self.from,
        }
    }
}

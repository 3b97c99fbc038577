//! [`Store`]: what the meter needs of a database. There are two: the real one ([`super::sql`]), and the simulated one that the
//! decisions are tried against, with crashes and lost replies at every step.

use super::{
    facts::{
        Account, Connection, Credential, GatewayToken, Key, Member, Organization, ServiceAccount,
        SubjectLimits, Team,
    },
    head::Moment,
    ledger::{Step, WindowKey, Writes},
};
use crate::{Result, price::resolve::Prices};
use chrono::{DateTime, Utc};
use entity::{
    id::{
        ConnectionId, CredentialId, GatewayTokenId, KeyId, OrganizationId, ReservationId, ServiceAccountId,
        TeamId, UserId,
    },
    limit_window, reservation, usage_event,
};
use sea_orm::DbErr;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Open calls of a later time that are found at a time.
pub const LATER: usize = 500;

/// What the database answers.
pub type Read<T> = std::result::Result<T, DbErr>;

/// The organizations of a batch, each with the version of its policy that is known.
pub type Known = BTreeMap<OrganizationId, Option<i64>>;

/// Reservations by their organizations and ids.
pub type Named = BTreeSet<(OrganizationId, ReservationId)>;

/// Gateway tokens and keys to load.
#[derive(Debug, Default, Clone)]
pub struct Missing {
    /// Tokens.
    pub tokens: BTreeSet<GatewayTokenId>,
    /// Keys.
    pub keys: BTreeSet<KeyId>,
}

/// What was found of them.
#[derive(Debug, Default)]
pub struct Credentials {
    /// Tokens.
    pub tokens: Vec<GatewayToken>,
    /// Keys, with their secrets.
    pub keys: Vec<Key>,
}

/// The owners of keys, organizations, connections with their credentials, and subjects of limits to load.
#[derive(Debug, Default, Clone)]
pub struct Parents {
    /// Organizations.
    pub organizations: BTreeSet<OrganizationId>,
    /// Teams.
    pub teams: BTreeSet<TeamId>,
    /// Memberships.
    pub members: BTreeSet<(OrganizationId, UserId)>,
    /// Accounts of people.
    pub accounts: BTreeSet<UserId>,
    /// Service accounts.
    pub service_accounts: BTreeSet<ServiceAccountId>,
    /// Connections.
    pub connections: BTreeSet<ConnectionId>,
    /// Credentials of connections.
    pub credentials: BTreeSet<CredentialId>,
    /// Subjects whose limits are wanted.
    pub subjects: BTreeSet<(OrganizationId, Uuid)>,
}

impl Parents {
    /// Whether there is nothing to load.
    pub fn is_empty(&self) -> bool {
        let Self { organizations, teams, members, accounts, service_accounts, .. } = self;
        let owners =
            organizations.is_empty() && teams.is_empty() && members.is_empty() && accounts.is_empty();
        let upstreams = self.connections.is_empty() && self.credentials.is_empty();
        owners && service_accounts.is_empty() && upstreams && self.subjects.is_empty()
    }
}

/// What was found of them.
#[derive(Debug, Default)]
pub struct Found {
    /// Organizations.
    pub organizations: Vec<Organization>,
    /// Teams.
    pub teams: Vec<Team>,
    /// Memberships.
    pub members: Vec<Member>,
    /// Accounts of people.
    pub accounts: Vec<Account>,
    /// Service accounts.
    pub service_accounts: Vec<ServiceAccount>,
    /// Connections, whatever their status.
    pub connections: Vec<Connection>,
    /// Credentials of connections, deleted ones too.
    pub credentials: Vec<Credential>,
    /// The limits of every subject that was asked for, also where there are none.
    pub limits: Vec<SubjectLimits>,
}

/// Holds that are to be released.
#[derive(Debug, Default)]
pub struct Due {
    /// The reservations.
    pub rows: Vec<reservation::Model>,
    /// When each organization has to look again; none = not for what there is now.
    pub next: BTreeMap<OrganizationId, Option<DateTime<Utc>>>,
}

/// A database that the meter runs over.
pub trait Store: Send + Sync {
    /// Its transactions.
    type Transaction: Transaction;

    /// Begins a transaction that may write.
    fn begin(&self) -> impl Future<Output = Read<Self::Transaction>> + Send;

    /// Reads without a lock and without writing, each statement for itself.
    fn look(&self) -> Self::Transaction;

    /// The prices that hold for an organization at a moment that was read with its head, if nothing has to be read for them.
    fn remembered(&self, moment: &Moment, organization: OrganizationId) -> Option<Prices>;

    /// The same, whatever has to be read.
    fn prices(
        &self,
        moment: &Moment,
        organization: OrganizationId,
    ) -> impl Future<Output = Result<Prices>> + Send;

    /// A new id for a call that is authorized at this time.
    fn id(&self, at: DateTime<Utc>) -> ReservationId;

    /// Says that the clock was found to have been wrong, once that is committed.
    fn alarm(&self, steps: &[Step]);
}

/// One transaction. Dropped, it has no effect.
pub trait Transaction: Send + Sync {
    /// Locks the heads of organizations until the end, in the order of their ids. Whoever writes policy, reservations or
    /// windows of an organization holds that lock, so what is read after it cannot be stale.
    fn lock(&mut self, organizations: &BTreeSet<OrganizationId>) -> impl Future<Output = Read<()>> + Send;

    /// Reads the heads, what has changed since the versions that are known, and the time.
    fn heads(&mut self, known: &Known) -> impl Future<Output = Read<Moment>> + Send;

    /// Loads gateway tokens and keys.
    fn credentials(&mut self, missing: &Missing) -> impl Future<Output = Read<Credentials>> + Send;

    /// Loads what keys belong to, what serves calls, and limits.
    fn parents(&mut self, missing: &Parents) -> impl Future<Output = Read<Found>> + Send;

    /// Finds holds to release, some of them if there are many.
    fn due(&mut self, at: &BTreeMap<OrganizationId, DateTime<Utc>>)
    -> impl Future<Output = Read<Due>> + Send;

    /// Finds open calls of an organization whose time is counted from a later moment than this, [`LATER`] at most.
    fn later(
        &mut self,
        organization: OrganizationId,
        at: DateTime<Utc>,
    ) -> impl Future<Output = Read<Vec<reservation::Model>>> + Send;

    /// Finds reservations.
    fn reservations(&mut self, named: &Named) -> impl Future<Output = Read<Vec<reservation::Model>>> + Send;

    /// Finds the events of reservations, in order of their attempts.
    fn events(&mut self, named: &Named) -> impl Future<Output = Read<Vec<usage_event::Model>>> + Send;

    /// Reads windows; one that has counted nothing may be missing.
    fn windows(
        &mut self,
        keys: &BTreeSet<WindowKey>,
    ) -> impl Future<Output = Read<Vec<limit_window::Model>>> + Send;

    /// Writes what a batch leaves behind.
    fn write(&mut self, writes: &Writes) -> impl Future<Output = Read<()>> + Send;

    /// Makes it true. After an error it may or may not be.
    fn commit(self) -> impl Future<Output = Read<()>> + Send;
}

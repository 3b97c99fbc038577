//! What the meter remembers. An entry is trusted only if the head of its organization was read in the very batch that
//! uses it, and nothing in the policy log since the entry was loaded names it. An entry is loaded after the head it is
//! tagged with was read, so it may be newer than its tag, never older. Unknown things are never remembered as unknown:
//! making a key, or a membership, bumps nothing. Memory is bounded: each table forgets what has not been used for
//! longest.

use super::{
    facts::{
        Account, Connection, Credential, Facts, GatewayToken, Holder, Key, Limit, Member, Organization,
        Owner, ServiceAccount, SubjectLimits, Team,
    },
    head::Head,
};
use crate::{head::PolicyKind, price::names::Mapping};
use chrono::{DateTime, Utc};
use entity::id::{
    ConnectionId, CredentialId, GatewayTokenId, KeyId, OrganizationId, ServiceAccountId, TeamId, UserId,
};
use std::{collections::HashMap, hash::Hash, sync::Arc};
use uuid::Uuid;

/// Keys that are remembered: some hundred bytes each.
const KEYS: usize = 200_000;
/// Entries of every other table.
const OTHERS: usize = 50_000;

/// A map that forgets: entries live in the young half until it is full, then the old half goes and the young one takes
/// its place. What is used moves back to the young.
#[derive(Debug)]
struct Table<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: capacity / 2 }
    }

    fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn get(&mut self, key: &K) -> Option<&mut V> {
        if let Some(value) = self.old.remove(key) {
            self.put(*key, value);
        }
        self.young.get_mut(key)
    }

    fn put(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

/// Something remembered, with the organization whose log tells of its changes.
#[derive(Debug)]
struct Entry<V> {
    organization: OrganizationId,
    epoch: u64,
    value: Arc<V>,
}

/// How far an organization's log has been followed.
#[derive(Debug)]
struct Known {
    version: i64,
    tag: i64,
    /// Entries of another epoch are forgotten.
    epoch: u64,
    /// The batch that last read the head.
    batch: u64,
}

/// What the meter remembers; owned by its task alone.
#[derive(Debug)]
pub struct Cache {
    batch: u64,
    epochs: u64,
    started: Option<DateTime<Utc>>,
    heads: Table<OrganizationId, Known>,
    organizations: Table<OrganizationId, Entry<Organization>>,
    teams: Table<TeamId, Entry<Team>>,
    members: Table<(OrganizationId, UserId), Entry<Member>>,
    accounts: Table<UserId, Entry<Account>>,
    service_accounts: Table<ServiceAccountId, Entry<ServiceAccount>>,
    keys: Table<KeyId, Entry<Key>>,
    tokens: Table<GatewayTokenId, Entry<GatewayToken>>,
    connections: Table<ConnectionId, Entry<Connection>>,
    credentials: Table<CredentialId, Entry<Credential>>,
    limits: Table<(OrganizationId, Uuid), Entry<SubjectLimits>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            batch: 0,
            epochs: 0,
            started: None,
            heads: Table::new(OTHERS),
            organizations: Table::new(OTHERS),
            teams: Table::new(OTHERS),
            members: Table::new(OTHERS),
            accounts: Table::new(OTHERS),
            service_accounts: Table::new(OTHERS),
            keys: Table::new(KEYS),
            tokens: Table::new(OTHERS),
            connections: Table::new(OTHERS),
            credentials: Table::new(OTHERS),
            limits: Table::new(KEYS),
        }
    }
}

macro_rules! tables {
    ($($get:ident $put:ident $table:ident: $id:ty => $value:ty, $organization:expr, $key:expr;)*) => {
        impl Cache {$(
            /// The entry, if it may be trusted in this batch.
            pub(super) fn $get(&mut self, id: $id) -> Option<Arc<$value>> {
                let entry = self.$table.get(&id)?;
                let known = self.heads.peek(&entry.organization)?;
                let trusted = known.batch == self.batch && known.epoch == entry.epoch;
                trusted.then(|| entry.value.clone())
            }

            /// Remembers what was loaded after this batch read the organization's head; what belongs to another
            /// organization cannot be tagged, and is not kept.
            pub(super) fn $put(&mut self, value: $value) {
                let of: fn(&$value) -> OrganizationId = $organization;
                let key: fn(&$value) -> $id = $key;
                let (organization, id) = (of(&value), key(&value));
                let known = self.heads.peek(&organization).filter(|known| known.batch == self.batch);
                if let Some(epoch) = known.map(|known| known.epoch) {
                    self.$table.put(id, Entry { organization, epoch, value: Arc::new(value) });
                }
            }
        )*}
    };
}

tables! {
    organization put_organization organizations: OrganizationId => Organization, |o| o.id, |o| o.id;
    team put_team teams: TeamId => Team, |t| t.organization_id, |t| t.id;
    member put_member members: (OrganizationId, UserId) => Member, |m| m.organization_id, |m| (m.organization_id, m.user_id);
    account put_account accounts: UserId => Account, |_| OrganizationId::PLATFORM, |a| a.id;
    service_account put_service_account service_accounts: ServiceAccountId => ServiceAccount, |s| s.organization_id, |s| s.id;
    key put_key keys: KeyId => Key, |k| k.organization_id, |k| k.id;
    token put_token tokens: GatewayTokenId => GatewayToken, |t| t.organization_id, |t| t.id;
    connection put_connection connections: ConnectionId => Connection, |c| c.organization_id, |c| c.id;
    credential put_credential credentials: CredentialId => Credential, |c| c.organization_id, |c| c.id;
    limits_of put_limits limits: (OrganizationId, Uuid) => SubjectLimits, |l| l.organization_id, |l| (l.organization_id, l.subject_id);
}

impl Cache {
    /// The version up to which an organization's log has been followed.
    pub(super) fn version(&self, organization: OrganizationId) -> Option<i64> {
        self.heads.peek(&organization).map(|known| known.version)
    }

    /// Whether something is remembered of a key, be it good or not.
    pub(super) fn has_key(&self, id: &KeyId) -> bool {
        self.keys.peek(id).is_some()
    }

    /// The same of a token.
    pub(super) fn has_token(&self, id: &GatewayTokenId) -> bool {
        self.tokens.peek(id).is_some()
    }

    /// Everything that decisions about a call with a key depend on, as far as it is there.
    pub(super) fn facts(&mut self, id: KeyId, connection: Option<ConnectionId>) -> Option<Facts> {
        let key = self.key(id)?;
        let organization = self.organization(key.organization_id)?;
        let member = key.user_id.and_then(|user| self.member((key.organization_id, user)));
        let teams = member.as_ref().map(|member| member.teams.clone()).unwrap_or_default();
        let owner = if let Some(team) = key.team_id {
            Owner::Team(self.team(team))
        } else if let Some(user) = key.user_id {
            Owner::Person(member, self.account(user))
        } else {
            Owner::ServiceAccount(key.service_account_id.and_then(|account| self.service_account(account)))
        };
        let holder = key.issued_to_user_id.map(|user| Holder {
            member: self.member((key.organization_id, user)),
            account: self.account(user),
        });
        let connection = connection.and_then(|id| self.connection(id));
        // What is another organization's is not there.
        let connection = connection.filter(|connection| connection.organization_id == key.organization_id);
        let limits = self.limits(&key, &teams, connection.as_ref().map(|connection| connection.id))?;
        Some(Facts { key, organization, owner, holder, connection, limits, names: Vec::new() })
    }

    /// What the upstream of an organization's connection calls models.
    pub(super) fn mappings(
        &mut self,
        organization: OrganizationId,
        connection: Option<ConnectionId>,
    ) -> Arc<[Mapping]> {
        let connection = connection.and_then(|id| self.connection(id));
        let own = connection.filter(|connection| connection.organization_id == organization);
        own.map(|connection| connection.mappings.clone()).unwrap_or_default()
    }

    /// The limits of everything that a call with a key is under. Where those of one subject are not there, none are: a limit
    /// that is not known would not hold.
    fn limits(
        &mut self,
        key: &Key,
        teams: &[TeamId],
        connection: Option<ConnectionId>,
    ) -> Option<Vec<Arc<Limit>>> {
        let mut limits = Vec::new();
        for subject in key.subjects(connection) {
            let of = self.limits_of((key.organization_id, subject))?;
            limits.extend(of.limits.iter().filter(|limit| key.is_under(limit, teams)).cloned());
        }
        limits.sort_unstable_by_key(|limit| limit.id);
        Some(limits)
    }

    /// Begins a batch with the heads that it has read, and forgets what the logs name. A database that was started anew
    /// may be another copy: everything is forgotten.
    pub(super) fn begin(&mut self, started: Option<DateTime<Utc>>, heads: &[Head]) {
        if self.started != started {
            *self = Self { batch: self.batch, epochs: self.epochs, started, ..Self::default() };
        }
        self.batch += 1;
        for head in heads {
            self.follow(head);
        }
    }

    fn follow(&mut self, head: &Head) {
        let known = self.heads.get(&head.organization);
        let changes = known.as_ref().and_then(|known| head.changes_since(known.version, known.tag));
        let epoch = match known {
            Some(known) if changes.is_some() => known.epoch,
            _ => {
                self.epochs += 1;
                self.epochs
            }
        };
        for (kind, subject) in changes.unwrap_or_default() {
            self.forget(head.organization, *kind, *subject);
        }
        let known = Known { version: head.version, tag: head.tag, epoch, batch: self.batch };
        self.heads.put(head.organization, known);
    }

    fn forget(&mut self, organization: OrganizationId, kind: PolicyKind, subject: Uuid) {
        match kind {
            PolicyKind::Organization => self.organizations.remove(&OrganizationId::new(subject)),
            PolicyKind::Team => self.teams.remove(&TeamId::new(subject)),
            PolicyKind::Member => self.members.remove(&(organization, UserId::new(subject))),
            PolicyKind::User => self.accounts.remove(&UserId::new(subject)),
            PolicyKind::ServiceAccount => self.service_accounts.remove(&ServiceAccountId::new(subject)),
            PolicyKind::Key => self.keys.remove(&KeyId::new(subject)),
            PolicyKind::GatewayToken => self.tokens.remove(&GatewayTokenId::new(subject)),
            PolicyKind::Limits => self.limits.remove(&(organization, subject)),
            // Nothing that is remembered of its credentials ever changes.
            PolicyKind::Connection => self.connections.remove(&ConnectionId::new(subject)),
            // The price book is remembered by whoever resolves prices.
            PolicyKind::PriceBook
            | PolicyKind::Price
            | PolicyKind::Model
            | PolicyKind::ModelAlias
            | PolicyKind::All => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::head::REACH;
    use entity::status::Standing;

    const ORGANIZATION: OrganizationId = OrganizationId::new(Uuid::from_u128(1));
    const OTHER: OrganizationId = OrganizationId::new(Uuid::from_u128(2));
    const TEAM: TeamId = TeamId::new(Uuid::from_u128(3));

    /// As who knows version 10 reads it.
    fn head(version: i64, tag: i64, changes: &[(PolicyKind, Uuid)]) -> Head {
        Head {
            organization: ORGANIZATION,
            version,
            tag,
            floor: 0,
            since: 10,
            changes: changes.to_vec(),
            last_t: DateTime::UNIX_EPOCH,
            next_release_at: None,
            ahead_until: None,
        }
    }

    fn team(id: TeamId) -> Team {
        Team { id, organization_id: ORGANIZATION, status: Standing::Active, allowed_models: None }
    }

    /// A cache that knows one team as of version 10.
    fn warm() -> Cache {
        let mut cache = Cache::default();
        cache.begin(None, &[head(10, 7, &[])]);
        cache.put_team(team(TEAM));
        assert!(cache.team(TEAM).is_some());
        cache
    }

    #[test]
    fn an_entry_is_trusted_only_in_a_batch_that_has_read_its_head() {
        let mut cache = warm();
        let other = Head { organization: OTHER, ..head(1, 1, &[]) };
        cache.begin(None, &[other]);
        assert!(cache.team(TEAM).is_none(), "another organization's head says nothing about it");
        cache.begin(None, &[head(10, 7, &[])]);
        assert!(cache.team(TEAM).is_some(), "it is still there");
    }

    #[test]
    fn what_is_loaded_without_its_head_is_not_kept() {
        let mut cache = Cache::default();
        cache.begin(None, &[Head { organization: OTHER, ..head(1, 1, &[]) }]);
        cache.put_team(team(TEAM));
        cache.begin(None, &[head(10, 7, &[])]);
        assert!(cache.team(TEAM).is_none());
    }

    #[test]
    fn the_log_drops_what_it_names_and_nothing_else() {
        let mut cache = warm();
        let another = TeamId::new(Uuid::from_u128(4));
        cache.put_team(team(another));
        cache.begin(None, &[head(11, 8, &[(PolicyKind::Team, TEAM.uuid())])]);
        assert!(cache.team(TEAM).is_none());
        assert!(cache.team(another).is_some());
        // What was loaded in the meantime may be newer than its tag: the log drops it once more, and no harm is done.
        cache.put_team(team(TEAM));
        cache.begin(None, &[head(12, 9, &[(PolicyKind::Team, TEAM.uuid())])]);
        assert!(cache.team(TEAM).is_none());
    }

    #[test]
    fn whatever_does_not_follow_from_what_is_known_forgets_everything() {
        let behind_the_log = Head { floor: 11, ..head(12, 8, &[]) };
        for next in [
            head(10, 8, &[]),
            head(9, 7, &[]),
            head(9, 8, &[]),
            head(11 + REACH, 8, &[]),
            head(11, 8, &[(PolicyKind::All, Uuid::nil())]),
            behind_the_log,
        ] {
            let mut cache = warm();
            cache.begin(None, &[next]);
            assert!(cache.team(TEAM).is_none());
        }
        let mut cache = warm();
        cache.begin(Some(DateTime::UNIX_EPOCH), &[head(10, 7, &[])]);
        assert!(cache.team(TEAM).is_none(), "the database was started anew");
    }

    #[test]
    fn an_entry_that_was_forgotten_stays_forgotten() {
        let mut cache = warm();
        cache.begin(None, &[head(10, 8, &[])]);
        cache.begin(None, &[head(10, 7, &[])]);
        assert!(cache.team(TEAM).is_none());
    }

    #[test]
    fn a_table_is_bounded_and_keeps_what_is_used() {
        let mut table = Table::new(100);
        for n in 0..10_000 {
            table.put(n, ());
            assert!(table.get(&0).is_some(), "used all the time");
            assert!(table.young.len() + table.old.len() <= 101);
        }
        assert!(table.peek(&5).is_none());
    }
}

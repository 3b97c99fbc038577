//! Loads what is not remembered: one query a table for all that a batch is missing.

use crate::{
    meter::{
        Work,
        facts::{
            Account, Connection, Credential, GatewayToken, Key, Limit, Member, Organization, Secret,
            ServiceAccount, SubjectLimits, Team,
        },
        store::{Credentials, Found, Missing, Parents, Read},
    },
    price::names::Mapping,
};
use entity::{
    credential, gateway_token,
    id::{ConnectionId, KeyId, OrganizationId, TeamId, UserId},
    key_secret, limit, membership, model_mapping, organization, provider_connection, service_account, team,
    team_member, user_account, virtual_key,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DerivePartialModel, EntityTrait, FromQueryResult,
    PartialModelTrait, QueryFilter, Value,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

/// A person's place in a team.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "team_member::Entity")]
#[expect(clippy::struct_field_names, reason = "as the columns are called")]
struct TeamMember {
    organization_id: OrganizationId,
    user_id: UserId,
    team_id: TeamId,
}

/// Reads for one batch.
#[derive(Debug)]
pub(super) struct Loader<'s, C> {
    pub(super) db: &'s C,
    pub(super) work: &'s Work,
}

/// `column IN (…)`, padded to a power of two with the last id, so that few texts are prepared.
fn one_of<C: ColumnTrait>(
    column: C,
    ids: impl ExactSizeIterator<Item = impl Into<Value> + Copy>,
) -> Condition {
    let count = ids.len().next_power_of_two();
    let mut ids: Vec<_> = ids.collect();
    if let Some(last) = ids.last().copied() {
        ids.resize(count, last);
    }
    Condition::all().add(column.is_in(ids))
}

impl<C: ConnectionTrait> Loader<'_, C> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a batch spans organizations; entries are tagged with theirs"
    )]
    async fn rows<E: EntityTrait, V>(&self, wanted: bool, which: Condition) -> Read<Vec<V>>
    where
        V: PartialModelTrait + FromQueryResult + Send + Sync,
    {
        if !wanted {
            return Ok(Vec::new());
        }
        let rows = E::find().filter(which).into_partial_model::<V>().all(self.db).await?;
        self.work.ran(rows.len());
        Ok(rows)
    }

    /// Loads gateway tokens and keys.
    pub(super) async fn credentials(&self, missing: &Missing) -> Read<Credentials> {
        let (tokens, keys) = (&missing.tokens, &missing.keys);
        let by_id = one_of(gateway_token::Column::Id, tokens.iter().copied());
        let (tokens, rows, secrets) = tokio::try_join!(
            self.rows::<gateway_token::Entity, GatewayToken>(!tokens.is_empty(), by_id),
            self.rows::<virtual_key::Entity, Key>(
                !keys.is_empty(),
                one_of(virtual_key::Column::Id, keys.iter().copied())
            ),
            self.rows::<key_secret::Entity, Secret>(
                !keys.is_empty(),
                one_of(key_secret::Column::KeyId, keys.iter().copied())
            ),
        )?;
        let mut of_key: BTreeMap<KeyId, Vec<Secret>> = BTreeMap::new();
        for secret in secrets {
            of_key.entry(secret.key_id).or_default().push(secret);
        }
        let with = |key: Key| Key { secrets: of_key.remove(&key.id).unwrap_or_default(), ..key };
        Ok(Credentials { tokens, keys: rows.into_iter().map(with).collect() })
    }

    /// Loads organizations, the owners of keys, what serves calls, and limits.
    pub(super) async fn parents(&self, missing: &Parents) -> Read<Found> {
        let (owners, (connections, credentials)) =
            tokio::try_join!(self.owners(missing), self.upstreams(missing))?;
        Ok(Found { connections, credentials, ..owners })
    }

    /// Connections and their credentials, also those that are gone.
    async fn upstreams(&self, missing: &Parents) -> Read<(Vec<Connection>, Vec<Credential>)> {
        let (connections, credentials) = (&missing.connections, &missing.credentials);
        let (mut connections, mappings, credentials) = tokio::try_join!(
            self.rows::<provider_connection::Entity, Connection>(
                !connections.is_empty(),
                one_of(provider_connection::Column::Id, connections.iter().copied())
            ),
            self.rows::<model_mapping::Entity, Mapping>(
                !connections.is_empty(),
                one_of(model_mapping::Column::ConnectionId, connections.iter().copied())
            ),
            self.rows::<credential::Entity, Credential>(
                !credentials.is_empty(),
                one_of(credential::Column::Id, credentials.iter().copied())
            ),
        )?;
        let mut of: BTreeMap<ConnectionId, Vec<Mapping>> = BTreeMap::new();
        for mapping in mappings {
            of.entry(mapping.connection_id).or_default().push(mapping);
        }
        for connection in &mut connections {
            connection.mappings = of.remove(&connection.id).unwrap_or_default().into();
        }
        Ok((connections, credentials))
    }

    /// The teams of members, each with its organization.
    async fn teams_of(&self, members: &BTreeSet<(OrganizationId, UserId)>) -> Read<Vec<TeamMember>> {
        let is = |(organization, user): &(OrganizationId, UserId)| {
            let own = Condition::all().add(team_member::Column::OrganizationId.eq(*organization));
            own.add(team_member::Column::UserId.eq(*user))
        };
        let which = members.iter().map(is).fold(Condition::any(), Condition::add);
        self.rows::<team_member::Entity, TeamMember>(!members.is_empty(), which).await
    }

    async fn owners(&self, missing: &Parents) -> Read<Found> {
        let Parents { organizations, teams, members, accounts, service_accounts, subjects, .. } = missing;
        let of = |organization| membership::Column::OrganizationId.eq(organization);
        let is = |user| membership::Column::UserId.eq(user);
        let pairs = members.iter().fold(Condition::any(), |any, (organization, user)| {
            any.add(Condition::all().add(of(*organization)).add(is(*user)))
        });
        let (organizations, teams, mut members, in_teams, accounts, service_accounts, limits) = tokio::try_join!(
            self.rows::<organization::Entity, Organization>(
                !organizations.is_empty(),
                one_of(organization::Column::Id, organizations.iter().copied())
            ),
            self.rows::<team::Entity, Team>(
                !teams.is_empty(),
                one_of(team::Column::Id, teams.iter().copied())
            ),
            self.rows::<membership::Entity, Member>(!members.is_empty(), pairs),
            self.teams_of(members),
            self.rows::<user_account::Entity, Account>(
                !accounts.is_empty(),
                one_of(user_account::Column::Id, accounts.iter().copied())
            ),
            self.rows::<service_account::Entity, ServiceAccount>(
                !service_accounts.is_empty(),
                one_of(service_account::Column::Id, service_accounts.iter().copied())
            ),
            self.rows::<limit::Entity, Limit>(!subjects.is_empty(), of_subjects(subjects)),
        )?;
        let limits = sets(subjects, limits);
        for member in &mut members {
            let own = in_teams
                .iter()
                .filter(|row| (row.organization_id, row.user_id) == (member.organization_id, member.user_id));
            member.teams = own.map(|row| row.team_id).collect();
        }
        Ok(Found { organizations, teams, members, accounts, service_accounts, limits, ..Found::default() })
    }
}

/// The limits of these subjects, that are not deleted.
fn of_subjects(subjects: &BTreeSet<(OrganizationId, Uuid)>) -> Condition {
    let mut of: BTreeMap<OrganizationId, Vec<Uuid>> = BTreeMap::new();
    for (organization, subject) in subjects {
        of.entry(*organization).or_default().push(*subject);
    }
    let any = of.into_iter().fold(Condition::any(), |any, (organization, subjects)| {
        let own = limit::Column::OrganizationId.eq(organization);
        any.add(one_of(limit::Column::SubjectId, subjects.into_iter()).add(own))
    });
    Condition::all().add(any).add(limit::Column::DeletedAt.is_null())
}

/// The limits of each subject that was asked for, also of those that have none.
fn sets(subjects: &BTreeSet<(OrganizationId, Uuid)>, limits: Vec<Limit>) -> Vec<SubjectLimits> {
    let mut of: BTreeMap<(OrganizationId, Uuid), Vec<Arc<Limit>>> =
        subjects.iter().map(|subject| (*subject, Vec::new())).collect();
    for limit in limits {
        of.entry((limit.organization_id, limit.subject_id)).or_default().push(Arc::new(limit));
    }
    let set = |((organization_id, subject_id), limits)| SubjectLimits { organization_id, subject_id, limits };
    of.into_iter().map(set).collect()
}
